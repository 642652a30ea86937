"""Sheets of pictures: how many a figure can hold, and where each stands."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from reid_lab.plots.style import INK

PLACES, ROWS, CELLS = 50, 50, 600  # pictures in a row, rows, and pictures in all that a figure holds at most


def left_out(queries: int, places: int, at_most: int = 20) -> str:
    """What a picture shows of so many queries with so many images each: "the first 20 of 31 queries"; "" for all."""
    rows, columns = most(min(queries, at_most), places)
    parts = [f"the first {rows} of {queries:,} queries"] if rows < queries else []
    parts += [f"the first {columns} of {places:,} images of each"] if columns < places else []
    return ", ".join(parts)


def most(rows: int, columns: int) -> tuple[int, int]:
    """As many rows, and columns beside their first picture, as a figure can hold and somebody can look at."""
    columns = min(columns, PLACES)
    return max(1, min(rows, ROWS, CELLS // (columns + 1))), columns


def grid(
    rows: int,
    columns: int,
    note: str = "",
    cell: tuple[float, float] = (0.98, 2.2),
    gap: tuple[float, float] = (0.13, 0.5),
    head: float = 0.4,
) -> np.ndarray:
    """Axes (rows, columns) for pictures, in a new figure; all lengths in inches.

    All places are computed here, because matplotlib's own layout takes time with the square of the columns.

    Args:
        rows: how many.
        columns: how many.
        note: a line above all.
        cell: width and height of a picture and the gap beside and below it.
        gap: that gap, which titles and captions stand in.
        head: for the titles of the first row.
    """
    head += 0.25 * bool(note)
    foot = min(gap[1], 0.2)
    width, height = columns * cell[0] + gap[0], rows * cell[1] - gap[1] + head + foot
    picture = cell[0] - gap[0], cell[1] - gap[1]
    figure = Figure(figsize=(width, height))
    if note:
        figure.suptitle(note, fontsize=8, color=INK, y=1 - 0.05 / height, va="top")
    places = {"left": gap[0] / width, "right": 1 - gap[0] / width, "top": 1 - head / height, "bottom": foot / height}
    places |= {"wspace": gap[0] / picture[0], "hspace": gap[1] / picture[1]}
    return figure.subplots(rows, columns, squeeze=False, gridspec_kw=places)
