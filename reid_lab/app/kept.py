"""What is kept in memory between two clicks: the last used, within a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")


class Kept:
    """Values by key, of which the ones used longest ago are let go when all of them take too many bytes."""

    def __init__(self, limit: int) -> None:
        """Begin with nothing.

        Args:
            limit: Bytes that all values may take. One that is larger than that is kept alone.
        """
        self.limit = limit
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    @property
    def size(self) -> int:
        """The bytes of all values."""
        return sum(size for _, size in self._values.values())

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """Return the value of a key, made now if it is not kept.

        Args:
            key: What tells the value from others.
            make: Makes it.
            size: Says how many bytes it takes.
        """
        if key not in self._values:
            value = make()
            self._values[key] = value, size(value)
        self._values.move_to_end(key)
        while len(self._values) > 1 and self.size > self.limit:
            self._values.popitem(last=False)
        return self._values[key][0]
