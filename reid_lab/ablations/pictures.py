"""The grids' pictures, each drawn from its table alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reid_lab.ablations.grids import grid
from reid_lab.ablations.measures import FOUND, RANKS
from reid_lab.plots import COLORS, LINES, axes_of, dress, save
from reid_lab.runtime.errors import DataError

MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")  # one per seed


def picture(name: str, rows: pd.DataFrame, size: str) -> Figure:
    """The picture of the grid ``name`` at ``size``: a curve over the rates for erasing, else a dot for every run.

    Raises:
        DataError: nothing is recorded at that size.
    """
    some = rows[rows["size"] == size] if len(rows) else rows
    if not len(some):
        raise DataError(
            f"No run of {name} at size {size} is recorded: reid-lab ablate {name} --size {size} records them."
        )
    if name == "erasing":
        return erasing(some)
    drawn = {"conditions": by_condition, "heat": heat, "curves": curves}.get(grid(name).measure)
    return drawn(some) if drawn else dots(some, grid(name).title)


def draw(name: str, rows: pd.DataFrame, size: str, folder: Path | str) -> list[Path]:
    """Write a grid's pictures beside its table, with a line of provenance in each; returns their paths."""
    figures = {f"{name}-{size}.png": picture(name, rows, size)}
    if name == "pooling":
        figures[f"cmc-{size}.png"] = cmc(rows, size)
    for figure in figures.values():
        figure.supxlabel(provenance(rows, size), fontsize=7, color="0.4")
    for file, figure in figures.items():
        save(figure, Path(folder) / file)
    return [Path(folder) / file for file in figures]


def provenance(rows: pd.DataFrame, size: str) -> str:
    """One line: how many runs, seeds, on what, with which versions, when."""
    some = rows[rows["size"] == size]

    def one(column: str) -> str:
        return ", ".join(sorted({str(value) for value in some[column]}))

    days = sorted(str(date)[:10] for date in some["date"])
    when = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
    return (
        f"{some['run'].nunique()} runs, size {size}, seeds {one('seed')}; {one('device')}, torch {one('torch')}, "
        f"reid_lab {one('reid_lab')}, {when}"
    )


def dots(rows: pd.DataFrame, title: str, metrics: Sequence[str] = ("rank-1", "mAP")) -> Figure:
    """One line per variant, a mark per seed, a bar at the mean: what a seed is worth is there to be seen."""
    labels, seeds = list(dict.fromkeys(rows["variant"])), sorted(set(rows["seed"]))
    figure = Figure(figsize=(9, 1.2 + 0.42 * len(labels)), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(axes, metrics, strict=True):
        for place, label in enumerate(labels):
            mean = rows.loc[rows["variant"] == label, metric].mean()
            axis.plot([mean] * 2, [place - 0.32, place + 0.32], color=COLORS[1], linewidth=3)
        for i, seed in enumerate(seeds):
            of_seed = rows[rows["seed"] == seed]
            places = [labels.index(label) for label in of_seed["variant"]]
            axis.plot(of_seed[metric], places, MARKS[i % len(MARKS)], color=COLORS[0], alpha=0.6, label=f"seed {seed}")
        dress(axis, f"{metric}, %", "")
    axes[0].set_yticks(range(len(labels)), labels)
    axes[0].invert_yaxis()
    figure.legend(*axes[-1].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.suptitle(f"{title}\n(bars: means of the seeds)", fontsize=11)
    return figure


def erasing(rows: pd.DataFrame) -> Figure:
    """Accuracy over the probability of erasing (paper A, Table 2): every seed, and the mean."""
    figure, axes = axes_of("probability of random erasing", "%")
    rates = rows.assign(rate=rows["variant"].astype(float)).sort_values("rate")
    for metric, color, line in zip(("rank-1", "mAP"), COLORS, LINES, strict=False):
        means = rates.groupby("rate")[metric].mean()
        axes.plot(means.index, means, color=color, linestyle=line, linewidth=2, label=f"{metric}, mean of seeds")
        for i, (seed, of_seed) in enumerate(rates.groupby("seed")):
            style: dict[str, Any] = dict(color=color, alpha=0.45, markersize=5, label=f"{metric}, seed {seed}")
            axes.plot(of_seed["rate"], of_seed[metric], MARKS[i % len(MARKS)], **style)
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside upper center", ncols=4, fontsize=8)
    return figure


def cmc(rows: pd.DataFrame, size: str) -> Figure:
    """Cumulative matching characteristics of every variant, mean of the seeds."""
    figure, axes = axes_of("rank", "queries with a match, %")
    some = rows[rows["size"] == size]
    columns = [f"rank-{k}" for k in RANKS]
    for i, (label, of_one) in enumerate(some.groupby("variant", sort=False)):
        color, line = COLORS[i % len(COLORS)], LINES[i // len(COLORS)]
        axes.plot(RANKS, of_one[columns].mean(), color=color, linestyle=line, marker="o", markersize=4, label=label)
    axes.set_xscale("log")
    axes.set_xticks(RANKS, [str(k) for k in RANKS])
    axes.legend(fontsize=8)
    return figure


def by_condition(rows: pd.DataFrame) -> Figure:
    """A panel per condition, a line per variant at the mean of the seeds, a dot per seed."""
    names = list(dict.fromkeys(rows["condition"]))
    figure = Figure(figsize=(5 * len(names), 4.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        some = rows[rows["condition"] == name]
        score = FOUND if some[FOUND].notna().all() else "mAP"
        values = list(dict.fromkeys(some["value"]))
        for i, (label, of_one) in enumerate(some.groupby("variant", sort=False)):
            means = of_one.groupby("value")[score].mean().reindex(values)
            style, color = LINES[i % len(LINES)], COLORS[i % len(COLORS)]
            axes.plot(range(len(values)), means, color=color, linestyle=style, marker="o", markersize=4, label=label)
            places = [values.index(value) for value in of_one["value"]]
            axes.plot(places, of_one[score], "o", color=color, alpha=0.3, markersize=3)
        dress(axes, name, f"{score}, %")
        axes.set_xticks(range(len(values)), [str(value) for value in values], fontsize=8)
        axes.set_ylim(bottom=0)
    figure.axes[0].legend(fontsize=8, title="lines: means; dots: seeds", title_fontsize=8)
    return figure


def heat(rows: pd.DataFrame, target: str = "identity") -> Figure:
    """The share of the heat on the person: trained networks (dots), untrained ones (crosses), even heat (line)."""
    some = rows[rows["target"] == target]
    layers, labels = sorted(set(some["layer"])), list(dict.fromkeys(some["variant"]))
    figure = Figure(figsize=(3.4 * len(layers), 1.3 + 0.45 * len(labels)), layout="constrained")
    for axes, layer in zip(figure.subplots(1, len(layers), sharey=True, squeeze=False)[0], layers, strict=True):
        of_layer = some[some["layer"] == layer]
        for network, marker, color in (("trained", "o", COLORS[0]), ("untrained", "x", COLORS[1])):
            of_one = of_layer[of_layer["network"] == network]
            places = [labels.index(label) for label in of_one["variant"]]
            axes.plot(of_one["heat"], places, marker, color=color, alpha=0.7, label=f"{network} networks")
        axes.axvline(of_layer["area"].mean(), color="0.4", linestyle="--", label="share of the area: even heat")
        dress(axes, f"heat of {layer} on the person, %", "")
    figure.axes[0].set_yticks(range(len(labels)), labels)
    figure.axes[0].invert_yaxis()
    figure.axes[0].legend(fontsize=7)
    return figure


def curves(rows: pd.DataFrame) -> Figure:
    """Loss and training accuracy over the epochs (paper B, Fig. 5): every seed faintly, the mean of the seeds."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    for axes, (column, label) in zip(
        figure.subplots(1, 2), (("loss", "loss"), ("accuracy", "accuracy, %")), strict=True
    ):
        for i, (name, of_one) in enumerate(rows.groupby("variant", sort=False)):
            means = of_one.groupby("epoch")[column].mean()
            axes.plot(means.index, means, color=COLORS[i], linestyle=LINES[i], linewidth=2, label=name)
            for _, of_seed in of_one.groupby("seed"):
                axes.plot(of_seed["epoch"], of_seed[column], color=COLORS[i], alpha=0.25, linewidth=1)
        dress(axes, "epoch", label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].legend(title="bold: means; faint: seeds", title_fontsize=8)
    return figure
