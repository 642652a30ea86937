"""The device at hand: which one, what it is fast at, and what a result must say about it."""

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
    """Seed torch inside, and leave the caller's generators, settings and number of threads as they were.

    But ``deterministic`` leaves the environment variable CUBLAS_WORKSPACE_CONFIG set: cuBLAS reads it only once.

    Raises:
        DeviceError: ``deterministic``, but the device lacks a kernel for it.
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
    """How many threads do ``work`` fastest on the CPU: one, or as many as torch would use.

    Small networks gain little from threads, and lose many times over when another program wants one of the cores:
    every layer then waits for the thread that lost its turn. So both are timed, three times after a warm-up. Work that
    takes one thread more than ``patience`` seconds is large enough for all of them, and is not timed further.
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
    """Log that a run that is taken up has numbers of another kind of device, or of another precision than this one.

    ``folder`` is the run's; ``precision`` what it would be trained in here (None: it is finished).
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
    """Versions, device and threads, as they belong beside every result."""
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
