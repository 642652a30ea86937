"""How near two descriptors are, for a block of queries and the whole gallery at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reid_lab.retrieval import kernels
from reid_lab.retrieval.checks import rows_named
from reid_lab.retrieval.kernels import blocks
from reid_lab.runtime.errors import FeatureError


@dataclass(frozen=True)
class Measure:
    """What distances mean to a reader. Inside, smaller is nearer; outside, a similarity is a similarity.

    Inside, cosine is minus the similarity and Euclidean is squared: neither `1 -` nor a root, which would
    round different distances to equal ones.

    roots  how often the square root of distances as inside is taken for a histogram: of Euclidean ones, which have no
           common end, so that one image far out does not leave all others to the first step
    """

    name: str
    higher_is_nearer: bool = False
    roots: int = 0

    def shown(self, distances: np.ndarray) -> np.ndarray:
        """Distances as inside, in the units of `name`."""
        if self.higher_is_nearer:
            return -distances
        return np.sqrt(distances.clip(0)) if self is EUCLIDEAN else distances

    def scaled(self, distances: Tensor) -> Tensor:
        """Distances as inside, as a histogram of equal steps takes them; in place."""
        for _ in range(self.roots):
            distances.sqrt_()
        return distances


COSINE = Measure("cosine similarity", higher_is_nearer=True)
EUCLIDEAN = Measure("Euclidean distance", roots=3)
RERANKED = Measure("re-ranked distance")
GIVEN = Measure("distance")
SQUARABLE = 1e-15, 4e18  # between which the largest component has a square in float32; / sqrt(d), for the sum of d
METRICS = {"cosine": COSINE, "euclidean": EUCLIDEAN}


def measure(metric: str) -> Measure:
    """The measure of that name. Raises FeatureError for another name than "cosine" or "euclidean"."""
    if metric not in METRICS:
        raise FeatureError(f"metric {metric!r} is unknown: choose one of {', '.join(METRICS)}.")
    return METRICS[metric]


def comparable(query: Tensor, gallery: Tensor, metric: str) -> Tensor:
    """Query and gallery in one new tensor (q + g, d), such that products of rows give the metric.

    Cosine: rows of length 1. Euclidean: the gallery's mean becomes the origin, which changes no distance
    and keeps the precision of |a|^2 + |b|^2 - 2ab when all features lie far out.

    Raises FeatureError for an unknown metric; under cosine, for a row of zeros; under Euclidean, where the squares of
    all features leave float32.
    """
    features = query.new_empty(len(query) + len(gallery), query.shape[1])
    parts = (query, features[: len(query)], "query"), (gallery, features[len(query) :], "gallery")
    for rows, out, name in parts:
        if measure(metric) is EUCLIDEAN:
            torch.sub(rows, gallery.mean(0), out=out)
        else:
            torch.div(rows, _lengths(rows, name), out=out)
    if measure(metric) is EUCLIDEAN:
        farthest = max(-float(features.amin()), float(features.amax()))
        if farthest != 0 and not SQUARABLE[0] < farthest < SQUARABLE[1] / features.shape[1] ** 0.5:
            raise FeatureError(
                f"features lie too {'near to' if farthest < 1 else 'far from'} each other for Euclidean distances, "
                f'whose squares must fit into float32: multiply all features by one number, or use metric="cosine".'
            )
    return features


def prepared(query: Tensor, metric: str) -> Tensor:
    """Means of `comparable` rows, made comparable again."""
    return query / _lengths(query, "mean query") if metric == "cosine" else query


def distance_blocks(query: Tensor, gallery: Tensor, metric: str, memory: int) -> Iterator[tuple[slice, Tensor]]:
    """Slices of the queries and their distances to the gallery, (b, g), of `comparable` features.

    A block lies where the one before lay: use it before taking the next.
    """
    euclidean = measure(metric) is EUCLIDEAN
    for part, block in product_blocks(query, gallery, memory, squared=euclidean):
        yield part, block.add_(squares(query[part])[:, None]).clamp_(min=0) if euclidean else block


def product_blocks(rows: Tensor, features: Tensor, memory: int, squared: bool) -> Iterator[tuple[slice, Tensor]]:
    """-ab, or |b|^2 - 2ab if `squared`, of a block of rows a and all features b, (b, N); in one place, as above."""
    inner = kernels.choose(kernels.__name__, rows.device, len(rows) * len(features))
    parts = list(blocks(len(rows), len(features) * inner.BYTES_PER_DISTANCE, memory))
    buffer = rows.new_empty(parts[0].stop, len(features))  # a new one each time would cost a tenth of the product
    alpha, beta = (-2, 1) if squared else (-1, 0)
    plus = squares(features) if squared else features.new_zeros(len(features))
    for part in parts:
        block = buffer[: part.stop - part.start]
        yield part, torch.addmm(plus, rows[part], features.T, alpha=alpha, beta=beta, out=block)


def bounds(query: Tensor, gallery: Tensor, metric: str) -> tuple[float, float]:
    """Between which numbers all their distances lie."""
    if measure(metric) is COSINE:
        return -1.0, 1.0
    far, farther = (torch.linalg.vector_norm(side, dim=1).amax() for side in (query, gallery))
    return 0.0, float((far + farther).square())


def squared_distances(rows: Tensor, features: Tensor, feature_squares: Tensor) -> Tensor:
    """|a|^2 + |b|^2 - 2ab, (b, N)."""
    distances = torch.addmm(feature_squares, rows, features.T, alpha=-2)
    return distances.add_(squares(rows)[:, None]).clamp_(min=0)


def squares(features: Tensor) -> Tensor:
    """|a|^2 of every row, (N,)."""
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
