"""Evaluation and re-ranking as the papers define them: plain loops, one query at a time, in float64.

Read this file first. The package computes the same numbers fast (:mod:`.metrics`, :mod:`.open_set`, :mod:`.reranking`),
and its tests compare the two. Everything here takes NumPy arrays; q queries, g gallery images, N = q + g.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_lab.runtime.errors import NoMatchError

JUNK, UNKNOWN_CAMERA = -1, -1


@dataclass(frozen=True)
class Scores:
    """Means over all queries that have a match, as fractions. ``cmc[k - 1]`` is rank-k (ranks,)."""

    cmc: np.ndarray
    mAP: float  # noqa: N815 (the field's name)
    mAP_trapezoid: float  # noqa: N815 (the field's name)
    mINP: float  # noqa: N815 (the field's name)


def evaluate(
    distances: np.ndarray,
    *,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
    ranks: int = 50,
) -> Scores:
    """CMC, mAP by steps, mAP by trapezoids, and mINP: sort the gallery, leave out junk, walk down the ranking.

    Labels are whole numbers (q,) and (g,), with the conventions of :mod:`reid_lab.data.records`. Equal distances keep
    the gallery's order. Equations 6 (mAP) and 7 (CMC) of paper A, which does not say which AP it means; mINP is of
    neither paper (Ye et al., 2021). ``ranks`` is the length of the CMC.

    Raises:
        NoMatchError: no query has a match.
    """
    hits, aps, trapezoids, inps = [], [], [], []
    for query in range(len(distances)):
        ranking = np.argsort(distances[query], kind="stable")
        same_pid = gallery_pids[ranking] == query_pids[query]
        same_camera = gallery_camids[ranking] == query_camids[query]
        if query_camids[query] == UNKNOWN_CAMERA:
            same_camera[:] = False
        junk = (gallery_pids[ranking] == JUNK) | (same_pid & same_camera)
        correct = same_pid[~junk]  # from the nearest image to the farthest
        matches = 1 + np.flatnonzero(correct)  # the ranks of the matches, from 1
        if len(matches) == 0:
            continue  # a query without a match counts nowhere
        hits.append([matches[0] <= rank for rank in range(1, ranks + 1)])
        aps.append(average_precision(matches))
        trapezoids.append(trapezoid_average_precision(matches))
        inps.append(len(matches) / matches[-1])  # the inverse of the negative penalty
    if not aps:
        raise NoMatchError("No query has a gallery image of its person from another camera: check labels and cameras.")
    cmc = np.mean(hits, axis=0)
    return Scores(cmc, float(np.mean(aps)), float(np.mean(trapezoids)), float(np.mean(inps)))


def identification_rates(
    distances: np.ndarray,
    threshold: float,
    *,
    query_pids: np.ndarray,
    gallery_pids: np.ndarray,
    query_camids: np.ndarray,
    gallery_camids: np.ndarray,
    rank: int = 1,
) -> tuple[float, float]:
    """FPIR and TPIR of searches that return at most ``rank`` images, and none beyond a threshold.

    The definitions are those of ISO/IEC 19795-1:2021, see :mod:`.open_set`. NaN where no search is of the kind.
    """
    alarms, found = [], []
    for query in range(len(distances)):
        ranking = np.argsort(distances[query], kind="stable")
        same_pid = gallery_pids[ranking] == query_pids[query]
        same_camera = gallery_camids[ranking] == query_camids[query]
        if query_camids[query] == UNKNOWN_CAMERA:
            same_camera[:] = False
        counts = (gallery_pids[ranking] != JUNK) & ~(same_pid & same_camera)
        near = distances[query, ranking[counts]] <= threshold  # of all that count, from the nearest to the farthest
        if same_pid[counts].any():  # a mated search
            found.append((near & same_pid[counts])[:rank].any())
        else:
            alarms.append(near.any())
    return (float(np.mean(alarms)) if alarms else np.nan, float(np.mean(found)) if found else np.nan)


def average_precision(matches: np.ndarray) -> float:
    """The mean, over the matches, of the precision at the rank of each: the AP of most code.

    ``matches`` are their ranks, ascending from 1.
    """
    total = 0.0
    for found, rank in enumerate(matches, 1):
        total += found / rank
    return total / len(matches)


def trapezoid_average_precision(matches: np.ndarray) -> float:
    """The area below precision over recall, by trapezoids: the AP of Market-1501's own evaluation.

    Recall grows at the matches alone, by 1 / M each. Precision before the first rank is 1.
    """
    area = 0.0
    for found, rank in enumerate(matches, 1):
        before = (found - 1) / (rank - 1) if rank > 1 else 1.0
        area += (before + found / rank) / 2 / len(matches)
    return area


def squared_distances(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (n, m) of features (n, d) and (m, d), difference by difference."""
    return np.stack([((others - row) ** 2).sum(axis=1) for row in np.asarray(features, np.float64)])


def rerank(
    squared: np.ndarray, queries: int, k1: int = 20, k2: int = 6, lam: float = 0.3, dtype: type = np.float64
) -> np.ndarray:
    """k-reciprocal re-ranking (Zhong et al., CVPR 2017), with dense matrices as in the published code.

    Args:
        squared: squared Euclidean distances (N, N) among all images, the queries first.
        queries: how many of the images are queries.
        k1: neighbors in a k-reciprocal set.
        k2: neighbors whose encodings are averaged (query expansion).
        lam: weight of the original distance.
        dtype: of the computation; the published code uses float32.

    Returns:
        The distances (q, g) by which to rank.
    """
    images = len(squared)
    original = (squared / squared.max(axis=0)).T.astype(dtype)  # each row divided by its largest
    neighbors = np.argsort(original, axis=1, kind="stable")  # (N, N), the image itself first
    encodings: np.ndarray = np.zeros((images, images), dtype)
    for image in range(images):
        members = expanded_reciprocal_set(neighbors, image, k1)
        weights = np.exp(-original[image, members])
        encodings[image, members] = weights / weights.sum()
    if k2 > 1:
        encodings = np.stack([encodings[neighbors[image, :k2]].mean(axis=0) for image in range(images)])
    jaccard: np.ndarray = np.zeros((queries, images), dtype)
    holders = [np.flatnonzero(encodings[:, member]) for member in range(images)]  # whose encodings have the member
    for query in range(queries):
        shared: np.ndarray = np.zeros(images, dtype)  # the sum of the minima of two encodings
        for member in np.flatnonzero(encodings[query]):
            others = holders[member]
            shared[others] += np.minimum(encodings[query, member], encodings[others, member])
        jaccard[query] = 1 - shared / (2 - shared)  # the sum of the maxima: each encoding adds up to 1
    return ((1 - lam) * jaccard + lam * original[:queries])[:, queries:]


def expanded_reciprocal_set(neighbors: np.ndarray, image: int, k1: int) -> np.ndarray:
    """The k1-reciprocal set R of an image, and the k1/2-reciprocal set of each member if 2/3 of that set lies in R."""
    own = reciprocal_set(neighbors, image, k1)
    expanded = own
    for candidate in own:
        theirs = reciprocal_set(neighbors, candidate, int(np.around(k1 / 2)))
        if len(np.intersect1d(theirs, own)) > 2 / 3 * len(theirs):
            expanded = np.append(expanded, theirs)
    return np.unique(expanded)


def reciprocal_set(neighbors: np.ndarray, image: int, k: int) -> np.ndarray:
    """Those of an image's k nearest, and itself, that have it among their own k nearest."""
    nearest = neighbors[image, : k + 1]
    mutual = (neighbors[nearest, : k + 1] == image).any(axis=1)
    return nearest[mutual]
