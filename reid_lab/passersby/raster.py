"""The one primitive shape that this package draws: a generalized cylinder.

A cylinder is a straight axis in the image with a radius that varies along it, given as a table. Limbs, torsos,
heads, skirts, bags, cars and tree trunks are all cylinders; bushes are cylinders with a rough edge. Drawing writes a
material number and a brightness per sample; colors come later, from a palette. Only + - * / sqrt,
comparisons and table look-ups.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

f32 = np.float32
STEPS = 64  # entries of a radius table
_MIDDLES = ((np.arange(STEPS) + 0.5) / STEPS).astype(np.float32)
ALONG = _MIDDLES  # position of a table's entries along the cylinder, 0 at its start, 1 at its end

# A texture maps (across: -1 .. 1 from left to right, toward: 0 .. 1 how much the surface faces us,
# along: 0 .. 1 from the start of the cylinder to its end) to material numbers.
Texture = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def table(*points: tuple[float, float]) -> np.ndarray:
    """Make a table of STEPS entries through the given (position in 0 .. 1, value) points, straight between them."""
    values = np.empty(STEPS, np.float32)
    for entry, position in enumerate(_MIDDLES.tolist()):
        before, after = points[0], points[-1]
        for left, right in zip(points, points[1:], strict=False):
            if left[0] <= position <= right[0]:
                before, after = left, right
                break
        gap = after[0] - before[0]
        values[entry] = before[1] + (after[1] - before[1]) * ((position - before[0]) / gap if gap > 0 else 0.0)
    return values


def rounded(power: int = 1) -> np.ndarray:
    """Make the radius table of an ellipse (power 1) or a box with ever tighter corners (2, 3), 1 at its widest."""
    centerd = _MIDDLES * f32(2.0) - f32(1.0)
    square = centerd * centerd
    for _ in range(power - 1):
        square = square * square
    return np.sqrt(f32(1.0) - square)


@dataclass(slots=True)
class Cylinder:
    """A cylinder in samples of the canvas; y points down; `radius` has STEPS entries."""

    x0: float
    y0: float
    x1: float
    y1: float
    depth: float  # larger is nearer to the camera
    radius: np.ndarray
    material: int
    texture: Texture | None = None
    light: float = 1.0
    shade: np.ndarray | None = field(default=None)  # STEPS entries: brightness along the cylinder
    rough: float = 0.0
    folds: float = 0.0
    casts: float = 0.0  # how much it darkens what lies just behind its edge


def limb(
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    depth: float,
    r0: float,
    r1: float,
    material: int,
    shape: np.ndarray | None = None,
    flat: bool = False,
    **more: Any,
) -> Cylinder:
    """Make a cylinder from joint (x0, y0) to joint (x1, y1), in samples, with round ends of radius r0 and r1.

    ``shape`` (STEPS,) is multiplied with the radius; ``flat`` cuts the second end; all else are fields of `Cylinder`.
    """
    dx, dy = x1 - x0, y1 - y0
    length = math.sqrt(dx * dx + dy * dy)
    if length < 0.5:
        dx, dy, length = 0.0, 0.5, 0.5
    end = 0.0 if flat else r1
    total = length + r0 + end
    position = _MIDDLES * f32(total) - f32(r0)  # 0 at the first joint, `length` at the second
    inner = np.minimum(np.maximum(position, f32(0.0)), f32(length))
    radius = f32(r0) + inner * f32((r1 - r0) / length)
    beyond = position - inner
    radius = np.sqrt(np.maximum(radius * radius - beyond * beyond, f32(0.0)))
    if shape is not None:
        radius = radius * shape
    ux, uy = dx / length, dy / length
    return Cylinder(x0 - ux * r0, y0 - uy * r0, x1 + ux * end, y1 + uy * end, depth, radius, material, **more)


class Canvas:
    """Samples of an image: a material number (0: nothing drawn) and a brightness each."""

    def __init__(self, height: int, width: int, noise: np.ndarray) -> None:
        """`noise`: float32 in [-1, 1], larger than the canvas; folds and rough edges come from it."""
        self.material = np.zeros((height, width), np.uint8)
        self.brightness = np.ones((height, width), np.float32)
        self.noise = noise
        self._xs = np.arange(width, dtype=np.float32) + f32(0.5)
        self._ys = np.arange(height, dtype=np.float32) + f32(0.5)

    def draw(
        self,
        cylinder: Cylinder,
        light: tuple[float, float, float],
        ambient: float,
        offset: int = 0,
        noise_at: tuple[int, int] = (0, 0),
    ) -> None:
        """Draw a cylinder over what is there.

        Args:
            cylinder: What to draw, in samples of this canvas.
            light: The strengths of the light from the right, from above and from the camera.
            ambient: The strength of the light from everywhere.
            offset: Is added to all material numbers.
            noise_at: The row and column of the noise from which folds and rough edges are taken.
        """
        if cylinder.casts:
            self._darken_behind(cylinder)
        ux, uy, length = _axis(cylinder)
        window = self._window(cylinder, float(cylinder.radius.max()) * (1.0 + cylinder.rough) + 1.0)
        if length < 0.25 or not window:
            return
        noise = self._noise(window, noise_at) if cylinder.rough or cylinder.folds else None
        entry, across = self._coordinates(cylinder, window, (ux, uy), STEPS / length)
        index = entry.astype(np.int32)
        across *= (f32(1.0) / np.maximum(cylinder.radius, f32(1e-3))).take(index, mode="clip")
        square_across = across * across
        if noise is not None and cylinder.rough:
            square_across = np.maximum(square_across + noise * f32(cylinder.rough), f32(0.0))
        inside = square_across < f32(1.0)
        inside &= ~((entry < f32(0.0)) | (entry >= f32(STEPS)))
        toward = np.sqrt(np.maximum(f32(1.0) - square_across, f32(0.0)))
        sideways = light[0] * uy + light[1] * ux  # the light along the cylinder's right-hand normal
        bright = _shading(cylinder, across, toward, (sideways, ambient, light[2]), noise, index)
        region = slice(*window[2:]), slice(*window[:2])
        np.copyto(self.brightness[region], bright, where=inside)
        along = entry * f32(1.0 / STEPS)
        material = cylinder.texture(across, toward, along) if cylinder.texture else np.uint8(cylinder.material)
        np.copyto(self.material[region], material + np.uint8(offset), where=inside)

    def _noise(self, window: tuple[int, int, int, int], noise_at: tuple[int, int]) -> np.ndarray:
        """The part of the noise that lies over a window."""
        left, right, top, bottom = window
        y, x = noise_at[0] + top, noise_at[1] + left
        y, x = y % (self.noise.shape[0] - (bottom - top)), x % (self.noise.shape[1] - (right - left))
        return self.noise[y : y + bottom - top, x : x + right - left]

    def _coordinates(
        self, cylinder: Cylinder, window: tuple[int, int, int, int], axis: tuple[float, float], to_entry: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where each sample lies: along the axis in entries of the tables, and across it in samples.

        Across is positive to the right of an axis that points down.
        """
        (left, right, top, bottom), (ux, uy) = window, axis
        xs = self._xs[left:right] - f32(cylinder.x0)
        ys = self._ys[top:bottom] - f32(cylinder.y0)
        entry = (xs * f32(ux * to_entry))[None, :] + (ys * f32(uy * to_entry))[:, None]
        return entry, (xs * f32(uy))[None, :] - (ys * f32(ux))[:, None]

    def _window(self, cylinder: Cylinder, reach: float) -> tuple[int, int, int, int] | None:
        """Left, right, top, bottom of the samples a cylinder can touch."""
        height, width = self.material.shape
        left = max(int(min(cylinder.x0, cylinder.x1) - reach), 0)
        right = min(int(max(cylinder.x0, cylinder.x1) + reach) + 2, width)
        top = max(int(min(cylinder.y0, cylinder.y1) - reach), 0)
        bottom = min(int(max(cylinder.y0, cylinder.y1) + reach) + 2, height)
        return (left, right, top, bottom) if left < right and top < bottom else None

    def _darken_behind(self, cylinder: Cylinder) -> None:
        """The soft shadow of an arm on a trunk or of a leg on the other: darker toward the cylinder's axis."""
        reach = float(cylinder.radius.max()) * 1.45
        window = self._window(cylinder, reach)
        if not window:
            return
        left, right, top, bottom = window
        dx, dy = cylinder.x1 - cylinder.x0, cylinder.y1 - cylinder.y0
        xs, ys = self._xs[left:right] - f32(cylinder.x0), self._ys[top:bottom] - f32(cylinder.y0)
        scale = f32(1.0 / (dx * dx + dy * dy + 1e-6))
        along = (xs * (f32(dx) * scale))[None, :] + (ys * (f32(dy) * scale))[:, None]
        along = np.minimum(np.maximum(along, f32(0.0)), f32(1.0))
        away_x, away_y = xs[None, :] - along * f32(dx), ys[:, None] - along * f32(dy)
        away = (away_x * away_x + away_y * away_y) * f32(1.0 / (reach * reach))
        dark = np.maximum(f32(1.0) - away, f32(0.0)) * f32(cylinder.casts)
        self.brightness[top:bottom, left:right] *= f32(1.0) - dark


def _axis(cylinder: Cylinder) -> tuple[float, float, float]:
    """The direction of the axis, a unit vector, and its length in samples."""
    dx, dy = cylinder.x1 - cylinder.x0, cylinder.y1 - cylinder.y0
    length = math.sqrt(dx * dx + dy * dy)
    return (dx / length, dy / length, length) if length else (0.0, 0.0, 0.0)


def _shading(
    cylinder: Cylinder,
    across: np.ndarray,
    toward: np.ndarray,
    light: tuple[float, float, float],
    noise: np.ndarray | None,
    index: np.ndarray,
) -> np.ndarray:
    """The brightness of each sample; ``light``: strengths from the side, from everywhere, from the camera."""
    sideways, ambient, frontal = light
    bright = across * f32(sideways * cylinder.light)
    bright += toward * f32(frontal * cylinder.light)
    bright += f32(ambient * cylinder.light)
    if noise is not None and cylinder.folds:
        bright += noise * f32(cylinder.folds)
    if cylinder.shade is not None:
        bright *= cylinder.shade.take(index, mode="clip")
    return bright
