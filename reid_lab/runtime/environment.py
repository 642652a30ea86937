"""The surroundings of a training: seeds, threads, and what a result must say about the machine it came from."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import torch

import reid_lab
from reid_lab.runtime import device
from reid_lab.runtime.errors import DeviceError
from reid_lab.runtime.progress import silenced


@contextlib.contextmanager
def reproducible(seed: int, where: torch.device, deterministic: bool) -> Iterator[None]:
    """Make a context with torch seeded. Generators, settings and number of threads are as before afterwards.

    Args:
        seed: Seeds the CPU's and the device's generator.
        where: The device.
        deterministic: Whether every operation must give the same bits each time. This leaves the environment variable
            CUBLAS_WORKSPACE_CONFIG set, because cuBLAS reads it only once.

    Raises:
        DeviceError: The device lacks a deterministic kernel.
    """
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    tried = torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it, before its first use
        if (why := device.no_determinism(where)) is not None:
            raise DeviceError(
                f"A training cannot be deterministic on {device.device_name(where)} ({where}): {why} Leave out "
                "--deterministic, or use --device cpu. Where CUBLAS_WORKSPACE_CONFIG is lacking, start Python anew."
            )
    with device.own_random_numbers(where):
        torch.manual_seed(seed)
        if deterministic:  # not otherwise: the call alone imports torch's compiler, which takes a second
            torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = not deterministic  # try each convolution's algorithms, keep the fastest
        try:
            yield
        finally:
            if deterministic:
                torch.use_deterministic_algorithms(before, warn_only=only_warned)
            torch.backends.cudnn.benchmark = tried
            torch.set_num_threads(threads)


def fastest_threads(work: Callable[[], object], patience: float = 2.0) -> int:
    """Find the number of threads that is faster on the CPU: one, or as many as torch would use.

    Small networks gain little from threads. They lose much when another program wants one of the cores: every layer
    then waits for the thread that lost its turn. So both numbers are timed, three times after a warm-up.

    Args:
        work: What is timed.
        patience: Work that takes one thread more than these seconds is large enough for all threads, and is not timed
            further.

    Returns:
        The number of threads.
    """
    most = torch.get_num_threads()
    if most == 1:
        return 1
    try:
        torch.set_num_threads(1)
        if _seconds(work) > patience:
            return most
        one = sum(_seconds(work) for _ in range(3))
        torch.set_num_threads(most)
        work()
        return most if sum(_seconds(work) for _ in range(3)) < one else 1
    finally:
        torch.set_num_threads(most)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def note_other(folder: Path, where: torch.device, precision: str | None = None) -> None:
    """Log that a run was begun on another kind of device, or in another precision, than the present one.

    Args:
        folder: The run's folder.
        where: The present device.
        precision: What the run would be trained in here. None: it is finished.
    """
    try:
        told = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # whoever needs it says so
        return
    theirs = told.get("kind") or ("cpu" if " CPU (" in told.get("device", "") else "cuda")  # an older run has no kind
    other = precision is not None and precision != told.get("precision")
    if (theirs != device.kind(where) or other) and not silenced():
        logging.getLogger("reid_lab").warning(
            "%s was %s on %s in %s, and its numbers are not quite those of this device (%s, %s). To train it here from "
            "the beginning, move that folder away.",
            *(folder, "begun" if precision else "trained", told.get("device"), told.get("precision")),
            *(device.device_name(where), precision or device.kind(where)),
        )


def describe(where: torch.device) -> dict[str, Any]:
    """Collect versions, device and threads, which belong beside every result."""
    return {
        "reid_lab": reid_lab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": importlib.metadata.version("torchvision"),
        "numpy": numpy.__version__,
        "device": device.device_name(where),
        "kind": device.kind(where),
        "tf32": device.tf32(where),
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
