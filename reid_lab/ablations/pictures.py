"""The grids' pictures, each drawn from its table alone, and one of all claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from reid_lab.ablations import claims, tables, ten_years
from reid_lab.ablations.forests import forest
from reid_lab.ablations.grids import grid
from reid_lab.ablations.measures import FOUND, RANKS
from reid_lab.ablations.strips import MARKS, strips
from reid_lab.plots import COLORS, LINES, axes_of, dress, save
from reid_lab.runtime.errors import DataError

MEAN: dict[str, Any] = {"errorbar": "sd", "linestyle": "none", "err_kws": {"linewidth": 1.5}}


def picture(name: str, rows: pd.DataFrame, size: str) -> Figure:
    """Draw the picture of the grid ``name`` at ``size`` from its ``rows``.

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
    if name == "seeds":
        return strips(some, grid(name).title)
    if name == "systems":
        return ten_years.by_year_and_cost(some)
    by_measure = {
        "conditions": by_condition,
        "heat": heat,
        "curves": curves,
        "domain": domain,
        "codes": ten_years.codes,
    }
    drawn = by_measure.get(grid(name).measure)
    return drawn(some) if drawn else dots(some, grid(name).title)


def draw(name: str, rows: pd.DataFrame, size: str, folder: Path | str) -> list[Path]:
    """Write a grid's pictures beside its table, with a line of provenance in each; returns their paths."""
    figures = {f"{name}-{size}.png": picture(name, rows, size)}
    if name == "pooling":
        figures[f"cmc-{size}.png"] = cmc(rows, size)
    if name == "systems":
        figures[f"controls-{size}.png"] = ten_years.against_controls(rows[rows["size"] == size])
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
    """Draw one line per variant: a mark per seed, and their mean with its standard deviation."""
    labels = rows["variant"].unique()
    figure = Figure(figsize=(9, 1.4 + 0.42 * len(labels)), layout=ConstrainedLayoutEngine(wspace=0.05))
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        seaborn.pointplot(rows, x=metric, y="variant", ax=axes, color=COLORS[1], marker="|", markersize=16, **MEAN)
        seeds = {"style": "seed", "markers": MARKS[: rows["seed"].nunique()], "color": COLORS[0], "alpha": 0.6}
        seaborn.scatterplot(rows, x=metric, y="variant", ax=axes, legend=axes is panels[-1], zorder=3, **seeds)
        dress(axes, f"{metric}, %", "")
        axes.set_ylim(len(labels) - 0.5, -0.5)
    _legend_beside(figure, panels[-1], "seed")
    figure.suptitle(f"{title}\n(bars: mean and standard deviation of the seeds)", fontsize=11)
    return figure


def domain(rows: pd.DataFrame) -> Figure:
    """Draw mAP in both towns, side by side: a line per variant, as :func:`dots` does."""
    towns = {town: f"mAP in the town {town!r}" for town in rows["town"].unique()}
    beside = rows.pivot(index=["variant", "seed"], columns="town", values="mAP").rename(columns=towns)
    order = rows["variant"].unique()
    return dots(beside.loc[order].reset_index(), grid("domain").title, tuple(towns.values()))


def erasing(rows: pd.DataFrame) -> Figure:
    """Draw accuracy over the probability of erasing (paper A, Table 2): mean, standard deviation and every seed."""
    rates = rows.assign(rate=rows["variant"].astype(float))
    scores = rates.melt(["rate", "seed"], ["rank-1", "mAP"], var_name="score", value_name="percent")
    figure, axes = axes_of("", "")
    look = {"x": "rate", "y": "percent", "hue": "score", "palette": COLORS[:2], "ax": axes}
    seaborn.lineplot(scores, style="score", errorbar="sd", linewidth=2, **look)
    marks = MARKS[: scores["seed"].nunique()]
    seaborn.scatterplot(scores, style="seed", markers=marks, alpha=0.6, legend=False, **look)
    _dress(axes, "probability of random erasing", "%", "mean and standard deviation;\nmarks: seeds")
    axes.set_ylim(bottom=0)
    return figure


def cmc(rows: pd.DataFrame, size: str) -> Figure:
    """Draw the cumulative matching characteristic of every variant, the mean of its seeds."""
    some = rows[rows["size"] == size].rename(columns={f"rank-{k}": k for k in RANKS})
    shares = some.melt("variant", RANKS, var_name="rank", value_name="share")
    figure, axes = axes_of("", "")
    _line(shares, axes, "rank", "share", errorbar=None, markers=True)
    _dress(axes, "rank", "queries with a match, %", "means of the seeds")
    axes.set_xscale("log")
    axes.set_xticks(RANKS, [str(k) for k in RANKS])
    return figure


def by_condition(rows: pd.DataFrame) -> Figure:
    """Draw a panel per condition and a line per variant: mean and standard deviation of the seeds."""
    names = rows["condition"].unique()
    figure = Figure(figsize=(2 + 4.6 * len(names), 4.2), layout="constrained")
    panels, count = figure.subplots(1, len(names), squeeze=False)[0], rows["variant"].nunique()
    look: dict[str, Any] = {"hue": "variant", "palette": COLORS[:count], "errorbar": "sd", "dodge": 0.35}
    look |= {"markers": list(MARKS[:count]), "linestyles": list(LINES[:count]), "linewidth": 1.5}
    for axes, name in zip(panels, names, strict=True):
        some = rows[rows["condition"] == name].astype({"value": str})
        score = FOUND if some[FOUND].notna().all() else "mAP"
        seaborn.pointplot(some, x="value", y=score, ax=axes, legend=axes is panels[0], **look)
        dress(axes, name, f"{score}, %")
        axes.tick_params(axis="x", labelsize=8)
        axes.set_ylim(bottom=0)
    _legend_beside(figure, panels[0], "mean and standard\ndeviation of the seeds")
    return figure


def heat(rows: pd.DataFrame, target: str = "identity") -> Figure:
    """Draw the share of the heat on the person, of networks trained and not; a line shows even heat."""
    some = rows[rows["target"] == target]
    layers, labels = sorted(some["layer"].unique()), some["variant"].unique()
    figure = Figure(figsize=(3.6 * len(layers), 1.6 + 0.55 * len(labels)), layout="constrained")
    panels, count = figure.subplots(1, len(layers), sharey=True, squeeze=False)[0], some["network"].nunique()
    for axes, layer in zip(panels, layers, strict=True):
        of_layer = some[some["layer"] == layer]
        look = {"x": "heat", "y": "variant", "hue": "network", "palette": COLORS[:count], "ax": axes}
        seaborn.stripplot(of_layer, dodge=True, jitter=False, alpha=0.4, size=5, legend=False, **look)
        look |= {"markers": list(MARKS[:count]), "markersize": 7, "legend": axes is panels[0]}
        seaborn.pointplot(of_layer, dodge=0.4, **MEAN, **look)
        axes.axvline(of_layer["area"].mean(), color="0.4", linestyle="--", label="even heat")
        dress(axes, f"heat of {layer} on the person, %", "")
    _legend_beside(figure, panels[0], "networks")
    figure.suptitle("points and bars: mean and standard deviation of the seeds; faint: seeds", fontsize=9)
    return figure


def curves(rows: pd.DataFrame) -> Figure:
    """Draw loss and training accuracy over the epochs (paper B, Fig. 5): mean and standard deviation of the seeds."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    columns = {"loss": "loss", "accuracy": "training accuracy, %"}
    panels = figure.subplots(1, 2)
    for axes, (column, label) in zip(panels, columns.items(), strict=True):
        _line(rows, axes, "epoch", column, errorbar="sd", linewidth=2, legend=axes is panels[0])
        dress(axes, "epoch", label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend(title="lines and bands: mean and\nstandard deviation of the seeds", title_fontsize=8, fontsize=8)
    return figure


def _line(rows: pd.DataFrame, axes: Axes, x: str, y: str, **options: Any) -> None:
    """One line per variant, by color and dashes."""
    colors = [COLORS[i % len(COLORS)] for i in range(rows["variant"].nunique())]
    seaborn.lineplot(rows, x=x, y=y, hue="variant", style="variant", palette=colors, ax=axes, **options)


def _dress(axes: Axes, x: str, y: str, note: str) -> None:
    """The course's look, and a legend with a note on what is drawn."""
    dress(axes, x, y)
    axes.legend(title=note, title_fontsize=8, fontsize=8)


def _legend_beside(figure: Figure, axes: Axes, title: str) -> None:
    """Move the legend of some axes out of the panels."""
    handles, labels = axes.get_legend_handles_labels()
    if (inside := axes.get_legend()) is not None:
        inside.remove()
    figure.legend(handles, labels, title=title, loc="outside right upper", fontsize=8, title_fontsize=8)


def draw_claims(size: str, folder: Path | str) -> Path | None:
    """Write the picture of all claims to ``claims-SIZE.png``; returns its path, None where nothing is recorded."""
    found = claims.judge(size, folder)
    if all(one.lacks for one in found):
        return None
    names = {one.grid for one in claims.CLAIMS}
    recorded = [rows for rows in (tables.read(name, folder) for name in sorted(names)) if len(rows)]
    figure, path = forest(found), Path(folder) / f"claims-{size}.png"
    figure.supxlabel(provenance(pd.concat(recorded), size), fontsize=6.5, color="0.4")
    save(figure, path)
    return path
