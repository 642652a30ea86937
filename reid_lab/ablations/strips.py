"""The picture of the grid ``seeds``: how far another data set moves a method, and how far another training does."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reid_lab.ablations import seeds, statistics
from reid_lab.plots import COLORS, dress

MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one per seed


def strips(rows: pd.DataFrame, title: str, metric: str = "mAP") -> Figure:
    """Draw a strip per method: a mark per run above its data set, a bar at the data set's mean, the two components.

    Args:
        rows: of the grid ``seeds``, of one size.
        title: stands above all strips.
        metric: a column of the table, in percent.
    """
    found = statistics.components(rows, rows["size"].iloc[0], metric)
    rows = rows.assign(data=rows["variant"].map(seeds.data_of), method=rows["variant"].map(seeds.method_of))
    trainings = sorted(rows["seed"].unique())
    figure = Figure(figsize=(1.6 + 4.4 * len(found), 4.6), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (method, row) in zip(panels, found.iterrows(), strict=True):
        _strip(rows[rows["method"] == method], trainings, axes, metric)
        axes.set_title(f"paper {method}: {metric} {row['mean']:.1f} %\n{in_words(row)}", fontsize=9, loc="left")
    panels[0].set_ylabel(f"{metric}, %")
    handles, labels = panels[-1].get_legend_handles_labels()
    for axes in panels:
        axes.get_legend().remove()
    figure.legend(
        handles, labels, title="seed of\nthe training", loc="outside right center", fontsize=8, title_fontsize=8
    )
    figure.suptitle(f"{title}\n(±: standard deviations; in brackets: their 90 % intervals)", fontsize=11)
    return figure


def in_words(row: pd.Series) -> str:
    """Both components of a row of :func:`.statistics.components`, with their intervals, one in a line."""
    lines = []
    for name, what in {"data": "another data set", "training": "another training on the same data"}.items():
        told = "too few runs to tell" if pd.isna(row[name]) else f"± {row[name]:.1f} points"
        if pd.notna(row[f"{name} low"]):
            told += f" ({row[f'{name} low']:.1f} to {row[f'{name} high']:.1f})"
        if name == "data" and row["below 0"]:
            told += " (the estimate was below 0)"
        lines.append(f"{what}: {told}")
    return "\n".join(lines)


def _strip(rows: pd.DataFrame, trainings: Sequence[int], axes: Axes, metric: str) -> None:
    """The marks and bars of one method; the marks of the trainings stand side by side."""
    means = rows.groupby("data")[metric].mean()
    places = {data: place for place, data in enumerate(means.index)}
    beside = rows["seed"].map(
        {seed: (i - (len(trainings) - 1) / 2) / (2 * len(trainings)) for i, seed in enumerate(trainings)}
    )
    at = rows.assign(place=rows["data"].map(places) + beside)
    left, right = ([place + side for place in places.values()] for side in (-0.35, 0.35))
    look = {"style": "seed", "style_order": trainings, "markers": MARKS[: len(trainings)], "color": COLORS[0]}
    seaborn.scatterplot(at, x="place", y=metric, ax=axes, s=55, alpha=0.8, zorder=3, **look)
    axes.hlines(means, left, right, color=COLORS[1], linewidth=2, label="mean of them")
    dress(axes, "seed of the data set", "")
    axes.set_xticks(list(places.values()), [str(data) for data in places])
    axes.set_xlim(-0.6, len(places) - 0.4)
    axes.grid(visible=False, axis="x")
