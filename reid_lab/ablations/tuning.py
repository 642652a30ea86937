"""How recipes are chosen: on validation people, whom neither training nor test shows.

Every pooling gets the same rates. What else is asked, of paper B's own pooling alone, is about the schedule of all.

These grids are no results. They record what was tried before the recipe of a start was fixed, so that nobody has to
believe that it was not the test that chose it.
"""

from __future__ import annotations

from collections.abc import Mapping

from reid_lab.ablations.grid import Grid, at
from reid_lab.methods import Recipe, multitask, residual_pooling

RATES = (1e-3, 3e-3, 1e-2, 3e-4)  # the same for every arm
POOLINGS = {
    **{"baseline": "baseline", "average": "avg", "max": "max", "residual": "residual"},
    **{"raw average": "raw avg", "raw max": "raw max"},
}


def _tuning_b(size: str) -> Mapping[str, Recipe]:
    base = at(residual_pooling, size, lr=3e-3)
    arms = {
        f"{label}, rate {lr:g}": base.replace(pooling=pooling, lr=lr)
        for lr in RATES
        for label, pooling in POOLINGS.items()
    }
    return arms | {
        "residual, rate 0.003, backbone at a third": base.replace(lr=3e-3, backbone_lr=0.3),
        "residual, last stride 2": base.replace(last_stride=2),
        "residual, first half at half the size": base.replace(half_size_epochs=base.epochs // 2),
        "residual, twice the epochs": base.replace(epochs=2 * base.epochs),
        "residual, random start, rate 0.003": base.replace(weights=None, lr=3e-3),
        "residual, random start, rate 0.01": base.replace(weights=None, lr=1e-2),
    }


def _tuning_a(size: str) -> Mapping[str, Recipe]:
    base = at(multitask, size, lr=1e-3)
    return {f"rate {lr:g}": base.replace(lr=lr) for lr in (*RATES, 1e-4)} | {
        "slim ResNet": base.replace(backbone="resnet_slim"),
        "half of the pairs positive": base.replace(positive=0.5),
        "last stride 2": base.replace(last_stride=2),
        "twice the epochs": base.replace(epochs=2 * base.epochs),
        "random start": base.replace(weights=None),
    }


GRIDS = (
    Grid(
        "tuning_residual_pooling",
        "Choosing paper B's recipe, on validation people",
        "ours: every pooling gets the same rates to choose from",
        _tuning_b,
        "",
        "Equal: data, batches, seeds, and all of the recipe but what the names say.",
        split="validation",
    ),
    Grid(
        "tuning_multitask",
        "Choosing paper A's recipe, on validation people",
        "ours",
        _tuning_a,
        "",
        "Equal: data, batches, seeds, and all of the recipe but what the names say.",
        split="validation",
    ),
)
