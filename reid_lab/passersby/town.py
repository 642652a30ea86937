"""What a town is: its six cameras with their scenes, and what its people wear. The towns themselves are in ``towns/``.

Whatever tells two towns apart stands here as data. How people, boxes and images are drawn is the same in all towns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reid_lab.passersby.scenery import Scene


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
    paint: Callable[[Scene], None]  # paints its scene

    @property
    def scene(self) -> str:
        """The name of its scene."""
        return self.paint.__name__


Weights = dict[str, int]  # how often each word is drawn, beside the others


@dataclass(frozen=True)
class Wardrobe:
    """What a town's people wear, and how often; the colors are names in ``people.CLOTHS``."""

    upper_colors: Weights
    lower_colors: Weights
    shoe_colors: Weights
    bag_colors: Weights
    hat_colors: Weights
    uppers: Weights
    lowers: Weights
    patterns: Weights
    hats: Weights
    bags: Weights
    logos: Weights
    open_front: float  # share of the garments that can be open and are
    tights: float  # share of the short skirts that are worn with tights


@dataclass(frozen=True, eq=False)
class Town:
    """A town: all its data sets, whatever their seed, share these cameras and this wardrobe."""

    name: str
    first_seed: int  # is added to the seed of a data set, so that no two towns draw the same numbers
    cameras: tuple[Camera, ...]
    wardrobe: Wardrobe
