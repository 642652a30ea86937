"""The learning rate as a function of progress: warm-up, then steps or a cosine."""

from __future__ import annotations

import math

from reid_lab.methods import Recipe
from reid_lab.runtime.errors import RecipeError


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The learning rate after ``progress`` epochs (a fraction counts the steps within an epoch).

    "steps" and the constant warm-up, which is paper A's, change between epochs only; the linear warm-up and the cosine
    change at every step.

    Paper A, III.B and III.C: x 0.1 for five epochs, then x 0.1 every 40. Paper B, 4.2, which contradicts itself: our
    reading is a linear rise to 0.03, then two drops (see ``papers.settings("B")``).

    Raises:
        RecipeError: ``progress`` is below 0, or no number.
    """
    if not progress >= 0:
        raise RecipeError(f"The progress is {progress} epochs, but training begins at 0: ask for 0 or more.")
    return recipe.lr * _warmup(recipe, progress) * _decay(recipe, progress)


def _warmup(recipe: Recipe, progress: float) -> float:
    if recipe.warmup == "none" or progress >= recipe.warmup_epochs:
        return 1.0
    if recipe.warmup == "constant":
        return recipe.warmup_factor
    return recipe.warmup_factor + (1 - recipe.warmup_factor) * progress / recipe.warmup_epochs


def _decay(recipe: Recipe, progress: float) -> float:
    if recipe.schedule == "steps":
        return recipe.decay ** sum(int(progress) >= milestone for milestone in recipe.milestones)
    warm = 0 if recipe.warmup == "none" else min(recipe.warmup_epochs, recipe.epochs)
    done = max(0.0, progress - warm) / max(1, recipe.epochs - warm)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
