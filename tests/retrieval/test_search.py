import sys

import numpy as np
import pytest

from reid_lab import retrieval
from reid_lab.runtime.errors import FeatureError


def features(count, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(20, 16))[rng.integers(0, 20, count)] + rng.normal(size=(count, 16))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_flat_faiss_index_finds_what_exact_search_finds(metric):
    pytest.importorskip("faiss")
    query, gallery = features(50), features(500, 1)
    exact, flat = (retrieval.search(query, gallery, 7, metric=metric, index=index) for index in (None, "Flat"))
    np.testing.assert_array_equal(exact.indices, flat.indices)
    np.testing.assert_allclose(exact.scores, flat.scores, atol=1e-4)
    assert exact.recall == flat.recall == 1 and exact.measure == flat.measure


def test_an_approximate_index_tells_its_recall():
    pytest.importorskip("faiss")
    query, gallery = features(50), features(2000, 1)
    exact, found = (retrieval.search(query, gallery, 5, index=index) for index in (None, "IVF32,Flat"))
    hits = [len(set(one) & set(other)) / 5 for one, other in zip(exact.indices, found.indices, strict=True)]
    assert found.recall == pytest.approx(np.mean(hits))
    assert 0 < found.recall < 1


def test_places_for_which_an_index_found_no_image_have_no_score():
    pytest.importorskip("faiss")
    for metric in ("cosine", "euclidean"):
        found = retrieval.search(features(50), features(640, 1), 100, metric=metric, index="IVF16,Flat")
        assert 0 < (found.indices < 0).sum() < found.indices.size
        np.testing.assert_array_equal(np.isnan(found.scores), found.indices < 0)


@pytest.mark.parametrize("k", [0, 2.5, "3", None, np.nan])
def test_a_number_of_images_that_is_none_is_refused_with_a_sentence(k):
    with pytest.raises(FeatureError, match=f"k .*{k}"):
        retrieval.search(features(2), features(3), k)


def test_bad_arguments_of_a_search_are_refused_with_a_sentence(monkeypatch):
    with pytest.raises(FeatureError, match="k .* 3 .*4"):
        retrieval.search(features(2), features(3), k=4)
    if "faiss" in sys.modules:
        with pytest.raises(FeatureError, match="nonsense"):
            retrieval.search(features(2), features(3), k=1, index="nonsense")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(FeatureError, match="faiss-cpu"):
        retrieval.search(features(2), features(3), k=1, index="Flat")


def test_query_expansion_ranks_by_the_mean_of_a_query_and_its_nearest_images():
    query, gallery = features(30), features(300, 1)
    pids = np.random.default_rng(2).integers(1, 9, 330)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (query, gallery)]
    nearest = np.argsort(-unit[0] @ unit[1].T, axis=1)[:, :4]
    mean = (unit[0] + unit[1][nearest].sum(1)) / 5
    labels = {"query_pids": pids[:30], "gallery_pids": pids[30:]}
    expanded = retrieval.rank(query, gallery, **labels, expand=4)
    np.testing.assert_array_equal(expanded.ranks, retrieval.rank(mean, gallery, **labels).ranks)
    assert (expanded.ranks != retrieval.rank(query, gallery, **labels).ranks).any()


def test_a_multi_query_is_the_mean_with_the_gallery_images_of_its_identity_and_camera():
    query, gallery = np.eye(3)[[0, 1]], np.eye(3)[[2, 0, 1]]
    # Image 0 shows person 7 in the query's camera (junk for it); person 8 has no such image.
    pids, camids = (
        {"query_pids": [7, 8], "gallery_pids": [7, 7, 8]},
        {"query_camids": [1, 1], "gallery_camids": [1, 2, 2]},
    )
    result = retrieval.rank(query, gallery, **pids, **camids, multi_query=True, top=3)
    assert result.matches.indices.tolist() == [[1, 2, -1], [2, 0, 1]]
    np.testing.assert_allclose(result.matches.scores[0, :2], [0.5**0.5, 0], atol=1e-6)


def test_a_multi_query_under_euclidean_distance_is_the_mean_too():
    labels = {"query_pids": [7], "gallery_pids": [7, 7], "query_camids": [1], "gallery_camids": [1, 2]}
    options = {"metric": "euclidean", "multi_query": True, "top": 1}
    result = retrieval.rank([[0.0, 0.0]], [[2.0, 0.0], [1.0, 0.0]], **labels, **options)
    np.testing.assert_allclose(result.matches.scores, [[0.0]], atol=1e-6)
