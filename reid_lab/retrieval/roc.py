"""Above which score is it the same person: genuine and impostor pairs, and a threshold between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.records import JUNK
from reid_lab.retrieval.distances import COSINE, RERANKED, Measure
from reid_lab.retrieval.kernels import BINS, Kernels
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import FeatureError


@dataclass(frozen=True)
class OperatingPoint:
    """What happens if pairs up to a threshold are taken for one person.

    Attributes:
        threshold: in units of the curve's measure.
        false_match_rate: share of impostor pairs (two people) that are accepted, 0..1.
        true_match_rate: share of genuine pairs (one person) that are accepted, 0..1.
    """

    threshold: float
    false_match_rate: float
    true_match_rate: float


@dataclass(frozen=True)
class Roc:
    """Receiver operating characteristic, from the strictest threshold (accepts nothing) to the loosest.

    Attributes:
        thresholds: (n,), in units of ``measure``.
        false_match_rates: (n,) fractions, rising.
        true_match_rates: (n,) fractions, rising.
        measure: what is compared with the thresholds.
        higher_is_nearer: a pair is accepted from the threshold up, else from there down.
    """

    thresholds: np.ndarray
    false_match_rates: np.ndarray
    true_match_rates: np.ndarray
    measure: str
    higher_is_nearer: bool

    @classmethod
    def from_scores(cls, genuine: Any, impostor: Any, measure: str, higher_is_nearer: bool = True) -> Roc:
        """Compute the exact curve of the scores of pairs; a score equal to a threshold is accepted.

        Args:
            genuine: (n,) scores of pairs of one person.
            impostor: (m,) scores of pairs of two people.
            measure: what the scores are.
            higher_is_nearer: whether they are similarities.

        Raises:
            FeatureError: there are no pairs of one kind, or a score is not finite.
        """
        genuine, impostor = (
            np.asarray(genuine, dtype=float).ravel(),
            np.asarray(impostor, dtype=float).ravel(),
        )
        if not (len(genuine) and len(impostor) and np.isfinite(genuine).all() and np.isfinite(impostor).all()):
            raise FeatureError(
                f"A ROC needs finite scores of genuine and of impostor pairs (found {len(genuine)} and "
                f"{len(impostor)}): check the labels and the network."
            )
        sign = -1 if higher_is_nearer else 1
        genuine, impostor = np.sort(sign * genuine), np.sort(sign * impostor)
        limits = np.unique(np.concatenate([genuine, impostor]))
        accepted = [np.searchsorted(scores, limits, side="right") / len(scores) for scores in (impostor, genuine)]
        false_rates, true_rates = (np.concatenate([[0.0], rates]) for rates in accepted)
        strictest = sign * np.nextafter(limits[0], -np.inf)
        return cls(np.concatenate([[strictest], sign * limits]), false_rates, true_rates, measure, higher_is_nearer)

    @property
    def eer(self) -> float:
        """Equal error rate: where genuine pairs are refused as often as impostors accepted (interpolated)."""
        difference = self.false_match_rates - (1 - self.true_match_rates)  # rises from -1 to 1
        after = int(np.argmax(difference >= 0))
        share = difference[after] / (difference[after] - difference[after - 1])
        step = self.false_match_rates[after] - self.false_match_rates[after - 1]
        return float(self.false_match_rates[after] - share * step)

    def at(self, false_match_rate: float) -> OperatingPoint:
        """Return the loosest threshold whose false-match rate is not above the one asked for.

        Raises:
            FeatureError: the rate does not lie in 0..1.
        """
        if not 0 <= false_match_rate <= 1:
            raise FeatureError(f"A false-match rate lies in 0..1 (found {false_match_rate}).")
        index = int(np.searchsorted(self.false_match_rates, false_match_rate, side="right")) - 1
        rates = self.false_match_rates[index], self.true_match_rates[index]
        return OperatingPoint(float(self.thresholds[index]), *map(float, rates))


class PairHistograms:
    """Genuine and impostor pairs counted by their distance, a block of queries at a time; then their curve."""

    def __init__(self, measure: Measure, bounds: tuple[float, float], kernels: Kernels) -> None:
        """Begin with no pairs.

        Args:
            measure: what the distances are.
            bounds: between which two numbers all of them lie.
            kernels: the inner loops.
        """
        self.measure, self.kernels = measure, kernels
        self.low, self.high = map(float, self._scaled(torch.tensor(bounds, dtype=torch.float64)))
        self.genuine: list[Tensor] = []
        self.impostor: list[Tensor] = []

    def watch(self, blocks: Iterable[tuple[slice, Tensor]], protocol: Protocol) -> Iterator[tuple[slice, Tensor]]:
        """Hand on blocks of distances (b, g), and count the pairs of each, which overwrites it, once it was used."""
        counted, ends = protocol.gallery_pids != JUNK, (self.low, self.high)
        few = Kernels()  # in torch: compiling pays for whole blocks alone
        for part, distances in blocks:
            yield part, distances
            block, kinds = self._scaled(distances), protocol.positives_and_junk(part)
            same, left_out = (few.histogram(block[pairs.on(block.device)][None], *ends) for pairs in kinds)
            self.genuine.append(same)
            self.impostor.append(self.kernels.histogram(block, *ends, counted) - same - left_out)

    def roc(self) -> Roc | None:
        """Return the curve of all pairs, with its thresholds on a grid; None without genuine or impostor pairs."""
        genuine, impostor = torch.stack(self.genuine).sum(0), torch.stack(self.impostor).sum(0)
        if not (genuine.any() and impostor.any()):
            return None
        edges = np.linspace(self.low, self.high, BINS + 1) ** 2**self.measure.roots
        rates = [np.concatenate([[0], counts.cpu().cumsum(0) / counts.sum().cpu()]) for counts in (impostor, genuine)]
        measure = self.measure
        return Roc(measure.shown(edges), rates[0], rates[1], measure.name, measure.higher_is_nearer)

    def _scaled(self, distances: Tensor) -> Tensor:
        """Distances as inside, as a histogram of equal steps takes them; in place."""
        for _ in range(self.measure.roots):
            distances.sqrt_()
        return distances


def distance_bounds(query: Tensor, gallery: Tensor, measure: Measure) -> tuple[float, float]:
    """Return between which two numbers all distances of ``comparable`` features lie."""
    if measure is COSINE:
        return -1.0, 1.0
    if measure is RERANKED:
        return 0.0, 1.0
    far, farther = (torch.linalg.vector_norm(side, dim=1).amax() for side in (query, gallery))
    return 0.0, float((far + farther).square())
