"""Is this machine ready for the course? One line for each fact: [ok], or [problem] with its cure."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

# Packages that may be missing are imported inside the functions: a module that needs them could not report them.

NEEDED = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "PIL",
    "tqdm",
    "safetensors",
    "filelock",
    "platformdirs",
    "typer",
)
COURSE = ("jupyterlab", "ipywidgets", "pytorch_grad_cam")
FREE_GB = 2.0  # data and runs of the course at classroom size, with room to spare


def examine() -> list[str]:
    """Look at everything that the course needs.

    Returns:
        One line for each fact, without versions, so that two machines can be compared. If a package is missing that
        reid_lab needs, the lines that need it are left out.
    """
    lines = [_line(sys.version_info >= (3, 11), "Python is 3.11 or newer", "install Python 3.11 or newer")]
    for names, need in ((NEEDED, "the package needs"), (COURSE, "the notebooks need")):
        missing = _missing(names)
        cure = f"missing: {', '.join(missing)}; install with: pip install -e '.[course,dev]' -c constraints.txt"
        lines.append(_line(not missing, f"everything that {need} is installed", cure))
    if _missing(NEEDED):
        return lines
    checks = ((_free_disk, "the disk can be asked"), (_computes, "PyTorch loads"), (_precision, "a network is trained"))
    lines += _shared()
    return [*lines, *(_tried(*check) for check in checks)]


def details() -> dict[str, str]:
    """Collect what a bug report should say.

    Returns:
        Versions and, if no package is missing, device, fastest precision and number of threads.
    """
    found = {name: _version(name) for name in ("torch", "torchvision", "numpy", "pandas")}
    found["python"] = sys.version.split()[0]
    if _missing(NEEDED):
        return found
    import torch

    from reid_lab.runtime.device import device_name, fast_precision, find_device

    device = find_device()
    return found | {
        "device": device_name(device) if device.type != "cpu" else "CPU",
        "fastest precision": fast_precision(device),
        "threads": str(torch.get_num_threads()),
    }


def _missing(names: Sequence[str]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name) is None]


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _tried(check: Callable[[], str], fact: str) -> str:
    """The line of a check. A check that raises an error is a finding, too, and the others are still made."""
    try:
        return check()
    except Exception as error:
        cure = f"it fails ({type(error).__name__}: {error}); install the package and its dependencies anew"
        return _line(False, fact, cure)


def _line(good: bool, fact: str, cure: str) -> str:
    return f"[ok] {fact}" if good else f"[problem] not true: {fact}. {cure[0].upper()}{cure[1:]}."


def _free_disk() -> str:
    from reid_lab.runtime.files import cache_folder, runs_folder

    cures = []
    for folder, variable in ((cache_folder(), "REID_LAB_HOME"), (runs_folder(), "REID_LAB_RUNS")):
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(there).free / 1e9
        if not there.is_dir() or not os.access(there, os.W_OK):
            cures.append(f"nothing can be written to {folder}; mend that, or set {variable} to another folder")
        elif free < FREE_GB:
            cures.append(f"{there} has {free:.1f} GB free; make room, or set {variable} to another disk")
    return _line(not cures, f"{FREE_GB:.0f} GB of disk are free for data and runs", ", and ".join(cures) or "-")


def _shared() -> list[str]:
    """Whether what somebody has made for everybody is there, if such a folder is named."""
    from reid_lab.runtime.files import shared_folder

    folder = shared_folder()
    if folder is None:
        return []
    cure = f"there is no folder {folder} that you may read; correct REID_LAB_SHARED, or unset it"
    return [_line(folder.is_dir() and os.access(folder, os.R_OK | os.X_OK), "REID_LAB_SHARED can be read", cure)]


def _computes() -> str:
    """Compute a product with a known answer on the CPU, and on the GPU where there is one."""
    import torch

    from reid_lab.runtime.device import seen, trouble

    why = trouble(torch.device("cpu"))
    if why is not None:
        return _line(False, "PyTorch computes", f"{why} Reinstall torch and torchvision")
    gpu = seen()
    why = trouble(gpu) if gpu else None
    cure = f"{why} Install a PyTorch that is made for it; until then the CPU is used"
    return _line(why is None, "PyTorch computes", cure)


def _precision() -> str:
    """Check whether the course's networks are trained correctly in the device's fastest precision."""
    import torch

    from reid_lab.runtime.device import fast_precision, find_device

    device, threads = find_device(), torch.get_num_threads()
    fastest, fault = fast_precision(device), ""
    torch.set_num_threads(1)  # enough for a few images, and quick on a busy machine
    try:
        if fastest != "float32":
            fault = _fault(device, fastest)
    finally:
        torch.set_num_threads(threads)
    cure = f"{fault}. Training notices it and uses float32, which is slower; a newer PyTorch may be right"
    return _line(not fault, f"the fastest precision here, {fastest}, is right", cure)


def _fault(device: Any, fastest: str) -> str:
    """The first thing that is wrong in a step of each method's network, on a few random images."""
    import torch

    from reid_lab import methods
    from reid_lab.runtime.precision import check_training

    pids, faults = torch.arange(8, device=device) // 2, []
    for method in methods.trained().values():
        recipe = method.at("classroom")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = recipe.network(4).to(device).to(memory_format=torch.channels_last)
            images = torch.randn(8, 3, *recipe.crop).to(device, memory_format=torch.channels_last)
        check = check_training(network, images, lambda trial, outputs: trial.loss(outputs, pids).total, fastest)
        faults.append(check.fault)
    return next(filter(None, faults), "")
