"""What the papers claim, and what our recorded runs say to it: holds, does not hold, or cannot be told.

A claim that one variant beats another holds where the difference is separated (see :mod:`.statistics`) and points the
paper's way, does not hold where it is separated and points the other way, and cannot be told otherwise. Whatever it
is, it is said of Passersby, of our readings and of one size, not of the papers' data.

A question that was asked again because of its first answer is judged by the new seeds alone: seeds that made one ask
lean towards the answer that made one ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
MARKET = "Market-1501"
AGAIN = {"pooling": "pooling_more_seeds"}  # grids of which some variants were asked again, with new seeds


@dataclass(frozen=True)
class Claim:
    """``better`` is said to beat ``worse`` in the grid ``grid``: labels, of which the first recorded one counts.

    ``numbers`` are paper, table, rows of better and worse, and score, where the paper prints both; ``only`` chooses
    among the several rows of a run. Of a grid of ``AGAIN`` the new seeds count instead, where it has two of them.
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

    def printed(self) -> str:
        """The paper's own numbers, better and worse; "" where it prints none."""
        if self.numbers is None:
            return ""
        number, better, worse = self.numbers
        frame = papers.table(self.paper, number)
        column = (MARKET, self.metric) if isinstance(frame.columns, pd.MultiIndex) else self.metric
        return f"{self.metric} {frame.loc[better, column]:.2f} against {frame.loc[worse, column]:.2f}"

    def _rows(self, size: str, folder: Path | str | None) -> tuple[pd.DataFrame, str]:
        """The grid's table and "seeds"; or that of the grid that asks again, of its "new seeds" only."""
        first = tables.read(self.grid, folder)
        if self.grid not in AGAIN:
            return first, "seeds"
        again = tables.read(AGAIN[self.grid], folder)
        new = again[(again["size"] == size) & ~again["seed"].isin(first.loc[first["size"] == size, "seed"])]
        seeds = [set(new.loc[new["variant"].isin(labels), "seed"]) for labels in (self.better, self.worse)]
        return (new, "new seeds") if len(seeds[0] & seeds[1]) >= 2 else (first, "seeds")

    def verdict(self, size: str, folder: Path | str | None = None) -> tuple[str, str, str]:
        """Holds or not; the evidence: our difference, its half width, the seeds; and what the two alone would tell."""
        asked = {name + end for name in grid(self.grid).variants(size) for end in ("", RERANKED)}
        if not asked.intersection(self.better) or not asked.intersection(self.worse):
            return NOT_ASKED, "", ""
        rows, seeds = self._rows(size, folder)
        for column, value in self.only.items():
            rows = rows[rows[column] == value] if len(rows) else rows
        there = set(rows.loc[rows["size"] == size, "variant"])
        pair = [next((label for label in labels if label in there), None) for labels in (self.better, self.worse)]
        if pair[0] is None or pair[1] is None:
            return MISSING, "", ""
        try:
            found = statistics.difference(rows, size, pair[0], pair[1], self.metric)
        except DataError as error:
            return MISSING, str(error), ""
        points = f"{round(found.points, 1) + 0.0:+.1f} ± {found.half_width:.1f} points of {self.metric}"
        alone = f"± {found.alone:.1f}, {_told(found.points, found.alone)}"
        return _told(found.points, found.half_width), f"{points}, {found.seeds} {seeds}", alone


def _told(points: float, half_width: float) -> str:
    if abs(points) <= half_width:
        return OPEN
    return HOLDS if points > 0 else FAILS


CLAIMS = (
    Claim("A", "Table 2", "erasing half of the images helps", "erasing", ("0.5",), ("0.0",), numbers=(2, 0.5, 0.0)),
    Claim(
        *("A", "Table 2", "erasing half of the images helps, given three times the epochs (our question)"),
        *("erasing_longer", ("erasing 0.5, 3 x epochs",), ("erasing 0.0, 3 x epochs",)),
    ),
    Claim(
        "A", "Table 2", "erasing half is better than erasing all", "erasing", ("0.5",), ("1.0",), numbers=(2, 0.5, 1.0)
    ),
    Claim(
        *("A", "Table 3", "Res2Net beats ResNet", "backbone"),
        *(("Res2Net-50", "slim Res2Net"), ("ResNet-50", "slim ResNet")),
        numbers=(3, "Res2Net-50", "ResNet-50"),
    ),
    Claim(
        *("A", "Table 3", "the deeper Res2Net beats the shallower", "backbone", ("Res2Net-101",), ("Res2Net-50",)),
        numbers=(3, "Res2Net-121", "Res2Net-50"),
    ),
    Claim("A", "section I", "verification helps identification", "heads", ("both",), ("identification",)),
    Claim(
        "B",
        "Table 2",
        "max pooling beats average pooling",
        "pooling",
        ("max",),
        ("average",),
        numbers=(2, "Max", "Avg"),
    ),
    Claim(
        "B",
        "Table 2",
        "residual beats average pooling",
        "pooling",
        ("residual",),
        ("average",),
        numbers=(2, "Residual", "Avg"),
    ),
    Claim(
        *("B", "Table 2", "residual beats max pooling", "pooling", ("residual",), ("max",)),
        numbers=(2, "Residual", "Max"),
    ),
    Claim(
        *("B", "Table 2", "residual beats the baseline", "pooling", ("residual",), ("baseline",)),
        numbers=(2, "Residual", "ResNet50_baseline"),
    ),
    Claim(
        *("B", "eq. 1", "the subtraction matters: residual beats max + average", "pooling"),
        *(("residual",), ("max + average",)),
    ),
    Claim(
        "B", "eq. 1", "residual beats average + average of equal size", "pooling", ("residual",), ("average + average",)
    ),
    Claim(
        *("B", "eq. 1", "residual beats max + max of equal size", "pooling", ("residual",), ("max + max",)),
    ),
    Claim(
        *("B", "Table 2", "re-ranking raises mAP", "pooling", ("residual" + RERANKED,), ("residual",)),
        numbers=(2, "Residual + re-ranking", "Residual"),
    ),
    Claim(
        *("B", "Table 2", "re-ranking lowers rank-10", "pooling", ("residual",), ("residual" + RERANKED,), "rank-10"),
        numbers=(2, "Residual", "Residual + re-ranking"),
    ),
    Claim(
        *("B", "eq. 2", "triplet losses help cross-entropy", "losses"),
        ("cross-entropy and triplets at three scales",),
        ("cross-entropy alone, a quarter of the rate", "cross-entropy alone"),  # the better of its two rates
    ),
    Claim(
        *("B", "eq. 2", "triplets at three scales beat one", "losses"),
        *(("cross-entropy and triplets at three scales",), ("cross-entropy and triplets at one scale",)),
    ),
    *(
        Claim(
            *("B", "Fig. 6", f"residual's heat at {layer} lies more on the person than {than}", "gradcam"),
            *(("residual",), (other,), "heat"),
            only={"network": "trained", "layer": layer, "target": "identity"},
        )
        for layer in ("layer2", "layer3", "layer4")
        for other, than in (("average", "average's"), ("max", "max's (our question)"))
    ),
)


def verdicts(size: str, folder: Path | str | None = None) -> pd.DataFrame:
    """One row per claim: paper, where, what it says, its numbers, our evidence at ``size``, and the verdict.

    "by these two alone" is half the interval, and the verdict, without the other variants' deviation (a paired t-test).
    """
    rows = []
    for claim in CLAIMS:
        verdict, evidence, alone = claim.verdict(size, folder)
        told = {"paper": claim.paper, "where": claim.where, "claim": claim.says, "the paper's numbers": claim.printed()}
        rows.append(told | {"ours": evidence, "verdict": verdict, "by these two alone": alone})
    return pd.DataFrame(rows)


def write(size: str, folder: Path | str) -> Path:
    """Write the verdicts to ``claims-SIZE.csv`` beside the grids' tables; returns its path."""
    path = Path(folder) / f"claims-{size}.csv"
    write_text(path, verdicts(size, folder).to_csv(index=False))
    return path
