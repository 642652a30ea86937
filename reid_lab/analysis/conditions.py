"""What makes a network fail on Passersby: hidden people, turned bodies, cameras, shared clothes, backgrounds.

Passersby knows the truth about every image, so a result can be taken apart by it. All functions give data frames in
percent; "low" and "high" are the ends of 95 % bootstrap intervals that resample whole identities, because the
queries of one person are not independent; NaN where there are too few (see `interval`). They hold one data set and one
training fixed: another seed may lie outside.
Scores on Passersby say nothing about real people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pandas as pd

from reid_lab.data import Benchmark
from reid_lab.passersby.people import block_of
from reid_lab.retrieval import Result
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import DataError

MOST_SETS = 100  # of cameras, for each number of them

HIDDEN = {"0 %": 0.0, "0–10 %": 0.1, "10–25 %": 0.25, "over 25 %": 1.0}  # bins of the hidden share, by upper edge
TURNED = {"0–30°": 30.0, "30–60°": 60.0, "60–90°": 90.0, "90–120°": 120.0, "120–150°": 150.0, "150–180°": 180.0}
CLOTHES = (  # what a look-alike block shares
    *("upper", "upper_colour", "second_colour", "pattern", "sleeves", "open_front", "lower", "lower_colour"),
)
RESAMPLES = 1000
FEWEST = 10  # identities, for an interval


# --- Which queries fail ---
def interval(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Compute a 95 % bootstrap interval of the mean of values (n,): `groups` (n,), say identities, are resampled whole.

    NaN for fewer than 10 groups: resampling a few knows too little of how much others vary, and the interval would be
    too narrow.
    """
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < FEWEST:
        return np.nan, np.nan
    sums, counts = np.bincount(place, values), np.bincount(place)
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES)
    low, high = np.quantile(drawn @ sums / (drawn @ counts), (0.025, 0.975))
    return float(low), float(high)


def interval_between(
    values: np.ndarray, groups: np.ndarray, one: np.ndarray, other: np.ndarray, seed: int = 0
) -> tuple[float, float]:
    """Compute a 95 % bootstrap interval of the mean of ``values[one]`` minus that of ``values[other]``, masks (n,).

    The same groups are drawn for both: who is hard to find in one bin is often hard to find in the other, so the
    intervals of two means do not tell that of their difference. NaN for fewer than 10 groups, as in `interval`.
    """
    names, place = np.unique(groups, return_inverse=True)
    if len(names) < FEWEST:
        return np.nan, np.nan
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
    means = []
    for mask in (np.asarray(one), np.asarray(other)):
        sums = np.bincount(place[mask], np.asarray(values)[mask], len(names))
        means.append(drawn @ sums / (drawn @ np.bincount(place[mask], minlength=len(names))))
    low, high = np.quantile(means[0] - means[1], (0.025, 0.975))
    return float(low), float(high)


def per_query(result: Result, bench: Benchmark) -> pd.DataFrame:
    """Give one row per query that has a match.

    Returns:
        Its row of the truth table, `look_alike`, "mAP" and "rank-1" (0 or 100).

    Raises:
        DataError: the result knows no images, or the benchmark no truth about them.
    """
    query, _ = truth_of(result, bench)
    rows = query.assign(**{"mAP": 100 * result.ap, "rank-1": 100.0 * (result.ranks[:, 0] == 1)})
    return rows.drop(rows.index[result.unmatched])


def by(result: Result, bench: Benchmark, column: str, upper: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Tabulate mAP and rank-1 with intervals, for each value of a truth column of the query, or for each bin of it.

    Args:
        result: of `retrieval.evaluate`.
        bench: the Passersby benchmark that was evaluated.
        column: of `per_query`, say "bag", "others" or "look_alike".
        upper: name and upper edge (included) of each bin, ascending; None: every value is a bin.

    Raises:
        DataError: as `per_query` does, or if there is no such column, or a value above all edges.
    """
    rows = per_query(result, bench)
    if column not in rows:
        raise DataError(f"Queries have no column {column!r} to be told apart by; choose one of {', '.join(rows)}.")
    return _summary(rows, _bins(rows[column], upper), ("mAP", "rank-1"), "queries")


def by_occlusion(result: Result, bench: Benchmark, upper: Mapping[str, float] = HIDDEN) -> pd.DataFrame:
    """Tabulate `by` the share of the query's person that things and other people hide."""
    return by(result, bench, "occluded", upper)


def _bins(values: pd.Series, upper: Mapping[str, float] | None) -> pd.Series:
    if upper is None:
        return values
    edges, numbers = list(upper.values()), pd.to_numeric(values, errors="coerce")
    if numbers.isna().any():
        raise DataError(f"{values.name!r} does not consist of numbers, so its bins have no edges: leave out `upper`.")
    if not all(one < other for one, other in pairwise(edges)):
        raise DataError(f"The upper edges of the bins of {values.name!r} are {edges}: give them in ascending order.")
    if numbers.max() > max(edges, default=-np.inf):
        raise DataError(
            f"{values.name!r} goes up to {numbers.max():g}, above all edges {edges}: end with a higher one."
        )
    return pd.cut(numbers, [-np.inf, *edges], labels=list(upper))


def _summary(rows: pd.DataFrame, bins: pd.Series, scores: Sequence[str], counted: str) -> pd.DataFrame:
    """Mean and interval of the columns `scores` in each bin that holds rows; `counted` names their number.

    `identities` is how many people they are of.
    """
    found = {}
    for name, part in rows.groupby(bins, observed=True):
        line: dict[str, float] = {counted: len(part), "identities": part["pid"].nunique()}
        for score in scores:
            low, high = interval(part[score].to_numpy(float), part["pid"].to_numpy())
            line |= {score: part[score].mean(), f"{score} low": low, f"{score} high": high}
        found[name] = line
    return (
        pd.DataFrame.from_dict(found, orient="index").astype({counted: int, "identities": int}).rename_axis(bins.name)
    )


def truth_of(result: Result, bench: Benchmark) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the truth table, with `look_alike`, for the result's query and gallery images, in their order."""
    if result.query is None or result.gallery is None:
        raise DataError("This result knows no images; conditions need one from retrieval.evaluate(model, benchmark).")
    if bench.annotations is None:
        raise DataError(f"{bench.name} has no table of truth; conditions need a Passersby benchmark.")
    table = bench.annotations.assign(group=_groups(bench.annotations))
    wearers = table[table["pid"] > 0].groupby("group")["pid"].nunique()
    table["look_alike"] = table["group"].map(wearers).gt(1)
    for column in ("view_angle", "height"):  # false alarms have none
        table[column] = pd.to_numeric(table[column], errors="coerce")
    query, gallery = ([bench.relative(record) for record in records] for records in (result.query, result.gallery))
    foreign = [path for path in (*query, *gallery) if path not in table.index]
    if foreign:
        raise DataError(f"{bench.name} does not know {foreign[0]}: give the benchmark that was evaluated.")
    return table.loc[query].reset_index(), table.loc[gallery].reset_index()


def _groups(truth: pd.DataFrame) -> pd.Series:
    """A text for each image that is alike for the look-alikes of one block, and for nobody else."""
    block = truth["pid"].map(lambda pid: str(block_of(pid)) if pid > 0 else "-")
    return block.str.cat([truth[name].astype(str) for name in CLOTHES], sep="|")


# --- Which matches are missed ---
def pairs(result: Result, bench: Benchmark) -> pd.DataFrame:
    """Give one row per query and match.

    Returns:
        pid, indices and cameras of both, `turned` (0 .. 180 degrees between the two body directions), `rank` and
        `wrong_before` (images of others ranked before the match). The last two are NaN for matches beyond the `top`
        images that the result keeps.
    """
    query, gallery = truth_of(result, bench)
    assert result.query is not None and result.gallery is not None  # truth_of has looked
    matches, _ = Protocol.of(result.query, result.gallery).positives_and_junk(slice(None))
    keys = matches.queries * len(gallery) + matches.gallery  # ascending
    rows, places = np.nonzero(result.matches.correct)
    at = np.searchsorted(keys, rows * len(gallery) + result.matches.indices[rows, places])
    rank, wrong_before = np.full(len(keys), np.nan), np.full(len(keys), np.nan)
    rank[at] = places + 1
    wrong_before[at] = places + 1 - result.matches.correct.cumsum(1)[rows, places]
    one, other = query.loc[matches.queries], gallery.loc[matches.gallery]
    return pd.DataFrame(
        {
            "pid": one["pid"].to_numpy(),
            "query": matches.queries,
            "match": matches.gallery,
            "query_camid": one["camid"].to_numpy(),
            "match_camid": other["camid"].to_numpy(),
            "turned": turned_by(one["view_angle"].to_numpy(), other["view_angle"].to_numpy()),
            "rank": rank,
            "wrong_before": wrong_before,
        }
    )


def by_angle(result: Result, bench: Benchmark, k: int = 10, upper: Mapping[str, float] = TURNED) -> pd.DataFrame:
    """Tabulate the share of matches found among the first k images by the body's turn between query and match.

    Raises:
        DataError: the result keeps fewer than k images of a query.
    """
    _keeps(result, k)
    rows = pairs(result, bench)
    rows[f"found in {k}"] = 100.0 * (rows["rank"] <= k)
    return _summary(rows, _bins(rows["turned"], upper), (f"found in {k}",), "pairs")


def turned_by(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Degrees 0 .. 180 between two directions in degrees."""
    return np.abs((one - other + 180) % 360 - 180)


def _keeps(result: Result, images: int) -> None:
    if result.matches.indices.shape[1] < images:
        raise DataError(
            f"This result keeps the first {result.matches.indices.shape[1]} images of each query, and {images} are "
            f"needed: evaluate with top={images}."
        )


# --- Cameras ---
def _within(result: Result, camids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """AP and rank-1 (q,), percent, when the gallery holds these cameras only; NaN for queries without a match."""
    matches = result.matches
    kept = np.isin(matches.camids, camids) & (matches.indices >= 0)
    correct = matches.correct & kept
    rank, matched = kept.cumsum(1), correct.any(1)
    precision = np.where(correct, correct.cumsum(1) / np.maximum(rank, 1), 0.0)
    ap = precision.sum(1) / np.maximum(correct.sum(1), 1)
    first = (correct & (rank == 1)).any(1)
    return tuple(np.where(matched, 100.0 * values, np.nan) for values in (ap, first))  # type: ignore[return-value]


def by_cameras(result: Result, score: str = "mAP") -> pd.DataFrame:
    """Tabulate mAP or rank-1 of queries of one camera (rows) in a gallery of one other camera (columns).

    Args:
        result: of `retrieval.evaluate(model, bench, top=len(bench.gallery))`: the whole ranking is needed.
        score: "mAP" or "rank-1".

    Returns:
        In percent; NaN on the diagonal.

    Raises:
        DataError: the result keeps less, or the score is another.
    """
    if score not in ("mAP", "rank-1"):
        raise DataError(f"The score of pairs of cameras cannot be {score!r}: choose 'mAP' or 'rank-1'.")
    cameras = _cameras(result)
    columns = {camera: _within(result, [camera])[score == "rank-1"] for camera in cameras}
    table = pd.DataFrame(columns).groupby(pd.Series(result.query_camids, name="query camera")).mean()
    return table.rename_axis(columns="gallery camera")


def by_gallery_cameras(result: Result) -> pd.DataFrame:
    """Tabulate mAP and rank-1 when only k cameras stay in the gallery: means over all sets of k, worst and best mAP.

    Of many cameras there are too many sets: of more than MOST_SETS that number is drawn by chance, always the same.
    Queries whose matches all leave are left out: `queries` is how many stay, in the mean. Args as for `by_cameras`.
    """
    cameras, found = _cameras(result), {}
    for k in range(1, len(cameras) + 1):
        scores = [_within(result, kept) for kept in _sets(cameras, k)]
        means = np.array([[np.isfinite(ap).sum(), np.nanmean(ap), np.nanmean(first)] for ap, first in scores])
        queries, m_ap, rank_1 = means.mean(0)
        line = {"sets": len(scores), "queries": queries, "mAP": m_ap, "rank-1": rank_1}
        found[k] = line | {"mAP worst": means[:, 1].min(), "mAP best": means[:, 1].max()}
    return pd.DataFrame.from_dict(found, orient="index").astype({"sets": int}).rename_axis("cameras")


def _sets(cameras: Sequence[int], k: int) -> list[tuple[int, ...]]:
    """All sets of k cameras, or MOST_SETS of them."""
    if comb(len(cameras), k) <= MOST_SETS:
        return list(combinations(cameras, k))
    random, drawn = np.random.default_rng(0), dict[tuple[int, ...], None]()
    while len(drawn) < MOST_SETS:
        drawn[tuple(sorted(random.permutation(cameras)[:k].tolist()))] = None
    return list(drawn)


def _cameras(result: Result) -> list[int]:
    if result.gallery is None:
        raise DataError("This result knows no images; conditions need one from retrieval.evaluate(model, benchmark).")
    _keeps(result, len(result.gallery))
    return sorted({record.camid for record in result.gallery})
