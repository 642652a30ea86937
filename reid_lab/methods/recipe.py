"""Recipes: every number that decides a training, as data.

:class:`Recipe` holds what all methods share. Each method's file has a subclass with its own numbers. A field of it
says what the method's paper says about it (see :mod:`reid_lab.methods.fields`); its value is the
one that we use at size "paper". Values at the other sizes are in ``sizes`` of that class.

A recipe never changes: print it, compare two of them, make another one with :meth:`Recipe.replace`, write it as JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor

from reid_lab import data, models
from reid_lab.methods.base import BaseRecipe, unknown_field
from reid_lab.methods.closed_form import ClosedForm
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

# At the sizes "smoke" and "classroom": slim networks on a CPU, which openly leave the papers' lengths behind.
SLIM: dict[str, Any] = dict(
    weights=None, resize=(128, 64), crop=(128, 64), optimizer="adamw", schedule="cosine", milestones=()
)


class Sampler(Protocol):
    """What draws the batches of an epoch, always the same ones for the same epoch (see :mod:`reid_lab.data`)."""

    def __len__(self) -> int:
        """The number of batches in an epoch."""

    def epoch(self, epoch: int) -> list[np.ndarray]:
        """The batches of one epoch: indices (batch,) of training images."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class Recipe(BaseRecipe, WithExtras, WithSources):
    """What all methods that are trained need: network, input, augmentation, optimizer, schedule, precision.

    A subclass is a method. It gives ``method``, ``sizes`` (values at each of SIZES), ``batch``, ``network``,
    ``sampler`` and a value for every field without a default below. :func:`register` makes it known. A method that is
    solved at once, without steps, is a :class:`reid_lab.methods.ClosedForm`.

    Raises:
        RecipeError: an unknown field, a missing one or an impossible value. It names the field and what is allowed.
    """

    groups: ClassVar[int] = 1  # parts of equal size that a batch falls into: 2 for anchors and partners

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

    def _check(self) -> None:
        """Check what several fields say together. A subclass extends this method."""
        room = min(r + 2 * self.pad - c for r, c in zip(self.resize, self.crop, strict=True))
        self._require("crop", room >= 0, f"at most resize + 2 x pad = {self.resize} + 2 x {self.pad}")
        self._require("half_size_epochs", self.half_size_epochs <= self.epochs, f"at most epochs = {self.epochs}")
        self._require("momentum", self.momentum > 0 or self.optimizer != "nesterov", "above 0 for nesterov")

    # What training asks a method for
    @property
    def batch(self) -> int:
        """Images in a batch."""
        raise self._lacks("batch")

    def network(self, num_pids: int) -> models.Network:
        """The network for ``num_pids`` training identities, its weights drawn from torch's generator."""
        raise self._lacks("network")

    def blank(self, num_pids: int, tensors: Mapping[str, Tensor]) -> models.Network:
        """The network that takes a run's ``tensors``, without a ready-made start, which they would overwrite."""
        return self.replace(weights=None).network(num_pids)

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> Sampler:
        """What draws the batches of training images with these identities and cameras, (N,) each."""
        raise self._lacks("sampler")

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


AnyRecipe = Recipe | ClosedForm
METHODS: dict[str, type[Recipe] | type[ClosedForm]] = {}
R = TypeVar("R", bound=AnyRecipe)


def trained() -> dict[str, type[Recipe]]:
    """The methods that are trained step by step, by name; the others are solved."""
    return {name: recipe for name, recipe in METHODS.items() if issubclass(recipe, Recipe)}


def register(recipe: type[R]) -> type[R]:
    """Make a method known by its name: to :func:`from_json`, the command line and ``doctor``.

    Raises:
        RecipeError: the class is no dataclass of pydantic's, which would leave its fields unchecked.
    """
    if "__pydantic_validator__" not in vars(recipe):
        raise RecipeError(f"{recipe.__name__} is not checked: decorate it with pydantic.dataclasses.dataclass.")
    METHODS[recipe.method] = recipe  # type: ignore[assignment]  # mypy sees no union in a bound
    return recipe


def from_json(text: str) -> AnyRecipe:
    """Read a recipe written by :meth:`.BaseRecipe.to_json`.

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
    recipe = METHODS[method]
    unknown = fields.keys() - {field.name for field in dataclasses.fields(recipe)}
    if unknown:
        raise RecipeError(unknown_field(recipe, min(unknown)))
    # Fields that have a default were added later than the first runs, or were never written down: they may be missing.
    shared = Recipe if issubclass(recipe, Recipe) else ClosedForm
    known: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(shared)}
    missing = [name for name, value in known.items() if value is dataclasses.MISSING and name not in fields]
    if missing:
        raise RecipeError(f"The recipe lacks {', '.join(missing)}; add what is missing.")
    return recipe(**(known | fields))
