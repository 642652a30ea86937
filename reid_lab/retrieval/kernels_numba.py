"""The inner loops of :mod:`.kernels`, compiled by numba for a CPU: :class:`CompiledKernels`.

Each looks at a distance once, and at most distances only to see that they are too large to matter. What was
compiled is kept on disk, so the seconds that it takes are spent once per machine.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from reid_lab.retrieval.kernels import BINS, Kernels, steps_per_unit
from reid_lab.retrieval.protocol import Pairs

compiled = numba.njit(parallel=True, cache=True, nogil=True)


class CompiledKernels(Kernels):
    """The same as :class:`reid_lab.retrieval.kernels.Kernels`, with the same results."""

    bytes_per_distance = 8  # a float32 distance, and as much again where a step needs a second block

    def count(
        self, distances: Tensor, positives: Pairs, junk: Pairs, counted: np.ndarray, top: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the same as :meth:`Kernels.count`."""
        starts, junk_starts = _starts(positives, len(distances)), _starts(junk, len(distances))
        ranks = np.zeros((len(distances), int(np.diff(starts).max(initial=0))), dtype=np.int64)
        nearest = np.full((len(distances), top), -1, dtype=np.int64)
        use_torchs_threads()
        rows = distances.contiguous().numpy()
        _count(rows, starts, positives.gallery, junk_starts, junk.gallery, counted, ranks, nearest)
        return ranks, nearest

    def nearest(self, distances: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Compute the same as :meth:`Kernels.nearest`."""
        indices = np.empty((len(distances), count), dtype=np.int64)
        largest = np.empty(len(distances), dtype=np.float32)
        use_torchs_threads()
        _nearest(distances.numpy(), indices, largest)
        return torch.from_numpy(indices), torch.from_numpy(largest)

    def histogram(self, distances: Tensor, low: float, high: float, counted: np.ndarray | None = None) -> Tensor:
        """Compute the same as :meth:`Kernels.histogram`."""
        rows = distances.contiguous().numpy()
        counted = np.ones(rows.shape[1], dtype=bool) if counted is None else counted
        use_torchs_threads()
        totals = np.zeros((numba.get_num_threads(), BINS), dtype=np.int64)
        _histogram(rows, rows.dtype.type(low), rows.dtype.type(steps_per_unit(low, high)), counted, totals)
        return torch.from_numpy(totals.sum(0))


def use_torchs_threads() -> None:
    """Let the next parallel loop run on as many threads as torch uses."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]


@compiled
def _count(
    distances: Any, starts: Any, positives: Any, junk_starts: Any, junk: Any, counted: Any, ranks: Any, nearest: Any
) -> None:
    top = nearest.shape[1]
    for i in numba.prange(len(distances)):
        row = distances[i]
        valid = counted.copy()
        valid[junk[junk_starts[i] : junk_starts[i + 1]]] = False
        indices = positives[starts[i] : starts[i + 1]]
        indices = indices[np.argsort(row[indices], kind="mergesort")]  # stable: the earlier image first
        values = row[indices]
        farthest = values[-1] if len(values) else -np.inf
        between = np.zeros(len(values) + 1, dtype=np.int64)
        best = np.full(top, np.inf, dtype=distances.dtype)
        limit = np.inf
        for j in range(len(row)):
            distance = row[j]
            if distance > limit or not valid[j]:
                continue
            if distance <= farthest:
                low, high = 0, len(values)  # the first match that is not nearer than image j
                while low < high:
                    middle = (low + high) // 2
                    if values[middle] < distance or (values[middle] == distance and indices[middle] < j):
                        low = middle + 1
                    else:
                        high = middle
                between[low] += 1
            if top and distance < best[top - 1]:
                insert(best, nearest[i], distance, j)
            limit = max(farthest, best[top - 1]) if top else farthest
        rank = 0
        for k in range(len(values)):
            rank += between[k]
            ranks[i, k] = rank


@compiled
def _nearest(distances: Any, indices: Any, largest: Any) -> None:
    count = indices.shape[1]
    for i in numba.prange(len(distances)):
        row = distances[i]
        best = np.full(count, np.inf, dtype=distances.dtype)
        most = row[0]
        for j in range(len(row)):
            distance = row[j]
            most = max(most, distance)
            if distance < best[count - 1]:
                insert(best, indices[i], distance, j)
        largest[i] = most


@numba.njit(cache=True)
def insert(best: Any, indices: Any, distance: Any, j: Any) -> None:
    """Insert a distance into ascending ``best``, behind equal ones, whose images came earlier."""
    k = len(best) - 1
    while k > 0 and best[k - 1] > distance:
        best[k], indices[k] = best[k - 1], indices[k - 1]
        k -= 1
    best[k], indices[k] = distance, j


@compiled
def _histogram(distances: Any, low: Any, scale: Any, counted: Any, totals: Any) -> None:
    threads, bins = totals.shape
    for thread in numba.prange(threads):
        own = np.zeros(bins, dtype=np.int64)
        for i in range(thread, len(distances), threads):
            row = distances[i]
            for j in range(len(row)):
                step = min(max(np.int32((row[j] - low) * scale), 0), bins - 1)
                own[step] += counted[j]
        totals[thread] = own


def _starts(pairs: Pairs, count: int) -> np.ndarray:
    return np.concatenate([[0], np.bincount(pairs.queries, minlength=count).cumsum()])
