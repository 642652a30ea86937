import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab import retrieval
from reid_lab.retrieval import reference
from reid_lab.retrieval.reranking import Steps
from reid_lab.runtime.errors import FeatureError

pytestmark = pytest.mark.usefixtures("inner")


def clustered(seed, count, dimension=16, identities=8, spread=0.5):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(identities, dimension))
    features = centers[rng.integers(0, identities, count)] + spread * rng.normal(size=(count, dimension))
    return features.astype(np.float32)


def published(features, queries, metric="cosine", **options):
    features = features.astype(np.float64)
    if metric == "cosine":
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    return reference.rerank(reference.squared_distances(features, features), queries, **options)


@pytest.mark.parametrize("spread", [0.3, 3.0], ids=["clustered", "noise"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k1": 1, "k2": 1},
        {"k1": 5, "k2": 3},
        {"k1": 7, "k2": 1, "lam": 0.0},  # 7 / 2 = 3.5 rounds to 4
        {"k1": 9, "k2": 2},  # 9 / 2 = 4.5 rounds to 4 as well: half to even
        {"k1": 30, "k2": 12, "lam": 0.8},
        {"k1": 4, "k2": 9},
        {"k1": 500, "k2": 500, "lam": 1.0},
    ],
    ids=str,
)
def test_distances_equal_the_published_algorithms(options, spread):
    features = clustered(1, 60 if options.get("k1") == 500 else 150, spread=spread)
    result = retrieval.rerank(features[:40], features[40:], **options)
    np.testing.assert_allclose(result, published(features, 40, **options), atol=1e-5)


@given(st.integers(0, 10**6), st.integers(2, 25), st.integers(1, 12), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_tiny_sets_equal_the_published_algorithms(seed, count, k1, k2):
    features = clustered(seed, count, dimension=6, identities=3)
    result = retrieval.rerank(features[:1], features[1:], k1=k1, k2=k2, metric="euclidean")
    np.testing.assert_allclose(result, published(features, 1, "euclidean", k1=k1, k2=k2), atol=1e-5)


def test_euclidean_features_far_from_the_origin_equal_the_published_algorithms():
    features = clustered(2, 120) + 100
    result = retrieval.rerank(features[:30], features[30:], metric="euclidean")
    np.testing.assert_allclose(result, published(features, 30, "euclidean"), atol=1e-5)


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_duplicated_images_give_distances_in_range_whatever_the_size_of_the_blocks(seed, copies):
    features = np.repeat(clustered(seed, 12, dimension=4, identities=3), copies, axis=0)
    result = retrieval.rerank(features[:5], features[5:], k1=6, k2=3)
    blocks = retrieval.rerank(features[:5], features[5:], k1=6, k2=3, memory=1)
    assert result.isfinite().all() and result.min() >= 0 and result.max() <= 1
    np.testing.assert_allclose(result, blocks, atol=1e-5)


def test_images_that_are_all_alike_have_equal_distances():
    result = retrieval.rerank(np.ones((2, 4)), np.ones((3, 4)))
    assert result.isfinite().all()
    np.testing.assert_allclose(result, 0, atol=1e-5)


def test_every_image_is_among_its_own_neighbors():
    neighbors = torch.tensor([[0, 1], [1, 0], [2, 0]])
    starts, members = Steps().expanded_sets(neighbors, k1=1)
    assert [found.tolist() for found in members.tensor_split(starts[1:-1])] == [[0, 1], [0, 1], [2]]


def test_reranking_raises_the_scores_of_clustered_features():
    rng = np.random.default_rng(0)
    pids = rng.integers(0, 20, 400)
    features = rng.normal(size=(20, 32))[pids] + 1.5 * rng.normal(size=(400, 32))
    parts, labels = (features[:80], features[80:]), {"query_pids": pids[:80], "gallery_pids": pids[80:]}
    assert retrieval.rank(*parts, **labels, rerank=True).mAP > retrieval.rank(*parts, **labels).mAP + 0.05


def test_ranking_with_reranking_is_ranking_the_reranked_distances():
    rng = np.random.default_rng(0)
    pids = rng.integers(0, 20, 300)
    features = clustered(3, 300)
    labels = {"query_pids": pids[:60], "gallery_pids": pids[60:]}
    ranked = retrieval.rank(features[:60], features[60:], **labels, rerank=True, k1=10, k2=3, lam=0.5)
    distances = retrieval.rerank(features[:60], features[60:], k1=10, k2=3, lam=0.5)
    given_distances = retrieval.rank_distances(distances, **labels)
    np.testing.assert_array_equal(ranked.ranks, given_distances.ranks)
    np.testing.assert_allclose(ranked.matches.scores, given_distances.matches.scores)


BAD = {
    "k1": [0, 2.5, 20.0, np.nan, np.inf, None, "5"],
    "k2": [0, 6.0],
    "lam": [-0.1, 1.1, np.nan, None],
}


@pytest.mark.parametrize("options", [{name: value} for name, values in BAD.items() for value in values], ids=str)
def test_parameters_out_of_range_are_refused_with_a_sentence(options):
    ((name, value),) = options.items()
    with pytest.raises(FeatureError, match=re.escape(repr(value))) as refused:
        retrieval.rerank(np.eye(3), np.eye(3), **options)
    assert ("lambda" if name == "lam" else name) in str(refused.value)
