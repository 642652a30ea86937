"""Features that can be compared, and how near they are: a block of queries and the whole gallery at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.retrieval.kernels import Kernels
from reid_lab.runtime.device import find_device
from reid_lab.runtime.errors import FeatureError


@dataclass(frozen=True)
class Measure:
    """What distances mean to a reader. Inside, smaller is nearer; outside, a similarity is a similarity.

    Inside, cosine is minus the similarity and Euclidean is squared: neither ``1 -`` nor a root, which would round
    different distances to equal ones.

    Attributes:
        name: what a reader is shown.
        higher_is_nearer: whether it is a similarity.
        roots: how often the square root of distances as inside is taken for a histogram. Euclidean ones have no common
            end, and without roots one image far out would leave all others to the first step.
    """

    name: str
    higher_is_nearer: bool = False
    roots: int = 0

    def shown(self, distances: np.ndarray) -> np.ndarray:
        """Return distances as inside in the units of ``name``."""
        if self.higher_is_nearer:
            return -distances
        return np.sqrt(distances.clip(0)) if self is EUCLIDEAN else distances


COSINE = Measure("cosine similarity", higher_is_nearer=True)
EUCLIDEAN = Measure("Euclidean distance", roots=3)
RERANKED = Measure("re-ranked distance")
GIVEN = Measure("distance")
MEMORY = 256 * 2**20  # bytes that one block of distances, and what is computed from it, may take
SQUARABLE = 1e-15, 4e18  # between which the largest component has a square in float32; / sqrt(d), for the sum of d
METRICS = {"cosine": COSINE, "euclidean": EUCLIDEAN}


def comparable(
    query_features: Any, gallery_features: Any, metric: str, device: torch.device | str | None = None
) -> Tensor:
    """Check features and put them into one new tensor, such that products of rows give the metric.

    Cosine: rows of length 1. Euclidean: the gallery's mean becomes the origin, which changes no distance and keeps the
    precision of |a|^2 + |b|^2 - 2ab when all features lie far out.

    Args:
        query_features: (q, d), numpy or torch, of any real type.
        gallery_features: (g, d).
        metric: "cosine" or "euclidean".
        device: where the result is wanted; None: where the gallery is.

    Returns:
        The features (q + g, d), float32, the queries first.

    Raises:
        FeatureError: see :func:`finite_features`; the dimensions differ; the metric is unknown; a
            row is all zero (cosine); the squares of all features leave float32 (Euclidean).
        DeviceError: the device is not there.
    """
    if metric not in METRICS:
        raise FeatureError(f"metric {metric!r} is unknown: choose one of {', '.join(METRICS)}.")
    gallery = finite_features(gallery_features, "gallery", None if device is None else find_device(device))
    query = finite_features(query_features, "query", gallery.device)
    if query.shape[1] != gallery.shape[1]:
        dimensions = f"query features have {query.shape[1]} dimensions and gallery features {gallery.shape[1]}"
        raise FeatureError(f"{dimensions}: extract both with the same network.")
    features = query.new_empty(len(query) + len(gallery), query.shape[1])
    parts = ("query", query, features[: len(query)]), ("gallery", gallery, features[len(query) :])
    for name, rows, out in parts:
        if metric == "euclidean":
            torch.sub(rows, gallery.mean(0), out=out)
        else:
            torch.div(rows, _lengths(rows, name), out=out)
    if metric == "euclidean":
        _must_have_squares(features)
    return features


def finite_features(values: Any, name: str, device: torch.device | None = None) -> Tensor:
    """Return features as a float32 tensor.

    Args:
        values: (N, d), numpy or torch, of any real type.
        name: whose they are, for the error: "query", "gallery".
        device: where they are wanted; None: where they are.

    Raises:
        FeatureError: they are no real numbers, their shape is not (N, d), N or d is 0, or a row holds NaN, infinity or
            what float32 cannot hold.
    """
    given = real_numbers(values, f"{name} features")
    if given.ndim != 2 or 0 in given.shape:
        raise FeatureError(
            f"{name} features have shape {tuple(given.shape)}, but (images, dimension) is needed, at least "
            f"one of each: check what was extracted."
        )
    tensor = given.to(device=device, dtype=torch.float32)
    if not tensor.sum(1).isfinite().all():  # cheaper than looking at each value; large finite sums may overflow
        bad = ~torch.cat([rows.isfinite().all(1) for rows in tensor.split(4096)])
        if bad.any():
            if given[bad.to(given.device)].isfinite().all():
                raise FeatureError(
                    f"{rows_named(bad, name)} of the features hold numbers beyond float32, in which they are compared: "
                    f"divide query and gallery features by one number, say their largest."
                )
            raise FeatureError(
                f"{rows_named(bad, name)} of the features hold NaN or infinity: the network has probably "
                f"diverged, so look at its loss or load another checkpoint."
            )
    return tensor


def real_numbers(values: Any, name: str) -> Tensor:
    """Return numpy, torch or nested lists as a tensor of their type, or of float64 where torch lacks it.

    Raises:
        FeatureError: they are complex numbers, rows of different lengths, or no numbers.
    """
    try:
        if not isinstance(values, Tensor):
            array = np.asarray(values)
            known = np.float64 if array.dtype.type is np.longdouble else array.dtype.newbyteorder("=")
            values = torch.from_numpy(np.ascontiguousarray(array, known))
    except (TypeError, ValueError, RuntimeError) as error:
        raise FeatureError(
            f"{name} are not rows of real numbers, all of one length: pass an array of floats."
        ) from error
    if values.is_complex():
        raise FeatureError(f"{name} are complex numbers: pass their real part or their absolute value.")
    return values.detach()


def rows_named(bad: Tensor, name: str) -> str:
    """Name the culprits in a sentence: "2 of 8 query rows (first: 2, 5)", from ``bad`` (N,) bool."""
    found = bad.nonzero().flatten().tolist()
    first = ", ".join(str(row) for row in found[:5]) + (", ..." if len(found) > 5 else "")
    return f"{len(found)} of {len(bad)} {name} rows (first: {first})"


def _must_have_squares(features: Tensor) -> None:
    farthest = max(-float(features.amin()), float(features.amax()))
    if farthest != 0 and not SQUARABLE[0] < farthest < SQUARABLE[1] / features.shape[1] ** 0.5:
        raise FeatureError(
            f"features lie too {'near to' if farthest < 1 else 'far from'} each other for Euclidean distances, "
            f'whose squares must fit into float32: multiply all features by one number, or use metric="cosine".'
        )


def prepared(query: Tensor, metric: str) -> Tensor:
    """Make means of ``comparable`` rows comparable again."""
    return query / _lengths(query, "mean query") if metric == "cosine" else query


def distance_blocks(
    query: Tensor, gallery: Tensor, metric: str, *, kernels: Kernels, memory: int
) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of the queries and their distances to the gallery, a block at a time.

    A block lies in memory where the one before lay: use it before taking the next.

    Args:
        query: (q, d), from ``comparable``.
        gallery: (g, d), from ``comparable``.
        metric: "cosine" or "euclidean".
        kernels: what will be done with the distances, for what it takes of the memory.
        memory: bytes that one block may take.

    Yields:
        The slice and its distances (b, g), as inside (see :class:`Measure`).
    """
    size = min(len(query), max(1, memory // (len(gallery) * kernels.bytes_per_distance)))
    buffer = query.new_empty(size, len(gallery))  # a new one each time would cost a tenth of the product
    euclidean = metric == "euclidean"
    alpha, beta = (-2, 1) if euclidean else (-1, 0)
    plus = squares(gallery) if euclidean else gallery.new_zeros(len(gallery))
    for start in range(0, len(query), size):
        part = slice(start, min(start + size, len(query)))
        block = buffer[: part.stop - start]
        torch.addmm(plus, query[part], gallery.T, alpha=alpha, beta=beta, out=block)  # -ab, or |b|^2 - 2ab
        yield part, block.add_(squares(query[part])[:, None]).clamp_(min=0) if euclidean else block


def blocks(count: int, row_bytes: int, budget: int) -> Iterator[slice]:
    """Slices of 0..count whose rows of ``row_bytes`` stay within ``budget`` bytes (one row at least)."""
    size = max(1, budget // max(1, row_bytes))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def squared_distances(rows: Tensor, features: Tensor, feature_squares: Tensor) -> Tensor:
    """Return |a|^2 + |b|^2 - 2ab, (b, N), of rows a and features b."""
    distances = torch.addmm(feature_squares, rows, features.T, alpha=-2)
    return distances.add_(squares(rows)[:, None]).clamp_(min=0)


def squares(features: Tensor) -> Tensor:
    """Return |a|^2 of every row, (N,)."""
    return torch.cat([rows.square().sum(1) for rows in features.split(1024)])


def _lengths(rows: Tensor, name: str) -> Tensor:
    """(N, 1). Where the squares leave the range of float32, they are summed in float64."""
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    odd = ~((lengths > 1e-15) & lengths.isfinite()).flatten()
    if odd.any():  # on the CPU, for not every GPU has float64
        lengths[odd] = torch.linalg.vector_norm(rows[odd].cpu().double(), dim=1, keepdim=True).to(lengths)
    zero = (lengths == 0).flatten()
    if zero.any():
        raise FeatureError(
            f"{rows_named(zero, name)} of the features are all zero, so they have no direction for cosine "
            f'similarity: use metric="euclidean" or look for a dead layer in the network.'
        )
    return lengths
