"""Exercises of notebook 00: a whole retrieval, and the score of guessing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def retrieve(query, gallery, query_pids, gallery_pids, query_camids, gallery_camids, k):
    """A tensor (q, k): the indices of the k most similar gallery images of each query, best first.

    query, gallery                 (q, d) and (g, d) tensors of features, of any length
    query_pids, gallery_pids       (q,) and (g,) tensors of int, the identities
    query_camids, gallery_camids   (q,) and (g,) tensors of int, the cameras
    k                              how many images are wanted, at most g

    Similarity is the cosine. An image that the same-camera rule leaves out is not in the answer.
    Where fewer than k images are left for a query, its row ends in -1.
    """
    # solution
    similarity = F.normalize(query) @ F.normalize(gallery).T  # (q, g)
    same_person = query_pids[:, None] == gallery_pids
    same_camera = query_camids[:, None] == gallery_camids
    similarity[same_person & same_camera] = -torch.inf
    best, indices = similarity.topk(k, dim=1)  # (q, k) each
    return indices.masked_fill(best == -torch.inf, -1)
    # end


QUERY = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
GALLERY = torch.tensor([[5.0, 0.5], [1.0, 0.0], [0.1, 1.0], [9.0, 8.0], [-1.0, 0.0]])
LABELS = tuple(map(torch.tensor, ([1, 2, 3], [4, 1, 2, 3, 5], [1, 1, 2], [1, 1, 2, 1, 2])))


def check_retrieve(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on three queries and five gallery images in the plane."""
    given = answer(QUERY.clone(), GALLERY.clone(), *LABELS, 2)
    if not isinstance(given, Tensor) or given.shape != (3, 2):
        yield f"for 3 queries and k = 2 a tensor of shape (3, 2) was expected, not {getattr(given, 'shape', given)}."
        return
    for query, expected, why in (
        (0, [0, 3], "image 1 shows the query's own person in its own camera; image 0 shows another person, and counts"),
        (1, [2, 3], "image 2 has nearly the query's direction, and another camera"),
        (2, [3, 2], "image 3 has nearly the query's direction; its length and distance do not matter"),
    ):
        if given[query].tolist() != expected:
            yield f"query {query} finds the images {expected}, not {given[query].tolist()}: {why}."
    alone = (QUERY[:1], GALLERY[[1, 4]], LABELS[0][:1], LABELS[1][[1, 4]], LABELS[2][:1], LABELS[3][[1, 4]])
    if answer(*alone, 2).tolist() != [[1, -1]]:
        yield "an image that the rule leaves out is never an answer: where too few others are left, the row ends in -1."


def wrong_retrieve_forgets_the_cameras(query: Tensor, gallery: Tensor, *labels: Any) -> Tensor:
    """The same walk is found again."""
    return (F.normalize(query) @ F.normalize(gallery).T).topk(labels[-1], dim=1).indices


def wrong_retrieve_leaves_out_the_camera(
    query: Tensor, gallery: Tensor, query_pids: Tensor, pids: Tensor, query_camids: Tensor, camids: Tensor, k: int
) -> Tensor:
    """Everybody from the query's camera is left out."""
    similarity = F.normalize(query) @ F.normalize(gallery).T
    best, indices = similarity.masked_fill(query_camids[:, None] == camids, -torch.inf).topk(k, dim=1)
    return indices.masked_fill(best == -torch.inf, -1)


def wrong_retrieve_takes_the_farthest(query: Tensor, gallery: Tensor, *labels: Any) -> Tensor:
    """A similarity treated like a distance."""
    return retrieve(-query, gallery, *labels)


def wrong_retrieve_measures_lengths(
    query: Tensor, gallery: Tensor, query_pids: Tensor, pids: Tensor, query_camids: Tensor, camids: Tensor, k: int
) -> Tensor:
    """The distance of vectors that have different lengths."""
    own_walk = (query_pids[:, None] == pids) & (query_camids[:, None] == camids)
    best, indices = torch.cdist(query, gallery).masked_fill(own_walk, torch.inf).topk(k, largest=False)
    return indices.masked_fill(best == torch.inf, -1)


def wrong_retrieve_multiplies_with_zero(
    query: Tensor, gallery: Tensor, query_pids: Tensor, pids: Tensor, query_camids: Tensor, camids: Tensor, k: int
) -> Tensor:
    """Junk gets similarity 0, and stays in the ranking."""
    own_walk = (query_pids[:, None] == pids) & (query_camids[:, None] == camids)
    return ((F.normalize(query) @ F.normalize(gallery).T) * ~own_walk).topk(k, dim=1).indices


def guessing(query_pids, gallery_pids, query_camids, gallery_camids):
    """The rank-1 of random rankings in the mean: a fraction, exact, without a random number.

    query_pids, query_camids       (q,) numpy arrays of int
    gallery_pids, gallery_camids   (g,) numpy arrays of int

    The same-camera rule holds. A query whose person is in no image that counts is left out.
    """
    # solution
    chances = []
    for pid, camid in zip(query_pids, query_camids, strict=True):
        counts = ~((gallery_pids == pid) & (gallery_camids == camid))
        right = (gallery_pids == pid) & counts
        if right.any():
            chances.append(right.sum() / counts.sum())
    return float(np.mean(chances))
    # end


def check_guessing(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on galleries in which one can count."""
    for query, gallery, expected, why in (
        ([(1, 1)], [(1, 2), (2, 2), (3, 2), (4, 2)], 1 / 4, "one of four images is right"),
        ([(1, 1)], [(1, 2), (1, 3), (3, 2), (4, 2)], 2 / 4, "two of four images are right"),
        ([(1, 1)], [(1, 1), (1, 2), (3, 1), (4, 2)], 1 / 3, "an image of the own person and camera does not count"),
        ([(1, 1), (9, 1)], [(1, 2), (2, 1), (9, 1)], 1 / 3, "query 1 has no right image that counts, and is left out"),
        ([(1, 1), (2, 1)], [(1, 2), (2, 2), (2, 3), (0, 1)], 3 / 8, "the mean of one in four and two in four"),
        ([(1, 1), (2, 1)], [(1, 1), (1, 2), (2, 2), (0, 1)], 7 / 24, "the mean of one in three and one in four"),
    ):
        (query_pids, query_camids), (pids, camids) = np.array(query).T, np.array(gallery).T
        given = answer(query_pids, pids, query_camids, camids)
        if given is None or not np.isclose(given, expected):
            yield (
                f"for queries (identity, camera) {query} and the gallery {gallery} the answer is {expected:.3f}, "
                f"not {given}: {why}."
            )


def wrong_guessing_counts_the_own_camera(
    query_pids: np.ndarray, pids: np.ndarray, query_camids: np.ndarray, camids: np.ndarray
) -> float:
    """No same-camera rule."""
    return float(np.mean([(pids == pid).mean() for pid in query_pids]))


def wrong_guessing_leaves_junk_in_the_gallery(
    query_pids: np.ndarray, pids: np.ndarray, query_camids: np.ndarray, camids: np.ndarray
) -> float:
    """Junk is not right, but makes the gallery larger."""
    labels = zip(query_pids, query_camids, strict=True)
    return float(np.mean([((pids == pid) & (camids != camid)).mean() for pid, camid in labels]))


def wrong_guessing_takes_unmatched_queries_for_failures(
    query_pids: np.ndarray, pids: np.ndarray, query_camids: np.ndarray, camids: np.ndarray
) -> float:
    """A query that nobody could answer counts as a failure."""
    matched = [((pids == pid) & (camids != camid)).any() for pid, camid in zip(query_pids, query_camids, strict=True)]
    return guessing(query_pids, pids, query_camids, camids) * float(np.mean(matched))


def wrong_guessing_knows_one_match(
    query_pids: np.ndarray, pids: np.ndarray, query_camids: np.ndarray, camids: np.ndarray
) -> float:
    """One over the size of the gallery."""
    return 1 / len(pids)


def wrong_guessing_weighs_by_the_gallery(
    query_pids: np.ndarray, gallery_pids: np.ndarray, query_camids: np.ndarray, gallery_camids: np.ndarray
) -> float:
    """All right images of all queries, divided by all images that count: a query counts as often as it has images."""
    own = query_pids[:, None] == gallery_pids
    counts = ~(own & (query_camids[:, None] == gallery_camids))
    found = (own & counts).any(axis=1)
    return float((own & counts)[found].sum() / counts[found].sum())
