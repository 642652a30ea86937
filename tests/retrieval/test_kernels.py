import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab.retrieval import kernels, reranking
from reid_lab.retrieval.protocol import Protocol

kernels_numba = pytest.importorskip("reid_lab.retrieval.kernels_numba")
BOTH = kernels.Kernels(), kernels_numba.CompiledKernels()
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
    arguments = (distances, *protocol.positives_and_junk(slice(0, 7)), protocol.gallery_pids != -1, top)
    for one, other in zip(*(kind.count(*arguments) for kind in BOTH), strict=True):
        np.testing.assert_array_equal(one, other)


@given(seeds, st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_nearest_images_compiled_and_in_torch_are_those_of_a_stable_sort(seed, count):
    distances = rows_with_ties(np.random.default_rng(seed), "float32")
    expected = np.argsort(distances.numpy(), axis=1, kind="stable")[:, :count]
    for kind in BOTH:
        indices, largest = kind.nearest(distances, count)
        np.testing.assert_array_equal(indices, expected)
        np.testing.assert_array_equal(largest, distances.amax(1))


@given(seeds, st.sampled_from(["float32", "float64"]))
@settings(max_examples=50, deadline=None)
def test_histograms_compiled_and_in_torch_are_the_same_and_lose_nothing(seed, dtype):
    rng = np.random.default_rng(seed)
    distances, counted = rows_with_ties(rng, dtype), rng.random(50) < 0.7
    one, other = (kind.histogram(distances, -1.0, 1.5, counted) for kind in BOTH)
    np.testing.assert_array_equal(one, other)
    assert one.sum() == 7 * counted.sum()


def test_a_histogram_of_equal_distances_has_one_step():
    for kind in BOTH:
        assert kind.histogram(torch.zeros(2, 3), 0.0, 0.0)[0] == 6


@pytest.mark.parametrize(
    ("choose", "plain", "compiled"),
    [
        (kernels.choose, kernels.Kernels, "kernels_numba.CompiledKernels"),
        (reranking.choose_steps, reranking.Steps, "reranking_numba.CompiledSteps"),
    ],
    ids=["kernels", "steps"],
)
def test_large_work_is_compiled_only_on_a_cpu_with_numba(monkeypatch, choose, plain, compiled):
    cpu, (module, name) = torch.device("cpu"), compiled.split(".")
    assert type(choose(cpu, kernels.LARGE)).__name__ == name
    assert type(choose(cpu, kernels.LARGE - 1)) is plain
    assert type(choose(torch.device("cuda"), kernels.LARGE)) is plain
    monkeypatch.setitem(sys.modules, f"reid_lab.retrieval.{module}", None)
    assert type(choose(cpu, kernels.LARGE)) is plain
