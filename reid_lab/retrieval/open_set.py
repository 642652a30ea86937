"""Is the person there at all? Searches with and without a match in the gallery, and a threshold between them.

A search is **mated** if the gallery holds a match of the query, and **non-mated** otherwise. It returns only images up
to a threshold T, so it may return nothing. The two rates are those of ISO/IEC 19795-1:2021:

FPIR(T)     share of the non-mated searches that return anything: a false alarm
TPIR(T, R)  share of the mated searches that return a match among the first R images; 1 - TPIR is FNIR

Phillips, Grother and Micheals call them false alarm rate and detection and identification rate (*Evaluation methods in
face recognition*, Handbook of Face Recognition, 2nd edition, 2011); so do Liao et al. in re-identification
(arXiv:1408.0872). There a gallery holds one image of each person. Here it may hold several, and R counts images, as
rank-R of a CMC does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reid_lab.data.records import JUNK
from reid_lab.retrieval.distances import real_numbers, rows_named
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import FeatureError, NoMatchError
from reid_lab.runtime.validation import is_number, whole


@dataclass(frozen=True)
class OpenSet:
    """What decides about each search, whatever the threshold. An image at the threshold itself is returned.

    Attributes:
        nearest: (q,) distance of the first image, junk removed; infinite where the gallery holds nothing but junk.
        match: (q,) distance of the first match among the first ``rank`` images; infinite where there is none.
        mated: (q,) bool, whether the gallery holds a match.
        rank: R, how many images a search returns at most.
    """

    nearest: np.ndarray
    match: np.ndarray
    mated: np.ndarray
    rank: int

    def fpir(self, threshold: float) -> float:
        """Return the false positive identification rate, 0..1.

        Args:
            threshold: in the unit of the distances; infinite: everything is returned.

        Raises:
            FeatureError: there is no non-mated search.
        """
        strangers = self._strangers()
        return float(np.mean((strangers <= threshold) & np.isfinite(strangers)))

    def tpir(self, threshold: float) -> float:
        """Return the true positive identification rate, 0..1.

        Args:
            threshold: in the unit of the distances; infinite: the rate is the CMC's value at ``rank``.

        Raises:
            NoMatchError: there is no mated search.
        """
        matches = self._matches()
        return float(np.mean((matches <= threshold) & np.isfinite(matches)))

    def threshold(self, fpir: float) -> float:
        """Return the largest distance of these searches up to which the FPIR is not above the one asked for.

        Distances that several searches share are accepted together or not at all. Where even the smallest distance is
        too much, the number just below it is returned, and nothing is accepted.

        Args:
            fpir: 0..1.

        Raises:
            FeatureError: the rate does not lie in 0..1, or there is no non-mated search.
        """
        if not is_number(fpir, 0, 1):
            raise FeatureError(f"A false positive identification rate lies in 0..1 (found {fpir!r}).")
        strangers, limits = np.sort(self._strangers()), self._limits()
        rates = np.searchsorted(strangers, limits, side="right") / len(strangers)
        return float(limits[np.searchsorted(rates, fpir, side="right") - 1])

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return thresholds (n,), from one that accepts nothing to one that accepts everything, FPIR and TPIR (n,).

        Raises:
            FeatureError: there is no non-mated search.
            NoMatchError: there is no mated search.
        """
        limits = self._limits()
        sides = np.sort(self._strangers()), np.sort(self._matches())
        fpir, tpir = (np.searchsorted(side, limits, side="right") / len(side) for side in sides)
        return limits, fpir, tpir

    def _limits(self) -> np.ndarray:
        """Every distance that occurs, ascending, after one that is smaller than all."""
        found = np.concatenate([self.nearest, self.match])
        found = np.unique(found[np.isfinite(found)])
        return np.concatenate([[np.nextafter(found[0], -np.inf)], found]) if len(found) else np.array([0.0])

    def _strangers(self) -> np.ndarray:
        if self.mated.all():
            raise FeatureError(
                f"Each of the {len(self.mated)} queries has a match in the gallery, so there is no false positive "
                "identification rate: add queries of other people, or take some people out of the gallery."
            )
        return self.nearest[~self.mated]

    def _matches(self) -> np.ndarray:
        if not self.mated.any():
            raise NoMatchError(
                f"None of the {len(self.mated)} queries has a match in the gallery, so there is no true positive "
                "identification rate: add queries of people who are in the gallery, and check the labels."
            )
        return self.match[self.mated]


def open_set(
    distances: Any,
    *,
    query_pids: Any,
    gallery_pids: Any,
    query_camids: Any = None,
    gallery_camids: Any = None,
    rank: int = 1,
) -> OpenSet:
    """Find what decides about each search. The rates are those of ``reference.identification_rates``.

    Equally near images: the earlier one in the gallery ranks first. Junk counts neither as right nor as wrong, so a
    query whose person is in the gallery only as junk is a non-mated search.

    Args:
        distances: (q, g), numpy or torch, smaller is nearer (of similarities, pass the negative).
        query_pids: (q,) identities.
        gallery_pids: (g,) identities; -1 is junk.
        query_camids: (q,) cameras; -1, or None for all, is unknown.
        gallery_camids: (g,) cameras.
        rank: R, how many images a search returns at most.

    Raises:
        FeatureError: the distances are not finite or not such a matrix, or the rank is no whole number from 1.
        DataError: the labels are not one whole number for each image.
    """
    rank, matrix = whole("rank", rank, 1, FeatureError), _matrix(distances)
    labels = query_pids, gallery_pids, query_camids, gallery_camids
    protocol = Protocol.of_labels(len(matrix), matrix.shape[1], labels)
    positives, junk = protocol.positives_and_junk(slice(None))
    matrix[junk.queries, junk.gallery] = np.inf
    matrix[:, protocol.gallery_pids == JUNK] = np.inf
    ranked = matrix.argsort(axis=1, kind="stable") if rank > 1 else matrix.argmin(axis=1)[:, None]
    first = ranked[:, :rank]  # (q, rank) images
    near = np.take_along_axis(matrix, first, axis=1)
    right = protocol.gallery_pids[first] == protocol.query_pids[:, None]  # and junk is infinitely far
    mated = np.bincount(positives.queries, minlength=len(matrix)) > 0
    return OpenSet(near[:, 0], np.where(right, near, np.inf).min(axis=1), mated, rank)


def _matrix(distances: Any) -> np.ndarray:
    """A copy of the distances (q, g) as float64."""
    given = real_numbers(distances, "distances")
    if given.ndim != 2 or 0 in given.shape:
        raise FeatureError(f"distances have shape {tuple(given.shape)}, but (queries, gallery) is needed.")
    bad = ~given.isfinite().all(1)
    if bad.any():
        raise FeatureError(f"{rows_named(bad, 'query')} of the distances hold NaN or infinity: compute them anew.")
    return given.cpu().double().numpy().copy()
