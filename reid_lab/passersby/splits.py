"""Which images a data set of some size has: identities, tracklets, queries, distractors, junk."""

from __future__ import annotations

from dataclasses import dataclass

from reid_lab.passersby.cameras import CAMERAS
from reid_lab.passersby.frames import DISTRACTOR, JUNK, Key, track
from reid_lab.passersby.people import BLOCK
from reid_lab.passersby.rng import Draw

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
PLAN_STREAM = 51
FRAME_STEP = 12  # frames between images of a tracklet
TRAIN_SEQUENCES, TEST_SEQUENCES = (1, 2, 3), (4, 5, 6)  # the hours of training are not those of the test


@dataclass(frozen=True)
class Size:
    """Counts of a data set. A tracklet is an identity in a camera; each test tracklet gives one query."""

    train_ids: int
    train_tracklets: int
    train_images: int
    test_ids: int
    queries: int  # also the test tracklets
    gallery: int  # of test identities
    distractors: int
    junk: int
    cameras: tuple[int, int]  # fewest and most cameras of an identity


SIZES: dict[str, Size] = {
    "smoke": Size(18, 54, 108, 20, 60, 60, 12, 8, (3, 3)),
    "classroom": Size(256, 1024, 2048, 200, 800, 1600, 240, 160, (4, 4)),
    "full": Size(751, 3400, 12936, 750, 3368, 13115, 2798, 3819, (2, 6)),
}


def identities(size: Size) -> tuple[list[int], list[int]]:
    """Training and test pids: blocks of look-alikes are dealt to the two in turn."""
    train = [pid for pid in range(1, 10_000) if (pid - 1) // BLOCK % 2 == 0][: size.train_ids]
    test = [pid for pid in range(1, 10_000) if (pid - 1) // BLOCK % 2 == 1][: size.test_ids]
    return train, test


def _tracklets(draw: Draw, pids: list[int], total: int, fewest: int, most: int) -> list[tuple[int, int]]:
    """(pid, camid) pairs, `total` of them, `fewest` to `most` cameras for every identity."""
    cameras = {pid: fewest + draw.integer(most - fewest + 1) for pid in pids}
    missing = total - sum(cameras.values())
    while missing:
        step = 1 if missing > 0 else -1
        pid = draw.pick(pids)
        if fewest <= cameras[pid] + step <= most:
            cameras[pid] += step
            missing -= step
    return [(pid, camid) for pid in pids for camid in sorted(draw.shuffled(range(1, CAMERAS + 1))[: cameras[pid]])]


def _images(draw: Draw, tracklets: list[tuple[int, int]], total: int, each: int, most: int) -> list[int]:
    """How many images every tracklet gives: `each` or more, `most` at most, `total` in all."""
    counts = [each] * len(tracklets)
    missing = total - each * len(tracklets)
    while missing:
        place = draw.integer(len(tracklets))
        if counts[place] < most:
            counts[place] += 1
            missing -= 1
    return counts


def plan(size: Size, seed: int) -> list[tuple[str, Key]]:
    """Every image of a data set: (folder, key), in the order of the truth table."""
    draw = Draw(seed, PLAN_STREAM, size.train_ids)
    train, test = identities(size)
    found: list[tuple[str, Key]] = []
    pairs = _tracklets(draw, train, size.train_tracklets, *size.cameras)
    counts = _images(
        draw,
        pairs,
        size.train_images,
        size.train_images // len(pairs) if size.cameras[0] == size.cameras[1] else 1,
        9,
    )
    for (pid, camid), count in zip(pairs, counts, strict=True):
        found += [(TRAIN, key) for key in _frames(seed, pid, camid, count)]
    pairs = _tracklets(draw, test, size.queries, *size.cameras)
    counts = _images(
        draw,
        pairs,
        size.gallery,
        1,
        9 if size.cameras[0] != size.cameras[1] else -(-size.gallery // len(pairs)),
    )
    for (pid, camid), count in zip(pairs, counts, strict=True):
        keys = _frames(seed, pid, camid, count + 1)
        query = draw.integer(count + 1)
        for place, key in enumerate(keys):
            if place == query:
                found.append((QUERY, Key(key.pid, key.camid, key.sequence, key.frame, 0)))
            else:
                found.append((GALLERY, key))
    for pid, count in ((DISTRACTOR, size.distractors), (JUNK, size.junk)):
        for number in range(count):
            found.append((GALLERY, Key(pid, 1 + draw.integer(CAMERAS), draw.pick(TEST_SEQUENCES), 100 + 3 * number, 1)))
    return found


def _frames(seed: int, pid: int, camid: int, count: int) -> list[Key]:
    """The keys of a tracklet's images: one sequence, frames half a second apart, a detector's boxes."""
    start = track(seed, pid, camid).start
    sequences = TRAIN_SEQUENCES if (pid - 1) // BLOCK % 2 == 0 else TEST_SEQUENCES
    sequence = sequences[start // 10 % len(sequences)]
    return [Key(pid, camid, sequence, start + FRAME_STEP * k, 1 + k % 5) for k in range(count)]
