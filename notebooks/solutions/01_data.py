"""Exercises of notebook 01: file names, positive pairs of a batch, the rectangle of random erasing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np


def who_and_where(name):
    """Identity and camera (two ints) that a file name of Market-1501's layout tells, or None if it tells none.

    name  without folders, such as "0002_c1s1_000451_03.jpg" -> (2, 1)

    Junk is identity -1. DukeMTMC-reID writes the camera without a sequence: "0005_c2_f0046985.jpg" -> (5, 2).
    """
    # solution
    match = re.match(r"(-?\d+)_c(\d+)", name)
    return (int(match[1]), int(match[2])) if match else None
    # end


def check_who_and_where(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on names of every kind."""
    for name, expected in {
        "0002_c1s1_000451_03.jpg": (2, 1),
        "1501_c6s4_001902_01.jpg": (1501, 6),
        "0000_c3s2_019112_04.jpg": (0, 3),
        "-1_c5s1_000401_03.jpg": (-1, 5),
        "0005_c2_f0046985.jpg": (5, 2),
        "0044_c12s1_000001_00.png": (44, 12),
        "Thumbs.db": None,
        "readme_c1.txt": None,
    }.items():
        given = answer(name)
        if given is None or expected is None:
            right = given is None and expected is None
        else:
            right = isinstance(given, tuple) and [type(part) for part in given] == [int, int] and given == expected
        if not right:
            yield f"for {name} the answer is {expected}, not {given!r}."


def wrong_who_and_where_has_letters(name: str) -> Any:
    """Text instead of numbers."""
    match = re.match(r"(-?\d+)_c(\d+)", name)
    return (match[1], match[2]) if match else None


def wrong_who_and_where_forgets_junk(name: str) -> Any:
    """No minus sign."""
    match = re.match(r"(\d+)_c(\d+)", name)
    return (int(match[1]), int(match[2])) if match else None


def wrong_who_and_where_counts_letters(name: str) -> Any:
    """Fixed places in the name: junk has a shorter identity, and Thumbs.db none."""
    return int(name[:4]), int(name[6])


def wrong_who_and_where_knows_one_digit(name: str) -> Any:
    """A camera of two digits is cut."""
    match = re.match(r"(-?\d+)_c(\d)", name)
    return (int(match[1]), int(match[2])) if match else None


def wrong_who_and_where_wants_a_sequence(name: str) -> Any:
    """DukeMTMC-reID's names are refused."""
    match = re.match(r"(-?\d+)_c(\d+)s\d", name)
    return (int(match[1]), int(match[2])) if match else None


def positive_share(pids):
    """Share of all pairs of two different images of a batch that show one person, 0..1.

    pids  (B,) identities of the batch's images; a pair is counted once, an image makes no pair with itself
    """
    # solution
    pids = np.asarray(pids)
    same = pids[:, None] == pids[None, :]
    images = len(pids)
    return float((same.sum() - images) / (images * (images - 1)))
    # end


def check_positive_share(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on batches of a few images."""
    for batch in ([1, 1, 2, 2], [1, 2, 3], [5, 5, 5], [1, 1, 1, 2], [7, 3, 7, 3, 7, 9]):
        pairs = list(combinations(batch, 2))
        expected = sum(a == b for a, b in pairs) / len(pairs)
        given = answer(np.array(batch))
        if given is None or not np.isclose(given, expected):
            yield (
                f"for the identities {batch} there are {len(pairs)} pairs, {sum(a == b for a, b in pairs)} of them of "
                f"one person: a share of {expected:.4f}, not {given}."
            )


def wrong_positive_share_counts_itself(pids: np.ndarray) -> float:
    """Every image is paired with itself, too."""
    return float((pids[:, None] == pids[None, :]).mean())


def wrong_positive_share_counts_neighbors(pids: np.ndarray) -> float:
    """Only pairs of neighbors in the batch."""
    return float((pids[1:] == pids[:-1]).mean())


def wrong_positive_share_divides_by_images(pids: np.ndarray) -> float:
    """Positive pairs per image."""
    return float((np.triu(pids[:, None] == pids[None, :], 1)).sum() / len(pids))


def rectangle(size, area, aspect):
    """Height and width in pixels (two ints) of the rectangle that random erasing would erase, or None.

    size    (height, width) of the image, in pixels
    area    share of the image's area that the rectangle covers, 0..1
    aspect  height / width of the rectangle

    Both sides are rounded to the nearest pixel. None unless the rectangle is lower and narrower than the image:
    random erasing then draws another.
    """
    # solution
    pixels = area * size[0] * size[1]
    height, width = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
    return (height, width) if height < size[0] and width < size[1] else None
    # end


def check_rectangle(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on rectangles that can be drawn on squared paper."""
    for size, area, aspect, expected in (
        ((100, 100), 0.25, 1.0, (50, 50)),
        ((100, 100), 0.16, 4.0, (80, 20)),
        ((100, 100), 0.16, 0.25, (20, 80)),
        ((256, 128), 0.02, 1.0, (26, 26)),
        ((256, 128), 0.4, 0.3, None),  # 209 wide
        ((256, 128), 0.4, 3.33, (209, 63)),
        ((100, 100), 0.5, 2.0, None),  # 100 high: as high as the image
        ((100, 50), 0.5, 0.5, None),  # 71 wide, and the image only 50
    ):
        given = answer(size, area, aspect)
        wanted = "None (it does not fit)" if expected is None else str(expected)
        if (given is None) != (expected is None) or (expected is not None and tuple(given) != expected):
            yield f"in an image of {size[0]} x {size[1]}, area {area} and aspect {aspect} give {wanted}, not {given}."


def wrong_rectangle_is_upside_down(size: tuple[int, int], area: float, aspect: float) -> Any:
    """Aspect as width / height."""
    return rectangle(size, area, 1 / aspect)


def wrong_rectangle_forgets_the_root(size: tuple[int, int], area: float, aspect: float) -> Any:
    """Area shares of both sides."""
    height, width = round(size[0] * area * aspect), round(size[1] * area / aspect)
    return (height, width) if height < size[0] and width < size[1] else None


def wrong_rectangle_cuts_what_is_too_large(size: tuple[int, int], area: float, aspect: float) -> Any:
    """Clipped to the image instead of refused."""
    pixels = area * size[0] * size[1]
    return min(size[0], round((pixels * aspect) ** 0.5)), min(size[1], round((pixels / aspect) ** 0.5))


def wrong_rectangle_may_fill_the_image(size: tuple[int, int], area: float, aspect: float) -> Any:
    """As high as the image is allowed."""
    pixels = area * size[0] * size[1]
    height, width = round((pixels * aspect) ** 0.5), round((pixels / aspect) ** 0.5)
    return (height, width) if height <= size[0] and width <= size[1] else None
