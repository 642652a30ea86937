"""What one image shows: everything about it follows from the seed and the image's name.

A name is Market-1501's: identity, camera, sequence, frame, box (0007_c2s1_000351_00.png). Images of one
identity in one camera are frames of one walk (a tracklet): they share its scene, path and light. Box 00 is
drawn with care, as the queries' are; higher numbers are a detector's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath

from reid_lab.passersby import boxes, cameras, people
from reid_lab.passersby.bodies import Pose, View
from reid_lab.passersby.boxes import Box
from reid_lab.passersby.people import Person
from reid_lab.passersby.rng import Draw, cosine, sine
from reid_lab.passersby.scenery import WIDTH
from reid_lab.passersby.town import Camera, Town
from reid_lab.passersby.towns.city import CITY
from reid_lab.runtime.errors import DataError

HEIGHT_PX, WIDTH_PX = 128, 64  # of a finished image
FINE = 2  # samples per pixel, both ways

# --- Difficulty. Each of these was made to be turned. ---
BOX_JITTER = 0.10  # of the box, at most, for a detector's boxes
CARE = 0.45  # of that jitter remains in box 00
TRUNCATION = 0.08  # share of detector boxes that cut somebody off
COMPANY = 0.24  # share of images with somebody else in the box
EXPOSURE, WARMTH = 0.14, 0.04  # light of the hour, per sequence
FLICKER = 0.06  # exposure, per image
FAR_SHARE = 0.5  # of the walks that pass behind the scene's front layer

TRACK_STREAM, FRAME_STREAM, LIGHT_STREAM = 41, 42, 43
FRAMES_PER_SECOND = 25
JUNK, DISTRACTOR = -1, 0
_NAME = re.compile(r"(-1|\d{4})_c(\d)s(\d)_(\d{6})_(\d{2})$")


@dataclass(frozen=True, order=True)
class Key:
    """The name of an image, in numbers."""

    pid: int
    camid: int
    sequence: int
    frame: int
    box: int

    @property
    def name(self) -> str:
        """File name without suffix."""
        identity = "-1" if self.pid < 0 else f"{self.pid:04d}"
        return f"{identity}_c{self.camid}s{self.sequence}_{self.frame:06d}_{self.box:02d}"

    @staticmethod
    def parse(path: str | PurePath) -> Key:
        """Read a key from a file name.

        Raises:
            DataError: The name is not one of Passersby's.
        """
        found = _NAME.match(PurePath(path).stem)
        if not found or not 1 <= int(found[2]) <= cameras.CAMERAS:
            raise DataError(f"{path} is not a Passersby image: expected a name like 0007_c2s1_000351_00.png.")
        return Key(*(int(part) for part in found.groups()))


@dataclass
class Figure:
    """Somebody in the image."""

    who: Person
    view: View
    pose: Pose
    folds_at: tuple[int, int]
    feet: tuple[float, float]  # scene pixels
    scale: float  # scene pixels per meter


@dataclass
class Frame:
    """One image, decided but not drawn. Boxes are (left, top, width, height) in scene pixels."""

    key: Key
    kind: str  # person, background, part, several, small
    main: Figure | None
    behind: list[Figure] = field(default_factory=list)
    before: list[Figure] = field(default_factory=list)
    box: Box = (0.0, 0.0, 1.0, 1.0)
    box_error: float = 0.0
    far: bool = False
    exposure: float = 0.0
    warmth: float = 0.0
    grain_at: tuple[int, int] = (0, 0)
    softness: float = 0.0


@dataclass(frozen=True)
class Walk:
    """A tracklet: where and how somebody passes a camera."""

    start: int  # frame
    x: float  # scene column at the start
    scale: float
    heading: float  # turns
    far: bool
    phase: float
    pace: float  # strides (two steps) per second; 0 stands
    arms: tuple[str, str]
    lean: float


def walk(draw: Draw, camera: Camera) -> Walk:
    """Draw a walk past a camera."""
    far = draw.bernoulli(FAR_SHARE)
    heading = draw.choice(camera.headings) + draw.triangular(0.08)
    standing = draw.bernoulli(0.08)
    middle = draw.between(0.17, 0.83) * WIDTH
    arm = {"swing": 6, "low": 2, "bent": 1}
    return Walk(
        start=10 * draw.integer(9000) + 100,
        x=middle - 55.0 * sine(heading),
        scale=draw.between(*(camera.far if far else camera.near)),
        heading=heading,
        far=far,
        phase=draw.uniform(),
        pace=0.0 if standing else draw.between(0.8, 1.05),
        arms=(draw.weighted(arm), draw.weighted(arm)),
        lean=draw.between(-0.005, 0.035),
    )


def track(seed: int, pid: int, camid: int, town: Town = CITY) -> Walk:
    """Find the walk of an identity past a camera.

    Args:
        seed: The seed of the data set.
        pid: The identity, from 1.
        camid: The camera, from 1.
        town: Where that is.
    """
    return walk(Draw(town.first_seed + seed, TRACK_STREAM, pid, camid), town.cameras[camid - 1])


def _figure(
    draw: Draw, who: Person, went: Walk, seconds: float, scene: cameras.CameraScene, scale: float, x: float
) -> Figure:
    """Somebody at a moment of their walk; the view is set when the box is known."""
    camera = scene.camera
    yaw = went.heading + draw.triangular(0.035) + (x - WIDTH / 2) / WIDTH * -0.06
    pose = Pose(
        went.phase + went.pace * seconds + draw.triangular(0.03), 1.0 if went.pace else 0.12, *went.arms, went.lean
    )
    view = View(0.0, 0.0, 1.0, yaw, camera.pitch * (1.0 + draw.triangular(0.3)))
    return Figure(who, view, pose, (draw.integer(256), draw.integer(256)), (x, scene.ground(scale)), scale)


def _companion(draw: Draw, main: Figure, went: Walk, scene: cameras.CameraScene, apart: float, town: Town) -> Figure:
    """Somebody else near the main figure, walking along or the other way."""
    side = -1.0 if draw.bernoulli(0.5) else 1.0
    scale = main.scale * (1.0 + draw.triangular(0.12))
    x = main.feet[0] + side * apart * scale
    way = went if draw.bernoulli(0.6) else walk(draw, scene.camera)
    return _figure(draw, people.stranger(draw, town), way, draw.uniform(), scene, scale, x)


def _fit_to_box(frame: Frame) -> None:
    """Place every figure in the canvas of the box."""
    left, top, width, height = frame.box
    across, down = WIDTH_PX * FINE / width, HEIGHT_PX * FINE / height
    for figure in (*([frame.main] if frame.main else []), *frame.behind, *frame.before):
        figure.view = View(
            (figure.feet[0] - left) * across,
            (figure.feet[1] - top) * down,
            figure.scale * down,
            figure.view.yaw,
            figure.view.pitch,
        )
    frame.softness = min(max((HEIGHT_PX / height - 0.75) * 0.6, 0.0), 0.4)  # small boxes were enlarged


def compose(seed: int, key: Key, town: Town = CITY) -> Frame:
    """Decide everything about an image.

    Args:
        seed: The seed of the data set.
        key: The image's name.
        town: Where it was taken.

    Returns:
        The people in the image, their poses and places, the box and the light.
    """
    number = town.first_seed + seed
    draw = Draw(number, FRAME_STREAM, key.pid, key.camid, key.frame, key.box)
    scene = cameras.camera_scene(seed, key.camid, town)
    kind = _kind(draw, key)
    if key.pid > 0:
        went = track(seed, key.pid, key.camid, town)
        seconds, who = (key.frame - went.start) / FRAMES_PER_SECOND, people.person(seed, key.pid, town)
    else:
        went = walk(draw, scene.camera)
        seconds, who = 0.0, people.stranger(draw, town)
    x, scale = _position(went, seconds)
    main = _figure(draw, who, went, seconds, scene, scale, x)
    ideal = boxes.tight(main.feet, main.who.height, main.scale)
    frame = Frame(key, kind, main, far=went.far, box=_detected(draw, key, kind, ideal))
    if kind == "several" or (kind == "person" and draw.bernoulli(COMPANY)):
        _add_companion(draw, frame, main, went, scene, town)
    if kind in ("part", "small"):
        frame.box = boxes.spoiled(draw, frame.box, kind)
    if kind == "background":
        frame.main = None
    frame.box_error = boxes.error(frame.box, ideal)
    hour = Draw(number, LIGHT_STREAM, key.camid, key.sequence)
    frame.exposure = hour.triangular(EXPOSURE) + draw.triangular(FLICKER)
    frame.warmth = hour.triangular(WARMTH)
    frame.grain_at = (draw.integer(300), draw.integer(360))
    _fit_to_box(frame)
    return frame


def _kind(draw: Draw, key: Key) -> str:
    """What the image shows: see `Frame.kind`."""
    if key.pid > 0:
        return "person"
    if key.pid == DISTRACTOR:
        return draw.weighted({"person": 6, "background": 3, "part": 1})
    return draw.weighted({"part": 5, "background": 2, "several": 2, "small": 2})


def _detected(draw: Draw, key: Key, kind: str, ideal: Box) -> Box:
    """The box that a detector, or for box 00 a careful person, would draw."""
    box = boxes.jittered(draw, ideal, BOX_JITTER * (CARE if key.box == 0 else 1.0))
    truncated = kind == "person" and key.box and draw.bernoulli(TRUNCATION)
    return boxes.truncated(draw, box) if truncated else box


def _add_companion(draw: Draw, frame: Frame, main: Figure, went: Walk, scene: cameras.CameraScene, town: Town) -> None:
    """Put somebody else beside the main figure; a box around "several" people moves between the two."""
    several = frame.kind == "several"
    apart = draw.between(0.22, 0.5) if several else draw.between(0.36, 0.85)
    other = _companion(draw, main, went, scene, apart, town)
    (frame.before if other.scale > main.scale else frame.behind).append(other)
    if several:
        frame.box = (frame.box[0] + (other.feet[0] - main.feet[0]) / 2, *frame.box[1:])


def _position(went: Walk, seconds: float) -> tuple[float, float]:
    """Scene column and scale after so many seconds of a walk."""
    speed = 1.35 * went.pace
    scale = went.scale * (1.0 + 0.03 * speed * seconds * cosine(went.heading))
    scale = min(max(scale, went.scale * 0.9), went.scale * 1.1)
    return min(max(went.x + speed * seconds * sine(went.heading) * scale, 60.0), WIDTH - 60.0), scale
