"""The recorded tables of the grids: ``NAME.csv``, one row per variant, size and seed.

A run that is also re-ranked has two rows. A grid that measures by epoch, layer or condition has several.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from reid_lab.ablations.grids import GRIDS
from reid_lab.ablations.measures import FOUND, RANKS
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import PACKED, lock, project_folder, write_text

KEYS = ["variant", "size", "seed"]
RERANKED = ", re-ranked"  # ends the label of a re-ranked row
PROVENANCE = ("data", "device", "precision", "threads", "torch", "reid_lab", "date")
SCORES = (*(f"rank-{k}" for k in RANKS), "mAP", "mINP", "epochs", "descriptor", "parameters")
MEASURED = {  # by a grid's measure: the columns of its table that running and drawing need
    "scores": SCORES,
    "bench": (*SCORES, "time"),
    "conditions": ("mAP", "rank-1", FOUND),
    "heat": ("heat", "area"),
    "curves": ("loss", "accuracy"),
    "domain": ("mAP", "rank-1"),
    "codes": ("bits", "compared", "mAP", "rank-1"),
}


def own_folder() -> Path:
    """Where tables and pictures are written: ``figures`` in the checkout, else where one stands."""
    return project_folder() / "figures"


def figures_folder() -> Path:
    """Where tables are read: :func:`own_folder`; where there is none, what the installed package has of them."""
    packed = PACKED / "figures"
    return packed if packed.is_dir() and not own_folder().is_dir() else own_folder()


def read(name: str, folder: Path | str | None = None) -> pd.DataFrame:
    """Read what is recorded of a grid.

    Args:
        name: of the grid.
        folder: of the tables; default :func:`figures_folder`.

    Returns:
        The table; an empty one where nothing is recorded.

    Raises:
        DataError: the file is no table.
    """
    path = Path(folder or figures_folder()) / f"{name}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=KEYS)
    try:
        rows = pd.read_csv(path, dtype={"variant": str})  # a rate of erasing is a name, not a number
    except (OSError, ValueError) as error:  # pandas' errors are ValueErrors
        raise DataError(
            f"{path} cannot be read ({error}): restore it, or move it away and run its grid again."
        ) from error
    _must_have(rows, KEYS, path)
    return rows


def check(folder: Path | str) -> None:
    """Check the tables in ``folder``.

    Raises:
        DataError: a table lacks a column that running or drawing needs.
    """
    for name, grid in GRIDS.items():
        path = Path(folder) / f"{name}.csv"
        if path.is_file():
            columns = ["run", "minutes", *PROVENANCE, *grid.several, *MEASURED[grid.measure]]
            _must_have(read(name, folder), columns, path)


def _must_have(rows: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    lost = [column for column in columns if column not in rows]
    if lost:
        raise DataError(f"{path} has no column {lost[0]!r}: restore it, or move it away and run its grid again.")


def merge(name: str, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Merge tables of one grid: the first of rows with the same keys counts.

    Returns:
        The rows by size, then in the grid's own order of variants, then by seed.
    """
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=KEYS)
    rows = pd.concat(filled, ignore_index=True).drop_duplicates([*KEYS, *GRIDS[name].several], keep="first")
    labels = {size: list(GRIDS[name].variants(size)) for size in dict.fromkeys(rows["size"])}
    places = [
        labels[size].index(plain) if plain in labels[size] else len(labels[size])
        for size, plain in zip(rows["size"], rows["variant"].str.removesuffix(RERANKED), strict=True)
    ]
    ordered = rows.assign(place=places).sort_values(["size", "place", "variant", "seed"], kind="stable")
    return ordered.drop(columns="place").reset_index(drop=True)


def add(name: str, rows: pd.DataFrame, folder: Path | str) -> None:
    """Add rows to a grid's table, which is written whole. Other processes may add rows at the same time."""
    path = Path(folder) / f"{name}.csv"
    with lock(path):
        write_text(path, merge(name, [read(name, folder), rows]).to_csv(index=False))


def add_from(others: Sequence[Path | str], names: Sequence[str], folder: Path | str) -> None:
    """Add what other machines recorded of the grids ``names``, in the folders ``others``, to the tables in ``folder``.

    Raises:
        DataError: one of the folders has a table of none of the grids, or a damaged one; nothing has been added.
    """
    files = [f"{name}.csv" for name in names]
    for other in others:
        if not any((Path(other) / file).is_file() for file in files):
            raise DataError(
                f"There is no table {' or '.join(files)} in {other}: give the folder that --out named there."
            )
        check(other)
    given = {name: merge(name, [read(name, other) for other in others]) for name in names}
    given = {name: rows for name, rows in given.items() if len(rows)}
    for name, rows in given.items():
        merge(name, [read(name, folder), rows])  # what cannot be merged is told before anything is written
    for name, rows in given.items():
        add(name, rows, folder)
