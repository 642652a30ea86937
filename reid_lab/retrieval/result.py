"""What a retrieval gives: the scores of the field, per query and in the mean, and what each query found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reid_lab.data.records import Record
from reid_lab.retrieval.roc import Roc
from reid_lab.runtime.errors import FeatureError
from reid_lab.runtime.validation import whole


@dataclass(frozen=True)
class Matches:
    """The nearest gallery images of each query, junk removed; every array is (q, top).

    Attributes:
        indices: in the gallery; -1 where the gallery is exhausted.
        pids: their identities; -1 there.
        camids: their cameras; -1 there.
        correct: True where the identity is the query's.
        scores: in the result's measure; NaN where the gallery is exhausted.
    """

    indices: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    correct: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Result:
    """The scores of all queries, as fractions, 0..1.

    Queries without a match are NaN in the arrays and left out of the means.

    Attributes:
        cmc: (g,) share of queries with a match among the first k images, at cmc[k - 1].
        ap: (q,) average precision, the mean of k / r_k over the matches (steps).
        ap_trapezoid: (q,) the same by the trapezoid rule of the original Market-1501 code.
        inp: (q,) inverse negative penalty, M / r_M: how far down the last match lies.
        ranks: (q, M) rank of every match, ascending from 1, filled up with 0.
        matches: what each query found first.
        unmatched: indices of the queries that have no match in the gallery.
        query_pids: (q,) identities.
        query_camids: (q,) cameras.
        measure: what ``matches.scores`` and ``roc.thresholds`` hold.
        roc: of all genuine and impostor pairs that count (thresholds on a grid), where it was asked for by
            ``roc=True``; None without impostors.
        query: the records, when the result comes from `evaluate`.
        gallery: the same.
    """

    cmc: np.ndarray
    ap: np.ndarray
    ap_trapezoid: np.ndarray
    inp: np.ndarray
    ranks: np.ndarray
    matches: Matches
    unmatched: np.ndarray
    query_pids: np.ndarray
    query_camids: np.ndarray
    measure: str
    roc: Roc | None = None
    query: Sequence[Record] | None = None
    gallery: Sequence[Record] | None = None

    @property
    def mAP(self) -> float:  # noqa: N802 - the field's name
        """Mean of ``ap``."""
        return float(np.nanmean(self.ap))

    @property
    def mAP_trapezoid(self) -> float:  # noqa: N802
        """Mean of ``ap_trapezoid``."""
        return float(np.nanmean(self.ap_trapezoid))

    @property
    def mINP(self) -> float:  # noqa: N802
        """Mean of ``inp``."""
        return float(np.nanmean(self.inp))

    def rank(self, k: int) -> float:
        """Return the share of queries with a match among the first k images.

        Raises:
            FeatureError: k is not a whole number from 1.
        """
        k = whole("k", k, 1, FeatureError)
        return float(self.cmc[min(k, len(self.cmc)) - 1])

    def table(self, name: str | None = None) -> pd.DataFrame:
        """Return one row in percent: rank-1, rank-5, rank-10, mAP, mAP_trapezoid, mINP; ``name`` becomes its index."""
        row = {f"rank-{k}": self.rank(k) for k in (1, 5, 10)}
        row |= {"mAP": self.mAP, "mAP_trapezoid": self.mAP_trapezoid, "mINP": self.mINP}
        return pd.DataFrame({column: 100 * value for column, value in row.items()}, index=[name or self.measure])
