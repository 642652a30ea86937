"""What one image shows: everything about it follows from the seed and the image's name.

A name is Market-1501's: identity, camera, sequence, frame, box (0007_c2s1_000351_00.png). Images of one
identity in one camera are frames of one walk (a tracklet): they share its place, path and light. Box 00 is
drawn with care, as the queries' are; higher numbers are a detector's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath

from reid_lab.passersby import cameras, people
from reid_lab.passersby.bodies import Pose, View
from reid_lab.passersby.people import Person
from reid_lab.passersby.rng import Draw, cosine, sine
from reid_lab.passersby.scenery import WIDTH
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
FAR_SHARE = 0.5  # of the walks that pass behind the place's front layer

TRACK_STREAM, SHOT_STREAM, LIGHT_STREAM = 41, 42, 43
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
            DataError: the name is not one of Passersby's.
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
class Shot:
    """One image, decided but not drawn. Boxes are (left, top, width, height) in scene pixels."""

    key: Key
    kind: str  # person, background, part, several, small
    main: Figure | None
    behind: list[Figure] = field(default_factory=list)
    before: list[Figure] = field(default_factory=list)
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
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


def walk(draw: Draw, camera: cameras.Camera) -> Walk:
    """A walk past a camera."""
    far = draw.chance(FAR_SHARE)
    heading = draw.pick(camera.headings) + draw.near(0.08)
    standing = draw.chance(0.08)
    middle = draw.between(0.17, 0.83) * WIDTH
    arm = {"swing": 6, "low": 2, "bent": 1}
    return Walk(
        start=10 * draw.integer(9000) + 100,
        x=middle - 55.0 * sine(heading),
        scale=draw.between(*(camera.far if far else camera.near)),
        heading=heading,
        far=far,
        phase=draw.unit(),
        pace=0.0 if standing else draw.between(0.8, 1.05),
        arms=(draw.weighted(arm), draw.weighted(arm)),
        lean=draw.between(-0.005, 0.035),
    )


def track(seed: int, pid: int, camid: int) -> Walk:
    """The walk of an identity past a camera."""
    return walk(Draw(seed, TRACK_STREAM, pid, camid), cameras.SPECS[camid - 1])


def _figure(
    draw: Draw, who: Person, went: Walk, seconds: float, place: cameras.Place, scale: float, x: float
) -> Figure:
    """Somebody at a moment of their walk; the view is set when the box is known."""
    camera = place.camera
    yaw = went.heading + draw.near(0.035) + (x - WIDTH / 2) / WIDTH * -0.06
    pose = Pose(went.phase + went.pace * seconds + draw.near(0.03), 1.0 if went.pace else 0.12, *went.arms, went.lean)
    view = View(0.0, 0.0, 1.0, yaw, camera.pitch * (1.0 + draw.near(0.3)))
    return Figure(who, view, pose, (draw.integer(256), draw.integer(256)), (x, place.ground(scale)), scale)


def _companion(draw: Draw, main: Figure, went: Walk, place: cameras.Place, apart: float) -> Figure:
    """Somebody else near the main figure, walking along or the other way."""
    side = -1.0 if draw.chance(0.5) else 1.0
    scale = main.scale * (1.0 + draw.near(0.12))
    x = main.feet[0] + side * apart * scale
    way = went if draw.chance(0.6) else walk(draw, place.camera)
    return _figure(draw, people.stranger(draw), way, draw.unit(), place, scale, x)


def _tight(figure: Figure) -> tuple[float, float, float, float]:
    """The box a careful person would draw."""
    x, y = figure.feet
    height = (figure.who.height + 0.17) * figure.scale
    return x - height / 4, y + 0.09 * figure.scale - height, height / 2, height


def _jittered(draw: Draw, box: tuple[float, float, float, float], jitter: float) -> tuple[float, float, float, float]:
    left, top, width, height = box
    taller = height * (1.02 + draw.near(jitter) + 0.25 * jitter)
    wider = taller / 2 * (1.0 + draw.near(0.6 * jitter))
    x = left + width / 2 + draw.near(1.1 * jitter) * width
    y = top + height / 2 + draw.near(0.8 * jitter) * height
    return x - wider / 2, y - taller / 2, wider, taller


def _truncated(draw: Draw, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, width, height = box
    cut = draw.weighted({"legs": 3, "side": 2, "head": 1})
    if cut == "legs":
        part = draw.between(0.62, 0.85)
        return left + width * (1 - part) / 2, top, width * part, height * part
    if cut == "head":
        part = draw.between(0.06, 0.14)
        return left, top + height * part, width, height * (1 - part)
    return left + width * draw.between(0.22, 0.36) * (-1.0 if draw.chance(0.5) else 1.0), top, width, height


def _error(box: tuple[float, float, float, float], ideal: tuple[float, float, float, float]) -> float:
    """1 - intersection over union."""
    wide = min(box[0] + box[2], ideal[0] + ideal[2]) - max(box[0], ideal[0])
    tall = min(box[1] + box[3], ideal[1] + ideal[3]) - max(box[1], ideal[1])
    both = max(wide, 0.0) * max(tall, 0.0)
    return 1.0 - both / (box[2] * box[3] + ideal[2] * ideal[3] - both)


def _frame(shot: Shot) -> None:
    """Place every figure in the canvas of the box."""
    left, top, width, height = shot.box
    across, down = WIDTH_PX * FINE / width, HEIGHT_PX * FINE / height
    for figure in (*([shot.main] if shot.main else []), *shot.behind, *shot.before):
        figure.view = View(
            (figure.feet[0] - left) * across,
            (figure.feet[1] - top) * down,
            figure.scale * down,
            figure.view.yaw,
            figure.view.pitch,
        )
    shot.softness = min(max((HEIGHT_PX / height - 0.75) * 0.6, 0.0), 0.4)  # small boxes were enlarged


def shoot(seed: int, key: Key) -> Shot:
    """Decide everything about an image."""
    draw = Draw(seed, SHOT_STREAM, key.pid, key.camid, key.frame, key.box)
    hour = Draw(seed, LIGHT_STREAM, key.camid, key.sequence)
    place = cameras.place(seed, key.camid)
    if key.pid > 0:
        kind = "person"
    elif key.pid == DISTRACTOR:
        kind = draw.weighted({"person": 6, "background": 3, "part": 1})
    else:
        kind = draw.weighted({"part": 5, "background": 2, "several": 2, "small": 2})
    went = track(seed, key.pid, key.camid) if key.pid > 0 else walk(draw, place.camera)
    seconds = (key.frame - went.start) / FRAMES_PER_SECOND if key.pid > 0 else 0.0
    who = people.person(seed, key.pid) if key.pid > 0 else people.stranger(draw)
    x, scale = _position(went, seconds)
    main = _figure(draw, who, went, seconds, place, scale, x)
    ideal = _tight(main)
    box = _jittered(draw, ideal, BOX_JITTER * (CARE if key.box == 0 else 1.0))
    if kind == "person" and key.box and draw.chance(TRUNCATION):
        box = _truncated(draw, box)
    shot = Shot(key, kind, main, far=went.far)
    if kind == "several" or (kind == "person" and draw.chance(COMPANY)):
        other = _companion(
            draw,
            main,
            went,
            place,
            draw.between(0.22, 0.5) if kind == "several" else draw.between(0.36, 0.85),
        )
        (shot.before if other.scale > main.scale else shot.behind).append(other)
        if kind == "several":
            box = (box[0] + (other.feet[0] - main.feet[0]) / 2, *box[1:])
    if kind in ("part", "small"):
        box = _spoilt(draw, box, kind)
    if kind == "background":
        shot.main = None
    shot.box, shot.box_error = box, _error(box, ideal)
    shot.exposure = hour.near(EXPOSURE) + draw.near(FLICKER)
    shot.warmth = hour.near(WARMTH)
    shot.grain_at = (draw.integer(300), draw.integer(360))
    _frame(shot)
    return shot


def _position(went: Walk, seconds: float) -> tuple[float, float]:
    """Scene column and scale after so many seconds of a walk."""
    speed = 1.35 * went.pace
    scale = went.scale * (1.0 + 0.03 * speed * seconds * cosine(went.heading))
    scale = min(max(scale, went.scale * 0.9), went.scale * 1.1)
    return min(max(went.x + speed * seconds * sine(went.heading) * scale, 60.0), WIDTH - 60.0), scale


def _spoilt(draw: Draw, box: tuple[float, float, float, float], kind: str) -> tuple[float, float, float, float]:
    """A box that a detector should not have given: half a body, or somebody small in a large box."""
    left, top, width, height = box
    if kind == "small":
        more = draw.between(1.5, 1.9)
        return (
            left - width * (more - 1) * draw.unit(),
            top - height * (more - 1) * draw.unit(),
            width * more,
            height * more,
        )
    part = draw.between(0.42, 0.58)
    down = draw.pick((0.0, 1.0 - part, draw.unit() * (1.0 - part)))
    return (
        left + width * (1 - part) / 2 + draw.near(0.25) * width,
        top + height * down,
        width * part,
        height * part,
    )
