"""k-reciprocal re-ranking, exact, in blocks, without ever holding all distances: the same as ``reference.rerank``.

Source: Zhong, Zheng, Cao and Li, *Re-ranking person re-identification with k-reciprocal encoding*, CVPR 2017.

The idea: if two images show one person, each is among the other's nearest neighbors. Every image of query and gallery
is encoded by *who its mutual neighbors are*; two images are near if they share them.

    1. neighbors       N(i, k): the k nearest of all images and i itself; d_ij: squared Euclidean distance
                        divided by the largest one of row i
    2. reciprocal       R(i, k) = { j in N(i, k) : i in N(j, k) }
    3. expanded         R*(i) = R(i, k1) with each R(j, k1 / 2), j in R(i, k1), of which more than 2/3 lie
                        in R(i, k1)
    4. encoding         V_ij = exp(-d_ij) for j in R*(i), else 0; each row divided by its sum
    5. query expansion  V_i becomes the mean of the V_j of its k2 nearest images, itself among them
    6. Jaccard          J_ij = 1 - sum_k min(V_ik, V_jk) / sum_k max(V_ik, V_jk)
    7. final            (1 - lambda) J_ij + lambda d_ij

V has some tens of entries per row, so all but step 1 costs little; step 1 is a matrix product, a block of
rows at a time. The divisions by the largest distance and by the row's sum are the published code's, not the
paper's, and so is "more than" in step 3, where the paper writes "at least".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from reid_lab.losses import full_precision
from reid_lab.retrieval import kernels
from reid_lab.retrieval.distances import MEMORY, blocks, comparable, squared_distances, squares
from reid_lab.retrieval.kernels import Kernels
from reid_lab.retrieval.sparse import Sparse, ragged
from reid_lab.runtime.device import exact_float32
from reid_lab.runtime.errors import FeatureError
from reid_lab.runtime.validation import is_number, whole

FINAL_BYTES = 16  # per final distance: the three float32 blocks that it is mixed from, and one more


def rerank(
    query_features: Any,
    gallery_features: Any,
    *,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    metric: str = "cosine",
    device: torch.device | str | None = None,
    memory: int = MEMORY,
) -> Tensor:
    """Compute re-ranked distances: the same as ``reference.rerank``.

    Equally near images, as computed (see `rank`): the earlier one (queries before gallery) is the neighbor.

    Args:
        query_features: (q, d), numpy or torch.
        gallery_features: (g, d).
        k1: size of the reciprocal neighborhood.
        k2: how many neighbors' encodings are averaged (1: none).
        lam: weight of the original distance, 0..1.
        metric: "cosine": features are brought to length 1 first; "euclidean": they are taken as they are.
        device: where to compute; None: where the gallery features are.
        memory: bytes that one block of rows may take.

    Returns:
        The distances (q, g), float32, smaller is nearer, 0..1.

    Raises:
        FeatureError: features or arguments cannot be used.
        DeviceError: the device is not there.
    """
    check_parameters(k1, k2, lam)
    features, queries = comparable(query_features, gallery_features, metric, device), len(query_features)
    distances = features.new_empty(queries, len(features) - queries)
    with full_precision(features), exact_float32():  # whatever the caller trains in
        for part, block in reranked_blocks(features, queries, k1, k2, lam, memory):
            distances[part] = block
    return distances


def reranked_blocks(
    features: Tensor, queries: int, k1: int, k2: int, lam: float, memory: int = MEMORY
) -> Iterator[tuple[slice, Tensor]]:
    """Yield re-ranked distances block by block: a slice of the queries, and theirs to the gallery, (b, g).

    Args:
        features: (N, d), from ``comparable``; the first ``queries`` rows are the queries.
        queries: how many of the images are queries.
        k1: as in :func:`rerank`, and so are k2, lam and memory.
        k2: as there.
        lam: as there.
        memory: as there.
    """
    check_parameters(k1, k2, lam)
    steps = choose_steps(features.device, len(features) ** 2)
    neighbors, furthest = steps.nearest_neighbors(features, max(k1 + 1, k2), memory)
    starts, members = steps.expanded_sets(neighbors[:, : k1 + 1], k1)
    encodings = encode(features, starts, members, furthest, steps)
    if k2 > 1:
        encodings = steps.expand_queries(encodings, neighbors[:, :k2])
    gallery, columns = features[queries:], steps.transposed(encodings[queries:])
    gallery_squares = squares(gallery)
    for part in blocks(queries, len(gallery) * FINAL_BYTES, memory):
        minima = steps.shared_minima(encodings[part], columns)
        jaccard = minima.div_(2 - minima).neg_().add_(1)  # 1 - min / max: rows sum to 1, so sum max = 2 - sum min
        original = squared_distances(features[part], gallery, gallery_squares).div_(furthest[part, None])
        yield part, original.mul_(lam).add_(jaccard, alpha=1 - lam).clamp_(0, 1)


def encode(features: Tensor, starts: Tensor, members: Tensor, furthest: Tensor, steps: Steps) -> Sparse:
    """Step 4: compute the encodings V, (N, N), rows of sum 1, of the sets that :meth:`Steps.expanded_sets` found."""
    sets = Sparse(starts, members, torch.ones_like(members, dtype=torch.float32), len(features))
    rows = sets.rows()
    weights = torch.exp(-steps.squared_pairs(features, rows, members) / furthest[rows])
    sums = weights.new_zeros(len(features)).index_add_(0, rows, weights)
    return replace(sets, values=weights / sums[rows])


def choose_steps(device: torch.device, distances: int) -> Steps:
    """Return the steps for so many distances on a device."""
    if device.type == "cpu" and distances >= kernels.LARGE:
        with suppress(ImportError, RuntimeError):  # the latter where numba may not write what it compiled
            from reid_lab.retrieval.reranking_numba import CompiledSteps

            return CompiledSteps()
    return Steps()


class Steps:
    """The steps in torch, on every device; :class:`reid_lab.retrieval.reranking_numba.CompiledSteps` is faster."""

    def nearest_neighbors(self, features: Tensor, count: int, memory: int) -> tuple[Tensor, Tensor]:
        """Step 1: find the nearest images of each image, and the largest distance of each.

        Args:
            features: (N, d), from ``comparable``.
            count: how many are wanted, the image itself among them.
            memory: bytes that one block of rows may take.

        Returns:
            The neighbors (N, count), the image itself first, and the largest squared distances (N,).
        """
        own = squares(features)
        inner, neighbors, furthest = Kernels(), [], []
        parts = list(blocks(len(features), len(features) * inner.bytes_per_distance, memory))
        buffer = features.new_empty(parts[0].stop, len(features))  # for all blocks, one after another
        for part in parts:
            distances = buffer[: part.stop - part.start]
            torch.addmm(own, features[part], features.T, alpha=-2, out=distances).add_(own[part, None])
            distances.diagonal(part.start).fill_(-torch.inf)  # itself comes first, whatever rounding says
            indices, largest = inner.nearest(distances, min(count, len(features)))
            neighbors.append(indices)
            furthest.append(largest)
        return torch.cat(neighbors), divisors(torch.cat(furthest), own)

    def expanded_sets(self, neighbors: Tensor, k1: int) -> tuple[Tensor, Tensor]:
        """Steps 2 and 3: find the members of all R*(i).

        Args:
            neighbors: (N, k1 + 1), from :meth:`nearest_neighbors`.
            k1: size of the reciprocal neighborhood.

        Returns:
            The starts (N + 1,) and the members: those of R*(i), ascending, are members[starts[i] : starts[i + 1]].
        """
        half = neighbors[:, : round(k1 / 2) + 1]  # halves round to even, as in the published code
        mutual, mutual_half = reciprocal(neighbors), reciprocal(half)
        codes = []
        for part in blocks(len(neighbors), neighbors.shape[1] ** 2 * half.shape[1] * 2, MEMORY):
            own = torch.where(mutual[part], neighbors[part], -1)  # R(i, k1), (b, k1 + 1)
            theirs = torch.where(mutual_half, half, -2)[neighbors[part]]  # R(j, k1 / 2), (b, k1 + 1, h)
            inside = (theirs[..., None] == own[:, None, None]).any(3)
            enough = 3 * inside.sum(2) > 2 * (theirs >= 0).sum(2)
            added = torch.where((mutual[part] & enough)[..., None] & ~inside, theirs, -1)
            found = torch.cat([own, added.flatten(1)], dim=1)
            rows = torch.arange(part.start, part.stop, device=found.device)[:, None]
            codes.append((rows * len(neighbors) + found)[found >= 0].unique())
        members = torch.cat(codes)
        edges = torch.arange(len(neighbors) + 1, device=members.device) * len(neighbors)
        return torch.searchsorted(members, edges), (members % len(neighbors)).int()

    def squared_pairs(self, features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Compute the squared Euclidean distances (n,) of the pairs features[rows], features[columns]."""
        parts = blocks(len(rows), features.shape[1] * 12, MEMORY)
        distances = [(features[rows[part]] - features[columns[part]]).square().sum(1) for part in parts]
        return torch.cat(distances)

    def expand_queries(self, encodings: Sparse, neighbors: Tensor) -> Sparse:
        """Step 5: replace each row by the mean of its neighbors' rows; neighbors (N, k2)."""
        count, k2 = neighbors.shape
        lengths = encodings.lengths()
        codes, values = [], []
        for part in blocks(count, k2 * 48 * (1 + len(encodings.values) // count), MEMORY):
            theirs = neighbors[part].flatten()
            which, entry = ragged(encodings.starts[theirs], lengths[theirs])
            entries = (which // k2 + part.start) * count + encodings.columns[entry]
            merged, where = entries.unique(return_inverse=True)
            shares = encodings.values[entry] / k2
            codes.append(merged)
            values.append(encodings.values.new_zeros(len(merged)).index_add_(0, where, shares))
        return Sparse.from_codes(torch.cat(codes), torch.cat(values), count, count)

    def transposed(self, encodings: Sparse) -> Sparse:
        """Transpose encodings for step 6: row k lists the images that have k as a neighbor."""
        codes, order = (encodings.columns.long() * len(encodings) + encodings.rows()).sort()
        return Sparse.from_codes(codes, encodings.values[order], encodings.width, len(encodings))

    def shared_minima(self, queries: Sparse, columns: Sparse) -> Tensor:
        """Step 6: sum the minima of two encodings, sum_k min(V_ik, V_jk), for queries i and all gallery images j.

        Only shared entries give anything: for each entry (i, k), the entries j of row k.

        Args:
            queries: (b, N), the rows V_i.
            columns: (N, g), the gallery's encodings transposed: row k lists who has k as a neighbor.

        Returns:
            The sums (b, g).
        """
        minima = queries.values.new_zeros(len(queries) * columns.width)
        rows, neighbors = queries.rows(), queries.columns.long()
        lengths = columns.lengths()[neighbors]
        for part in _by_work(lengths, MEMORY // 48):
            entry, other = ragged(columns.starts[neighbors[part]], lengths[part])
            smaller = torch.minimum(queries.values[part][entry], columns.values[other])
            minima.index_add_(0, rows[part][entry] * columns.width + columns.columns[other].long(), smaller)
        return minima.view(len(queries), columns.width)


def reciprocal(neighbors: Tensor) -> Tensor:
    """Step 2: tell which of the neighbors (N, k) have the row's own image among theirs, (N, k) bool."""
    mutual = torch.empty_like(neighbors, dtype=torch.bool)
    for part in blocks(len(neighbors), neighbors.shape[1] ** 2 * 9, MEMORY):
        own = torch.arange(part.start, part.stop, device=neighbors.device)
        mutual[part] = (neighbors[neighbors[part]] == own[:, None, None]).any(2)
    return mutual


def divisors(largest: Tensor, squares: Tensor) -> Tensor:
    """Return the largest distances (N,), or 1 where all images are alike, so that 0 / 0 becomes 0 / 1."""
    return largest.masked_fill(largest <= 1e-6 * squares.amax(), 1)


def check_parameters(k1: int, k2: int, lam: float) -> None:
    """Refuse parameters that re-ranking cannot have.

    Raises:
        FeatureError: k1 or k2 is no whole number from 1, or lam does not lie in 0..1.
    """
    for name, value in (("k1", k1), ("k2", k2)):
        whole(f"{name} of re-ranking", value, 1, FeatureError)
    if not is_number(lam, 0, 1):
        raise FeatureError(f"lambda of re-ranking must lie in 0..1 (found {lam!r}).")


def _by_work(lengths: Tensor, budget: int) -> list[slice]:
    """Slices of ``lengths`` whose sums stay within `budget` (one entry at least)."""
    ends = lengths.cumsum(0)
    marks = torch.arange(budget, int(ends[-1]) + budget, budget, device=ends.device)
    cuts = sorted({0, *torch.searchsorted(ends, marks).tolist(), len(lengths)})
    return [slice(start, stop) for start, stop in zip(cuts, cuts[1:], strict=False)]
