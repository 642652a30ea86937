"""What is compared with what: the papers' tables as grids of recipes.

Every grid names what its variants have in common and what not. At `classroom` size the networks are the slim members
of the papers' families, at `full` size the papers' own.
"""

from __future__ import annotations

from collections.abc import Mapping

from reid_lab.ablations import erasing, own_networks, seeds, systems, tuning
from reid_lab.ablations.grid import Grid, at, data_size, times
from reid_lab.methods import MultiTaskRecipe, Recipe, multitask, residual_pooling
from reid_lab.runtime.errors import RecipeError

YARDSTICK = "residual, Pmax - Pavg"
_YARDSTICK_IS_FOR = (
    "The yardstick is residual, Pmax - Pavg. It only turns a sign, and each term has a convolution of its own, so both "
    "can learn exactly the same. What they differ by is chance, and another difference of that size is no evidence."
)


def _pooling(size: str) -> Mapping[str, Recipe]:
    base = at(residual_pooling, size)
    names = {
        "baseline": "baseline",
        "average": "avg",
        "max": "max",
        "residual": "residual",
        YARDSTICK: "residual",
        "average + average": "avg+avg",
        "max + max": "max+max",
        "max + average": "max+avg",
        "raw average": "raw avg",
        "raw max": "raw max",
    }
    variants = {label: base.replace(pooling=pooling) for label, pooling in names.items()}
    variants[YARDSTICK] = variants[YARDSTICK].replace(sign="max-avg")
    # The best of four rates on validation people: lower where no convolution begins with random values. Not tuned
    # are average + average, max + max and max + average: they have residual's rate.
    lower = ("baseline", "raw average", "raw max") if base.weights == "passersby" else ()
    return variants | {label: variants[label].replace(lr=1e-3) for label in lower}


def _backbone(size: str) -> Mapping[str, Recipe]:
    base = at(multitask, size)
    names = {"ResNet-50": "resnet50", "Res2Net-50": "res2net50", "ResNet-101": "resnet101", "Res2Net-101": "res2net101"}
    if data_size(size) in ("smoke", "classroom"):
        names = {"slim ResNet": "resnet_slim", "slim Res2Net": "res2net_slim"}
    return {label: base.replace(backbone=backbone) for label, backbone in names.items()}


def _heads(size: str) -> Mapping[str, Recipe]:
    base = at(multitask, size)
    other = 0.2 if base.positive == 0.5 else 0.5
    return {
        "both": base,
        "identification": base.replace(verification=0.0),
        "verification": base.replace(identification=0.0),
        f"both, {100 * other:.0f} % of the pairs positive": base.replace(positive=other),
    }


def _losses(size: str) -> Mapping[str, Recipe]:
    base = at(residual_pooling, size)
    return {
        "cross-entropy and triplets at three scales": base,
        "cross-entropy and triplets at one scale": base.replace(triplet_scales=1),
        "cross-entropy alone": base.replace(triplet_scales=0),
        "cross-entropy alone, a quarter of the rate": base.replace(triplet_scales=0, lr=base.lr / 4),
    }


def _interpretations(size: str) -> Mapping[str, Recipe]:
    base = at(residual_pooling, size)
    other_stride = 1 if base.last_stride == 2 else 2
    return {
        "our reading": base,
        "one shared convolution": base.replace(shared_convolutions=True),
        "linear convolutions": base.replace(nonlinear=False),
        "one shared linear convolution": base.replace(shared_convolutions=True, nonlinear=False),
        "Pmax - Pavg": base.replace(sign="max-avg"),
        "2x2 map flattened": base.replace(third="flatten"),
        "three classifiers": base.replace(classifiers=3),
        "sum of the branches": base.replace(fusion="sum"),
        "twice the dimension": base.replace(dim=2 * base.dim),
        "half the dimension": base.replace(dim=base.dim // 2),
        f"last stride {other_stride}": base.replace(last_stride=other_stride),
    }


def _projection(size: str) -> Mapping[str, Recipe]:
    base = at(multitask, size)
    names = {"projection": base, "no projection": base.replace(embed_dim=0)}
    names |= {f"projection to {base.embed_dim // 2}": base.replace(embed_dim=base.embed_dim // 2)}
    return names | {"projection without norm" if base.embed_norm else "projection with norm": _other_norm(base)}


def _conditions(size: str) -> Mapping[str, Recipe]:
    return {"A": at(multitask, size)} | {f"B, {label}": recipe for label, recipe in _three_poolings(size).items()}


def _domain(size: str) -> Mapping[str, Recipe]:
    names = ("baseline", "average", "max", "residual", YARDSTICK, "max + average")
    return {label: recipe for label, recipe in _pooling(size).items() if label in names} | {"A": at(multitask, size)}


def _four_poolings(size: str) -> Mapping[str, Recipe]:
    names = ("baseline", "average", "max", "residual")
    return {label: recipe for label, recipe in _pooling(size).items() if label in names}


def _poolings_longer(size: str) -> Mapping[str, Recipe]:
    return {f"{label}, 2 x epochs": times(recipe, 2) for label, recipe in _four_poolings(size).items()}


def _three_poolings(size: str) -> Mapping[str, Recipe]:
    return {label: recipe for label, recipe in _four_poolings(size).items() if label != "baseline"}


def _other_norm(base: MultiTaskRecipe) -> MultiTaskRecipe:
    return base.replace(embed_norm=not base.embed_norm)


GRIDS = {
    grid.name: grid
    for grid in (
        Grid(
            "pooling",
            "Pooling: average, max, residual, and controls of equal size",
            "paper B, Table 2",
            _pooling,
            "residual",
            "Equal: backbone, data, schedule, batch, seeds. Descriptors and parameters are equal among residual, "
            "average + average, max + max and max + average; average and max have half of residual's convolutions; raw "
            "average, raw max and the baseline have none, and descriptors of other sizes. The number of triplet losses "
            "differs: six for residual and max + average, three for average, max, average + average, max + max and the "
            "raw variants, one for the baseline. " + _YARDSTICK_IS_FOR,
            ("residual",),
        ),
        Grid(
            "pooling_longer",
            "Pooling, given twice the epochs",
            "paper B, Table 2: do convolutions from random values only need time?",
            _poolings_longer,
            "residual, 2 x epochs",
            "Equal: backbone, data, schedule, batch, seeds; each has its learning rate of the grid pooling.",
        ),
        Grid(
            "heads",
            "Identification, verification, both",
            "paper A's claim that the two tasks help one another",
            _heads,
            "identification",
            "Equal: network, data, schedule, batches, seeds; the weights of the losses differ.",
        ),
        Grid(
            "backbone",
            "Backbones under paper A's heads",
            "paper A, Table 3",
            _backbone,
            "",
            "Equal: heads, data, schedule, batches, seeds. Depths are equal within a pair, and so are the parameters, "
            "nearly; the time of a step is not.",
        ),
        Grid(
            "losses",
            "The terms of eq. 2",
            "paper B, eq. 2",
            _losses,
            "cross-entropy alone",
            "Equal: network, data, schedule, batches, seeds. The learning rate is one that suits all nine losses; "
            "whether cross-entropy alone would rather have a lower one is asked, too. A higher one was not tried.",
        ),
        Grid(
            "interpretations",
            "Which of our readings of paper B matter",
            "paper B, sections 3 and 4, where it is silent or contradicts itself",
            _interpretations,
            "our reading",
            "Equal: data, schedule, batches, seeds; descriptors and numbers of parameters differ as the names say. The "
            "schedule was chosen with our reading, which is an advantage for it.",
        ),
        Grid(
            "projection",
            "Which of our readings of paper A matter",
            "paper A, section II, where it is silent",
            _projection,
            "projection",
            "Equal: backbone, data, schedule, batches, seeds; the size of the descriptor differs as the names say.",
        ),
        Grid(
            "conditions",
            "Accuracy by occlusion, view angle and number of cameras",
            "Passersby's truth",
            _conditions,
            "",
            "Equal: data and seeds; within B also network and schedule.",
            measure="conditions",
            several=("condition", "value"),
        ),
        Grid(
            "curves",
            "Loss and training accuracy of three poolings",
            "paper B, Fig. 5",
            _three_poolings,
            "",
            "Equal: backbone, data, schedule, batches, seeds; residual has twice the convolutions of the others.",
            measure="curves",
            several=("epoch",),
        ),
        Grid(
            "gradcam",
            "Grad-CAM's heat on the person",
            "paper B, Fig. 6, and Passersby's truth",
            _four_poolings,
            "",
            "Equal: backbone, data, schedule, batches, seeds, the images that are looked at.",
            measure="heat",
            several=("network", "layer", "target"),
        ),
        Grid(
            "domain",
            "Trained in the city, tested in the city and on the coast",
            "ours: what is left of a network before other scenes, in other light, on other clothes",
            _domain,
            "residual",
            "Equal: data, seeds and all of the training; A is another method, with a schedule of its own. "
            + _YARDSTICK_IS_FOR,
            measure="domain",
            several=("town",),
        ),
        *erasing.GRIDS,
        *seeds.GRIDS,
        *own_networks.GRIDS,
        *systems.GRIDS,
        *tuning.GRIDS,
        own_networks.TUNING,
        systems.TUNING,
    )
}


def grid(name: str) -> Grid:
    """The grid of that name. Raises RecipeError for a name that is not in ``GRIDS``."""
    if name not in GRIDS:
        raise RecipeError(f"There is no experiment {name!r}; choose one of {', '.join(GRIDS)}.")
    return GRIDS[name]
