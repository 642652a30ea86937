"""How a person looks from somewhere: pose and body, turned into cylinders.

A body is built in its own frame, in meters: `left` (the person's left), `up` (from the ground) and `forward`.
A `View` turns that frame by the angle at which the camera sees the person (0: face to face, 0.5 turns: from
behind), tilts it by the camera's downward look, and projects it without perspective. Widths of torso and
skirt are ellipses; an ellipse seen from the side is again a cylinder, and the point on it that faces the camera
follows exactly (`Wrap`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reid_lab.passersby.people import HAIRS, SKINS, Color, Person, cloth
from reid_lab.passersby.raster import Cylinder, f32, limb, rounded, table
from reid_lab.passersby.rng import cosine, sine

# Materials: the palette of one person.
SKIN, HAIR, FACE, MOUTH, UPPER, SECOND, SEAM, SLEEVE, INNER, LOGO = range(1, 11)
LOWER, TIGHTS, SHOES, SOLE, BAG, STRAP, HAT = range(11, 18)
PALETTE = 24  # materials of one person, rounded up

SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
KEYPOINTS = ("head", "neck", *(f"{side}_{joint}" for joint in SIDED for side in ("left", "right")))

Point = tuple[float, float, float]  # left, up, forward


@dataclass(frozen=True)
class View:
    """Where a person stands in the canvas and from where it is seen."""

    x: float  # of the point on the ground under the person, in samples
    y: float
    scale: float  # samples per meter
    yaw: float  # turns; 0 facing the camera, 0.25 facing right
    pitch: float  # turns; the camera's look downward
    cos: float = field(init=False)  # of the yaw
    sin: float = field(init=False)
    rise: float = field(init=False)  # what is left of a height, cosine of the pitch
    lower: float = field(init=False)  # how much nearer points sink, sine of the pitch

    def __post_init__(self) -> None:
        """Compute sines and cosines once."""
        object.__setattr__(self, "cos", cosine(self.yaw))
        object.__setattr__(self, "sin", sine(self.yaw))
        object.__setattr__(self, "rise", cosine(self.pitch))
        object.__setattr__(self, "lower", sine(self.pitch))

    def project(self, point: Point) -> tuple[float, float, float]:
        """Compute image x and y in samples, and nearness in meters."""
        left, up, forward = point
        right = left * self.cos + forward * self.sin
        toward = forward * self.cos - left * self.sin
        return (
            self.x + self.scale * right,
            self.y - self.scale * (up * self.rise - toward * self.lower),
            toward * self.rise + up * self.lower * 0.2,
        )


class Wrap:
    """From a position across a seen elliptic cylinder to one on the body: left, and forward (both -1 .. 1)."""

    def __init__(self, view: View, half_width: float, half_depth: float) -> None:
        """Prepare for a view; the half axes of the ellipse have any unit."""
        a, b = half_width * view.cos, half_depth * view.sin
        size = math.sqrt(a * a + b * b)
        self.cos, self.sin = np.float32(a / size), np.float32(b / size)

    def __call__(self, across: np.ndarray, toward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Left and forward of samples given as a cylinder's texture gets them."""
        return across * self.cos - toward * self.sin, across * self.sin + toward * self.cos


# --- Shapes: (position from top to bottom, meters for a person of 1.75 m) ---
TORSO_WIDTH = table(
    (0, 0.052),
    (0.035, 0.074),
    (0.07, 0.112),
    (0.105, 0.152),
    (0.15, 0.178),
    (0.23, 0.184),
    (0.38, 0.172),
    (0.62, 0.150),
    (0.80, 0.160),
    (1, 0.172),
)
TORSO_DEPTH = table(
    (0, 0.058), (0.05, 0.070), (0.12, 0.092), (0.3, 0.120), (0.5, 0.110), (0.65, 0.104), (0.8, 0.112), (1, 0.122)
)
LOOSE = table((0, 1.0), (0.2, 1.02), (0.5, 1.10), (0.8, 1.12), (0.93, 1.06), (1, 1.04))
FITTED = table((0, 1.0), (0.5, 0.97), (0.7, 0.98), (1, 1.0))
HEM = table((0, 1.05), (0.1, 1.08), (0.3, 1.02), (0.6, 0.98), (0.94, 0.90), (0.97, 0.72), (1, 0.68))
CALF = table((0, 0.92), (0.3, 1.12), (0.6, 0.98), (0.85, 0.82), (1, 1.0))
THIGH = table((0, 1.0), (0.3, 1.06), (0.8, 0.96), (1, 1.0))
SLEEVE_SHAPE = table((0, 1.0), (0.4, 1.0), (0.7, 0.94), (1, 1.0))
EGG = rounded() * table((0, 0.98), (0.45, 1.0), (0.7, 0.93), (1, 0.74))
CROWN = rounded()
BOX = rounded(2)
DOME = table(*((k / 16, math.sqrt(1.0 - (1.0 - k / 16) * (1.0 - k / 16))) for k in range(17)))
CRATE = rounded(3)
LEG_SHADE = table((0, 0.86), (0.25, 0.98), (1, 1.0))
SHIN_SHADE = table((0, 0.97), (0.2, 1.0), (0.85, 0.98), (0.93, 0.86), (1, 0.8))
NECK_SHADE = table((0, 0.72), (0.5, 0.86), (1, 0.95))
HEAD_SHADE = table((0, 1.1), (0.4, 1.02), (0.8, 0.94), (1, 0.8))


def palette(who: Person) -> np.ndarray:
    """Compute the RGB of a person's materials, (PALETTE, 3) float32."""
    colors = np.zeros((PALETTE, 3), np.float32)

    def put(material: int, color: Color | tuple[float, float, float], times: float = 1.0) -> None:
        colors[material] = np.array(color, np.float32) * np.float32(times)

    skin, hair = SKINS[who.skin], HAIRS[who.hair]
    upper, lower = cloth(who.upper_colour, who.tint[0]), cloth(who.lower_colour, who.tint[1])
    second = cloth(who.second_colour, who.tint[0] * 0.5)
    put(SKIN, skin)
    put(FACE, skin, 0.55)
    put(MOUTH, (skin[0] * 0.78, skin[1] * 0.64, skin[2] * 0.62))
    put(HAIR, hair)
    put(UPPER, upper)
    put(SECOND, second)
    put(INNER, second if who.second_colour != who.upper_colour else (210, 208, 204))
    put(SLEEVE, second if who.pattern == "raglan" else upper)
    put(LOWER, lower)
    put(TIGHTS, (44, 40, 42))
    put(SEAM, upper, 0.66)
    put(SHOES, cloth(who.shoes))
    put(SOLE, (198, 196, 190) if who.shoes in ("white", "grey", "sky") else (58, 54, 52))
    put(BAG, cloth(who.bag_colour) if who.bag != "plastic bag" else (206, 206, 202))
    put(STRAP, cloth(who.bag_colour), 0.62)
    put(HAT, cloth(who.hat_colour))
    put(LOGO, cloth(who.logo_colour))
    return colors


@dataclass(frozen=True)
class Pose:
    """Gait and arms: `phase` in turns, `stride` 0 (standing) to 1, what each arm does: swing, bent or low."""

    phase: float
    stride: float
    left_arm: str
    right_arm: str
    lean: float


def joints(who: Person, pose: Pose) -> dict[str, Point]:
    """Compute the body's joints for a pose.

    Args:
        who: The person, whose proportions count.
        pose: The phase of the gait and what the arms do.

    Returns:
        Each joint's point in the body's own frame, in meters; the lower foot stands on the ground.
    """
    swing = who.gait * pose.stride
    found: dict[str, Point] = {}
    for side, sign, phase in (("left", 1.0, pose.phase), ("right", -1.0, pose.phase + 0.5)):
        found |= {f"{side}_{joint}": point for joint, point in _leg(who, pose, sign, phase, swing).items()}
    sole = min(min(found[s + "_toe"][1], found[s + "_heel"][1]) for s in ("left", "right")) - 0.035
    for side, sign, phase, doing in (
        ("left", 1.0, pose.phase + 0.5, pose.left_arm),
        ("right", -1.0, pose.phase, pose.right_arm),
    ):
        found |= {f"{side}_{joint}": point for joint, point in _arm(who, pose, sign, phase, swing, doing).items()}
    found |= _axis(pose.lean)
    times = who.height / 1.75
    return {name: (x * times, (y - sole) * times, z * times) for name, (x, y, z) in found.items()}


def _leg(who: Person, pose: Pose, sign: float, phase: float, swing: float) -> dict[str, Point]:
    """One leg of the standard body: ``sign`` is 1 on the left, ``phase`` its moment in the gait, in turns."""
    hip = 0.085 * who.hips
    thigh = swing * sine(phase) + 0.006
    lifted = max(0.0, cosine(phase))  # the leg that travels forward
    bend = (0.012 + 0.115 * lifted * pose.stride) + 0.02 * pose.stride * max(0.0, -sine(phase))
    knee = (sign * hip * 0.98, 0.92 - 0.43 * cosine(thigh), 0.43 * sine(thigh))
    shin = thigh - bend
    ankle = (sign * hip * 0.90, knee[1] - 0.41 * cosine(shin), knee[2] + 0.41 * sine(shin))
    tip = shin * 0.55
    toe = (sign * (hip * 0.90 + 0.03), ankle[1] - 0.055 + 0.17 * sine(tip), ankle[2] + 0.17 * cosine(tip))
    heel = (ankle[0], ankle[1] - 0.035, ankle[2] - 0.035)
    return {"hip": (sign * hip, 0.92, 0.0), "knee": knee, "ankle": ankle, "toe": toe, "heel": heel}


def _arm(who: Person, pose: Pose, sign: float, phase: float, swing: float, doing: str) -> dict[str, Point]:
    """One arm of the standard body, arguments as of :func:`_leg`; ``doing`` is swing, bent or low."""
    upper = 0.9 * swing * sine(phase) + 0.004
    elbow_bend = 0.03 + 0.035 * pose.stride * max(0.0, sine(phase))
    spread, inward = 0.052, 0.004
    if doing == "bent":
        upper, elbow_bend, spread, inward = 0.02, 0.27, 0.02, -0.10
    elif doing == "low":
        upper, elbow_bend = 0.3 * upper, 0.02
    shoulder = (sign * (0.160 * who.shoulders * (0.7 + 0.3 * who.girth)), 1.395, pose.lean)
    elbow = (shoulder[0] + sign * spread, shoulder[1] - 0.275 * cosine(upper), shoulder[2] + 0.275 * sine(upper))
    fore = upper + elbow_bend
    wrist = (elbow[0] + sign * inward, elbow[1] - 0.235 * cosine(fore), elbow[2] + 0.235 * sine(fore))
    hand = fore + 0.02
    palm = (wrist[0] - sign * 0.01, wrist[1] - 0.085 * cosine(hand), wrist[2] + 0.085 * sine(hand))
    return {"shoulder": shoulder, "elbow": elbow, "wrist": wrist, "hand": palm}


def _axis(lean: float) -> dict[str, Point]:
    """What has no side; ``lean`` in meters at the shoulders."""
    return {
        "neck": (0.0, 1.475, lean * 1.1),
        "chin": (0.0, 1.525, lean * 1.2 + 0.035),
        "crown": (0.0, 1.75, lean * 1.3 + 0.01),
        "head": (0.0, 1.635, lean * 1.25 + 0.02),
        "waist": (0.0, 1.04, 0.0),
        "crotch": (0.0, 0.84, 0.0),
    }


@dataclass
class Body:
    """A person about to be drawn: who, how, from where."""

    who: Person
    pose: Pose
    view: View

    def __post_init__(self) -> None:
        """Compute the joints, and where they are seen."""
        self.joints = joints(self.who, self.pose)
        self.at = {name: self.view.project(point) for name, point in self.joints.items()}
        self.meter = self.view.scale * self.who.height / 1.75  # samples per meter of the standard body
        self.cos, self.sin = self.view.cos, self.view.sin

    def project(self, left: float, up: float, forward: float) -> tuple[float, float, float]:
        """Project a point given on the standard body, upright."""
        times = self.who.height / 1.75
        return self.view.project((left * times, (up - self.floor) * times, forward * times))

    @property
    def floor(self) -> float:
        """How far the standard body sinks into its stride, meters."""
        return 1.75 - self.joints["crown"][1] * 1.75 / self.who.height

    def width(self, half_width: np.ndarray, half_depth: np.ndarray) -> np.ndarray:
        """Radius table, samples, of an upright elliptic cylinder given in meters."""
        a, d = half_width * f32(self.cos), half_depth * f32(self.sin)
        return np.sqrt(a * a + d * d) * f32(self.meter)

    def limb(
        self, start: str, end: str, r0: float, r1: float, material: int, nearer: float = 0.0, **more: Any
    ) -> Cylinder:
        """A cylinder between two joints; radii in meters."""
        x0, y0, z0 = self.at[start]
        x1, y1, z1 = self.at[end]
        return limb(x0, y0, x1, y1, (z0 + z1) * 0.5 + nearer, r0 * self.meter, r1 * self.meter, material, **more)

    def part_of(
        self, start: str, end: str, part: float, r0: float, r1: float, material: int, nearer: float, **more: Any
    ) -> Cylinder:
        """The first part of a limb, cut flat: a short sleeve, a leg of shorts."""
        x0, y0, z0 = self.at[start]
        x1, y1, z1 = self.at[end]
        return limb(
            x0,
            y0,
            x0 + (x1 - x0) * part,
            y0 + (y1 - y0) * part,
            (z0 + z1) * 0.5 + nearer,
            r0 * self.meter,
            r1 * self.meter,
            material,
            flat=True,
            **more,
        )

    def blob(
        self,
        start: Point,
        end: Point,
        half_width: float,
        half_depth: float,
        shape: np.ndarray,
        material: int,
        nearer: float,
        **more: Any,
    ) -> Cylinder:
        """An elliptic cylinder between two points of the standard body with a radius of the given shape."""
        x0, y0, z0 = self.project(*start)
        x1, y1, z1 = self.project(*end)
        a, d = half_width * self.cos, half_depth * self.sin
        radius = shape * f32(math.sqrt(a * a + d * d) * self.meter)
        return Cylinder(x0, y0, x1, y1, (z0 + z1) * 0.5 + nearer, radius, material, **more)
