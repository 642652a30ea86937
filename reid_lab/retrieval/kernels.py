"""The inner loops of retrieval, in torch, on every device.

:class:`Kernels` is the plain one; :class:`reid_lab.retrieval.kernels_numba.CompiledKernels` does the same on a CPU,
faster. :func:`choose` takes one of them, once for a ranking, and it is handed on from there.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from reid_lab.retrieval.protocol import Pairs

LARGE = 2**24  # distances from which compiling (or loading what was compiled) pays
BINS = 2**14  # steps of a histogram of distances
LAST = torch.iinfo(torch.int64).max


class Kernels:
    """What is done with each distance, in torch.

    Attributes:
        bytes_per_distance: what a block takes for each of its distances.
    """

    bytes_per_distance = 48  # a float32 distance, its int64 key, its int64 rank among the matches, what lies between

    def count(
        self, distances: Tensor, positives: Pairs, junk: Pairs, counted: np.ndarray, top: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the ranks of the matches, by counting, and the nearest images, for a block of queries.

        The rank of a match is one more than the number of counted images that are nearer, or equally near and earlier
        in the gallery: the same as in the sorted list of ``reference.evaluate``. Nothing is sorted but the matches.
        One look at each image tells between which two of them it falls.

        Args:
            distances: (b, g), smaller is nearer.
            positives: the matches, from ``Protocol.positives_and_junk``.
            junk: the pairs that do not count, from there, too.
            counted: (g,) bool, False for images that never count.
            top: how many of the nearest images are wanted.

        Returns:
            The ranks (b, M) int64, ascending from 1, filled up with 0 (M: the most matches of one query), and the
            gallery indices of the nearest (b, top) int64, filled up with -1.
        """
        device = distances.device
        keys = ordered_keys(distances)  # (b, g)
        keys[:, torch.from_numpy(~counted).to(device)] = LAST
        keys[junk.on(device)] = LAST
        values, indices = keys.topk(min(top, keys.shape[1]), dim=1, largest=False)
        nearest = np.full((len(keys), top), -1, dtype=np.int64)
        nearest[:, : indices.shape[1]] = indices.masked_fill(values == LAST, -1).cpu().numpy()

        per_query = np.bincount(positives.queries, minlength=len(distances))
        most = int(per_query.max(initial=0))
        nth = np.arange(len(positives.queries)) - np.repeat(np.cumsum(per_query) - per_query, per_query)
        matches = keys.new_full((len(keys), most), LAST)
        matches[Pairs(positives.queries, nth).on(device)] = keys[positives.on(device)]
        matches = matches.sort(dim=1).values  # (b, M): from the nearest to the farthest

        before = torch.searchsorted(matches, keys)  # (b, g): how many matches are nearer than this image
        counts = keys.new_zeros(len(keys), most + 1).scatter_add_(1, before, torch.ones_like(before))
        ranks = counts.cumsum(1)[:, :most].cpu().numpy()  # images up to and with the k-th match
        ranks[np.arange(most) >= per_query[:, None]] = 0
        return ranks, nearest

    def nearest(self, distances: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Find each row's nearest images: the first of a stable sort.

        Args:
            distances: (b, g), smaller is nearer.
            count: how many are wanted.

        Returns:
            Their indices (b, count), in order, and each row's largest distance (b,).
        """
        return ordered_keys(distances).topk(count, dim=1, largest=False).indices, distances.amax(1)

    def histogram(self, distances: Tensor, low: float, high: float, counted: np.ndarray | None = None) -> Tensor:
        """Count how many distances fall into each of ``BINS`` equal steps from ``low`` to ``high``.

        Args:
            distances: (b, g).
            low: where the first step begins.
            high: where the last step ends.
            counted: (g,) bool, the columns that are looked at; None: all.

        Returns:
            The counts (BINS,), int64.
        """
        if counted is not None:
            distances = distances[:, torch.from_numpy(counted).to(distances.device)]
        steps = ((distances - low) * steps_per_unit(low, high)).clamp_(0, BINS - 1).to(torch.int32)
        return torch.bincount(steps.flatten(), minlength=BINS)


def choose(device: torch.device, distances: int) -> Kernels:
    """Return the kernels for so many distances on a device."""
    if device.type == "cpu" and distances >= LARGE:
        with suppress(ImportError, RuntimeError):  # the latter where numba may not write what it compiled
            from reid_lab.retrieval.kernels_numba import CompiledKernels

            return CompiledKernels()
    return Kernels()


def steps_per_unit(low: float, high: float) -> float:
    """Steps of a histogram per unit of distance, such that it is the same number in float32 and in float64."""
    return float(np.float32(BINS / (high - low))) if high > low else 0.0


def ordered_keys(distances: Tensor) -> Tensor:
    """Whole numbers in the order of the distances, equal ones in the order of the gallery.

    The bits of a float32, read as an integer, are in the order of the floats once those of negative numbers are turned
    round. They fill the upper half of the key, the gallery index the lower. A float64 leaves no room and is sorted.

    Args:
        distances: (b, g).

    Returns:
        The keys (b, g), int64, all different within a row.
    """
    if distances.dtype == torch.float64:
        return distances.argsort(dim=1, stable=True).argsort(dim=1)
    bits = (distances.float() + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal to 0.0
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    return bits.bitwise_left_shift_(32).bitwise_or_(torch.arange(distances.shape[1], device=distances.device))
