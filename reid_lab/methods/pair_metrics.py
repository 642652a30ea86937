r"""Metrics that are learned from pairs of images, in closed form: KISSME and XQDA. All of it in float64.

Of pairs that show one person, and of pairs that show two, the mean of (x_i - x_j) (x_i - x_j)' is a covariance: of
similar and of different pairs, S and D. Both metrics compare the two Gaussians with mean 0 and these covariances:

    KISSME   M = S^-1 - D^-1, the logarithm of how much likelier a difference is between two people than within one
    XQDA     the same in the few directions w in which w' D w / w' S w is largest

No pair is ever formed. The sum over all pairs within a group of n images is n sum x_i x_i' - s s', s being the sum of
the x_i. Pairs of one person from two cameras are those of one person without those of one person and one camera.

Sources: Koestinger, Hirzer, Wohlhart, Roth and Bischof, "Large Scale Metric Learning from Equivalence Constraints"
(CVPR 2012); Liao, Hu, Zhu and Li, "Person Re-identification by Local Maximal Occurrence Representation and Metric
Learning" (CVPR 2015). No code was taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from torch import Tensor

from reid_lab.runtime.errors import RecipeError

NOTHING = 1e-10  # of the largest eigenvalue: what is below is rounding
COLUMNS = 2048  # of the features that are taken in float64 at once


@dataclass(frozen=True)
class Span:
    """Centered features in the directions of their largest variance: no more than there are images.

    Attributes:
        coordinates: (N, k): the features in those directions.
        features: (N, d), float32, as they were given.
        mean: (d,).
        weights: (N, k): the directions are weights' (features - mean).
    """

    coordinates: np.ndarray
    features: np.ndarray
    mean: np.ndarray
    weights: np.ndarray

    def projection(self, rows: np.ndarray) -> np.ndarray:
        """A projection (r, k) of the coordinates as one (r, d) of features."""
        combined = rows @ self.weights.T
        found = np.empty((len(rows), self.features.shape[1]))
        for part in _blocks(found.shape[1]):
            found[:, part] = combined @ (self.features[:, part] - self.mean[part])
        return found


def span(features: Tensor, dims: int | None = None) -> Span:
    """Principal component analysis by the images' products, of which there are fewer than features have numbers.

    Args:
        features: (N, d).
        dims: How many directions; None: all in which the features differ, which loses nothing.
    """
    values = features.numpy()
    mean = values.mean(axis=0, dtype=np.float64)
    products = np.zeros((len(values), len(values)))
    for part in _blocks(values.shape[1]):
        block = values[:, part] - mean[part]
        block = block[:, block.any(axis=0)]  # a histogram has many bins that are always empty
        products += block @ block.T
    first = 0 if dims is None else max(0, len(values) - dims)
    variances, vectors = scipy.linalg.eigh(products, subset_by_index=(first, len(values) - 1))
    kept = variances > NOTHING * variances[-1]
    lengths, vectors = np.sqrt(variances[kept][::-1]), vectors[:, kept][:, ::-1]
    return Span(vectors * lengths, values, mean, vectors / lengths)


@dataclass(frozen=True)
class Covariances:
    """Of the differences in pairs: (k, k) each, and how many pairs there are."""

    similar: np.ndarray
    different: np.ndarray
    similar_pairs: int
    different_pairs: int


def covariances(rows: np.ndarray, pids: np.ndarray, camids: np.ndarray, pairs: str) -> Covariances:
    """The covariances of the differences in pairs of one person, and in pairs of two.

    Args:
        rows: (N, k).
        pids: (N,) identities.
        camids: (N,) cameras.
        pairs: "cross_camera": those from two cameras; "all".

    Raises:
        RecipeError: There is no such pair.
    """
    everybody, both = (
        np.zeros_like(pids),
        np.unique(np.stack([pids, camids], 1), axis=0, return_inverse=True)[1].ravel(),
    )
    similar, different = [(1, pids)], [(1, everybody), (-1, pids)]
    if pairs == "cross_camera":
        similar, different = [*similar, (-1, both)], [*different, (-1, camids), (1, both)]
    found = {}
    for name, groups in (("one person", similar), ("two people", different)):
        total, count = _sum_of_pairs(rows, groups)
        if not count:
            raise RecipeError(
                f"The recipe's field pairs is {pairs!r}, but no such pair of training images shows {name}. "
                "Choose pairs='all', or other data."
            )
        found[name] = total / count, count
    (S, similar_pairs), (D, different_pairs) = found.values()
    return Covariances(S, D, similar_pairs, different_pairs)


def _sum_of_pairs(rows: np.ndarray, groups: list[tuple[int, np.ndarray]]) -> tuple[np.ndarray, int]:
    """The sum of (x_i - x_j) (x_i - x_j)' over the pairs within groups, and their number.

    Each of ``groups`` has a sign and, for each image, the label (N,) of its group: pairs are added and taken away.
    """
    weights, sums, pairs = np.zeros(len(rows)), np.zeros((rows.shape[1], rows.shape[1])), 0
    for sign, labels in groups:
        _, own, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        weights += sign * sizes[own]
        order = np.argsort(own, kind="stable")
        s = np.add.reduceat(rows[order], np.cumsum(sizes) - sizes)  # (groups, k)
        sums += sign * (s.T @ s)
        pairs += sign * int((sizes * (sizes - 1) // 2).sum())
    return rows.T @ (rows * weights[:, None]) - sums, pairs


def kissme(similar: np.ndarray, different: np.ndarray) -> np.ndarray:
    """KISSME's M = S^-1 - D^-1, (k, k); it may have negative eigenvalues (see :func:`factor`).

    Raises:
        RecipeError: There are too few images for so many dimensions.
    """
    return inverse(similar) - inverse(different)


def inverse(covariance: np.ndarray) -> np.ndarray:
    """The inverse of a covariance (k, k).

    Raises:
        RecipeError: It has none.
    """
    values, vectors = np.linalg.eigh(covariance)
    rank = int((values > NOTHING * values[-1]).sum())
    if rank < len(values):
        raise RecipeError(
            f"The pairs of training images differ in {rank} directions only, so the covariance of {len(values)} "
            f"principal components has no inverse. Choose pca={max(2, rank // 2)} or less, or more images."
        )
    return (vectors / values) @ vectors.T


def factor(metric: np.ndarray) -> np.ndarray:
    """The projection L (r, k) with L' L = M, where M (k, k) loses its negative eigenvalues: the nearest such matrix."""
    values, vectors = np.linalg.eigh(metric)
    kept = values > NOTHING * values[-1]
    return (np.sqrt(values[kept]) * vectors[:, kept]).T[::-1]


def quadratic(metric: np.ndarray, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """(q - g)' M (q - g) for each query (q, k) and gallery image (g, k), whatever M's eigenvalues: (q, g).

    For :func:`reid_lab.retrieval.rank_distances`.
    """
    own = [np.einsum("ij,jk,ik->i", rows, metric, rows, optimize=True) for rows in (queries, gallery)]
    return own[0][:, None] + own[1] - 2 * queries @ metric @ gallery.T


def xqda(similar: np.ndarray, different: np.ndarray, ridge: float, dims: int | None, basis: str) -> np.ndarray:
    """XQDA: the directions in which different pairs differ more than similar ones, weighted as KISSME weighs them.

    With S's multiple of the identity, w solves D w = value S w. These directions make S the identity and D diagonal, so
    that M = I - diag(1 / values): never negative where values are above 1. The authors' code takes singular vectors of
    S^-1 D instead, which is not symmetric.

    Args:
        similar: S, (k, k).
        different: D, (k, k).
        ridge: What is added to the diagonal of S.
        dims: How many directions at most; None: all whose value is above 1.
        basis: "eigen" or "svd", as in the authors' code.

    Returns:
        The projection (r, k), the direction of the largest value first.

    Raises:
        RecipeError: No value is above 1.
    """
    regular = similar + ridge * np.eye(len(similar))
    if basis == "eigen":
        values, vectors = scipy.linalg.eigh(different, regular, subset_by_value=(1.0, np.inf))
    else:
        product = np.linalg.solve(regular, different)
        values, vectors = scipy.linalg.eigh(product @ product.T, subset_by_value=(1.0, np.inf))  # squares of its values
    if not len(values):
        raise RecipeError("XQDA found no direction in which two people differ more than one. Choose a smaller ridge.")
    values, W = values[::-1][:dims], vectors[:, ::-1][:, :dims]
    if basis == "eigen":
        return (W * np.sqrt(1 - 1 / values)).T
    return factor(kissme(W.T @ regular @ W, W.T @ different @ W)) @ W.T


def _blocks(columns: int) -> list[slice]:
    return [slice(start, start + COLUMNS) for start in range(0, columns, COLUMNS)]
