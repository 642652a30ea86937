"""The command that runs the papers' tables again: ablate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from reid_lab.cli.app import command
from reid_lab.cli.options import Device, Runs, Size, a_few, above_zero
from reid_lab.runtime.errors import CheckpointError, DataError, RecipeError, ReidLabError, TrainingError, WorkerError

if TYPE_CHECKING:
    from reid_lab.ablations.run import Job

NAMES = (
    *(
        "pooling",
        "pooling_longer",
        "heads",
        "backbone",
        "losses",
        "interpretations",
        "projection",
        "conditions",
        "curves",
        "gradcam",
        "domain",
        "erasing",
        "erasing_longer",
        "occlusion",
        "erasing_fit",
        "seeds",
        "own_networks",
        "own_networks_gradcam",
        "systems",
        "codes",
    ),
    *("tuning_residual_pooling", "tuning_multitask", "tuning_own_networks", "tuning_systems"),
)


def _experiment(name: Any) -> str:
    if name not in (*NAMES, "all"):
        raise typer.BadParameter(
            f"'{name}' is not an experiment: choose from {', '.join(NAMES)}, or all, which leaves out those of tuning"
        )
    return name


Experiments = Annotated[
    list[str],
    typer.Argument(
        metavar="EXPERIMENT",
        parser=_experiment,
        autocompletion=lambda: [*NAMES, "all"],
        help=f"One or more of {', '.join(NAMES)}; all is all but the last four, which choose recipes.",
    ),
]
Seeds = Annotated[int, typer.Option(parser=a_few, help="How many seeds of data and training, counted from 0.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list the runs and how long they should take.")]
Draw = Annotated[bool, typer.Option("--draw", help="Run nothing, only draw what is recorded.")]
Minutes = Annotated[
    float | None, typer.Option(parser=above_zero, help="Stop after so many minutes; the next call goes on.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        parser=a_few, show_default="one per core, up to 4 on a GPU", help="How many runs are trained at the same time."
    ),
]
Shard = Annotated[str | None, typer.Option(metavar="K/N", help="Run only the K-th of N shares: one for each machine.")]
Merge = Annotated[
    list[Path] | None,
    typer.Option(metavar="FOLDER", help="Add the tables of another machine's folder; may be given several times."),
]
Out = Annotated[
    Path | None, typer.Option(metavar="FOLDER", show_default="figures", help="The folder of tables and pictures.")
]


Start = Annotated[
    Literal["random", "passersby", "imagenet"] | None,
    typer.Option(
        metavar="START",
        show_default="the recipe's",
        help="Where backbones start: random; passersby, trained on another town (slim ones); imagenet (the papers').",
    ),
]


@command("Experiments", "ablate pooling --size classroom --seeds 3")
def ablate(
    experiments: Experiments,
    size: Size = "classroom",
    start: Start = None,
    seeds: Seeds = 3,
    dry_run: DryRun = False,
    draw: Draw = False,
    minutes: Minutes = None,
    workers: Workers = None,
    shard: Shard = None,
    merge: Merge = None,
    out: Out = None,
    runs: Runs = None,
    device: Device = None,
) -> int:
    """Run the papers' tables again: every variant with several seeds, recorded, drawn and compared."""
    from reid_lab.ablations import grids, run, tables

    if dry_run and merge:
        raise RecipeError("--dry-run writes nothing, and --merge writes tables: leave out one of them.")
    setting = _setting(size, start)
    names = _every_question() if "all" in experiments else list(dict.fromkeys(experiments))
    folder = out or tables.own_folder()
    tables.check(folder)
    tables.add_from(merge or [], names, folder)
    wanted = [job for name in names for job in run.jobs(grids.grid(name), setting, range(seeds))]
    wanted = run.shard(wanted, shard)
    if dry_run:
        return _show_plan(wanted, folder, runs)
    left, errors = 0, list[ReidLabError]()
    if not draw:
        try:
            left = run.run(wanted, device=device, runs=runs, folder=folder, minutes=minutes, workers=workers, say=_say)
        except (TrainingError, WorkerError) as error:  # the other runs are recorded, and are shown
            errors.append(error)
    return _report(names, setting, folder, left, errors)


def _setting(size: str, start: str | None) -> str:
    """What a size is called in the tables: with the start, where it is not the usual one."""
    from reid_lab import methods
    from reid_lab.ablations.grid import STARTS

    slim = size in ("smoke", "classroom")
    if start == ("imagenet" if slim else "passersby"):
        networks, other = ("slim", "passersby") if slim else ("the papers'", "imagenet")
        raise RecipeError(f"At size {size}, networks are {networks}: take --start random or {other}, not {start}.")
    usual = start is None or STARTS[start] == methods.residual_pooling(size).weights
    return size if usual else f"{size}-{start}"


def _every_question() -> list[str]:
    """All experiments but those that choose recipes."""
    from reid_lab.ablations.grids import GRIDS

    return [name for name, grid in GRIDS.items() if grid.split == "test"]


def _say(line: str) -> None:
    print(line, flush=True)


def _show_plan(wanted: list[Job], folder: Path, runs: Path | None) -> int:
    from reid_lab.ablations.plan import plan as planned

    plan = planned(wanted, folder, runs)
    print(plan.round(1).to_string(index=False))
    left = plan[plan["state"] != "recorded"]
    minutes = f", {left['minutes'].sum():.0f} minutes one after another."
    known = left["minutes"].notna().all()
    print(f"{len(left)} of {len(plan)} runs are left{minutes if known else '; how long they take is not known.'}")
    return 0


def _report(names: Sequence[str], size: str, folder: Path, left: int, errors: list[ReidLabError]) -> int:
    """Print the tables, draw the pictures, compare with the papers' claims; then raise the first error."""
    from reid_lab.ablations import claims, pictures

    for name in names:
        _show(name, size, folder)
    print(end="", flush=True)  # all tables are printed before a picture can fail
    for name in names:
        errors += _draw(name, size, folder)
    try:
        print(f"\nWhat the papers claim, and what all recorded runs say to it: {claims.write(size, folder)}")
        if drawn := pictures.draw_claims(size, folder):
            print(f"Written to {drawn}")
    except CheckpointError as error:
        errors.append(error)
    if left:
        print(f"{left} runs are left: start the same command again and it goes on.")
    if errors:
        print(end="", flush=True)
        raise errors[0]
    return 1 if left else 0


def _show(name: str, size: str, folder: Path) -> None:
    """Print the table of a grid, and which variants its seeds can separate."""
    from reid_lab.ablations import grids, statistics, tables

    rows, grid = tables.read(name, folder), grids.grid(name)
    if not (len(rows) and (rows["size"] == size).any()):
        print(f"\n{name}: nothing is recorded at size {size}.")
        return
    print(f"\n{grid.title} ({grid.source})\n{grid.equal}\n")
    if grid.several:
        print(statistics.means(name, rows, size).round(1).to_string())
        return
    if grid.data_seed:
        print(statistics.components(rows, size).round(1).to_string())
        return
    columns = ["seeds", "rank-1", "rank-1 sd", "mAP", "mAP sd", "descriptor", "parameters", "minutes"]
    print(statistics.variants(rows, size)[columns].round(1).to_string())
    try:
        print("\n" + statistics.against(name, rows, size).round(1).to_string())
    except DataError as error:
        print(f"\n{error}")


def _draw(name: str, size: str, folder: Path) -> list[ReidLabError]:
    """Draw a grid if something of it is recorded; give back the error if the picture cannot be written."""
    from reid_lab.ablations import tables

    rows = tables.read(name, folder)
    if len(rows) and (rows["size"] == size).any():
        from reid_lab.ablations import pictures

        try:
            for path in pictures.draw(name, rows, size, folder):
                print(f"Written to {path}")
        except CheckpointError as error:
            return [error]
    return []
