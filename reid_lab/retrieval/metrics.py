"""CMC, mAP and mINP from distances, one block of queries at a time: the numbers of ``reference.evaluate``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.records import JUNK
from reid_lab.retrieval.distances import Measure
from reid_lab.retrieval.kernels import Kernels
from reid_lab.retrieval.protocol import Protocol, no_match
from reid_lab.retrieval.result import Matches, Result


def score(
    blocks: Iterable[tuple[slice, Tensor]],
    protocol: Protocol,
    measure: Measure,
    *,
    kernels: Kernels,
    top: int,
) -> Result:
    """Score the rankings of all queries: the same as ``reference.evaluate``.

    Args:
        blocks: slices of the queries, in order, and their distances (b, g) to the gallery.
        protocol: who is a match and who is junk.
        measure: what the distances are.
        kernels: the inner loops.
        top: how many of each query's nearest images are kept.

    Raises:
        NoMatchError: no query has a match.
    """
    counted = protocol.gallery_pids != JUNK  # (g,): the others are junk for every query
    ranks, nearest, distances = [], [], []
    for part, block in blocks:
        positives, junk = protocol.positives_and_junk(part)
        block_ranks, block_nearest = kernels.count(block, positives, junk, counted, top)
        ranks.append(block_ranks)
        nearest.append(block_nearest)
        distances.append(block.gather(1, torch.from_numpy(block_nearest.clip(0)).to(block.device)))
    most = max(block.shape[1] for block in ranks)
    all_ranks = np.concatenate([np.pad(block, ((0, 0), (0, most - block.shape[1]))) for block in ranks])
    if not all_ranks.any():
        raise no_match(protocol)
    return _result(all_ranks, np.concatenate(nearest), torch.cat(distances).cpu().numpy(), protocol, measure)


def precisions(ranks: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average precision by steps and by trapezoids, and INP: the same as the loops of ``reference``.

    With r_k the rank of the k-th of M matches, the precision there is k / r_k and just before it (k - 1) / (r_k - 1),
    or 1 where r_k = 1:
    AP = mean k / r_k;  trapezoid AP = mean of (k - 1) / (r_k - 1) and k / r_k;  INP = M / r_M

    Args:
        ranks: (q, M), of the matches, ascending from 1, filled up with 0.

    Returns:
        The three, (q,) each; NaN for rows without a match.
    """
    found = ranks > 0
    k = np.arange(1, ranks.shape[1] + 1)
    at = np.divide(k, ranks, where=found, out=np.zeros(ranks.shape))
    before = np.divide(k - 1, ranks - 1, where=ranks > 1, out=found.astype(float))
    matches = np.where(found.any(1), found.sum(1), np.nan)  # M
    return at.sum(1) / matches, (before + at).sum(1) / (2 * matches), matches / ranks.max(1, initial=1)


def _result(
    ranks: np.ndarray,
    nearest: np.ndarray,
    distances: np.ndarray,
    protocol: Protocol,
    measure: Measure,
) -> Result:
    """What the ranks of the matches (q, M) and the nearest images (q, top), with their distances, come to."""
    matched, there = (ranks > 0).any(1), nearest >= 0
    first, length = ranks[matched, 0], len(protocol.gallery_pids)
    ap, ap_trapezoid, inp = precisions(ranks)
    pids = np.where(there, protocol.gallery_pids[nearest], -1)
    return Result(
        cmc=np.bincount(first - 1, minlength=length).cumsum() / len(first),
        ap=ap,
        ap_trapezoid=ap_trapezoid,
        inp=inp,
        ranks=ranks,
        matches=Matches(
            indices=nearest,
            pids=pids,
            camids=np.where(there, protocol.gallery_camids[nearest], -1),
            correct=there & (pids == protocol.query_pids[:, None]),
            scores=np.where(there, measure.shown(distances), np.nan),
        ),
        unmatched=np.flatnonzero(~matched),
        query_pids=protocol.query_pids,
        query_camids=protocol.query_camids,
        measure=measure.name,
    )
