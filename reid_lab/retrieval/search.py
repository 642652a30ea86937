"""The nearest gallery images of a query, exactly or through FAISS, and query expansion from them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.records import Record
from reid_lab.losses import full_precision
from reid_lab.retrieval import distances
from reid_lab.retrieval.distances import MEMORY
from reid_lab.retrieval.kernels import Kernels, choose
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.device import exact_float32
from reid_lab.runtime.errors import FeatureError
from reid_lab.runtime.validation import whole

SAMPLE = 1000  # queries on which an approximate index is compared with exact search


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        indices: (q, k) in the gallery, nearest first; -1 where there are fewer, or a FAISS index found fewer.
        scores: (q, k) in the measure; NaN there.
        measure: what the scores are.
        recall: 1 for exact search; for a FAISS index, measured on a sample of the queries.
    """

    indices: np.ndarray
    scores: np.ndarray
    measure: str
    recall: float


def search(
    query_features: Any,
    gallery_features: Any,
    k: int = 10,
    *,
    metric: str = "cosine",
    index: str | None = None,
    device: torch.device | str | None = None,
    memory: int = MEMORY,
    leave_out: Sequence[Collection[int]] | None = None,
) -> Found:
    """Find the ``k`` nearest gallery images of each query; no labels, so nothing is junk.

    Args:
        query_features: (q, d), numpy or torch.
        gallery_features: (g, d).
        k: how many are wanted.
        metric: "cosine" or "euclidean".
        index: None: exact, in blocks. Else a FAISS factory string, for galleries beyond that: "Flat" (exact),
            "HNSW32", "IVF1024,Flat", "IVF4096,PQ64", ...; needs `pip install faiss-cpu`.
        device: where to compute; None: where the gallery features are.
        memory: bytes that one block of queries may take.
        leave_out: for each query the gallery indices that it must not find, say :func:`itself`.

    Raises:
        FeatureError: features or arguments cannot be used.
        DeviceError: the device is not there.
    """
    features, queries = distances.comparable(query_features, gallery_features, metric, device), len(query_features)
    query, gallery = features[:queries], features[queries:]
    k = whole("k", k, 1, FeatureError)
    if k > len(gallery):
        raise FeatureError(f"k must lie between 1 and the gallery's {len(gallery)} images (found {k}).")
    if leave_out is not None and len(leave_out) != queries:
        raise FeatureError(f"leave_out is for {len(leave_out)} queries, and there are {queries}: give one for each.")
    more = max(map(len, leave_out), default=0) if leave_out is not None else 0
    with full_precision(gallery), exact_float32():  # whatever the caller trains in
        found = _search(query, gallery, min(k + more, len(gallery)), metric, index, memory)
    return found if leave_out is None else _without(found, leave_out, k)


def itself(query: Sequence[Record], gallery: Sequence[Record]) -> list[list[int]]:
    """Return for each query the gallery indices of the very same picture: the same file, or one of the same bytes.

    Only files of one size are read to be compared. What cannot be read is no copy of anything.
    """
    sizes = {_size(record.path) for record in query} - {None}
    indices: defaultdict[str, list[int]] = defaultdict(list)  # in the gallery, by what the file holds
    for index, record in enumerate(gallery):
        if _size(record.path) in sizes:
            indices[_content(record.path)].append(index)
    return [indices.get(_content(record.path), []) if indices else [] for record in query]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _content(path: Path) -> str:
    """A digest of a file's bytes; of a file that cannot be read its name, which is no digest."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return str(path)


def _without(found: Found, leave_out: Sequence[Collection[int]], k: int) -> Found:
    """The first `k` of what was found, less what each query must not find."""
    indices = np.full((len(found.indices), k), -1, found.indices.dtype)
    scores = np.full(indices.shape, np.nan, found.scores.dtype)
    for row, (nearest, unwanted) in enumerate(zip(found.indices, leave_out, strict=True)):
        kept = np.flatnonzero(~np.isin(nearest, list(unwanted)))[:k]
        indices[row, : len(kept)], scores[row, : len(kept)] = nearest[kept], found.scores[row, kept]
    return Found(indices, scores, found.measure, found.recall)


def _search(query: Tensor, gallery: Tensor, k: int, metric: str, index: str | None, memory: int) -> Found:
    measure, kernels = distances.METRICS[metric], choose(query.device, len(query) * len(gallery))
    if index is None:
        nearest, found = (
            part.cpu().numpy() for part in exact(query, gallery, k, metric, kernels=kernels, memory=memory)
        )
        return Found(nearest, measure.shown(found), measure.name, 1.0)
    nearest, found = _with_faiss(query.cpu().numpy(), gallery.cpu().numpy(), k, metric, index)
    sample = np.random.default_rng(0).permutation(len(query))[:SAMPLE]
    truth = exact(query[sample], gallery, k, metric, kernels=kernels, memory=memory)[0].cpu().numpy()
    hits = [len(np.intersect1d(one, other)) for one, other in zip(truth, nearest[sample], strict=True)]
    return Found(nearest, measure.shown(found), measure.name, float(np.mean(hits) / k))


def multi_query(query: Tensor, gallery: Tensor, protocol: Protocol, metric: str) -> Tensor:
    """Average each query with its junk: the gallery images of its identity and camera.

    Args:
        query: (q, d), from ``comparable``.
        gallery: (g, d), from ``comparable``.
        protocol: who is junk.
        metric: "cosine" or "euclidean".

    Returns:
        The means (q, d), comparable again.
    """
    _, junk = protocol.positives_and_junk(slice(None))
    rows, columns = junk.on(query.device)
    total = query.index_add(0, rows, gallery[columns])
    return distances.prepared(total / (1 + torch.bincount(rows, minlength=len(query))[:, None]), metric)


def average_query_expansion(
    query: Tensor, gallery: Tensor, k: int, metric: str, *, kernels: Kernels, memory: int = MEMORY
) -> Tensor:
    """Average each query with its nearest gallery images (Chum et al.: *Total recall*, ICCV 2007).

    Args:
        query: (q, d), from ``comparable``.
        gallery: (g, d), from ``comparable``.
        k: how many images are averaged with the query.
        metric: "cosine" or "euclidean".
        kernels: the inner loops.
        memory: bytes that one block of queries may take.

    Returns:
        The means (q, d), comparable again.
    """
    nearest, _ = exact(query, gallery, min(k, len(gallery)), metric, kernels=kernels, memory=memory)
    total = query.clone()
    for nth in nearest.T:  # one neighbor at a time: (q, k, d) would be large
        total += gallery[nth]
    return distances.prepared(total / (1 + nearest.shape[1]), metric)


def exact(
    query: Tensor, gallery: Tensor, k: int, metric: str, *, kernels: Kernels, memory: int
) -> tuple[Tensor, Tensor]:
    """Find the indices (q, k) of the nearest of ``comparable`` features, and their distances, as inside."""
    nearest, found = [], []
    for _, block in distances.distance_blocks(query, gallery, metric, kernels=kernels, memory=memory):
        nearest.append(kernels.nearest(block, k)[0])
        found.append(block.gather(1, nearest[-1]))
    return torch.cat(nearest), torch.cat(found)


def _with_faiss(
    query: np.ndarray, gallery: np.ndarray, k: int, metric: str, factory: str
) -> tuple[np.ndarray, np.ndarray]:
    try:
        import faiss
    except Exception as error:  # one that was built for another machine may raise anything
        absent = isinstance(error, ModuleNotFoundError) and error.name in (None, "faiss")
        trouble = "is not installed" if absent else f"does not load ({error})"
        raise FeatureError(f"FAISS {trouble}: `pip install faiss-cpu`, or leave out `index`.") from error
    inner_product = metric == "cosine"
    try:
        index = faiss.index_factory(
            gallery.shape[1], factory, faiss.METRIC_INNER_PRODUCT if inner_product else faiss.METRIC_L2
        )
        index.train(gallery)
    except RuntimeError as error:
        raise FeatureError(
            f"FAISS refuses the index {factory!r} for {len(gallery)} images of {gallery.shape[1]} dimensions "
            f'({str(error).splitlines()[-1][:120]}): try "Flat" or "HNSW32".'
        ) from error
    index.add(gallery)
    scores, nearest = index.search(query, k)
    scores[nearest < 0] = np.nan
    return nearest, -scores if inner_product else scores
