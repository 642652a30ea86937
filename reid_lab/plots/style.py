"""The look of all pictures: colors, lines, axes, and the file they are saved to.

Matches and misses differ by color, line style and sign at once (paper A draws green and red frames, Figs. 5 and 6;
paper B solid and dashed ones, Fig. 4), so that nobody depends on color.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import reid_lab
from reid_lab.runtime.files import write_whole

INK = "#222222"
MATCH, MISS = "#009E73", "#D55E00"  # Okabe and Ito's color-blind safe green and vermilion
NEUTRAL = "#777777"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 1, 2)))


def axes_of(x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes in the course's look, and their labels."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    dress(axes, x, y)
    return figure, axes


def dress(axes: Axes, x: str, y: str) -> None:
    """The course's look: labels, a faint grid, no frame above and on the right."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG, whole or not at all; the file says that reid_lab drew it.

    Raises CheckpointError where it cannot be written.
    """
    about = {"Software": f"reid_lab {reid_lab.__version__}"}
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=130, format="png", metadata=about))
