"""The steps of :mod:`.reranking`, compiled by numba for a CPU: :class:`CompiledSteps`."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import isqrt
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from reid_lab.retrieval.distances import blocks, squares
from reid_lab.retrieval.kernels_numba import compiled, insert, use_torchs_threads
from reid_lab.retrieval.reranking import Steps, divisors
from reid_lab.retrieval.sparse import Sparse

TILE = 2048  # rows and columns of distances at a time


class CompiledSteps(Steps):
    """The same as :class:`reid_lab.retrieval.reranking.Steps`, with the same results."""

    def nearest_neighbors(self, features: Tensor, count: int, memory: int) -> tuple[Tensor, Tensor]:
        """Compute the same as :meth:`Steps.nearest_neighbors`, from half the product.

        Each tile of distances serves its rows and its columns. A row meets its columns from left to right, as a stable
        sort needs them: those before its own tile as a column of earlier tiles, the others as a row.
        """
        total, own = len(features), squares(features)
        best = np.full((total, min(count, total)), np.inf, dtype=np.float32)
        indices = np.empty(best.shape, dtype=np.int64)
        best[:, 0], indices[:, 0] = -np.inf, np.arange(total)  # itself comes first, whatever rounding says
        largest = np.zeros(total, dtype=np.float32)
        side = max(1, min(TILE, total, isqrt(memory // 4)))
        buffer = features.new_empty(side * side)
        for rows, columns in combinations_with_replacement(blocks(total, 1, side), 2):
            height, width = rows.stop - rows.start, columns.stop - columns.start
            tile = buffer[: height * width].view(height, width)
            torch.addmm(own[columns], features[rows], features[columns].T, alpha=-2, out=tile)  # |b|^2 - 2ab
            use_torchs_threads()
            arguments = tile.numpy(), own[rows].numpy(), rows.start, columns.start, best, indices, largest
            _nearest_in_rows(*arguments)
            if columns != rows:
                _nearest_in_columns(*arguments)
        return torch.from_numpy(indices), divisors(torch.from_numpy(largest), own)

    def expanded_sets(self, neighbors: Tensor, k1: int) -> tuple[Tensor, Tensor]:
        """Compute the same as :meth:`Steps.expanded_sets`."""
        count, half = len(neighbors), min(round(k1 / 2) + 1, neighbors.shape[1])
        table = np.empty((count, min(count, neighbors.shape[1] * (half + 1))), dtype=np.int32)
        lengths = np.empty(count, dtype=np.int64)
        use_torchs_threads()
        _expanded_sets(neighbors.contiguous().numpy(), half, table, lengths)
        members = table[np.arange(table.shape[1]) < lengths[:, None]]
        return torch.from_numpy(np.append(0, lengths.cumsum())), torch.from_numpy(members)

    def squared_pairs(self, features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Compute the same as :meth:`Steps.squared_pairs`."""
        out = np.empty(len(rows), dtype=np.float32)
        use_torchs_threads()
        _squared_pairs(features.numpy(), rows.numpy(), columns.numpy(), out)
        return torch.from_numpy(out)

    def shared_minima(self, queries: Sparse, columns: Sparse) -> Tensor:
        """Compute the same as :meth:`Steps.shared_minima`."""
        out = np.zeros((len(queries), columns.width), dtype=np.float32)
        rows = queries.starts.numpy(), queries.columns.numpy(), queries.values.numpy()
        use_torchs_threads()
        _shared_minima(*rows, columns.starts.numpy(), columns.columns.numpy(), columns.values.numpy(), out)
        return torch.from_numpy(out)

    def expand_queries(self, encodings: Sparse, neighbors: Tensor) -> Sparse:
        """Compute the same as :meth:`Steps.expand_queries`."""
        longest = encodings.lengths()[neighbors].sum(1)  # before shared columns are merged
        starts = np.append(0, longest.cumsum(0).numpy())
        columns = np.empty(starts[-1], dtype=np.int32)
        values = np.empty(starts[-1], dtype=np.float32)
        lengths = np.empty(len(neighbors), dtype=np.int64)
        use_torchs_threads()
        rows = encodings.starts.numpy(), encodings.columns.numpy(), encodings.values.numpy()
        _expand_queries(*rows, neighbors.contiguous().numpy(), starts, columns, values, lengths)
        kept = np.repeat(starts[:-1] + lengths, np.diff(starts)) > np.arange(starts[-1])
        ends = torch.from_numpy(np.append(0, lengths.cumsum()))
        return Sparse(ends, torch.from_numpy(columns[kept]), torch.from_numpy(values[kept]), encodings.width)

    def transposed(self, encodings: Sparse) -> Sparse:
        """Compute the same as :meth:`Steps.transposed`."""
        lengths = np.bincount(encodings.columns.numpy(), minlength=encodings.width)
        starts = np.append(0, lengths.cumsum())
        columns = np.empty(len(encodings.columns), dtype=np.int32)
        values = np.empty(len(encodings.columns), dtype=np.float32)
        rows = encodings.starts.numpy(), encodings.columns.numpy(), encodings.values.numpy()
        _transpose(*rows, starts[:-1].copy(), columns, values)
        return Sparse(torch.from_numpy(starts), torch.from_numpy(columns), torch.from_numpy(values), len(encodings))


@compiled
def _nearest_in_rows(
    tile: Any, own: Any, first_row: int, first_column: int, best: Any, indices: Any, largest: Any
) -> None:
    last = best.shape[1] - 1
    for i in numba.prange(len(tile)):
        row, values = first_row + i, tile[i]
        itself = row - first_column  # where it stands in this tile, if it does
        limit, most = best[row, last], largest[row]
        for j in range(len(values)):
            distance = values[j] + own[i]
            most = max(most, distance)
            if distance < limit and j != itself:
                insert(best[row], indices[row], distance, first_column + j)
                limit = best[row, last]
        largest[row] = most


@compiled
def _nearest_in_columns(
    tile: Any, own: Any, first_row: int, first_column: int, best: Any, indices: Any, largest: Any
) -> None:
    last, width = best.shape[1] - 1, 256
    for strip in numba.prange((tile.shape[1] + width - 1) // width):
        start = first_column + strip * width
        values = tile[:, strip * width : (strip + 1) * width]
        limits = best[start : start + values.shape[1], last].copy()  # side by side, for the cache
        most = largest[start : start + values.shape[1]].copy()
        for i in range(len(values)):
            nearer = 0
            for j in range(values.shape[1]):
                distance = values[i, j] + own[i]
                most[j] = max(most[j], distance)
                nearer += distance < limits[j]
            if nearer:
                for j in range(values.shape[1]):
                    distance = values[i, j] + own[i]
                    if distance < limits[j]:
                        insert(best[start + j], indices[start + j], distance, first_row + i)
                        limits[j] = best[start + j, last]
        largest[start : start + values.shape[1]] = most


@compiled
def _expanded_sets(neighbors: Any, half: int, table: Any, lengths: Any) -> None:
    for i in numba.prange(len(neighbors)):
        own = _reciprocal(neighbors, i, neighbors.shape[1])
        members = table[i]
        members[: len(own)] = own
        count = len(own)
        for candidate in own:
            theirs = _reciprocal(neighbors, candidate, half)
            inside = 0
            for j in theirs:
                inside += _contains(own, j)
            if 3 * inside > 2 * len(theirs):
                for j in theirs:
                    if not _contains(members[:count], j):
                        members[count] = j
                        count += 1
        members[:count].sort()
        lengths[i] = count


@numba.njit(cache=True)
def _reciprocal(neighbors: Any, i: int, k: int) -> Any:
    found = np.empty(k, dtype=np.int64)
    count = 0
    for j in neighbors[i, :k]:
        if _contains(neighbors[j, :k], i):
            found[count] = j
            count += 1
    return found[:count]


@numba.njit(cache=True)
def _contains(values: Any, wanted: int) -> bool:
    for value in values:  # noqa: SIM110 - compiled as it stands
        if value == wanted:
            return True
    return False


@compiled
def _squared_pairs(features: Any, rows: Any, columns: Any, out: Any) -> None:
    for pair in numba.prange(len(rows)):
        one, other = features[rows[pair]], features[columns[pair]]
        total = np.float32(0)
        for k in range(len(one)):
            total += (one[k] - other[k]) ** 2
        out[pair] = total


@compiled
def _expand_queries(
    starts: Any,
    columns: Any,
    values: Any,
    neighbors: Any,
    new_starts: Any,
    new_columns: Any,
    new_values: Any,
    lengths: Any,
) -> None:
    k2 = neighbors.shape[1]
    for i in numba.prange(len(neighbors)):
        size = new_starts[i + 1] - new_starts[i]
        found, shares = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.float32)
        count = 0
        for j in neighbors[i]:
            for entry in range(starts[j], starts[j + 1]):
                found[count], shares[count] = columns[entry], values[entry] / np.float32(k2)
                count += 1
        position, last = new_starts[i] - 1, -1
        for k in np.argsort(found, kind="mergesort"):  # stable: sums in the order of the neighbors
            if found[k] != last:
                position, last = position + 1, found[k]
                new_columns[position], new_values[position] = last, 0
            new_values[position] += shares[k]
        lengths[i] = position + 1 - new_starts[i]


@numba.njit(cache=True)
def _transpose(starts: Any, columns: Any, values: Any, free: Any, new_columns: Any, new_values: Any) -> None:
    for row in range(len(starts) - 1):
        for entry in range(starts[row], starts[row + 1]):
            position = free[columns[entry]]
            new_columns[position], new_values[position] = row, values[entry]
            free[columns[entry]] += 1


@compiled
def _shared_minima(starts: Any, columns: Any, values: Any, column_starts: Any, who: Any, theirs: Any, out: Any) -> None:
    for i in numba.prange(len(out)):
        for entry in range(starts[i], starts[i + 1]):
            value, k = values[entry], columns[entry]
            for other in range(column_starts[k], column_starts[k + 1]):
                out[i, who[other]] += min(value, theirs[other])
