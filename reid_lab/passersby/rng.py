"""Random draws and trigonometry that give the same bits on every machine.

Every image is a pure function of whole numbers (seed, identity, camera, frame ...): a `Draw` is made from
such a key and hands out numbers one by one. Floating point work in this package keeps to + - * / and square
roots of single values, whose results IEEE 754 fixes; so sines come from a polynomial made of those, not from
the C library.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")
TABLE = 4096  # entries of the sine table, one turn


def _taylor_sine(x: float) -> float:
    """Sine of x in [0, pi/2] from its Taylor polynomial: additions and products only."""
    term, total = x, x
    for n in range(1, 14):
        term = -term * x * x / ((2 * n) * (2 * n + 1))
        total += term
    return total


def _sine_table() -> list[float]:
    quarter = [_taylor_sine(1.5707963267948966 * k / (TABLE // 4)) for k in range(TABLE // 4 + 1)]
    half = quarter + quarter[-2::-1]
    return half[:-1] + [-value for value in half[:-1]]


_SINE = _sine_table()


def sine(turns: float) -> float:
    """Sine of an angle given in turns (1 turn = 360 degrees), from a table."""
    return _SINE[int(turns * TABLE + 1048576.5) % TABLE]


def cosine(turns: float) -> float:
    """Cosine of an angle given in turns."""
    return sine(turns + 0.25)


class Draw:
    """A stream of random numbers that depends on nothing but its key."""

    def __init__(self, *key: int) -> None:
        """Start a stream.

        Args:
            key: Whole numbers that say what is being drawn, for example (seed, stream, pid, camid).
        """
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([k + 1 for k in key])))
        self._drawn: list[float] = []

    def uniform(self) -> float:
        """A number in [0, 1)."""
        if not self._drawn:
            self._drawn = self.generator.random(32).tolist()
        return self._drawn.pop()

    def between(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.uniform()

    def triangular(self, spread: float) -> float:
        """A number in (-spread, spread), small ones more often (triangular)."""
        return spread * (self.uniform() + self.uniform() - 1.0)

    def bernoulli(self, probability: float) -> bool:
        """True with this probability."""
        return self.uniform() < probability

    def integer(self, count: int) -> int:
        """A whole number in 0 .. count - 1."""
        return int(self.uniform() * count)

    def choice(self, values: Sequence[T]) -> T:
        """One of the values, each as likely as the others."""
        return values[self.integer(len(values))]

    def weighted(self, weights: dict[T, int]) -> T:
        """One of the keys, as often as its whole-number weight says."""
        left = self.integer(sum(weights.values()))
        for value, weight in weights.items():
            left -= weight
            if left < 0:
                return value
        raise AssertionError("weights are positive")

    def permutation(self, values: Sequence[T]) -> list[T]:
        """The values in random order (Fisher and Yates)."""
        mixed = list(values)
        for last in range(len(mixed) - 1, 0, -1):
            other = self.integer(last + 1)
            mixed[last], mixed[other] = mixed[other], mixed[last]
        return mixed

    def array(self, *shape: int) -> np.ndarray:
        """Numbers in [0, 1), float32, of this shape."""
        return self.generator.random(shape).astype(np.float32)


def value_noise(draw: Draw, height: int, width: int, cell_height: int, cell_width: int) -> np.ndarray:
    """Smooth noise in [0, 1), (height, width) float32: a lattice of random numbers, blended linearly between."""
    lattice = draw.array(height // cell_height + 2, width // cell_width + 2)
    rows, columns = np.arange(height), np.arange(width)
    top, left = rows // cell_height, columns // cell_width
    down = ((rows - top * cell_height) / np.float32(cell_height)).astype(np.float32)[:, None]
    right = ((columns - left * cell_width) / np.float32(cell_width)).astype(np.float32)[None, :]
    upper, lower = lattice[top], lattice[top + 1]
    tall = upper + (lower - upper) * down  # (height, lattice width)
    return tall[:, left] + (tall[:, left + 1] - tall[:, left]) * right
