"""Is this machine ready for the course? Plain lines, one fact each: [ok] or [problem] with its cure."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys

import torch

from reid_lab.home import home
from reid_lab.training.machine import fast_bf16, pick_device

NEEDED = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib", "PIL", "tqdm", "safetensors", "filelock")
COURSE = ("jupyterlab", "ipywidgets", "seaborn", "pytorch_grad_cam")
FREE_GB = 2.0  # data and runs of the course at classroom size, with room to spare


def examine() -> list[str]:
    """One line per thing the course needs. Versions are left to :func:`details`, so that machines can be compared."""
    lines = [_line(sys.version_info >= (3, 11), "Python is 3.11 or newer", "install Python 3.11 or newer")]
    for names, need in ((NEEDED, "the package needs"), (COURSE, "the notebooks need")):
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        cure = f"missing: {', '.join(missing)}; install with: pip install -e '.[course,dev]' -c constraints.txt"
        lines.append(_line(not missing, f"everything that {need} is installed", cure))
    lines.append(_free_disk())
    lines.append(_computes())
    return lines


def details() -> dict[str, str]:
    """What a bug report should say: versions, device, precision, threads."""
    device = pick_device()
    found = {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "numpy", "pandas")}
    return found | {
        "python": sys.version.split()[0],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
        "fast bfloat16": "yes" if fast_bf16(device) else "no",
        "threads": str(torch.get_num_threads()),
    }


def _line(good: bool, fact: str, cure: str) -> str:
    return f"[ok] {fact}" if good else f"[problem] not true: {fact}. {cure[0].upper()}{cure[1:]}."


def _free_disk() -> str:
    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    cure = f"{folder} has {free:.1f} GB free; make room, or set REID_LAB_HOME to another disk"
    return _line(free >= FREE_GB, f"{FREE_GB:.0f} GB of disk are free for data and runs", cure)


def _computes() -> str:
    """A product with a known answer, on the device that training would use."""
    ones = torch.ones(64, 64, device=pick_device())
    return _line(float((ones @ ones).sum()) == 64.0**3, "PyTorch computes", "reinstall torch and torchvision")
