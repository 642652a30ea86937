from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from reid_lab import retrieval
from reid_lab.retrieval import reference
from reid_lab.retrieval.metrics import precisions
from reid_lab.runtime.errors import DataError, FeatureError, NoMatchError

pytestmark = pytest.mark.usefixtures("inner")


@contextmanager
def refused(error, *culprits):
    """What is within raises this class of error, which names the culprits."""
    with pytest.raises(error) as found:
        yield
    assert all(culprit in str(found.value) for culprit in culprits), found.value


def named(*labels):
    """Labels by the names that `rank` and `reference.evaluate` give them."""
    return dict(zip(("query_pids", "gallery_pids", "query_camids", "gallery_camids"), labels, strict=False))


def labeled(seed, queries=30, gallery=200, identities=12, cameras=3):
    """Labels with junk and unknown cameras, and clustered features for them."""
    rng = np.random.default_rng(seed)
    query_pids, gallery_pids = rng.integers(0, identities, queries), rng.integers(-1, identities, gallery)
    query_camids, gallery_camids = rng.integers(-1, cameras, queries), rng.integers(-1, cameras, gallery)
    centers = rng.normal(size=(identities + 1, 8))
    query, images = (centers[pids] + 0.8 * rng.normal(size=(len(pids), 8)) for pids in (query_pids, gallery_pids))
    return query, images, named(query_pids, gallery_pids, query_camids, gallery_camids)


def scores(result):
    return result.mAP, result.mAP_trapezoid, result.mINP, result.cmc


distances_with_ties = st.integers(0, 2**32 - 1).map(
    lambda seed: (np.random.default_rng(seed).integers(0, 6, (6, 40)) / 4, labeled(seed, 6, 40, 4)[2])
)


@given(distances_with_ties)
@settings(max_examples=60, deadline=None)
def test_scores_equal_the_definitions_walked_down_one_query_at_a_time_also_with_ties(case):
    distances, labels = case
    expected = reference.evaluate(distances, **labels)
    result = retrieval.rank_distances(distances.astype(np.float32), **labels)
    np.testing.assert_allclose(scores(result)[:3], scores(expected)[:3], rtol=1e-12)
    np.testing.assert_allclose(result.cmc[:50], expected.cmc[: len(result.cmc)], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_type_of_the_distances_does_not_matter_where_they_are_equal(dtype):
    distances = np.random.default_rng(0).integers(-5, 6, (6, 40)) / 4
    labels = labeled(0, 6, 40, 4)[2]
    result = retrieval.rank_distances(distances.astype(dtype), **labels)
    expected = reference.evaluate(distances, **labels)
    np.testing.assert_allclose(scores(result)[:3], scores(expected)[:3], rtol=1e-12)


def test_average_precision_equals_scikit_learns():
    query, gallery, labels = labeled(3)
    result = retrieval.rank(query, gallery, **labels)
    query_pids, gallery_pids, query_camids, gallery_camids = labels.values()
    similarity = query @ gallery.T / np.outer(np.linalg.norm(query, axis=1), np.linalg.norm(gallery, axis=1))
    for i, ap in enumerate(result.ap):
        same = gallery_pids == query_pids[i]
        kept = (gallery_pids != -1) & ~(same & (gallery_camids == query_camids[i]) & (query_camids[i] != -1))
        assert ap == pytest.approx(average_precision_score(same[kept], similarity[i, kept]), rel=1e-9)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_features_rank_as_their_distances_do(metric):
    query, gallery, labels = labeled(1)
    if metric == "cosine":
        unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (query, gallery)]
        distances = 1 - unit[0] @ unit[1].T
    else:
        distances = reference.squared_distances(query, gallery)
    expected = reference.evaluate(distances, **labels)
    result = retrieval.rank(query, gallery, **labels, metric=metric)
    np.testing.assert_allclose(scores(result)[:3], scores(expected)[:3], rtol=1e-12)
    np.testing.assert_allclose(result.cmc[:50], expected.cmc, rtol=1e-12)
    measured = 1 - distances if metric == "cosine" else np.sqrt(distances)
    found = np.take_along_axis(measured, result.matches.indices, axis=1)
    np.testing.assert_allclose(result.matches.scores, found, atol=1e-5)


def test_euclidean_distances_keep_their_precision_far_from_the_origin():
    query, gallery, labels = labeled(1)
    near, far = (retrieval.rank(query + shift, gallery + shift, **labels, metric="euclidean") for shift in (0, 1000))
    assert far.mAP == pytest.approx(near.mAP, abs=1e-3)


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_order_of_the_gallery_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    query_pids, gallery_pids, query_camids, gallery_camids = labeled(seed)[2].values()
    distances, order = rng.random((30, 200)), rng.permutation(200)  # float64: no ties
    result = retrieval.rank_distances(distances, **named(query_pids, gallery_pids, query_camids, gallery_camids))
    shuffled = retrieval.rank_distances(
        distances[:, order], **named(query_pids, gallery_pids[order], query_camids, gallery_camids[order])
    )
    for one, other in zip(scores(result), scores(shuffled), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(result.matches.indices, order[shuffled.matches.indices])


@given(st.integers(0, 1000), st.sampled_from(["identity -1", "own camera"]))
@settings(max_examples=30, deadline=None)
def test_adding_junk_changes_nothing(seed, kind):
    query_pids, gallery_pids, query_camids, gallery_camids = labeled(seed, identities=5)[2].values()
    query_pids[:], query_camids[:] = query_pids[0], 1
    distances = np.random.default_rng(seed).random((30, 207))
    result = retrieval.rank_distances(distances[:, 7:], **named(query_pids, gallery_pids, query_camids, gallery_camids))
    more = retrieval.rank_distances(
        distances,
        query_pids=query_pids,
        gallery_pids=np.concatenate([np.full(7, -1 if kind == "identity -1" else query_pids[0]), gallery_pids]),
        query_camids=query_camids,
        gallery_camids=np.concatenate([np.full(7, 1), gallery_camids]),
    )
    np.testing.assert_array_equal(result.ranks, more.ranks)
    np.testing.assert_array_equal(result.matches.indices, more.matches.indices - 7)


def test_a_perfect_ranking_gives_one_everywhere():
    pids = np.array([1, 2, 3])
    result = retrieval.rank(np.eye(3), np.repeat(np.eye(3), 4, axis=0), **named(pids, np.repeat(pids, 4)))
    assert result.mAP == result.mAP_trapezoid == result.mINP == 1
    assert (result.cmc == 1).all()
    assert result.table().loc["cosine similarity"].tolist() == [100.0] * 6


def test_of_equally_near_images_the_earlier_one_ranks_first():
    result = retrieval.rank_distances(np.zeros((1, 5)), **named([1], [2, 1, 3, 1, -1]), top=5)
    assert result.ranks.tolist() == [[2, 4]]
    assert result.matches.indices.tolist() == [[0, 1, 2, 3, -1]]
    assert result.matches.correct.tolist() == [[False, True, False, True, False]]


def test_minus_zero_and_zero_are_equally_near():
    result = retrieval.rank_distances(np.float32([[0.0, -0.0, 0.0]]), **named([1], [2, 1, 1]))
    assert result.ranks.tolist() == [[2, 3]]


def test_both_average_precisions_are_the_worked_example():
    ap, trapezoid, inp = precisions(np.array([[1, 3, 0], [2, 0, 0], [0, 0, 0]]))
    np.testing.assert_allclose(ap, [(1 + 2 / 3) / 2, 1 / 2, np.nan])
    np.testing.assert_allclose(trapezoid, [((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2) / 2, (0 + 1 / 2) / 2, np.nan])
    np.testing.assert_allclose(inp, [2 / 3, 1 / 2, np.nan])


@pytest.mark.parametrize("rerank", [False, True])
def test_the_size_of_the_blocks_changes_nothing(rerank):
    query, gallery, labels = labeled(5)
    whole, small = (retrieval.rank(query, gallery, **labels, rerank=rerank, memory=memory) for memory in (2**28, 1))
    np.testing.assert_array_equal(whole.ranks, small.ranks)
    np.testing.assert_allclose(whole.matches.scores, small.matches.scores, rtol=1e-5)


def test_queries_without_a_match_are_reported_and_left_out_of_the_means():
    result = retrieval.rank(np.eye(3), np.eye(3), **named([7, 8, 9], [7, 8, 9], [0, 1, 0], [1, 1, 1]))
    assert result.unmatched.tolist() == [1]
    assert np.isnan(result.ap[1])
    assert result.mAP == 1 and result.cmc[0] == 1


@pytest.mark.parametrize(
    ("gallery_pids", "gallery_camids", "culprits"),
    [
        ([7, 8], [0, 0], ["camids"]),
        ([1, 2], [1, 1], ["7, 8", "1, 2"]),
        ([-1, -1], [1, 1], ["identity -1"]),
    ],
)
def test_no_match_at_all_is_an_error_that_names_the_likely_cause(gallery_pids, gallery_camids, culprits):
    with refused(NoMatchError, *culprits):
        retrieval.rank(np.eye(2), np.eye(2), **named([7, 8], gallery_pids, [0, 0], gallery_camids))


def test_the_same_camera_rule_leaves_unknown_cameras_alone():
    assert retrieval.rank(np.eye(2), np.eye(2), **named([7, 8], [7, 8], [-1, -1], [-1, -1])).mAP == 1
    assert retrieval.rank(np.eye(2), np.eye(2), **named([7, 8], [7, 8])).mAP == 1


def test_matches_tell_labels_and_correctness_and_stop_where_the_gallery_ends():
    result = retrieval.rank(np.eye(2), np.eye(2)[[1, 0, 0]], **named([7, 8], [8, 7, -1], [0, 0], [1, 2, 3]), top=4)
    found = result.matches
    assert found.indices.tolist() == [[1, 0, -1, -1], [0, 1, -1, -1]]
    assert found.pids.tolist() == [[7, 8, -1, -1], [8, 7, -1, -1]]
    assert found.camids.tolist() == [[2, 1, -1, -1], [1, 2, -1, -1]]
    assert found.correct.tolist() == [[True, False, False, False]] * 2
    np.testing.assert_array_equal(found.scores, [[1, 0, np.nan, np.nan]] * 2)


@pytest.mark.parametrize("to", [np.asarray, torch.from_numpy, lambda rows: torch.from_numpy(rows).half().double()])
def test_numpy_and_torch_whole_numbers_and_strided_rows_give_the_right_answer(to):
    rows = np.arange(24).reshape(4, 6) % 5
    query, gallery = rows[:2, ::2].astype(float).copy(), rows[2:, ::2].astype(float).copy()
    expected = retrieval.rank(query, gallery, **named([1, 2], [1, 2]))
    result = retrieval.rank(to(rows)[:2, ::2], to(rows)[2:, ::2], **named(torch.tensor([1, 2]), [1.0, 2.0]))
    np.testing.assert_array_equal(result.ranks, expected.ranks)


@pytest.mark.parametrize(
    "to",
    [
        lambda rows: rows[::-1].copy()[::-1],
        lambda rows: rows.astype(">f4"),
        lambda rows: rows.astype(np.longdouble),
        pd.DataFrame,
    ],
    ids=["turned round", "of the other byte order", "long", "a table"],
)
def test_arrays_that_torch_has_no_type_for_give_the_right_answer(to):
    rows = np.random.default_rng(0).normal(size=(9, 4))
    expected = retrieval.rank(rows[:3], rows[3:], **named([1, 2, 3], [1, 2, 3] * 2))
    result = retrieval.rank(to(rows[:3]), to(rows[3:]), **named(torch.tensor([1, 2, 3]).bfloat16(), [1, 2, 3] * 2))
    np.testing.assert_array_equal(result.ranks, expected.ranks)
    given = retrieval.rank_distances(to(rows[:2]), **named([0, 1], range(4)))
    np.testing.assert_array_equal(given.ranks, retrieval.rank_distances(rows[:2], **named([0, 1], range(4))).ranks)


def test_one_query_and_one_image_are_enough():
    assert retrieval.rank([[1.0]], [[2.0]], **named([1], [1]), rerank=False).mAP == 1
    assert retrieval.rank([[1.0]], [[2.0]], **named([1], [1]), rerank=True).mAP == 1


def spoilt(value):
    features = np.ones((8, 3))
    features[2, 1] = features[5, 0] = value
    return features


@pytest.mark.parametrize(
    ("query", "gallery", "culprits"),
    [
        (spoilt(np.nan), np.ones((4, 3)), ["2 of 8 query", "2, 5", "NaN"]),
        (np.ones((4, 3)), spoilt(-np.inf), ["2 of 8 gallery", "2, 5", "infinity"]),
        (np.ones((4, 3)), np.eye(3)[[0, 1]] * [[0], [1]], ["1 of 2 gallery", "first: 0", "zero"]),
        (np.ones((0, 3)), np.ones((4, 3)), ["query", "(0, 3)"]),
        (np.ones((4, 3)), np.ones((0, 3)), ["gallery", "(0, 3)"]),
        (np.ones(3), np.ones((4, 3)), ["query", "(3,)"]),
        (np.ones((4, 3)), np.ones((4, 2)), ["3 dimensions", "features 2"]),
        (np.ones((4, 3), complex), np.ones((4, 3)), ["query", "complex"]),
        (spoilt(1e300), np.ones((4, 3)), ["2 of 8 query", "2, 5", "float32"]),
        ([[1.0, 2.0], [3.0]], np.ones((4, 3)), ["query"]),
        (np.ones((4, 3)), [["a", "b", "c"]], ["gallery"]),
        (np.ones((4, 3), object), np.ones((4, 3)), ["query"]),
    ],
)
def test_features_that_cannot_be_compared_are_refused_with_a_sentence(query, gallery, culprits):
    with refused(FeatureError, *culprits):
        retrieval.rank(query, gallery, **named(np.ones(len(query), int), np.ones(len(gallery), int)))


@pytest.mark.parametrize(
    ("labels", "culprits"),
    [
        (([1, 2, 3], [1, 2]), ["query_pids", "(3,)", "2"]),
        (([1, 2], [1]), ["gallery_pids", "(1,)", "2"]),
        (([1, 2], [1, 2], [0], [0, 0]), ["query_camids", "(1,)"]),
        (([1, 2], ["a", "b"]), ["gallery_pids", "<U1"]),
        (([1, 2.5], [1, 2]), ["query_pids", "float64"]),
        (([[1], [2, 3]], [1, 2]), ["query_pids"]),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_a_sentence(labels, culprits):
    with refused(DataError, *culprits):
        retrieval.rank(np.eye(2), np.eye(2), **named(*labels))


def test_other_bad_arguments_are_refused_with_a_sentence():
    with refused(FeatureError, "metric", "manhattan"):
        retrieval.rank(np.eye(2), np.eye(2), **named([1, 2], [1, 2]), metric="manhattan")
    with refused(FeatureError, "first: 1", "NaN"):
        retrieval.rank_distances([[0.0, 1.0], [0.0, np.nan]], **named([1, 2], [1, 2]))
    with refused(FeatureError, "distances", "(2,)"):
        retrieval.rank_distances([0.0, 1.0], **named([1, 2], [1, 2]))
    with refused(FeatureError, "distances", "complex"):
        retrieval.rank_distances([[0.0, 1j]], **named([1], [1, 2]))
    with refused(FeatureError, "distances", "-1.7e+308", " 1.7e+308"):
        retrieval.rank_distances([[-1.7e308, 1.7e308]], **named([1], [1, 2]))


@pytest.mark.parametrize(
    "option", [{"expand": -1}, {"expand": 2.5}, {"top": -1}, {"top": 1e13}, {"top": True}], ids=str
)
def test_options_that_are_no_whole_numbers_are_refused_with_a_sentence(option):
    ((name, value),) = option.items()
    with refused(FeatureError, name, repr(value)):
        retrieval.rank(np.eye(2), np.eye(2), **named([1, 2], [1, 2]), **option)


def test_whole_numbers_of_numpy_are_whole_numbers():
    options = {"rerank": True, "k1": 5, "k2": 3, "expand": 2, "top": 4}
    query, gallery, labels = labeled(1)
    expected = retrieval.rank(query, gallery, **labels, **options)
    whole = {name: np.int64(value) for name, value in options.items()}
    result = retrieval.rank(query, gallery, **labels, **whole)
    np.testing.assert_array_equal(result.matches.indices, expected.matches.indices)


@pytest.mark.parametrize("k", [0, -1, 2.5])
def test_a_rank_that_there_is_not_is_refused_with_a_sentence(k):
    with refused(FeatureError, "k", repr(k)):
        retrieval.rank(np.eye(2), np.eye(2), **named([1, 2], [1, 2])).rank(k)


@pytest.mark.parametrize("scale", [1e-13, 1e16])
def test_euclidean_features_of_any_usual_size_rank_alike(scale):
    query, gallery, labels = labeled(1)
    options = labels | {"metric": "euclidean", "roc": True}
    expected, result = (retrieval.rank(query * s, gallery * s, **options) for s in (1, scale))
    assert result.mAP == pytest.approx(expected.mAP, abs=1e-3)
    assert result.roc.eer == pytest.approx(expected.roc.eer, abs=1e-3)


@pytest.mark.parametrize(("scale", "where"), [(1e-24, "near"), (1e-21, "near"), (1e19, "far"), (1e37, "far")])
@pytest.mark.parametrize("use", [retrieval.search, retrieval.rerank, retrieval.rank])
def test_euclidean_features_whose_squares_leave_float32_are_refused_with_a_sentence(use, scale, where):
    query, gallery, labels = labeled(1)
    labels = labels if use is retrieval.rank else {}
    with refused(FeatureError, where, "Euclidean", "float32"):
        use(scale * query, scale * gallery, **labels, metric="euclidean")


def test_very_large_and_very_small_features_keep_their_direction():
    result = retrieval.rank(np.eye(2) * 1e30, np.eye(2) * 1e-30, **named([1, 2], [1, 2]))
    assert result.mAP == 1


@pytest.mark.parametrize("rerank", [False, True])
def test_an_autocast_around_it_costs_no_precision(rerank):
    query, gallery, labels = labeled(2)
    expected = retrieval.rank(query, gallery, **labels, rerank=rerank)
    with torch.autocast("cpu", torch.bfloat16):
        result = retrieval.rank(query, gallery, **labels, rerank=rerank)
    np.testing.assert_array_equal(result.matches.scores, expected.matches.scores)
