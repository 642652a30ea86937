"""What a system's idea is worth: how far it lies above each of its controls."""

from __future__ import annotations

import pandas as pd

from reid_lab.ablations import statistics
from reid_lab.ablations.systems import OF, variants_of


def gains(rows: pd.DataFrame, size: str) -> pd.DataFrame:
    """How far every system lies above each of its controls, in points of mAP.

    Args:
        rows: the table of the grid "systems".
        size: which of its rows.

    Returns:
        One row per system and control that have two seeds in common: ``points``, ``half width`` of the 95 % interval,
        ``separated``.
    """
    found = {}
    some = rows[rows["size"] == size]
    for system, label, _ in variants_of(size):
        common = set(some.loc[some["variant"] == label, "seed"]) & set(
            some.loc[some["variant"] == system.label, "seed"]
        )
        if label == system.label or len(common) < 2:
            continue
        one = statistics.difference(rows, size, system.label, label)
        found[system.label, label.removeprefix(system.label + OF)] = (one.points, one.half_width, one.separated)
    index = pd.MultiIndex.from_tuples(list(found), names=["system", "control"])
    return pd.DataFrame(list(found.values()), index=index, columns=["points", "half width", "separated"])
