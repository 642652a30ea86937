"""A stage: one training of several that follow one another in a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from reid_lab.runtime.errors import RecipeError
from reid_lab.runtime.validation import is_whole


@dataclass(frozen=True)
class Stage:
    """What is trained for some epochs, and at which rate.

    When a stage begins, the optimizer forgets its momentum and its moments, and the network is told
    (:meth:`reid_lab.models.Network.enter`). The warm-up belongs to the first stage.

    Attributes:
        name: what the network is told.
        epochs: how long it lasts.
        lr: the learning rate at its beginning; None: the recipe's.
        milestones: epochs after the stage's beginning at which the rate drops, if the schedule has steps.
        train: names of the groups of parameters that are trained (see :meth:`reid_lab.models.Network.groups`); the
            others are frozen. Empty: all are trained.
        freeze_statistics: whether batch norms of frozen groups keep their running statistics, too.

    Raises:
        RecipeError: ``epochs`` is not a whole number from 1.
    """

    name: str
    epochs: int
    lr: float | None = None
    milestones: tuple[int, ...] = ()
    train: tuple[str, ...] = ()
    freeze_statistics: bool = True

    def __post_init__(self) -> None:
        if not is_whole(self.epochs, 1):
            raise RecipeError(
                f"The stage {self.name!r} lasts {self.epochs!r} epochs; it must be a whole number from 1. "
                "Leave out a stage that is not wanted."
            )
