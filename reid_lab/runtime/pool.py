"""One pool of worker processes for all independent work: results in order, a progress bar, Ctrl-C at once.

The workers are fresh processes that import the module of ``work`` and nothing of the caller's. So a pool works
from a notebook, from a script without a main guard and on every operating system.
"""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from typing import TypeVar

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool

from reid_lab.runtime.errors import WorkerError
from reid_lab.runtime.progress import bar

Job = TypeVar("Job")
Result = TypeVar("Result")
IDLE_SECONDS = 20  # a worker without a job ends after this time


def available_processors() -> int:
    """The number of processors that this process may use, as its affinity mask and its container allow."""
    return joblib.cpu_count()


def ordered_map(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int,
    description: str = "",
    unit: str = "job",
    units: Callable[[Job], int] = lambda job: 1,
    threads: int = 1,
) -> Generator[Result, None, None]:
    """Do ``work`` on every job, in several processes, and yield the results in the order of the jobs.

    Args:
        work: A function of a module. It and its jobs and results must be picklable.
        jobs: The arguments, one per call.
        workers: The number of processes; 1 works in this process.
        description: The text in front of the progress bar.
        unit: What the progress bar counts.
        units: How many units a job is worth.
        threads: How many threads each of several workers computes with.

    Yields:
        ``work(job)`` for each job, as soon as it and all before it are done.

    Raises:
        WorkerError: A worker ended early, for example because the memory was full.
        Exception: Whatever ``work`` raised, with its own message. The other workers are stopped.
    """
    with (
        bar(total=sum(map(units, jobs)), description=description, unit=unit) as progress,
        closing(_results(work, jobs, workers, threads)) as results,
    ):
        for job, result in zip(jobs, results, strict=True):
            progress.update(units(job))
            yield result


def _results(
    work: Callable[[Job], Result], jobs: Sequence[Job], workers: int, threads: int
) -> Generator[Result, None, None]:
    if workers == 1:
        yield from map(work, jobs)
        return
    calls = (joblib.delayed(_uninterrupted)(work, job) for job in jobs)
    with joblib.parallel_config("loky", inner_max_num_threads=threads, idle_worker_timeout=IDLE_SECONDS):
        results = joblib.Parallel(n_jobs=workers, batch_size=1, return_as="generator")(calls)
    warnings.filterwarnings(
        "ignore", "A worker stopped", UserWarning
    )  # one that has grown is replaced: nothing is lost
    try:
        for result in results:  # noqa: UP028 (`yield from` would close `results` itself, with the warning)
            yield result
    except BrokenProcessPool as error:
        raise WorkerError(
            "A worker process ended early (was the memory or the disk full?). Free some and start again, or use "
            "1 worker, which works in this process and shows the error."
        ) from error
    finally:
        with warnings.catch_warnings(action="ignore"):  # joblib warns of jobs that were not finished
            results.close()  # ends the workers if an error or Ctrl-C has stopped this


def _uninterrupted(work: Callable[[Job], Result], job: Job) -> Result:
    """Leave Ctrl-C to the main process, which ends its workers: they should print nothing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return work(job)
