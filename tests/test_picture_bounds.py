"""A picture holds so many images, and says what it leaves out."""

import numpy as np
import pytest
from shots import table

from reid_lab import data, plots, retrieval
from reid_lab.data import Record
from reid_lab.plots import galleries, sheets
from reid_lab.retrieval import Found
from reid_lab.runtime.errors import DataError


def places(queries, top):
    return Found(np.zeros((queries, top), int), np.ones((queries, top), np.float32), "cosine similarity", 1.0)


@pytest.mark.parametrize(
    ("queries", "top", "shape", "said"),
    [
        (1, 50, (1, 50), ""),
        (1, 600, (1, 50), "the first 50 of 600 images of each"),
        (31, 4, (20, 4), "the first 20 of 31 queries"),
        (500, 10**4, (11, 50), "the first 11 of 500 queries, the first 50 of 10,000 images of each"),
    ],
)
def test_a_picture_holds_so_much_and_tells_what_it_leaves_out(queries, top, shape, said):
    assert sheets.left_out(queries, top) == said
    assert sheets.most(min(queries, 20), top) == shape


@pytest.fixture
def small(monkeypatch):
    """Figures that hold 6 rows of 5 pictures, 20 in all, of one pixel each."""
    monkeypatch.setattr(galleries, "_pixels", lambda record: np.zeros((1, 1, 3), np.uint8))
    for name, value in (("PLACES", 5), ("ROWS", 6), ("CELLS", 20)):
        monkeypatch.setattr(sheets, name, value)


@pytest.mark.parametrize(
    ("queries", "top", "cells", "said"),
    [
        (2, 3, 2 * 4, ""),
        (1, 600, 1 * 6, "; the first 5 of 600 images of each"),
        (70, 2, 6 * 3, "; the first 6 of 70 queries"),
        (70, 600, 3 * 6, "; the first 3 of 70 queries, the first 5 of 600 images of each"),
    ],
)
def test_a_picture_of_a_search_has_bounds_and_needs_no_layout(small, tmp_path, queries, top, cells, said):
    record = Record(tmp_path / "x.png", 0)
    figure = plots.found(places(queries, top), [record] * queries, [record])
    assert figure.get_layout_engine() is None and len(figure.axes) == cells
    assert figure.get_suptitle() == "rank and cosine similarity" + said


@pytest.fixture
def result(smoke_run, tmp_path):
    """Five queries and their rankings, cameras unknown."""
    rows = [f"{p}_{k}.png,{p},{split}" for p in range(1, 6) for k, split in enumerate(("query", "gallery", "gallery"))]
    bench = data.csv(table(tmp_path / "own", rows, "path,pid,split"))
    return retrieval.evaluate(smoke_run.model, bench, top=10)


def test_galleries_and_heat_maps_have_bounds_too(small, result):
    figure = plots.gallery(result, [0] * 300, top=10**9)
    assert len(figure.axes) == 3 * 6
    assert figure.get_suptitle() == "the first 3 of 300 queries, the first 5 of 10 images of each"
    figure = plots.gallery(result, 10**9, top=1)
    assert len(figure.axes) == 5 * 2 and figure.get_layout_engine() is None and figure.get_suptitle() == ""
    with pytest.raises(DataError):
        plots.heat_maps(result.gallery[:1] * 7, {"A": np.zeros((7, 2, 2))})


def test_a_contact_sheet_of_many_cameras_shows_the_first_and_says_so(small, tmp_path):
    train = [Record(tmp_path / f"{p}_{c}.png", p, c) for p in (1, 2) for c in [-1, *range(1, 400)]]
    figure = plots.contact_sheet(data.Benchmark("many", train, [], []), identities=10**9, per_camera=10**9)
    assert len(figure.axes) == 2 * 5 and figure.get_suptitle() == "the first 5 of 400 cameras"
    assert figure.axes[0].get_title(loc="left") == "camera unknown"


def test_an_unknown_camera_is_nobodys_own(result):
    titles = [cell.get_title() for cell in plots.gallery(result, queries=2).axes]
    assert not any("cam" in title for title in titles) and titles[0].startswith("query\nAP")
