"""The plain versions, by hand: everything else is compared with them."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from reid_lab.retrieval import reference
from reid_lab.runtime.errors import NoMatchError


def test_a_ranking_by_hand():
    """One query of person 1 on camera 1; junk and the own camera are left out, and of nine images five are ranked."""
    distances = np.array([[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]])
    pids = np.array([1, -1, 2, 1, 2, 1, 0, 3, -1])
    camids = np.array([1, 2, 1, 2, 2, 3, 1, 2, 1])
    query = {"query_pids": np.array([1]), "query_camids": np.array([1])}
    scores = reference.evaluate(distances, **query, gallery_pids=pids, gallery_camids=camids, ranks=6)
    # wrong, right, wrong, right, wrong, wrong: matches at ranks 2 and 4
    assert scores.cmc.tolist() == [0, 1, 1, 1, 1, 1]
    assert scores.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert scores.mAP_trapezoid == pytest.approx(((0 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2) / 2)
    assert scores.mINP == pytest.approx(2 / 4)


def test_where_the_querys_camera_is_unknown_no_image_is_its_own_cameras():
    distances, pids, camids = np.array([[0.1, 0.2]]), np.array([1, 2]), np.array([-1, 1])
    gallery = {"gallery_pids": pids, "gallery_camids": camids}
    assert reference.evaluate(distances, query_pids=np.array([1]), query_camids=np.array([-1]), **gallery).mAP == 1
    with pytest.raises(NoMatchError):
        reference.evaluate(distances, query_pids=np.array([9]), query_camids=np.array([1]), **gallery)


def test_both_average_precisions_against_scikit_learns():
    rng = np.random.default_rng(0)
    for _ in range(50):
        correct = rng.random(30) < 0.2
        correct[rng.integers(30)] = True
        matches = 1 + np.flatnonzero(correct)
        expected = average_precision_score(correct, -np.arange(30))
        assert reference.average_precision(matches) == pytest.approx(expected)
        precision = np.r_[1.0, correct.cumsum() / np.arange(1, 31)]
        recall = np.r_[0.0, correct.cumsum() / correct.sum()]
        assert reference.trapezoid_average_precision(matches) == pytest.approx(np.trapezoid(precision, recall))


def test_re_ranking_by_the_definition_of_the_jaccard_distance():
    """1 - sum of minima / sum of maxima of two encodings, all of them written out."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(24, 3))
    squared = reference.squared_distances(features, features)
    original = squared / squared.max(axis=1, keepdims=True)
    nearest = np.argsort(original, axis=1)
    encodings = np.zeros((24, 24))
    for image in range(24):
        members = reference.expanded_reciprocal_set(nearest, image, 5)
        encodings[image, members] = np.exp(-original[image, members])
    encodings /= encodings.sum(axis=1, keepdims=True)
    encodings = encodings[nearest[:, :3]].mean(axis=1)
    low = np.minimum(encodings[:4, None], encodings[None]).sum(axis=2)
    high = np.maximum(encodings[:4, None], encodings[None]).sum(axis=2)
    expected = 0.7 * (1 - low / high) + 0.3 * original[:4]
    np.testing.assert_allclose(reference.rerank(squared, 4, k1=5, k2=3), expected[:, 4:], rtol=1e-10)


def test_reciprocal_sets_by_hand():
    """Four images on a line, at 0, 1, 2.5 and 10: of each the two nearest."""
    nearest = np.array([[0, 1, 2, 3], [1, 0, 2, 3], [2, 1, 0, 3], [3, 2, 1, 0]])
    assert reference.reciprocal_set(nearest, 0, 1).tolist() == [0, 1]
    assert reference.reciprocal_set(nearest, 2, 1).tolist() == [2]  # 1 is its nearest, but 0 is nearer to 1
    assert reference.reciprocal_set(nearest, 3, 2).tolist() == [3]
    assert reference.expanded_reciprocal_set(nearest, 0, 2).tolist() == [0, 1, 2]
