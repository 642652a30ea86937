"""KISSME and XQDA against brute force over pairs, SciPy's Gaussians and scikit-learn's discriminant analysis."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch

from reid_lab.methods import pair_metrics
from reid_lab.runtime.errors import RecipeError


def some(count=40, dims=5, people=6, cameras=3):
    random = np.random.default_rng(0)
    return random.normal(size=(count, dims)), random.integers(0, people, count), random.integers(1, cameras + 1, count)


def balanced(people=7, images=9, dims=5):
    """Rows of people who differ more than their own images do, as many images of each."""
    random = np.random.default_rng(1)
    pids = np.arange(people * images) % people
    return random.normal(size=(people, dims))[pids] + random.normal(size=(len(pids), dims)) / 2, pids


@pytest.mark.parametrize("pairs", ["cross_camera", "all"])
def test_the_covariances_are_means_over_all_pairs_one_by_one(pairs):
    rows, pids, camids = some()
    outer = {True: [], False: []}
    for i, j in itertools.combinations(range(len(rows)), 2):
        if pairs == "all" or camids[i] != camids[j]:
            outer[pids[i] == pids[j]].append(np.outer(rows[i] - rows[j], rows[i] - rows[j]))
    found = pair_metrics.covariances(rows, pids, camids, pairs)
    np.testing.assert_allclose(found.similar, np.mean(outer[True], axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.different, np.mean(outer[False], axis=0), rtol=1e-12)
    assert (found.similar_pairs, found.different_pairs) == (len(outer[True]), len(outer[False]))


def test_of_balanced_people_it_is_a_multiple_of_the_covariance_within_people():
    rows, pids = balanced()
    within = rows - np.stack([rows[pids == pid].mean(axis=0) for pid in pids])
    empirical = pytest.importorskip("sklearn.covariance").empirical_covariance(within, assume_centered=True)
    found = pair_metrics.covariances(rows, pids, pids, "all").similar
    np.testing.assert_allclose(found, 2 * 9 / (9 - 1) * empirical, rtol=1e-12)


@pytest.mark.parametrize(
    ("pids", "camids", "told"),
    [(np.arange(4), np.array([1, 2, 1, 2]), "one person"), (np.zeros(4, int), np.array([1, 2, 1, 2]), "two people")],
)
def test_where_there_are_no_pairs_that_is_said(pids, camids, told):
    with pytest.raises(RecipeError, match=f"pairs.*{told}"):
        pair_metrics.covariances(some()[0][:4], pids, camids, "cross_camera")


def test_unknown_cameras_are_one_camera_so_the_cure_is_all_pairs():
    rows, pids, _ = some()
    with pytest.raises(RecipeError, match="pairs='all'"):
        pair_metrics.covariances(rows, pids, np.full(len(rows), -1), "cross_camera")


def test_kissme_is_the_likelihood_ratio_of_two_gaussians():
    rows, pids, camids = some()
    found = pair_metrics.covariances(rows, pids, camids, "all")
    differences = np.random.default_rng(2).normal(size=(20, 5))
    one, two = (
        scipy.stats.multivariate_normal(np.zeros(5), covariance).logpdf(differences)
        for covariance in (found.similar, found.different)
    )
    metric = pair_metrics.kissme(found.similar, found.different)
    distances = pair_metrics.quadratic(metric, differences, np.zeros((1, 5)))[:, 0]
    np.testing.assert_allclose(distances - distances[0], 2 * (two - one) - 2 * (two - one)[0], atol=1e-10)


def test_a_covariance_without_inverse_is_refused_with_the_number_of_components_that_has_one():
    rows = np.repeat(some()[0][:, :3], 2, axis=1)  # six columns of three dimensions
    covariance = pair_metrics.covariances(rows, some()[1], some()[2], "all").similar
    with pytest.raises(RecipeError, match="3 directions.*6.*pca"):
        pair_metrics.inverse(covariance)


def test_the_factor_is_the_metric_without_its_negative_eigenvalues():
    random = np.random.default_rng(3)
    values = np.array([3.0, 1.0, 0.5, -0.2, -2.0])
    vectors = np.linalg.qr(random.normal(size=(5, 5)))[0]
    metric = (vectors * values) @ vectors.T
    rows = pair_metrics.factor(metric)
    assert rows.shape == (3, 5)
    np.testing.assert_allclose(rows.T @ rows, (vectors * values.clip(0)) @ vectors.T, atol=1e-12)
    queries, gallery = random.normal(size=(4, 5)), random.normal(size=(6, 5))
    differences = queries[:, None] - gallery
    for matrix in (metric, rows.T @ rows):
        slow = np.einsum("qgi,ij,qgj->qg", differences, matrix, differences)
        np.testing.assert_allclose(pair_metrics.quadratic(matrix, queries, gallery), slow, atol=1e-12)
    projected = ((queries @ rows.T)[:, None] - gallery @ rows.T) ** 2
    np.testing.assert_allclose(projected.sum(2), slow, atol=1e-12)


def test_xqda_of_balanced_people_is_linear_discriminant_analysis():
    lda = pytest.importorskip("sklearn.discriminant_analysis").LinearDiscriminantAnalysis(solver="eigen")
    rows, pids = balanced(people=4, images=12, dims=6)
    found = pair_metrics.covariances(rows, pids, pids, "all")
    projection = pair_metrics.xqda(found.similar, found.different, ridge=0, dims=None, basis="eigen")
    scalings = lda.fit(rows, pids).scalings_.T[: len(projection)]
    assert len(projection) == 4 - 1
    cosines = (projection * scalings).sum(1) / np.linalg.norm(projection, axis=1) / np.linalg.norm(scalings, axis=1)
    np.testing.assert_allclose(abs(cosines), 1, atol=1e-9)


def test_xqda_is_kissme_within_the_directions_of_the_largest_values_which_it_makes_diagonal():
    rows, pids = balanced()
    found = pair_metrics.covariances(rows, pids, pids, "all")
    regular = found.similar + 0.01 * np.eye(5)
    values, W = scipy.linalg.eig(np.linalg.solve(regular, found.different))  # not the way it is computed
    W = W.real[:, values.real > 1]
    expected = W @ pair_metrics.kissme(W.T @ regular @ W, W.T @ found.different @ W) @ W.T
    projection = pair_metrics.xqda(found.similar, found.different, 0.01, None, "eigen")
    np.testing.assert_allclose(projection.T @ projection, expected, atol=1e-9)
    fewer = pair_metrics.xqda(found.similar, found.different, 0.01, 2, "eigen")
    np.testing.assert_allclose(fewer, projection[:2])


def test_the_svd_of_the_authors_code_gives_other_directions_and_a_metric_that_must_be_cut():
    random = np.random.default_rng(34)
    similar, different = (spread @ spread.T for spread in random.normal(size=(2, 8, 10)))
    regular = similar + 0.01 * np.eye(8)
    U, values, _ = np.linalg.svd(np.linalg.inv(regular) @ different)
    U = U[:, values > 1]
    whole = pair_metrics.kissme(U.T @ regular @ U, U.T @ different @ U)
    assert np.linalg.eigvalsh(whole)[0] < 0
    rows_of = pair_metrics.factor(whole)
    projection = pair_metrics.xqda(similar, different, 0.01, None, "svd")
    np.testing.assert_allclose(projection.T @ projection, U @ rows_of.T @ rows_of @ U.T, atol=1e-8)
    other = pair_metrics.xqda(similar, different, 0.01, None, "eigen")
    assert not np.allclose(projection.T @ projection, other.T @ other, atol=0.01)


def test_xqda_without_a_telling_direction_is_refused():
    with pytest.raises(RecipeError, match="ridge"):
        pair_metrics.xqda(np.eye(3), 0.5 * np.eye(3), 0.0, None, "eigen")


def test_the_span_keeps_every_distance_and_its_projection_is_that_of_the_features():
    random = np.random.default_rng(4)
    features = torch.from_numpy(random.normal(size=(20, 5000)).astype(np.float32))  # more than one block of columns
    features[:, 100:3000] = 0  # bins that are always empty
    span = pair_metrics.span(features)
    assert span.coordinates.shape == (20, 19)
    np.testing.assert_allclose(torch.pdist(torch.from_numpy(span.coordinates)), torch.pdist(features), rtol=1e-5)
    rows = random.normal(size=(3, 19))
    centered = features.double().numpy() - features.double().numpy().mean(axis=0)
    np.testing.assert_allclose(centered @ span.projection(rows).T, span.coordinates @ rows.T, rtol=1e-6, atol=1e-6)


def test_the_span_of_few_dimensions_is_principal_component_analysis():
    features = torch.from_numpy(np.random.default_rng(5).normal(size=(30, 12)).astype(np.float32))
    expected = pytest.importorskip("sklearn.decomposition").PCA(4).fit_transform(features.double().numpy())
    found = pair_metrics.span(features, 4).coordinates
    np.testing.assert_allclose(abs(found), abs(expected), rtol=1e-6, atol=1e-8)
    assert pair_metrics.span(features, 50).coordinates.shape == (30, 12)


def test_xqda_in_the_span_is_xqda_of_the_whole_features():
    random = np.random.default_rng(6)
    pids = np.arange(24) % 6
    features = (random.normal(size=(6, 30))[pids] + random.normal(size=(24, 30)) / 2).astype(np.float32)
    span = pair_metrics.span(torch.from_numpy(features))
    within = pair_metrics.covariances(span.coordinates, pids, pids, "all")
    whole = pair_metrics.covariances(features.astype(np.float64), pids, pids, "all")
    one, other = (pair_metrics.xqda(part.similar, part.different, 0.001, None, "eigen") for part in (within, whole))
    one = span.projection(one)
    np.testing.assert_allclose(one.T @ one, other.T @ other, rtol=1e-4, atol=1e-4 * abs(other.T @ other).max())
