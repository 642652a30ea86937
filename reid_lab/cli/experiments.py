"""The command that runs the papers' tables again: ablate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_lab.cli.options import (
    Arguments,
    a_few,
    above_zero,
    command,
    device_option,
    runs_option,
    size_option,
)
from reid_lab.runtime.errors import CheckpointError, ReidLabError, TrainingError

if TYPE_CHECKING:
    from reid_lab.ablations.runner import Job

NAMES = (
    *(
        "pooling",
        "pooling_more_seeds",
        "heads",
        "backbone",
        "erasing",
        "erasing_longer",
        "losses",
        "interpretations",
        "projection",
    ),
    *("conditions", "occlusion", "curves", "erasing_fit", "gradcam"),
)


def add_to(commands: Any) -> None:
    """Declare the command of this file."""
    running = command(
        commands,
        "ablate",
        ablate,
        "run the papers' tables again: every variant with several seeds, recorded and drawn",
        "ablate pooling --size classroom --seeds 3",
    )
    running.add_argument("experiments", nargs="+", choices=[*NAMES, "all"], metavar="EXPERIMENT", help=", ".join(NAMES))
    size_option(running, "classroom")
    running.add_argument("--seeds", type=a_few, default=3, help="of data and training, counted from 0 (default 3)")
    planning = running.add_mutually_exclusive_group()  # a dry run writes nothing, not even what is merged
    planning.add_argument("--dry-run", action="store_true", help="print the runs and how long they should take")
    running.add_argument("--draw", action="store_true", help="run nothing: draw what is recorded")
    running.add_argument("--minutes", type=above_zero, help="stop after so long, and go on with the next call")
    running.add_argument("--workers", type=a_few, help="runs at once (default: one per core, up to 4 on a GPU)")
    running.add_argument("--shard", metavar="K/N", help="the K-th of N shares, for several machines")
    planning.add_argument(
        "--merge", type=Path, nargs="+", default=[], metavar="FOLDER", help="add the tables of other machines' folders"
    )
    running.add_argument("--out", type=Path, help="folder of tables and pictures (default: figures)")
    runs_option(running)
    device_option(running)


def ablate(chosen: Arguments) -> int:
    """Run, record, draw. Returns 1 where something is left to do."""
    from reid_lab.ablations import claims, grids, runner

    names = list(grids.GRIDS) if "all" in chosen.experiments else list(dict.fromkeys(chosen.experiments))
    folder = chosen.out or runner.figures_folder()
    runner.check_tables(folder)
    runner.add_tables(names, chosen.merge, folder)
    wanted = [job for name in names for job in runner.jobs(grids.grid(name), chosen.size, range(chosen.seeds))]
    wanted = runner.shard(wanted, chosen.shard)
    if chosen.dry_run:
        return _show_plan(wanted, folder, chosen)
    left, troubles = 0, list[ReidLabError]()
    if not chosen.draw:
        try:
            left = runner.run(
                wanted,
                device=chosen.device,
                runs=chosen.runs,
                folder=folder,
                minutes=chosen.minutes,
                workers=chosen.workers,
                say=lambda line: print(line, flush=True),
            )
        except TrainingError as error:  # the others are recorded, and are to be seen
            troubles.append(error)
    for name in names:
        _show(name, chosen.size, folder)
    for name in names:
        troubles += _draw(name, chosen.size, folder)
    try:
        print(f"\nWhat the papers claim, and what all recorded runs say to it: {claims.write(chosen.size, folder)}")
    except CheckpointError as error:
        troubles.append(error)
    if left:
        print(f"{left} runs are left: start the same command again and it goes on.")
    if troubles:
        print(end="", flush=True)
        raise troubles[0]
    return 1 if left else 0


def _show_plan(wanted: list[Job], folder: Path, chosen: Arguments) -> int:
    from reid_lab.ablations import runner

    plan = runner.plan(wanted, folder, chosen.runs)
    print(plan.round(1).to_string(index=False))
    left = plan[~plan["state"].isin(["recorded"])]
    known = left["minutes"].notna().all()
    print(
        f"{len(left)} of {len(plan)} runs are left"
        + (
            f", {left['minutes'].sum():.0f} minutes one after another."
            if known
            else "; how long they take is not known."
        )
    )
    return 0


def _show(name: str, size: str, folder: Path) -> None:
    """The table of a grid, and what its seeds can tell apart."""
    from reid_lab.ablations import grids, runner, tables
    from reid_lab.runtime.errors import DataError

    rows = runner.table(name, folder)
    if not (len(rows) and (rows["size"] == size).any()):
        print(f"\n{name}: nothing is recorded at size {size}.")
        return
    print(f"\n{grids.grid(name).title} ({grids.grid(name).source})\n{grids.grid(name).equal}\n")
    if grids.grid(name).several:
        print(tables.means(name, rows, size).round(1).to_string())
    else:
        columns = ["seeds", "rank-1", "rank-1 sd", "mAP", "mAP sd", "descriptor", "parameters", "minutes"]
        print(tables.variants(rows, size)[columns].round(1).to_string())
        try:
            print("\n" + tables.against(name, rows, size).round(1).to_string())
        except DataError as error:
            print(f"\n{error}")


def _draw(name: str, size: str, folder: Path) -> list[ReidLabError]:
    """The picture of a grid where something is recorded of it; errors where it cannot be written."""
    from reid_lab.ablations import runner

    print(end="", flush=True)  # all tables, before a picture can fail
    rows = runner.table(name, folder)
    if len(rows) and (rows["size"] == size).any():
        from reid_lab.ablations import pictures

        try:
            for path in pictures.draw(name, rows, size, folder):
                print(f"Written to {path}")
        except CheckpointError as error:
            return [error]
    return []
