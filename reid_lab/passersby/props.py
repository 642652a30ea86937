"""The props of a scene: posts, boxes, plants, cars, bicycles and boats, each made of a few cylinders.

``across`` is in meters to the right of the picture's middle. ``scale`` is the number of pixels of a meter where the
prop stands. ``front`` props are in front of the far path.
"""

from __future__ import annotations

import numpy as np

from reid_lab.passersby.raster import Cylinder, f32, limb, rounded, table
from reid_lab.passersby.scenery import Color, Scene


def pole(
    scene: Scene, across: float, scale: float, tall: float, thick: float, color: Color, front: bool = False
) -> None:
    """A post of round section."""
    x, y = scene.spot(across, scale)
    scene.put(Cylinder(x, y, x, y - tall * scale, 0, np.full(64, thick * scale, np.float32), scene.color(color)), front)


def box(
    scene: Scene,
    across: float,
    scale: float,
    wide: float,
    tall: float,
    color: Color,
    front: bool = False,
    lift: float = 0.0,
    folds: float = 0.04,
) -> None:
    """A box seen from the front: planter, bin, bench, cabinet."""
    x, y = scene.spot(across, scale)
    y -= lift * scale
    radius = np.full(64, wide * scale / 2, np.float32)
    shade = table((0, 1.25), (0.06, 1.2), (0.08, 0.95), (0.9, 0.9), (1, 0.65))
    scene.put(Cylinder(x, y - tall * scale, x, y, 0, radius, scene.color(color), shade=shade, folds=folds), front)


def bush(
    scene: Scene,
    across: float,
    scale: float,
    wide: float,
    tall: float,
    color: Color,
    front: bool = False,
    folds: float = 0.45,
) -> None:
    """A bush, a stretch of hedge or a heap: a rough cylinder on the ground with lumps of different brightness."""
    x, y = scene.spot(across, scale)
    half = wide * scale / 2
    main = scene.color(color)
    shade = table((0, 1.15), (0.3, 1.0), (0.8, 0.7), (1, 0.5))
    for _ in range(3 + int(wide * 2)):
        tint = scene.draw.between(0.8, 1.15)
        number = scene.color((color[0] * tint, color[1] * tint, color[2] * tint))
        cx = x + scene.draw.triangular(half)
        size = scale * tall * scene.draw.between(0.7, 1.0)
        scene.put(
            Cylinder(
                cx,
                y - size,
                cx,
                y,
                0,
                rounded(2) * f32(max(size * 0.62, half * 0.4)),
                number,
                shade=shade,
                rough=0.55,
                folds=folds,
            ),
            front,
        )
    scene.put(
        Cylinder(x, y - tall * scale * 0.8, x, y, 0, rounded(3) * f32(half), main, shade=shade, rough=0.5, folds=folds),
        front,
    )


def tree(
    scene: Scene, across: float, scale: float, tall: float, thick: float, color: Color, front: bool = False
) -> None:
    """A trunk, forking, and a crown of leaves where it reaches the picture."""
    x, y = scene.spot(across, scale)
    bark = scene.color((86, 74, 62))
    top = y - tall * scale
    scene.put(
        Cylinder(
            x,
            y + 2,
            x + thick * scale,
            top,
            0,
            table((0, 1.5), (0.06, 1.05), (1, 0.75)) * f32(thick * scale),
            bark,
            folds=0.35,
        ),
        front,
    )
    shade = table((0, 1.2), (0.5, 0.95), (1, 0.6))
    for _ in range(9):
        cx, cy = x + scene.draw.triangular(tall * scale * 0.4), top + scene.draw.triangular(tall * scale * 0.16)
        size, tint = tall * scale * scene.draw.between(0.13, 0.22), scene.draw.between(0.75, 1.2)
        number = scene.color((color[0] * tint, color[1] * tint, color[2] * tint))
        scene.put(
            Cylinder(
                cx, cy - size, cx, cy + size, 0, rounded() * f32(size * 1.2), number, shade=shade, rough=0.6, folds=0.5
            ),
            front,
        )


def car(scene: Scene, across: float, scale: float, color: Color, front: bool = False) -> None:
    """A parked car seen from the side."""
    x, y = scene.spot(across, scale)
    m = scale
    body, glass, dark = scene.color(color), scene.color((52, 60, 68)), scene.color((30, 30, 32))
    rim = scene.color((128, 130, 132))
    lower = table((0, 0.16), (0.03, 0.26), (0.1, 0.30), (0.5, 0.31), (0.92, 0.30), (0.97, 0.26), (1, 0.18)) * f32(m)
    cabin = table((0, 0.02), (0.22, 0.26), (0.3, 0.29), (0.7, 0.29), (0.88, 0.10), (1, 0.02)) * f32(m)
    scene.put(limb(x - 2.0 * m, y - 0.06 * m, x + 2.0 * m, y - 0.06 * m, 0, 0.12 * m, 0.12 * m, dark), front)
    scene.put(Cylinder(x - 1.05 * m, y - 0.98 * m, x + 1.55 * m, y - 0.98 * m, 0, cabin * f32(1.12), body), front)
    scene.put(
        Cylinder(x - 0.88 * m, y - 0.99 * m, x + 1.34 * m, y - 0.99 * m, 0, cabin * f32(0.86), glass, light=1.15), front
    )
    scene.put(limb(x + 0.28 * m, y - 1.25 * m, x + 0.28 * m, y - 0.8 * m, 0, 0.035 * m, 0.035 * m, body), front)
    scene.put(Cylinder(x - 2.15 * m, y - 0.52 * m, x + 2.15 * m, y - 0.52 * m, 0, lower, body), front)
    scene.put(limb(x - 1.9 * m, y - 0.34 * m, x + 1.9 * m, y - 0.34 * m, 0, 0.02 * m, 0.02 * m, dark), front)
    for wheel in (-1.3, 1.32):
        cx = x + wheel * m
        scene.put(Cylinder(cx, y - 0.66 * m, cx, y, 0, rounded() * f32(0.33 * m), dark, light=0.9), front)
        scene.put(Cylinder(cx, y - 0.52 * m, cx, y - 0.14 * m, 0, rounded() * f32(0.19 * m), rim), front)


_HALF = ((0.0, 1.0), (0.38, 0.92), (0.71, 0.71), (0.92, 0.38), (1.0, 0.0), (0.92, -0.38), (0.71, -0.71), (0.38, -0.92))
RING = (*_HALF, *((-a, -c) for a, c in _HALF))  # points of a circle of radius 1: across, up
BICYCLE = {  # joints of a frame: across, up
    "rear": (-0.52, 0.35),
    "crank": (-0.08, 0.32),
    "seat": (-0.2, 0.85),
    "head": (0.34, 0.82),
    "fore": (0.52, 0.35),
    "bar": (0.38, 1.02),
    "grip": (0.22, 1.06),
    "saddle": (-0.3, 0.95),
}
BICYCLE_RODS = (
    *(("rear", "crank"), ("rear", "seat"), ("crank", "seat"), ("crank", "head"), ("seat", "head")),
    *(("head", "fore"), ("head", "bar"), ("bar", "grip"), ("seat", "saddle")),
)


def bicycle(scene: Scene, across: float, scale: float, color: Color, front: bool = False) -> None:
    """Put a bicycle from the side: two rings and a frame of thin cylinders."""
    x, y = scene.spot(across, scale)
    m = scale
    rubber, paint = scene.color((36, 36, 38)), scene.color(color)
    thin = max(0.022 * m, 0.9)
    for hub in (-0.52, 0.52):
        spots = [(x + (hub + 0.33 * a) * m, y - (0.35 + 0.33 * c) * m) for a, c in RING]
        for (ax, ay), (bx, by) in zip(spots, spots[1:] + spots[:1], strict=True):
            scene.put(limb(ax, ay, bx, by, 0, thin * 1.2, thin * 1.2, rubber), front)
    for start, end in BICYCLE_RODS:
        (ax, ay), (bx, by) = BICYCLE[start], BICYCLE[end]
        scene.put(limb(x + ax * m, y - ay * m, x + bx * m, y - by * m, 0, thin, thin, paint), front)


def grass(scene: Scene, across: float, scale: float, tall: float, color: Color, front: bool = False) -> None:
    """A tuft of long grass: thin blades that lean apart."""
    x, y = scene.spot(across, scale)
    numbers = [scene.color((color[0] * tint, color[1] * tint, color[2] * tint)) for tint in (0.75, 0.95, 1.15)]
    for _ in range(16):
        number, foot = scene.draw.choice(numbers), x + scene.draw.triangular(0.22 * scale)
        tip, size = foot + scene.draw.triangular(0.5 * scale), tall * scale * scene.draw.between(0.55, 1.0)
        scene.put(limb(tip, y - size, foot, y, 0, 0.008 * scale, 0.03 * scale, number), front)


def fir(scene: Scene, across: float, scale: float, tall: float, color: Color, front: bool = False) -> None:
    """A fir: rough cones one over the other, the lowest the widest; it branches from the ground."""
    x, y = scene.spot(across, scale)
    shade, cone = table((0, 1.25), (0.5, 1.0), (1, 0.55)), table((0, 0.05), (0.6, 0.75), (1, 1.0))
    for step in range(4):
        wide, foot = (1.0 - 0.2 * step) * tall * 0.24 * scale, y - step * tall * 0.21 * scale
        tint = scene.draw.between(0.85, 1.15)
        number = scene.color((color[0] * tint, color[1] * tint, color[2] * tint))
        top = foot - tall * 0.37 * scale
        scene.put(Cylinder(x, top, x, foot, 0, cone * f32(wide), number, shade=shade, rough=0.5, folds=0.4), front)


def bare_tree(scene: Scene, across: float, scale: float, tall: float, thick: float, front: bool = False) -> None:
    """A tree in winter: a trunk, and branches that rise from it to both sides."""
    x, y = scene.spot(across, scale)
    bark = scene.color((64, 56, 54))
    scene.put(limb(x, y - tall * scale, x, y, 0, 0.4 * thick * scale, thick * scale, bark, folds=0.3), front)
    for step in range(10):
        start = y - tall * scale * (0.35 + 0.06 * step)
        side, reach = (1.0 if step % 2 else -1.0), tall * scale * scene.draw.between(0.16, 0.3)
        tip = start - reach * scene.draw.between(0.7, 1.3)
        scene.put(limb(x + side * reach, tip, x, start, 0, 0.08 * thick * scale, 0.3 * thick * scale, bark), front)


def boat(scene: Scene, across: float, scale: float, color: Color) -> None:
    """A moored boat seen from the side: hull, rail, cabin and mast."""
    x, y = scene.spot(across, scale)
    m = scale
    hull = table((0, 0.30), (0.06, 0.42), (0.75, 0.45), (0.93, 0.36), (1, 0.14)) * f32(m)
    wood, white, glass = scene.color(color), scene.color((206, 204, 198)), scene.color((44, 52, 60))
    scene.put(limb(x - 0.3 * m, y - 5.0 * m, x - 0.3 * m, y - 0.8 * m, 0, 0.05 * m, 0.07 * m, white), False)
    scene.put(Cylinder(x - 0.9 * m, y - 1.5 * m, x - 0.9 * m, y - 0.6 * m, 0, rounded(3) * f32(0.6 * m), white), False)
    scene.put(limb(x - 1.25 * m, y - 1.25 * m, x - 0.55 * m, y - 1.25 * m, 0, 0.13 * m, 0.13 * m, glass), False)
    scene.put(Cylinder(x - 2.0 * m, y - 0.42 * m, x + 2.4 * m, y - 0.42 * m, 0, hull, wood, folds=0.1), False)
    scene.put(limb(x - 1.9 * m, y - 0.8 * m, x + 2.1 * m, y - 0.8 * m, 0, 0.05 * m, 0.05 * m, white), False)
