"""Where people walk: the six cameras of a town, each with its scene, height, light, color and lens.

A scene is painted once per process, in the coordinates of the world (meters across, meters away, meters up),
as two layers: `back`, and `front`, the props that stand between the two paths people take. People on the far
path pass behind the front layer, people on the near path before it. So occluders, like backgrounds, belong to
a camera.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from reid_lab.passersby import scenery
from reid_lab.passersby.scenery import Scene
from reid_lab.passersby.town import Camera, Town
from reid_lab.passersby.towns.city import CITY

CAMERAS = 6  # of every town
SPECS = CITY.cameras
PLACE_STREAM, NOISE_STREAM = 21, 22
COLOR_STRENGTH = 0.75  # of the cameras' color casts, contrast and saturation; 0 makes all cameras alike


class CameraScene:
    """The scene of a camera, as painted for a data set of a town: two layers, uint8 (H, W, 3), and their mix."""

    def __init__(self, seed: int, camid: int, town: Town = CITY) -> None:
        """Paint the scene of camera ``camid`` (from 1) for a data set's seed."""
        self.camera = town.cameras[camid - 1]
        scene = Scene((town.first_seed + seed) * CAMERAS + camid, self.camera.height, 90.0)
        self.camera.paint(scene)
        self.back, self.front, self.alpha = scene.layers()  # uint8 (H, W, 3), uint8 (H, W, 3), uint8 (H, W)
        veil = self.alpha.astype(np.float32)[..., None] * np.float32(1.0 / 255.0)
        both = self.back + (self.front - self.back.astype(np.float32)) * veil
        self.both = scenery.to_bytes(both)  # what people on the near path walk before

    def ground(self, scale: float) -> float:
        """The scene row where somebody stands who measures `scale` pixels per meter."""
        return scenery.HORIZON + scale * self.camera.height


@lru_cache(maxsize=CAMERAS)
def camera_scene(seed: int, camid: int, town: Town = CITY) -> CameraScene:
    """A camera's scene, painted once per process."""
    return CameraScene(seed, camid, town)


def tone(camera: Camera, exposure: float, warmth: float) -> np.ndarray:
    """Compute what the camera makes of brightness.

    Args:
        camera: The camera.
        exposure: The light of the hour, around 0.
        warmth: Its tint, around 0.

    Returns:
        Float32 (3, 1024): tables from scene value x 4 to image value.
    """
    f32 = np.float32
    strength = f32(COLOR_STRENGTH)
    x = np.arange(1024, dtype=np.float32) / f32(1020.0)
    tables = np.empty((3, 1024), np.float32)
    for channel, (gain, tilt) in enumerate(zip(camera.gain, (1.0, 0.1, -1.0), strict=True)):
        value = x * (f32(1.0) + strength * f32(gain - 1.0)) * f32((1.0 + exposure) * (1.0 + warmth * tilt))
        lift = strength * f32(camera.lift)
        value = value * (f32(1.0) + lift) / (f32(1.0) + lift * value)
        value = np.minimum(value, f32(1.0))
        value = value + strength * f32(camera.contrast) * (value * value * (f32(3.0) - f32(2.0) * value) - value)
        tables[channel] = value * f32(255.0)
    return tables


@lru_cache(maxsize=2)
def noises(seed: int, town: Town = CITY) -> tuple[np.ndarray, np.ndarray]:
    """Draw sensor noise (448, 448, 3) and folds of cloth (640, 640) for a data set: float32 around 0."""
    number = town.first_seed + seed
    return scenery.sensor_noise(number, NOISE_STREAM), scenery.fold_noise(number, NOISE_STREAM)
