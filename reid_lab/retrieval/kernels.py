"""The inner loops of retrieval, in torch, for every device.

`loops_numba` has the same functions, compiled, for large work on a CPU; `choose` takes one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from reid_lab.retrieval.protocol import Pairs

MEMORY = 256 * 2**20  # bytes that one block of distances, and what is computed from it, may take
BYTES_PER_DISTANCE = 48  # a float32 distance, its int64 key, its int64 place among the matches, what lies between
LARGE = 2**24  # distances from which compiling (or loading what was compiled) pays
BINS = 2**14  # steps of a histogram of distances
LAST = torch.iinfo(torch.int64).max


def choose(name: str, device: torch.device, work: int) -> ModuleType:
    """The module `name`, or its compiled twin `name`_numba if `work` distances on a CPU are many and numba is there."""
    if device.type == "cpu" and work >= LARGE:
        with suppress(ImportError, RuntimeError):  # the latter where numba may not write what it compiled
            return import_module(f"{name}_numba")
    return import_module(name)


def blocks(count: int, row_bytes: int, budget: int) -> Iterator[slice]:
    """Slices of 0..count whose rows of `row_bytes` stay within `budget` bytes (one row at least)."""
    size = max(1, budget // max(1, row_bytes))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def count(
    distances: Tensor, positives: Pairs, junk: Pairs, counted: np.ndarray, top: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ranks of the matches by counting, and the nearest images, for a block of queries.

    The rank of a match is one more than the number of counted images that are nearer, or equally near and
    earlier in the gallery. So nothing is sorted but the matches: one look at each image tells between which
    two of them it falls.

    distances  (b, g), smaller is nearer
    positives  matches, junk: pairs that do not count; both from `Protocol.positives_and_junk`
    counted    (g,) bool, False for images that never count

    Returns ranks (b, M) int64, ascending from 1, filled up with 0 (M: the most matches of one query), and
    nearest (b, top) int64, gallery places in order of distance, filled up with -1.
    """
    device = distances.device
    keys = ordered_keys(distances)  # (b, g)
    keys[:, torch.from_numpy(~counted).to(device)] = LAST
    keys[junk.on(device)] = LAST

    per_query = np.bincount(positives.queries, minlength=len(distances))
    most = int(per_query.max(initial=0))
    slots = np.arange(len(positives.queries)) - np.repeat(np.cumsum(per_query) - per_query, per_query)
    wanted = keys.new_full((len(keys), most), LAST)
    wanted[Pairs(positives.queries, slots).on(device)] = keys[positives.on(device)]
    wanted = wanted.sort(dim=1).values  # (b, M): the matches from the nearest to the farthest

    before = torch.searchsorted(wanted, keys)  # (b, g): how many matches are nearer than this image
    counts = keys.new_zeros(len(keys), most + 1).scatter_add_(1, before, torch.ones_like(before))
    ranks = counts.cumsum(1)[:, :most].cpu().numpy()  # images up to and with the k-th match
    ranks[np.arange(most) >= per_query[:, None]] = 0

    values, places = keys.topk(min(top, keys.shape[1]), dim=1, largest=False)
    found = places.masked_fill(values == LAST, -1).cpu().numpy()
    return ranks, np.pad(found, ((0, 0), (0, top - found.shape[1])), constant_values=-1)


def nearest(distances: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Places (b, count) of each row's smallest distances, in order, and its largest distance (b,)."""
    return ordered_keys(distances).topk(count, dim=1, largest=False).indices, distances.amax(1)


def histogram(distances: Tensor, low: float, high: float, counted: np.ndarray | None = None) -> Tensor:
    """How many distances (b, g) fall into each of BINS equal steps from `low` to `high`, (BINS,) int64.

    counted  (g,) bool: the columns that are looked at (None: all)
    """
    if counted is not None:
        distances = distances[:, torch.from_numpy(counted).to(distances.device)]
    steps = ((distances - low) * steps_per_unit(low, high)).clamp_(0, BINS - 1).to(torch.int32)
    return torch.bincount(steps.flatten(), minlength=BINS)


def steps_per_unit(low: float, high: float) -> float:
    """Of a histogram, such that it is the same number in float32 and in float64."""
    return float(np.float32(BINS / (high - low))) if high > low else 0.0


def ordered_keys(distances: Tensor) -> Tensor:
    """(b, g) int64, all different within a row: in the order of distances, equal ones in that of places.

    The bits of a float32, read as an integer, are in the order of the floats once those of negative numbers
    are turned round: they fill the upper half of the key, the place the lower. A float64 leaves no room and
    is sorted.
    """
    if distances.dtype == torch.float64:
        return distances.argsort(dim=1, stable=True).argsort(dim=1)
    bits = (distances.float() + 0.0).view(torch.int32)  # + 0.0 makes -0.0 equal to 0.0
    bits = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    return bits.bitwise_left_shift_(32).bitwise_or_(torch.arange(distances.shape[1], device=distances.device))
