"""The GPU gives what the CPU does: rankings, scores and re-ranked distances."""

import numpy as np
import pytest
import torch

from reid_lab import methods, retrieval

pytestmark = pytest.mark.usefixtures("a_gpu")
OPTIONS = [
    {},
    {"metric": "euclidean"},
    {"expand": 3},
    {"multi_query": True},
    {"rerank": True},
    {"memory": 2**16},
    {"rerank": True, "memory": 2**18},
]


@pytest.fixture(scope="module")
def people():
    """40 people in 4 cameras, two queries and seven gallery images of each: noise around a direction of their own."""
    random = np.random.default_rng(0)
    pids = {"query_pids": np.repeat(np.arange(40), 2), "gallery_pids": np.repeat(np.arange(40), 7)}
    camids = {name.replace("pids", "camids"): random.integers(1, 5, len(some)) for name, some in pids.items()}
    directions = random.normal(size=(40, 32))
    features = [directions[some] + 1.5 * random.normal(size=(len(some), 32)) for some in pids.values()]
    return [torch.tensor(some, dtype=torch.float32) for some in features], pids | camids


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rankings_and_scores_equal_the_cpus(people, options):
    features, labels = people
    ours = retrieval.rank(*features, **labels, device="cuda", roc=True, **options)
    theirs = retrieval.rank(*features, **labels, device="cpu", roc=True, **options)
    assert (ours.ranks != theirs.ranks).mean() < 0.002  # where two images are equally near but for the last bit
    assert ours.ap == pytest.approx(theirs.ap, abs=0.02, nan_ok=True)
    assert ours.mAP == pytest.approx(theirs.mAP, abs=1e-4)
    assert ours.roc.eer == pytest.approx(theirs.roc.eer, abs=1e-3)
    assert (ours.matches.indices != theirs.matches.indices).mean() < 0.01


def test_reranked_distances_equal_the_cpus(people):
    features, _ = people
    ours, theirs = (retrieval.rerank(*features, device=device) for device in ("cuda", "cpu"))
    assert ours.is_cuda
    far = (ours.cpu() - theirs).abs() > 1e-4  # a neighbor that only the last bit decides changes a few distances
    assert far.float().mean() < 0.01


def test_an_evaluation_on_the_gpu_equals_one_on_the_cpu(smoke):
    torch.manual_seed(0)
    model = methods.residual_pooling("smoke").network(18)
    ours = retrieval.evaluate(model.cuda(), smoke, device="cuda")
    theirs = retrieval.evaluate(model.cpu(), smoke, device="cpu")
    assert ours.mAP == pytest.approx(theirs.mAP, abs=0.02)
