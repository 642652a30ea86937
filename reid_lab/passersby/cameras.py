"""Where people walk: six cameras, each with its scene, height, light, color and lens.

A scene is painted once per process, in the coordinates of the world (meters across, meters away, meters up),
as two layers: `back`, and `front`, the props that stand between the two paths people take. People on the far
path pass behind the front layer, people on the near path before it. So occluders, like backgrounds, belong to
a camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from reid_lab.passersby import scenery, scenes
from reid_lab.passersby.scenery import Scene

CAMERAS = 6
PLACE_STREAM, NOISE_STREAM = 21, 22
COLOR_STRENGTH = 0.75  # of the cameras' color casts, contrast and saturation; 0 makes all cameras alike


@dataclass(frozen=True)
class Camera:
    """A camera: mount and lens, light, color. Lengths in meters, scales in scene pixels per meter."""

    height: float
    pitch: float  # turns, at the people
    far: tuple[float, float]  # scale of the far path, scene pixels per meter
    near: tuple[float, float]
    sun: tuple[float, float, float]  # light from the right, from above, from the camera
    ambient: float
    shadow: tuple[float, float, float]  # direction on the ground per meter of height (right, away), darkness
    gain: tuple[float, float, float]
    contrast: float  # S-curve mixed in
    lift: float  # toe of the tone curve: > 0 brightens shadows, < 0 darkens
    saturation: float
    blur: float  # 0 sharp .. 1
    noise: float  # standard steps of 255
    headings: tuple[float, ...]  # view angles (turns) people usually show
    scene: str  # the name of its painter in scenes.py


SPECS: tuple[Camera, ...] = (
    Camera(
        height=2.7,
        pitch=0.022,
        far=(66, 80),
        near=(94, 114),
        sun=(0.3, 0.2, 0.26),
        ambient=0.6,
        shadow=(-0.5, 0.2, 0.42),
        gain=(1.04, 1.0, 0.93),
        contrast=0.2,
        lift=0.1,
        saturation=1.0,
        blur=0.3,
        noise=2.6,
        headings=(0.25, 0.75, 0.06, 0.44),
        scene="brick_gate",
    ),
    Camera(
        height=3.2,
        pitch=0.034,
        far=(64, 78),
        near=(92, 110),
        sun=(-0.12, 0.22, 0.2),
        ambient=0.66,
        shadow=(0.1, 0.1, 0.18),
        gain=(0.95, 1.0, 1.06),
        contrast=-0.15,
        lift=0.18,
        saturation=0.8,
        blur=0.55,
        noise=3.6,
        headings=(0.02, 0.48, 0.94, 0.56),
        scene="shopping_street",
    ),
    Camera(
        height=2.4,
        pitch=0.016,
        far=(68, 82),
        near=(96, 116),
        sun=(-0.34, 0.18, 0.26),
        ambient=0.58,
        shadow=(0.6, 0.25, 0.45),
        gain=(0.98, 1.03, 0.92),
        contrast=0.3,
        lift=-0.06,
        saturation=1.0,
        blur=0.25,
        noise=3.5,
        headings=(0.22, 0.78, 0.3, 0.7),
        scene="park",
    ),
    Camera(
        height=3.6,
        pitch=0.044,
        far=(64, 76),
        near=(90, 106),
        sun=(0.1, 0.28, 0.18),
        ambient=0.7,
        shadow=(0.2, -0.15, 0.22),
        gain=(1.0, 0.99, 1.03),
        contrast=-0.1,
        lift=0.05,
        saturation=0.88,
        blur=0.42,
        noise=2.4,
        headings=(0.12, 0.38, 0.62, 0.88),
        scene="glass_plaza",
    ),
    Camera(
        height=2.2,
        pitch=0.014,
        far=(66, 82),
        near=(94, 116),
        sun=(0.05, 0.1, 0.42),
        ambient=0.52,
        shadow=(0.0, -0.08, 0.16),
        gain=(1.1, 0.99, 0.84),
        contrast=0.05,
        lift=-0.1,
        saturation=0.92,
        blur=0.6,
        noise=4.8,
        headings=(0.0, 0.5, 0.1, 0.6),
        scene="underpass",
    ),
    Camera(
        height=3.0,
        pitch=0.03,
        far=(66, 80),
        near=(94, 110),
        sun=(-0.26, 0.12, 0.22),
        ambient=0.56,
        shadow=(0.35, 0.15, 0.3),
        gain=(0.93, 0.97, 1.08),
        contrast=0.15,
        lift=-0.2,
        saturation=0.95,
        blur=0.35,
        noise=3.2,
        headings=(0.15, 0.65, 0.72, 0.3),
        scene="bicycle_yard",
    ),
)


class CameraScene:
    """The scene of a camera, as painted for a data set's seed: two layers, uint8 (H, W, 3), and their mix."""

    def __init__(self, seed: int, camid: int) -> None:
        """Paint the scene of camera ``camid`` (from 1) for a data set's seed."""
        self.camera = SPECS[camid - 1]
        scene = Scene(seed * CAMERAS + camid, self.camera.height, 90.0)
        getattr(scenes, self.camera.scene)(scene)
        self.back, self.front, self.alpha = scene.layers()  # uint8 (H, W, 3), uint8 (H, W, 3), uint8 (H, W)
        veil = self.alpha.astype(np.float32)[..., None] * np.float32(1.0 / 255.0)
        both = self.back + (self.front - self.back.astype(np.float32)) * veil
        self.both = scenery.to_bytes(both)  # what people on the near path walk before

    def ground(self, scale: float) -> float:
        """The scene row where somebody stands who measures `scale` pixels per meter."""
        return scenery.HORIZON + scale * self.camera.height


@lru_cache(maxsize=CAMERAS)
def camera_scene(seed: int, camid: int) -> CameraScene:
    """A camera's scene, painted once per process."""
    return CameraScene(seed, camid)


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
def noises(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw sensor noise (448, 448, 3) and folds of cloth (640, 640) for a seed: float32 around 0."""
    return scenery.sensor_noise(seed, NOISE_STREAM), scenery.fold_noise(seed, NOISE_STREAM)
