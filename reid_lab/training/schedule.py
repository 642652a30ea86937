"""The learning rate as a function of progress: warm-up, then steps or a cosine."""

from __future__ import annotations

import math

from reid_lab.methods import Recipe
from reid_lab.runtime.errors import RecipeError
from reid_lab.training.stages import stage_at


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Compute the learning rate after ``progress`` epochs (a fraction counts the steps within an epoch).

    "steps" and the constant warm-up, which is paper A's, change between epochs only; the linear warm-up and the cosine
    change at every step. A recipe of several stages starts its schedule anew in each, without a second warm-up.

    Paper A, III.B and III.C: x 0.1 for five epochs, then x 0.1 every 40. Paper B, 4.2, which contradicts itself: our
    reading is a linear rise to 0.03, then two drops (see ``papers.settings("B")``).

    Args:
        recipe: whose schedule it is.
        progress: epochs since the beginning of the training.

    Returns:
        The rate of parameters whose group has the factor 1, such as the head's.

    Raises:
        RecipeError: ``progress`` is below 0, or no number.
    """
    if not progress >= 0:
        raise RecipeError(f"The progress is {progress} epochs, but training begins at 0: ask for 0 or more.")
    index, begins = stage_at(recipe, progress)
    stage = recipe.stages[index]
    lr, within = recipe.lr if stage.lr is None else stage.lr, progress - begins
    warm = 0 if index or recipe.warmup == "none" else recipe.warmup_epochs
    if recipe.schedule == "steps":
        decay = recipe.decay ** sum(int(within) >= milestone for milestone in stage.milestones)
    else:
        decay = _cosine(within, min(warm, stage.epochs), stage.epochs)
    return lr * _warmup(recipe, within, warm) * decay


def _warmup(recipe: Recipe, progress: float, epochs: int) -> float:
    """The factor from ``warmup_factor`` to 1."""
    if progress >= epochs:
        return 1.0
    if recipe.warmup == "constant":
        return recipe.warmup_factor
    return recipe.warmup_factor + (1 - recipe.warmup_factor) * progress / epochs


def _cosine(progress: float, begins: int, ends: int) -> float:
    """Half a cosine from 1 to 0."""
    done = max(0.0, progress - begins) / max(1, ends - begins)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
