"""The device at hand: which one, what it is fast at, and what a result must say about it."""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import torch

import reid_lab
from reid_lab.errors import DeviceError


def pick_device(name: str | torch.device | None = None) -> torch.device:
    """The device called ``name``, or the GPU where there is one, else the CPU.

    Raises:
        DeviceError: ``name`` is no device, or one that this machine does not have.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"There is no device called {name!r}; use 'cpu', 'cuda' or 'cuda:1'.") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(
            f"The device {name!r} is of a kind that reid_lab does not use; use 'cpu', 'cuda' or 'cuda:1'."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"The device {name!r} was asked for, but PyTorch sees {torch.cuda.device_count()} GPUs here. "
            "Use --device cpu (device='cpu'), or install a driver and a PyTorch that match the GPU."
        )
    return device


@contextlib.contextmanager
def reproducible(seed: int, device: torch.device, deterministic: bool) -> Iterator[None]:
    """Seed torch inside, and leave the caller's generators, settings and number of threads as they were.

    But ``deterministic`` leaves the environment variable CUBLAS_WORKSPACE_CONFIG set: cuBLAS reads it only once.
    """
    before, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    tried = torch.backends.cudnn.benchmark
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it, before its first use
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(deterministic or before, warn_only=only_warned and not deterministic)
        torch.backends.cudnn.benchmark = not deterministic  # try each convolution's algorithms, keep the fastest
        try:
            yield
        finally:
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


def describe(device: torch.device) -> dict[str, Any]:
    """Versions, device and threads, as they belong beside every result."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "reid_lab": reid_lab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": importlib.metadata.version("torchvision"),
        "numpy": numpy.__version__,
        "device": gpu or f"{platform.machine()} CPU ({torch.backends.cpu.get_cpu_capability()})",
        "threads": torch.get_num_threads(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
