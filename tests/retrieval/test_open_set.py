import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab import retrieval
from reid_lab.retrieval import OpenSet, reference
from reid_lab.runtime.errors import DataError, FeatureError, NoMatchError


def searches(seed, queries=30, images=60, ties=True):
    """Distances and labels with junk, distractors, unknown cameras, people who are not there, and many ties."""
    rng = np.random.default_rng(seed)
    distances = rng.random((queries, images))
    return (distances.round(1) if ties else distances), {
        "query_pids": rng.integers(1, 12, queries),
        "gallery_pids": rng.integers(-1, 7, images),
        "query_camids": rng.integers(-1, 3, queries),
        "gallery_camids": rng.integers(-1, 3, images),
    }


def brute_force(distances, labels, threshold, rank):
    """FPIR and TPIR by sorting (distance, index) tuples of whatever counts: no NumPy but for the numbers."""
    query_pids, gallery_pids, query_camids, gallery_camids = (values.tolist() for values in labels.values())
    alarms, hits = [], []
    for row, pid, camid in zip(distances.tolist(), query_pids, query_camids, strict=True):
        images = [
            (distance, index)
            for index, (distance, other, camera) in enumerate(zip(row, gallery_pids, gallery_camids, strict=True))
            if other != -1 and not (other == pid and camera == camid != -1)
        ]
        returned = [index for distance, index in sorted(images)[:rank] if distance <= threshold]
        if any(gallery_pids[index] == pid for _, index in images):
            hits.append(any(gallery_pids[index] == pid for index in returned))
        else:
            alarms.append(len(returned) > 0)
    return sum(alarms) / len(alarms), sum(hits) / len(hits)


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 5, 100]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_both_rates_equal_those_of_plain_loops_and_of_brute_force(seed, rank, ties):
    distances, labels = searches(seed, ties=ties)
    found = retrieval.open_set(distances, **labels, rank=rank)
    for threshold in (-1.0, 0.0, 0.1, 0.25, 0.5, 0.9, 2.0):
        expected = brute_force(distances, labels, threshold, rank)
        assert (found.fpir(threshold), found.tpir(threshold)) == pytest.approx(expected)
        assert reference.identification_rates(distances, threshold, **labels, rank=rank) == pytest.approx(expected)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_curve_gives_the_rates_at_each_of_its_thresholds(seed):
    distances, labels = searches(seed)
    found = retrieval.open_set(distances, **labels)
    thresholds, fpir, tpir = found.curve()
    assert np.allclose(fpir, [found.fpir(each) for each in thresholds])
    assert np.allclose(tpir, [found.tpir(each) for each in thresholds])
    assert (fpir[0], tpir[0], fpir[-1]) == (0, 0, 1)
    assert (np.diff(thresholds) > 0).all() and (np.diff(fpir) >= 0).all() and (np.diff(tpir) >= 0).all()


@pytest.mark.parametrize("rate", [0, 0.01, 0.1, 0.5, 1])
def test_the_threshold_is_the_largest_that_keeps_the_rate(rate):
    distances, labels = searches(3, queries=200)
    found = retrieval.open_set(distances, **labels)
    threshold = found.threshold(rate)
    assert found.fpir(threshold) <= rate
    larger = [each for each in found.curve()[0] if each > threshold]
    assert all(found.fpir(each) > rate for each in larger)


def test_searches_that_share_a_distance_are_accepted_together_or_not_at_all():
    three = OpenSet(np.array([0.2, 0.2, 0.5]), np.full(3, np.inf), np.zeros(3, bool), 1)
    assert three.threshold(0.9) == 0.2 and three.fpir(0.2) == pytest.approx(2 / 3)
    assert three.threshold(0.5) < 0.2 and three.fpir(three.threshold(0.5)) == 0
    assert three.threshold(1) == 0.5


def test_of_equally_near_images_the_earlier_one_of_the_gallery_is_returned():
    tied = np.full((1, 3), 0.3)
    for index, found in ((0, 1.0), (2, 0.0)):
        pids = np.full(3, 9)
        pids[index] = 7
        assert retrieval.open_set(tied, query_pids=[7], gallery_pids=pids).tpir(0.3) == found
        assert retrieval.open_set(tied, query_pids=[7], gallery_pids=pids, rank=3).tpir(0.3) == 1


def test_a_wrong_person_before_the_match_is_no_true_positive_of_rank_1():
    labels = {"query_pids": [7], "gallery_pids": [9, 7]}
    assert retrieval.open_set([[0.1, 0.2]], **labels).tpir(1) == 0
    assert retrieval.open_set([[0.1, 0.2]], **labels, rank=2).tpir(1) == 1
    assert retrieval.open_set([[0.1, 0.2]], **labels, rank=2).tpir(0.15) == 0


def test_somebody_who_is_there_as_junk_only_is_not_there():
    labels = {"query_pids": [7, 8], "query_camids": [1, 1], "gallery_pids": [7, 8, -1], "gallery_camids": [1, 2, 3]}
    found = retrieval.open_set([[0.1, 0.6, 0.0], [0.9, 0.3, 0.0]], **labels)
    assert found.mated.tolist() == [False, True]
    assert found.nearest.tolist() == [0.6, 0.3]  # neither the junk of query 0 nor the bad box


def test_a_gallery_of_junk_returns_nothing():
    found = retrieval.open_set([[0.1]], query_pids=[7], gallery_pids=[-1])
    assert found.fpir(np.inf) == 0 and found.nearest.tolist() == [np.inf]
    assert found.fpir(found.threshold(1)) == 0


def test_adding_junk_and_turning_queries_round_change_no_rate():
    distances, labels = searches(5)
    found = retrieval.open_set(distances, **labels)
    more = labels | {"gallery_pids": [*labels["gallery_pids"], -1], "gallery_camids": [*labels["gallery_camids"], 1]}
    junk = retrieval.open_set(np.hstack([np.asarray(distances), np.full((30, 1), -1.0)]), **more)
    turned = {name: values[::-1].copy() if "query" in name else values for name, values in labels.items()}
    for other in (junk, retrieval.open_set(distances[::-1].copy(), **turned)):
        assert (other.fpir(0.1), other.tpir(0.1)) == pytest.approx((found.fpir(0.1), found.tpir(0.1)))


@pytest.mark.parametrize("threshold", [2, np.inf])
def test_without_a_threshold_the_share_of_found_people_is_the_value_of_the_cmc(threshold):
    distances, labels = searches(6, ties=False)
    for rank in (1, 3):
        closed = retrieval.rank_distances(distances, **labels).rank(rank)
        assert closed < 1
        assert retrieval.open_set(distances, **labels, rank=rank).tpir(threshold) == pytest.approx(closed)


def test_a_tensor_is_left_as_it_was_and_gives_the_same_rates():
    distances, labels = searches(7)
    tensor = torch.from_numpy(distances.copy())
    found = retrieval.open_set(tensor, **labels)
    assert np.array_equal(tensor.numpy(), distances)
    assert found.curve()[1].tolist() == retrieval.open_set(distances, **labels).curve()[1].tolist()


def test_without_searches_of_a_kind_there_is_a_sentence_instead_of_their_rate():
    everybody = retrieval.open_set([[0.1, 0.9]], query_pids=[1], gallery_pids=[1, 2])
    assert everybody.tpir(0.1) == 1
    for ask in (lambda: everybody.fpir(0.1), lambda: everybody.threshold(0.1), everybody.curve):
        with pytest.raises(FeatureError, match=r"Each of the 1 queries has a match .* take some people out"):
            ask()
    nobody = retrieval.open_set([[0.1, 0.9]], query_pids=[3], gallery_pids=[1, 2])
    assert nobody.fpir(0.1) == 1
    for ask in (lambda: nobody.tpir(0.1), nobody.curve):
        with pytest.raises(NoMatchError, match=r"None of the 1 queries has a match .* check the labels"):
            ask()


@pytest.mark.parametrize("rate", [-0.1, 1.5, np.nan, "half", True])
def test_a_rate_that_is_no_share_is_refused_with_a_sentence(rate):
    with pytest.raises(FeatureError, match="lies in 0..1"):
        OpenSet(np.array([0.2]), np.array([np.inf]), np.array([False]), 1).threshold(rate)


def test_bad_arguments_are_refused_with_a_sentence():
    labels = {"query_pids": [1], "gallery_pids": [1, 2]}
    for distances in ([0.1, 0.2], [[]], [[[0.1, 0.2]]]):
        with pytest.raises(FeatureError, match="shape"):
            retrieval.open_set(distances, **labels)
    with pytest.raises(FeatureError, match="1 of 1 query rows .*NaN"):
        retrieval.open_set([[0.1, np.nan]], **labels)
    with pytest.raises(FeatureError, match="rank is 0"):
        retrieval.open_set([[0.1, 0.2]], **labels, rank=0)
    with pytest.raises(DataError, match="gallery_pids"):
        retrieval.open_set([[0.1, 0.2, 0.3]], **labels)
