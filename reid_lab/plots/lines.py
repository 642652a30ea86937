"""Lines and intervals: accuracy over ranks, thresholds, epochs and conditions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from reid_lab.plots.style import COLORS, INK, LINES, NEUTRAL, axes_of, dress
from reid_lab.retrieval import OpenSet, Result, Roc
from reid_lab.runtime.errors import DataError
from reid_lab.training import Run
from reid_lab.training.signs import SIGNS, Sign


def cmc(results: Mapping[str, Result], ranks: int = 20) -> Figure:
    """Cumulative matching characteristic of several results (paper A, eq. 7): share of queries matched by rank k."""
    figure, axes = axes_of("rank k", "queries with a match among the first k, %")
    for i, (name, result) in enumerate(results.items()):
        shown = min(ranks, len(result.cmc))
        axes.plot(
            np.arange(1, shown + 1),
            100 * result.cmc[:shown],
            label=f"{name} (mAP {100 * result.mAP:.1f} %)",
            color=COLORS[i % len(COLORS)],
            linestyle=LINES[i % len(LINES)],
            marker="o",
            markersize=4,
        )
    axes.set_ylim(0, 102)
    most = max((min(ranks, len(result.cmc)) for result in results.values()), default=1)
    step = 5 * max(1, round(most / 25))
    axes.set_xticks([1, *range(step, most + 1, step)] if most > 5 else range(1, most + 1))
    axes.legend(loc="best")
    return figure


def thresholds(rocs: Mapping[str, Roc | None], false_match_rate: float = 0.01) -> Figure:
    """Above which score is it the same person? Receiver operating characteristics on one figure.

    Args:
        rocs: by name, from ``retrieval.evaluate(..., roc=True).roc``, or from ``retrieval.verification`` (paper A's
            verification head, eq. 4, beside the cosine similarity of the same pairs).
        false_match_rate: share of impostor pairs that may be accepted; the threshold for it is marked and written
            beside the mark.

    Raises:
        DataError: a result has no ROC.
        FeatureError: the rate does not lie in 0..1.
    """
    figure, axes = axes_of("impostor pairs accepted, %", "genuine pairs accepted, %")
    for i, (name, roc) in enumerate(rocs.items()):
        if roc is None:
            raise DataError(
                f"{name!r} has no ROC: evaluate with roc=True, or leave it out, if its gallery shows no other people."
            )
        point, sign = roc.at(false_match_rate), "≥" if roc.higher_is_nearer else "≤"
        label = f"{name} (equal error rate {100 * roc.eer:.1f} %)"
        color = COLORS[i % len(COLORS)]
        shown = roc.false_match_rates > 0
        x, y = 100 * roc.false_match_rates[shown], 100 * roc.true_match_rates[shown]
        axes.plot(x, y, color=color, linestyle=LINES[i % len(LINES)], label=label)
        mark = 100 * point.false_match_rate, 100 * point.true_match_rate
        axes.plot(*mark, "o", color=color)
        text = f"{roc.measure} {sign} {point.threshold:.3g}"
        beside = (8, -12) if mark[1] > 10 else (8, 8)  # never below the axis
        paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # the text stands before the lines
        axes.annotate(text, mark, xytext=beside, textcoords="offset points", color=color, bbox=paper)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:.8f}".rstrip("0").rstrip(".")))  # of percent
    axes.set_ylim(0, 102)
    axes.axvline(100 * false_match_rate, color=INK, linewidth=0.8, linestyle=":")
    axes.legend(loc="best")
    return figure


def identification(searches: Mapping[str, OpenSet], fpir: float = 0.01) -> Figure:
    """Is the person there at all? Detection and identification rate over the rate of false alarms, on one figure.

    Args:
        searches: by name, from ``retrieval.open_set``.
        fpir: the false positive identification rate that is marked, 0..1.

    Raises:
        FeatureError: there is no non-mated search, or the rate does not lie in 0..1.
        NoMatchError: there is no mated search.
    """
    figure, axes = axes_of("searches for absent people with a false alarm (FPIR), %", "present people found (TPIR), %")
    for i, (name, each) in enumerate(searches.items()):
        _, false, true = each.curve()
        threshold, shown, color = each.threshold(fpir), false > 0, COLORS[i % len(COLORS)]
        found = 100 * each.tpir(threshold)
        label = f"{name}: TPIR {found:.0f} % at FPIR {100 * fpir:g} %"
        rates, line = (100 * false[shown], 100 * true[shown]), LINES[i % len(LINES)]
        axes.step(*rates, where="post", color=color, linestyle=line, label=label)
        axes.plot(100 * fpir, found, "o", color=color)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(0, 102)
    axes.axvline(100 * fpir, color=INK, linewidth=0.8, linestyle=":")
    axes.legend(loc="best")
    return figure


def curves(runs: Mapping[str, Run | pd.DataFrame]) -> Figure:
    """Loss, identification accuracy in training, and mAP where a run measured it more than once (paper B, Fig. 5).

    A run's mAP is that of its benchmark: of the test, or of a validation split.
    """
    histories = {name: run if isinstance(run, pd.DataFrame) else run.history for name, run in runs.items()}
    columns = [("loss", "loss", 1), ("accuracy", "training accuracy, %", 100)]
    if any(history["mAP"].count() > 1 for history in histories.values()):
        columns.append(("mAP", "mAP, %", 100))
    figure = Figure(figsize=(4 * len(columns), 3.8), layout="constrained")
    panels = figure.subplots(1, len(columns), sharex=True)
    for axes, (column, label, scale) in zip(panels, columns, strict=True):
        dress(axes, "epoch", label)
        for i, (name, whole) in enumerate(histories.items()):
            history = whole.dropna(subset=[column])
            axes.plot(
                history["epoch"],
                scale * history[column],
                label=name,
                color=COLORS[i % len(COLORS)],
                linestyle=LINES[i % len(LINES)],
                marker="o" if len(history) < 25 else None,
                markersize=3,
            )
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend()
    return figure


def vital_signs(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw what shows whether trainings are alive, sign by sign, where the unhealthy values are shaded and named.

    Args:
        histories: by name of the run, a row for each epoch (:attr:`reid_lab.training.Run.history`).

    Returns:
        A panel for each sign that one of them has (see :func:`reid_lab.training.vital_signs`).

    Raises:
        DataError: none of them has a sign.
    """
    measured = {sign: {name: sign.values(history) for name, history in histories.items()} for sign in SIGNS}
    there = {sign: lines for sign, lines in measured.items() if any(map(len, lines.values()))}
    if not there:
        raise DataError(f"The histories of {', '.join(histories) or 'no run'} have no vital signs: train a run again.")
    figure = Figure(figsize=(2.6 * len(there) + 0.4, 3.2), layout="constrained")
    for axes, (sign, lines) in zip(figure.subplots(1, len(there), squeeze=False)[0], there.items(), strict=True):
        dress(axes, "epoch", sign.name)
        for i, (name, values) in enumerate(lines.items()):
            axes.plot(
                values.index,
                values,
                label=name,
                color=COLORS[i % len(COLORS)],
                linestyle=LINES[i % len(LINES)],
                marker="o" if len(values) < 25 else None,
                markersize=3,
            )
        _shade(axes, sign, pd.concat(list(lines.values())))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = figure.axes[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside upper center", ncols=4, frameon=False)
    return figure


def _shade(axes: Axes, sign: Sign, values: pd.Series) -> None:
    """Shade what is unhealthy, from the limit to the end of the axis, and name it above, where no line hides it."""
    below = sign.low > -np.inf
    limit = sign.low if below else sign.high
    top = 1.05 * max(1.0 if limit < 1 else 1.2 * limit, values[np.isfinite(values)].max())
    axes.set_ylim(0, top)
    axes.axhspan(0 if below else limit, limit if below else top, color=NEUTRAL, alpha=0.25, linewidth=0)
    axes.set_title(f"shaded:\n{sign.ill}", fontsize=10)


def conditions(
    tables: Mapping[str, pd.DataFrame], score: str = "mAP", x: str | None = None, y: str | None = None
) -> Figure:
    """One score with its intervals, bin by bin, for several methods; beneath each bin, how many it counts.

    Args:
        tables: by name of the method, all of one benchmark, from `by`, `by_occlusion`, `by_angle` or
            `background_shortcut`.
        score: a column that has "low" and "high" beside it.
        x: label of the axis; default the table's own.
        y: label of the axis; default the score's name.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    first = next(iter(tables.values()))
    for i, (name, table) in enumerate(tables.items()):
        table = table.reindex(first.index)
        place = np.arange(len(table)) + (i + 0.5) / len(tables) / 2 - 0.25  # side by side within a bin
        below, above = table[score] - table[f"{score} low"], table[f"{score} high"] - table[score]
        color, sign = COLORS[i % len(COLORS)], "osD^v<>"[i % 7]
        axes.errorbar(place, table[score], [below, above], label=name, color=color, fmt=sign, capsize=3)
    counts = first.iloc[:, 0]
    axes.set_xticks(range(len(first)), [f"{bin}\n({count:,})" for bin, count in counts.items()])
    axes.set(xlim=(-0.6, len(first) - 0.4), ylabel=y or f"{score}, %")
    axes.set_xlabel(f"{x or first.index.name} (number of {counts.name})")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
    return figure
