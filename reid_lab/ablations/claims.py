"""What the papers claim, and what our recorded runs say to it: holds, does not hold, or cannot be told.

A claim that one variant beats another holds where the difference is separated (see :mod:`.statistics`) and points the
paper's way, does not hold where it is separated and points the other way, and cannot be told otherwise. Whatever it
is, it is said of Passersby, of our readings and of one size, not of the papers' data.

With more than twenty claims one is likely to be separated by luck. So each has a p-value of the same t-test as its
interval, and a second verdict, after Holm's correction over all claims that are asked at that size. Those that are not
recorded yet count, too: so recording one more claim never takes back the verdict on another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from reid_lab import papers
from reid_lab.ablations import statistics, tables
from reid_lab.ablations.grids import grid
from reid_lab.ablations.tables import RERANKED
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import write_text

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"
MISSING, NOT_ASKED = "not recorded yet", "not asked at this size"
KINDS = {"says": "", "table": " (its table)", "ours": " (our question)"}  # a sentence; numbers alone; neither
FEW = 3  # seeds; a claim with fewer is marked
MARKET = "Market-1501"


@dataclass(frozen=True)
class Claim:
    """``better`` is said to beat ``worse`` in the grid ``grid``.

    Both are labels, of which the recorded one that scores best counts.
    ``numbers`` are paper, table, rows of better and worse, and score, where the paper prints both; ``only`` chooses
    among the several rows of a run.
    ``kind`` says whose claim it is: the paper "says" it in words, or it can be read off its "table", or it is "ours".
    ``blind`` tells that the instrument cannot see eq. 1, so that the difference is one of trainings alone.
    """

    paper: str
    where: str
    says: str
    grid: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    metric: str = "mAP"
    numbers: tuple[int, object, object] | None = None
    only: dict[str, str] = field(default_factory=dict)
    kind: str = field(kw_only=True)
    blind: bool = field(default=False, kw_only=True)

    @property
    def words(self) -> str:
        """What is claimed, and in brackets whose claim it is, where no sentence of the paper says it."""
        return self.says + KINDS[self.kind]

    def published(self) -> tuple[float, float] | None:
        """The paper's own numbers, better and worse, in percent, on Market-1501; None where it prints none."""
        if self.numbers is None:
            return None
        number, better, worse = self.numbers
        frame = papers.table(self.paper, number)
        column = (MARKET, self.metric) if isinstance(frame.columns, pd.MultiIndex) else self.metric
        return float(frame.loc[better, column]), float(frame.loc[worse, column])

    def printed(self) -> str:
        """The paper's own numbers as a phrase; "" where it prints none."""
        pair = self.published()
        return f"{self.metric} {pair[0]:.2f} against {pair[1]:.2f}" if pair else ""

    def verdict(self, size: str, folder: Path | str | None = None) -> Verdict:
        """What the runs recorded at ``size`` say, not yet corrected for the number of claims."""
        asked = {name + end for name in grid(self.grid).variants(size) for end in ("", RERANKED)}
        if not asked.intersection(self.better) or not asked.intersection(self.worse):
            return Verdict(self, lacks=NOT_ASKED)
        rows = tables.read(self.grid, folder)
        for column, value in self.only.items():
            rows = rows[rows[column] == value] if len(rows) else rows
        some = rows[rows["size"] == size]
        better, worse = (_best(some, labels, self.metric) for labels in (self.better, self.worse))
        if not (better and worse):
            return Verdict(self, lacks=MISSING)
        try:
            found = statistics.difference(rows, size, better, worse, self.metric)
        except DataError as error:
            return Verdict(self, lacks=MISSING, note=str(error))
        return Verdict(self, found.points, found.half_width, found.alone, found.p, found.seeds)


@dataclass(frozen=True)
class Verdict:
    """What our runs say to ``claim``, in numbers; table and picture are both made of them.

    ``points`` of ``unit`` lie above 0 where the claim does well. ``half_width`` is that of their 95 % interval,
    ``alone`` that of a paired t-test of these two. ``p`` belongs to the interval, ``corrected`` is p after Holm's
    correction. Where there are no numbers, ``lacks`` says why, and p is 1.
    """

    claim: Claim
    points: float = float("nan")
    half_width: float = float("nan")
    alone: float = float("nan")
    p: float = 1.0
    seeds: int = 0
    note: str = ""
    lacks: str = ""
    corrected: float = 1.0

    @property
    def unit(self) -> str:
        """The unit of ``points``."""
        return f"points of {self.claim.metric}"

    @property
    def told(self) -> str:
        """Holds, does not hold, cannot be told; or why there is no verdict."""
        return self.lacks or _told(self.points, self.half_width)

    @property
    def told_corrected(self) -> str:
        """The same after the correction for the number of claims."""
        return self.told if self.lacks or self.corrected < 1 - statistics.CONFIDENCE else OPEN

    @property
    def told_alone(self) -> str:
        """What these two variants alone would tell, with half the width of their own interval."""
        return "" if self.lacks else f"± {self.alone:.1f}, {_told(self.points, self.alone)}"

    @property
    def ours(self) -> str:
        """Our difference with its interval, unit and seeds; or what is missing."""
        if self.lacks:
            return self.note
        few = " only" if self.seeds < FEW else ""
        return f"{round(self.points, 1) + 0.0:+.1f} ± {self.half_width:.1f} {self.unit}, {self.seeds} seeds{few}"


def _best(rows: pd.DataFrame, labels: Sequence[str], metric: str) -> str:
    """The label with the highest mean, of those that have rows; "" where none has."""
    some = rows[rows["variant"].isin(labels)]
    return "" if some.empty else str(some.groupby("variant", sort=False)[metric].mean().idxmax())


def _told(points: float, half_width: float) -> str:
    if abs(points) <= half_width:
        return OPEN
    return HOLDS if points > 0 else FAILS


CLAIMS = (
    Claim(
        *("A", "Table 2", "erasing half of the images helps", "erasing", ("0.5",), ("0.0",)),
        numbers=(2, 0.5, 0.0),
        kind="says",
    ),
    *(
        Claim(
            *("A", "Table 2", f"erasing half of the images helps, given {words} times the epochs"),
            *("erasing_longer", (f"erasing 0.5, {times} x epochs",), (f"erasing 0.0, {times} x epochs",)),
            kind="ours",
        )
        for times, words in ((3, "three"), (10, "ten"))
    ),
    Claim(
        *("A", "Table 2", "erasing half is better than erasing all", "erasing", ("0.5",), ("1.0",)),
        numbers=(2, 0.5, 1.0),
        kind="says",
    ),
    Claim(
        *("A", "Table 3", "Res2Net beats ResNet", "backbone"),
        *(("Res2Net-50", "slim Res2Net"), ("ResNet-50", "slim ResNet")),
        numbers=(3, "Res2Net-50", "ResNet-50"),
        kind="says",
    ),
    Claim(
        *("A", "Table 3", "the deeper Res2Net beats the shallower", "backbone", ("Res2Net-101",), ("Res2Net-50",)),
        numbers=(3, "Res2Net-121", "Res2Net-50"),
        kind="table",  # its text calls the shallower one the best
    ),
    Claim("A", "section I", "verification helps identification", "heads", ("both",), ("identification",), kind="says"),
    Claim(
        *("B", "Table 2", "max pooling beats average pooling", "pooling", ("max",), ("average",)),
        numbers=(2, "Max", "Avg"),
        kind="table",
    ),
    Claim(
        *("B", "Table 2", "residual beats average pooling", "pooling", ("residual",), ("average",)),
        numbers=(2, "Residual", "Avg"),
        kind="says",
    ),
    Claim(
        *("B", "Table 2", "residual beats max pooling", "pooling", ("residual",), ("max",)),
        numbers=(2, "Residual", "Max"),
        kind="says",
    ),
    Claim(
        *("B", "Table 2", "residual beats the baseline", "pooling", ("residual",), ("baseline",)),
        numbers=(2, "Residual", "ResNet50_baseline"),
        kind="table",  # its text says so of the re-ranked one
    ),
    Claim(
        *("B", "eq. 1", "the subtraction matters: residual beats max + average", "pooling"),
        *(("residual",), ("max + average",)),
        kind="ours",  # the paper says that it matters, and compares with no such control
    ),
    Claim(
        *("B", "Table 2", "residual beats average pooling, given twice the epochs", "pooling_longer"),
        *(("residual, 2 x epochs",), ("average, 2 x epochs",)),
        kind="ours",
    ),
    *(
        Claim("B", "eq. 1", f"residual beats {other} of equal size", "pooling", ("residual",), (other,), kind="ours")
        for other in ("average + average", "max + max")
    ),
    *(
        Claim(
            *("B", "eq. 1", f"residual beats {other} in a town that was not trained in"),
            *("domain", ("residual",), (other,)),
            only={"town": "coast"},
            kind="ours",
        )
        for other in ("average", "max", "max + average", "baseline")
    ),
    Claim(
        *("B", "Table 2", "re-ranking raises mAP", "pooling", ("residual" + RERANKED,), ("residual",)),
        numbers=(2, "Residual + re-ranking", "Residual"),
        kind="says",
    ),
    Claim(
        *("B", "Table 2", "re-ranking lowers rank-10", "pooling", ("residual",), ("residual" + RERANKED,), "rank-10"),
        numbers=(2, "Residual", "Residual + re-ranking"),
        kind="table",
    ),
    Claim(
        *("B", "eq. 2", "triplet losses help cross-entropy", "losses"),
        ("cross-entropy and triplets at three scales",),
        ("cross-entropy alone, a quarter of the rate", "cross-entropy alone"),  # the better of its two rates
        kind="ours",  # the paper says only that several losses make the network converge sooner (3.3)
    ),
    Claim(
        *("B", "eq. 2", "triplets at three scales beat one", "losses"),
        *(("cross-entropy and triplets at three scales",), ("cross-entropy and triplets at one scale",)),
        kind="ours",
    ),
    *(
        Claim(
            *("B", "Fig. 6", f"residual's heat at {layer} lies more on the person than {other}'s", "gradcam"),
            *(("residual",), (other,), "heat"),
            only={"network": "trained", "layer": layer, "target": "identity"},
            kind=kind,
            blind=layer == "layer4",
        )
        for layer in ("layer2", "layer3", "layer4")
        for other, kind in (("average", "says"), ("max", "ours"))
    ),
)


def judge(size: str, folder: Path | str | None = None) -> list[Verdict]:
    """The verdict of every claim at ``size``, corrected for the number of those that are asked there."""
    found = [claim.verdict(size, folder) for claim in CLAIMS]
    asked = [place for place, one in enumerate(found) if one.lacks != NOT_ASKED]
    for place, p in zip(asked, statistics.holm([found[place].p for place in asked]), strict=True):
        found[place] = replace(found[place], corrected=float(p))
    return found


def verdicts(size: str, folder: Path | str | None = None) -> pd.DataFrame:
    """One row per claim: paper, where, what it says, its numbers, our evidence at ``size``, and the verdict.

    "kind" is one of ``KINDS``; "claim" tells it, too. "by these two alone" is half the interval, and the verdict,
    without the other variants' deviation (a paired t-test). "p" is that of the interval, before the correction.
    """
    return pd.DataFrame(
        {
            "paper": one.claim.paper,
            "where": one.claim.where,
            "kind": one.claim.kind,
            "claim": one.claim.words,
            "the paper's numbers": one.claim.printed(),
            "ours": one.ours,
            "verdict": one.told,
            "by these two alone": one.told_alone,
            "p": "" if one.lacks else f"{one.p:.2g}",
            "verdict after correction": one.told_corrected,
        }
        for one in judge(size, folder)
    )


def write(size: str, folder: Path | str) -> Path:
    """Write the verdicts to ``claims-SIZE.csv`` beside the grids' tables; returns its path."""
    path = Path(folder) / f"claims-{size}.csv"
    write_text(path, verdicts(size, folder).to_csv(index=False))
    return path
