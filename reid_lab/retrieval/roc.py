"""Above which score is it the same person: genuine and impostor pairs, and a threshold between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reid_lab.runtime.errors import FeatureError


@dataclass(frozen=True)
class OperatingPoint:
    """What happens if pairs up to `threshold` are taken for one person; rates are fractions, 0..1.

    false_match_rate  share of impostor pairs (two people) that are accepted
    true_match_rate   share of genuine pairs (one person) that are accepted
    """

    threshold: float
    false_match_rate: float
    true_match_rate: float


@dataclass(frozen=True)
class Roc:
    """Receiver operating characteristic, from the strictest threshold (accepts nothing) to the loosest.

    thresholds  (n,) in units of `measure`; `higher_is_nearer`: a pair is accepted from the threshold up,
                else below
    false_match_rates, true_match_rates  (n,) fractions, rising
    """

    thresholds: np.ndarray
    false_match_rates: np.ndarray
    true_match_rates: np.ndarray
    measure: str
    higher_is_nearer: bool

    @classmethod
    def from_scores(cls, genuine: Any, impostor: Any, measure: str, higher_is_nearer: bool = True) -> Roc:
        """Exact, from the scores of genuine and of impostor pairs; a score equal to a threshold is accepted.

        Raises FeatureError if there are no pairs of one kind, or a score is not finite.
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
        """The loosest threshold whose false-match rate is not above the one asked for, 0..1, else a FeatureError."""
        if not 0 <= false_match_rate <= 1:
            raise FeatureError(f"A false-match rate lies in 0..1 (found {false_match_rate}).")
        place = int(np.searchsorted(self.false_match_rates, false_match_rate, side="right")) - 1
        rates = self.false_match_rates[place], self.true_match_rates[place]
        return OperatingPoint(float(self.thresholds[place]), *map(float, rates))
