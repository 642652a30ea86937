"""What counts as a whole number, a number, a choice or a size: one rule and one sentence for all rooms.

``is_...`` answer; :func:`whole`, :func:`number`, :func:`one_of` and :func:`size` return the value or raise an error,
whose sentence always has the form "NAME is VALUE, but it must be WHAT."
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard, TypeVar, cast

from reid_lab.runtime.errors import RecipeError, ReidLabError

Choice = TypeVar("Choice")
LARGEST = sys.float_info.max


def is_whole(value: object, low: int) -> TypeGuard[int]:
    """Whether this is a whole number, Python's or NumPy's, of at least ``low``. A truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def is_number(value: object, low: float = -LARGEST, high: float = LARGEST) -> TypeGuard[float]:
    """Whether this is a finite number, Python's or NumPy's, from ``low`` to ``high``. A truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool) and bool(low <= cast(float, value) <= high)


def is_size(value: object, low: int = 1) -> bool:
    """Whether this is (height, width) in whole pixels, ``low`` or more of each."""
    return isinstance(value, Sequence) and len(value) == 2 and all(is_whole(side, low) for side in value)


def whole(name: str, value: object, low: int, error: type[ReidLabError] = RecipeError) -> int:
    """Check that a value is a whole number of at least ``low``.

    Args:
        name: What the error calls the value.
        value: The value to check.
        low: The smallest number allowed.
        error: The class of the error.

    Returns:
        The value as Python's int.

    Raises:
        ReidLabError: The value is something else; of the class ``error``.
    """
    if not is_whole(value, low):
        raise must_be(name, value, f"a whole number from {low}", error)
    return int(value)


def number(
    name: str, value: object, low: float, high: float | None = None, error: type[ReidLabError] = RecipeError
) -> float:
    """Check that a value is a finite number from ``low`` to ``high``.

    Args:
        name: What the error calls the value.
        value: The value to check.
        low: The smallest number allowed.
        high: The largest number allowed. None: any.
        error: The class of the error.

    Returns:
        The value as it was given.

    Raises:
        ReidLabError: The value is something else; of the class ``error``.
    """
    if not is_number(value, low, LARGEST if high is None else high):
        raise must_be(name, value, f"a number from {low}" + ("" if high is None else f" to {high}"), error)
    return value


def one_of(name: str, value: Any, choices: Collection[Choice], error: type[ReidLabError] = RecipeError) -> Choice:
    """Check that a value is one of the choices.

    Args:
        name: What the error calls the value.
        value: The value to check; also one that cannot be hashed.
        choices: The values allowed.
        error: The class of the error.

    Returns:
        The value as it was given.

    Raises:
        ReidLabError: The value is none of the choices; of the class ``error``.
    """
    if value not in list(choices):
        raise must_be(name, value, f"one of {', '.join(map(repr, choices))}", error)
    return value


def size(name: str, value: Any, low: int = 1, error: type[ReidLabError] = RecipeError) -> tuple[int, int]:
    """Check that a value is (height, width) in whole pixels.

    Args:
        name: What the error calls the value.
        value: The value to check.
        low: The smallest height and width allowed.
        error: The class of the error.

    Returns:
        Height and width as Python's ints.

    Raises:
        ReidLabError: The value is something else; of the class ``error``.
    """
    if not is_size(value, low):
        least = "" if low == 1 else f" of at least {low} each"
        raise must_be(name, value, f"(height, width) in whole pixels{least}", error)
    return int(value[0]), int(value[1])


def must_be(name: str, value: object, what: str, error: type[ReidLabError]) -> ReidLabError:
    """Make the error that says what a value must be."""
    return error(f"{name} is {value!r}, but it must be {what}.")
