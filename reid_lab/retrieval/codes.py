"""Codes of bits: Hamming distances, and the search from coarse to fine.

A code is compared bit by bit: the Hamming distance is the number of bits that differ. Eight bits are one byte, so 512
bits take 64 bytes where as many float32 numbers take 2,048. A short code is fast and coarse. The cascade compares it
with the whole gallery, and a longer code only with the images that lie within the short one's threshold:

    extract  codes of many lengths, from a network that has them
    hamming  distances of codes of one length, exact whole numbers
    cascade  rankings, from the shortest code to the longest; :mod:`.code_thresholds` says how far each code looks
    score    CMC and mAP of a cascade

Codes of several lengths are a dictionary here, from the number of bits to the packed codes (N, bits / 8) in uint8.

Source: Wang, Gong, Cheng and Hou, "Faster Person Re-identification" (ECCV 2020). Other than in the authors' code, equal
distances are in the gallery's order at each length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import Record
from reid_lab.losses import Losses
from reid_lab.methods.coarse_to_fine import CoarseToFine
from reid_lab.models.network import Gather, Network, no_gather
from reid_lab.retrieval.features import extract as extract_features
from reid_lab.retrieval.protocol import Protocol
from reid_lab.retrieval.ranking import rank_distances
from reid_lab.retrieval.result import Result
from reid_lab.runtime.errors import FeatureError

Codes = Mapping[int, np.ndarray]  # by bits: packed codes (N, bits / 8), uint8
BYTES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint8)  # ones in each byte
# The ones in each whole number, and of how many bytes a number may be: NumPy 1 must look them up, byte by byte.
ones, WORD = (np.bitwise_count, 8) if hasattr(np, "bitwise_count") else (BYTES.__getitem__, 1)


def extract(model: CoarseToFine, records: Sequence[Record], **extraction: Any) -> dict[int, np.ndarray]:
    """Compute the codes of images on disk.

    Args:
        model: a network with `soft_codes`, whose signs are the bits.
        records: the images.
        **extraction: the other arguments of :func:`reid_lab.retrieval.extract`. With ``flip``, the bits are the signs
            of the mean of both images.

    Returns:
        The packed codes (N, bits / 8) by the number of bits, the longest first.

    Raises:
        FeatureError: the network has no codes.
        DataError: there are no images, or one cannot be read.
        DeviceError: the device is not there.
    """
    if not hasattr(model, "soft_codes"):
        raise FeatureError(f"{type(model).__name__} has no codes of bits: take a network of coarse_to_fine.")
    soft = extract_features(_SideBySide(model), records, **extraction).split(model.codes, dim=1)
    return {length: pack(part.numpy() > 0) for length, part in zip(model.codes, soft, strict=True)}


class _SideBySide(Network):
    """All codes of a network as one vector of features, which can be extracted as any others."""

    def __init__(self, model: CoarseToFine) -> None:
        super().__init__(model.backbone, model.num_pids, model.input_size)
        self.model = model
        self.train(model.training)

    def features(self, images: Tensor) -> Tensor:
        return torch.cat(self.model.soft_codes(images), dim=1)

    def loss(self, outputs: Any, pids: Tensor, gather: Gather = no_gather) -> Losses:
        return self.model.loss(outputs, pids, gather)


def pack(bits: Any) -> np.ndarray:
    """Pack bits (N, b), 0 and 1 or truth values, into bytes (N, b / 8), uint8.

    Raises:
        FeatureError: b is no multiple of 8, or there are other values.
    """
    bits = np.asarray(bits)
    if bits.ndim != 2 or bits.shape[1] % 8 or not bits.shape[1]:
        raise FeatureError(f"bits have shape {bits.shape}, but (images, bits) is needed, the bits a multiple of 8.")
    if not ((bits == 0) | (bits == 1)).all():
        raise FeatureError("bits hold other values than 0 and 1: pass truth values, such as features > 0.")
    return np.packbits(bits.astype(bool), axis=1)


def hamming(query: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Count the bits in which codes of one length differ.

    Args:
        query: (q, bits / 8), from :func:`pack`.
        gallery: (g, bits / 8).

    Returns:
        (q, g) whole numbers, exact, in float32, as :func:`reid_lab.retrieval.rank_distances` takes them.

    Raises:
        FeatureError: these are no packed codes of one length.
    """
    queries, images = words(query, "query"), words(gallery, "gallery")
    if query.shape[1] != gallery.shape[1]:
        bits = f"query codes have {8 * query.shape[1]} bits and gallery codes {8 * gallery.shape[1]}"
        raise FeatureError(f"{bits}: compare codes of one length.")
    found = np.empty((len(queries), len(images)), np.float32)
    for row, code in zip(found, queries, strict=True):  # one query at a time: (q, g, words) would be large
        row[:] = differing(code, images)
    return found


@dataclass(frozen=True)
class Cascade:
    """What a search from coarse to fine found, and what it took.

    Attributes:
        rankings: (q, g) gallery indices of each query, from the first image to the last, int32.
        comparisons: how many pairs of codes were compared, for all queries together, by the number of bits.
    """

    rankings: np.ndarray
    comparisons: dict[int, int]

    def positions(self) -> np.ndarray:
        """Return the place of each gallery image in each ranking, from 0: (q, g), as distances for `rank_distances`."""
        places = np.empty(self.rankings.shape, np.float32)
        np.put_along_axis(places, self.rankings, np.arange(self.rankings.shape[1], dtype=np.float32)[None], axis=1)
        return places


def cascade(query: Codes, gallery: Codes, thresholds: Mapping[int, float]) -> Cascade:
    """Rank the gallery by the shortest code, then what lies near by the next one, and so on to the longest.

    Images within a code's threshold stand before all others and are compared by the next longer code. Equal distances:
    the earlier image in the gallery ranks first. Where no image is within a threshold, the ranking stays as it is.

    Args:
        query: packed codes of the queries, by bits; a single length makes a plain search.
        gallery: packed codes of the gallery, of the same lengths.
        thresholds: for each length but the longest, the largest distance that goes on to the next code.

    Raises:
        FeatureError: codes or thresholds do not fit.
    """
    lengths = _lengths(query, gallery, thresholds)
    queries = {length: words(query[length], "query", length) for length in lengths}
    images = {length: words(gallery[length], "gallery", length) for length in lengths}
    everything = np.arange(len(images[lengths[0]]))
    rankings = np.empty((len(queries[lengths[0]]), len(everything)), np.int32)
    comparisons = dict.fromkeys(lengths, 0)
    for row, ranking in enumerate(rankings):
        near = everything  # the images that are compared, in the gallery's order
        for length in lengths:
            compared = images[length] if near is everything else images[length][near]
            distances = differing(queries[length][row], compared)
            ranking[: len(near)] = near[np.argsort(distances, kind="stable")]  # sorts by counting: few different values
            comparisons[length] += len(near)
            near = near[distances <= thresholds.get(length, -1)]
    return Cascade(rankings, comparisons)


def score(found: Cascade, benchmark: Benchmark, top: int = 10) -> Result:
    """Score the rankings of a benchmark's queries.

    Args:
        found: the cascade of its query and gallery images.
        benchmark: whose images these are.
        top: how many of each query's first images the result keeps; their scores are places, from 0.
    """
    labels = Protocol.of(benchmark.query, benchmark.gallery).arrays()
    return rank_distances(found.positions(), **labels, top=top)


def differing(code: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The bits in which each of codes (N, words) differs from one code (words,): (N,) uint16."""
    return ones(code ^ codes).sum(axis=1, dtype=np.uint16)


def words(packed: np.ndarray, name: str, bits: int | None = None) -> np.ndarray:
    """Packed codes as whole numbers of up to 8 bytes each, which are compared at once: (N, words)."""
    packed = np.ascontiguousarray(packed)
    fits = packed.ndim == 2 and packed.dtype == np.uint8 and 0 not in packed.shape and 8 * packed.shape[1] < 2**16
    if not fits or bits not in (None, 8 * packed.shape[1]):
        wanted = "" if bits is None else f" for {bits} bits"
        raise FeatureError(
            f"{name} codes{wanted} are {packed.dtype} of shape {packed.shape}, but bytes (images, bits / 8) in uint8 "
            "are needed: make them with codes.pack."
        )
    return packed.view(f"u{math.gcd(WORD, packed.shape[1])}")


def _lengths(query: Codes, gallery: Codes, thresholds: Mapping[int, float]) -> list[int]:
    """The lengths of a cascade, ascending, once all that belongs to each is there."""
    lengths = sorted(query)
    if not lengths or lengths != sorted(gallery):
        raise FeatureError(f"queries have codes of {lengths} bits, the gallery of {sorted(gallery)}: give the same.")
    for name, codes in (("query", query), ("gallery", gallery)):
        if len({len(codes[length]) for length in lengths}) > 1:
            raise FeatureError(f"{name} codes of different lengths are of different numbers of images: extract anew.")
    if missing := [length for length in lengths[:-1] if length not in thresholds]:
        raise FeatureError(f"There is no threshold for {missing[0]} bits: give one for each length but the longest.")
    return lengths
