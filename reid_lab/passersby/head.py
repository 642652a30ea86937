"""Head, face, hair, hat and bag, as cylinders."""

from __future__ import annotations

import math

import numpy as np

from reid_lab.passersby import bodies as b
from reid_lab.passersby.bodies import Body, Wrap
from reid_lab.passersby.raster import Cylinder, f32, limb, table

LONG_HAIR = table((0, 0.6), (0.08, 0.88), (0.2, 1.0), (0.5, 1.0), (0.8, 1.04), (0.95, 0.9), (1, 0.6))
BACKPACK_SHADE = table(
    (0, 1.12), (0.12, 1.08), (0.16, 0.8), (0.2, 1.0), (0.55, 1.0), (0.57, 0.78), (0.6, 0.98), (1, 0.8)
)
BEANIE_SHADE = table((0, 1.05), (0.6, 1.0), (0.64, 0.8), (0.68, 1.05), (1, 0.95))
BAG_SHADE = table((0, 1.08), (0.25, 1.0), (0.3, 0.84), (0.35, 1.0), (1, 0.82))


_CAP = (1.775, -0.015, 1.60, -0.03, 0.085, 0.10, b.CROWN)
HAIR = {  # up and forward of the start, up and forward of the end, half width, half depth, shape
    "long": [(1.77, -0.03, 1.34, -0.075, 0.102, 0.075, LONG_HAIR)],
    "bob": [(1.77, -0.02, 1.49, -0.045, 0.104, 0.09, LONG_HAIR)],
    "short": [_CAP],
    "ponytail": [_CAP, (1.70, -0.115, 1.40, -0.15, 0.036, 0.036, LONG_HAIR)],
    "bun": [_CAP, (1.76, -0.09, 1.66, -0.11, 0.048, 0.048, b.CROWN)],
}


def head(body: Body) -> list[Cylinder]:
    """Head with face and hair, and the hat."""
    who = body.who
    lean = body.pose.lean * 1.25 + 0.02
    wrap = Wrap(body.view, 0.074, 0.094)
    hairline = 0.30 if who.hair_style == "crop" else 0.34
    covered = who.hair_style in ("long", "bob")

    def face(across: np.ndarray, toward: np.ndarray, along: np.ndarray) -> np.ndarray:
        left, front = wrap(across, toward)
        material = np.full(across.shape, b.SKIN, np.uint8)
        if who.hair_style == "bald":  # what is left behind
            material[(front < f32(-0.1)) & (along > f32(0.42)) & (along < f32(0.68))] = b.HAIR
        else:
            reach = f32(2.0) if covered else f32(0.54) - front * f32(0.2)  # down to the ears, lower behind
            behind = (front < f32(0.30 if covered else 0.10)) & (along < reach)
            material[behind | (along < f32(hairline) - front * f32(0.10))] = b.HAIR
        side = np.abs(left)
        seen = front > 0
        material[seen & (along > f32(0.46)) & (along < f32(0.54)) & (side > f32(0.20)) & (side < f32(0.58))] = b.FACE
        material[seen & (along > f32(0.76)) & (along < f32(0.81)) & (side < f32(0.28))] = b.MOUTH
        return material

    found = [
        body.blob(
            (0, 1.752, lean - 0.005),
            (0, 1.520, lean + 0.012),
            0.074,
            0.094,
            b.EGG,
            b.SKIN,
            0.25,
            texture=face,
            shade=b.HEAD_SHADE,
            light=0.98,
        )
    ]
    found += _hair(body, lean) + _hat(body, lean)
    return found


def _hair(body: Body, lean: float) -> list[Cylinder]:
    behind = 0.22 - 0.16 * body.cos  # before the trunk from behind, behind neck and trunk from the front
    return [
        body.blob((0, top, lean + near), (0, end, lean + far), wide, deep, shape, b.HAIR, behind, folds=0.09)
        for top, near, end, far, wide, deep, shape in HAIR.get(body.who.hair_style, ())
    ]


def _hat(body: Body, lean: float) -> list[Cylinder]:
    hat = body.who.hat
    if hat == "none":
        return []
    if hat in ("beanie", "bobble hat"):
        bobble = body.blob((0, 1.86, lean - 0.02), (0, 1.785, lean - 0.02), 0.042, 0.042, b.CROWN, b.HAT, 0.29)
        cap = [
            body.blob(
                (0, 1.80, lean - 0.02),
                (0, 1.655, lean - 0.01),
                0.086,
                0.106,
                b.DOME,
                b.HAT,
                0.28,
                shade=BEANIE_SHADE,
                folds=0.08,
            )
        ]
        return [*cap, bobble] if hat == "bobble hat" else cap
    crown = body.blob((0, 1.79, lean - 0.01), (0, 1.665, lean), 0.083, 0.103, b.DOME, b.HAT, 0.28)
    reach = (0.07, 0.16) if hat == "cap" else (-0.17, 0.17)
    x0, y0, z0 = body.project(0, 1.69, lean + reach[0])
    x1, y1, z1 = body.project(0, 1.68, lean + reach[1])
    if hat == "sun hat":
        x0, y0, z0 = body.project(0, 1.715, lean)
        x1, y1, z1 = body.project(0, 1.68, lean)
        wide = 0.16 * body.meter
        return [crown, Cylinder(x0, y0, x1, y1, z0 + 0.275, b.BOX * f32(wide), b.HAT, light=0.92)]
    wide = 0.07 * body.meter
    if abs(x1 - x0) < wide:  # seen from the front or the back: the peak is a low bar
        y1 = max(y1, y0 + 0.02 * body.meter)
        return [crown, Cylinder(x0, y0, x0, y1, z1 + 0.28, b.CROWN * f32(wide), b.HAT, light=0.8)]
    return [
        crown,
        limb(x0, y0, x1, y1, (z0 + z1) / 2 + 0.26, 0.018 * body.meter, 0.012 * body.meter, b.HAT, light=0.85),
    ]


def bag(body: Body) -> list[Cylinder]:
    """Draw what is carried on the back, at the hip or in a hand."""
    carried = {
        "backpack": _backpack,
        "shoulder bag": _shoulder_bag,
        "handbag": _bag_in_hand,
        "plastic bag": _bag_in_hand,
        "none": lambda body: [],
    }
    return carried[body.who.bag](body)


def _backpack(body: Body) -> list[Cylinder]:
    top, bottom = (0, 1.47, -0.19), (0, 1.02, -0.20)
    return [body.blob(top, bottom, 0.152, 0.088, b.CRATE, b.BAG, 0.15, shade=BACKPACK_SHADE, folds=0.05)]


def _shoulder_bag(body: Body) -> list[Cylinder]:
    side = body.who.bag_side * 0.20
    return [body.blob((side, 0.98, -0.03), (side, 0.74, -0.03), 0.055, 0.15, b.CRATE, b.BAG, 0.20, shade=BAG_SHADE)]


def _bag_in_hand(body: Body) -> list[Cylinder]:
    x, y, z = body.at["left_hand" if body.who.bag_side > 0 else "right_hand"]
    m = body.meter
    turn = math.sqrt(0.0225 * body.sin * body.sin + 0.0025 * body.cos * body.cos)
    strap = limb(x, y, x, y + 0.12 * m, z + 0.23, 0.012 * m, 0.012 * m, b.STRAP)
    radius = b.BOX * f32(turn * m)
    return [strap, Cylinder(x, y + 0.09 * m, x, y + 0.33 * m, z + 0.235, radius, b.BAG, shade=BAG_SHADE, folds=0.05)]
