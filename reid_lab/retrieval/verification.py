"""Paper A's second answer to "is it the same person?": the verification head, beside the distance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import JUNK
from reid_lab.methods.multitask import MultiTask
from reid_lab.models.network import evaluating
from reid_lab.retrieval.features import extract
from reid_lab.retrieval.protocol import Pairs, Protocol, check_once, no_match
from reid_lab.retrieval.roc import Roc
from reid_lab.runtime.errors import FeatureError
from reid_lab.runtime.validation import whole

HEAD = "verification head"
COSINE = "cosine similarity"


def verification(
    model: MultiTask,
    benchmark: Benchmark,
    *,
    pairs: int = 100_000,
    seed: int = 0,
    device: torch.device | str | None = None,
    check: bool = True,
    **extraction: Any,
) -> dict[str, Roc]:
    """Compute the ROC of the verification head (`model.verify`) and of cosine similarity, on the same pairs.

    Args:
        model: paper A's network.
        benchmark: its query and gallery images make the pairs.
        pairs: at most so many genuine and so many impostor pairs are drawn.
        seed: decides which.
        device: as in `extract`.
        check: refuse a benchmark in which `Benchmark.check` finds errors.
        **extraction: the other arguments of `extract`.

    Raises:
        ReidLabError: FeatureError for a model without such a head, DataError, NoMatchError, DeviceError.
    """
    pairs, seed = whole("pairs", pairs, 1, FeatureError), whole("seed", seed, 0, FeatureError)
    if not hasattr(model, "verify"):
        raise FeatureError(
            f"{type(model).__name__} has no verification head: take paper A's, or evaluate's with roc=True."
        )
    if check:
        check_once(benchmark)
    split = benchmark.query, benchmark.gallery
    query, gallery = (extract(model, records, device, **extraction) for records in split)
    protocol = Protocol.of(*split)
    kinds = genuine_pairs(protocol, pairs, seed), impostor_pairs(protocol, pairs, seed)
    heads = [_head(model, query, gallery, found) for found in kinds]
    cosines = [_cosine(query, gallery, found) for found in kinds]
    return {name: Roc.from_scores(same, other, name) for name, (same, other) in ((HEAD, heads), (COSINE, cosines))}


def genuine_pairs(protocol: Protocol, pairs: int, seed: int) -> Pairs:
    """Draw at most ``pairs`` pairs of a query and a match of it.

    Raises:
        NoMatchError: there are none.
    """
    positives, _ = protocol.positives_and_junk(slice(None))
    if len(positives.queries) == 0:
        raise no_match(protocol)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(positives.queries))[:pairs])
    return Pairs(positives.queries[chosen], positives.gallery[chosen])


def impostor_pairs(protocol: Protocol, pairs: int, seed: int) -> Pairs:
    """Draw at most ``pairs`` pairs of a query and a gallery image of another person."""
    random = np.random.default_rng(seed)
    queries = random.integers(0, len(protocol.query_pids), pairs)
    images = random.choice(np.flatnonzero(protocol.gallery_pids != JUNK), pairs)
    other = protocol.query_pids[queries] != protocol.gallery_pids[images]
    return Pairs(queries[other], images[other])


def _head(model: MultiTask, query: Tensor, gallery: Tensor, pairs: Pairs, batch_size: int = 1024) -> Tensor:
    device = next(model.parameters()).device
    with evaluating(model), torch.inference_mode():
        scores = [
            model.verify(query[rows].to(device), gallery[columns].to(device)).float().cpu()
            for rows, columns in zip(*(index.split(batch_size) for index in pairs.on(query.device)), strict=True)
        ]
    return torch.cat(scores)


def _cosine(query: Tensor, gallery: Tensor, pairs: Pairs) -> Tensor:
    indices = zip(*(index.split(4096) for index in pairs.on(query.device)), strict=True)
    return torch.cat([torch.cosine_similarity(query[rows], gallery[columns]) for rows, columns in indices])
