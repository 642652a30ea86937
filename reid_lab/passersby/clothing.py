"""What a person wears, as cylinders: trunk, limbs, head, hair, hat and bag, in the order in which they hide others."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from reid_lab.passersby import bodies as b
from reid_lab.passersby.bodies import Body, Wrap
from reid_lab.passersby.head import bag, head
from reid_lab.passersby.patterns import sleeve_texture, upper_texture
from reid_lab.passersby.raster import STEPS, Cylinder, f32, table

GARMENTS = {  # height of the hem on a body of 1.75 m, width beside the body's, radius of the sleeve
    "t-shirt": (0.84, 1.02, 0.058),
    "shirt": (0.82, 1.04, 0.056),
    "sweater": (0.85, 1.08, 0.056),
    "hoodie": (0.83, 1.12, 0.062),
    "jacket": (0.80, 1.14, 0.063),
    "coat": (0.52, 1.14, 0.063),
    "parka": (0.68, 1.24, 0.074),
    "dress": (0.86, 0.97, 0.048),
    "vest top": (0.88, 0.96, 0.046),
}
LEG_RADII = {  # at hip, knee and ankle
    "trousers": (0.090, 0.064, 0.056),
    "jeans": (0.086, 0.060, 0.050),
    "slim": (0.080, 0.053, 0.038),
    "wide": (0.094, 0.078, 0.078),
    "shorts": (0.094, 0.084, 0.0),
    "skirt": (0.072, 0.048, 0.034),
    "long skirt": (0.072, 0.048, 0.034),
}
BARE = (0.076, 0.050, 0.034)  # radii of hip, knee and ankle
SEAT = table((0, 0.9), (0.3, 1.0), (0.7, 0.98), (1, 0.7))
CUT = table((0, 0.95), (0.3, 1.0), (0.9, 0.98), (0.95, 0.80), (1, 0.74))
COAT_FLARE = table((0, 1.0), (0.35, 1.0), (0.6, 1.0), (0.8, 1.04), (1, 1.08))
SKIRT_WIDTH = table((0, 0.140), (0.2, 0.166), (0.4, 0.180), (1, 0.205))
SKIRT_DEPTH = table((0, 0.100), (0.2, 0.122), (0.4, 0.135), (1, 0.170))
SKIRT_SHADE = table((0, 0.92), (0.4, 1.0), (0.9, 1.0), (1, 0.86))
HOOD = table((0, 0.4), (0.3, 0.9), (0.6, 1.0), (0.9, 0.85), (1, 0.5))


def cylinders(body: Body) -> list[Cylinder]:
    """Build all cylinders of a person, the farthest first."""
    found = [*_legs(body), *_arms(body), *_trunk(body), *head(body), *bag(body)]
    return sorted(found, key=lambda cylinder: cylinder.depth)


SKIRTS = ("skirt", "long skirt")


def _legs(body: Body) -> list[Cylinder]:
    who = body.who
    wide, deep = 0.168 * who.hips * who.girth, 0.118 * who.girth
    found = [body.blob((0, 1.06, 0), (0, 0.80, 0), wide, deep, SEAT, b.LOWER, -0.03, folds=0.05)]
    for side in ("left", "right"):
        far = body.at[side + "_hip"][2] < -0.02
        look: dict[str, Any] = {"light": 0.9 if far else 1.0, "casts": 0.0 if far else 0.25, "shade": b.LEG_SHADE}
        if who.lower in SKIRTS or who.lower == "shorts":
            found += _bare_leg(body, side, look)
        if who.lower not in SKIRTS:
            found += _trouser_leg(body, side, look)
        found.append(_shoe(body, side, look["light"]))
    if who.lower in SKIRTS:
        found.append(_skirt(body))
    return found


def _bare_leg(body: Body, side: str, look: dict[str, Any]) -> list[Cylinder]:
    hip, knee, ankle = (r * (0.5 + 0.5 * body.who.girth) for r in BARE)
    skin = b.TIGHTS if body.who.tights else b.SKIN
    thigh = body.limb(side + "_hip", side + "_knee", hip, knee, skin, shape=b.THIGH, **look)
    calf = body.limb(side + "_knee", side + "_ankle", knee, ankle, skin, shape=b.CALF, light=look["light"])
    return [thigh, calf]


def _trouser_leg(body: Body, side: str, look: dict[str, Any]) -> list[Cylinder]:
    lower = body.who.lower
    hip, knee, ankle = (r * (0.4 + 0.6 * body.who.girth) for r in LEG_RADII[lower])
    if lower == "shorts":
        look = {**look, "shade": CUT, "folds": 0.07}
        return [body.part_of(side + "_hip", side + "_knee", 0.80, hip, knee, b.LOWER, 0.005, **look)]
    thigh = body.limb(side + "_hip", side + "_knee", hip, knee, b.LOWER, shape=b.THIGH, folds=0.12, **look)
    look = {"light": look["light"], "shade": b.SHIN_SHADE, "folds": 0.13}
    return [thigh, body.limb(side + "_knee", side + "_ankle", knee, ankle, b.LOWER, **look)]


def _shoe(body: Body, side: str, light: float) -> Cylinder:
    heel, toe = side + "_heel", side + "_toe"
    reach = body.at[toe][0] - body.at[heel][0]
    up = f32(1.0 if reach > 0 else -1.0)

    def sole(across: np.ndarray, toward: np.ndarray, along: np.ndarray) -> np.ndarray:
        return np.where(across * up < f32(-0.55), np.uint8(b.SOLE), np.uint8(b.SHOES))

    texture = sole if abs(reach) > 0.08 * body.meter else None
    return body.limb(heel, toe, 0.043, 0.035, b.SHOES, -0.02, light=light, texture=texture)


def _skirt(body: Body) -> Cylinder:
    who = body.who
    length = 0.74 if who.lower == "long skirt" else 0.50 if who.upper == "dress" else 0.44
    apart = abs(body.joints["left_knee"][2] - body.joints["right_knee"][2]) * abs(body.sin)
    x0, y0, _ = body.project(0, 1.06, 0)
    x1, y1, _ = body.project(0, 1.06 - length, 0)
    nearest = max(body.at["left_knee"][2], body.at["right_knee"][2])
    depth = min(max(nearest + 0.06, 0.13), 0.215)  # before the legs, behind the arms
    widen = f32(who.hips * who.girth) * table((0, 1.0), (0.3, 1.0), (1, 1.0 + 0.7 * apart))
    radius = body.width(SKIRT_WIDTH, SKIRT_DEPTH) * widen
    return Cylinder(x0, y0, x1, y1, depth, radius, b.LOWER, folds=0.10, shade=SKIRT_SHADE)


def _arms(body: Body) -> list[Cylinder]:
    return [cylinder for side in ("left", "right") for cylinder in _arm(body, side)]


def _arm(body: Body, side: str) -> list[Cylinder]:
    who = body.who
    shoulder, elbow, wrist, hand = (f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hand"))
    far = body.at[shoulder][2] < -0.03
    light, casts = (0.86, 0.0) if far else (1.0, 0.34)
    thick = GARMENTS[who.upper][2] * (0.5 + 0.5 * who.girth)
    skin = 0.043 * (0.6 + 0.4 * who.girth)
    found = [body.limb(wrist, hand, 0.029, 0.025, b.SKIN, 0.22, light=light)]
    cloth: dict[str, Any] = {"light": light, "folds": 0.10, "texture": sleeve_texture(who, 0.33)}
    if who.sleeves == "long":
        upper, lower = thick * 0.84, thick * 0.66
        found.append(body.limb(shoulder, elbow, thick * 0.96, upper, b.SLEEVE, 0.22, casts=casts, **cloth))
        found.append(body.limb(elbow, wrist, upper, lower, b.SLEEVE, 0.225, shade=b.SHIN_SHADE, **cloth))
        return found
    found.append(body.limb(shoulder, elbow, skin, skin * 0.84, b.SKIN, 0.219, light=light, casts=casts))
    found.append(body.limb(elbow, wrist, skin * 0.84, skin * 0.62, b.SKIN, 0.225, light=light))
    if who.sleeves == "short":
        radii = thick * 0.96, thick * 1.02
        found.append(body.part_of(shoulder, elbow, 0.62, *radii, b.SLEEVE, 0.222, shade=CUT, **cloth))
    return found


def _trunk(body: Body) -> list[Cylinder]:
    who = body.who
    hem = GARMENTS[who.upper][0]
    grown = GARMENTS[who.upper][1] * (0.25 + 0.75 * who.girth)
    neck_x, neck_y, _ = body.project(0, 1.505, body.pose.lean * 1.1)
    hem_x, hem_y, _ = body.project(0, hem, 0)
    shape = COAT_FLARE if who.upper == "coat" else b.FITTED if who.upper in ("dress", "vest top") else b.LOOSE
    upper_part = (1.505 - 0.84) / (1.505 - hem)  # of the cylinder that the torso's own shape covers
    width = b.TORSO_WIDTH[_stretched(upper_part)] * f32((0.4 + 0.6 * who.shoulders) * grown)
    depth = b.TORSO_DEPTH[_stretched(upper_part)] * f32(grown)
    trunk = Cylinder(
        neck_x,
        neck_y,
        hem_x,
        hem_y,
        0.16,
        body.width(width * shape, depth * shape),
        b.UPPER,
        texture=upper_texture(body, Wrap(body.view, 0.17, 0.11), 1.505 - hem),
        folds=0.12,
        shade=b.HEM,
        casts=0.3,
    )
    neck = body.limb("head", "neck", 0.054, 0.064, b.SKIN, 0.10, shade=b.NECK_SHADE)
    found = [trunk, neck]
    if who.upper in ("hoodie", "parka"):
        found.append(body.blob((0, 1.56, -0.07), (0, 1.40, -0.11), 0.115, 0.07, HOOD, b.SEAM, 0.20, folds=0.06))
    return found


@lru_cache(maxsize=len(GARMENTS))
def _stretched(part: float) -> np.ndarray:
    """Entries of a table that squeeze it into the first `part` of a cylinder; its last value fills the rest."""
    return np.array([min(int(k / part), STEPS - 1) for k in range(STEPS)])
