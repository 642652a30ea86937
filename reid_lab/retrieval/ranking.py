"""From a network, from features or from distances to a ranked and scored gallery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import Record
from reid_lab.losses import full_precision
from reid_lab.models.network import Network
from reid_lab.retrieval.distances import (
    GIVEN,
    MEMORY,
    METRICS,
    RERANKED,
    Measure,
    blocks,
    comparable,
    distance_blocks,
    real_numbers,
    rows_named,
)
from reid_lab.retrieval.features import extract
from reid_lab.retrieval.kernels import Kernels, choose
from reid_lab.retrieval.metrics import score
from reid_lab.retrieval.protocol import Protocol, check_once
from reid_lab.retrieval.reranking import reranked_blocks
from reid_lab.retrieval.result import Result
from reid_lab.retrieval.roc import PairHistograms, distance_bounds
from reid_lab.retrieval.search import average_query_expansion, multi_query
from reid_lab.runtime.device import exact_float32, has_float64
from reid_lab.runtime.errors import FeatureError
from reid_lab.runtime.validation import whole


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """How a gallery is ranked: the keyword arguments that `evaluate` and `rank` share.

    Attributes:
        metric: "cosine" or "euclidean".
        rerank: k-reciprocal re-ranking, with k1, k2 and lam (see `rerank`).
        k1: neighbors in a k-reciprocal set.
        k2: neighbors whose encodings are averaged.
        lam: weight of the original distance, 0..1.
        expand: average query expansion with that many gallery images; 0: none.
        multi_query: each query becomes the mean with its junk, the gallery images of its identity and camera.
        top: how many of each query's nearest images the result keeps.
        roc: also count all pairs by distance, for `Result.roc`; it takes a third as long again, or up to twice.
        memory: bytes that one block of queries may take.
    """

    metric: str = "cosine"
    rerank: bool = False
    k1: int = 20
    k2: int = 6
    lam: float = 0.3
    expand: int = 0
    multi_query: bool = False
    top: int = 10
    roc: bool = False
    memory: int = MEMORY


def evaluate(
    model: Network,
    benchmark: Benchmark,
    *,
    device: torch.device | str | None = None,
    batch_size: int | None = None,
    flip: bool = False,
    autocast: bool = False,
    cache: Path | None = None,
    check: bool = True,
    **ranking: Any,
) -> Result:
    """Rank a benchmark's gallery for each of its queries by a network's features, and score the rankings.

    Args:
        model: gives the features, by `model.embed`.
        benchmark: its query and gallery images are ranked.
        device: where the network and the ranking run; None: where the model is.
        batch_size: as in `extract`; so are flip, autocast and cache.
        flip: as there.
        autocast: as there.
        cache: as there.
        check: refuse a benchmark in which `Benchmark.check` finds errors: its score would mislead.
        **ranking: the fields of :class:`Ranking`: `rerank`, `top`, ...; `metric` is the model's unless it is given.

    Raises:
        ReidLabError: DataError for a faulty benchmark or image, NoMatchError where no query has a match, FeatureError
            for arguments or features that cannot be used, DeviceError.
    """
    how = _options(evaluate, {"metric": getattr(model, "metric", "cosine"), **ranking})
    if check:
        check_once(benchmark)
    query, gallery = (
        extract(model, records, device, batch_size, flip, autocast, cache, _extras(model, benchmark, records))
        for records in (benchmark.query, benchmark.gallery)
    )
    features = comparable(query, gallery, how.metric, next(model.parameters()).device)
    result = _rank(features, Protocol.of(benchmark.query, benchmark.gallery), how)
    return replace(result, query=benchmark.query, gallery=benchmark.gallery)


def _extras(model: Network, benchmark: Benchmark, records: Sequence[Record]) -> dict[str, Tensor]:
    """What the network needs beside the images; of another module that describes images nothing is asked."""
    return model.extras(benchmark, records) if isinstance(model, Network) else {}


def rank(
    query_features: Any,
    gallery_features: Any,
    *,
    query_pids: Any,
    gallery_pids: Any,
    query_camids: Any = None,
    gallery_camids: Any = None,
    device: torch.device | str | None = None,
    **ranking: Any,
) -> Result:
    """Rank the gallery for every query and score the rankings: the same as `reference.evaluate` of their distances.

    Equally near images: the earlier one in the gallery ranks first. Equally near are those whose distances are equal
    as computed: the product may round even equal features differently in the last bit, by their index in a block.

    Args:
        query_features: (q, d), numpy or torch, any real type, compared in float32.
        gallery_features: (g, d).
        query_pids: (q,) identities.
        gallery_pids: (g,) identities; -1 is junk.
        query_camids: (q,) cameras; -1, or None for all, is unknown.
        gallery_camids: (g,) cameras.
        device: where to compute; None: where the gallery features are.
        **ranking: the fields of :class:`Ranking`: `rerank`, `metric`, `top`, ...

    Raises:
        FeatureError: features or arguments cannot be used.
        DataError: the labels are not one whole number for each image.
        DeviceError: the device is not there.
        NoMatchError: no query has a match.
    """
    how = _options(rank, ranking)
    features, queries = comparable(query_features, gallery_features, how.metric, device), len(query_features)
    labels = query_pids, gallery_pids, query_camids, gallery_camids
    return _rank(features, Protocol.of_labels(queries, len(features) - queries, labels), how)


def rank_distances(
    given: Any,
    *,
    query_pids: Any,
    gallery_pids: Any,
    query_camids: Any = None,
    gallery_camids: Any = None,
    top: int = 10,
    roc: bool = False,
    memory: int = MEMORY,
) -> Result:
    """Score the rankings of given distances: the same as `reference.evaluate`.

    Args:
        given: (q, g), smaller is nearer (of similarities, pass the negative).
        query_pids: as in `rank`, and so are the others.
        gallery_pids: as there.
        query_camids: as there.
        gallery_camids: as there.
        top: as in :class:`Ranking`.
        roc: as there.
        memory: as there.

    Raises:
        FeatureError: the distances are not finite or not such a matrix.
        DataError: the labels are not one whole number for each image.
        NoMatchError: no query has a match.
    """
    top = whole("top", top, 0, FeatureError)
    matrix, bounds = _matrix(given)
    labels = query_pids, gallery_pids, query_camids, gallery_camids
    protocol = Protocol.of_labels(len(matrix), matrix.shape[1], labels)
    kernels = choose(matrix.device, matrix.numel())
    parts = blocks(len(matrix), matrix.shape[1] * kernels.bytes_per_distance, memory)
    rows = ((part, matrix[part].contiguous()) for part in parts)
    if roc:
        return _with_roc(rows, protocol, GIVEN, bounds, kernels, top)
    return score(rows, protocol, GIVEN, kernels=kernels, top=top)


def _options(function: Callable[..., Result], given: dict[str, Any]) -> Ranking:
    """The options of a call of ``function``; a TypeError for one that there is not, which names the nearest."""
    known = [field.name for field in fields(Ranking)]
    for name in given.keys() - known:
        near = get_close_matches(name, {*known, *signature(function).parameters} - {"ranking"}, 1)
        hint = f". Did you mean {near[0]!r}?" if near else f"; the options of a ranking are {', '.join(known)}."
        raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{hint}")
    how = Ranking(**given)
    expand, top = whole("expand", how.expand, 0, FeatureError), whole("top", how.top, 0, FeatureError)
    return replace(how, expand=expand, top=top)


def _rank(features: Tensor, protocol: Protocol, how: Ranking) -> Result:
    """The ranking of `comparable` features (q + g, d)."""
    queries = len(protocol.query_pids)
    query, gallery = features[:queries], features[queries:]
    kernels = choose(features.device, len(query) * len(gallery))
    with full_precision(features), exact_float32():  # whatever the caller trains in
        if how.multi_query:
            query[:] = multi_query(query, gallery, protocol, how.metric)
        if how.expand:
            query[:] = average_query_expansion(
                query, gallery, how.expand, how.metric, kernels=kernels, memory=how.memory
            )
        if how.rerank:
            measure, rows = RERANKED, reranked_blocks(features, queries, how.k1, how.k2, how.lam, how.memory)
        else:
            measure = METRICS[how.metric]
            rows = distance_blocks(query, gallery, how.metric, kernels=kernels, memory=how.memory)
        if how.roc:
            return _with_roc(rows, protocol, measure, distance_bounds(query, gallery, measure), kernels, how.top)
        return score(rows, protocol, measure, kernels=kernels, top=how.top)


def _with_roc(
    rows: Iterable[tuple[slice, Tensor]],
    protocol: Protocol,
    measure: Measure,
    bounds: tuple[float, float],
    kernels: Kernels,
    top: int,
) -> Result:
    """The scores of blocks of distances between ``bounds``, and the ROC of the same blocks."""
    pairs = PairHistograms(measure, bounds, kernels)
    result = score(pairs.watch(rows, protocol), protocol, measure, kernels=kernels, top=top)
    return replace(result, roc=pairs.roc())


def _matrix(given: Any) -> tuple[Tensor, tuple[float, float]]:
    """Given distances (q, g) as float32 or float64, and between which two numbers they lie."""
    given = real_numbers(given, "distances")
    if given.ndim != 2 or 0 in given.shape:
        raise FeatureError(f"distances have shape {tuple(given.shape)}, but (queries, gallery) is needed.")
    if given.dtype not in (torch.float32, torch.float64):
        if not given.is_floating_point() and not has_float64(given.device):  # whole numbers must stay what they are
            given = given.cpu()
        given = given.to(torch.float32 if given.is_floating_point() else torch.float64)
    low, high = (float(bound) for bound in given.aminmax())
    if np.isfinite(high - low):
        return given, (low, high)
    bad = torch.cat([~rows.isfinite().all(1) for rows in given.split(256)])
    if not bad.any():
        raise FeatureError(f"distances reach from {low:.1e} to {high:.1e}, too far apart: divide all by one number.")
    raise FeatureError(f"{rows_named(bad, 'query')} of the distances hold NaN or infinity: compute them anew.")
