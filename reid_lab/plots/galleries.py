"""Sheets of images: what was found for a query, and what a benchmark shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reid_lab import data, passersby
from reid_lab.data import UNKNOWN_CAMERA, Benchmark, Record
from reid_lab.data.augment import generator, to_unit
from reid_lab.data.decoding import decode
from reid_lab.plots import sheets
from reid_lab.plots.style import INK, MATCH, MISS, NEUTRAL
from reid_lab.retrieval import Found, Result
from reid_lab.runtime.errors import DataError, FeatureError
from reid_lab.runtime.validation import whole


def gallery(result: Result, queries: int | Sequence[int] = 5, top: int = 10) -> Figure:
    """Each query and the ``top`` gallery images ranked first (paper A, Figs. 5 and 6; paper B, Fig. 4).

    Above an image stand its rank and, where it is known, its camera; "own cam" is the query's. Of more than a figure
    can hold the first ones are drawn, and the figure says so (see :func:`.sheets.left_out`).

    Args:
        result: from ``retrieval.evaluate``, which knows the images.
        queries: how many queries, spread evenly from the best to the worst average precision, or which (indices).
        top: how many gallery images.

    Raises:
        DataError: the result knows no images, or not those queries.
        FeatureError: a number of images that is none.
    """
    if result.query is None or result.gallery is None:
        raise DataError("This result knows no images; a gallery needs one from retrieval.evaluate(model, benchmark).")
    top = min(whole("top", top, 1, FeatureError), result.matches.indices.shape[1])
    if isinstance(queries, Iterable):
        chosen = list(queries)
    else:
        chosen = _spread(result.ap, sheets.most(whole("queries", queries, 1, FeatureError), top)[0])
    if not chosen or not set(chosen) <= set(range(len(result.query))):
        raise DataError(f"queries is {queries!r}, but the result's queries are numbered 0 to {len(result.query) - 1}.")
    rows, columns = sheets.most(len(chosen), top)
    cells = sheets.grid(rows, columns + 1, note=sheets.left_out(len(chosen), top, sheets.ROWS))
    for axes, query in zip(cells, chosen, strict=False):
        record = result.query[query]
        _picture(axes[0], record, f"query{_camera(record, ', ')}\nAP {100 * result.ap[query]:.0f} %")
        for rank in range(columns):
            index = int(result.matches.indices[query, rank])
            if index < 0:  # fewer valid gallery images than places
                axes[rank + 1].axis("off")
                continue
            correct = bool(result.matches.correct[query, rank])
            image = result.gallery[index]
            own = image.camid == record.camid != UNKNOWN_CAMERA
            _picture(axes[rank + 1], image, str(rank + 1), correct, "own cam" if own else _camera(image, ""))
    return cells[0, 0].figure


def found(found: Found, query: Sequence[Record], gallery: Sequence[Record], queries: int = 20) -> Figure:
    """Each query and the gallery images that a search found, nearest first, with their scores and file names.

    All frames are alike, because nobody knows who is right: there is always a first image, also for a person of whom
    the gallery has none. Of more than a figure can hold the first ones are drawn, and the figure says so (see
    :func:`.sheets.left_out`).

    Args:
        found: from ``retrieval.search``, (q, k).
        query: the q images that were looked for.
        gallery: the images that were searched.
        queries: how many of them are drawn at most, the first ones.
    """
    queries, top = whole("queries", queries, 1, FeatureError), found.indices.shape[1]
    count, columns = sheets.most(min(queries, len(found.indices)), top)
    note = sheets.left_out(len(found.indices), top, queries)
    cells = sheets.grid(count, columns + 1, note=f"rank and {found.measure}" + (f"; {note}" if note else ""))
    for axes, record, places, scores in zip(cells, query, found.indices, found.scores, strict=False):
        _picture(axes[0], record, "query")
        _caption(axes[0], record)
        for rank, (cell, place, score) in enumerate(zip(axes[1:], places, scores, strict=False), 1):
            if place < 0:  # there are no more, or an approximate index found no more
                cell.axis("off")
                continue
            _picture(cell, gallery[place], f"{rank}   {score:.2f}")
            _caption(cell, gallery[place])
            for side in cell.spines.values():
                side.set(color=NEUTRAL, linewidth=1.5)
    return cells[0, 0].figure


def contact_sheet(benchmark: Benchmark, identities: int = 12, per_camera: int = 2) -> Figure:
    """Some training identities (rows) as the cameras (columns) see them, as many as a figure can hold.

    Raises DataError where there are none.
    """
    identities, per_camera = (
        whole("identities", identities, 1, FeatureError),
        whole("per_camera", per_camera, 1, FeatureError),
    )
    records = [record for record in benchmark.train if record.pid > 0]
    if not records:
        raise DataError(f"{benchmark.name} has no training people to show: check its training folder.")
    cameras = sorted({record.camid for record in records})
    known = sorted({record.pid for record in records})
    seen = defaultdict(list)
    for record in records:
        seen[record.pid, record.camid].append(record)
    across = min(per_camera, sheets.PLACES, max(map(len, seen.values())))
    drawn = cameras[: max(1, sheets.PLACES // across)]
    rows = min(identities, len(known), sheets.ROWS, max(1, sheets.CELLS // (len(drawn) * across)))
    note = f"the first {len(drawn)} of {len(cameras):,} cameras" if len(drawn) < len(cameras) else ""
    cells = sheets.grid(rows, len(drawn) * across, note, cell=(0.62, 1.2), gap=(0.03, 0.03), head=0.2)
    for i, (row, which) in enumerate(zip(cells, np.linspace(0, len(known) - 1, rows).astype(int), strict=True)):
        for column, cell in enumerate(row):
            camera, k = drawn[column // across], column % across
            here = seen[known[which], camera]
            cell.axis("off")
            if k < len(here):
                cell.imshow(_pixels(here[k]), aspect="auto")
            if i == 0 and k == 0:
                name = "camera unknown" if camera == UNKNOWN_CAMERA else f"camera {camera}"
                cell.set_title(name, fontsize=10, loc="left", color=INK)
    return cells[0, 0].figure


def erasing_grid(benchmark: Benchmark, erasing: data.RandomErasing, count: int = 5, seed: int = 0) -> Figure:
    """Training images above, the same after random erasing below (paper A, Fig. 4), PLACES of them at most."""
    count = min(whole("count", count, 1, FeatureError), sheets.PLACES, len(benchmark.train))
    chosen = [benchmark.train[i] for i in np.linspace(0, len(benchmark.train) - 1, count).astype(int)]
    before = data.image_store(chosen, size=(256, 128)).batch(range(count))  # (count, 3, height, width), uint8
    after = erasing(to_unit(before), generator(seed))  # float in [0, 1]
    figure = Figure(figsize=(1.5 * count, 6), layout="constrained")
    grid = figure.subplots(2, count, squeeze=False)
    for axes, images, name in zip(grid, (before, after), ("before", "after erasing"), strict=True):
        for cell, image in zip(axes, images, strict=True):
            cell.imshow(np.asarray(image.permute(1, 2, 0)))
            cell.set_xticks([])
            cell.set_yticks([])
            cell.spines[:].set_visible(False)
        axes[0].set_ylabel(name, color=INK)
    return figure


def swapped_clothes(people: Sequence[Record], at_most: int = 6) -> Figure:
    """Everybody in everybody's clothes: a row for each shot, a column for each owner of the clothes.

    In a frame stand people in their own clothes: those are the data set's images.

    Args:
        people: images of people from a Passersby data set.
        at_most: how many of them are drawn, the first ones; never more than a figure can hold.

    Raises:
        DataError: there are none, or one is not Passersby's or shows nobody.
    """
    shots = people[: min(whole("at_most", at_most, 1, FeatureError), int(sheets.CELLS**0.5))]
    if not shots:
        raise DataError("There are no images of people to dress: give some records of a Passersby data set.")
    cells = sheets.grid(len(shots), len(shots), cell=(0.92, 1.74), gap=(0.12, 0.14), head=0.3)
    for row, shot in zip(cells, shots, strict=True):
        for cell, owner in zip(row, shots, strict=True):
            cell.imshow(passersby.dressed(shot, owner))
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set(color=MATCH, linewidth=2.5, visible=owner is shot)
        row[0].set_ylabel(f"person {shot.pid}", fontsize=7, color=INK, labelpad=1)
    for cell, owner in zip(cells[0], shots, strict=True):
        cell.set_title(f"clothes of {owner.pid}", fontsize=7, color=INK, pad=3)
    return cells[0, 0].figure


def _spread(ap: np.ndarray, count: int) -> list[int]:
    """``count`` queries from the best to the worst average precision; queries without a match (NaN) left out."""
    order = [int(i) for i in np.argsort(-ap, kind="stable") if np.isfinite(ap[i])]
    return [order[i] for i in np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]


def _camera(record: Record, before: str) -> str:
    return "" if record.camid == UNKNOWN_CAMERA else f"{before}cam {record.camid}"


def _picture(axes: Axes, record: Record, title: str, correct: bool | None = None, below: str = "") -> None:
    axes.imshow(_pixels(record))
    axes.set_xticks([])
    axes.set_yticks([])
    color = INK if correct is None else MATCH if correct else MISS
    sign = "" if correct is None else " ✓" if correct else " ✗"
    axes.set_title(title + sign + (f"\n{below}" if below else ""), fontsize=10, color=color)
    dashes = (0, (3, 2)) if correct is False else "solid"
    for side in axes.spines.values():
        side.set(color=color, linewidth=3, linestyle=dashes, capstyle="butt")


def _caption(axes: Axes, record: Record, letters: int = 20) -> None:
    """The file's name below its picture; of a long one the beginning and the end."""
    name, half = record.path.stem.encode(errors="replace").decode(), letters // 2  # Linux allows any bytes in a name
    shown = name if len(name) <= letters else f"{name[: half - 1]}…{name[-half:]}"
    axes.set_xlabel(shown, fontsize=6, color=INK, parse_math=False)


def _pixels(record: Record) -> np.ndarray:
    return decode(record.path, (128, 64))
