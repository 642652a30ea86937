"""CMC, mAP and mINP from distances, one block of queries at a time: the numbers of ``reference.evaluate``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from reid_lab.retrieval import kernels
from reid_lab.retrieval.distances import Measure
from reid_lab.retrieval.protocol import Protocol, no_match
from reid_lab.retrieval.result import Matches, Result
from reid_lab.retrieval.roc import Roc


def score(
    rows: Iterable[tuple[slice, Tensor]],
    protocol: Protocol,
    measure: Measure,
    bounds: tuple[float, float],
    top: int,
) -> Result:
    """Scores of all queries.

    rows    slices of the queries, in order, and their distances (b, g) to the gallery, which may be overwritten
    bounds  between which numbers all distances lie
    top     how many of each query's nearest images are kept

    Raises NoMatchError if no query has a match.
    """
    counted, ends = protocol.counted, measure.scaled(torch.tensor(bounds, dtype=torch.float64)).tolist()
    ranks, nearest, scores, genuine, impostor = [], [], [], [], []
    for part, block in rows:
        inner = kernels.choose(kernels.__name__, block.device, len(protocol.query_pids) * len(counted))
        positives, junk = protocol.positives_and_junk(part)
        block_ranks, block_nearest = inner.count(block, positives, junk, counted, top)
        ranks.append(block_ranks)
        nearest.append(block_nearest)
        scores.append(block.gather(1, torch.from_numpy(block_nearest.clip(0)).to(block.device)))
        block = measure.scaled(block)
        same, junk_too = (kernels.histogram(block[pairs.on(block.device)][None], *ends) for pairs in (positives, junk))
        genuine.append(same)
        impostor.append(inner.histogram(block, *ends, counted) - same - junk_too)
    most = max(block.shape[1] for block in ranks)
    return _result(
        np.concatenate([np.pad(block, ((0, 0), (0, most - block.shape[1]))) for block in ranks]),
        np.concatenate(nearest),
        measure.shown(torch.cat(scores).cpu().numpy()),
        _roc(torch.stack(genuine).sum(0), torch.stack(impostor).sum(0), measure, ends),
        protocol,
        measure,
    )


def precisions(ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average precision by steps, by trapezoids, and INP, (q,) each, from the ranks of the matches.

    ranks  (q, M), ascending from 1, filled up with 0

    With r_k the rank of the k-th of M matches, the precision there is k / r_k and just before it
    (k - 1) / (r_k - 1), or 1 where r_k = 1:
    AP = mean k / r_k;  trapezoid AP = mean of (k - 1) / (r_k - 1) and k / r_k;  INP = M / r_M

    Rows without a match are NaN.
    """
    found = ranks > 0
    k = np.arange(1, ranks.shape[1] + 1)
    at = np.divide(k, ranks, where=found, out=np.zeros(ranks.shape))
    before = np.divide(k - 1, ranks - 1, where=ranks > 1, out=found.astype(float))
    matches = np.where(found.any(1), found.sum(1), np.nan)  # M
    return at.sum(1) / matches, (before + at).sum(1) / (2 * matches), matches / ranks.max(1, initial=1)


def cumulative_matches(first_ranks: np.ndarray, length: int) -> np.ndarray:
    """CMC (length,): at k - 1, the share of queries whose first match has rank k or better."""
    return np.bincount(first_ranks - 1, minlength=length).cumsum() / len(first_ranks)


def _roc(genuine: Tensor, impostor: Tensor, measure: Measure, ends: list[float]) -> Roc | None:
    if not (genuine.any() and impostor.any()):
        return None
    edges = np.linspace(ends[0], ends[1], kernels.BINS + 1) ** 2**measure.roots
    rates = [np.concatenate([[0], counts.cpu().cumsum(0) / counts.sum().cpu()]) for counts in (impostor, genuine)]
    return Roc(measure.shown(edges), rates[0], rates[1], measure.name, measure.higher_is_nearer)


def _result(
    ranks: np.ndarray,
    nearest: np.ndarray,
    scores: np.ndarray,
    roc: Roc | None,
    protocol: Protocol,
    measure: Measure,
) -> Result:
    matched = (ranks > 0).any(1)
    if not matched.any():
        raise no_match(protocol)
    ap, ap_trapezoid, inp = precisions(ranks)
    there = nearest >= 0
    pids = np.where(there, protocol.gallery_pids[nearest], -1)
    matches = Matches(
        indices=nearest,
        pids=pids,
        camids=np.where(there, protocol.gallery_camids[nearest], -1),
        correct=there & (pids == protocol.query_pids[:, None]),
        scores=np.where(there, scores, np.nan),
    )
    return Result(
        cmc=cumulative_matches(ranks[matched, 0], len(protocol.gallery_pids)),
        ap=ap,
        ap_trapezoid=ap_trapezoid,
        inp=inp,
        ranks=ranks,
        matches=matches,
        unmatched=np.flatnonzero(~matched),
        query_pids=protocol.query_pids,
        query_camids=protocol.query_camids,
        measure=measure.name,
        roc=roc,
    )
