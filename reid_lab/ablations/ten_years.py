"""The pictures of the grids ``systems`` and ``codes``: scores and costs by year, and what the controls leave."""

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
    "time": "time for one image\n(softmax baseline: 1)",
    "descriptor": "numbers that describe an image",
}


def by_year_and_cost(rows: pd.DataFrame) -> Figure:
    """Draw a row for every system, in the order of years: its mAP, its time for one image, the length of its features.

    Args:
        rows: of the grid ``systems``, of one size. Only the seeds that all of its systems have are drawn.
    """
    years = {system.label: system.year for system in SYSTEMS}
    systems = of_common_seeds(rows[rows["variant"].isin(years)])
    found = systems.groupby("variant")[["mAP", *COSTS]].mean()
    labels = [system.label for system in SYSTEMS if system.label in found.index]
    figure = Figure(figsize=(12, 1.6 + 0.3 * len(labels)), layout="constrained")
    panels = figure.subplots(1, 1 + len(COSTS), sharey=True, width_ratios=(3, 2, 2))
    at = systems["variant"].map(labels.index)
    panels[0].scatter(systems["mAP"], at, color=COLORS[0], alpha=0.4, s=24)
    panels[0].scatter(found.loc[labels, "mAP"], range(len(labels)), marker="|", s=160, color=INK, zorder=3)
    dress(panels[0], "mAP, %", "")
    for axes, (column, says) in zip(panels[1:], COSTS.items(), strict=True):
        axes.scatter(found.loc[labels, column], range(len(labels)), color=COLORS[1], s=30)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        dress(axes, says, "")
    panels[0].set_yticks(range(len(labels)), [f"{label}, {years[label]}" for label in labels], fontsize=9)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    seeds = ", ".join(map(str, sorted(systems["seed"].unique())))
    figure.suptitle(f"{grid('systems').title}\n(marks: seed {seeds}; strokes: their mean)")
    return figure


def of_common_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the seeds that all variants have: a mean over other seeds would be one over other people."""
    common = set.intersection(*(set(seeds) for _, seeds in rows.groupby("variant")["seed"]))
    return rows[rows["seed"].isin(common)]


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
