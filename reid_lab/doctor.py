"""Is this machine ready for the course? Plain lines, one fact each: [ok] or [problem] with its cure."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Sequence

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
    return lines if _missing(NEEDED) else [*lines, _free_disk(), _computes(), *_fast_precision()]


def details() -> dict[str, str]:
    """What a bug report should say: versions, and, where nothing is missing, device, precision, threads."""
    found = {name: _version(name) for name in ("torch", "torchvision", "numpy", "pandas")}
    found["python"] = sys.version.split()[0]
    if _missing(NEEDED):
        return found
    import torch

    from reid_lab.device import device_name, fast_precision, find_device

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


def _line(good: bool, fact: str, cure: str) -> str:
    return f"[ok] {fact}" if good else f"[problem] not true: {fact}. {cure[0].upper()}{cure[1:]}."


def _free_disk() -> str:
    from reid_lab.home import home

    folder = home()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    cure = f"{folder} has {free:.1f} GB free; make room, or set REID_LAB_HOME to another disk"
    return _line(free >= FREE_GB, f"{FREE_GB:.0f} GB of disk are free for data and runs", cure)


def _computes() -> str:
    """A product with a known answer, on the device that training would use, and on a GPU that is there."""
    import torch

    from reid_lab.device import seen, trouble

    why = trouble(torch.device("cpu"))
    if why is not None:
        return _line(False, "PyTorch computes", f"{why} Reinstall torch and torchvision")
    gpu = seen()
    why = trouble(gpu) if gpu else None
    cure = f"{why} Install a PyTorch that is made for it; until then the CPU is used"
    return _line(why is None, "PyTorch computes", cure)


def _fast_precision() -> list[str]:
    """Whether both methods' networks are trained rightly in the precision that the device says it is fastest at."""
    import torch

    from reid_lab import precision
    from reid_lab.device import fast_precision, find_device
    from reid_lab.training import recipes

    device, threads = find_device(), torch.get_num_threads()
    torch.set_num_threads(1)  # enough for a few images, and quick on a busy machine
    fastest, lines = fast_precision(device), []
    for name, make in recipes.METHODS.items() if fastest != "float32" else ():
        recipe = make("classroom", weights=None)
        pids = torch.arange(8, device=device) // 2
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = recipe.build(4).to(device).to(memory_format=torch.channels_last)
            images = torch.randn(8, 3, *recipe.crop).to(device, memory_format=torch.channels_last)
        check = precision.check_training(network, images, pids, fastest)
        cure = f"{check.fault}. Training notices it and uses float32, which is slower; a newer PyTorch may be right"
        lines.append(_line(not check.fault, f"{fastest} is right in the network of {name}", cure))
    torch.set_num_threads(threads)
    return lines
