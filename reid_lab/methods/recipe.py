"""Recipes: every hyper-parameter of both papers, as data.

A recipe is a frozen dataclass: print it, compare two of them, change a field with :meth:`Recipe.replace`, write it as
JSON. The values at each size are in :mod:`reid_lab.methods.sizes`; where a paper is silent or contradicts itself, the
comment beside the field says so.

Sources: paper A, Cao and Lee, "Improved Res2Net model for Person re-identification"; paper B, He, Liu and Zhu,
"Person re-identification method based on multi-scale residual pooling".
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import os
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

import numpy as np
import torch

from reid_lab import data, models
from reid_lab.methods.stage import Stage
from reid_lab.runtime.errors import RecipeError
from reid_lab.runtime.validation import is_number, is_size, is_whole

SIZES = ("smoke", "classroom", "full", "paper")
FULL_MEMORY = 10 * 2**30  # bytes of a GPU in which "full" is thought to fit; nobody has measured it


class Sampler(Protocol):
    """What draws the batches of an epoch, always the same ones for the same epoch (see :mod:`reid_lab.data`)."""

    def __len__(self) -> int:
        """The number of batches in an epoch."""

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The batches of one epoch: indices (batch,) of training images."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What both methods need: input, augmentation, optimizer, schedule, precision. Sizes are (height, width)."""

    method: ClassVar[str]

    size: str
    # network
    backbone: str
    weights: str | None  # "imagenet" or None: start from random weights
    last_stride: int
    smoothing: float  # label smoothing of the identification loss
    # input and augmentation
    resize: tuple[int, int]  # training images are resized to this ...
    crop: tuple[int, int]  # ... and cropped to this, which is also the size at test time
    pad: int  # zero padding before the crop, in pixels
    flip: float  # probability of a horizontal flip
    erasing: float  # probability of random erasing
    erasing_area: tuple[float, float] = (0.02, 0.4)
    erasing_aspect: tuple[float, float] = (0.3, 3.33)
    erasing_attempts: int = 100
    erasing_fill: Literal["random", "mean"] = (
        "random"  # "random": uniform values per pixel; "mean": ImageNet's mean color
    )
    # optimizer
    optimizer: str  # "sgd", "nesterov" (SGD with Nesterov's momentum), "adam" (its decay in the gradient) or "adamw"
    lr: float
    momentum: float = 0.9  # silent in both papers
    weight_decay: float
    backbone_lr: float = 1.0  # factor on lr for the backbone
    # schedule, in epochs of (training images / batch) steps, in paper A (training images / pairs)
    epochs: int
    warmup: str  # "constant": lr x warmup_factor; "linear": from there up to lr; "none"
    warmup_epochs: int
    warmup_factor: float
    schedule: str  # "steps": x decay at each milestone; "cosine": half a cosine down to 0
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    # engine
    precision: str = "auto"  # "bf16" or "float16" autocast, "float32", or "auto": the fastest that is right here
    evaluate_every: int = 0  # epochs between evaluations in that precision; 0: only at the end, in float32

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, _plain(getattr(self, field.name)))
        self._check()

    def _check(self) -> None:
        at_least_one = ("last_stride", "erasing_attempts", "epochs")
        for name in at_least_one:
            self._require(name, is_whole(getattr(self, name), 1), "a whole number from 1")
        for name in ("pad", "warmup_epochs", "evaluate_every"):
            self._require(name, is_whole(getattr(self, name), 0), "a whole number from 0")
        for name in ("flip", "erasing", "smoothing", "momentum"):
            self._require(name, is_number(getattr(self, name), 0, 1), "between 0 and 1")
        for name in ("lr", "backbone_lr", "warmup_factor", "decay"):
            self._require(name, is_number(getattr(self, name), 0) and getattr(self, name) > 0, "a number above 0")
        self._require("weight_decay", is_number(self.weight_decay, 0), "a number from 0")
        for name in ("resize", "crop"):
            self._require(name, is_size(getattr(self, name), 16), "(height, width) of at least 16 pixels each")
        for name in ("erasing_area", "erasing_aspect"):
            low, high = getattr(self, name) if _pair(getattr(self, name)) else (0, 0)
            self._require(name, 0 < low <= high, "(smallest, largest), both above 0")
        self._require("erasing_area", self.erasing_area[1] <= 1, "shares of the image, at most 1")
        room = min(r + 2 * self.pad - c for r, c in zip(self.resize, self.crop, strict=True))
        self._require("crop", room >= 0, f"at most resize + 2 x pad = {self.resize} + 2 x {self.pad}")
        whole = isinstance(self.milestones, tuple) and all(is_whole(epoch, 0) for epoch in self.milestones)
        epochs = self.milestones if whole else (0, 0)
        ascending = all(a < b for a, b in zip(epochs, epochs[1:], strict=False))
        self._require("milestones", ascending, "a list of epochs in ascending order, such as [40, 110]")
        self._choice("size", SIZES)
        self._choice("backbone", tuple(models.BACKBONES))
        self._choice("weights", (None, "imagenet"))
        self._choice("last_stride", (1, 2))
        self._choice("erasing_fill", ("random", "mean"))
        self._choice("optimizer", ("sgd", "nesterov", "adam", "adamw"))
        self._require("momentum", self.momentum > 0 or self.optimizer != "nesterov", "above 0 for nesterov")
        self._choice("warmup", ("none", "constant", "linear"))
        self._choice("schedule", ("steps", "cosine"))
        self._choice("precision", ("auto", "bf16", "float16", "float32"))

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise RecipeError(
                f"The recipe's field {name} is {getattr(self, name)!r}; it must be {expected}. "
                f"Change it in methods.{self.method}(...) or in the recipe's file."
            )

    def _choice(self, name: str, choices: tuple[Any, ...]) -> None:
        self._require(name, getattr(self, name) in choices, "one of " + ", ".join(map(repr, choices)))

    def replace(self, **changes: Any) -> Self:
        """This recipe with some fields changed. Raises RecipeError for an unknown field or impossible value."""
        _known(type(self), changes)
        return dataclasses.replace(self, **changes)

    def to_json(self) -> str:
        """The recipe as JSON text, which :func:`from_json` reads back to an equal recipe."""
        return json.dumps({"method": self.method, **dataclasses.asdict(self)}, indent=1)

    @property
    def batch(self) -> int:
        """Images in a batch, which falls into :attr:`groups` of equal size: anchors and partners, or one."""
        raise RecipeError(_BARE)

    groups: ClassVar[int] = 1

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The trainings that follow one another: here one, of all epochs and all parameters."""
        return (Stage("all", self.epochs, self.lr, self.milestones),)

    @property
    def rates(self) -> dict[str, float]:
        """The factor on the learning rate of each group of parameters that does not learn at the whole rate."""
        return {"backbone": self.backbone_lr}

    @classmethod
    def at(cls, size: str | None = None, **fields: Any) -> Self:
        """The recipe at a size (default: see :func:`default_size`), with some ``fields`` changed.

        Raises:
            RecipeError: unknown size or field, or an impossible value.
        """
        size = _a_size(size or default_size())
        _known(cls, fields)
        return cls(**({"size": size} | cls.sizes()[size] | fields))

    @classmethod
    def sizes(cls) -> dict[str, dict[str, Any]]:
        """The values of the fields at each of SIZES."""
        raise RecipeError(_BARE)

    def network(self, num_pids: int) -> models.Network:
        """The network for ``num_pids`` training identities, its weights drawn from torch's generator."""
        raise RecipeError(_BARE)

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> Sampler:
        """What draws the batches of training images with these identities and cameras, (N,) each."""
        raise RecipeError(_BARE)

    def augmentation(self) -> data.Augment:
        """Random crop, flip and erasing of a batch."""
        erasing = None
        if self.erasing:
            erasing = data.RandomErasing(
                self.erasing, self.erasing_area, self.erasing_aspect, self.erasing_attempts, self.erasing_fill
            )
        return data.Augment(self.crop, self.pad, self.flip, erasing)


_BARE = "A bare Recipe is no method: use methods.multitask or methods.residual_pooling."


def default_size(device: str | torch.device | None = None) -> str:
    """``REID_LAB_SIZE``, else "full" on a GPU with room for it, else "classroom".

    ``device`` is where the training will run; None: the default one. An Apple GPU takes its memory from the computer,
    and gets "classroom". Raises RecipeError for an unknown size,
    DeviceError for a device that is not there.
    """
    from reid_lab.runtime.device import find_device, memory

    size = os.environ.get("REID_LAB_SIZE")
    if size and size not in SIZES:
        raise RecipeError(f"The environment variable REID_LAB_SIZE is {size!r}; set it to one of {', '.join(SIZES)}.")
    if size:
        return size
    found = find_device(device)
    return "full" if found.type in ("cuda", "xpu") and memory(found)[1] >= FULL_MEMORY else "classroom"


METHODS: dict[str, type[Recipe]] = {}
R = TypeVar("R", bound=Recipe)


def register(recipe: type[R]) -> type[R]:
    """Make a method known by its name: to :func:`from_json`, the command line and ``doctor``."""
    METHODS[recipe.method] = recipe
    return recipe


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
    if "optimiser" in fields:  # the field's name in the first edition
        fields["optimizer"] = fields.pop("optimiser")
    _known(METHODS[method], fields)
    try:
        return METHODS[method](**fields)
    except TypeError as error:
        missing = ", ".join(re.findall(r"'(\w+)'", str(error)))
        raise RecipeError(f"The recipe lacks {missing}; add what is missing.") from error


def _known(recipe: type[Recipe], fields: dict[str, Any]) -> None:
    names = [field.name for field in dataclasses.fields(recipe)]
    for name in fields:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}."
            raise RecipeError(f"A {recipe.method} recipe has no field {name!r}; {hint}")


def shared(recipe: Recipe, model: type) -> dict[str, Any]:
    """The recipe's fields that are arguments of the model."""
    import inspect

    arguments = inspect.signature(model).parameters
    return {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe) if f.name in arguments}


def _a_size(size: str) -> str:
    if size not in SIZES:
        raise RecipeError(f"There is no size {size!r}; choose one of {', '.join(SIZES)}.")
    return size


def _plain(value: Any) -> Any:
    """A value of NumPy's, a sweep's say, as Python's own, and a list, JSON's only sequence, as a tuple."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_number, value))
