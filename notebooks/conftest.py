"""The conditions under which saved outputs are compared: this checkout, CPU, classroom size, one thread, no bars.

REID_LAB_THREADS sets another number of threads.
"""

import os
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

os.environ["REID_LAB_DEVICE"] = "cpu"
os.environ["REID_LAB_SIZE"] = "classroom"
os.environ["REID_LAB_STATIC"] = "1"  # nobody is there to click on a prediction
os.environ["TQDM_DISABLE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["OMP_NUM_THREADS"] = os.environ.get("REID_LAB_THREADS", "1")
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH")])
)

# What trains a network stands first, in an order in which two workers never wait for the same one (with pytest-xdist's
# --no-loadscope-reorder): paper A and paper B; then the two trainings of 09 beside 05 and 10, which load both.
FIRST = ("03_res2net_multitask", "04_residual_pooling", "09_grad_cam", "05_training", "10_retrieval_gallery")
for name in FIRST:
    assert Path(__file__).with_name(f"{name}.ipynb").exists(), f"FIRST in notebooks/conftest.py: no notebook {name}."


def pytest_configure():
    """Let kernels talk over files: of two that start at once and pick the same free port, one would never answer."""
    if os.name == "posix":
        import nbval.kernel

        manager = nbval.kernel.KernelManager
        nbval.kernel.KernelManager = lambda **settings: manager(
            transport="ipc", ip=str(Path(gettempdir(), f"reid_lab-kernel-{uuid4().hex[:8]}")), **settings
        )


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))
