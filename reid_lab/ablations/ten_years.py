"""The pictures of the grids ``systems`` and ``codes``: scores and costs by year, and what the controls leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reid_lab.ablations import comparisons
from reid_lab.ablations.gains import ALTERNATIVE, gains
from reid_lab.ablations.grids import grid
from reid_lab.ablations.strips import MARKS
from reid_lab.ablations.systems import OF, SYSTEMS, System
from reid_lab.ablations.tables import RERANKED
from reid_lab.plots import COLORS, INK, NEUTRAL, dress

COSTS = {
    "time": "time for one image\n(multiple of the softmax baseline's;\nits own mark shows the error)",
    "descriptor": "numbers that describe an image",
}
GROUPS = {  # every system that has controls, by what its idea changes
    "Metrics in closed form": ("LOMO + XQDA", "BoW + KISSME"),
    "Parts, scales and crops": ("PAR", "MultiScale", "MultiLoss", "GLAD", "PAN", "PCB", "PCB + RPP"),
    "Layers, losses and codes": ("SVDNet", "BEF", "strong baseline", "CtF, real values", "paper B"),
    "Generated images and further tasks": ("LSRO", "APR", "paper A", "DG-Net's losses, perfect generator"),
}
SIZE = 10  # of letters, in points


def by_year_and_cost(rows: pd.DataFrame) -> Figure:
    """Draw a row for every system, in the order of years: its mAP, its time for one image, the length of its features.

    Args:
        rows: of the grid ``systems``, of one size. Only the seeds that all of its systems have are drawn.
    """
    years = {system.label: system.year for system in SYSTEMS}
    systems = of_common_seeds(rows[rows["variant"].isin(years)])
    found = systems.groupby("variant")[["mAP", *COSTS]].mean()
    labels = [system.label for system in SYSTEMS if system.label in found.index]
    seeds = sorted(systems["seed"].unique())
    figure = Figure(figsize=(12, 1.8 + 0.32 * len(labels)), layout="constrained")
    panels = figure.subplots(1, 1 + len(COSTS), sharey=True, width_ratios=(3, 2, 2))
    at = systems["variant"].map(labels.index)
    panels[0].scatter(systems["mAP"], at, color=COLORS[0], alpha=0.4 if len(seeds) > 1 else 1, s=24)
    if len(seeds) > 1:
        panels[0].scatter(found.loc[labels, "mAP"], range(len(labels)), marker="|", s=160, color=INK, zorder=3)
    dress(panels[0], "mAP, %", "")
    for axes, (column, says) in zip(panels[1:], COSTS.items(), strict=True):
        axes.scatter(found.loc[labels, column], range(len(labels)), color=COLORS[1], s=30)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        dress(axes, says, "")
    panels[0].set_yticks(range(len(labels)), [f"{label}, {years[label]}" for label in labels], fontsize=SIZE)
    panels[0].set_ylim(len(labels) - 0.5, -0.5)
    words = f"marks: {in_words(seeds)}" + ("; strokes: their mean" if len(seeds) > 1 else "")
    figure.suptitle(f"{grid('systems').title}\n({words})")
    return figure


def in_words(seeds: Sequence[int]) -> str:
    """Name seeds, such as "seed 0" or "seeds 0, 1"."""
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def of_common_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the seeds that all variants have: a mean over other seeds would be one over other people."""
    common = set.intersection(*(set(seeds) for _, seeds in rows.groupby("variant")["seed"]))
    return rows[rows["seed"].isin(common)]


def against_controls(rows: pd.DataFrame, systems: Sequence[str] = (), title: str = "") -> Figure:
    """Draw a row for every system and every control: its seeds and their mean, and how far the system lies above it.

    Args:
        rows: of the grid ``systems``, of one size.
        systems: which of them; default all that have controls.
        title: stands above both panels; default that of the grid.
    """
    some = rows[~rows["variant"].str.endswith(RERANKED)]
    wanted = [one for one in SYSTEMS if (one.label in systems if systems else one.controls)]
    labels = [label for system in wanted for label in _recorded(system, some)]
    figure = Figure(figsize=(10, 1.9 + 0.3 * len(labels)), layout="constrained")
    scores, points = figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
    wide = some.pivot(index="seed", columns="variant", values="mAP")[labels]
    for mark, (_, of_seed) in zip(MARKS, wide.iterrows(), strict=False):
        scores.plot(of_seed.to_numpy(), range(len(labels)), mark, color=NEUTRAL, markersize=6, alpha=0.7)
    scores.plot(wide.mean().to_numpy(), range(len(labels)), "|", color="black", markersize=13, markeredgewidth=2)
    dress(scores, "mAP, %", "")
    _points(points, gains(rows, rows["size"].iloc[0]), labels)
    _name(scores, labels)
    title = title or f"{grid('systems').title}: every system above its controls"
    comparisons.framed(figure, [*comparisons.marks(wide.index, "mean of the seeds"), *comparisons.told()], title)
    return figure


def _points(axes: Axes, above: pd.DataFrame, labels: Sequence[str]) -> None:
    """How far each system lies above its control, with the interval, in the look of :mod:`.comparisons`."""
    for place, label in enumerate(labels):
        system, _, control = label.partition(OF)
        if (system, control) in above.index:
            one = above.loc[(system, control)]
            _, color, inside = comparisons.TOLD[not one["separated"]]
            look: dict[str, Any] = {"color": color, "marker": "o", "markerfacecolor": inside, "capsize": 3}
            axes.errorbar(one["points"], place, xerr=one["half width"], linewidth=2, **look)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    dress(axes, "mAP of the system minus that of the row, points", "")


def _recorded(system: System, rows: pd.DataFrame) -> list[str]:
    wanted = [system.label, *(f"{system.label}{OF}{control}" for control in system.controls)]
    return [label for label in wanted if label in set(rows["variant"])]


def _name(axes: Axes, labels: Sequence[str]) -> None:
    """Systems with their year, bold; controls below them, without the system's name; alternatives are called so."""
    names = {system.label: f"{system.label}, {system.year}" for system in SYSTEMS}
    for system in SYSTEMS:
        for control in system.controls:
            kind = f" ({ALTERNATIVE})" if control in system.alternatives else ""
            names[f"{system.label}{OF}{control}"] = control + kind
    axes.set_yticks(range(len(labels)), [names[label] for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    for label, tick in zip(labels, axes.get_yticklabels(), strict=True):
        tick.set(fontsize=SIZE, fontweight="normal" if OF in label else "bold")


def codes(rows: pd.DataFrame) -> Figure:
    """Draw the mAP of every code, and of the search from coarse to fine, over the bits that are compared.

    Args:
        rows: of the grid ``codes``, of one size.
    """
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    rows = rows.assign(variant=rows["variant"].map(lambda label: label.partition(OF)[2] or "CtF's codes"))
    plain = rows[rows["code"] != "coarse to fine"]
    variants, seeds = list(rows["variant"].unique()), sorted(rows["seed"].unique())
    look: dict[str, Any] = {"hue": "variant", "hue_order": variants, "palette": COLORS[: len(variants)], "ax": axes}
    seaborn.lineplot(plain, x="compared", y="mAP", errorbar="sd", marker="o", **look)
    cascade = rows[rows["code"] == "coarse to fine"].groupby("variant")[["compared", "mAP"]].mean().loc[variants]
    axes.scatter(cascade["compared"], cascade["mAP"], marker="*", s=180, color=COLORS[: len(variants)], zorder=3)
    axes.set_xscale("log", base=2)
    bits = sorted(plain["compared"].unique())
    axes.set_xticks(bits, [f"{number:g}" for number in bits])
    axes.minorticks_off()
    dress(axes, "bits that a query and an image are compared by, on average", "mAP, %")
    spread = "mean and standard deviation of " if len(seeds) > 1 else ""
    axes.set_title(f"lines: one code; stars: from coarse to fine ({spread}{in_words(seeds)})", fontsize=11)
    axes.legend(fontsize=SIZE)
    return figure
