"""Paper A's random erasing: at which rate, after how many epochs, with which fill and against what it helps."""

from __future__ import annotations

from collections.abc import Mapping

from reid_lab.ablations.grid import Grid, at, data_size, times
from reid_lab.methods import Recipe, multitask


def _erasing(size: str) -> Mapping[str, Recipe]:
    base = at(multitask, size, backbone=_plain_backbone(size))
    rates = [0.0, 0.5, 1.0, 0.2, 0.4, 0.7, 0.1, 0.3, 0.6, 0.8, 0.9]  # in order of worth
    return {f"{rate:.1f}": base.replace(erasing=rate) for rate in rates}


def _longer(size: str) -> Mapping[str, Recipe]:
    base = at(multitask, size, backbone=_plain_backbone(size))
    variants = {
        "erasing 0.0": base.replace(erasing=0.0),
        "erasing 0.5": base.replace(erasing=0.5),
        "erasing 0.5, mean colour": base.replace(erasing=0.5, erasing_fill="mean"),
        "erasing 0.5, small": base.replace(erasing=0.5, erasing_area=(0.02, 0.1)),
    }
    for factor in (3, 10):
        longer = times(base, factor)
        variants |= {f"erasing {rate}, {factor} x epochs": longer.replace(erasing=rate) for rate in (0.0, 0.5)}
    small = times(base, 10).replace(erasing=0.5, erasing_area=(0.02, 0.1))
    return variants | {"erasing 0.5, small, 10 x epochs": small}


def _plain_backbone(size: str) -> str:
    """Paper A's Table 2 equals the ResNet-50 row of its Table 3: that is what it was measured with."""
    return "resnet_slim" if data_size(size) in ("smoke", "classroom") else "resnet50"


GRIDS = (
    Grid(
        "erasing",
        "Random erasing, from never to always",
        "paper A, Table 2",
        _erasing,
        "0.0",
        "Equal: everything but the probability of erasing.",
    ),
    Grid(
        "erasing_longer",
        "Random erasing: another fill, a smaller area, and three and ten times the epochs",
        "paper A, Table 2: what does erasing need to pay?",
        _longer,
        "",
        "Equal: network, data, batches, seeds; the learning rate falls over the epochs that there are.",
    ),
    Grid(
        "occlusion",
        "The same with and without random erasing",
        "paper A, section III: erasing is there against occlusion",
        _longer,
        "",
        "Equal: network, data, batches, seeds; the learning rate falls over the epochs that there are.",
        measure="conditions",
        several=("condition", "value"),
    ),
    Grid(
        "erasing_fit",
        "Loss and training accuracy with and without random erasing",
        "paper A, Table 2: what erasing does to the fit",
        _longer,
        "",
        "Equal: network, data, batches, seeds; the learning rate falls over the epochs that there are.",
        measure="curves",
        several=("epoch",),
    ),
)
