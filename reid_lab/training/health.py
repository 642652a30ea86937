"""Is a training still alive? Losses that are no longer numbers, descriptors that have all become one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from reid_lab.errors import TrainingError
from reid_lab.training.recipes import Recipe

ALIKE = 1e-3  # of the descriptors' length: what is left of the distances after bfloat16 rounded them
SMALL = 1e-2  # of the triplet's margin


def check_finite(means: Mapping[str, float], epoch: int, where: object) -> None:
    """Raise TrainingError if a loss term is NaN or infinite; ``epoch`` counts from 1."""
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    bad = [name for name in bad if name != "loss"] or bad  # the term, rather than the sum it has spoilt
    if bad:
        raise TrainingError(
            f"The {bad[0]} loss became {means[bad[0]]} in epoch {epoch} of {where}. Usual cures: a lower lr, a longer "
            "warm-up, precision='float32'. What was trained before is kept in the last checkpoint."
        )


def check_spread(means: Mapping[str, float], recipe: Recipe, epoch: int, where: object) -> None:
    """Raise TrainingError if the embedding has collapsed: all distances of an epoch alike.

    ``spread`` is the mean distance between two descriptors of a batch and ``length`` their mean length (see
    :func:`reid_lab.losses.spread`). A triplet loss of collapsed descriptors stands still at its margin.
    """
    margin = getattr(recipe, "margin", 0.0) if getattr(recipe, "triplet_scales", 0) else 0.0
    if means["spread"] >= max(ALIKE * means["length"], SMALL * margin):
        return
    stuck = f"; the triplet loss stands at {means['triplet']:.3f}, its margin {margin}" if "triplet" in means else ""
    raise TrainingError(
        f"The embedding collapsed in epoch {epoch} of {where}: two descriptors of a batch differ by "
        f"{means['spread']:.1g} on average, at a length of {means['length']:.1g}{stuck}. Usual cures: a lower lr, a "
        "longer warm-up, more identities in a batch, less weight decay. What was trained before is kept in the last "
        "checkpoint."
    )


@contextlib.contextmanager
def memory_told(recipe: Recipe, folder: Path) -> Iterator[None]:
    """Within, a GPU's memory that is too small becomes a TrainingError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"The GPU's memory is too small for {folder.name}: batches of {recipe.batch} images of "
            f"{recipe.crop[0]} x {recipe.crop[1]} through {recipe.backbone}. Stop other programs on the GPU, take a "
            "smaller batch in the recipe, or share it among several GPUs. Checkpoints are kept."
        ) from error
