"""The one thing this package can draw: a tube.

A tube is a straight axis in the image with a radius that varies along it, given as a table. Limbs, torsos,
heads, skirts, bags, cars and tree trunks are all tubes; bushes are tubes with a rough edge. Drawing writes a
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
ALONG = _MIDDLES  # position of a table's entries along the tube, 0 at its start, 1 at its end

# A texture maps (across: -1 .. 1 from left to right, toward: 0 .. 1 how much the surface faces us,
# along: 0 .. 1 from the start of the tube to its end) to material numbers.
Texture = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def table(*points: tuple[float, float]) -> np.ndarray:
    """A table of STEPS entries through the given (place in 0 .. 1, value) points, straight between them."""
    values = np.empty(STEPS, np.float32)
    for entry, place in enumerate(_MIDDLES.tolist()):
        before, after = points[0], points[-1]
        for left, right in zip(points, points[1:], strict=False):
            if left[0] <= place <= right[0]:
                before, after = left, right
                break
        gap = after[0] - before[0]
        values[entry] = before[1] + (after[1] - before[1]) * ((place - before[0]) / gap if gap > 0 else 0.0)
    return values


def rounded(power: int = 1) -> np.ndarray:
    """Radius table of an ellipse (power 1) or a box with ever tighter corners (2, 3), 1 at its widest."""
    centerd = _MIDDLES * f32(2.0) - f32(1.0)
    square = centerd * centerd
    for _ in range(power - 1):
        square = square * square
    return np.sqrt(f32(1.0) - square)


@dataclass(slots=True)
class Tube:
    """A tube in samples of the canvas; y points down; `radius` has STEPS entries."""

    x0: float
    y0: float
    x1: float
    y1: float
    depth: float  # larger is nearer to the camera
    radius: np.ndarray
    material: int
    texture: Texture | None = None
    light: float = 1.0
    shade: np.ndarray | None = field(default=None)  # STEPS entries: brightness along the tube
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
) -> Tube:
    """A tube from joint to joint with round ends of radius r0 and r1 (`flat`: the second end is cut)."""
    dx, dy = x1 - x0, y1 - y0
    length = math.sqrt(dx * dx + dy * dy)
    if length < 0.5:
        dx, dy, length = 0.0, 0.5, 0.5
    end = 0.0 if flat else r1
    total = length + r0 + end
    place = _MIDDLES * f32(total) - f32(r0)  # 0 at the first joint, `length` at the second
    inner = np.minimum(np.maximum(place, f32(0.0)), f32(length))
    radius = f32(r0) + inner * f32((r1 - r0) / length)
    beyond = place - inner
    radius = np.sqrt(np.maximum(radius * radius - beyond * beyond, f32(0.0)))
    if shape is not None:
        radius = radius * shape
    ux, uy = dx / length, dy / length
    return Tube(x0 - ux * r0, y0 - uy * r0, x1 + ux * end, y1 + uy * end, depth, radius, material, **more)


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
        tube: Tube,
        light: tuple[float, float, float],
        ambient: float,
        offset: int = 0,
        noise_at: tuple[int, int] = (0, 0),
    ) -> None:
        """Draw a tube over what is there. `light`: strengths from the right, from above, from the camera."""
        if tube.casts:
            self._darken_behind(tube)
        dx, dy = tube.x1 - tube.x0, tube.y1 - tube.y0
        length = math.sqrt(dx * dx + dy * dy)
        window = self._window(tube, float(tube.radius.max()) * (1.0 + tube.rough) + 1.0)
        if length < 0.25 or not window:
            return
        left, right, top, bottom = window
        ux, uy = dx / length, dy / length
        xs = self._xs[left:right] - f32(tube.x0)
        ys = self._ys[top:bottom] - f32(tube.y0)
        to_entry = STEPS / length
        entry = (xs * f32(ux * to_entry))[None, :] + (ys * f32(uy * to_entry))[:, None]
        index = entry.astype(np.int32)
        outside = (entry < f32(0.0)) | (entry >= f32(STEPS))
        across = (xs * f32(uy))[None, :] - (ys * f32(ux))[:, None]  # samples; positive to the right of a falling axis
        inverse = f32(1.0) / np.maximum(tube.radius, f32(1e-3))
        across *= inverse.take(index, mode="clip")
        square_across = across * across
        if tube.rough or tube.folds:
            y, x = noise_at[0] + top, noise_at[1] + left
            y, x = y % (self.noise.shape[0] - (bottom - top)), x % (self.noise.shape[1] - (right - left))
            noise = self.noise[y : y + bottom - top, x : x + right - left]
        if tube.rough:
            square_across += noise * f32(tube.rough)
            np.maximum(square_across, f32(0.0), out=square_across)
        inside = square_across < f32(1.0)
        inside &= ~outside
        toward = np.sqrt(np.maximum(f32(1.0) - square_across, f32(0.0)))
        sideways = light[0] * uy - light[1] * -ux  # the light along the tube's right-hand normal
        bright = across * f32(sideways * tube.light)
        bright += toward * f32(light[2] * tube.light)
        bright += f32(ambient * tube.light)
        if tube.folds:
            bright += noise * f32(tube.folds)
        if tube.shade is not None:
            bright *= tube.shade.take(index, mode="clip")
        np.copyto(self.brightness[top:bottom, left:right], bright, where=inside)
        target = self.material[top:bottom, left:right]
        if tube.texture is None:
            np.copyto(target, np.uint8(tube.material + offset), where=inside)
        else:
            material = tube.texture(across, toward, entry * f32(1.0 / STEPS))
            np.copyto(target, material + np.uint8(offset), where=inside)

    def _window(self, tube: Tube, reach: float) -> tuple[int, int, int, int] | None:
        """Left, right, top, bottom of the samples a tube can touch."""
        height, width = self.material.shape
        left = max(int(min(tube.x0, tube.x1) - reach), 0)
        right = min(int(max(tube.x0, tube.x1) + reach) + 2, width)
        top = max(int(min(tube.y0, tube.y1) - reach), 0)
        bottom = min(int(max(tube.y0, tube.y1) + reach) + 2, height)
        return (left, right, top, bottom) if left < right and top < bottom else None

    def _darken_behind(self, tube: Tube) -> None:
        """The soft shadow of an arm on a trunk or of a leg on the other: darker toward the tube's axis."""
        reach = float(tube.radius.max()) * 1.45
        window = self._window(tube, reach)
        if not window:
            return
        left, right, top, bottom = window
        dx, dy = tube.x1 - tube.x0, tube.y1 - tube.y0
        xs, ys = self._xs[left:right] - f32(tube.x0), self._ys[top:bottom] - f32(tube.y0)
        scale = f32(1.0 / (dx * dx + dy * dy + 1e-6))
        along = (xs * (f32(dx) * scale))[None, :] + (ys * (f32(dy) * scale))[:, None]
        along = np.minimum(np.maximum(along, f32(0.0)), f32(1.0))
        away_x, away_y = xs[None, :] - along * f32(dx), ys[:, None] - along * f32(dy)
        away = (away_x * away_x + away_y * away_y) * f32(1.0 / (reach * reach))
        dark = np.maximum(f32(1.0) - away, f32(0.0)) * f32(tube.casts)
        self.brightness[top:bottom, left:right] *= f32(1.0) - dark
