"""From the runs of a grid to a table one may quote: mean, deviation, and what the seeds can tell apart.

Every seed is both a training and a data set of its own, and all variants see the same seeds. So the deviation that
counts is what remains when what is common to a variant and what is common to a seed are taken away, over all runs of
the grid (a two-way analysis of variance without replication). A difference of two variants is called separated where
it is larger than Student's t for 95 % allows. With many pairs some will be separated by luck: one in twenty. Whoever
asks many questions corrects for their number (:func:`holm`).

One deviation for all assumes that all variants vary alike. Where two vary more than the rest, their interval is too
narrow; so a difference also knows how wide it is by its own pairs of runs, which with three seeds is very wide.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from reid_lab.ablations import seeds
from reid_lab.ablations.grids import grid
from reid_lab.ablations.tables import RERANKED
from reid_lab.runtime.errors import DataError

METRICS = ["rank-1", "rank-5", "rank-10", "mAP", "mINP"]
CONFIDENCE = 0.95
OF_COMPONENTS = 0.9


@dataclass(frozen=True)
class Difference:
    """``metric`` of variant ``one`` minus that of ``other``, in points, and half the width of its interval.

    ``alone`` is half the width by the differences of these two alone (a paired t-test). ``freedom`` are the degrees of
    freedom of the interval's deviation.
    """

    one: str
    other: str
    metric: str
    points: float
    half_width: float
    alone: float
    seeds: int
    freedom: int

    @property
    def p(self) -> float:
        """How likely a difference at least as large is by chance: the p-value, two-sided, of the interval's t-test."""
        if self.half_width == 0:  # all differences are equal
            return float(self.points == 0)
        t = self.points / self.half_width * stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom)
        return float(2 * stats.t.sf(abs(t), self.freedom))

    @property
    def separated(self) -> bool:
        """Whether the interval leaves out 0."""
        return abs(self.points) > self.half_width

    def __str__(self) -> str:
        """A sentence: how far apart, over how many seeds, separated or not."""
        sign = "above" if self.points > 0 else "below"
        where = f"{abs(self.points):.1f} ± {self.half_width:.1f} points of {self.metric} {sign} {self.other}"
        return f"{self.one}: {where} ({self.seeds} seeds): " + ("separated" if self.separated else "not separated")


def variants(rows: pd.DataFrame, size: str) -> pd.DataFrame:
    """Summarize a grid's rows at ``size``, one row per variant, in the grid's order.

    Returns:
        ``seeds``; mean and standard deviation (" sd") of each metric, in percent; ``descriptor`` (the number of
        features), ``parameters``, ``epochs`` and the mean of ``minutes``.
    """
    some = rows[rows["size"] == size]
    found = []
    for label, of_one in some.groupby("variant", sort=False):
        row: dict[str, object] = {"variant": label, "seeds": of_one["seed"].nunique()}
        for metric in METRICS:
            row |= {metric: of_one[metric].mean(), f"{metric} sd": of_one[metric].std(ddof=1)}
        row |= {name: of_one[name].iloc[0] for name in ("descriptor", "parameters", "epochs")}
        found.append(row | {"minutes": of_one["minutes"].mean()})
    return pd.DataFrame(found).set_index("variant") if found else pd.DataFrame()


def means(name: str, rows: pd.DataFrame, size: str) -> pd.DataFrame:
    """Summarize a grid with several rows per run: means over the seeds of every number that was measured.

    Returns:
        One row per variant and what tells the rows of a run apart, in percent, and ``seeds``.
    """
    some, keys = rows[rows["size"] == size], ["variant", *grid(name).several]
    measured = [
        column for column in ("mAP", "rank-1", "found in 10", "heat", "area", "loss", "accuracy") if column in some
    ]
    groups = some.groupby(keys, sort=False)
    return groups[measured].mean().assign(seeds=groups["seed"].nunique())


def difference(rows: pd.DataFrame, size: str, one: str, other: str, metric: str = "mAP") -> Difference:
    """Compare two variants over the seeds that both have.

    Re-ranked and not, a network is compared with itself: its seeds' differences are the sample (a paired t-test).

    Args:
        rows: of a grid's table.
        size: whose rows count.
        one: label of a variant.
        other: label of the variant that it is compared with.
        metric: a column of the table.

    Raises:
        DataError: fewer than two seeds have both, or one is not recorded.
    """
    values = _values(rows, size, metric)
    for label in (one, other):
        if label not in values:
            raise DataError(f"No run of {label!r} at size {size} is recorded; there are {', '.join(values) or 'none'}.")
    shared = values[[one, other]].dropna()
    if len(shared) < 2:
        raise DataError(f"{one!r} and {other!r} share {len(shared)} seeds at size {size}; a comparison takes two.")
    points = float((shared[one] - shared[other]).mean())
    half = alone = _paired_half_width(shared[one], shared[other])
    freedom = len(shared) - 1
    if one.removesuffix(RERANKED) != other.removesuffix(RERANKED):
        deviation, freedom = residual_deviation(rows, size, metric)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * deviation * np.sqrt(2 / len(shared)))
    return Difference(one, other, metric, points, half, alone, len(shared), freedom)


def holm(p: Sequence[float]) -> np.ndarray:
    """Correct p-values for the number of questions that were asked.

    Holm's procedure: the smallest of m is multiplied by m, the next by m - 1, and so on; none becomes smaller than the
    one before. Where those below a level count as effects, the chance of one or more false ones is below that level.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6,
    1979.

    Args:
        p: one value per question, from 0 to 1; a question without an answer counts as 1.

    Returns:
        The corrected values in the same order, at most 1.
    """
    values = np.asarray(p, float)
    order = np.argsort(values)
    multiplied = values[order] * np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(multiplied), 1)
    return corrected


def _paired_half_width(one: pd.Series, other: pd.Series) -> float:
    """Half the confidence interval of a paired t-test."""
    with warnings.catch_warnings(action="ignore"):  # SciPy warns where all differences are equal
        low, high = stats.ttest_rel(one, other).confidence_interval(CONFIDENCE)
    return float(high - low) / 2


def residual_deviation(rows: pd.DataFrame, size: str, metric: str = "mAP") -> tuple[float, int]:
    """Estimate by how much a run deviates from its variant and its seed.

    Least squares on one constant per variant and one per seed; variants need not have equally many seeds. Re-ranked
    rows share their runs with others, and do not count.

    Returns:
        The standard deviation, in points, and its degrees of freedom.

    Raises:
        DataError: there are too few runs.
    """
    values = _values(rows, size, metric)
    runs = values[[label for label in values if not label.endswith(RERANKED)]].stack().dropna()
    design = np.hstack([pd.get_dummies(runs.index.get_level_values(level)) for level in runs.index.names])
    constants, _, rank, _ = np.linalg.lstsq(design.astype(float), runs.to_numpy(float), rcond=None)
    freedom = len(runs) - int(rank)
    if freedom < 1:
        raise DataError(f"At size {size} there are too few runs to tell chance from effect: record two seeds or more.")
    left = runs.to_numpy(float) - design @ constants
    return float(np.sqrt((left**2).sum() / freedom)), freedom


def against(
    name: str, rows: pd.DataFrame, size: str, metric: str = "mAP", reference: str | None = None
) -> pd.DataFrame:
    """Compare every variant of the grid ``name`` with its reference.

    Args:
        name: of the grid.
        rows: of its table.
        size: whose rows count.
        metric: a column of the table.
        reference: label of the variant that the others are compared with; default the grid's own.

    Returns:
        One row per variant: points, half the width of their interval, and the verdict. A variant that shares fewer
        than two seeds with the reference gets no numbers.

    Raises:
        DataError: no variant shares two seeds with the reference.
    """
    reference = reference or grid(name).compared_with(size)
    values = _values(rows, size, metric)
    if reference not in values:
        raise DataError(f"No run of {reference!r} at size {size} is recorded, which the others are compared with.")
    enough = [one for one in values if one != reference and len(values[[one, reference]].dropna()) >= 2]
    if not enough:
        raise DataError(f"No variant shares two seeds with {reference!r} at size {size}: record more of them.")
    found = {one: difference(rows, size, one, reference, metric) for one in enough}
    return pd.DataFrame(
        {
            f"{metric} minus that of {reference}": {one: found[one].points for one in enough},
            "±": {one: found[one].half_width for one in enough},
            "verdict": {one: "separated" if found[one].separated else "not separated" for one in enough},
        },
        index=pd.Index([one for one in values if one != reference], name="variant"),
    ).fillna({"verdict": "too few seeds"})


def _values(rows: pd.DataFrame, size: str, metric: str) -> pd.DataFrame:
    """Seeds in rows, variants in columns, in the order of the table."""
    some = rows[rows["size"] == size]
    wide = some.pivot(index="seed", columns="variant", values=metric)
    return wide[list(dict.fromkeys(some["variant"]))]


def components(rows: pd.DataFrame, size: str, metric: str = "mAP") -> pd.DataFrame:
    """Tell apart what another data set changes and what another training on the same data changes.

    A score is the method's mean, plus what its data set adds, plus what its training adds (one-way random effects, the
    data sets being the groups). With one run per data set and training seed, what a training seed would do to all data
    sets alike cannot be told from the rest; it counts as training. The mean squares between and within data sets are
    set equal to what they are expected to be (method of moments). An estimate below 0 becomes 0. See Searle, Casella
    and McCulloch, Variance Components, chapter 3.

    The intervals cover 90 % where scores are normal. That of "training" is chi-square's. That of "data" is Williams's
    (Biometrika 49, 1962), which covers at least 80 % by its proof and about 90 % in simulations. Satterthwaite's is not
    used: with four data sets it often misses a small component. Williams's needs equally many runs of each data set,
    and is empty where the data sets differ by far less than chance.

    Args:
        rows: of the grid ``seeds``.
        size: whose rows count.
        metric: a column of the table.

    Returns:
        One row per method: ``mean``, the mean of its data sets' means; the standard deviations ``data`` and
        ``training``, in points; the ends of their intervals, " low" and " high"; ``below 0``, whether the estimate for
        the data was; ``data sets``; ``runs``. What the runs cannot tell is NaN.

    Raises:
        DataError: a variant names no data set.
    """
    some = rows[rows["size"] == size]
    groups = [some["variant"].map(seeds.method_of), some["variant"].map(seeds.data_of)]
    found = {
        str(method): _components([one.to_numpy(float) for _, one in of_method.groupby(level=1)])
        for method, of_method in some.set_index(groups)[metric].groupby(level=0, sort=False)
    }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("method")


def _components(groups: list[np.ndarray]) -> dict[str, float]:
    """The row of one method, from the scores of each of its data sets."""
    counts, means = np.array([len(one) for one in groups]), np.array([one.mean() for one in groups])
    runs, sets = int(counts.sum()), len(groups)
    row = {"mean": float(means.mean()), "data sets": sets, "runs": runs, "below 0": False}
    row |= {f"{name}{end}": np.nan for name in ("data", "training") for end in ("", " low", " high")}
    within, between = runs - sets, sets - 1  # degrees of freedom
    tails = np.array([1 + OF_COMPONENTS, 1 - OF_COMPONENTS]) / 2
    if not within:
        return row
    inside = sum(float(((one - one.mean()) ** 2).sum()) for one in groups)
    low, high = np.sqrt(inside / stats.chi2.ppf(tails, within))
    row |= {"training": float(np.sqrt(inside / within)), "training low": float(low), "training high": float(high)}
    if not between:
        return row
    outside = float((counts * (means - np.average(means, weights=counts)) ** 2).sum())
    per_set = (runs - (counts**2).sum() / runs) / between
    variance = (outside / between - inside / within) / per_set
    row |= {"data": float(np.sqrt(max(0.0, variance))), "below 0": bool(variance < 0)}
    beyond_chance = outside - between * stats.f.ppf(tails, between, within) * inside / within
    if (counts == counts[0]).all() and beyond_chance[1] > 0:
        ends = np.sqrt(np.maximum(0, beyond_chance) / (counts[0] * stats.chi2.ppf(tails, between)))
        row |= {"data low": float(ends[0]), "data high": float(ends[1])}
    return row
