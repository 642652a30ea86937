"""The pictures of the grids ``systems`` and ``codes``: scores by year and by cost, and what the controls leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reid_lab.ablations.gains import gains
from reid_lab.ablations.grids import grid
from reid_lab.ablations.systems import OF, SYSTEMS
from reid_lab.ablations.tables import RERANKED
from reid_lab.plots import COLORS, INK, MATCH, NEUTRAL, dress

COSTS = {
    "time": "time for one image, times that of the softmax baseline",
    "descriptor": "numbers that describe an image",
}


def by_year_and_cost(rows: pd.DataFrame) -> Figure:
    """Draw the mAP of every system over its year, its time for one image and the length of its features.

    Args:
        rows: of the grid ``systems``, of one size. A bar is the standard deviation of the seeds.
    """
    years = {system.label: system.year for system in SYSTEMS}
    systems = rows[rows["variant"].isin(years)]
    found = (
        systems.groupby("variant")[["mAP", *COSTS]].mean().join(systems.groupby("variant")["mAP"].std().rename("sd"))
    )
    found = found.assign(year=found.index.map(years)).sort_values(["year", "mAP"])
    figure = Figure(figsize=(15, 6.4), layout="constrained")
    panels = figure.subplots(1, 1 + len(COSTS), sharey=True)
    for axes, (column, label) in zip(panels, {"year": "year of publication", **COSTS}.items(), strict=True):
        _labelled(axes, found, column)
        dress(axes, label, "mAP, %" if column == "year" else "")
        if column != "year":
            axes.set_xscale("log")
    panels[0].set_xticks(sorted(set(years.values())), [str(year) for year in sorted(set(years.values()))])
    figure.suptitle(f"{grid('systems').title}\n(points and bars: mean and standard deviation of the seeds)")
    return figure


def _labelled(axes: Axes, found: pd.DataFrame, column: str) -> None:
    """A point and a name for every system; names of points that lie close stand on different sides."""
    x = found[column] + (found.groupby(column).cumcount() * 0.12 if column == "year" else 0)
    axes.errorbar(x, found["mAP"], yerr=found["sd"], linestyle="none", marker="o", color=COLORS[0], capsize=2)
    for i, (name, at) in enumerate(x.items()):
        look: dict[str, Any] = {"ha": "left", "xytext": (6, 4)} if i % 2 else {"ha": "right", "xytext": (-6, -9)}
        axes.annotate(str(name), (at, found.loc[name, "mAP"]), textcoords="offset points", fontsize=8, **look)
    axes.margins(x=0.28)


def against_controls(rows: pd.DataFrame) -> Figure:
    """Draw a row for every system and every control: its seeds and their mean, and how far the system lies above it.

    Args:
        rows: of the grid ``systems``, of one size.
    """
    some = rows[~rows["variant"].str.endswith(RERANKED)]
    labels = [label for system in SYSTEMS for label in _recorded(system, some)]
    above = gains(rows, rows["size"].iloc[0])
    figure = Figure(figsize=(10, 1.6 + 0.24 * len(labels)), layout="constrained")
    scores, points = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    shown = some[some["variant"].isin(labels)].assign(kind=lambda table: _kinds(table["variant"]))
    look: dict[str, Any] = {"y": "variant", "x": "mAP", "hue": "kind", "order": labels, "ax": scores, "legend": False}
    look |= {"palette": {"system": COLORS[0], "control": COLORS[1]}, "jitter": False}
    seaborn.stripplot(shown, alpha=0.4, size=5, **look)
    means = shown.groupby("variant")["mAP"].mean()
    scores.scatter(means[labels], range(len(labels)), marker="|", s=120, color=INK, zorder=3)
    dress(scores, "mAP, %", "")
    for i, label in enumerate(labels):
        system, _, control = label.partition(OF)
        if (system, control) in above.index:
            one = above.loc[(system, control)]
            color = MATCH if one["separated"] and one["points"] > 0 else COLORS[3] if one["separated"] else NEUTRAL
            points.errorbar(one["points"], i, xerr=one["half width"], marker="o", color=color, capsize=2)
    points.axvline(0, color=INK, linewidth=1)
    dress(points, "mAP of the system minus that of its control, points", "")
    _name(scores, labels)
    figure.suptitle(
        f"{grid('systems').title}: every system above its controls\n"
        "(marks: seeds; strokes: means; bars: 95 % intervals; grey: not separated)"
    )
    return figure


def _recorded(system: Any, rows: pd.DataFrame) -> list[str]:
    wanted = [system.label, *(f"{system.label}{OF}{control}" for control in system.controls)]
    return [label for label in wanted if label in set(rows["variant"])]


def _kinds(labels: pd.Series) -> pd.Series:
    return labels.str.contains(OF, regex=False).map({True: "control", False: "system"})


def _name(axes: Axes, labels: Sequence[str]) -> None:
    """Systems with their year, bold; controls below them, without the system's name."""
    years = {system.label: system.year for system in SYSTEMS}
    axes.set_yticks(
        range(len(labels)), [f"{label}, {years[label]}" if label in years else _control(label) for label in labels]
    )
    axes.set_ylim(len(labels) - 0.5, -0.5)
    for label, tick in zip(labels, axes.get_yticklabels(), strict=True):
        tick.set(fontsize=8, fontweight="bold" if label in years else "normal")


def _control(label: str) -> str:
    return label.partition(OF)[2]


def codes(rows: pd.DataFrame) -> Figure:
    """Draw the mAP of every code, and of the search from coarse to fine, over the bits that are compared.

    Args:
        rows: of the grid ``codes``, of one size.
    """
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    plain = rows[rows["code"] != "coarse to fine"]
    variants = list(rows["variant"].unique())
    look: dict[str, Any] = {"hue": "variant", "hue_order": variants, "palette": COLORS[: len(variants)], "ax": axes}
    seaborn.lineplot(plain, x="compared", y="mAP", errorbar="sd", marker="o", **look)
    cascade = rows[rows["code"] == "coarse to fine"].groupby("variant")[["compared", "mAP"]].mean().loc[variants]
    axes.scatter(cascade["compared"], cascade["mAP"], marker="*", s=180, color=COLORS[: len(variants)], zorder=3)
    axes.set_xscale("log", base=2)
    dress(axes, "bits that a query and an image are compared by, on average", "mAP, %")
    axes.set_title(
        "lines: one code each, mean and standard deviation of the seeds; stars: from coarse to fine", fontsize=9
    )
    axes.legend(fontsize=8)
    return figure
