"""The command about the runs folder: runs list, runs compare, runs delete."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_lab.cli.options import Arguments, command, runs_option
from reid_lab.runtime.errors import CheckpointError

if TYPE_CHECKING:
    import pandas as pd


def add_to(commands: Any) -> None:
    """Declare ``runs`` and what it can do."""
    runs = command(commands, "runs", show, "list, compare or delete trained runs", "runs")
    runs_option(runs)
    actions = runs.add_subparsers(metavar="list | compare | delete")
    listing = command(actions, "list", show, "list all runs: finished, unfinished and damaged", "runs list")
    comparing = command(
        actions,
        "compare",
        compare,
        "show in what some runs differ, and their results",
        "runs compare residual_pooling-classroom-01 residual_pooling-classroom-fe",
    )
    deleting = command(
        actions, "delete", delete, "delete some runs", "runs delete residual_pooling-classroom-0123456789"
    )
    for parser in (comparing, deleting):
        parser.add_argument("names", nargs="+", metavar="RUN", help="a run's folder, or the beginning of its name")
    deleting.add_argument("--yes", action="store_true", help="without asking")
    for parser in (listing, comparing, deleting):
        runs_option(parser, argparse.SUPPRESS)  # what stands before "list" is kept


def show(chosen: Arguments) -> int:
    """Print the table of all runs."""
    from reid_lab.runtime.files import runs_folder
    from reid_lab.training import runs

    table = runs.table(chosen.runs)
    if table.empty:
        print(f"No runs in {chosen.runs or runs_folder()} yet: train one, for example with python -m reid_lab demo.")
        return 0
    _print(table.rename_axis(index=None, columns="name"), digits=3)
    curves_lost = table["state"] == "damaged: history.csv"
    if curves_lost.any():
        print("A run of which only history.csv is damaged loads again when you delete that file.")
    if (table["state"].str.startswith("damaged") & ~curves_lost).any():
        print("A damaged run cannot be loaded: delete its folder and train it again.")
    if table["state"].str.startswith("unreadable").any():
        print("An unreadable run may be whole: ask its owner for the right to read it.")
    return 0


def compare(chosen: Arguments) -> int:
    """Print in what the runs differ, runs as columns."""
    from reid_lab.training import runs

    _print(runs.compare([runs.find(name, chosen.runs) for name in chosen.names]), digits=4)
    return 0


def delete(chosen: Arguments) -> int:
    """Delete runs, after a question; status 1 where the answer was no."""
    from reid_lab.training import runs

    folders = list(dict.fromkeys(runs.find(name, chosen.runs) for name in chosen.names))
    for folder in folders:
        runs.check_deletable(folder)  # all of them before the first is gone
    if not chosen.yes and not _agreed(folders):
        print("Nothing was deleted.")
        return 1
    for folder in folders:
        runs.delete(folder)
        print(f"Deleted {folder}")
    return 0


def _agreed(folders: Sequence[Path]) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise CheckpointError(
            f"Nobody is there to be asked whether {folders[0].name} may be deleted, so nothing was: add --yes."
        )
    for folder in folders:
        print(folder)
    try:
        answer = input(f"Delete {'this run' if len(folders) == 1 else f'these {len(folders)} runs'}? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def _print(table: pd.DataFrame, digits: int) -> None:
    """As wide as it is; on a terminal too narrow for that, its columns in several blocks."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    shown = table.astype(object).map(lambda value: f"{value:.{digits}g}" if isinstance(value, float) else str(value))
    print(shown.where(table.notna(), "").to_string(line_width=width))
