"""The vital signs of a training: a few columns of its history that show whether it learned, or only ran to its end.

:mod:`.guards` stops a training that cannot come to anything. What is unhealthy here may still learn something, so
nothing stops: it is said, and drawn by :func:`reid_lab.plots.vital_signs`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Sign:
    """One vital sign, and between which values it is healthy at the end of a training.

    Attributes:
        column: what the history calls it.
        name: what is judged, in words.
        ill: what an unhealthy value is called, in two or three words.
        means: what an unhealthy value means, as a sentence.
        low: the smallest healthy value.
        high: the largest healthy value.
        rises: whether the last value must not be below the first.
        per: the column that its values are divided by, epoch by epoch; the sign's own column: by its median.
    """

    column: str
    name: str
    ill: str
    means: str
    low: float = -np.inf
    high: float = np.inf
    rises: bool = False
    per: str = ""

    def values(self, history: pd.DataFrame) -> pd.Series:
        """Take the values of a history's epochs, by epoch, from the first at which it was measured."""
        if not {"epoch", self.column, self.per or self.column} <= set(history):
            return pd.Series(dtype=float)
        measured = history.loc[history[self.column].notna().cummax()].set_index("epoch").astype(float)
        values = measured[self.column]
        if self.per:
            values = values / (values.median() if self.per == self.column else measured[self.per])
        return values

    def is_healthy(self, values: pd.Series) -> bool:
        """Say whether all values are finite, and the last one is in the healthy range."""
        first, last = values.iloc[0], values.iloc[-1]
        return bool(np.isfinite(values).all() and self.low <= last <= self.high and (not self.rises or last >= first))

    @property
    def healthy(self) -> str:
        """The healthy range, in words."""
        limit = f"at least {self.low:g}" if self.low > -np.inf else f"at most {self.high:g}"
        return f"{limit}, and not falling" if self.rises else limit


# The limits, and the reason for each. "Collapsed" is a run of paper B at classroom size, from random weights, whose
# triplet losses ended at their margin; "short" is the same recipe for 12 epochs of the smoke data, with half the people
# in a batch.
SIGNS = (
    # Collapsed: from 0.78 to 0.03. Short: from 0.97 to 0.21. Cosine similarities within 5 % are all above 0.99.
    Sign(
        "spread",
        "spread / length",
        "collapsed",
        "All features are nearly the same vector; what is left of their differences is mostly noise.",
        low=0.05,
        per="length",
    ),
    # Untrained: 1.0. It stays near 1 while the features only shrink: short ended at 0.96, its loss at five times the
    # margin; of raw maxima alone it ended at 0.84. A triplet loss that has done its work has freed most anchors.
    Sign(
        "paying",
        "active anchors",
        "separates nobody",
        "Nearly every anchor has a loss: the triplet losses have not put people apart, or all features are alike.",
        high=0.9,
    ),
    # On 8 positions (4 x 2) an even share is 0.125; short began at 0.16 and ended at 0.32. One half is beyond that. On
    # 8 x 4 it is 16 times the even share. Maps of fewer than 4 positions come near one half by themselves.
    Sign(
        "same_position",
        "same position",
        "one position",
        "Most maxima lie at one position of the map, often a corner at the padding, whatever the image shows.",
        high=0.5,
    ),
    # Short: 12 times its median at the first epoch, below it at the end. What grows towards the end will not settle.
    Sign(
        "gradient_norm",
        "gradient norm / median",
        "exploding",
        "The gradients grow instead of settling; the learning rate is too high, or the loss has no bound.",
        high=20.0,
        per="gradient_norm",
    ),
    # Chance is one in as many identities as there are: at most 0.06 here, at smoke size. Short: 0.8.
    Sign(
        "accuracy",
        "training accuracy",
        "learns nobody",
        "The classifier does not know the people of the training, so the features need not know them either.",
        low=0.2,
        rises=True,
    ),
)


def vital_signs(history: pd.DataFrame) -> pd.DataFrame:
    """Judge the vital signs that a history has.

    Args:
        history: a row for each epoch, as :attr:`reid_lab.training.Run.history` has them.

    Returns:
        A row for each sign, none for a sign that was never measured. Columns: ``sign``; ``first`` and ``last``, its
        value at the first epoch at which it was measured and at the last; ``range``, where it is healthy at the end, in
        words; ``healthy``; ``unhealthy means``, one sentence.
    """
    rows = []
    for sign in SIGNS:
        values = sign.values(history)
        if len(values):
            rows.append((sign.name, values.iloc[0], values.iloc[-1], sign.healthy, sign.is_healthy(values), sign.means))
    return pd.DataFrame(rows, columns=["sign", "first", "last", "range", "healthy", "unhealthy means"])


def unhealthy(history: pd.DataFrame) -> list[str]:
    """Say which vital signs of a history are unhealthy: a sentence or two for each."""
    table = vital_signs(history)
    return [
        f"{row['sign']} went from {row['first']:.2g} to {row['last']:.2g}; healthy is {row['range']}. "
        f"{row['unhealthy means']}"
        for _, row in table[~table["healthy"].astype(bool)].iterrows()
    ]
