"""What another data set changes, and what another training: numbers worked by hand, printed, and simulated."""

import numpy as np
import pandas as pd
import pytest

from reid_lab.ablations import pictures, statistics, strips
from reid_lab.runtime.errors import DataError


def rows_of(methods, size="classroom", metric="mAP"):
    """From {method: [scores on each data set]}."""
    return pd.DataFrame(
        [
            {"variant": f"{method}, data {data}", "size": size, "seed": seed, metric: score}
            for method, sets in methods.items()
            for data, scores in enumerate(sets)
            for seed, score in enumerate(scores)
        ]
    )


def components(*sets):
    return statistics.components(rows_of({"B": sets}), "classroom").loc["B"]


def test_the_components_of_montgomerys_looms():
    """Design and Analysis of Experiments, the strength of fabric from four looms: mean squares 29.73 and 1.90."""
    found = components([98, 97, 99, 96], [91, 90, 93, 92], [96, 95, 97, 95], [95, 96, 99, 98])
    assert found["data"] ** 2 == pytest.approx(6.96, abs=0.005)
    assert found["training"] ** 2 == pytest.approx(1.90, abs=0.005)
    assert (found["mean"], found["data sets"], found["runs"]) == (95.4375, 4, 16) and not found["below 0"]


def test_the_intervals_are_those_of_printed_quantiles():
    """Mean squares are 32 and 2 with 2 and 3 degrees of freedom, by hand."""
    found = components([1.0, 3.0], [5.0, 7.0], [9.0, 11.0])
    assert (found["data"], found["training"]) == pytest.approx((15**0.5, 2**0.5))
    assert found["training low"] == pytest.approx((6 / 7.815) ** 0.5, rel=1e-3)
    assert found["training high"] == pytest.approx((6 / 0.3518) ** 0.5, rel=1e-3)
    assert found["data low"] == pytest.approx(((64 - 4 * 9.552) / (2 * 5.991)) ** 0.5, rel=1e-3)
    assert found["data high"] == pytest.approx(((64 - 4 / 19.164) / (2 * 0.1026)) ** 0.5, rel=1e-3)


def test_known_components_are_found_and_their_intervals_hold_them_nine_times_in_ten():
    random, count, data, training = np.random.default_rng(0), 800, 2.1, 1.0
    scores = 40 + random.normal(0, data, (count, 4, 1)) + random.normal(0, training, (count, 4, 3))
    found = statistics.components(rows_of(dict(enumerate(scores))), "classroom")
    assert (found["data"] ** 2).mean() == pytest.approx(data**2, rel=0.1)
    assert (found["training"] ** 2).mean() == pytest.approx(training**2, rel=0.05)
    for name, true in (("data", data), ("training", training)):
        assert 0.87 < found[f"{name} low"].le(true).mul(found[f"{name} high"].ge(true)).mean() < 0.94
        assert 0.02 < found[f"{name} low"].gt(true).mean() < 0.08


def test_an_estimate_below_0_becomes_0_and_says_so():
    found = components([1.0, 5.0], [2.0, 4.5])  # mean squares 0.0625 and 5.5625
    assert (found["data"], found["below 0"]) == (0, True)
    assert found["training"] == pytest.approx(5.5625**0.5)
    assert (found["data low"], found["data high"] > 0) == (0, True)
    alike = components([1.0, 5.0], [2.0, 4.0])
    assert alike["data"] == 0 and np.isnan([alike["data low"], alike["data high"]]).all()


def test_data_sets_may_have_unequally_many_runs_but_then_no_interval():
    found = components([1.0, 3.0], [6.0])  # mean squares 32/3 and 2; 4/3 runs per data set
    assert found["data"] ** 2 == pytest.approx(6.5) and found["training"] ** 2 == pytest.approx(2)
    assert found["mean"] == 4 and np.isnan([found["data low"], found["data high"]]).all()


def test_what_too_few_runs_cannot_tell_is_left_open():
    one_set, one_run_each = components([1.0, 3.0]), components([1.0], [3.0])
    assert one_set["training"] == pytest.approx(2**0.5) and np.isnan(one_set["data"])
    assert np.isnan(one_run_each["data"]) and np.isnan(one_run_each["training"]) and one_run_each["mean"] == 2


def test_methods_sizes_and_scores_are_kept_apart():
    b, a = ([1.0, 3.0], [5.0, 7.0]), ([2.0, 2.5], [9.0, 9.0])
    both = pd.concat([rows_of({"B": b, "A": a}), rows_of({"B": a}, size="full")])
    both["rank-1"] = both["mAP"] * 2
    found = statistics.components(both, "classroom")
    assert list(found.index) == ["B", "A"]
    for label, sets in (("B", b), ("A", a)):
        pd.testing.assert_series_equal(found.loc[label], components(*sets), check_names=False)
    twice = statistics.components(both, "classroom", "rank-1")
    assert twice["data"].tolist() == pytest.approx((2 * found["data"]).tolist())


def test_a_row_that_names_no_data_set_is_named():
    rows = rows_of({"B": [[1.0, 3.0], [5.0, 7.0]]})
    rows.loc[0, "variant"] = "residual"
    with pytest.raises(DataError, match="'residual'"):
        statistics.components(rows, "classroom")


def test_every_run_has_a_mark_above_its_data_set_and_every_data_set_a_bar_at_its_mean():
    rows = rows_of({"B": [[1.0, 3.0], [5.0, 8.0]], "A": [[20.0, 21.0], [30.0, 31.0]]})
    panels = pictures.picture("seeds", rows, "classroom").axes
    for axes, scores, means in ((panels[0], [1, 3, 5, 8], [2, 6.5]), (panels[1], [20, 21, 30, 31], [20.5, 30.5])):
        marks, bars = axes.collections
        places = sorted(map(tuple, marks.get_offsets().tolist()))
        assert [y for _, y in places] == scores and [round(x) for x, _ in places] == [0, 0, 1, 1]
        assert len({path.vertices.tobytes() for path in marks.get_paths()}) == 2
        assert [segment[0][1] for segment in bars.get_segments()] == means
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1"]


def test_the_picture_says_both_components_in_words():
    told = strips.in_words(components([98, 97, 99, 96], [91, 90, 93, 92], [96, 95, 97, 95], [95, 96, 99, 98]))
    one, other = told.splitlines()
    assert one.startswith("another data set: ± 2.6 points (") and other.startswith(
        "another training on the same data: ± 1.4"
    )
    assert "below 0" not in told and "below 0" in strips.in_words(components([1.0, 5.0], [2.0, 4.5]))
    assert strips.in_words(components([1.0, 3.0])).splitlines()[0] == "another data set: too few runs to tell"
