"""What all tests share: a cache and a runs folder of their own, one thread, the smoke-sized data set and runs on it.

REID_LAB_THREADS sets another number of threads.
"""

import os
import sys
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = os.environ.get("REID_LAB_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once by older PyTorch, at the first GPU product

sys.path.insert(0, str(Path(__file__).parent))  # for `seen`, networks as after a training, and `pretended_gpu`


# The files that take longest stand first (with pytest-xdist's --no-loadscope-reorder), so that no worker ends alone.
FIRST = ("training/test_resuming", "runtime/test_distributed", "ablations/test_run", "cli/test_command_line")
for name in FIRST:
    assert Path(__file__).parent.joinpath(f"{name}.py").exists(), f"FIRST in tests/conftest.py: no file {name}.py."


def pytest_collection_modifyitems(items):
    def place(item):
        found = [number for number, name in enumerate(FIRST) if item.path.with_suffix("").as_posix().endswith(name)]
        return found[0] if found else len(FIRST)

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def own_home(tmp_path_factory):
    """Nothing the user has cached is read or touched.

    The workers of pytest-xdist share it: who first wants the data set or a run makes it, under the package's own locks,
    and the others load it.
    """
    import torch  # not above: the process that shares the tests out does without

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "home"
    home.mkdir(exist_ok=True)
    os.environ["REID_LAB_HOME"] = str(home)
    os.environ["REID_LAB_RUNS"] = str(home / "runs")
    for name in ("REID_LAB_SIZE", "REID_LAB_SHARED"):
        os.environ.pop(name, None)
    return home


@pytest.fixture(scope="session")
def smoke(own_home):
    """Passersby at smoke size. Its folder is everybody's: copy it before you change it."""
    from reid_lab import data

    return data.passersby("smoke")


@pytest.fixture(scope="session")
def smoke_run(smoke, own_home):
    """Paper B's network, trained at smoke size. Its folder is everybody's, too."""
    from reid_lab import methods, training

    return training.fit(methods.residual_pooling("smoke"), smoke, seed=0, device="cpu")


@pytest.fixture
def a_gpu():
    """A CUDA GPU: the machine's own, which gives None, or else a pretended one, which gives its rules and counts."""
    import torch

    if torch.cuda.is_available():
        yield None
        return
    with _pretended("cuda") as gpu:
        yield gpu


@pytest.fixture
def pretended():
    """A pretended GPU, of any kind and with any settings, as a context: ``with pretended("mps") as gpu``."""
    return _pretended


def _pretended(kind="cuda", **settings):
    from pretended_gpu import PretendedGPU, unusable

    if why := unusable():
        pytest.skip(why)
    return PretendedGPU(kind, **settings)
