"""Is this machine ready for the course? Plain lines, one fact each: [ok] or [problem] with its cure."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Sequence

# What may be missing is imported where it is used: a doctor that needs it could not say so.

NEEDED = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib", "PIL", "tqdm", "safetensors", "filelock")
COURSE = ("jupyterlab", "ipywidgets", "seaborn", "pytorch_grad_cam")
FREE_GB = 2.0  # data and runs of the course at classroom size, with room to spare


def examine() -> list[str]:
    """One line per thing the course needs. Versions are left to :func:`details`, so that machines can be compared.

    Where a package is missing that reid_lab needs, the lines that take it are left out.
    """
    lines = [_line(sys.version_info >= (3, 11), "Python is 3.11 or newer", "install Python 3.11 or newer")]
    for names, need in ((NEEDED, "the package needs"), (COURSE, "the notebooks need")):
        missing = _missing(names)
        cure = f"missing: {', '.join(missing)}; install with: pip install -e '.[course,dev]' -c constraints.txt"
        lines.append(_line(not missing, f"everything that {need} is installed", cure))
    if _missing(NEEDED):
        return lines
    return [
        *lines,
        *(_tried(*check) for check in ((_free_disk, "the disk can be asked"), (_computes, "PyTorch loads"))),
    ]


def details() -> dict[str, str]:
    """What a bug report should say: versions, and, where nothing is missing, device, precision, threads."""
    found = {name: _version(name) for name in ("torch", "torchvision", "numpy", "pandas")}
    found["python"] = sys.version.split()[0]
    if _missing(NEEDED):
        return found
    import torch

    from reid_lab.training.machine import fast_bf16, pick_device

    device = pick_device()
    return found | {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "fast bfloat16": "yes" if fast_bf16(device) else "no",
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
    """The line of a check. One that fails altogether is a finding, and costs the others nothing."""
    try:
        return check()
    except Exception as error:
        cure = f"it fails ({type(error).__name__}: {error}); install the package and its dependencies anew"
        return _line(False, fact, cure)


def _line(good: bool, fact: str, cure: str) -> str:
    return f"[ok] {fact}" if good else f"[problem] not true: {fact}. {cure[0].upper()}{cure[1:]}."


def _free_disk() -> str:
    from reid_lab.home import home, runs_folder

    cures = []
    for folder, variable in ((home(), "REID_LAB_HOME"), (runs_folder(), "REID_LAB_RUNS")):
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        free = shutil.disk_usage(there).free / 1e9
        if not there.is_dir() or not os.access(there, os.W_OK):
            cures.append(f"nothing can be written to {folder}; mend that, or set {variable} to another folder")
        elif free < FREE_GB:
            cures.append(f"{there} has {free:.1f} GB free; make room, or set {variable} to another disk")
    return _line(not cures, f"{FREE_GB:.0f} GB of disk are free for data and runs", ", and ".join(cures) or "-")


def _computes() -> str:
    """A product with a known answer, on the device that training would use."""
    import torch

    from reid_lab.training.machine import pick_device

    ones = torch.ones(64, 64, device=pick_device())
    return _line(float((ones @ ones).sum()) == 64.0**3, "PyTorch computes", "reinstall torch and torchvision")
