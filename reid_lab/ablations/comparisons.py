"""Pictures of comparisons: the scores of each seed joined by a line, and differences with their intervals.

A seed with difficult people is difficult for every variant. So a reader has to compare within a seed. The line that
joins the scores of a seed lets the eye do that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reid_lab.ablations import statistics
from reid_lab.ablations.statistics import Difference
from reid_lab.ablations.strips import MARKS
from reid_lab.plots import COLORS, NEUTRAL, dress
from reid_lab.runtime.errors import DataError

SEPARATED, OPEN = COLORS[0], COLORS[1]  # an interval without 0, an interval with 0
TOLD = (
    ("95 % interval without 0: separated", SEPARATED, SEPARATED),
    ("95 % interval with 0: not separated", OPEN, "white"),
)


def compared(
    rows: pd.DataFrame,
    size: str,
    reference: str,
    variants: Sequence[str],
    title: str = "",
    metric: str = "mAP",
    turned: bool = False,
) -> Figure:
    """Draw the scores of variants, seed by seed, and beside them how far they lie from a reference.

    Args:
        rows: Of a grid's table, one row per variant and seed.
        size: Whose rows count.
        reference: The label of the variant that the others are compared with.
        variants: The labels of the variants that are drawn, from top to bottom.
        title: Stands above both panels.
        metric: A column of the table, in percent.
        turned: The differences are the reference's score minus the variant's, not the other way round.

    Returns:
        Two panels with a line per variant. Left: a mark per seed, a faint line through the marks of a seed, and a bar
        at the mean of the seeds that all variants have. Right: their differences, and the mean with its 95 % interval.

    Raises:
        DataError: A variant is not recorded, or shares fewer than two seeds with the reference.
    """
    scores = _scores(rows, size, (*variants, reference), metric)
    figure = Figure(figsize=(10, 1.7 + 0.42 * len(variants)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1.3))
    _join_seeds(left, scores[list(variants)])
    for place, label in enumerate(variants):
        one, other = (reference, label) if turned else (label, reference)
        if one != other:
            _tick(right, (scores[one] - scores[other]).dropna(), place + 0.25)
            _interval(right, statistics.difference(rows, size, one, other, metric), place)
    words = f"of “{reference}” minus that of the row" if turned else f"minus that of “{reference}”"
    _dress_both(left, right, variants, metric, words)
    framed(figure, [*marks(scores.index, "mean of the common seeds"), _of_a_seed(), *told()], title)
    return figure


def intervals(settings: Mapping[str, Mapping[str, Difference | None]], title: str = "") -> Figure:
    """Draw the same differences in several settings: a panel per setting, a row per difference, a scale for each panel.

    Args:
        settings: The title of each panel, and its differences by the name of their row, the same names in each panel.
            None: nothing is recorded.
        title: Stands above all panels.

    Returns:
        The figure. Each row has its point, its 95 % interval, and both as text, right of the panel.
    """
    names = list(next(iter(settings.values())))
    figure = Figure(figsize=(10, 1.7 + 0.45 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(settings), sharey=True, squeeze=False)[0]
    for axes, (setting, found) in zip(panels, settings.items(), strict=True):
        for place, one in enumerate(found.values()):
            if one is None:
                axes.annotate("not recorded", (0, place), (5, 0), textcoords="offset points", va="center", fontsize=9)
                continue
            _interval(axes, one, place, beside=True)
            axes.set_xlabel(f"points of {one.metric}")
        dress(axes, axes.get_xlabel(), "")
        axes.set_title(setting, fontsize=11)
        axes.axvline(0, color="black", linewidth=1, zorder=1)
        axes.margins(x=0.15)
    _rows(panels[0], names)
    framed(figure, told(), title)
    return figure


def _scores(rows: pd.DataFrame, size: str, labels: Sequence[str], metric: str) -> pd.DataFrame:
    """Seeds in rows, variants in columns; an error names a variant that is not recorded."""
    scores = rows[rows["size"] == size].pivot(index="seed", columns="variant", values=metric)
    if lacking := [label for label in labels if label not in scores]:
        raise DataError(f"No run of {lacking[0]!r} at size {size} is recorded, so it cannot be drawn: leave it out.")
    return scores


def _dress_both(left: Axes, right: Axes, variants: Sequence[str], metric: str, words: str) -> None:
    """What both panels show, the names of their rows, and a line at no difference."""
    dress(left, f"{metric}, %", "")
    dress(right, f"{metric} {words}, points", "")
    right.axvline(0, color="black", linewidth=1, zorder=1)
    _rows(left, variants)


def _rows(axes: Axes, names: Sequence[str]) -> None:
    """The names of the rows, from top to bottom."""
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.6)


def _join_seeds(axes: Axes, scores: pd.DataFrame) -> None:
    """A mark per seed and variant, a faint line through the marks of a seed, and a bar at each mean of common seeds."""
    places = range(scores.shape[1])
    for mark, (_, of_seed) in zip(MARKS, scores.iterrows(), strict=False):
        look: dict[str, Any] = {"color": NEUTRAL, "linewidth": 0.8, "marker": mark, "markersize": 6, "alpha": 0.7}
        axes.plot(of_seed.to_numpy(), places, **look)
    axes.plot(
        scores.dropna().mean().to_numpy(), places, "|", color="black", markersize=15, markeredgewidth=2.5, zorder=4
    )


def _tick(axes: Axes, values: Iterable[float], place: float) -> None:
    """A small tick at each value."""
    each = list(values)
    axes.plot(each, [place] * len(each), "|", color=NEUTRAL, markersize=7, markeredgewidth=1.5)


def _interval(axes: Axes, one: Difference, place: float, beside: bool = False) -> None:
    """A point, its interval, and both as text: above it, or beside the panel, where the text covers nothing."""
    _, color, inside = TOLD[not one.separated]
    look: dict[str, Any] = {"color": color, "marker": "o", "markersize": 7, "capsize": 4, "linewidth": 2}
    axes.errorbar(one.points, place, xerr=one.half_width, markerfacecolor=inside, zorder=3, **look)
    text = f"{round(one.points, 1) + 0.0:+.1f} ± {one.half_width:.1f}"
    if beside:
        look = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center", "fontsize": 9}
        axes.annotate(text, (1, place), (6, 0), annotation_clip=False, **look)
        return
    around = {"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none"}
    look = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 9, "bbox": around}
    axes.annotate(text, (one.points, place), (0, 6), **look)


def marks(seeds: Iterable[int], mean: str) -> list[Line2D]:
    """The legend's entries of the seeds, and of the mean, which is called so."""
    look: dict[str, Any] = {"color": NEUTRAL, "linewidth": 0.8}
    found = [
        Line2D([], [], marker=mark, label=f"seed {seed}", **look) for mark, seed in zip(MARKS, seeds, strict=False)
    ]
    look = {"marker": "|", "linestyle": "none", "markersize": 14, "markeredgewidth": 2.5}
    return [*found, Line2D([], [], color="black", label=mean, **look)]


def _of_a_seed() -> Line2D:
    """The legend's entry of a seed's difference."""
    return Line2D([], [], color=NEUTRAL, marker="|", linestyle="none", markersize=7, label="difference of a seed")


def told() -> list[Line2D]:
    """The legend's entries of the two kinds of intervals."""
    return [
        Line2D([], [], color=color, marker="o", markersize=7, linewidth=2, markerfacecolor=inside, label=words)
        for words, color, inside in TOLD
    ]


def framed(figure: Figure, handles: Sequence[Line2D], title: str) -> None:
    """A title above all panels, and a legend below them."""
    figure.suptitle(title)
    figure.legend(handles=list(handles), loc="outside lower center", ncols=4, fontsize=9, frameon=False)
