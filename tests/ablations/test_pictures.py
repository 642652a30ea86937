"""Pictures of the grids: every seed stands at its score, and means are means."""

import pandas as pd
import pytest

from reid_lab.ablations import pictures
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
