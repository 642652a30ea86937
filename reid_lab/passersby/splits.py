"""Which images a data set of some size has: identities, tracklets, queries, distractors, junk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reid_lab.passersby.cameras import CAMERAS
from reid_lab.passersby.frames import DISTRACTOR, JUNK, Key, track
from reid_lab.passersby.people import BLOCK
from reid_lab.passersby.rng import Draw
from reid_lab.passersby.town import Town
from reid_lab.passersby.towns.city import CITY

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
SPLIT_STREAM, VALIDATION_STREAM = 51, 52
MOST = 9  # images of a tracklet, where identities differ in cameras
FRAME_STEP = 12  # frames between images of a tracklet
TRAIN_SEQUENCES, TEST_SEQUENCES = (1, 2, 3), (4, 5, 6)  # the hours of training are not those of the test
VALIDATION_FROM = 5001  # the first identity of validation, which begins a block; training and test stay below
VALIDATION_NOBODY = 100_000  # the number of validation's first distractor; the test's are fewer


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
    validation_ids: int  # of validation, whose other counts are to these as the test's are to test_ids


SIZES: dict[str, Size] = {
    "smoke": Size(18, 54, 108, 20, 60, 60, 12, 8, (3, 3), 20),
    "classroom": Size(256, 1024, 2048, 200, 800, 1600, 240, 160, (4, 4), 100),
    "full": Size(751, 3400, 12936, 750, 3368, 13115, 2798, 3819, (2, 6), 200),
}


def identities(size: Size) -> tuple[list[int], list[int]]:
    """Training and test pids: blocks of look-alikes are dealt to the two in turn."""
    train = [pid for pid in range(1, VALIDATION_FROM) if (pid - 1) // BLOCK % 2 == 0][: size.train_ids]
    test = [pid for pid in range(1, VALIDATION_FROM) if (pid - 1) // BLOCK % 2 == 1][: size.test_ids]
    return train, test


def validation_size(size: Size) -> Size:
    """Counts of a validation split, in the fields of the test: the test's, in proportion to the identities."""

    def part(count: int) -> int:
        return round(count * size.validation_ids / size.test_ids)

    return replace(
        size,
        test_ids=size.validation_ids,
        queries=part(size.queries),
        gallery=part(size.gallery),
        distractors=part(size.distractors),
        junk=part(size.junk),
    )


def _tracklets(draw: Draw, pids: list[int], total: int, fewest: int, most: int) -> list[tuple[int, int]]:
    """(pid, camid) pairs, `total` of them, `fewest` to `most` cameras for every identity."""
    cameras = {pid: fewest + draw.integer(most - fewest + 1) for pid in pids}
    missing = total - sum(cameras.values())
    while missing:
        step = 1 if missing > 0 else -1
        pid = draw.choice(pids)
        if fewest <= cameras[pid] + step <= most:
            cameras[pid] += step
            missing -= step
    return [(pid, camid) for pid in pids for camid in sorted(draw.permutation(range(1, CAMERAS + 1))[: cameras[pid]])]


def _images(draw: Draw, tracklets: list[tuple[int, int]], total: int, each: int, most: int) -> list[int]:
    """How many images every tracklet gives: `each` or more, `most` at most, `total` in all."""
    counts = [each] * len(tracklets)
    missing = total - each * len(tracklets)
    while missing:
        tracklet = draw.integer(len(tracklets))
        if counts[tracklet] < most:
            counts[tracklet] += 1
            missing -= 1
    return counts


def list_images(size: Size, seed: int, town: Town = CITY) -> list[tuple[str, Key]]:
    """List every image of a data set.

    Args:
        size: How many images of whom there are.
        seed: The seed of the data set.
        town: Where its images were taken.

    Returns:
        (folder, key) of each image, in the order of the table of annotations.
    """
    draw = Draw(town.first_seed + seed, SPLIT_STREAM, size.train_ids)
    train, test = identities(size)
    return _train(draw, size, seed, train, town) + _test(draw, size, seed, test, town) + _nobody(draw, size)


def list_validation_images(size: Size, seed: int, town: Town = CITY) -> list[tuple[str, Key]]:
    """List every image of a data set's validation split: query and gallery of people from ``VALIDATION_FROM`` on.

    The protocol, the cameras and the hours are those of the test.

    Args:
        size: The data set's size.
        seed: The seed of the data set.
        town: Where its images were taken.

    Returns:
        (folder, key) of each image, in the order of the table of annotations.
    """
    draw = Draw(town.first_seed + seed, VALIDATION_STREAM, size.train_ids)
    size = validation_size(size)
    pids = list(range(VALIDATION_FROM, VALIDATION_FROM + size.test_ids))
    return _test(draw, size, seed, pids, town) + _nobody(draw, size, VALIDATION_NOBODY)


def _train(draw: Draw, size: Size, seed: int, pids: list[int], town: Town) -> list[tuple[str, Key]]:
    pairs = _tracklets(draw, pids, size.train_tracklets, *size.cameras)
    each = size.train_images // len(pairs) if size.cameras[0] == size.cameras[1] else 1
    counts = _images(draw, pairs, size.train_images, each, MOST)
    frames = (_frames(seed, *pair, count, town) for pair, count in zip(pairs, counts, strict=True))
    return [(TRAIN, key) for keys in frames for key in keys]


def _test(draw: Draw, size: Size, seed: int, pids: list[int], town: Town) -> list[tuple[str, Key]]:
    """One query of each tracklet, and its other images in the gallery."""
    pairs = _tracklets(draw, pids, size.queries, *size.cameras)
    most = MOST if size.cameras[0] != size.cameras[1] else -(-size.gallery // len(pairs))
    found = []
    for pair, count in zip(pairs, _images(draw, pairs, size.gallery, 1, most), strict=True):
        query = draw.integer(count + 1)
        for number, key in enumerate(_frames(seed, *pair, count + 1, town)):
            found.append((QUERY, replace(key, box=0)) if number == query else (GALLERY, key))
    return found


def _nobody(draw: Draw, size: Size, first: int = 0) -> list[tuple[str, Key]]:
    """Distractors and junk, in the gallery; another `first` number gives other images."""
    return [
        (GALLERY, Key(pid, 1 + draw.integer(CAMERAS), draw.choice(TEST_SEQUENCES), 100 + 3 * number, 1))
        for pid, count in ((DISTRACTOR, size.distractors), (JUNK, size.junk))
        for number in range(first, first + count)
    ]


def _frames(seed: int, pid: int, camid: int, count: int, town: Town) -> list[Key]:
    """The keys of a tracklet's images: one sequence, frames half a second apart, a detector's boxes."""
    start = track(seed, pid, camid, town).start
    trains = pid < VALIDATION_FROM and (pid - 1) // BLOCK % 2 == 0
    sequences = TRAIN_SEQUENCES if trains else TEST_SEQUENCES
    sequence = sequences[start // 10 % len(sequences)]
    return [Key(pid, camid, sequence, start + FRAME_STEP * k, 1 + k % 5) for k in range(count)]
