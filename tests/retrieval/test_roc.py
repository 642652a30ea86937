import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from reid_lab import retrieval
from reid_lab.retrieval import Roc
from reid_lab.retrieval.distances import RERANKED
from reid_lab.retrieval.roc import distance_bounds
from reid_lab.runtime.errors import FeatureError


def scores(seed, genuine=200, impostor=3000):
    rng = np.random.default_rng(seed)
    return rng.normal(1.5, 1, genuine).round(2), rng.normal(0, 1, impostor).round(2)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_rates_equal_scikit_learns(seed):
    genuine, impostor = scores(seed, 30, 60)
    roc = Roc.from_scores(genuine, impostor, "score")
    labels = np.repeat([1, 0], [len(genuine), len(impostor)])
    false, true, thresholds = roc_curve(labels, np.concatenate([genuine, impostor]), drop_intermediate=False)
    np.testing.assert_allclose(roc.false_match_rates, false)
    np.testing.assert_allclose(roc.true_match_rates, true)
    np.testing.assert_allclose(roc.thresholds[1:], thresholds[1:])


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.01, 0.1, 1.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_operating_point_keeps_its_promise_on_the_scores(rate, sign):
    genuine, impostor = (sign * values for values in scores(1))
    point = Roc.from_scores(genuine, impostor, "score", higher_is_nearer=sign > 0).at(rate)
    assert np.mean(sign * impostor >= sign * point.threshold) == pytest.approx(point.false_match_rate)
    assert np.mean(sign * genuine >= sign * point.threshold) == pytest.approx(point.true_match_rate)
    assert point.false_match_rate <= rate
    looser = np.sort(sign * np.concatenate([genuine, impostor]))
    looser = looser[looser < sign * point.threshold]
    assert len(looser) == 0 or np.mean(sign * impostor >= looser[-1]) > rate


def test_the_equal_error_rate_is_where_both_errors_meet():
    assert Roc.from_scores([1, 2, 3, 4], [0, 1.5, -1, -2], "score").eer == pytest.approx(0.25)
    assert Roc.from_scores([1, 3, 4], [0, 2], "score").eer == pytest.approx(1 / 3)  # between two thresholds
    assert Roc.from_scores([3, 4], [1, 2], "score").eer == 0
    assert Roc.from_scores([1, 2], [3, 4], "score").eer == 1


def test_pairs_without_scores_are_refused_with_a_sentence():
    with pytest.raises(FeatureError, match="0 and 1"):
        Roc.from_scores([], [1.0], "score")
    with pytest.raises(FeatureError):
        Roc.from_scores([np.nan], [1.0], "score")


@pytest.mark.parametrize("rate", [-0.1, 1.5, 5, np.nan])
def test_a_false_match_rate_that_is_no_share_is_refused_with_a_sentence(rate):
    with pytest.raises(FeatureError, match=str(rate)):
        Roc.from_scores([1.0], [0.0], "score").at(rate)


@pytest.mark.parametrize("options", [{}, {"metric": "euclidean"}, {"rerank": True}], ids=str)
def test_the_curve_of_a_ranking_is_that_of_all_its_counted_pairs(options):
    rng = np.random.default_rng(0)
    labels = {"query_pids": rng.integers(1, 9, 40), "gallery_pids": rng.integers(-1, 9, 200)}
    query_pids, gallery_pids = labels.values()
    labels |= {"query_camids": rng.integers(0, 3, 40), "gallery_camids": rng.integers(0, 3, 200)}
    centers = rng.normal(size=(11, 16))
    query, gallery = (centers[pids] + rng.normal(size=(len(pids), 16)) for pids in (query_pids, gallery_pids))
    result = retrieval.rank(query, gallery, **labels, top=200, roc=True, **options)
    found = result.matches
    counted = found.indices >= 0
    same = found.correct[counted]
    sign = 1 if result.roc.higher_is_nearer else -1
    exact = Roc.from_scores(*(found.scores[counted][kind] for kind in (same, ~same)), "", sign > 0)
    assert result.roc.eer == pytest.approx(exact.eer, abs=2e-3)
    assert result.roc.false_match_rates[0] == 0 and result.roc.false_match_rates[-1] == 1
    area = np.trapezoid(result.roc.true_match_rates, result.roc.false_match_rates)
    assert area == pytest.approx(roc_auc_score(same, sign * found.scores[counted]), abs=1e-3)
    point = result.roc.at(0.01)
    assert np.mean(sign * found.scores[counted][~same] >= sign * point.threshold) <= 0.01 + 1e-9
    assert point.true_match_rate == pytest.approx(exact.at(0.01).true_match_rate, abs=5e-3)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_at_each_threshold_of_a_ranking_so_many_pairs_are_accepted_as_its_rates_say(metric):
    """Each of the curve's 16,385 thresholds, against a count over all pairs in float64."""
    rng = np.random.default_rng(1)
    query_pids, gallery_pids = rng.integers(1, 9, 150), rng.integers(1, 9, 400)
    centers = rng.normal(size=(9, 12))
    query, gallery = (
        (centers[pids] + rng.normal(size=(len(pids), 12))).astype(np.float32) for pids in (query_pids, gallery_pids)
    )
    labels = {"query_pids": query_pids, "gallery_pids": gallery_pids}
    roc = retrieval.rank(query, gallery, **labels, metric=metric, roc=True).roc
    one, other = query.astype(float), gallery.astype(float)
    if metric == "cosine":  # larger is nearer: smaller is, of the negative
        one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other))
        scores, thresholds = -one @ other.T, -roc.thresholds
    else:
        scores, thresholds = np.sqrt(((one[:, None] - other) ** 2).sum(2)), roc.thresholds
    same = query_pids[:, None] == gallery_pids
    for rates, kind in ((roc.true_match_rates, same), (roc.false_match_rates, ~same)):
        counts = np.searchsorted(np.sort(scores[kind]), thresholds, side="left")
        apart = np.abs(rates * kind.sum() - counts)
        assert apart.max() < 4 and apart.mean() < 0.02  # float32 moves a pair over the edge of a step, now and then
        step = np.abs(np.diff(counts)).mean()
        assert step > 0.3, "thresholds that are one step off would be seen"


def test_the_strictest_threshold_accepts_nothing_and_a_tie_is_accepted_whole():
    roc = Roc.from_scores([3.0, 2.0, 2.0], [2.0, 1.0], "score")
    assert roc.thresholds[0] > 3 and roc.thresholds[1:].tolist() == [3, 2, 1]
    assert roc.true_match_rates.tolist() == pytest.approx([0, 1 / 3, 1, 1])
    assert roc.false_match_rates.tolist() == [0, 0, 0.5, 1]
    assert (roc.at(0.0).threshold, roc.at(0.5).threshold, roc.at(1.0).threshold) == (3, 2, 1)
    assert roc.at(0.49).true_match_rate == pytest.approx(1 / 3)
    nearer = Roc.from_scores([1.0, 2.0], [2.0, 3.0], "distance", higher_is_nearer=False)
    assert nearer.thresholds[0] < 1 and nearer.thresholds[1:].tolist() == [1, 2, 3]
    assert nearer.at(0.0).threshold == 1 and nearer.at(0.5).threshold == 2


@pytest.mark.parametrize("far", [1e2, 1e3, 1e4])
def test_one_image_far_out_leaves_the_curve_of_euclidean_distances_as_it_is(far):
    rng = np.random.default_rng(0)
    pids = np.arange(40).repeat(2)
    centers = 1.2 * rng.normal(size=(40, 16))
    query, gallery = centers + rng.normal(size=(40, 16)), centers[pids] + rng.normal(size=(80, 16))
    labels = {"query_pids": pids[::2], "gallery_pids": [*pids, 99], "metric": "euclidean", "roc": True}
    near, spoilt = (
        retrieval.rank(query, np.vstack([gallery, np.full((1, 16), out)]), **labels).roc for out in (3, far)
    )
    assert 0.01 < near.eer == pytest.approx(spoilt.eer, abs=2e-3)
    for rate in (0.01, 0.1):
        assert spoilt.at(rate).true_match_rate == pytest.approx(near.at(rate).true_match_rate, abs=0.03)
        assert spoilt.at(rate).threshold == pytest.approx(near.at(rate).threshold, rel=0.02)


def test_there_is_no_curve_without_impostors_and_none_that_nobody_asked_for():
    one = {"query_pids": [1], "gallery_pids": [1]}
    assert retrieval.rank(np.eye(1), np.eye(1), **one, roc=True).roc is None
    two = {"query_pids": [1, 2], "gallery_pids": [1, 2]}
    assert retrieval.rank(np.eye(2), np.eye(2), **two).roc is None
    assert retrieval.rank(np.eye(2), np.eye(2), **two, roc=True).roc.eer == 0
    assert retrieval.rank_distances(-np.eye(2), **two, roc=True).roc.eer == 0
    assert retrieval.rank_distances(-np.eye(2), **two).roc is None


def test_re_ranked_distances_lie_between_0_and_1_however_short_the_features_are():
    short = torch.full((2, 3), 1e-3)
    assert distance_bounds(short, short, RERANKED) == (0, 1)
