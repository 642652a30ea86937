"""Every system of the papers' tables on one bench, and beside each what would explain its gain without its idea.

All start where :mod:`reid_lab.methods.bench` says. A control changes few fields of its system: it has the same heads,
the same descriptor or the same epochs, and lacks the idea or a part of it. Where a control scores as well, the idea
explains nothing. An *alternative* has one thing more than the system or a control, or does a detail in another way. So
it does not tell what the idea is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reid_lab import methods
from reid_lab.ablations.grid import Grid, at
from reid_lab.methods import AnyRecipe, ClosedForm

RATES = (1e-3, 3e-3, 3e-4)  # the same for every system that has one
NEXT = {  # where the best of them was the largest or the smallest, one more
    "softmax baseline": 1e-4,
    "MultiScale": 1e-2,
    "PAN": 1e-4,
    "PCB": 1e-2,
    "PCB + RPP": 1e-2,
    "BEF": 1e-2,
}
OF = ": "  # in a control's label, after its system's


@dataclass(frozen=True)
class System:
    """A system: its name in the tables, the year of its publication, its recipe, its controls by name.

    ``alternatives`` are those of ``controls`` that do not tell what the idea is worth.
    """

    label: str
    year: int
    recipe: Callable[..., Any]
    controls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()


SYSTEMS = (
    System(
        "LOMO + XQDA",
        2015,
        methods.lomo,
        {"no metric learned": {"metric": "none"}, "the SVD of the authors' code": {"basis": "svd"}},
        ("the SVD of the authors' code",),
    ),
    System(
        "BoW + KISSME",
        2015,
        methods.bow,
        {
            "no metric learned": {"metric": "none"},
            "inverse covariance of matches alone": {"metric": "similar"},
            "raw colours, no words": {"words": 0},
        },
    ),
    System("softmax baseline", 2016, methods.classification, {}),
    System(
        "SVDNet",
        2017,
        methods.svdnet,
        {
            "the same restarts, no SVD": {"decorrelation": "none"},
            "random erasing, too": {"erasing": 0.5},
            "random erasing and restarts, no SVD": {"erasing": 0.5, "decorrelation": "none"},
        },
        ("random erasing, too", "random erasing and restarts, no SVD"),
    ),
    System(
        "PAR",
        2017,
        methods.part_aligned,
        {"maps of ones": {"maps": "one"}, "one map": {"parts": 1}, "with a classifier": {"identification": 1.0}},
        ("with a classifier",),
    ),
    System(
        "LSRO",
        2017,
        methods.lsro,
        {
            "noise instead of generated images": {"source": "noise"},
            "plain label smoothing": {"generated": 0, "smoothing": 0.1},
        },
    ),
    System(
        "MultiScale",
        2017,
        methods.multi_scale,
        {"both at the whole scale": {"scales": (1.0, 1.0)}, "no consensus": {"consensus": 0.0}},
    ),
    System(
        "MultiLoss",
        2017,
        methods.multi_loss,
        {"one merged loss": {"merged": True}, "two global branches": {"streams": 1}, "no sparsity": {"sparsity": 0.0}},
    ),
    System(
        "GLAD",
        2017,
        methods.glad,
        {
            "fixed stripes": {"pose": "stripes"},
            "joints wrong by 4 pixels": {"pose_noise": 4.0},
            "joints wrong by 16 pixels": {"pose_noise": 16.0},
        },
    ),
    System(
        "PAN",
        2018,
        methods.alignment,
        {"theta stays at 0.8": {"theta": "fixed"}, "theta stays at 1": {"theta": "fixed", "scale": 1.0}},
    ),
    System(
        "PCB",
        2018,
        methods.pcb,
        {
            "four classifiers, no parts": {"partition": "none"},
            "random groups of positions": {"partition": "random"},
        },
    ),
    System(
        "PCB + RPP",
        2018,
        methods.rpp,
        {"the same stages, stripes stay": {"refinement": "none"}, "no induction": {"refinement": "direct"}},
    ),
    System(
        "BEF",
        2019,
        methods.feature_erasing,
        {
            "nothing erased": {"drop": "none"},
            "other rows for each image": {"drop": "image"},
            "scattered rows": {"drop": "scattered"},
        },
    ),
    System(
        "APR",
        2019,
        methods.attributes,
        {"identification alone": {"attribute": 0.0}, "somebody else's attributes": {"labels": "shuffled"}},
    ),
    System(
        "strong baseline",
        2019,
        methods.strong_baseline,
        {"no BNNeck": {"neck": False}, "no triplet loss": {"triplet": False}, "last stride 2": {"last_stride": 2}},
    ),
    System("paper A", 2019, methods.multitask, {"identification alone": {"verification": 0.0}}),
    System(
        "DG-Net's losses, perfect generator",
        2019,
        methods.dgnet,
        {
            "dressed in their own clothes": {"clothes": "own"},
            "hard labels, no teacher": {"primary": "owner"},
            "own clothes, hard labels": {"clothes": "own", "primary": "owner"},
        },
    ),
    System(
        "CtF, real values",
        2020,
        methods.coarse_to_fine,
        {"random projections": {"projection": "random"}, "each code teaches the next": {"taught_by": "previous"}},
        ("each code teaches the next",),
    ),
    System("vision transformer", 2021, methods.vision_transformer, {}),
    System("paper B", 2022, methods.residual_pooling, {"average + average": {"pooling": "avg+avg"}}),
)


def variants_of(size: str) -> Iterator[tuple[System, str, AnyRecipe]]:
    """Every system and its controls: the system, the label, the recipe."""
    for system in SYSTEMS:
        base = system.recipe(size.partition("-")[0])
        if not isinstance(base, ClosedForm):  # which has no start
            base = at(system.recipe, size)
        yield system, system.label, base
        for label, changes in system.controls.items():
            yield system, f"{system.label}{OF}{label}", base.replace(**changes)


def _systems(size: str) -> Mapping[str, AnyRecipe]:
    return {label: recipe for _, label, recipe in variants_of(size)}


def _codes(size: str) -> Mapping[str, AnyRecipe]:
    return {label: recipe for system, label, recipe in variants_of(size) if system.recipe is methods.coarse_to_fine}


def _tuning(size: str) -> Mapping[str, AnyRecipe]:
    of_systems = {system.label: recipe for system, label, recipe in variants_of(size) if label == system.label}
    return {
        f"{label}, rate {rate:g}": recipe.replace(lr=rate)
        for label, recipe in of_systems.items()
        if not isinstance(recipe, ClosedForm) and not label.startswith("paper")
        for rate in (*RATES, *([NEXT[label]] if label in NEXT else []))
    }


EQUAL = (
    "Equal: backbone and its start, images, optimizer, and the epochs of all stages together where the idea does not "
    "need more; each system has the learning rate that was best on validation people. Closed forms have neither start "
    "nor epochs."
)
GRIDS = (
    Grid(
        "systems",
        "Ten years of re-ID on one bench",
        "paper A, Table 4; paper B, Table 3",
        _systems,
        "softmax baseline",
        EQUAL,
        reranked=tuple(system.label for system in SYSTEMS),
        measure="bench",
    ),
    Grid(
        "codes",
        "CtF: codes of bits, from the shortest to the longest, and the search from coarse to fine",
        "ours: accuracy and comparisons of each code, with thresholds from training images",
        _codes,
        "",
        "Equal: the network, its training, data, seeds; within a network also all features and codes.",
        measure="codes",
        several=("code",),
    ),
)
TUNING = Grid(
    "tuning_systems",
    "Choosing every system's learning rate, on validation people",
    "ours: every system gets the same rates to choose from, and one more where the best was the last",
    _tuning,
    "",
    "Equal: data, batches, seeds, and all of the recipe but what the names say.",
    split="validation",
)
