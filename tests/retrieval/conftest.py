import pytest
import torch

from reid_lab.retrieval import kernels


@pytest.fixture(autouse=True)
def same_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["torch", "numba"])
def inner(request):
    """The inner loops that everything in a test module runs on."""
    if request.param == "numba":
        pytest.importorskip("numba")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "LARGE", 0 if request.param == "numba" else 2**62)
        yield request.param
