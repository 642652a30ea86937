"""The commands about the runs folder: runs list, runs compare, runs signs, runs delete."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reid_lab.cli.app import Commands, app, command
from reid_lab.cli.options import RunNames, Runs, chosen_run, picture_to_write
from reid_lab.runtime.errors import CheckpointError

if TYPE_CHECKING:
    import pandas as pd

GROUP = "Commands"
part = typer.Typer(cls=Commands, rich_markup_mode=None)
app.add_typer(part, name="runs", rich_help_panel="Training", epilog="\b\nExample:\n  reid-lab runs")


@part.callback(invoke_without_command=True)
def runs(context: typer.Context, runs: Runs = None) -> int:
    """List trained runs; with another command, compare them, judge their training, or delete them."""
    if context.invoked_subcommand is None:
        return show(runs)
    context.default_map = dict.fromkeys(
        ("list", "compare", "signs", "delete"), {"runs": runs}
    )  # what stands before is kept
    return 0


@command(GROUP, "runs list", to=part, name="list")
def show(runs: Runs = None) -> int:
    """List all runs: finished, unfinished and damaged."""
    from reid_lab.runtime.files import runs_folder
    from reid_lab.training import runs as kept

    table = kept.table(runs)
    if table.empty:
        print(f"No runs in {runs or runs_folder()} yet: train one, for example with reid-lab demo.")
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


@command(GROUP, "runs compare residual_pooling-classroom-01 residual_pooling-classroom-fe", to=part)
def compare(names: RunNames, runs: Runs = None) -> int:
    """Show in what some runs differ, and their results."""
    from reid_lab.training import runs as kept

    _print(kept.compare([kept.find(name, runs) for name in names]), digits=4)
    return 0


@command(GROUP, "runs signs residual_pooling-classroom-01 --picture signs.png", to=part)
def signs(
    names: RunNames,
    picture: Annotated[
        Path | None,
        typer.Option(parser=picture_to_write, metavar="FILE", help="Also draw all their epochs to this .png file."),
    ] = None,
    runs: Runs = None,
) -> int:
    """Show the vital signs of some runs' training, finished or not: whether it learned, or only ran."""
    from reid_lab import training
    from reid_lab.training.run import read_history

    histories = {folder.name: read_history(folder) for folder in (chosen_run(name, runs) for name in names)}
    for name, history in histories.items():
        table = training.vital_signs(history)
        print(name if len(table) else f"{name} has no vital signs yet: they come with its first epoch.")
        if len(table):
            _print(table.drop(columns="unhealthy means").set_index("sign").rename_axis(None), digits=3)
        for sentence in training.unhealthy(history):
            print(f"[warning] {sentence}")
    if picture is not None:
        from reid_lab import plots

        plots.save(plots.vital_signs(histories), picture)
        print(f"Written to {picture}")
    return 0


@command(GROUP, "runs delete residual_pooling-classroom-0123456789", to=part)
def delete(
    names: RunNames,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without a question.")] = False,
    runs: Runs = None,
) -> int:
    """Delete some runs, after a question."""
    from reid_lab.training import runs as kept

    folders = list(dict.fromkeys(kept.find(name, runs) for name in names))
    for folder in folders:
        kept.check_deletable(folder)  # all of them before the first is gone
    if not yes and not _agreed(folders):
        print("Nothing was deleted.")
        return 1
    for folder in folders:
        kept.delete(folder)
        print(f"Deleted {folder}")
    return 0


def _agreed(folders: Sequence[Path]) -> bool:
    """Ask on the terminal; without an answer it is no."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise CheckpointError(
            f"Nobody can be asked whether {folders[0].name} may be deleted, so nothing was deleted: add --yes."
        )
    for folder in folders:
        print(folder)
    try:
        answer = input(f"Delete {'this run' if len(folders) == 1 else f'these {len(folders)} runs'}? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def _print(table: pd.DataFrame, digits: int) -> None:
    """Print a table as wide as it is; on a terminal that is too narrow, its columns in several blocks."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    shown = table.astype(object).map(lambda value: f"{value:.{digits}g}" if isinstance(value, float) else str(value))
    print(shown.where(table.notna(), "").to_string(line_width=width))
