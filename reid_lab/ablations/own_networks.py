"""The papers' own networks, of 50 and 101 layers, where there is no GPU: trained on the data of the slim ones.

From random weights they learn next to nothing in the time that a CPU has: twelve epochs of B, most of them with images
of half the size, end at 3.8 points of mAP on validation people. So they begin with a start that was trained on another
town. It is too large for the package: ``reid-lab pretrain resnet50`` makes it, and without it these grids say so. At
"full" and "paper" the networks are the papers' own anyway, and the recipes are those of the other grids.
"""

from __future__ import annotations

from collections.abc import Mapping

from reid_lab.ablations.grid import Grid, at, data_size
from reid_lab.methods import MultiTaskRecipe, Recipe, ResidualPoolingRecipe, multitask, residual_pooling

A_BACKBONES = {
    **{"ResNet-50": "resnet50", "Res2Net-50": "res2net50"},
    **{"ResNet-101": "resnet101", "Res2Net-101": "res2net101"},
}
B_POOLINGS = {"baseline": "baseline", "average": "avg", "max": "max", "residual": "residual"}


def _paper_a(size: str, lr: float = 1e-3) -> MultiTaskRecipe:
    if data_size(size) != "classroom":
        return at(multitask, size, backbone="resnet50")
    base = multitask("classroom").replace(backbone="resnet50", embed_dim=4096, lr=lr)
    return base.replace(epochs=4, half_size_epochs=2)


def _paper_b(size: str, lr: float = 1e-3) -> ResidualPoolingRecipe:
    if data_size(size) != "classroom":
        return at(residual_pooling, size, backbone="resnet50")
    base = residual_pooling("classroom").replace(backbone="resnet50", dim=640, lr=lr)
    return base.replace(epochs=6, half_size_epochs=3)


def _own(size: str) -> Mapping[str, Recipe]:
    a, b = _paper_a(size), _paper_b(size)
    erased = {"A, ResNet-50, erasing 0.5": a.replace(erasing=0.5)} if not a.erasing else {}
    return {
        **{f"B, {label}": b.replace(pooling=pooling) for label, pooling in B_POOLINGS.items()},
        **{f"A, {label}": a.replace(backbone=backbone) for label, backbone in A_BACKBONES.items()},
    } | erased


def _looked_at(size: str) -> Mapping[str, Recipe]:
    return {label: recipe for label, recipe in _own(size).items() if label.startswith("B")}


def _tuning(size: str) -> Mapping[str, Recipe]:
    found: dict[str, Recipe] = {}
    for lr in (1e-3, 3e-3):
        b = _paper_b(size, lr)
        arms = {"B, residual": b, "B, baseline": b.replace(pooling="baseline"), "A": _paper_a(size, lr)}
        found |= {f"{label}, rate {lr:g}": recipe for label, recipe in arms.items()}
    random = {
        "B, residual": _paper_b(size).replace(weights=None, epochs=12, half_size_epochs=8),
        "A": _paper_a(size).replace(weights=None, epochs=6, half_size_epochs=4),
    }
    return found | {f"{label}, random weights, rate {recipe.lr:g}": recipe for label, recipe in random.items()}


GRIDS = (
    Grid(
        "own_networks",
        "The papers' own networks, on a CPU",
        "paper A, Tables 2 and 3; paper B, Table 2",
        _own,
        "B, residual",
        "Equal within a paper: data, schedule, batches, seeds; the networks differ as the names say. Schedules of A "
        "and B differ, so they are not compared with each other.",
    ),
    Grid(
        "own_networks_gradcam",
        "Grad-CAM's heat on the person, in the papers' own networks",
        "paper B, Fig. 6, and Passersby's truth",
        _looked_at,
        "",
        "Equal: backbone, data, schedule, batches, seeds, the images that are looked at.",
        measure="heat",
        several=("network", "layer", "target"),
    ),
)
TUNING = Grid(
    "tuning_own_networks",
    "Choosing the learning rate of the papers' own networks, on validation people",
    "ours: both papers get the same rates",
    _tuning,
    "",
    "Equal: data, batches, seeds, and all of the recipe but what the names say.",
    split="validation",
)
