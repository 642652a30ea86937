"""What an experiment is: recipes that are compared, on which people, and what is measured of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reid_lab.methods import AnyRecipe, Recipe

R = TypeVar("R", bound=Recipe)

STARTS = {"random": None, "passersby": "passersby", "imagenet": "imagenet"}  # by the end of a size's name: weights


@dataclass(frozen=True)
class Grid:
    """One experiment.

    ``variants(size)`` gives a recipe for each label, in the order of the table. The size may name a start, too:
    "classroom-random" is "classroom" from random weights. ``split`` is "test", or "validation" where recipes are
    chosen. ``reranked`` are the labels of which a re-ranked
    result is wanted, too; ``reference`` is the label that the others are compared with, "" being the first; ``equal``
    says what the comparison holds equal, and what it does not. ``measure`` is asked of each run (see
    :mod:`.measures`); where it gives several rows, the columns ``several`` tell them apart.

    A seed is the seed of a training. ``data_seed(label)`` gives the seed of the data that a variant is trained and
    tested on; None: every seed has a data set of its own, with the same number.
    """

    name: str
    title: str
    source: str
    variants: Callable[[str], Mapping[str, AnyRecipe]]
    reference: str
    equal: str
    reranked: tuple[str, ...] = field(default=())
    measure: str = "scores"
    several: tuple[str, ...] = field(default=())
    split: str = "test"
    data_seed: Callable[[str], int] | None = None

    def compared_with(self, size: str) -> str:
        """The label of the reference at ``size``."""
        return self.reference or next(iter(self.variants(size)))


def data_size(size: str) -> str:
    """The size of the data that belong to a size of a grid: without a start; Passersby has no "paper"."""
    plain = size.partition("-")[0]
    return "full" if plain == "paper" else plain


def at(method: Callable[..., R], size: str, **fields: Any) -> R:
    """A method's recipe at a size that may name a start."""
    plain, _, start = size.partition("-")
    return method(plain, **({"weights": STARTS[start]} if start else {}), **fields)


def times(base: R, factor: int) -> R:
    """The recipe with so many times its epochs, over which the learning rate falls in the same way."""
    return base.replace(epochs=factor * base.epochs, milestones=tuple(factor * epoch for epoch in base.milestones))
