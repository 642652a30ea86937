"""Exercise of notebook 00: a whole retrieval in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def nearest(query, gallery, query_pids, gallery_pids, query_camids, gallery_camids):
    """Which gallery image comes first for each query: (q,) tensor of places in the gallery.

    query, gallery                 (q, d) and (g, d) tensors of features, not normalized
    query_pids, gallery_pids       (q,) and (g,) tensors of int, the identities
    query_camids, gallery_camids   (q,) and (g,) tensors of int, the cameras

    Similarity is the cosine of the angle between two vectors, large for near ones. Images of the query's person from
    the query's own camera do not count; other people from that camera do.
    """
    # solution
    similarity = torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(gallery).T
    own_walk = (query_pids[:, None] == gallery_pids) & (query_camids[:, None] == gallery_camids)
    return similarity.masked_fill(own_walk, -2.0).argmax(dim=1)
    # end


QUERY = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
GALLERY = torch.tensor([[5.0, 0.5], [1.0, 0.0], [0.1, 1.0], [9.0, 8.0], [-1.0, 0.0]])
LABELS = tuple(map(torch.tensor, ([1, 2, 3], [4, 1, 2, 3, 5], [1, 1, 2], [1, 1, 2, 1, 2])))


def check_nearest(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on three queries and five gallery images in the plane."""
    given = answer(QUERY, GALLERY, *LABELS)
    if not isinstance(given, Tensor) or given.shape != (3,):
        yield f"for 3 queries a tensor of shape (3,) was expected, not {getattr(given, 'shape', given)}."
        return
    for query, expected, why in (
        (0, 0, "image 1 is of its own person and camera; image 0 is of another person, and counts at any length"),
        (1, 2, "image 2 has nearly the query's direction, and another camera"),
        (2, 3, "image 3 has nearly the query's direction; its length and distance do not matter"),
    ):
        if int(given[query]) != expected:
            yield f"for query {query} image {expected} comes first, not {int(given[query])}: {why}."
    alone = (QUERY[:1], GALLERY[[1, 4]], LABELS[0][:1], LABELS[1][[1, 4]], LABELS[2][:1], LABELS[3][[1, 4]])
    if answer(*alone).tolist() != [1]:
        yield "what does not count must never come first, not even before an image with cosine -1."


def _cosine(query: Tensor, gallery: Tensor) -> Tensor:
    return torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(gallery).T


def wrong_nearest_forgets_the_cameras(query: Tensor, gallery: Tensor, *labels: Tensor) -> Tensor:
    """The same walk is found again."""
    return _cosine(query, gallery).argmax(dim=1)


def wrong_nearest_leaves_out_the_camera(
    query: Tensor, gallery: Tensor, query_pids: Tensor, gallery_pids: Tensor, query_camids: Tensor, camids: Tensor
) -> Tensor:
    """Everybody from the query's camera is left out."""
    similarity = _cosine(query, gallery)
    return similarity.masked_fill(query_camids[:, None] == camids, -2.0).argmax(dim=1)


def wrong_nearest_takes_the_farthest(query: Tensor, gallery: Tensor, *labels: Tensor) -> Tensor:
    """A similarity treated like a distance."""
    return _cosine(query, gallery).argmin(dim=1)


def wrong_nearest_measures_lengths(
    query: Tensor, gallery: Tensor, query_pids: Tensor, pids: Tensor, query_camids: Tensor, camids: Tensor
) -> Tensor:
    """The distance of vectors that have different lengths."""
    own_walk = (query_pids[:, None] == pids) & (query_camids[:, None] == camids)
    return torch.cdist(query, gallery).masked_fill(own_walk, torch.inf).argmin(dim=1)


def wrong_nearest_multiplies_with_zero(
    query: Tensor, gallery: Tensor, query_pids: Tensor, pids: Tensor, query_camids: Tensor, camids: Tensor
) -> Tensor:
    """Junk gets similarity 0, which is more than that of an image that points the other way."""
    own_walk = (query_pids[:, None] == pids) & (query_camids[:, None] == camids)
    similarity = _cosine(query, gallery)
    return (similarity * ~own_walk).argmax(dim=1)
