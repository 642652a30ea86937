"""Is a training still alive? Losses that are no longer numbers, features that have all become one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from reid_lab.methods import Recipe
from reid_lab.runtime.device import out_of_memory
from reid_lab.runtime.errors import TrainingError

ALIKE = 1e-3  # of the features' length: what is left of the distances after bfloat16 rounded them
SMALL = 1e-2  # of the triplet's margin
NO_TERMS = {  # the others are terms of the loss
    "loss": "loss",
    "spread": "features' spread",
    "length": "features' length",
    "gradient_norm": "gradients' length",
}


def check_finite(means: Mapping[str, float], epoch: int, where: object, precision: str = "float32") -> None:
    """Raise TrainingError if one of an epoch's means is NaN or infinite.

    Args:
        means: the mean of each loss term, and of what else is watched.
        epoch: which one, counted from 1.
        where: the run's folder.
        precision: what was trained in.

    Raises:
        TrainingError: the first of them that is not finite is named.
    """
    bad = [name for name, value in means.items() if not math.isfinite(value)]
    bad = [name for name in bad if name != "loss"] or bad  # the term, rather than the sum it has spoilt
    if bad:
        first = f"precision='float32' instead of {precision}, " if precision != "float32" else ""
        raise TrainingError(
            f"The {NO_TERMS.get(bad[0], f'{bad[0]} loss')} became {means[bad[0]]} in epoch {epoch} of {where}. Usual "
            f"cures: {first}a lower lr, a longer warm-up. {_what_is_left(where)}"
        )


def check_spread(means: Mapping[str, float], margin: float, epoch: int, where: object) -> None:
    """Raise TrainingError if the embedding has collapsed: all distances of an epoch alike.

    A triplet loss of collapsed features stands still at its margin.

    Args:
        means: of an epoch. "spread" and "length" are root mean squares, of the distance between two features of a
            batch and of their length (see :class:`reid_lab.losses.Losses`). A method without them is not checked.
        margin: of the triplet loss; 0: there is none (see :meth:`reid_lab.models.Network.collapse_margin`).
        epoch: which one, counted from 1.
        where: the run's folder.

    Raises:
        TrainingError: the spread is below a thousandth of the length, or a hundredth of the margin.
    """
    if "spread" not in means or means["spread"] >= max(ALIKE * means["length"], SMALL * margin):
        return
    stuck = f"; the triplet loss stands at {means['triplet']:.3f}, its margin {margin}" if "triplet" in means else ""
    raise TrainingError(
        f"The embedding collapsed in epoch {epoch} of {where}: two features of a batch lie {means['spread']:.1g} "
        f"apart (root mean square), at a length of {means['length']:.1g}{stuck}. Usual cures: a lower lr, a longer "
        f"warm-up, more identities in a batch, less weight decay. {_what_is_left(where)}"
    )


def _what_is_left(where: object) -> str:
    """What becomes of the steps that were trained before."""
    kept = Path(f"{where}", "checkpoint.safetensors").is_file()
    told = "; this one's last checkpoint is kept" if kept else ""
    return f"A changed recipe is another run, which starts afresh{told}."


@contextlib.contextmanager
def memory_told(recipe: Recipe, folder: Path) -> Iterator[None]:
    """Within, a GPU's memory that is too small becomes an error with a cure.

    Raises:
        TrainingError: the batch does not fit into the memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        raise TrainingError(
            f"The GPU's memory is too small for {folder.name}: batches of {recipe.batch} images of "
            f"{recipe.crop[0]} x {recipe.crop[1]} through {recipe.backbone}. Stop other programs on the GPU, take a "
            f"smaller batch in the recipe, or share it among several GPUs. {_what_is_left(folder)}"
        ) from error
