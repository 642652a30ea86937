"""Exercises of notebook 12: rates of searches, a threshold from validation people, a gallery that grows and shrinks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


def identification_rates(distances, same, junk, threshold):
    """FPIR and TPIR at rank 1: two fractions, each of them nan where no search is of its kind.

    distances  (q, g) numpy array, smaller is nearer
    same       (q, g) bool, True where the gallery image shows the query's person
    junk       (q, g) bool, True where the gallery image does not count for the query
    threshold  an image at exactly this distance is still returned

    Of equally near images the earlier one in the gallery ranks first. Section 1 defines the rates.
    """
    # solution
    counted = np.where(junk, np.inf, distances)
    rows, first = np.arange(len(counted)), counted.argmin(axis=1)
    returned = counted[rows, first] <= threshold
    right = returned & same[rows, first]
    mated = (same & ~junk).any(axis=1)
    fpir = returned[~mated].mean() if (~mated).any() else float("nan")
    tpir = right[mated].mean() if mated.any() else float("nan")
    return fpir, tpir
    # end


def _searches() -> Iterator[tuple[str, list[list[float]], list[list[int]], list[list[int]], tuple[float, float]]]:
    """A sentence's beginning, distances, same, junk, and the rates up to 0.5."""
    nan = float("nan")
    yield "a match at 0.2 is the nearest image, so it is found", [[0.2, 0.4]], [[1, 0]], [[0, 0]], (nan, 1.0)
    yield "a stranger at 0.1 stands before the match, so rank 1 is wrong", [[0.1, 0.2]], [[0, 1]], [[0, 0]], (nan, 0.0)
    yield "nobody is within the threshold", [[0.6, 0.9]], [[1, 0]], [[0, 0]], (nan, 0.0)
    yield "a stranger is returned to a query without a match", [[0.1, 0.9]], [[0, 0]], [[0, 0]], (1.0, nan)
    yield "two strangers are returned to one query: still one alarm", [[0.1, 0.2]], [[0, 0]], [[0, 0]], (1.0, nan)
    yield "the nearest image is junk, the next one a match", [[0.1, 0.2]], [[1, 1]], [[1, 0]], (nan, 1.0)
    yield "the person is there as junk only, and a stranger is near", [[0.1, 0.3]], [[1, 0]], [[1, 0]], (1.0, nan)
    yield "the person is there as junk only, and nobody is near", [[0.1, 0.8]], [[1, 0]], [[1, 0]], (0.0, nan)
    yield "a match lies exactly at the threshold", [[0.5, 0.9]], [[1, 0]], [[0, 0]], (nan, 1.0)
    yield (
        "a stranger and a match are equally near, the stranger is earlier",
        [[0.3, 0.3]],
        [[0, 1]],
        [[0, 0]],
        (nan, 0.0),
    )


def _by_loops(distances: np.ndarray, same: np.ndarray, junk: np.ndarray, threshold: float) -> tuple[float, float]:
    """Both rates, one search and one image at a time."""
    alarms, found = [], []
    for row, own, out in zip(distances, same, junk, strict=True):
        images = [(distance, i) for i, distance in enumerate(row) if not out[i]]
        nearest, first = min(images) if images else (np.inf, 0)
        if any(own[i] for _, i in images):
            found.append(nearest <= threshold and own[first])
        else:
            alarms.append(nearest <= threshold)
    return float(np.mean(alarms)), float(np.mean(found))


def check_identification_rates(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on searches of one query each, then on a hundred."""
    for says, *arrays, expected in _searches():
        distances, same, junk = (np.array(array) for array in arrays)
        given = answer(distances, same.astype(bool), junk.astype(bool), 0.5)
        if np.shape(given) != (2,):
            yield f"two numbers were expected, FPIR and TPIR, and you gave {given!r}."
            return
        for name, mine, right in zip(("FPIR", "TPIR"), given, expected, strict=True):
            if not np.isclose(mine, right, equal_nan=True):
                yield f"{says}: {name} is {right:g}, not {mine:g}."
    random = np.random.default_rng(0)
    distances, same, junk = random.random((100, 8)), random.random((100, 8)) < 0.1, random.random((100, 8)) < 0.1
    right = _by_loops(distances, same, junk, 0.1)
    given = answer(distances.copy(), same.copy(), junk.copy(), 0.1)
    if not np.allclose(given, right):
        yield f"for 100 searches of 8 images FPIR and TPIR are {right[0]:.3f} and {right[1]:.3f}, not {given}."


def _parts(distances: np.ndarray, same: np.ndarray, junk: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    counted = np.where(junk, np.inf, distances)
    return counted, counted.argmin(axis=1), (same & ~junk).any(axis=1)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def wrong_identification_rates_counts_pairs(
    distances: np.ndarray, same: np.ndarray, junk: np.ndarray, threshold: float
) -> tuple[float, float]:
    """The rates of pairs: a ROC."""
    return _mean((distances <= threshold)[~same & ~junk]), _mean((distances <= threshold)[same & ~junk])


def wrong_identification_rates_forgets_who(
    distances: np.ndarray, same: np.ndarray, junk: np.ndarray, threshold: float
) -> tuple[float, float]:
    """A mated search counts as right when it returns anybody."""
    counted, _, mated = _parts(distances, same, junk)
    returned = counted.min(axis=1) <= threshold
    return _mean(returned[~mated]), _mean(returned[mated])


def wrong_identification_rates_forgets_rank_1(
    distances: np.ndarray, same: np.ndarray, junk: np.ndarray, threshold: float
) -> tuple[float, float]:
    """A match anywhere within the threshold is enough."""
    counted, _, mated = _parts(distances, same, junk)
    found = ((counted <= threshold) & same).any(axis=1)
    return _mean((counted.min(axis=1) <= threshold)[~mated]), _mean(found[mated])


def wrong_identification_rates_mates_by_junk(
    distances: np.ndarray, same: np.ndarray, junk: np.ndarray, threshold: float
) -> tuple[float, float]:
    """Junk is taken for a match when the searches are divided."""
    counted, first, _ = _parts(distances, same, junk)
    rows, mated = np.arange(len(counted)), same.any(axis=1)
    returned = counted[rows, first] <= threshold
    return _mean(returned[~mated]), _mean((returned & same[rows, first])[mated])


def wrong_identification_rates_is_strict(
    distances: np.ndarray, same: np.ndarray, junk: np.ndarray, threshold: float
) -> tuple[float, float]:
    """An image at the threshold is refused."""
    return identification_rates(distances, same, junk, np.nextafter(threshold, -np.inf))


def choose_threshold(nearest, mated, rate):
    """The largest threshold, among the distances in `nearest`, whose FPIR is not above `rate`.

    nearest  (q,) numpy array, the distance of the nearest image of each search of validation people
    mated    (q,) bool, whether the search is mated; at least one is not
    rate     a fraction

    Where even the smallest distance gives too many alarms, it is minus infinity.
    """
    # solution
    strangers = nearest[~mated]
    best = -np.inf
    for limit in np.unique(nearest):  # ascending
        if (strangers <= limit).mean() <= rate:
            best = limit
    return float(best)
    # end


def check_choose_threshold(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on searches that can be counted by hand."""
    nearest = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    mated = np.array([1, 0, 1, 0, 1, 0, 0, 1], dtype=bool)  # strangers at 0.2, 0.4, 0.6 and 0.7
    tied = np.array([0.2, 0.2, 0.2, 0.5])
    alone = np.zeros(4, dtype=bool)
    for says, given, expected in (
        ("one alarm in four searches is allowed, the second comes at 0.4", (nearest, mated, 0.25), 0.3),
        ("half of the alarms are allowed, the third comes at 0.6", (nearest, mated, 0.5), 0.5),
        ("0.3 of four searches is one alarm, and not 1.2", (nearest, mated, 0.3), 0.3),
        ("no alarm is allowed, the first comes at 0.2", (nearest, mated, 0.0), 0.1),
        ("every alarm is allowed", (nearest, mated, 1.0), 0.8),
        ("three strangers share 0.2, and only half may give an alarm", (tied, alone, 0.5), -np.inf),
        ("three strangers share 0.2, and three quarters may give an alarm", (tied, alone, 0.75), 0.2),
    ):
        distances, kinds, rate = given
        threshold = answer(distances.copy(), kinds.copy(), rate)
        if threshold is None or not np.isclose(threshold, expected):
            yield f"{says}, so the threshold is {expected:g}, not {threshold}."
    turned = answer(nearest[::-1].copy(), mated[::-1].copy(), 0.25)
    if turned is None or not np.isclose(turned, 0.3):
        yield f"the order of the searches makes no difference, but turned round they give {turned} instead of 0.3."


def wrong_choose_threshold_takes_a_quantile(nearest: np.ndarray, mated: np.ndarray, rate: float) -> float:
    """A quantile between two distances is above the rate, or no distance at all."""
    return float(np.quantile(nearest[~mated], rate))


def wrong_choose_threshold_asks_everybody(nearest: np.ndarray, mated: np.ndarray, rate: float) -> float:
    """Mated searches count as false alarms, too."""
    return choose_threshold(nearest, np.zeros(len(mated), dtype=bool), rate)


def wrong_choose_threshold_goes_one_too_far(nearest: np.ndarray, mated: np.ndarray, rate: float) -> float:
    """The first distance above the rate."""
    strangers = nearest[~mated]
    above = [limit for limit in np.unique(nearest) if (strangers <= limit).mean() > rate]
    return float(above[0]) if above else float(nearest.max())


def wrong_choose_threshold_forgets_ties(nearest: np.ndarray, mated: np.ndarray, rate: float) -> float:
    """The k-th distance, whoever else shares it."""
    strangers = np.sort(nearest[~mated])
    allowed = int(rate * len(strangers) + 1e-9)
    limits = nearest[nearest < strangers[allowed]] if allowed < len(strangers) else nearest
    return float(max(limits.max(initial=-np.inf), strangers[allowed - 1] if allowed else -np.inf))


def growing_gallery(dimension):
    """An empty gallery that changes while it is searched: return an object with three methods.

    add(features, pids)          enrols n images: (n, dimension) numpy array of rows of any length,
                                 (n,) whole numbers
    forget(pid)                  deletes all images of one person, and returns how many there were
    search(features, threshold)  for each of q rows the pid of the nearest image, or None if it is
                                 farther than the threshold or the gallery is empty: list of q

    The distance is 1 minus the cosine similarity. Of equally near images the one that was added
    first is the answer. What the caller does to its arrays later changes nothing in the gallery.
    """

    # solution
    class Gallery:
        def __init__(self):
            self.features, self.pids = np.empty((0, dimension)), np.empty(0, dtype=int)

        def add(self, features, pids):
            features = features / np.linalg.norm(features, axis=1, keepdims=True)  # a new array
            self.features = np.concatenate([self.features, features])
            self.pids = np.concatenate([self.pids, pids])

        def forget(self, pid):
            gone = self.pids == pid
            self.features, self.pids = self.features[~gone], self.pids[~gone]
            return int(gone.sum())

        def search(self, features, threshold):
            if len(self.pids) == 0:
                return [None] * len(features)
            features = features / np.linalg.norm(features, axis=1, keepdims=True)
            distances = 1 - features @ self.features.T
            nearest = zip(distances.min(axis=1), self.pids[distances.argmin(axis=1)], strict=True)
            return [int(pid) if distance <= threshold else None for distance, pid in nearest]

    return Gallery()
    # end


EAST, NORTH, WEST = np.array([[2.0, 0.0], [0.0, 3.0], [-0.5, 0.0]])


def check_growing_gallery(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on a gallery in a plane, whose distances can be done by hand."""
    gallery = answer(2)
    for name in ("add", "forget", "search"):
        if not callable(getattr(gallery, name, None)):
            yield f"an object with the methods add, forget and search was expected, and yours has no method {name}."
            return
    yield from _changes(gallery)
    yield from _copies(answer(2))
    yield from _ties(answer(2))


def _asked(gallery: Any, rows: list[np.ndarray], threshold: float) -> list:
    return list(gallery.search(np.stack(rows), threshold))


def _changes(gallery: Any) -> Iterator[str]:
    found = _asked(gallery, [EAST, NORTH], 9.0)
    if found != [None, None]:
        yield f"an empty gallery answers None to both of two queries, not {found}."
    gallery.add(np.stack([EAST, NORTH]), np.array([7, 8]))
    found = _asked(gallery, [0.1 * EAST, NORTH + 0.1 * EAST], 0.5)
    if found != [7, 8]:
        yield f"east is person 7 and north person 8, so queries near the two find [7, 8], not {found}."
    found = _asked(gallery, [EAST + 0.6 * NORTH], 2.0)
    if found != [7]:
        yield f"a query between the two is nearer to 7 by the angle, whatever the lengths; you found {found}."
    found = _asked(gallery, [WEST], 0.5)
    if found != [None]:
        yield f"west is at a distance of 1 from north, so that nobody is within 0.5, and you found {found}."
    gallery.add(np.stack([WEST, 2 * EAST]), np.array([9, 7]))
    found = _asked(gallery, [WEST, NORTH, EAST], 0.5)
    if found != [9, 8, 7]:
        yield f"after west was added as person 9, queries at west, north and east find [9, 8, 7], not {found}."
    count = gallery.forget(7)
    if count != 2:
        yield f"person 7 was added in two images, so that forget(7) deletes 2 and says so, and yours says {count}."
    found = _asked(gallery, [EAST, NORTH], 0.5)
    if found != [None, 8]:
        yield f"after forget(7) nobody is near east, and north is still person 8; you found {found}."
    if gallery.forget(7) != 0:
        yield "the second forget(7) finds nothing to delete, and returns 0."
    gallery.add(np.stack([EAST]), np.array([7]))
    if _asked(gallery, [EAST], 0.5) != [7]:
        yield "who was forgotten can be added again, and person 7 was not found after that."


def _copies(gallery: Any) -> Iterator[str]:
    rows = np.array([[1.0, 0.0], [0.0, 1.0]])  # already of length 1
    pids = np.array([7, 8])
    gallery.add(rows, pids)
    rows[:], pids[:] = rows[::-1].copy(), 5
    found = _asked(gallery, [EAST], 0.5)
    if found != [7]:
        yield f"the caller changed its arrays after add, and your gallery changed with them: east is {found}, not [7]."


def _ties(gallery: Any) -> Iterator[str]:
    gallery.add(np.stack([EAST, EAST]), np.array([4, 3]))
    gallery.add(np.stack([EAST]), np.array([2]))
    found = _asked(gallery, [EAST], 0.5)
    if found != [4]:
        yield f"three people share one direction, and the one that was added first is 4; you found {found}."


class _Wrong:
    """A right gallery, from which the wrong ones below are derived."""

    def __init__(self, dimension: int) -> None:
        self.right = growing_gallery(dimension)

    def add(self, features: np.ndarray, pids: np.ndarray) -> None:
        self.right.add(features, pids)

    def forget(self, pid: int) -> int:
        return self.right.forget(pid)

    def search(self, features: np.ndarray, threshold: float) -> list:
        return self.right.search(features, threshold)


def wrong_growing_gallery_forgets_one_image(dimension: int) -> Any:
    """Only the first image of a person is deleted."""

    class Gallery(_Wrong):
        def forget(self, pid: int) -> int:
            gone = np.flatnonzero(self.right.pids == pid)[:1]
            self.right.features = np.delete(self.right.features, gone, axis=0)
            self.right.pids = np.delete(self.right.pids, gone)
            return len(gone)

    return Gallery(dimension)


def wrong_growing_gallery_multiplies_as_it_is(dimension: int) -> Any:
    """Rows are not brought to length 1."""

    class Gallery(_Wrong):
        def add(self, features: np.ndarray, pids: np.ndarray) -> None:
            self.right.features = np.concatenate([self.right.features, features])
            self.right.pids = np.concatenate([self.right.pids, pids])

    return Gallery(dimension)


def wrong_growing_gallery_always_answers(dimension: int) -> Any:
    """There is always a nearest image."""

    class Gallery(_Wrong):
        def search(self, features: np.ndarray, threshold: float) -> list:
            return self.right.search(features, np.inf)

    return Gallery(dimension)


def wrong_growing_gallery_replaces(dimension: int) -> Any:
    """New images take the place of the old ones."""

    class Gallery(_Wrong):
        def add(self, features: np.ndarray, pids: np.ndarray) -> None:
            self.right = growing_gallery(dimension)
            self.right.add(features, pids)

    return Gallery(dimension)


def wrong_growing_gallery_keeps_the_callers_array(dimension: int) -> Any:
    """The caller's own rows are brought to length 1, and kept."""

    class Gallery(_Wrong):
        def add(self, features: np.ndarray, pids: np.ndarray) -> None:
            self.right.add(features, pids)
            if len(self.right.pids) == len(pids):
                self.right.features, self.right.pids = features, pids

    return Gallery(dimension)


def wrong_growing_gallery_prefers_the_newest(dimension: int) -> Any:
    """Of equally near images the last one wins."""

    class Gallery(_Wrong):
        def add(self, features: np.ndarray, pids: np.ndarray) -> None:
            self.right.add(features, pids)
            self.right.features, self.right.pids = self.right.features[::-1], self.right.pids[::-1]

    return Gallery(dimension)
