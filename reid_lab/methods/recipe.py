"""Recipes: every number that decides a training, as data.

:class:`Recipe` holds what all methods share. Each method's file has a subclass with its own numbers. A field of it
says what the method's paper says about it (see :mod:`reid_lab.methods.fields`); its value is the
one that we use at size "paper". Values at the other sizes are in ``sizes`` of that class.

A recipe never changes: print it, compare two of them, make another one with :meth:`Recipe.replace`, write it as JSON.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self, TypeVar, get_args

import numpy as np
import torch
from pydantic import ConfigDict, ValidationError, model_validator
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, ErrorDetails

from reid_lab import data, models
from reid_lab.methods.extras import WithExtras
from reid_lab.methods.fields import (
    EXACT,
    Area,
    Aspect,
    Backbone,
    Count,
    Milestones,
    NotNegative,
    Pixels,
    Positive,
    Share,
    Whole,
)
from reid_lab.methods.sources import WithSources
from reid_lab.methods.stage import Stage
from reid_lab.runtime.errors import RecipeError

SizeName = Literal["smoke", "classroom", "full", "paper"]
SIZES = get_args(SizeName)
FULL_MEMORY = 10 * 2**30  # bytes of a GPU in which "full" is thought to fit; nobody has measured it

# At the sizes "smoke" and "classroom": slim networks on a CPU, which openly leave the papers' lengths behind.
SLIM: dict[str, Any] = dict(
    weights=None, resize=(128, 64), crop=(128, 64), optimizer="adamw", schedule="cosine", milestones=()
)

LATER = {"half_size_epochs": 0}  # fields that version 0.1.0 did not have, and the value that means what it did


class Sampler(Protocol):
    """What draws the batches of an epoch, always the same ones for the same epoch (see :mod:`reid_lab.data`)."""

    def __len__(self) -> int:
        """The number of batches in an epoch."""

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The batches of one epoch: indices (batch,) of training images."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class Recipe(WithExtras, WithSources):
    """What all methods need: network, input, augmentation, optimizer, schedule, precision.

    A subclass is a method. It gives ``method``, ``sizes`` (values at each of SIZES), ``batch``, ``network``,
    ``sampler`` and a value for every field without a default below. :func:`register` makes it known.

    Raises:
        RecipeError: an unknown field, a missing one or an impossible value. It names the field and what is allowed.
    """

    method: ClassVar[str]  # its name on the command line and in files
    sizes: ClassVar[Mapping[str, Mapping[str, Any]]]  # what differs from the paper's values at each of SIZES
    from_random: ClassVar[Mapping[str, Any]] = {}  # what weights=None changes at "classroom"
    groups: ClassVar[int] = 1  # parts of equal size that a batch falls into: 2 for anchors and partners

    size: SizeName
    # network
    backbone: Backbone
    weights: Literal[None, "imagenet", "passersby"]  # where the backbone starts; None: from random weights
    last_stride: Annotated[Literal[1, 2], EXACT]  # of the backbone's last layer
    smoothing: Share  # label smoothing of the identification loss
    # input and augmentation
    resize: Pixels  # training images are resized to this ...
    crop: Pixels  # ... and cropped to this, which is also the size at test time
    pad: Whole  # zero padding before the crop, in pixels
    flip: Share  # probability of a horizontal flip
    erasing: Share  # probability of random erasing
    erasing_area: Area = (0.02, 0.4)  # share of the image
    erasing_aspect: Aspect = (0.3, 3.33)  # height / width
    erasing_attempts: Count = 100
    erasing_fill: Literal["random", "mean"] = "random"  # uniform values per pixel, or ImageNet's mean color
    # optimizer; "adam" has coupled weight decay, "adamw" decoupled
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"]
    lr: Positive
    momentum: Share = 0.9
    weight_decay: NotNegative
    backbone_lr: Positive = 1.0  # factor on lr for the backbone
    # schedule, in epochs of (training images / batch) steps, in paper A (training images / pairs)
    epochs: Count
    warmup: Literal["none", "constant", "linear"]  # "constant": lr x warmup_factor; "linear": from there up to lr
    warmup_epochs: Whole
    warmup_factor: Positive
    schedule: Literal["steps", "cosine"]  # "steps": x decay at each milestone; "cosine": half a cosine down to 0
    milestones: Milestones = ()
    decay: Positive = 0.1
    half_size_epochs: Whole = 0  # the first epochs, whose images have half the height and width: a quarter of the work
    # engine
    precision: Literal["auto", "bf16", "float16", "float32"] = "auto"  # "auto": the fastest that is right here
    evaluate_every: Whole = 0  # epochs between evaluations in that precision; 0: only at the end, in float32

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, given: ArgsKwargs, check: Callable[[ArgsKwargs], Self]) -> Self:
        """Take NumPy's numbers as Python's and lists as tuples; turn pydantic's error into our sentence."""
        fields = {name: _plain(value) for name, value in (given.kwargs or {}).items()}
        try:
            recipe = check(ArgsKwargs(given.args, fields))
        except ValidationError as error:
            raise RecipeError(_sentence(cls, fields, error.errors())) from None
        recipe._check()
        return recipe

    def _check(self) -> None:
        """Check what several fields say together. A subclass extends this method."""
        room = min(r + 2 * self.pad - c for r, c in zip(self.resize, self.crop, strict=True))
        self._require("crop", room >= 0, f"at most resize + 2 x pad = {self.resize} + 2 x {self.pad}")
        self._require("half_size_epochs", self.half_size_epochs <= self.epochs, f"at most epochs = {self.epochs}")
        self._require("momentum", self.momentum > 0 or self.optimizer != "nesterov", "above 0 for nesterov")

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise RecipeError(_wrong(type(self), name, getattr(self, name), expected))

    @classmethod
    def at(cls, size: str | None = None, **fields: Any) -> Self:
        """The recipe at one of SIZES (default: see :func:`default_size`), with some ``fields`` changed.

        At "classroom", ``weights=None`` brings the longer schedule that random weights need; to change the start and
        nothing else, use :meth:`replace`.

        Raises:
            RecipeError: unknown size or field, or an impossible value.
        """
        size = size or default_size()
        if size not in cls.sizes:
            raise RecipeError(f"{cls.method} has no size {size!r}; choose one of {', '.join(cls.sizes)}.")
        longer = cls.from_random if size == "classroom" and fields.get("weights", "") is None else {}
        return cls(**({"size": size, **cls.sizes[size], **longer} | fields))

    def replace(self, **changes: Any) -> Self:
        """This recipe with some fields changed. Raises RecipeError for an unknown field or impossible value."""
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """The recipe as JSON text, which :func:`from_json` reads back to an equal recipe.

        A field of LATER is written only where it changes something, so that earlier runs keep their names.
        """
        fields = {name: value for name, value in dataclasses.asdict(self).items() if (name, value) not in LATER.items()}
        return json.dumps({"method": self.method, **fields}, indent=1)

    # What training asks a method for
    @property
    def batch(self) -> int:
        """Images in a batch."""
        raise self._lacks("batch")

    def network(self, num_pids: int) -> models.Network:
        """The network for ``num_pids`` training identities, its weights drawn from torch's generator."""
        raise self._lacks("network")

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> Sampler:
        """What draws the batches of training images with these identities and cameras, (N,) each."""
        raise self._lacks("sampler")

    def _lacks(self, name: str) -> RecipeError:
        method = getattr(self, "method", "none: it is the base of all recipes")
        return RecipeError(f"{type(self).__name__} (method {method}) does not define {name}, which every method must.")

    def augmentation(self, epoch: int = 0) -> data.Augment:
        """Random crop, flip and erasing of a batch in that epoch, counted from 0."""
        erasing = None
        if self.erasing:
            erasing = data.RandomErasing(
                self.erasing, self.erasing_area, self.erasing_aspect, self.erasing_attempts, self.erasing_fill
            )
        shrink = 2 if epoch < self.half_size_epochs else 1
        return data.Augment(self.crop, self.pad, self.flip, erasing, shrink)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The trainings that follow one another: here one, of all epochs and all parameters."""
        return (Stage("all", self.epochs, self.lr, self.milestones),)

    @property
    def rates(self) -> dict[str, float]:
        """Factors on the learning rate by group of parameters (see ``Network.groups``); 1 for a group not named."""
        return {"backbone": self.backbone_lr}


METHODS: dict[str, type[Recipe]] = {}
R = TypeVar("R", bound=Recipe)


def register(recipe: type[R]) -> type[R]:
    """Make a method known by its name: to :func:`from_json`, the command line and ``doctor``.

    Raises:
        RecipeError: the class is no dataclass of pydantic's, which would leave its fields unchecked.
    """
    if "__pydantic_validator__" not in vars(recipe):
        raise RecipeError(f"{recipe.__name__} is not checked: decorate it with pydantic.dataclasses.dataclass.")
    METHODS[recipe.method] = recipe
    return recipe


def default_size(device: str | torch.device | None = None) -> str:
    """``REID_LAB_SIZE``, else "full" on a GPU with room for it, else "classroom".

    ``device`` is where the training will run; None: the default one. An Apple GPU takes its memory from the computer,
    and gets "classroom". Raises RecipeError for an unknown size, DeviceError for a device that is not there.
    """
    from reid_lab.runtime.device import find_device, memory

    size = os.environ.get("REID_LAB_SIZE")
    if size and size not in SIZES:
        raise RecipeError(f"The environment variable REID_LAB_SIZE is {size!r}; set it to one of {', '.join(SIZES)}.")
    if size:
        return size
    found = find_device(device)
    return "full" if found.type in ("cuda", "xpu") and memory(found)[1] >= FULL_MEMORY else "classroom"


def from_json(text: str) -> Recipe:
    """Read a recipe written by :meth:`Recipe.to_json`.

    Raises:
        RecipeError: not JSON, an unknown method or field, a missing field, or an impossible value.
    """
    try:
        fields = dict(json.loads(text))
    except (ValueError, TypeError) as error:
        raise RecipeError(f"This is not a recipe: {error}. A recipe is the JSON text that to_json() writes.") from error
    method = fields.pop("method", None)
    if method not in list(METHODS):  # of a list, say, there is no hash
        raise RecipeError(f"The recipe's method is {method!r}; it must be one of {', '.join(map(repr, METHODS))}.")
    if "optimiser" in fields and "optimizer" not in fields:  # the field's name in version 0.1.0
        fields["optimizer"] = fields.pop("optimiser")
    unknown = fields.keys() - {field.name for field in dataclasses.fields(METHODS[method])}
    if unknown:
        raise RecipeError(_unknown(METHODS[method], min(unknown)))
    # Fields that have a default were added later than the first runs, or were never written down: they may be missing.
    known: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(Recipe)}
    missing = [name for name, value in known.items() if value is dataclasses.MISSING and name not in fields]
    if missing:
        raise RecipeError(f"The recipe lacks {', '.join(missing)}; add what is missing.")
    return METHODS[method](**(known | fields))


def _sentence(recipe: type[Recipe], fields: Mapping[str, Any], errors: Sequence[ErrorDetails]) -> str:
    """Our sentence for what pydantic found first: the field, its value, what is allowed, the cure."""
    kinds = {error["type"]: str(error["loc"][0]) for error in reversed(errors)}
    name = str(errors[0]["loc"][0])
    if "unexpected_keyword_argument" in kinds:
        return _unknown(recipe, kinds["unexpected_keyword_argument"])
    if "missing" in kinds:
        lacking = [str(error["loc"][0]) for error in errors if error["type"] == "missing"]
        return f"The recipe lacks {', '.join(lacking)}; add what is missing."
    expected = recipe.__pydantic_fields__[name].description  # type: ignore[attr-defined]
    if not expected:
        found = [error["msg"] for error in errors if error["loc"][0] == name]
        expected = re.sub("Input should be |Value error, |valid ", "", " or ".join(dict.fromkeys(found)))
    return _wrong(recipe, name, fields[name], expected)


def _unknown(recipe: type[Recipe], name: str) -> str:
    known = [field.name for field in dataclasses.fields(recipe)]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known)}."
    return f"A {recipe.method} recipe has no field {name!r}; {hint}"


def _wrong(recipe: type[Recipe], name: str, value: object, expected: str) -> str:
    return (
        f"The recipe's field {name} is {value!r}; it must be {expected}. "
        f"Change it in methods.{recipe.method}(...) or in the recipe's file."
    )


def _plain(value: Any) -> Any:
    """A value of NumPy's, a sweep's say, as Python's own, and a list, JSON's only sequence, as a tuple."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
