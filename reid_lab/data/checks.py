"""What a caller gives: whole numbers, and sizes of images."""

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Whether this is a whole number, Python's or numpy's, of at least ``least``."""
    return isinstance(value, int | np.integer) and bool(value >= least)


def is_size(value: object) -> bool:
    """Whether this is (height, width) in whole pixels, 1 or more of each."""
    return isinstance(value, Sequence) and len(value) == 2 and all(is_whole(length, 1) for length in value)
