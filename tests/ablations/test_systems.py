"""The bench of all systems: what is equal, what a control changes, what is said of its rows."""

import dataclasses

import pandas as pd
import pytest

from reid_lab import methods
from reid_lab.ablations import gains, grids, systems, tables
from reid_lab.methods import ClosedForm, bench
from reid_lab.training.stages import total_epochs

EQUAL = ("weights", "last_stride", "resize", "crop", "pad", "flip", "optimizer", "weight_decay", "schedule")
OTHERS = {  # systems that openly differ from the bench in one of these, and why
    "paper A": "its own backbone, four epochs of pairs",
    "PCB + RPP": "nine epochs, as its controls",
}


def trained():
    return {
        label: recipe for _, label, recipe in systems.variants_of("classroom") if not isinstance(recipe, ClosedForm)
    }


def test_every_method_stands_on_the_bench_once():
    assert sorted(system.recipe("smoke").method for system in systems.SYSTEMS) == sorted(methods.METHODS)
    years = [system.year for system in systems.SYSTEMS]
    assert years == sorted(years)


def test_all_systems_have_the_same_start_images_and_optimizer():
    for label, recipe in trained().items():
        told = {name: getattr(recipe, name) for name in EQUAL}
        expected = {name: bench.CLASSROOM.get(name, 0.5) for name in EQUAL}
        if label.endswith("last stride 2"):
            expected["last_stride"] = 2
        assert told == expected, label


def test_all_systems_have_six_epochs_or_say_why_not():
    epochs = {label: total_epochs(recipe) for label, recipe in trained().items()}
    others = {label.split(systems.OF)[0] for label, count in epochs.items() if count != 6}
    assert others == set(OTHERS)
    for label, count in epochs.items():
        assert count == epochs[label.split(systems.OF)[0]], label


@pytest.mark.parametrize("size", ["smoke", "classroom", "full", "classroom-random"])
def test_a_control_changes_what_it_says_and_nothing_else(size):
    seen = {label: recipe for _, label, recipe in systems.variants_of(size)}
    for system in systems.SYSTEMS:
        for control, changes in system.controls.items():
            a, b = (dataclasses.asdict(seen[name]) for name in (system.label, system.label + systems.OF + control))
            assert {name: b[name] for name in b if a[name] != b[name]} == changes, (system.label, control)


def test_an_alternative_is_one_of_the_controls_and_never_all_of_them():
    for system in systems.SYSTEMS:
        assert set(system.alternatives) < set(system.controls) or not system.controls, system.label
    assert systems.SYSTEMS[0].alternatives == ("the SVD of the authors' code",)


def test_every_system_that_is_trained_chooses_among_the_same_rates():
    rates = {}
    for label, recipe in grids.grid("tuning_systems").variants("classroom").items():
        rates.setdefault(label.rpartition(", rate ")[0], set()).add(recipe.lr)
        assert label.endswith(f", rate {recipe.lr:g}")
    solved = {system.label for system in systems.SYSTEMS if isinstance(system.recipe("smoke"), ClosedForm)}
    others = {system.label for system in systems.SYSTEMS} - solved - {"paper A", "paper B"}  # tuned before
    assert set(rates) == others
    assert {label: some - set(systems.RATES) for label, some in rates.items()} == {
        label: {systems.NEXT[label]} if label in systems.NEXT else set() for label in others
    }


def tried():
    """The recorded mAP on validation people, of every system at every rate."""
    rows = tables.read("tuning_systems")
    rows[["system", "rate"]] = rows["variant"].str.rsplit(", rate ", n=1, expand=True)
    return rows.assign(rate=rows["rate"].astype(float)).pivot(index="system", columns="rate", values="mAP")


def test_every_systems_rate_is_the_best_that_was_tried():
    best = tried().idxmax(axis=1)
    assert {label: trained()[label].lr for label in best.index} == best.to_dict()


def test_where_the_best_rate_was_the_last_one_more_was_tried_and_was_worse():
    found = tried()
    same = found[list(systems.RATES)].idxmax(axis=1)
    assert set(systems.NEXT) == set(same.index[same != 1e-3])
    assert all(
        0.3 * same[label] < rate < 0.4 * same[label] or rate > 3 * same[label] for label, rate in systems.NEXT.items()
    )
    assert found.idxmax(axis=1).equals(same)


def test_gains_are_differences_over_the_seeds_that_both_have():
    scores = {"PCB": [70.0, 72.0, 74.0], "PCB: random groups of positions": [69.0, 71.0, 73.0], "SVDNet": [60.0, 61.0]}
    rows = pd.DataFrame(
        [
            {"variant": variant, "size": "classroom", "seed": seed, "mAP": score, "rank-1": score}
            for variant, some in scores.items()
            for seed, score in enumerate(some)
        ]
    )
    found = gains.gains(rows, "classroom")
    assert list(found.index) == [("PCB", "random groups of positions")]
    assert found.loc[("PCB", "random groups of positions"), "points"] == pytest.approx(1.0)


def made(label, control, kind, points, corrected):
    """A row of gains, whose interval is ± 2."""
    about = {"kind": kind, "points": points, "half width": 2.0, "separated": abs(points) > 2, "corrected": corrected}
    return {"system": label, "control": control} | about


def test_a_system_is_above_all_controls_whatever_its_alternatives_score():
    found = pd.DataFrame(
        [
            made("PAR", "maps of ones", "control", 7.0, 0.001),
            made("PAR", "with a classifier", "alternative", -3.0, 0.2),
            made("LSRO", "noise", "control", 2.5, 0.3),
            made("GLAD", "stripes", "control", 1.0, 1.0),
            made("GLAD", "joints", "control", 9.0, 0.001),
            made("DG-Net", "hard labels", "control", -4.0, 0.01),
        ]
    ).set_index(["system", "control"])
    assert gains.above_all_controls(found).to_dict() == {"PAR": True, "LSRO": True, "GLAD": False, "DG-Net": False}
    assert gains.above_all_controls(found, corrected=True).to_dict() == {
        **{"PAR": True, "LSRO": False, "GLAD": False, "DG-Net": False}
    }


def test_gains_are_corrected_for_their_number_and_tell_alternatives():
    found = gains.gains(tables.read("systems"), "classroom")
    assert found.loc[("PAR", "with a classifier"), "kind"] == "alternative"
    assert found.loc[("PAR", "maps of ones"), "kind"] == "control"
    assert ((found["corrected"] < 0.05) <= found["separated"]).all() and (found["corrected"] <= 1).all()
