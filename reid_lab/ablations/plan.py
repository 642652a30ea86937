"""What running a grid would do, and how long it should take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reid_lab.ablations import tables
from reid_lab.ablations.grids import GRIDS
from reid_lab.ablations.run import Job, missing
from reid_lab.ablations.tables import KEYS
from reid_lab.passersby.generate import is_made
from reid_lab.training.run import finished


def plan(wanted: Sequence[Job], folder: Path | str | None = None, runs: Path | str | None = None) -> pd.DataFrame:
    """What :func:`.run.run` would do: one row per job, with its state and the minutes that it should take.

    Nothing is made for a plan: where the data are not drawn yet, the run has no name.

    Returns:
        Columns ``grid``, ``variant``, ``size``, ``seed``, ``run``; ``state``: recorded, trained, interrupted or to do;
        ``minutes``: what recorded runs of the method and size took per epoch, in the mean; NaN where there is none.
    """
    left = {job.name for job in missing(wanted, folder)}
    made = {key: is_made(*key) for key in {(job.data_size, job.data_seed) for job in wanted}}
    rates, rows = _minutes_per_epoch(folder), []
    for job in wanted:
        where = job.folder(runs) if made[job.data_size, job.data_seed] else None
        state = "recorded" if job.name not in left else _state(where)
        per_epoch = rates.get((job.recipe.method, job.size), float("nan"))
        minutes = 0.0 if state in ("recorded", "trained") else per_epoch * job.recipe.epochs
        keys = {name: getattr(job, name) for name in ("grid", *KEYS)}
        rows.append(keys | {"run": where.name if where else "", "state": state, "minutes": minutes})
    return pd.DataFrame(rows)


def _state(where: Path | None) -> str:
    if where is None or not where.is_dir():
        return "to do"
    return "trained" if finished(where) else "interrupted"


def _minutes_per_epoch(folder: Path | str | None) -> dict[tuple[str, str], float]:
    """By method and size, of everything that is recorded."""
    known = [tables.read(grid.name, folder) for grid in GRIDS.values() if grid.measure == "scores"]
    rows = pd.concat([one for one in known if len(one)] or [pd.DataFrame(columns=["run", "size", "minutes", "epochs"])])
    method = rows["run"].str.split("-").str[0] if len(rows) else rows["run"]
    rates = (rows["minutes"] / rows["epochs"]).groupby([method, rows["size"]]).mean()
    return dict(zip(rates.index.tolist(), rates.tolist(), strict=True))
