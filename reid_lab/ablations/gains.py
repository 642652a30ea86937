"""What a system's idea is worth: how far it lies above each of its controls."""

from __future__ import annotations

import pandas as pd

from reid_lab.ablations import statistics
from reid_lab.ablations.systems import OF, variants_of

CONTROL, ALTERNATIVE = "control", "alternative"


def gains(rows: pd.DataFrame, size: str) -> pd.DataFrame:
    """How far every system lies above each of its controls, in points of mAP.

    Args:
        rows: the table of the grid "systems".
        size: which of its rows.

    Returns:
        One row per system and control that have two seeds in common: ``kind``, "control" or "alternative" (see
        :mod:`.systems`); ``points``; ``half width`` of the 95 % interval; ``separated``, by this interval alone;
        ``corrected``, the p-value after Holm's correction for the number of rows.
    """
    found = {}
    some = rows[rows["size"] == size]
    for system, label, _ in variants_of(size):
        common = set(some.loc[some["variant"] == label, "seed"]) & set(
            some.loc[some["variant"] == system.label, "seed"]
        )
        if label == system.label or len(common) < 2:
            continue
        control = label.removeprefix(system.label + OF)
        one = statistics.difference(rows, size, system.label, label)
        kind = ALTERNATIVE if control in system.alternatives else CONTROL
        found[system.label, control] = (kind, one.points, one.half_width, one.separated, one.p)
    index = pd.MultiIndex.from_tuples(list(found), names=["system", "control"])
    table = pd.DataFrame(list(found.values()), index=index, columns=["kind", "points", "half width", "separated", "p"])
    return table.assign(corrected=statistics.holm(table["p"])).drop(columns="p")


def above_all_controls(found: pd.DataFrame, corrected: bool = False) -> pd.Series:
    """Tell of every system whether it is separated from all of its controls, and above them.

    Args:
        found: of :func:`gains`. Alternatives do not count.
        corrected: whether a difference must outlast Holm's correction, too.
    """
    controls = found[found["kind"] == CONTROL]
    told = controls["separated"] & (controls["points"] > 0)
    if corrected:
        told &= controls["corrected"] < 1 - statistics.CONFIDENCE
    return told.groupby(level="system", sort=False).all()
