"""The painters of the city's six scenes, one function each. They vary with the seed in what stands where."""

from __future__ import annotations

import numpy as np

from reid_lab.passersby import props
from reid_lab.passersby.raster import f32, limb
from reid_lab.passersby.scenery import Color, Scene

GREEN, DARK_GREEN = (84, 96, 62), (62, 76, 52)
PAINTS: tuple[Color, ...] = (
    (196, 196, 194),
    (58, 60, 64),
    (118, 122, 126),
    (44, 52, 72),
    (110, 38, 40),
    (150, 146, 134),
)


def brick_gate(scene: Scene) -> None:
    """A path of stone slabs along a brick wall with a gate; planters stand between the paths."""
    scene.sky((206, 212, 216))
    scene.ground((150, 146, 138))
    scene.tiles(0.6, 0.3, longer=1.6)
    over, up, region = scene.wall(21.0, (136, 88, 72), top=3.4)
    scene.bricks(over, up, region)
    scene.wall(20.9, (150, 140, 128), top=0.5)
    scene.wall(20.9, (84, 88, 92), left=2.0, right=5.2, top=2.9)
    over, up, region = scene.wall(20.8, (46, 48, 50), left=2.2, right=5.0, top=2.7)
    scene.panes(over, up, region, (2.25, 0.1), (0.4, 9.0), (0.55, 1.0), (120, 122, 116))
    scene.darken(scene.band(away=(19.4, 21.0)), 0.72)
    for k in range(5):
        props.tree(scene, -12.0 + k * 5.6 + scene.draw.triangular(1.0), 36.0, 4.0, 0.16, GREEN)
    for k in range(7):
        props.bush(scene, -11.0 + k * 2.9 + scene.draw.triangular(0.8), 43.0, 2.2, 0.7, DARK_GREEN)
    scene.flush()
    for across in (-4.3, -1.3, 2.0, 4.9):
        props.box(scene, across, scene.front_scale, 1.15, 0.5, (142, 136, 126), front=True)
        props.bush(scene, across, scene.front_scale - 1.5, 1.1, 0.85, GREEN, front=True)
    props.pole(scene, 0.6, scene.front_scale, 5.0, 0.07, (70, 74, 76), front=True)


def shopping_street(scene: Scene) -> None:
    """Shop fronts under a grey sky, a kerb, parked cars; a car and a bin stand between the paths."""
    scene.ground((112, 113, 116), rough=0.12)
    over, up, region = scene.wall(23.0, (168, 160, 150))
    for left, color in (
        (-16.0, (150, 140, 128)),
        (-9.5, (96, 104, 112)),
        (-3.0, (176, 164, 142)),
        (4.0, (128, 98, 88)),
        (10.5, (150, 154, 156)),
    ):
        over, up, region = scene.wall(22.9, color, left=left, right=left + 6.4)
        scene.panes(over, up, region, (left + 0.4, 0.6), (2.9, 9.0), (0.86, 0.26), (64, 72, 78), vary=0.5)
        sign = scene.draw.choice(((140, 60, 52), (52, 76, 104), (188, 180, 160), (58, 92, 78), (70, 66, 70)))
        scene.wall(22.8, sign, left=left + 0.2, right=left + 6.2, foot=3.0, top=3.7)
    scene.ground((140, 137, 132), scene.band(away=(17.5, 23.0)))
    scene.tiles(0.5, 0.22, scene.band(away=(17.5, 23.0)))
    scene.darken(scene.band(away=(17.3, 17.6)), 0.7)
    scene.ground((150, 146, 140), scene.band(away=(0.0, 13.6)))
    scene.tiles(0.45, 0.25, scene.band(away=(0.0, 13.6)), uneven=0.12)
    scene.darken(scene.band(away=(13.5, 13.8)), 1.18)
    for k in range(4):
        props.car(scene, -10.2 + k * 5.4 + scene.draw.triangular(0.5), 55.0, scene.draw.choice(PAINTS))
    for k in range(3):
        props.pole(scene, -7.6 + k * 6.8, 60.0, 6.0, 0.06, (64, 66, 70))
    scene.flush()
    props.car(scene, -3.2, scene.front_scale, (92, 98, 108), front=True)
    props.box(scene, 1.3, scene.front_scale, 0.62, 1.05, (66, 84, 72), front=True)
    props.pole(scene, 3.0, scene.front_scale, 5.0, 0.08, (58, 62, 66), front=True)
    for k in range(3):
        props.pole(scene, 4.1 + k * 0.9, scene.front_scale, 0.95, 0.06, (84, 62, 54), front=True)


def park(scene: Scene) -> None:
    """A gravel path between lawns, trees behind; a clipped hedge and a trunk between the paths."""
    scene.sky((188, 200, 196))
    scene.ground((112, 116, 78), rough=0.3)
    scene.wall(60.0, (78, 96, 62), top=9.0, rough=0.5)
    scene.ground((168, 156, 132), scene.band(away=(7.4, 14.6)), rough=0.2)
    scene.darken(scene.band(away=(14.4, 14.8)), 0.8)
    for k in range(8):
        props.bush(
            scene, -13.0 + k * 3.6 + scene.draw.triangular(1.4), 38.0 + scene.draw.triangular(5.0), 3.2, 1.5, DARK_GREEN
        )
    for k in range(7):
        props.tree(
            scene, -12.5 + k * 4.1 + scene.draw.triangular(1.4), 40.0 + scene.draw.triangular(8.0), 3.6, 0.2, GREEN
        )
    scene.flush()
    for _ in range(5):
        left = scene.draw.between(-7.0, 6.0)
        patch = scene.band(across=(left, left + scene.draw.between(0.6, 1.8)), away=(7.4, 14.6))
        scene.darken(patch & (scene.coarse > f32(0.35)), 0.72)
    props.box(scene, 4.6, 62.0, 1.7, 0.12, (104, 82, 60), lift=0.42)
    props.box(scene, 4.6, 62.0, 1.7, 0.3, (104, 82, 60), lift=0.62)
    for across in (-5.4, -4.2, 0.4, 1.6, 2.8):
        props.bush(scene, across, scene.front_scale, 1.5, 0.95, (76, 90, 58), front=True)
    props.tree(scene, -1.9, scene.front_scale, 6.0, 0.17, GREEN, front=True)


def glass_plaza(scene: Scene) -> None:
    """A light plaza before an office front of glass; railings and a column between the paths."""
    scene.ground((176, 174, 170), rough=0.1)
    scene.tiles(1.1, 0.16, uneven=0.08)
    over, up, region = scene.wall(19.0, (150, 154, 158))
    scene.panes(over, up, region, (-16.0, 0.25), (1.7, 3.1), (0.93, 0.9), (92, 112, 122), vary=0.5)
    scene.wall(18.9, (120, 122, 124), top=0.25)
    scene.darken(scene.band(away=(17.0, 19.0)), 0.8)
    for k in range(5):
        props.box(scene, -9.0 + k * 4.6 + scene.draw.triangular(0.6), 52.0, 1.6, 0.45, (124, 122, 118))
    for k in range(4):
        props.bush(scene, -9.0 + k * 6.1, 51.0, 1.1, 1.2, (70, 92, 60))
    scene.flush()
    for left in (-5.6, 1.4):
        for k in range(11):
            props.pole(scene, left + k * 0.3, scene.front_scale, 1.0, 0.018, (104, 110, 114), front=True)
        x, y = scene.spot(left, scene.front_scale)
        thick = 0.035 * scene.front_scale
        for tall in (1.02, 0.16):
            scene.put(
                limb(
                    x,
                    y - tall * scene.front_scale,
                    x + 3.0 * scene.front_scale,
                    y - tall * scene.front_scale,
                    0,
                    thick,
                    thick,
                    scene.color((112, 118, 122)),
                ),
                front=True,
            )
    props.pole(scene, -1.0, scene.front_scale, 6.0, 0.26, (168, 168, 166), front=True)
    props.box(scene, 5.4, scene.front_scale, 0.9, 1.5, (74, 78, 84), front=True)


def underpass(scene: Scene) -> None:
    """An underpass in lamp light: tiled wall with posters, dark joints, pillars between the paths."""
    scene.ground((126, 116, 104), rough=0.14)
    scene.tiles(0.8, 0.28, uneven=0.1)
    over, up, region = scene.wall(17.0, (164, 152, 132))
    scene.bricks(over, up, region, (0.6, 0.3), 0.08)
    over, up, region = scene.wall(16.9, (92, 86, 80), top=1.0)
    for k in range(5):
        left = -9.5 + k * 4.0 + scene.draw.triangular(0.5)
        shade = scene.draw.choice(((150, 92, 74), (84, 102, 118), (190, 176, 140), (112, 116, 96), (62, 62, 70)))
        scene.wall(16.8, (58, 56, 54), left=left - 0.06, right=left + 1.46, foot=1.14, top=3.3)
        over, up, region = scene.wall(16.7, shade, left=left, right=left + 1.4, foot=1.2, top=3.2, rough=0.3)
        scene.panes(over, up, region, (left + 0.1, 1.35), (0.7, 0.5), (0.8, 0.5), (188, 180, 164), vary=0.3)
    scene.darken(scene.band(away=(15.6, 17.0)), 0.7)
    lamp = scene.columns * f32(1 / 260.0)
    wave = lamp - np.floor(lamp)
    scene.image *= (f32(0.86) + f32(0.9) * wave * (f32(1.0) - wave))[..., None]
    scene.flush()
    for across in (-3.8, 0.9, 4.9):
        props.pole(scene, across, scene.front_scale, 6.0, 0.24, (142, 134, 122), front=True)
    props.box(scene, -1.4, scene.front_scale, 1.5, 0.85, (94, 92, 92), front=True)
    props.box(scene, 2.7, scene.front_scale, 0.5, 1.2, (64, 72, 88), front=True)


def bicycle_yard(scene: Scene) -> None:
    """A yard of asphalt before a plastered house, bicycles in rows, also between the paths."""
    scene.ground((104, 107, 112), rough=0.2)
    scene.ground((172, 172, 170), scene.band(across=(-6.4, -6.26), away=(8.0, 16.0)))
    scene.ground((172, 172, 170), scene.band(across=(3.1, 3.24), away=(8.0, 16.0)))
    over, up, region = scene.wall(20.0, (158, 152, 140))
    scene.panes(over, up, region, (-12.0, 1.5), (3.4, 2.8), (0.42, 0.55), (70, 82, 94), vary=0.4)
    scene.wall(19.9, (108, 108, 110), top=0.7)
    scene.wall(19.8, (84, 74, 66), left=-0.2, right=1.0, top=2.2)
    scene.ground((136, 134, 130), scene.band(away=(16.6, 20.0)))
    scene.tiles(0.5, 0.25, scene.band(away=(16.6, 20.0)))
    frames = ((120, 44, 44), (44, 66, 96), (60, 62, 64), (150, 150, 146), (58, 88, 70), (40, 40, 44))
    for k in range(16):
        props.bicycle(scene, -10.5 + k * 1.35 + scene.draw.triangular(0.4), 56.0, scene.draw.choice(frames))
    scene.flush()
    for across in (-4.9, -4.1, -1.6, 0.9, 1.9, 4.4):
        props.bicycle(scene, across, scene.front_scale, scene.draw.choice(frames), front=True)
    props.box(scene, 3.0, scene.front_scale, 0.8, 1.25, (94, 100, 88), front=True)
    props.pole(scene, -0.2, scene.front_scale, 6.0, 0.09, (88, 92, 96), front=True)
