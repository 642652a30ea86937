"""From a network or from features to a ranked and scored gallery."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import UNKNOWN_CAMERA
from reid_lab.losses import full_precision
from reid_lab.models.network import Network
from reid_lab.retrieval import checks, distances, kernels
from reid_lab.retrieval.features import extract
from reid_lab.retrieval.kernels import MEMORY, blocks
from reid_lab.retrieval.metrics import score
from reid_lab.retrieval.protocol import Protocol
from reid_lab.retrieval.reranking import reranked_blocks
from reid_lab.retrieval.result import Result
from reid_lab.retrieval.search import average_query_expansion
from reid_lab.runtime.device import exact_float32, has_float64
from reid_lab.runtime.errors import FeatureError


def evaluate(
    model: Network,
    benchmark: Benchmark,
    rerank: bool = False,
    device: torch.device | str | None = None,
    batch_size: int | None = None,
    flip: bool = False,
    autocast: bool = False,
    cache: Path | None = None,
    check: bool = True,
    **ranking: Any,
) -> Result:
    """Descriptors of `benchmark`'s query and gallery images by `model.embed`, ranked.

    device     where the network and the ranking run (None: where the model is)
    batch_size, flip, autocast, cache  as in `extract`
    check      refuse a benchmark in which `Benchmark.check` finds errors: its score would mislead
    ranking    `metric`, `k1`, `k2`, `lam`, `expand`, `multi_query`, `top`, `memory` of `rank`

    Raises DataError, NoMatchError, FeatureError, DeviceError.
    """
    if check:
        checks.benchmark(benchmark)
    split = benchmark.query, benchmark.gallery
    described = [extract(model, records, device, batch_size, flip, autocast, cache) for records in split]
    labels = Protocol.of(*split)
    result = rank(
        described[0],
        described[1],
        labels.query_pids,
        labels.gallery_pids,
        labels.query_camids,
        labels.gallery_camids,
        rerank=rerank,
        device=next(model.parameters()).device,
        **ranking,
    )
    return replace(result, query=benchmark.query, gallery=benchmark.gallery)


def rank(
    query_features: Any,
    gallery_features: Any,
    query_pids: Any,
    gallery_pids: Any,
    query_camids: Any = None,
    gallery_camids: Any = None,
    metric: str = "cosine",
    rerank: bool = False,
    k1: int = 20,
    k2: int = 6,
    lam: float = 0.3,
    expand: int = 0,
    multi_query: bool = False,
    device: torch.device | str | None = None,
    top: int = 10,
    memory: int = MEMORY,
) -> Result:
    """Rank the gallery for every query and score the rankings, by the single-query protocol (see `protocol`).

    query_features    (q, d), gallery_features (g, d): numpy or torch, any real type, compared in float32
    query_pids        (q,), gallery_pids (g,): identities; -1 in the gallery is junk
    query_camids      (q,), gallery_camids (g,): cameras; -1, or None for all, is unknown
    metric            "cosine" or "euclidean"
    rerank            k-reciprocal re-ranking, with k1, k2 and lam (see `reranking`)
    expand            average query expansion with that many gallery images (0: none)
    multi_query       each query becomes the mean with its junk: the gallery images of its identity and camera
    device            where to compute (None: where the gallery features are)
    top               how many of each query's nearest images the result keeps
    memory            bytes that one block of queries may take

    Equally near images: the earlier one in the gallery ranks first. Equally near are those whose distances are equal
    as computed: the product may round even equal features differently in the last bit, by their place in a block.
    Raises FeatureError, DataError, DeviceError, and NoMatchError if no query has a match.
    """
    expand, top = checks.whole_number("expand", expand, 0), checks.whole_number("top", top, 0)
    query, gallery = checks.both_features(query_features, gallery_features, device)
    protocol = _protocol(len(query), len(gallery), query_pids, gallery_pids, query_camids, gallery_camids)
    with full_precision(gallery), exact_float32():  # whatever the caller trains in
        queries, features = len(query), distances.comparable(query, gallery, metric)
        del query, gallery  # where they were converted, the copies are needed no more
        query, gallery = features[:queries], features[queries:]
        if multi_query:
            query[:] = distances.prepared(_with_junk(query, gallery, protocol), metric)
        if expand:
            query[:] = distances.prepared(average_query_expansion(query, gallery, expand, metric, memory), metric)
        if rerank:
            rows = reranked_blocks(features, queries, k1, k2, lam, memory)
            return score(rows, protocol, distances.RERANKED, (0.0, 1.0), top)
        rows = distances.distance_blocks(query, gallery, metric, memory)
        return score(rows, protocol, distances.measure(metric), distances.bounds(query, gallery, metric), top)


def rank_distances(
    given: Any,
    query_pids: Any,
    gallery_pids: Any,
    query_camids: Any = None,
    gallery_camids: Any = None,
    top: int = 10,
    memory: int = MEMORY,
) -> Result:
    """The same from given distances (q, g), smaller is nearer (of similarities, pass the negative).

    Raises FeatureError if they are not finite or not such a matrix, DataError, NoMatchError.
    """
    given, top = checks.real_numbers(given, "distances"), checks.whole_number("top", top, 0)
    if given.ndim != 2 or 0 in given.shape:
        raise FeatureError(f"distances have shape {tuple(given.shape)}, but (queries, gallery) is needed.")
    if given.dtype not in (torch.float32, torch.float64):
        if not given.is_floating_point() and not has_float64(given.device):  # whole numbers must stay what they are
            given = given.cpu()
        given = given.to(torch.float32 if given.is_floating_point() else torch.float64)
    protocol = _protocol(*given.shape, query_pids, gallery_pids, query_camids, gallery_camids)
    low, high = (float(bound) for bound in given.aminmax())
    if not np.isfinite(high - low):
        bad = torch.cat([~rows.isfinite().all(1) for rows in given.split(256)])
        if not bad.any():
            raise FeatureError(
                f"distances reach from {low:.1e} to {high:.1e}, too far apart: divide all by one number."
            )
        raise FeatureError(
            f"{checks.rows_named(bad, 'query')} of the distances hold NaN or infinity: compute them anew."
        )
    inner = kernels.choose(kernels.__name__, given.device, given.numel())
    rows = blocks(len(given), given.shape[1] * inner.BYTES_PER_DISTANCE, memory)
    return score(((part, given[part].contiguous()) for part in rows), protocol, distances.GIVEN, (low, high), top)


def _protocol(queries: int, images: int, *labels: Any) -> Protocol:
    return Protocol(
        checks.labels(labels[0], "query_pids", queries),
        checks.labels(labels[1], "gallery_pids", images),
        checks.labels(labels[2], "query_camids", queries, default=UNKNOWN_CAMERA),
        checks.labels(labels[3], "gallery_camids", images, default=UNKNOWN_CAMERA),
    )


def _with_junk(query: Tensor, gallery: Tensor, protocol: Protocol) -> Tensor:
    """Mean (q, d) of each query and the gallery images of its identity and camera."""
    _, junk = protocol.positives_and_junk(slice(None))
    rows, columns = junk.on(query.device)
    total = query.index_add(0, rows, gallery[columns])
    return total / (1 + torch.bincount(rows, minlength=len(query))[:, None])
