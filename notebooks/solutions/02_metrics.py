"""Exercises of notebook 02: average precision, the junk rule, and a bootstrap that keeps people whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def average_precision(correct):
    """Average precision by steps of one ranking.

    correct  (g,) numpy array of bool, True where the image at that place of the ranking, best first, is a match

    With r_k the rank of the k-th of M matches, it is the mean of k / r_k. Without any match it is float("nan").
    """
    # solution
    ranks = np.flatnonzero(correct) + 1
    if len(ranks) == 0:
        return float("nan")
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))
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


def wrong_average_precision_takes_every_place(correct: np.ndarray) -> float:
    """The mean precision over all places, matches or not."""
    return float(np.mean(np.cumsum(correct) / np.arange(1, len(correct) + 1))) if correct.any() else float("nan")


def wrong_average_precision_calls_nothing_zero(correct: np.ndarray) -> float:
    """Right, but a query that nobody could answer counts as a failure."""
    return 0.0 if not np.any(correct) else average_precision(correct)


def counted(query_pid, query_camid, pids, camids):
    """Which gallery images count for one query, (g,) bool.

    pids, camids  (g,) numpy arrays of int, of the gallery images

    What does not count is junk: images of the query's identity from the query's own camera, and images of
    identity -1. Distractors (identity 0) and other people from the query's camera do count.
    """
    # solution
    own_walk = (pids == query_pid) & (camids == query_camid)
    return ~own_walk & (pids != -1)
    # end


def check_counted(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on a gallery with one image of each kind."""
    kinds = {
        "the query's person from another camera": (7, 2, True),
        "the query's person from the query's own camera": (7, 1, False),
        "another person from the query's own camera": (9, 1, True),
        "another person from another camera": (9, 2, True),
        "a distractor (identity 0)": (0, 2, True),
        "a distractor (identity 0) from the query's own camera": (0, 1, True),
        "a bad box (identity -1)": (-1, 2, False),
    }
    pids, camids, expected = (np.array(column) for column in zip(*kinds.values(), strict=True))
    given = answer(7, 1, pids, camids)
    if np.shape(given) != expected.shape:
        yield f"for {len(kinds)} gallery images an array of shape {expected.shape} was expected, not {np.shape(given)}."
        return
    for kind, mine, right in zip(kinds, np.asarray(given), expected, strict=True):
        if bool(mine) != bool(right):
            yield f"for a query of identity 7 from camera 1, {kind} {'counts' if right else 'does not count'}."


def wrong_counted_removes_the_camera(
    query_pid: int, query_camid: int, pids: np.ndarray, camids: np.ndarray
) -> np.ndarray:
    """Everything from the query's camera is taken out: other people there make the task hard, and must stay."""
    return (camids != query_camid) & (pids != -1)


def wrong_counted_keeps_bad_boxes(query_pid: int, query_camid: int, pids: np.ndarray, camids: np.ndarray) -> np.ndarray:
    """Identity -1 forgotten."""
    return ~((pids == query_pid) & (camids == query_camid))


def wrong_counted_removes_distractors(
    query_pid: int, query_camid: int, pids: np.ndarray, camids: np.ndarray
) -> np.ndarray:
    """Distractors taken for junk."""
    return ~((pids == query_pid) & (camids == query_camid)) & (pids > 0)


def resample_people(query_pids, random):
    """One bootstrap sample of the queries that keeps people whole: places in ``query_pids``, (n,) int.

    query_pids  (q,) numpy array, the identity of each query; people have different numbers of queries, in any order
    random      a numpy.random.Generator: draw as many people as there are, with replacement

    All queries of a person who was drawn are in the sample, as often as the person was drawn.
    """
    # solution
    people = np.unique(query_pids)
    drawn = random.choice(people, len(people))
    return np.concatenate([np.flatnonzero(query_pids == person) for person in drawn])
    # end


def check_resample_people(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on thirty people of whom the i-th has one to four queries, shuffled."""
    pids = np.random.default_rng(5).permutation(np.repeat(np.arange(1, 31), 1 + np.arange(30) % 4))
    samples = [np.asarray(answer(pids, np.random.default_rng(seed))) for seed in range(20)]
    if any(sample.ndim != 1 or not np.issubdtype(sample.dtype, np.integer) for sample in samples):
        yield "places in query_pids were expected: one array of whole numbers, such as [4, 9, 4, 9, 0]."
        return
    if any(len(sample) and not 0 <= sample.min() <= sample.max() < len(pids) for sample in samples):
        yield f"for {len(pids)} queries the places lie between 0 and {len(pids) - 1}; identities are not places."
        return
    times = [np.bincount(sample, minlength=len(pids)) for sample in samples]
    if any(len(set(count[pids == person])) > 1 for count in times for person in range(1, 31)):
        yield "every query of one person must be in the sample equally often, because people are drawn, not queries."
        return
    people = [sum(count[pids == person][0] for person in range(1, 31)) for count in times]
    if set(people) != {30}:
        yield f"of 30 people 30 are drawn, each bringing all of their queries; one of your samples holds {people[0]}."
    if all(count.max(initial=0) <= 1 for count in times):
        yield "people are drawn with replacement, so that in 20 samples of 30 people somebody comes twice."
    if all(np.array_equal(samples[0], sample) for sample in samples[1:]):
        yield "another generator draws other people, but your sample is always the same: use `random`."


def wrong_resample_people_draws_queries(query_pids: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The ordinary bootstrap, over queries."""
    return random.integers(len(query_pids), size=len(query_pids))


def wrong_resample_people_draws_nobody_twice(query_pids: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Without replacement: the same queries in another order."""
    people = random.permutation(np.unique(query_pids))
    return np.concatenate([np.flatnonzero(query_pids == person) for person in people])


def wrong_resample_people_returns_people(query_pids: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Identities instead of the places of their queries."""
    people = np.unique(query_pids)
    return 1000 + random.choice(people, len(people))


def wrong_resample_people_takes_each_once(query_pids: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Drawn with replacement, but isin forgets how often."""
    people = np.unique(query_pids)
    return np.flatnonzero(np.isin(query_pids, random.choice(people, len(people))))


def wrong_resample_people_has_its_own_seed(query_pids: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Always the same sample."""
    return resample_people(query_pids, np.random.default_rng(0))
