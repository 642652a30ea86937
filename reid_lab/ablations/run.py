"""Running grids: a loop over ``training.fit``, which loads what is trained and resumes what was interrupted."""

from __future__ import annotations

import _thread
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from reid_lab import data, training
from reid_lab.ablations import grids, tables
from reid_lab.ablations.grids import GRIDS, Grid
from reid_lab.ablations.measures import MEASURES
from reid_lab.ablations.tables import KEYS, PROVENANCE, RERANKED
from reid_lab.methods import AnyRecipe
from reid_lab.runtime.device import find_device, memory, seen
from reid_lab.runtime.errors import RecipeError, TrainingError
from reid_lab.runtime.pool import ordered_map
from reid_lab.runtime.signals import Interruption
from reid_lab.training.run import run_folder, runs_root


@dataclass(frozen=True)
class Job:
    """A run that a grid wants, and what is measured of it; with ``rerank`` its re-ranked scores, too.

    ``seed`` is that of the training, ``data_seed`` that of the people who are drawn.
    """

    grid: str
    variant: str
    size: str
    seed: int
    data_seed: int
    recipe: AnyRecipe
    measure: str
    rerank: bool
    split: str = "test"

    @property
    def name(self) -> str:
        """The name that a person reads."""
        return f"{self.grid}: {self.variant}, seed {self.seed}"

    @property
    def data_size(self) -> str:
        """The size of its data."""
        return grids.data_size(self.size)

    def benchmark(self) -> data.Benchmark:
        """The data of the run."""
        return _benchmark(self.data_size, self.data_seed, self.split)

    def folder(self, runs: Path | str | None = None) -> Path:
        """The folder that keeps the run."""
        return run_folder(self.recipe, self.benchmark(), self.seed, runs)


def jobs(grid: Grid, size: str, seeds: Sequence[int]) -> list[Job]:
    """All runs of a grid, seed by seed, so that a part of them is already a comparison."""
    return [
        Job(
            grid=grid.name,
            variant=label,
            size=size,
            seed=seed,
            data_seed=seed if grid.data_seed is None else grid.data_seed(label),
            recipe=recipe,
            measure=grid.measure,
            rerank=label in grid.reranked,
            split=grid.split,
        )
        for seed in seeds
        for label, recipe in grid.variants(size).items()
    ]


def shard(wanted: Sequence[Job], which: str | None) -> list[Job]:
    """The part ``"2/8"`` of the jobs: the second of eight shares; None: all of them.

    Raises:
        RecipeError: ``which`` is anything else.
    """
    if which is None:
        return list(wanted)
    part, _, parts = which.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise RecipeError(f"The shard is {which!r}; give K/N, such as 2/8 for the second of eight shares.")
    return list(wanted)[int(part) - 1 :: int(parts)]


def missing(wanted: Sequence[Job], folder: Path | str | None = None) -> list[Job]:
    """The jobs that the tables in ``folder`` do not hold yet."""
    recorded = {name: set(tables.read(name, folder)[KEYS].itertuples(index=False, name=None)) for name in GRIDS}
    return [job for job in wanted if (job.variant, job.size, job.seed) not in recorded[job.grid]]


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
    """Run the jobs that are not recorded, and record each when it and those before it are done.

    Args:
        wanted: from :func:`jobs`, of one grid or of several.
        device: default the GPU where there is one.
        runs: folder of the runs; default as in ``training.fit``.
        folder: of the tables; default ``figures`` in the checkout.
        minutes: stop after so long. The next call goes on from the runs' last checkpoints.
        workers: processes at once; default one per CPU core, or up to four on a GPU, by its memory.
        say: is called with a line about each job.

    Returns:
        How many jobs are still to do.

    Raises:
        TrainingError: a job failed; the others have been recorded.
        WorkerError: a process was killed; what was finished before has been recorded.
        KeyboardInterrupt: Ctrl-C, or the kill of a scheduler. The next call goes on from the runs' last
            checkpoints.
    """
    runs, folder = runs_root(runs), Path(folder or tables.own_folder())
    workers, waiting = workers or runs_at_once(device), missing(wanted, folder)
    say(f"{len(wanted) - len(waiting)} of {len(wanted)} runs are recorded; {workers} at a time")
    waiting = [job for job in waiting if not _take_from_other_grids(job, folder, runs)]
    with Interruption(), _at_most(minutes):
        _run(waiting, device, runs, folder, workers, say)
    return len(missing(wanted, folder))


def _run(
    waiting: Sequence[Job], device: str | None, runs: Path, folder: Path, workers: int, say: Callable[[str], object]
) -> None:
    """Run and record all jobs; raise at the end if some have failed."""
    threads, failed = max(1, torch.get_num_threads() // workers), []
    work = partial(_work, device=device, runs=runs, quiet=workers > 1)
    done = ordered_map(work, waiting, workers, description="runs of the grid", unit="run", threads=threads)
    with closing(done):
        for job, (rows, trouble) in zip(waiting, done, strict=True):
            if trouble:
                failed.append(f"{job.name}: {trouble}")
                say(f"{job.name} failed: {trouble}")
                continue
            tables.add(job.grid, rows_of(job, rows), folder)
            scores = [f"{name} {rows[0][name]:.1f}" for name in ("rank-1", "mAP", "heat") if name in rows[0]]
            say(f"{job.name}: {', '.join(scores)}")
    if failed:
        raise TrainingError(f"{len(failed)} runs failed; the first, {failed[0]}")


def _work(job: Job, device: str | None, runs: Path, quiet: bool) -> tuple[list[dict[str, Any]], str]:
    """Rows of a job and "", or no rows and what went wrong, so that the other jobs go on."""
    if quiet:  # the bars of several processes would write over each other
        os.environ["TQDM_DISABLE"] = "1"
    try:
        return train_and_measure(job, device, runs), ""
    except Exception as error:  # whatever it is
        return [], (str(error) or type(error).__name__).strip().splitlines()[-1]
    finally:
        torch.cuda.empty_cache()  # a process that waits for its next job keeps no memory from the others


def train_and_measure(job: Job, device: str | None, runs: Path) -> list[dict[str, Any]]:
    """Rows of a job's measure, each with where it comes from."""
    run = training.fit(job.recipe, job.benchmark(), job.seed, device=device, runs=runs)
    about = {"minutes": run.result["minutes"], "run": run.folder.name}
    about |= {name: run.environment[name] for name in PROVENANCE}
    where = next(run.model.parameters()).device
    measured = MEASURES[job.measure](run, job.benchmark(), where, job.rerank)
    return [row | about for row in measured]


def rows_of(job: Job, found: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """What was found of a job as rows of its grid's table."""
    return pd.DataFrame(
        {"variant": job.variant + (RERANKED if row.get("reranked") else ""), "size": job.size, "seed": job.seed}
        | {name: value for name, value in row.items() if name != "reranked"}
        for row in found
    )


@contextmanager
def _at_most(minutes: float | None) -> Iterator[None]:
    """End the block after so many minutes; None: let it take its time."""
    if minutes is None:
        yield
        return
    end = time.monotonic() + 60 * minutes
    timer = threading.Timer(60 * minutes, _thread.interrupt_main)  # as if Ctrl-C were pressed
    timer.start()
    try:
        yield
    except KeyboardInterrupt:
        if time.monotonic() < end:
            raise
    finally:
        timer.cancel()


def runs_at_once(device: str | None) -> int:
    """How many runs share a device by default: a CPU's threads; on a GPU up to four, one for each 16 GiB free.

    A GPU is asked in a process of its own, so that this one keeps no memory there.
    """
    name = str(device or seen() or "cpu")
    if not name.startswith("cpu"):
        (found,) = ordered_map(_gpu_holds, [device], workers=2)
        if found:
            return found
    return max(1, torch.get_num_threads())


def _gpu_holds(device: str | None) -> int:
    """How many runs a GPU's free memory holds; 0 where the GPU cannot be used, and the CPU is taken."""
    where = find_device(device)
    return 0 if where.type == "cpu" else max(1, min(4, memory(where)[0] // 2**34))


def _take_from_other_grids(job: Job, folder: Path, runs: Path) -> bool:
    """Record what another grid has recorded of the same run; False where none has it, or has it not re-ranked."""
    if job.measure != "scores":
        return False
    name = job.folder(runs).name  # data are made here, once, before several processes need them
    for other in [grid.name for grid in GRIDS.values() if grid.measure == "scores" and grid.split == job.split]:
        recorded = tables.read(other, folder)
        same = recorded[recorded["run"] == name] if len(recorded) else recorded
        reranked = same["variant"].str.endswith(RERANKED)
        if (~reranked).any() and (reranked.any() or not job.rerank):
            same = same.assign(reranked=reranked)[~reranked | job.rerank].drop(columns=KEYS)
            tables.add(job.grid, rows_of(job, same.to_dict("records")), folder)
            return True
    return False


@lru_cache
def _benchmark(size: str, seed: int, split: str) -> data.Benchmark:
    test = data.passersby(size, seed=seed)
    return test.validation() if split == "validation" else test
