"""Pictures of the grids: every seed stands at its score, and means are means."""

import pandas as pd
import pytest

from reid_lab.ablations import comparisons, pictures, ten_years
from reid_lab.ablations.systems import SYSTEMS
from reid_lab.runtime.errors import DataError


def marks_of(axes):
    """Places of the marks of the seeds, and how many shapes they have."""
    (marks,) = axes.collections[-1:]
    shapes = {path.vertices.tobytes() for path in marks.get_paths()}
    return sorted(map(tuple, marks.get_offsets().tolist())), len(shapes)


def test_every_run_has_the_mark_of_its_seed_at_its_score_and_a_bar_at_the_mean():
    rows = [
        {"variant": label, "seed": seed, "mAP": 10.0 * place + seed}
        for place, label in enumerate(("wide", "narrow"))
        for seed in (0, 1)
    ]
    axes = pictures.dots(pd.DataFrame(rows), "both", ["mAP"]).axes[0]
    assert marks_of(axes) == ([(0, 0), (1, 0), (10, 1), (11, 1)], 2)
    means = next(line for line in axes.lines if line.get_marker() == "|")
    assert list(means.get_xdata()) == [0.5, 10.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["wide", "narrow"]


def test_a_sweep_shows_every_seed_and_the_mean_at_each_rate():
    rows = [
        {"variant": rate, "seed": seed, "rank-1": 40.0 + seed, "mAP": 30.0 - seed}
        for rate in ("0.5", "0.0")
        for seed in (0, 1, 2)
    ]
    axes = pictures.erasing(pd.DataFrame(rows)).axes[0]
    places, shapes = marks_of(axes)
    assert shapes == 3 and len(places) == 12 and {x for x, _ in places} == {0.0, 0.5}
    means = [list(line.get_ydata()) for line in axes.lines if len(line.get_xdata())]
    assert means == [[41, 41], [29, 29]]


def test_what_is_not_recorded_is_not_drawn():
    with pytest.raises(DataError, match="ablate pooling --size full"):
        pictures.picture("pooling", pd.DataFrame({"size": ["classroom"]}), "full")


def rows_of_systems():
    """Two systems and a control of one of them, three seeds, as the grid ``systems`` records them."""
    scores = {"PCB": 70, "PCB: random groups of positions": 60, "SVDNet": 50, "PCB, re-ranked": 90}
    return pd.DataFrame(
        {"variant": variant, "size": "classroom", "seed": seed, "mAP": score + seed + (seed if variant == "PCB" else 0)}
        | {"time": 1.5, "descriptor": 256, "rank-1": score}
        for variant, score in scores.items()
        for seed in range(3)
    )


def test_every_system_stands_at_its_year_its_cost_and_its_mean_without_controls_and_re_ranked_rows():
    scores, time, numbers = ten_years.by_year_and_cost(rows_of_systems()).axes
    assert [label.get_text() for label in scores.get_yticklabels()] == ["SVDNet, 2017", "PCB, 2018"]
    assert "marks: seeds 0, 1, 2; strokes: their mean" in scores.figure.get_suptitle()
    marks, means = scores.collections
    assert sorted(marks.get_offsets().tolist()) == [[50, 0], [51, 0], [52, 0], [70, 1], [72, 1], [74, 1]]
    assert means.get_offsets().tolist() == [[pytest.approx(51), 0], [pytest.approx(72), 1]]
    assert time.collections[0].get_offsets()[:, 0].tolist() == [1.5, 1.5]
    assert numbers.collections[0].get_offsets()[:, 0].tolist() == [256, 256]


def test_only_seeds_that_all_systems_have_are_compared():
    rows = rows_of_systems()
    less = rows.drop(rows[(rows["variant"] == "PCB") & (rows["seed"] == 1)].index)
    scores = ten_years.by_year_and_cost(less).axes[0]
    assert len(scores.collections[0].get_offsets()) == 4 and "marks: seeds 0, 2;" in scores.figure.get_suptitle()


def test_a_control_stands_below_its_system_with_how_far_the_system_lies_above_it():
    scores, points = ten_years.against_controls(rows_of_systems()).axes
    assert [label.get_text() for label in scores.get_yticklabels()] == [
        "SVDNet, 2017",
        "PCB, 2018",
        "random groups of positions",
    ]
    (bar,) = points.containers
    assert bar.lines[0].get_xydata().tolist() == [[pytest.approx(11.0), 2]]
    assert bar.lines[0].get_color() == comparisons.SEPARATED, "the colors of all comparisons"
    assert [list(line.get_xdata()) for line in scores.lines] == [
        *([50 + seed, 70 + 2 * seed, 60 + seed] for seed in range(3)),
        [51, 72, 61],
    ]


def test_systems_without_controls_are_drawn_only_where_they_are_asked_for():
    labels = [label for some in ten_years.GROUPS.values() for label in some]
    assert sorted(labels) == sorted(system.label for system in SYSTEMS if system.controls)
    scores = ten_years.against_controls(rows_of_systems(), ("SVDNet",), "one").axes[0]
    assert [label.get_text() for label in scores.get_yticklabels()] == ["SVDNet, 2017"]
    assert scores.figure.get_suptitle() == "one"


def test_one_seed_has_no_mean():
    rows = rows_of_systems()
    scores = ten_years.by_year_and_cost(rows[rows["seed"] == 0]).axes[0]
    assert len(scores.collections) == 1 and scores.figure.get_suptitle().endswith("(marks: seed 0)")


def test_an_alternative_is_called_so():
    rows = rows_of_systems().replace("PCB: random groups of positions", "SVDNet: random erasing, too")
    scores = ten_years.against_controls(rows).axes[0]
    assert "random erasing, too (alternative)" in [label.get_text() for label in scores.get_yticklabels()]


def test_codes_stand_at_the_bits_that_are_compared_and_the_search_from_coarse_to_fine_is_a_star():
    found = {"32 bits": (32, 40), "64 bits": (64, 60), "coarse to fine": (35.5, 58)}
    rows = [
        {"variant": "CtF", "size": "classroom", "seed": seed, "code": code, "compared": compared, "mAP": score + seed}
        for code, (compared, score) in found.items()
        for seed in (0, 1)
    ]
    axes = ten_years.codes(pd.DataFrame(rows)).axes[0]
    assert axes.collections[-1].get_offsets().tolist() == [[35.5, 58.5]]
    line = next(line for line in axes.lines if len(line.get_xdata()) == 2)
    assert line.get_xydata().tolist() == [[32, 40.5], [64, 60.5]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["32", "64"]
    assert "mean and standard deviation of seeds 0, 1" in axes.get_title()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["CtF's codes"]
    alone = pd.DataFrame(rows).query("seed == 0")
    assert "(seed 0)" in ten_years.codes(alone).axes[0].get_title()


def test_claims_are_drawn_only_where_something_is_recorded(tmp_path):
    assert pictures.draw_claims("classroom", tmp_path) is None and not list(tmp_path.iterdir())


def test_each_town_has_a_panel_with_its_own_scores_in_the_tables_order():
    rows = pd.DataFrame(
        {"variant": variant, "seed": seed, "town": town, "mAP": score + 10 * (variant == "residual") + seed}
        for variant in ("residual", "average")
        for seed in range(2)
        for town, score in (("city", 60), ("coast", 5))
    )
    figure = pictures.domain(rows)
    city, coast = figure.axes[:2]
    assert "city" in city.get_xlabel() and "coast" in coast.get_xlabel()
    assert [label.get_text() for label in city.get_yticklabels()] == ["residual", "average"]
    for axes, score in ((city, 60), (coast, 5)):
        assert marks_of(axes) == (sorted([(score + 10, 0), (score + 11, 0), (score, 1), (score + 1, 1)]), 2)
