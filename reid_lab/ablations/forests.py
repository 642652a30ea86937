"""The forest plot of the papers' claims: a row for every claim, with its difference, its interval and its verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reid_lab.ablations.claims import FAILS, HOLDS, KINDS, OPEN, Claim, Verdict
from reid_lab.plots import COLORS, MATCH, MISS, NEUTRAL, dress

FAINT = "0.55"
BLIND = ("blind", "blind")
VERDICTS = {  # by the verdict without and with the correction: words, color, mark, is it filled
    (HOLDS, HOLDS): ("holds, before and after", MATCH, ">", True),
    (HOLDS, OPEN): ("holds before, cannot be told after", COLORS[0], "D", False),
    (FAILS, FAILS): ("does not hold, before and after", MISS, "<", True),
    (FAILS, OPEN): ("does not hold before, cannot be told after", COLORS[3], "s", False),
    (OPEN, OPEN): ("cannot be told, before and after", NEUTRAL, "o", False),
    BLIND: ("Grad-CAM at layer4, which cannot see the subtraction", FAINT, "x", True),
}
GROUPS: dict[str, Callable[[Claim], bool]] = {
    "Paper A: multi-task Res2Net": lambda claim: claim.paper == "A",
    "Paper B: what its parts are worth": lambda claim: claim.paper == "B" and claim.metric != "heat",
    "Paper B: where the heat lies": lambda claim: claim.paper == "B" and claim.metric == "heat",
}
SIZE = 10  # of letters, in points
WORDS = {  # of one claim, of several
    HOLDS: ("holds", "hold"),
    FAILS: ("does not hold", "do not hold"),
    OPEN: ("cannot be told", "cannot be told"),
    "": ("has no runs", "have no runs"),
}


def groups(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Sort verdicts by paper and unit: each of these groups fits a page, and its rows share a scale."""
    found = {name: [one for one in verdicts if belongs(one.claim)] for name, belongs in GROUPS.items()}
    return {name: some for name, some in found.items() if some}


def counts(verdicts: Sequence[Verdict]) -> str:
    """Say how many claims hold, do not hold, cannot be told or have no runs, before and after the correction."""
    told = []
    for after in (False, True):
        found = Counter("" if one.lacks else one.told_corrected if after else one.told for one in verdicts)
        told.append(", ".join(f"{found[key]} {words[found[key] > 1]}" for key, words in WORDS.items() if found[key]))
    return f"{len(verdicts)} claims. By their intervals: {told[0]}. After the correction: {told[1]}."


def forest(verdicts: Sequence[Verdict]) -> Figure:
    """Draw a row per claim: its difference and interval, and the paper's own difference on Market-1501 as text.

    Color and mark tell the verdict, and whether it outlasts the correction for the number of claims. Crosses come from
    an instrument that cannot see what their claim is about. Every group has a line for its name.
    """
    rows: list[Verdict | str] = []
    for name, some in groups(verdicts).items():
        rows += [name, *some]
    figure = Figure(figsize=(10, 1.8 + 0.42 * len(rows)), layout="constrained")
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2.2))
    _intervals(axes, rows)
    dress(axes, "points in the claim's favour", "")
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color="0.2", linewidth=1)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    _names(axes, rows)
    _numbers(beside, rows)
    title = "verdict by the 95 % interval, before and after Holm's correction for the number of claims"
    look: dict[str, Any] = {"title_fontsize": SIZE, "fontsize": SIZE, "frameon": False}
    figure.legend(title=title, loc="outside upper center", ncols=2, **look)
    return figure


def _intervals(axes: Axes, rows: Sequence[Verdict | str]) -> None:
    """Points and intervals of all rows that have them, look by look."""
    for key, (words, color, mark, filled) in VERDICTS.items():
        some = {
            place: one
            for place, one in enumerate(rows)
            if isinstance(one, Verdict) and not one.lacks and _state(one) == key
        }
        if some:
            points, widths = zip(*((one.points, one.half_width) for one in some.values()), strict=True)
            look: dict[str, Any] = {
                "color": color,
                "marker": mark,
                "markersize": 8,
                "markerfacecolor": color if filled else "white",
            }
            axes.errorbar(points, list(some), xerr=widths, linestyle="none", capsize=3, label=words, zorder=3, **look)


def _state(one: Verdict) -> tuple[str, str]:
    return BLIND if one.claim.blind else (one.told, one.told_corrected)


def _names(axes: Axes, rows: Sequence[Verdict | str]) -> None:
    """Write each row's group or claim at its place: groups bold, claims without numbers, or blind ones, faint."""
    axes.set_yticks(range(len(rows)), [one if isinstance(one, str) else _folded(one.claim) for one in rows])
    axes.tick_params(axis="y", length=0, labelsize=SIZE)
    axes.tick_params(axis="x", labelsize=SIZE)
    for place, (one, label) in enumerate(zip(rows, axes.get_yticklabels(), strict=True)):
        if isinstance(one, str):
            label.set_fontweight("bold")
            axes.axhspan(place - 0.5, place + 0.5, color="0.93", zorder=0)
        elif one.lacks or one.claim.blind:
            label.set_color(FAINT)


def _folded(claim: Claim) -> str:
    """A claim's words in short lines; whose claim it is stays on one."""
    kind = KINDS[claim.kind].strip()
    return fill(f"{claim.says} {kind.replace(' ', chr(0xA0))}".strip(), 40).replace(chr(0xA0), " ")


def _numbers(axes: Axes, rows: Sequence[Verdict | str]) -> None:
    """Write our numbers with their unit, and the paper's own difference in the same unit."""
    axes.set_axis_off()
    look: dict[str, Any] = {"va": "center", "fontsize": SIZE - 1}
    for x, head in ((0, "ours ± half the interval"), (0.72, "the paper's,\nMarket-1501")):
        axes.text(x, 0, head, weight="bold", **look)
    for place, one in enumerate(rows):
        if isinstance(one, Verdict):
            color = FAINT if one.lacks else "black"
            axes.text(0, place, one.lacks or one.ours.replace(", ", ",\n"), color=color, **look)
            if pair := one.claim.published():
                axes.text(0.72, place, f"{pair[0] - pair[1]:+.2f}", color=color, **look)
