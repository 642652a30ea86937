import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab.retrieval import loops
from reid_lab.retrieval.protocol import Protocol
from reid_lab.retrieval.sparse import Sparse

twin = pytest.importorskip("reid_lab.retrieval.loops_numba")
seeds = st.integers(0, 2**32 - 1)


def rows_with_ties(rng, dtype):
    values = rng.integers(-3, 4, (7, 50)) / 2 if rng.random() < 0.5 else rng.normal(size=(7, 50))
    return torch.from_numpy(values.astype(dtype))


@given(seeds, st.sampled_from(["float32", "float64"]), st.integers(0, 60))
@settings(max_examples=50, deadline=None)
def test_counting_compiled_and_in_torch_is_the_same(seed, dtype, top):
    rng = np.random.default_rng(seed)
    distances = rows_with_ties(rng, dtype)
    protocol = Protocol(*(rng.integers(-1, high, size) for high in (5, 3) for size in (7, 50)))
    arguments = (distances, *protocol.positives_and_junk(slice(0, 7)), protocol.counted, top)
    for one, other in zip(loops.count(*arguments), twin.count(*arguments), strict=True):
        np.testing.assert_array_equal(one, other)


@given(seeds, st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_nearest_images_compiled_and_in_torch_are_those_of_a_stable_sort(seed, count):
    distances = rows_with_ties(np.random.default_rng(seed), "float32")
    expected = np.argsort(distances.numpy(), axis=1, kind="stable")[:, :count]
    for module in (loops, twin):
        places, largest = module.nearest(distances, count)
        np.testing.assert_array_equal(places, expected)
        np.testing.assert_array_equal(largest, distances.amax(1))


@given(seeds, st.sampled_from(["float32", "float64"]))
@settings(max_examples=50, deadline=None)
def test_histograms_compiled_and_in_torch_are_the_same_and_lose_nothing(seed, dtype):
    rng = np.random.default_rng(seed)
    distances, counted = rows_with_ties(rng, dtype), rng.random(50) < 0.7
    one, other = (module.histogram(distances, -1.0, 1.5, counted) for module in (loops, twin))
    np.testing.assert_array_equal(one, other)
    assert one.sum() == 7 * counted.sum()


def test_a_histogram_of_equal_distances_has_one_step():
    for module in (loops, twin):
        assert module.histogram(torch.zeros(2, 3), 0.0, 0.0)[0] == 6


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_shared_minima_compiled_and_in_torch_are_those_of_dense_matrices(seed):
    rng = np.random.default_rng(seed)
    dense = (rng.random((20, 12)) * (rng.random((20, 12)) < 0.3)).astype(np.float32)
    encodings = sparse(dense)
    expected = np.minimum(dense[:6, None], dense[None, 6:]).sum(2)
    for module in (loops, twin):
        minima = module.shared_minima(encodings[:6], encodings[6:].transposed())
        np.testing.assert_allclose(minima, expected, rtol=1e-5)


def test_shared_minima_stay_within_a_small_budget_where_one_image_is_everybodys_neighbour(monkeypatch):
    dense = np.eye(30, dtype=np.float32)
    dense[:, 0] = 0.5
    monkeypatch.setattr(loops, "MEMORY", 48 * 7)
    minima = loops.shared_minima(sparse(dense[:10]), sparse(dense[10:]).transposed())
    np.testing.assert_allclose(minima, np.minimum(dense[:10, None], dense[None, 10:]).sum(2))


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_distances_of_pairs_compiled_and_in_torch_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    features = torch.from_numpy(rng.normal(size=(9, 17)).astype(np.float32))
    rows, columns = (torch.from_numpy(rng.integers(0, 9, 40)) for _ in range(2))
    expected = (features[rows] - features[columns]).double().square().sum(1)
    for module in (loops, twin):
        np.testing.assert_allclose(module.squared_pairs(features, rows, columns), expected, rtol=1e-5)


def test_large_work_is_compiled_only_on_a_cpu_with_numba(monkeypatch):
    assert loops.choose(torch.device("cpu"), loops.LARGE) is twin
    assert loops.choose(torch.device("cpu"), loops.LARGE - 1) is loops
    assert loops.choose(torch.device("cuda"), loops.LARGE) is loops
    monkeypatch.setitem(__import__("sys").modules, "reid_lab.retrieval.loops_numba", None)
    assert loops.choose(torch.device("cpu"), loops.LARGE) is loops


def test_a_transposed_matrix_has_the_same_entries():
    dense = np.array([[0, 1, 2], [0, 0, 0], [3, 0, 4]], dtype=np.float32)
    matrix = sparse(dense).transposed()
    found = np.zeros((3, 3), dtype=np.float32)
    found[matrix.rows(), matrix.columns] = matrix.values
    np.testing.assert_array_equal(found, dense.T)


def sparse(dense):
    rows, columns = np.nonzero(dense)
    codes, values = torch.from_numpy(rows * dense.shape[1] + columns), torch.from_numpy(dense[rows, columns])
    return Sparse.from_codes(codes, values, *dense.shape)
