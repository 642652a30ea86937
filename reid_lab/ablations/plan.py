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
from reid_lab.training.stages import total_epochs


def plan(wanted: Sequence[Job], folder: Path | str | None = None, runs: Path | str | None = None) -> pd.DataFrame:
    """What :func:`.run.run` would do: one row per job, with its state and the minutes that it should take.

    Nothing is made for a plan: where the data are not drawn yet, the run has no name.

    Returns:
        Columns ``grid``, ``variant``, ``size``, ``seed``, ``run``; ``state``: recorded, trained, interrupted or to do;
        ``minutes``: what recorded runs of the method and size took per epoch, those of the same grid where there are
        any; the median; NaN where there are none.
    """
    left = {job.name for job in missing(wanted, folder)}
    made = {key: is_made(*key) for key in {(job.data_size, job.data_seed) for job in wanted}}
    rates, rows = _minutes_per_epoch(folder), []
    for job in wanted:
        where = job.folder(runs) if made[job.data_size, job.data_seed] else None
        state = "recorded" if job.name not in left else _state(where)
        method = job.recipe.method
        per_epoch = rates.get((job.grid, method, job.size), rates.get(("", method, job.size), float("nan")))
        minutes = 0.0 if state in ("recorded", "trained") else per_epoch * total_epochs(job.recipe)
        keys = {name: getattr(job, name) for name in ("grid", *KEYS)}
        rows.append(keys | {"run": where.name if where else "", "state": state, "minutes": minutes})
    return pd.DataFrame(rows)


def _state(where: Path | None) -> str:
    if where is None or not where.is_dir():
        return "to do"
    return "trained" if finished(where) else "interrupted"


def _minutes_per_epoch(folder: Path | str | None) -> dict[tuple[str, str, str], float]:
    """By grid, method and size, of everything that is recorded; the grid "" is all of them."""
    known = {grid.name: tables.read(grid.name, folder) for grid in GRIDS.values() if grid.measure == "scores"}
    rows = [one.assign(grid=name) for name, one in known.items() if len(one)]
    if not rows:
        return {}
    table = pd.concat([*rows, *(one.assign(grid="") for one in rows)])
    method = table["run"].str.split("-").str[0]
    return (table["minutes"] / table["epochs"]).groupby([table["grid"], method, table["size"]]).median().to_dict()
