"""What a variant's name says is what its recipe does, and nothing else is changed."""

import dataclasses

import pytest
import torch

from reid_lab import data
from reid_lab.ablations import grids, run, seeds, tables
from reid_lab.methods import multitask, residual_pooling
from reid_lab.runtime.errors import DataError

PAPERS = {"multitask": "A", "residual_pooling": "B"}

POOLINGS = {
    **{"baseline": "baseline", "average": "avg", "max": "max", "residual": "residual", "average + average": "avg+avg"},
    **{"max + max": "max+max", "max + average": "max+avg", "raw average": "raw avg", "raw max": "raw max"},
}
TUNING = ("tuning_residual_pooling", "tuning_multitask", "tuning_own_networks", "tuning_systems")
OWN = ("own_networks", "own_networks_gradcam", "systems", "codes")
BACKBONES = {
    "classroom": {"slim ResNet": "resnet_slim", "slim Res2Net": "res2net_slim"},
    "full": {
        "ResNet-50": "resnet50",
        "Res2Net-50": "res2net50",
        "ResNet-101": "resnet101",
        "Res2Net-101": "res2net101",
    },
}


RAW = ("baseline", "raw average", "raw max")  # no convolution begins with random values


def poolings(size, labels):
    lower = {"lr": 1e-3} if size == "classroom" else {}
    return {label: {"pooling": POOLINGS[label]} | (lower if label in RAW else {}) for label in labels}


def changes(name, size):
    """The method of a grid, and of each of its variants the fields in which it differs from that method's recipe."""
    a, b = multitask(size), residual_pooling(size)
    plain = {"backbone": {"classroom": "resnet_slim", "full": "resnet50"}[size]}
    thrice, ten = (
        plain | {"epochs": times * a.epochs, "milestones": tuple(times * epoch for epoch in a.milestones)}
        for times in (3, 10)
    )
    twice = {"epochs": 2 * b.epochs, "milestones": tuple(2 * epoch for epoch in b.milestones)}
    longer = {
        "erasing 0.0": plain | {"erasing": 0.0},
        "erasing 0.5": plain | {"erasing": 0.5},
        "erasing 0.5, mean colour": plain | {"erasing": 0.5, "erasing_fill": "mean"},
        "erasing 0.5, small": plain | {"erasing": 0.5, "erasing_area": (0.02, 0.1)},
        "erasing 0.0, 3 x epochs": thrice | {"erasing": 0.0},
        "erasing 0.5, 3 x epochs": thrice | {"erasing": 0.5},
        "erasing 0.0, 10 x epochs": ten | {"erasing": 0.0},
        "erasing 0.5, 10 x epochs": ten | {"erasing": 0.5},
        "erasing 0.5, small, 10 x epochs": ten | {"erasing": 0.5, "erasing_area": (0.02, 0.1)},
    }
    share, stride = (0.5 if a.positive == 0.2 else 0.2), (1 if b.last_stride == 2 else 2)
    return {
        "pooling": (residual_pooling, poolings(size, POOLINGS) | {"residual, Pmax - Pavg": {"sign": "max-avg"}}),
        "domain": (
            residual_pooling,
            poolings(size, ("baseline", "average", "max", "residual", "max + average"))
            | {"residual, Pmax - Pavg": {"sign": "max-avg"}},
        ),
        "pooling_longer": (
            residual_pooling,
            {
                f"{label}, 2 x epochs": fields | twice
                for label, fields in poolings(size, ("baseline", "average", "max", "residual")).items()
            },
        ),
        "curves": (residual_pooling, poolings(size, ("average", "max", "residual"))),
        "gradcam": (residual_pooling, poolings(size, ("baseline", "average", "max", "residual"))),
        "backbone": (multitask, {label: {"backbone": backbone} for label, backbone in BACKBONES[size].items()}),
        "erasing": (multitask, {f"{i / 10:.1f}": plain | {"erasing": i / 10} for i in range(11)}),
        **dict.fromkeys(("erasing_longer", "occlusion", "erasing_fit"), (multitask, longer)),
        "heads": (
            multitask,
            {"both": {}, "identification": {"verification": 0.0}, "verification": {"identification": 0.0}}
            | {f"both, {100 * share:.0f} % of the pairs positive": {"positive": share}},
        ),
        "losses": (
            residual_pooling,
            {
                "cross-entropy and triplets at three scales": {"triplet_scales": 3},
                "cross-entropy and triplets at one scale": {"triplet_scales": 1},
                "cross-entropy alone": {"triplet_scales": 0},
                "cross-entropy alone, a quarter of the rate": {"triplet_scales": 0, "lr": b.lr / 4},
            },
        ),
        "interpretations": (
            residual_pooling,
            {
                "our reading": {},
                "one shared convolution": {"shared_convolutions": True},
                "linear convolutions": {"nonlinear": False},
                "one shared linear convolution": {"shared_convolutions": True, "nonlinear": False},
                "Pmax - Pavg": {"sign": "max-avg"},
                "2x2 map flattened": {"third": "flatten"},
                "three classifiers": {"classifiers": 3},
                "sum of the branches": {"fusion": "sum"},
                "twice the dimension": {"dim": 2 * b.dim},
                "half the dimension": {"dim": b.dim // 2},
                f"last stride {stride}": {"last_stride": stride},
            },
        ),
        "projection": (
            multitask,
            {
                "projection": {},
                "no projection": {"embed_dim": 0},
                f"projection to {a.embed_dim // 2}": {"embed_dim": a.embed_dim // 2},
                "projection with norm" if size == "full" else "projection without norm": {"embed_norm": size == "full"},
            },
        ),
    }[name]


@pytest.mark.parametrize("size", ["classroom", "full"])
@pytest.mark.parametrize("name", sorted(set(grids.GRIDS) - {"conditions", "seeds", *OWN, *TUNING}))
def test_a_variant_differs_from_its_papers_recipe_in_what_its_name_says(name, size):
    method, fields = changes(name, size)
    expected = {label: method(size, **changed) for label, changed in fields.items()}
    expected |= {"A": multitask(size)} if name == "domain" else {}
    assert grids.grid(name).variants(size) == expected


@pytest.mark.parametrize("size", ["classroom", "full"])
def test_conditions_are_asked_of_paper_a_and_of_three_poolings(size):
    three = {f"B, {label}": recipe for label, recipe in grids.grid("curves").variants(size).items()}
    assert grids.grid("conditions").variants(size) == {"A": multitask(size)} | three


@pytest.mark.parametrize("size", ["classroom", "full"])
def test_the_seeds_of_the_data_and_of_the_training_are_crossed(size):
    wanted = run.jobs(grids.grid("seeds"), size, range(3))
    assert {(job.recipe, job.data_seed, job.seed) for job in wanted} == {
        (recipe, data_seed, seed)
        for recipe in (multitask(size), residual_pooling(size))
        for data_seed in range(4)
        for seed in range(3)
    }
    assert all(job.variant == f"{PAPERS[job.recipe.method]}, data {job.data_seed}" for job in wanted)
    assert len(wanted) == len({(job.variant, job.seed) for job in wanted}) == 24


def test_elsewhere_a_seed_is_both_data_and_training():
    jobs = [job for name in grids.GRIDS if name != "seeds" for job in run.jobs(grids.grid(name), "classroom", [0, 5])]
    assert {(job.seed, job.data_seed) for job in jobs} == {(0, 0), (5, 5)}


@pytest.mark.parametrize("label", ["B", "B, data", "B, data one", ", data 1"])
def test_a_label_that_names_no_data_set_is_refused(label):
    with pytest.raises(DataError, match=f"'{label}'.*seeds.csv"):
        seeds.data_of(label)


def test_the_yardstick_can_learn_what_residual_can():
    """With the second convolutions' weights negated, the networks give the same features."""
    variants = grids.grid("pooling").variants("smoke")
    networks = [variants[label].network(5).eval() for label in ("residual", "residual, Pmax - Pavg")]
    weights = networks[0].state_dict()
    turned = {name: -value if name.endswith("second.0.weight") else value for name, value in weights.items()}
    assert sum(name.endswith("second.0.weight") for name in weights) == 3
    networks[1].load_state_dict(turned)
    images = torch.rand(2, 3, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (network(images).contrast["Pcont2"] for network in networks)
    torch.testing.assert_close(other, one)


def test_each_grid_asks_what_it_is_about():
    measures = {name: grid.measure for name, grid in grids.GRIDS.items() if grid.measure != "scores"}
    expected = {"conditions": "conditions", "occlusion": "conditions", "curves": "curves", "erasing_fit": "curves"}
    expected |= {"gradcam": "heat", "own_networks_gradcam": "heat", "domain": "domain"}
    assert measures == expected | {"systems": "bench", "codes": "codes"}
    assert {name for name, grid in grids.GRIDS.items() if grid.reranked} == {"pooling", "systems"}
    references = {
        name: grids.grid(name).compared_with("classroom") for name in ("pooling", "erasing", "heads", "losses")
    }
    assert references == {
        **{"pooling": "residual", "erasing": "0.0", "heads": "identification", "losses": "cross-entropy alone"}
    }


@pytest.mark.parametrize("name", sorted(set(grids.GRIDS) - {*OWN, "tuning_own_networks", "tuning_systems"}))
def test_a_size_may_name_a_start_which_changes_the_start_and_what_was_tuned_for_it(name):
    started, random = (grids.grid(name).variants(size) for size in ("classroom", "classroom-random"))
    without = {label for label, recipe in started.items() if recipe.weights is None}
    assert without == {label for label in started if "random start" in label}
    assert all(recipe.size == "classroom" and recipe.epochs > 0 for recipe in random.values())
    assert {recipe.weights for recipe in random.values()} == {None}
    assert len(started) == len(random) and started == grids.grid(name).variants("classroom-passersby")


def test_recipes_are_chosen_on_validation_people_and_nothing_else_is_asked_of_them():
    assert {name for name, grid in grids.GRIDS.items() if grid.split == "validation"} == set(TUNING)
    job = run.jobs(grids.grid("tuning_multitask"), "smoke", [0])[0]
    people = [{record.pid for record in split} for split in (job.benchmark().query, data.passersby("smoke").gallery)]
    assert job.benchmark().name == "Passersby smoke, seed 0, validation" and not people[0] & people[1]


def test_every_pooling_may_choose_among_the_same_rates():
    arms = grids.grid("tuning_residual_pooling").variants("classroom")
    rates = {pooling: set() for pooling in ("baseline", "avg", "max", "residual", "raw avg", "raw max")}
    base = residual_pooling("classroom")
    for recipe in arms.values():
        if recipe == base.replace(pooling=recipe.pooling, lr=recipe.lr):
            rates[recipe.pooling].add(recipe.lr)
    assert len(set(map(frozenset, rates.values()))) == 1 and len(rates["max"]) == 4


def test_from_random_weights_all_poolings_have_one_rate():
    variants = grids.grid("pooling").variants("classroom-random")
    assert len(variants) == 10 and len({recipe.lr for recipe in variants.values()}) == 1


def best_rate(table, labels):
    """The rate of the arm that scored highest on the validation people; ``labels`` has the arms by rate."""
    scores = tables.read(table).set_index("variant")["mAP"]
    return max(labels, key=lambda rate: scores[labels[rate]])


@pytest.mark.parametrize("pooling", ["baseline", "average", "max", "residual", *RAW[1:]])
def test_from_a_start_a_pooling_has_the_rate_that_was_best_on_validation_people(pooling):
    rates = {rate: f"{pooling}, rate {rate:g}" for rate in (3e-4, 1e-3, 3e-3, 1e-2)}
    recipe = grids.grid("pooling").variants("classroom")[pooling]
    assert recipe.lr == best_rate("tuning_residual_pooling", rates)


def test_from_a_start_paper_a_has_the_rate_that_was_best_on_validation_people():
    rates = {rate: f"rate {rate:g}" for rate in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)}
    assert multitask("classroom").lr == best_rate("tuning_multitask", rates)


@pytest.mark.parametrize("name", TUNING[:2])
def test_an_arm_of_the_search_has_the_rate_that_its_name_says(name):
    arms = grids.grid(name).variants("classroom")
    told = {label: float(label.split("rate ")[1].split(",")[0]) for label in arms if "rate " in label}
    assert {label: arms[label].lr for label in told} == told and len(told) >= 5
    assert {label for label, recipe in arms.items() if recipe.weights is None} == {n for n in arms if "random" in n}


def test_the_papers_own_networks_differ_from_the_slim_ones_in_size_and_schedule():
    own, size = grids.grid("own_networks").variants("classroom"), ("backbone", "epochs", "half_size_epochs")
    b, a = own["B, residual"], own["A, Res2Net-50"]
    assert differences(b, residual_pooling("classroom")) <= {*size, "dim", "lr"} and b.dim == 640
    assert differences(a, multitask("classroom")) <= {*size, "embed_dim", "lr"} and a.embed_dim == 4096
    assert differences(own["B, max"], b) == {"pooling"} and differences(own["A, Res2Net-101"], a) == {"backbone"}
    assert differences(own["A, ResNet-50, erasing 0.5"], own["A, ResNet-50"]) == {"erasing"}
    assert {recipe.weights for recipe in own.values()} == {"passersby"}
    assert grids.grid("own_networks_gradcam").variants("classroom").items() <= own.items()
    arms = grids.grid("tuning_own_networks").variants("classroom")
    assert all(label.endswith(f"rate {recipe.lr:g}") for label, recipe in arms.items())
    assert {label for label, recipe in arms.items() if recipe.weights is None} == {n for n in arms if "random" in n}


@pytest.mark.parametrize("size", ["full", "paper"])
def test_on_a_gpu_the_papers_own_networks_are_those_of_the_other_grids(size):
    own, pooling = (grids.grid(name).variants(size) for name in ("own_networks", "pooling"))
    assert all(own[f"B, {label}"] == pooling[label] for label in ("baseline", "average", "max", "residual"))
    backbones = grids.grid("backbone").variants(size)
    assert all(own[f"A, {label}"] == recipe for label, recipe in backbones.items())
    assert len(own) == 8  # the papers' recipes erase already


def differences(recipe, other):
    """The fields in which two recipes differ."""
    a, b = dataclasses.asdict(recipe), dataclasses.asdict(other)
    return {name for name in a if a[name] != b[name]}


def test_the_data_of_a_size_have_no_start_and_those_of_the_papers_recipes_are_the_full_ones():
    sizes = ["smoke", "classroom-random", "full", "paper", "paper-imagenet"]
    assert [grids.data_size(size) for size in sizes] == ["smoke", "classroom", "full", "full", "full"]
