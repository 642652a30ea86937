"""A scene to paint on: its ground, walls and props. Coordinates are meters: across, away (distance), up.

Everything is arithmetic on single pixels and seeded draws; nothing here depends on the machine.
"""

from __future__ import annotations

import numpy as np

from reid_lab.passersby.raster import Canvas, Cylinder
from reid_lab.passersby.rng import Draw, value_noise

f32 = np.float32
HEIGHT, WIDTH = 440, 1180  # pixels of a scene
HORIZON = 46  # row
FOCAL = 900.0  # pixels; only the ratio to distances matters
Color = tuple[float, float, float]


def sensor_noise(seed: int, stream: int) -> np.ndarray:
    """Grain, a little coarser than a pixel, partly shared by the colors: (448, 448, 3), deviation near 1."""
    draw = Draw(seed, stream, 1)
    grain = draw.array(449, 449, 3) + draw.array(449, 449, 3) - f32(1.0)
    shared = draw.array(449, 449, 1) + draw.array(449, 449, 1) - f32(1.0)
    mixed = grain * f32(0.8) + shared * f32(1.3)
    return np.ascontiguousarray((mixed[1:, 1:] + mixed[:-1, 1:] * f32(0.5) + mixed[1:, :-1] * f32(0.5)) * f32(1.3))


def fold_noise(seed: int, stream: int) -> np.ndarray:
    """Folds of cloth: noise stretched downward at two sizes, in [-1, 1]. (640, 640)."""
    draw = Draw(seed, stream, 2)
    coarse = value_noise(draw, 640, 640, 22, 9)
    fine = value_noise(draw, 640, 640, 8, 5)
    return (coarse * f32(1.3) + fine * f32(0.7) - f32(1.0)).astype(np.float32)


class Scene:
    """A scene being painted: the ground plane, upright walls, and props standing on the ground."""

    def __init__(self, key: int, camera_height: float, front_scale: float) -> None:
        """`front_scale`: pixels per meter where the front layer stands."""
        self.draw = Draw(key, 31)
        self.camera_height, self.front_scale = camera_height, front_scale
        self.image = np.zeros((HEIGHT, WIDTH, 3), np.float32)
        self.rows = np.arange(HEIGHT, dtype=np.float32)[:, None]
        self.columns = np.arange(WIDTH, dtype=np.float32)[None, :] - f32(WIDTH / 2)
        self.fine = value_noise(self.draw, HEIGHT, WIDTH, 2, 3)
        self.middle = value_noise(self.draw, HEIGHT, WIDTH, 7, 12)
        self.coarse = value_noise(self.draw, HEIGHT, WIDTH, 30, 60)
        below = np.maximum(self.rows - f32(HORIZON), f32(1.0))
        self.away = f32(FOCAL * camera_height) / below  # (H, 1) meters
        self.across = self.columns * (self.away / f32(FOCAL))  # (H, W) meters
        self.is_ground = self.rows > HORIZON  # (H, 1)
        self.canvas = Canvas(HEIGHT, WIDTH, self.middle * f32(2.0) - f32(1.0))
        self.front_canvas = Canvas(HEIGHT, WIDTH, self.middle * f32(2.0) - f32(1.0))
        self.colors: list[Color] = [(0, 0, 0)]
        self.light, self.ambient = (0.2, 0.25, 0.15), 0.62

    def row(self, scale: float) -> float:
        """Row of the ground where a meter measures `scale` pixels."""
        return HORIZON + scale * self.camera_height

    # --- surfaces ---
    def ground(self, color: Color, where: np.ndarray | None = None, rough: float = 0.16) -> None:
        """Cover the ground, or a region of it, with a mottled color."""
        region = self.is_ground if where is None else self.is_ground & where
        mottle = f32(1.0 - rough) + (self.fine * f32(0.5) + self.middle * f32(0.7) + self.coarse * f32(0.8)) * f32(
            rough
        )
        paint = mottle[..., None] * np.array(color, np.float32)
        np.copyto(self.image, paint, where=(region & np.ones((1, WIDTH), bool))[..., None])

    def tiles(
        self, size: float, dark: float, where: np.ndarray | None = None, longer: float = 1.0, uneven: float = 0.06
    ) -> None:
        """Paving stones of `size` meters, uneven in brightness, and joints that fade with distance."""
        over, down = self.across / f32(size * longer), self.away / f32(size) + f32(0.13)
        row = np.floor(down)
        over = over + (row - np.floor(row * f32(0.5)) * f32(2.0)) * f32(0.5)
        pixel = self.away / f32(FOCAL * size)  # a pixel, in stones
        column = np.floor(over)
        joint = ((over - column) < np.maximum(pixel * f32(1.1), f32(0.03))) | ((down - row) < pixel * f32(5.0))
        fade = np.minimum(f32(0.10) / pixel, f32(1.0)) * f32(dark)
        number = (column * f32(7.0) + row * f32(13.0)) * f32(0.173)
        stone = number - np.floor(number)
        times = (f32(1.0 - uneven / 2) + stone * f32(uneven)) * (f32(1.0) - joint * fade)
        region = self.is_ground if where is None else self.is_ground & where
        self.image *= np.where(region, times, f32(1.0))[..., None]

    def band(self, across: tuple[float, float] | None = None, away: tuple[float, float] | None = None) -> np.ndarray:
        """A region of the ground between two lines across or along, meters."""
        inside = np.ones((HEIGHT, WIDTH), bool)
        if across:
            inside &= (self.across > f32(across[0])) & (self.across < f32(across[1]))
        if away:
            inside &= (self.away > f32(away[0])) & (self.away < f32(away[1]))
        return inside

    def darken(self, where: np.ndarray, times: float) -> None:
        """Shade a region."""
        self.image *= np.where(where, f32(times), f32(1.0))[..., None]

    def sky(self, color: Color) -> None:
        """Everything above the ground."""
        self.image += np.where(self.is_ground, f32(0.0), f32(1.0))[..., None] * np.array(color, np.float32)

    def wall(
        self,
        away: float,
        color: Color,
        left: float = -99.0,
        right: float = 99.0,
        top: float = 99.0,
        foot: float = 0.0,
        rough: float = 0.08,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """An upright wall `away` meters; returns (across, up, region) for what is on it."""
        scale = FOCAL / away
        over = self.columns / f32(scale) + np.zeros((HEIGHT, 1), np.float32)
        up = f32(self.camera_height) - (self.rows - f32(HORIZON)) / f32(scale) + np.zeros((1, WIDTH), np.float32)
        region = (up > f32(foot)) & (up < f32(top)) & (over > f32(left)) & (over < f32(right))
        mottle = f32(1.0 - rough) + (self.middle * f32(0.6) + self.coarse * f32(1.4)) * f32(rough)
        np.copyto(self.image, mottle[..., None] * np.array(color, np.float32), where=region[..., None])
        return over, up, region

    def bricks(
        self,
        over: np.ndarray,
        up: np.ndarray,
        region: np.ndarray,
        size: tuple[float, float] = (0.5, 0.2),
        strength: float = 0.2,
    ) -> None:
        """Courses of bricks, each a little different."""
        down = up / f32(size[1])
        row = np.floor(down)
        along = over / f32(size[0]) + (row - np.floor(row * f32(0.5)) * f32(2.0)) * f32(0.5)
        column = np.floor(along)
        number = (column * f32(5.0) + row * f32(11.0)) * f32(0.217)
        brick = number - np.floor(number)
        joint = ((down - row) < f32(0.22)) | ((along - column) < f32(0.10))
        times = f32(1.0 - strength / 2) + brick * f32(strength) + joint * f32(0.12)
        self.image *= np.where(region, times, f32(1.0))[..., None]

    def boards(self, over: np.ndarray, region: np.ndarray, size: float, dark: float, uneven: float = 0.12) -> None:
        """Upright boards or ribs of `size` meters, each a little different, with joints darker by `dark`."""
        along = over / f32(size)
        column = np.floor(along)
        number = column * f32(0.377)
        board = f32(1.0 - uneven / 2) + (number - np.floor(number)) * f32(uneven)
        joint = ((along - column) < f32(0.16)).astype(np.float32)
        self.image *= np.where(region, board * (f32(1.0) - joint * f32(dark)), f32(1.0))[..., None]

    def panes(
        self,
        over: np.ndarray,
        up: np.ndarray,
        region: np.ndarray,
        first: tuple[float, float],
        pitch: tuple[float, float],
        share: tuple[float, float],
        color: Color,
        vary: float = 0.35,
    ) -> None:
        """Windows in a grid: from a first corner (across, up), a pitch, and the share of it that is glass."""
        along, high = (over - f32(first[0])) / f32(pitch[0]), (up - f32(first[1])) / f32(pitch[1])
        column, row = np.floor(along), np.floor(high)
        x, y = along - column, high - row
        glass = region & (x < f32(share[0])) & (y < f32(share[1])) & (high >= 0)
        number = (column * f32(3.0) + row * f32(17.0)) * f32(0.311)
        bright = (
            f32(1.0 - vary)
            + (number - np.floor(number)) * f32(2 * vary) * f32(0.6)
            + (y + self.coarse) * f32(vary * 0.6)
        )
        np.copyto(self.image, bright[..., None] * np.array(color, np.float32), where=glass[..., None])
        frame = glass & (
            (x < f32(0.05)) | (y < f32(0.05)) | ((x > f32(share[0] * 0.5 - 0.02)) & (x < f32(share[0] * 0.5 + 0.02)))
        )
        self.image *= np.where(frame, f32(0.6), f32(1.0))[..., None]

    # --- props ---
    def color(self, color: Color) -> int:
        """The material number of a color."""
        self.colors.append(color)
        return len(self.colors) - 1

    def put(self, cylinder: Cylinder, front: bool = False) -> None:
        """Draw a cylinder given in scene pixels."""
        at = (self.draw.integer(200), self.draw.integer(200))
        (self.front_canvas if front else self.canvas).draw(cylinder, self.light, self.ambient, 0, at)

    def spot(self, across: float, scale: float) -> tuple[float, float]:
        """Scene pixel of a point on the ground."""
        return WIDTH / 2 + across * scale, self.row(scale)

    # --- finishing ---
    def flush(self) -> None:
        """Paint what has been put on the back canvas into the image, so that later props go over it."""
        drawn = self.canvas.material > 0
        paint = np.array(self.colors, np.float32)[self.canvas.material] * self.canvas.brightness[..., None]
        np.copyto(self.image, paint, where=drawn[..., None])
        self.canvas.material[:] = 0

    def layers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The finished scene: back (H, W, 3), front (H, W, 3), opacity of the front (H, W), all uint8."""
        self.flush()
        front = np.array(self.colors, np.float32)[self.front_canvas.material] * self.front_canvas.brightness[..., None]
        drawn = (self.front_canvas.material > 0).astype(np.float32)[..., None]
        alpha = soften(drawn)
        front = soften(front * drawn) / np.maximum(alpha, f32(1e-3))
        return to_bytes(soften(self.image)), to_bytes(front), to_bytes(alpha[..., 0] * f32(255.0))


def soften(image: np.ndarray) -> np.ndarray:
    """Blur by 1 2 1 along both axes, float32 (H, W, C)."""
    for axis in (0, 1):
        first = image[:1] if axis == 0 else image[:, :1]
        last = image[-1:] if axis == 0 else image[:, -1:]
        padded = np.concatenate([first, image, last], axis)
        before, after = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
        image = image * f32(0.5) + (before + after) * f32(0.25)
    return image


def to_bytes(image: np.ndarray) -> np.ndarray:
    """Rounded to whole numbers in 0 .. 255."""
    return np.minimum(np.maximum(image + f32(0.5), f32(0.0)), f32(255.0)).astype(np.uint8)
