"""Exercises of notebook 02: average precision, a whole evaluation, an interval that keeps people whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from reid_lab.analysis import conditions
from reid_lab.retrieval import reference


def average_precision(correct):
    """Average precision by steps of one ranking: a float; without any match, float("nan").

    correct  (g,) numpy array of bool: whether the image of each rank is a match, nearest first
    """
    # solution
    ranks = np.flatnonzero(correct) + 1
    if len(ranks) == 0:
        return float("nan")
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return float(precisions.mean())
    # end


def check_average_precision(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on rankings that can be done by hand."""
    for ranking, expected in (
        ("100", 1.0),
        ("001", 1 / 3),
        ("0110001000", (1 / 2 + 2 / 3 + 3 / 7) / 3),
        ("0101", 1 / 2),
        ("111", 1.0),
    ):
        given = answer(np.array([sign == "1" for sign in ranking]))
        if given is None or not np.isclose(given, expected):
            yield f"for the ranking {ranking} (1 is a match) the average precision is {expected:.4f}, not {given}."
    given = answer(np.zeros(3, bool))
    if given is None or not np.isnan(given):
        yield f"a ranking without any match has no average precision: NaN was expected, and you say {given}."


def wrong_average_precision_counts_from_zero(correct: np.ndarray) -> float:
    """Ranks from 0, and a division by them avoided by adding a little."""
    ranks = np.flatnonzero(correct)
    return float(np.mean(np.arange(1, len(ranks) + 1) / (ranks + 1e-9))) if len(ranks) else float("nan")


def wrong_average_precision_divides_by_the_gallery(correct: np.ndarray) -> float:
    """The sum of precisions divided by the number of images instead of matches."""
    ranks = np.flatnonzero(correct) + 1
    return float(np.sum(np.arange(1, len(ranks) + 1) / ranks) / len(correct)) if len(ranks) else float("nan")


def wrong_average_precision_takes_every_rank(correct: np.ndarray) -> float:
    """The mean precision over all ranks, matches or not."""
    return float(np.mean(np.cumsum(correct) / np.arange(1, len(correct) + 1))) if correct.any() else float("nan")


def wrong_average_precision_is_by_trapezoids(correct: np.ndarray) -> float:
    """The other definition."""
    ranks = np.flatnonzero(correct) + 1
    return reference.trapezoid_average_precision(ranks) if len(ranks) else float("nan")


def wrong_average_precision_calls_nothing_zero(correct: np.ndarray) -> float:
    """Right, but a query that nobody could answer counts as a failure."""
    return 0.0 if not np.any(correct) else average_precision(correct)


def evaluate(distances, query_pids, gallery_pids, query_camids, gallery_camids, ranks):
    """CMC and mAP by steps of a whole benchmark: an array (ranks,) and a float, as fractions.

    distances                      (q, g) numpy array, smaller is nearer
    query_pids, query_camids       (q,) arrays of int
    gallery_pids, gallery_camids   (g,) arrays of int; identity -1 is a bad box, 0 a distractor
    ranks                          the length of the CMC, whose first value is the rank-1

    Both kinds of junk are left out. Of equally near images the earlier one in the gallery has the
    better rank. A query without a match counts in neither mean.
    """
    # solution
    first_matches, aps = [], []
    for query, row in enumerate(distances):
        order = np.argsort(row, kind="stable")
        same_person = gallery_pids[order] == query_pids[query]
        same_camera = gallery_camids[order] == query_camids[query]
        junk = (same_person & same_camera) | (gallery_pids[order] == -1)
        correct = same_person[~junk]
        if correct.any():
            first_matches.append(correct.argmax() + 1)
            aps.append(average_precision(correct))
    cmc = [np.mean(np.array(first_matches) <= rank) for rank in range(1, ranks + 1)]
    return np.array(cmc), float(np.mean(aps))
    # end


CASES = {  # distances, queries and gallery as (identity, camera), and what is looked at
    "matches at the ranks 2 and 3": ([[0.1, 0.2, 0.3]], [(7, 1)], [(9, 2), (7, 2), (7, 3)]),
    "the query's own person in its own camera comes first, and is junk": (
        *([[0.1, 0.2, 0.3]], [(7, 1)], [(7, 1), (9, 2), (7, 2)]),
    ),
    "another person in the query's camera comes first, and counts": (
        *([[0.1, 0.2, 0.3]], [(7, 1)], [(9, 1), (7, 2), (8, 2)]),
    ),
    "a bad box (-1) comes first, and is junk": ([[0.1, 0.2, 0.3]], [(7, 1)], [(-1, 2), (9, 2), (7, 2)]),
    "a distractor (0) comes first, and counts": ([[0.1, 0.2, 0.3]], [(7, 1)], [(0, 2), (9, 2), (7, 2)]),
    "all distances are equal": ([[0.5, 0.5, 0.5, 0.5]], [(7, 1)], [(9, 2), (8, 2), (7, 2), (7, 3)]),
    "one of two queries has no match": ([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]], [(7, 1), (5, 1)], [(9, 2), (7, 2), (5, 1)]),
}


def check_evaluate(answer: Any) -> Iterator[str]:
    """What is wrong with an answer: one rule after another, then a whole benchmark with equal distances in it."""
    for what, (distances, query, gallery) in CASES.items():
        found = _compared(answer, np.array(distances), np.array(query), np.array(gallery))
        if found:
            yield f"where {what}, {found}"
    random = np.random.default_rng(4)
    query, gallery = random.integers(1, 5, (30, 2)), random.integers(-1, 5, (90, 2))
    if found := _compared(answer, random.integers(0, 9, (30, 90)) / 10, query, gallery):
        yield f"for 30 queries and 90 images {found}"


def _compared(answer: Any, distances: np.ndarray, query: np.ndarray, gallery: np.ndarray) -> str:
    labels = (query[:, 0], gallery[:, 0], query[:, 1], gallery[:, 1])
    names = ("query_pids", "gallery_pids", "query_camids", "gallery_camids")
    expected = reference.evaluate(distances, **dict(zip(names, labels, strict=True)), ranks=3)
    cmc, ap = answer(distances, *labels, 3)
    if np.shape(cmc) != (3,):
        return f"a CMC of 3 ranks has the shape (3,), and yours {np.shape(cmc)}."
    wanted = f"the CMC is {np.round(expected.cmc, 3).tolist()} and the mAP {expected.mAP:.3f}"
    if not (np.allclose(cmc, expected.cmc) and np.isclose(ap, expected.mAP)):
        return f"{wanted}, and you have {np.round(cmc, 3).tolist()} and {ap:.3f}."
    return ""


def wrong_evaluate_forgets_the_cameras(
    distances: np.ndarray,
    query_pids: np.ndarray,
    pids: np.ndarray,
    query_camids: np.ndarray,
    camids: np.ndarray,
    k: int,
) -> Any:
    """The first kind of junk stays."""
    return evaluate(distances, query_pids, pids, query_camids, np.full(len(camids), -9), k)


def wrong_evaluate_keeps_bad_boxes(
    distances: np.ndarray,
    query_pids: np.ndarray,
    pids: np.ndarray,
    query_camids: np.ndarray,
    camids: np.ndarray,
    k: int,
) -> Any:
    """The second kind of junk stays."""
    return evaluate(distances, query_pids, np.where(pids == -1, 0, pids), query_camids, camids, k)


def wrong_evaluate_removes_distractors(
    distances: np.ndarray,
    query_pids: np.ndarray,
    pids: np.ndarray,
    query_camids: np.ndarray,
    camids: np.ndarray,
    k: int,
) -> Any:
    """Distractors taken for junk."""
    return evaluate(distances, query_pids, np.where(pids == 0, -1, pids), query_camids, camids, k)


def wrong_evaluate_removes_the_camera(
    distances: np.ndarray,
    query_pids: np.ndarray,
    pids: np.ndarray,
    query_camids: np.ndarray,
    camids: np.ndarray,
    k: int,
) -> Any:
    """Everybody from the query's camera is left out."""
    cmcs, aps = [], []
    for row, pid, camid in zip(distances, query_pids, query_camids, strict=True):
        seen = camids != camid
        if (seen & (pids == pid)).any():
            one = evaluate(row[None, seen], np.array([pid]), pids[seen], np.array([camid]), camids[seen], k)
            cmcs.append(one[0])
            aps.append(one[1])
    return np.mean(cmcs, axis=0), float(np.mean(aps))


def wrong_evaluate_lets_matches_win_ties(
    distances: np.ndarray,
    query_pids: np.ndarray,
    pids: np.ndarray,
    query_camids: np.ndarray,
    camids: np.ndarray,
    k: int,
) -> Any:
    """A rule that flatters."""
    return evaluate(distances - 1e-9 * (query_pids[:, None] == pids), query_pids, pids, query_camids, camids, k)


def wrong_evaluate_calls_nothing_a_failure(
    distances: np.ndarray,
    query_pids: np.ndarray,
    pids: np.ndarray,
    query_camids: np.ndarray,
    camids: np.ndarray,
    k: int,
) -> Any:
    """A query without a match counts as a failure."""
    matched = ((query_pids[:, None] == pids) & (query_camids[:, None] != camids)).any(axis=1).mean()
    cmc, ap = evaluate(distances, query_pids, pids, query_camids, camids, k)
    return cmc * matched, ap * matched


def wrong_evaluate_does_not_add_up(
    distances: np.ndarray,
    query_pids: np.ndarray,
    pids: np.ndarray,
    query_camids: np.ndarray,
    camids: np.ndarray,
    k: int,
) -> Any:
    """The share at each rank, not up to it."""
    cmc, ap = evaluate(distances, query_pids, pids, query_camids, camids, k)
    return np.diff(cmc, prepend=0.0), ap


def interval(values, people, random):
    """A 95 % interval for the mean of ``values``, by a bootstrap over people: two floats.

    values  (q,) numpy array, one number per query: its AP, or whether its rank-1 image is right
    people  (q,) numpy array, the identity of each query, in any order; some people have more
            queries than others
    random  a numpy.random.Generator

    Draw 1,000 samples or more. Low and high are fractions.
    """
    # solution
    queries_of = [values[people == person] for person in np.unique(people)]
    totals = np.array([queries.sum() for queries in queries_of])
    counts = np.array([len(queries) for queries in queries_of])
    means = []
    for _ in range(2000):
        drawn = random.integers(len(counts), size=len(counts))
        means.append(totals[drawn].sum() / counts[drawn].sum())
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
    # end


def check_interval(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on sixty people with one to twelve queries, who succeed or fail together."""
    random = np.random.default_rng(7)
    counts = 1 + np.arange(60) % 12
    order = random.permutation(counts.sum())
    people = np.repeat(np.arange(1, 61), counts)[order]
    values = np.repeat((random.random(60) < 0.3 + 0.05 * counts).astype(float), counts)[order]
    several = [answer(values, people, np.random.default_rng(seed)) for seed in range(8)]
    given = several[0]
    if np.shape(given) != (2,) or not given[0] < values.mean() < given[1]:
        yield f"the mean is {values.mean():.3f}: an interval of two floats around it was expected, not {given}."
        return
    low, high = np.mean([conditions.interval(values, people, seed=seed) for seed in range(8)], axis=0)
    for (name, right), mine in zip((("low", low), ("high", high)), np.mean(several, axis=0), strict=True):
        if abs(mine - right) > 0.04 * (high - low):
            yield (
                f"the {name} end is about {right:.3f}, not {mine:.3f}: draw as many people as there are, with "
                "replacement and each with all queries, and take the mean over the queries drawn."
            )
    if np.allclose(given, answer(values, people, np.random.default_rng(3)), rtol=0, atol=0):
        yield "another generator gives a slightly other interval; yours is always the same: use `random`."


def wrong_interval_draws_queries(values: np.ndarray, people: np.ndarray, random: np.random.Generator) -> Any:
    """The ordinary bootstrap, over queries."""
    return interval(values, np.arange(len(values)), random)


def wrong_interval_weighs_people_alike(values: np.ndarray, people: np.ndarray, random: np.random.Generator) -> Any:
    """The mean of the people's means."""
    means = np.array([values[people == person].mean() for person in np.unique(people)])
    return interval(means, np.arange(len(means)), random)


def wrong_interval_is_one_sigma(values: np.ndarray, people: np.ndarray, random: np.random.Generator) -> Any:
    """One standard deviation to each side: 68 %, not 95 %."""
    low, high = interval(values, people, random)
    return values.mean() - (high - low) / 3.92, values.mean() + (high - low) / 3.92


def wrong_interval_draws_nobody_twice(values: np.ndarray, people: np.ndarray, random: np.random.Generator) -> Any:
    """Without replacement every sample is the same."""
    return values.mean() - 1e-6 * random.random(), values.mean() + 1e-6


def wrong_interval_has_its_own_seed(values: np.ndarray, people: np.ndarray, random: np.random.Generator) -> Any:
    """Always the same samples."""
    return interval(values, people, np.random.default_rng(0))


def wrong_interval_of_90_percent(values: np.ndarray, people: np.ndarray, random: np.random.Generator) -> Any:
    """Five in a hundred means lie beyond either end."""
    own = [values[people == pid] for pid in np.unique(people)]
    means = []
    for _ in range(2000):
        drawn = random.integers(len(own), size=len(own))
        means.append(np.concatenate([own[each] for each in drawn]).mean())
    return tuple(map(float, np.quantile(means, [0.05, 0.95])))
