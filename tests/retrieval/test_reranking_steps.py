import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab.retrieval import reranking
from reid_lab.retrieval.sparse import Sparse

reranking_numba = pytest.importorskip("reid_lab.retrieval.reranking_numba")
PLAIN, COMPILED = reranking.Steps(), reranking_numba.CompiledSteps()
seeds = st.integers(0, 2**32 - 1)


def sparse(dense):
    rows, columns = np.nonzero(dense)
    codes, values = torch.from_numpy(rows * dense.shape[1] + columns), torch.from_numpy(dense[rows, columns])
    return Sparse.from_codes(codes, values, *dense.shape)


def dense(matrix):
    found = np.zeros((len(matrix), matrix.width), dtype=np.float32)
    found[matrix.rows(), matrix.columns] = matrix.values
    return found


def random_rows(rng, rows=20, columns=12):
    return (rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.3)).astype(np.float32)


@given(seeds, st.integers(1, 70), st.sampled_from([1, 7, 16, 100]))
@settings(max_examples=50, deadline=None)
def test_neighbors_compiled_and_in_torch_are_those_of_a_stable_sort_after_the_image_itself(seed, count, side):
    rng = np.random.default_rng(seed)
    features = rng.integers(-3, 4, (50, 3)).astype(np.float32)  # whole numbers: many ties, no rounding
    squared = ((features[:, None] - features) ** 2).sum(2)
    expected = np.argsort(squared - 1e9 * np.eye(50), axis=1, kind="stable")[:, :count]
    for steps, memory in ((PLAIN, 50 * 48 * side), (COMPILED, 4 * side**2)):
        neighbors, furthest = steps.nearest_neighbors(torch.from_numpy(features), count, memory)
        np.testing.assert_array_equal(neighbors, expected)
        np.testing.assert_array_equal(furthest, squared.max(1))


@given(seeds, st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_expanded_sets_compiled_and_in_torch_are_the_same(seed, k1):
    rng = np.random.default_rng(seed)
    order = np.argsort(rng.random((10, 10)) - 2 * np.eye(10), axis=1)
    neighbors = torch.from_numpy(order[:, : k1 + 1])
    for one, other in zip(*(steps.expanded_sets(neighbors, k1) for steps in (PLAIN, COMPILED)), strict=True):
        np.testing.assert_array_equal(one, other)


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_a_transposed_matrix_compiled_and_in_torch_has_the_same_entries(seed):
    matrix = random_rows(np.random.default_rng(seed))
    for steps in (PLAIN, COMPILED):
        np.testing.assert_array_equal(dense(steps.transposed(sparse(matrix))), matrix.T)


@given(seeds, st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_expanded_queries_compiled_and_in_torch_are_means_of_dense_rows(seed, k2):
    rng = np.random.default_rng(seed)
    matrix, neighbors = random_rows(rng, 15, 15), rng.integers(0, 15, (15, k2))
    one, other = (steps.expand_queries(sparse(matrix), torch.from_numpy(neighbors)) for steps in (PLAIN, COMPILED))
    np.testing.assert_allclose(dense(one), matrix[neighbors].mean(1), rtol=1e-5)
    for field in ("starts", "columns", "values"):
        np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_shared_minima_compiled_and_in_torch_are_those_of_dense_matrices(seed):
    rng = np.random.default_rng(seed)
    matrix = random_rows(rng)
    encodings = sparse(matrix)
    expected = np.minimum(matrix[:6, None], matrix[None, 6:]).sum(2)
    for steps in (PLAIN, COMPILED):
        minima = steps.shared_minima(encodings[:6], steps.transposed(encodings[6:]))
        np.testing.assert_allclose(minima, expected, rtol=1e-5)


def test_shared_minima_stay_within_a_small_budget_where_one_image_is_everybodys_neighbor(monkeypatch):
    matrix = np.eye(30, dtype=np.float32)
    matrix[:, 0] = 0.5
    monkeypatch.setattr(reranking, "MEMORY", 48 * 7)
    minima = PLAIN.shared_minima(sparse(matrix[:10]), PLAIN.transposed(sparse(matrix[10:])))
    np.testing.assert_allclose(minima, np.minimum(matrix[:10, None], matrix[None, 10:]).sum(2))


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_distances_of_pairs_compiled_and_in_torch_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(9, 17)).astype(np.float32))
    rows, columns = (torch.from_numpy(rng.integers(0, 9, 40)) for _ in range(2))
    expected = (features[rows] - features[columns]).double().square().sum(1)
    for steps in (PLAIN, COMPILED):
        np.testing.assert_allclose(steps.squared_pairs(features, rows, columns), expected, rtol=1e-5)
