"""What counts as a whole number, a number or a size: one rule for all rooms, which word their own errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TypeGuard, cast


def is_whole(value: object, low: int) -> TypeGuard[int]:
    """Whether this is a whole number, Python's or NumPy's, of at least ``low``. A truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def is_number(value: object, low: float = -sys.float_info.max, high: float = sys.float_info.max) -> TypeGuard[float]:
    """Whether this is a finite number, Python's or NumPy's, from ``low`` to ``high``. A truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and bool(low <= cast(float, value) <= high)


def is_size(value: object, low: int = 1) -> bool:
    """Whether this is (height, width) in whole pixels, ``low`` or more of each."""
    return isinstance(value, Sequence) and len(value) == 2 and all(is_whole(side, low) for side in value)
