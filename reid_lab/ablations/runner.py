"""Running a grid: what is recorded is not run again, what was interrupted goes on, what is left is shared out.

A grid's table is ``NAME.csv``, one row per (variant, size, seed). Each job is a process of its own, so that several
share a large GPU, or the cores of a CPU, and none can spoil another.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd
import torch

from reid_lab import data
from reid_lab.ablations.grids import GRIDS, Grid
from reid_lab.ablations.job import ABOUT
from reid_lab.ablations.measures import FOUND, RANKS
from reid_lab.methods import Recipe
from reid_lab.passersby.generate import is_made
from reid_lab.runtime.device import find_device, memory
from reid_lab.runtime.errors import DataError, RecipeError, ReidLabError, TrainingError
from reid_lab.runtime.files import lock, project_folder, write_text
from reid_lab.runtime.progress import bar
from reid_lab.runtime.signals import Interruption
from reid_lab.training.runs import finished, read_history, run_folder, runs_root

KEYS = ["variant", "size", "seed"]
RERANKED = ", re-ranked"
MEASURED = {  # by a grid's measure: the columns of its table that running and drawing need
    "scores": (*(f"rank-{k}" for k in RANKS), "mAP", "mINP", "epochs", "descriptor", "parameters"),
    "conditions": ("mAP", "rank-1", FOUND),
    "heat": ("heat", "area"),
    "curves": ("loss", "accuracy"),
}


@dataclasses.dataclass(frozen=True)
class Job:
    """A run that a grid wants."""

    grid: str
    variant: str
    size: str
    seed: int
    recipe: Recipe
    rerank: bool

    @property
    def name(self) -> str:
        """How a person calls it."""
        return f"{self.grid}: {self.variant}, seed {self.seed}"

    def folder(self, runs: Path | str | None = None) -> Path:
        """Where its run is kept."""
        return run_folder(self.recipe, _benchmark(_data_size(self.size), self.seed), self.seed, runs)


def figures_folder() -> Path:
    """Where tables and pictures are kept: ``figures`` in the checkout, else where one stands."""
    return project_folder() / "figures"


def jobs(grid: Grid, size: str, seeds: Sequence[int]) -> list[Job]:
    """All runs of a grid, seed by seed, so that a part of them is already a comparison."""
    return [
        Job(grid.name, label, size, seed, recipe, label in grid.reranked)
        for seed in seeds
        for label, recipe in grid.variants(size).items()
    ]


def table(name: str, folder: Path | str | None = None) -> pd.DataFrame:
    """What is recorded of a grid; an empty table where nothing is. Raises DataError for a file that is no table."""
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


def check_tables(folder: Path | str) -> None:
    """Raises DataError where a table in ``folder`` lacks a column that running or drawing needs."""
    for name, grid in GRIDS.items():
        path = Path(folder) / f"{name}.csv"
        if path.is_file():
            _must_have(table(name, folder), ["run", "minutes", *ABOUT, *grid.several, *MEASURED[grid.measure]], path)


def _must_have(rows: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    lost = [column for column in columns if column not in rows]
    if lost:
        raise DataError(f"{path} has no column {lost[0]!r}: restore it, or move it away and run its grid again.")


def _at_once(device: torch.device) -> int:
    """How many runs share a device by default: a CPU's threads; on a GPU up to four, one for each 16 GiB free."""
    if device.type == "cpu":
        return max(1, torch.get_num_threads())
    return max(1, min(4, memory(device)[0] // 2**34))


def missing(wanted: Sequence[Job], folder: Path | str | None = None) -> list[Job]:
    """The jobs that are not recorded yet."""
    recorded = {name: set(table(name, folder)[KEYS].itertuples(index=False, name=None)) for name in GRIDS}
    return [job for job in wanted if (job.variant, job.size, job.seed) not in recorded[job.grid]]


def plan(wanted: Sequence[Job], folder: Path | str | None = None, runs: Path | str | None = None) -> pd.DataFrame:
    """One row per job: whether it is recorded, trained, interrupted or to do, and how many minutes it should take.

    The estimate is the mean of what recorded runs of the method and size took, per epoch; NaN where there is none.
    Nothing is made for a plan: where the data are not drawn yet, the run has no name.
    """
    left = {job.name for job in missing(wanted, folder)}
    made = {key: is_made(*key) for key in {(_data_size(job.size), job.seed) for job in wanted}}
    rates, rows = _minutes_per_epoch(folder), []
    for job in wanted:
        where = job.folder(runs) if made[_data_size(job.size), job.seed] else None
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


def run(
    wanted: Sequence[Job],
    *,
    device: str | None = None,
    runs: Path | str | None = None,
    folder: Path | str | None = None,
    minutes: float | None = None,
    workers: int | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> int:
    """Run the jobs that are not recorded, and record each as soon as it is done.

    Args:
        wanted: from :func:`jobs`, of one grid or of several.
        device: default the GPU where there is one.
        runs: folder of the runs; default as in ``training.fit``.
        folder: of the tables; default ``figures`` in the checkout.
        minutes: stop after so long. What is in progress is interrupted, and resumed by the next call.
        workers: jobs at once; default one per CPU core, or up to four on a GPU, by its memory.
        say: called with a line about each job.

    Returns:
        How many jobs are still to do.

    Raises:
        TrainingError: a job failed; the others have been recorded.
        KeyboardInterrupt: Ctrl-C, or the kill of a scheduler; what was in progress is resumed by the next call.
    """
    target = find_device(device)
    runs, folder = runs_root(runs), Path(folder or figures_folder())
    workers = workers or _at_once(target)
    waiting = missing(wanted, folder)
    say(f"{len(wanted) - len(waiting)} of {len(wanted)} runs are recorded; {workers} at a time on {target}")
    for job in list(waiting):  # data are generated here, once, before anybody needs them
        known = _known(job, folder, runs)
        if known:
            record(job, known, folder)
            waiting.remove(job)
    deadline = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    with Interruption(), _Workers(target, runs, folder, workers, say) as team, _bar_of(waiting, runs) as shown:
        while (waiting and time.monotonic() < deadline) or team.busy:
            while (ready := team.next_of(waiting)) and time.monotonic() < deadline:
                waiting.remove(ready)
                team.start(ready)
            if time.monotonic() >= deadline:
                waiting += team.interrupt()
            team.collect()
            shown()
            time.sleep(0.5)
        failed = team.failed
    if failed:
        raise TrainingError(f"{len(failed)} runs failed; the first, {failed[0][0].name}: {failed[0][1]}")
    return len(missing(wanted, folder))


class _Worker(NamedTuple):
    """A process at work. It speaks into files: nobody reads while it works, and a full pipe would stop it."""

    job: Job
    process: subprocess.Popen[str]
    rows: IO[str]
    errors: IO[str]


class _Workers:
    """The processes at work, and what becomes of them."""

    def __init__(self, device: torch.device, runs: Path, folder: Path, most: int, say: Callable[[str], object]) -> None:
        self.device, self.runs, self.folder, self.most, self.say = device, runs, folder, most, say
        self.busy: list[_Worker] = []
        self.failed: list[tuple[Job, str]] = []

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.interrupt()

    def next_of(self, waiting: Sequence[Job]) -> Job | None:
        """The first job for which there is room, and whose run nobody is training just now for another grid."""
        if len(self.busy) >= self.most:
            return None
        training = {worker.job.folder(self.runs) for worker in self.busy}
        return next((job for job in waiting if job.folder(self.runs) not in training), None)

    def start(self, job: Job) -> None:
        order = {
            "recipe": job.recipe.to_json(),
            "size": _data_size(job.size),
            "seed": job.seed,
            "device": str(self.device),
            "runs": str(self.runs),
            "rerank": job.rerank,
            "measure": GRIDS[job.grid].measure,
        }
        threads = max(1, torch.get_num_threads() // self.most)
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        rows, errors = (tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") for _ in range(2))  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-m", "reid_lab.ablations.job"],
            env=os.environ | {"OMP_NUM_THREADS": str(threads), "TQDM_DISABLE": "1", "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=rows,
            stderr=errors,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        self.busy.append(_Worker(job, process, rows, errors))

    def collect(self) -> None:
        """Record what has finished."""
        for worker in [one for one in self.busy if one.process.poll() is not None]:
            self.busy.remove(worker)
            job, (rows, errors) = worker.job, (_read(file) for file in worker[2:])
            if worker.process.returncode == 0:
                found = [json.loads(line) for line in rows.splitlines()]
                record(job, found, self.folder)
                metrics = [f"{name} {found[0][name]:.1f}" for name in ("rank-1", "mAP", "heat") if name in found[0]]
                self.say(f"{job.name}: {', '.join(metrics)}")
            elif "KeyboardInterrupt" not in errors:
                self.failed.append((job, errors.strip().splitlines()[-1] if errors.strip() else "it was killed"))
                self.say(f"{job.name} failed: {self.failed[-1][1]}")

    def interrupt(self) -> list[Job]:
        """Stop all; they leave checkpoints. Returns their jobs."""
        stopped = [worker.job for worker in self.busy]
        for worker in self.busy:
            worker.process.send_signal(signal.SIGTERM)
        for worker in self.busy:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(timeout=60)
            worker.process.kill()
            for file in worker[2:]:
                file.close()
            self.say(f"{worker.job.name}: interrupted, to be resumed")
        self.busy = []
        return stopped


def _read(file: IO[str]) -> str:
    """All that stands in a file, which is closed."""
    with file:
        file.seek(0)
        return file.read()


def record(job: Job, found: Sequence[dict[str, Any]], folder: Path) -> None:
    """Add a job's rows to its grid's table, which is written whole; other processes may record at the same time."""
    path = folder / f"{job.grid}.csv"
    rows = [
        {
            "variant": job.variant + (RERANKED if row.get("reranked") else ""),
            "size": job.size,
            "seed": job.seed,
            **{name: value for name, value in row.items() if name != "reranked"},
        }
        for row in found
    ]
    with lock(path):
        merged = merge(job.grid, [table(job.grid, folder), pd.DataFrame(rows)])
        write_text(path, _in_order(merged, job.grid).to_csv(index=False))


def _known(job: Job, folder: Path, runs: Path) -> list[dict[str, Any]]:
    """The rows that another grid has recorded of the same run; empty where none has, or not re-ranked."""
    name = job.folder(runs).name
    for other in [grid.name for grid in GRIDS.values() if grid.measure == GRIDS[job.grid].measure == "scores"]:
        recorded = table(other, folder)
        rows = recorded[recorded["run"] == name] if len(recorded) else recorded
        found = [
            {column: value for column, value in row.items() if column not in KEYS}
            | {"reranked": str(row["variant"]).endswith(RERANKED)}
            for row in rows.to_dict("records")
        ]
        found = [row for row in found if job.rerank or not row["reranked"]]
        if len(found) > job.rerank:
            return found
    return []


def merge(name: str, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of one grid, from several machines, as one: the first of rows with the same keys counts."""
    filled = [one for one in tables if len(one)]
    together = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=KEYS)
    return together.drop_duplicates([*KEYS, *GRIDS[name].several], keep="first")


def add_tables(names: Sequence[str], others: Sequence[Path | str], folder: Path | str) -> None:
    """Add what other machines recorded of the grids ``names`` in their folders to the tables in ``folder``.

    Raises:
        DataError: one of the folders has a table of none of them, or one that is damaged; nothing has been added.
    """
    files = [f"{name}.csv" for name in names]
    for other in others:
        if not any((Path(other) / file).is_file() for file in files):
            raise DataError(
                f"There is no table {' or '.join(files)} in {other}: give the folder that --out named there."
            )
    for other in others:
        check_tables(other)

    def merged(name: str) -> str:
        together = merge(name, [table(name, where) for where in (folder, *others)])
        return _in_order(together, name).to_csv(index=False)

    given = [name for name in names if any((Path(other) / f"{name}.csv").is_file() for other in others)]
    for name in given:
        merged(name)  # what cannot be merged is told before anything is written
    for name in given:
        path = Path(folder) / f"{name}.csv"
        with lock(path):
            write_text(path, merged(name))


def shard(wanted: Sequence[Job], which: str | None) -> list[Job]:
    """The part ``"2/8"``: the second of eight shares of the jobs. Raises RecipeError for anything else."""
    if which is None:
        return list(wanted)
    part, _, parts = which.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise RecipeError(f"The shard is {which!r}; give K/N, such as 2/8 for the second of eight shares.")
    return list(wanted)[int(part) - 1 :: int(parts)]


def _in_order(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """By size, then the grid's own order of variants, then seed."""

    def place(row: pd.Series) -> tuple[str, int, str, int]:
        labels = list(GRIDS[name].variants(row["size"]))
        plain = row["variant"].removesuffix(RERANKED)
        return row["size"], labels.index(plain) if plain in labels else len(labels), row["variant"], row["seed"]

    order = sorted(range(len(rows)), key=lambda i: place(rows.iloc[i]))
    return rows.iloc[order].reset_index(drop=True)


def _data_size(size: str) -> str:
    return "full" if size == "paper" else size


@functools.lru_cache
def _benchmark(size: str, seed: int) -> data.Benchmark:
    return data.passersby(size, seed=seed)


def _minutes_per_epoch(folder: Path | str | None) -> dict[tuple[str, str], float]:
    """By method and size, of everything that is recorded."""
    known = [table(grid.name, folder) for grid in GRIDS.values() if grid.measure == "scores"]
    rows = pd.concat([one for one in known if len(one)] or [pd.DataFrame(columns=["run", "size", "minutes", "epochs"])])
    method = rows["run"].str.split("-").str[0] if len(rows) else rows["run"]
    rates = (rows["minutes"] / rows["epochs"]).groupby([method, rows["size"]]).mean()
    return dict(zip(rates.index.tolist(), rates.tolist(), strict=True))


def _epochs(folder: Path) -> int:
    """How far a run has come; 0 where its history cannot be read, which is no reason for a grid to stop."""
    try:
        return len(read_history(folder))
    except ReidLabError:
        return 0


@contextlib.contextmanager
def _bar_of(waiting: Sequence[Job], runs: Path) -> Iterator[Callable[[], None]]:
    """A bar in epochs of all runs, read off their histories."""
    folders = {job.folder(runs): job.recipe.epochs for job in waiting}
    with bar(total=sum(folders.values()), description="epochs of the grid", unit="epoch") as shown:

        def look() -> None:
            done = sum(_epochs(folder) for folder in folders)
            if done != shown.n:
                shown.update(done - shown.n)

        yield look
