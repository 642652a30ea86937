"""Pictures of comparisons: what a seed scored is joined, and each difference stands at its place with its interval."""

import pandas as pd
import pytest

from reid_lab.ablations import comparisons, statistics
from reid_lab.runtime.errors import DataError

SCORES = {"a": (10.0, 20.0, 30.0), "b": (12.0, 21.0, 33.5), "c": (11.0, 23.0, 29.0)}  # by seed
ROWS = pd.DataFrame(
    {"variant": variant, "size": "classroom", "seed": seed, "mAP": score}
    for variant, scores in SCORES.items()
    for seed, score in enumerate(scores)
)


def test_a_line_joins_the_scores_of_a_seed_and_a_bar_stands_at_each_mean():
    left, _ = comparisons.compared(ROWS, "classroom", "a", ["c", "a", "b"], "three").axes
    *seeds, means = left.lines
    assert [list(line.get_xdata()) for line in seeds] == [[11, 10, 12], [23, 20, 21], [29, 30, 33.5]]
    assert len({line.get_marker() for line in seeds}) == 3
    assert list(means.get_xdata()) == pytest.approx([21, 20, 66.5 / 3])
    assert [label.get_text() for label in left.get_yticklabels()] == ["c", "a", "b"]


def test_a_difference_has_its_interval_its_numbers_and_those_of_its_seeds_and_the_reference_has_none():
    _, right = comparisons.compared(ROWS, "classroom", "a", ["a", "b"]).axes
    found = statistics.difference(ROWS, "classroom", "b", "a")
    (bar,) = right.containers
    assert bar.lines[0].get_xydata().tolist() == [[pytest.approx(found.points), 1]]
    ((low, high),) = bar.lines[2][0].get_segments()
    assert (low[0], high[0]) == pytest.approx((found.points - found.half_width, found.points + found.half_width))
    assert [text.get_text() for text in right.texts] == [f"+2.2 ± {found.half_width:.1f}"]
    ticks = next(line for line in right.lines if line.get_marker() == "|" and len(line.get_xdata()) == 3)
    assert list(ticks.get_xdata()) == pytest.approx([2.0, 1.0, 3.5])


def test_turned_the_differences_are_the_references_score_minus_the_variants():
    _, right = comparisons.compared(ROWS, "classroom", "a", ["a", "b"], turned=True).axes
    (bar,) = right.containers
    assert bar.lines[0].get_xydata()[0].tolist() == [pytest.approx(-6.5 / 3), 1]
    ticks = next(line for line in right.lines if line.get_marker() == "|" and len(line.get_xdata()) == 3)
    assert list(ticks.get_xdata()) == pytest.approx([-2.0, -1.0, -3.5])
    assert right.get_xlabel() == "mAP of “a” minus that of the row, points"


def test_each_setting_has_a_scale_and_numbers_beside_it_and_says_where_nothing_is_recorded():
    near, far = (statistics.difference(ROWS.assign(mAP=ROWS["mAP"] * scale), "classroom", "b", "a") for scale in (1, 9))
    figure = comparisons.intervals({"here": {"b": near, "c": None}, "there": {"b": far, "c": far}}, "two settings")
    here, there = figure.axes
    assert here.get_xlim()[1] < 0.5 * there.get_xlim()[1] and here.get_title() == "here"
    assert {text.xy[0] for text in there.texts} == {1}  # at the right end of the panel
    assert [text.get_text() for text in here.texts] == [f"+2.2 ± {near.half_width:.1f}", "not recorded"]


def test_a_hollow_mark_is_an_interval_with_0_in_it():
    found = {
        name: statistics.Difference("b", "a", "mAP", points, 1.0, 1.0, 3, 4) for name, points in (("x", 2), ("y", 0.5))
    }
    (axes,) = comparisons.intervals({"": found}).axes
    assert [bar.lines[0].get_markerfacecolor() == "white" for bar in axes.containers] == [False, True]


def test_a_variant_without_runs_is_named():
    with pytest.raises(DataError, match="No run of 'd' at size classroom"):
        comparisons.compared(ROWS, "classroom", "a", ["b", "d"])


def test_a_mean_takes_only_seeds_that_all_variants_have():
    fewer = ROWS[(ROWS["variant"] != "c") | (ROWS["seed"] != 2)]
    left, _ = comparisons.compared(fewer, "classroom", "a", ["a", "b", "c"]).axes
    assert list(left.lines[-1].get_xdata()) == pytest.approx([15, 16.5, 17])
