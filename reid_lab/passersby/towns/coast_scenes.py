"""The painters of the coast's six scenes, one function each. They vary with the seed in what stands where."""

from __future__ import annotations

import numpy as np

from reid_lab.passersby import props
from reid_lab.passersby.raster import f32
from reid_lab.passersby.scenery import Color, Scene

STRAW, FIR = (168, 150, 104), (40, 62, 52)
TIMBER: tuple[Color, ...] = ((142, 50, 42), (198, 152, 76), (208, 204, 192), (78, 100, 112), (150, 74, 52))
HULLS: tuple[Color, ...] = ((36, 66, 96), (140, 44, 38), (204, 200, 190), (40, 84, 76), (52, 50, 54))
SHEETS: tuple[Color, ...] = ((38, 78, 112), (132, 54, 40), (176, 122, 48), (64, 92, 72), (112, 116, 120))


def quay(scene: Scene) -> None:
    """A quay of planks in the evening; boats lie on dark water; bollards, drums and nets stand between the paths."""
    scene.sky((232, 176, 140))
    scene.ground((70, 88, 104), rough=0.2)
    water = scene.band(away=(16.5, 400.0))
    scene.tiles(0.9, 0.3, water, longer=7.0, uneven=0.3)
    scene.wall(95.0, (92, 88, 104), top=7.0, rough=0.4)
    for k in range(5):
        color = scene.draw.choice(HULLS)
        props.boat(scene, -11.5 + k * 5.4 + scene.draw.triangular(0.9), 44.0, color)
    for k in range(6):
        props.pole(scene, -10.0 + k * 4.0 + scene.draw.triangular(0.5), 50.0, 1.5, 0.14, (58, 48, 42))
    scene.flush()
    deck = scene.band(away=(0.0, 16.5))
    scene.ground((134, 108, 88), deck, rough=0.2)
    scene.tiles(0.34, 0.5, deck, longer=9.0, uneven=0.28)
    scene.darken(scene.band(away=(16.1, 16.5)), 0.5)
    for across in (-4.6, -0.4, 3.6):
        props.pole(scene, across, scene.front_scale, 0.62, 0.17, (46, 44, 46), front=True)
        props.box(scene, across, scene.front_scale, 0.52, 0.16, (62, 58, 58), front=True, lift=0.55)
    for across in (-3.5, 2.5):  # nets in heaps
        props.bush(scene, across, scene.front_scale, 1.8, 1.0, (58, 84, 82), front=True)
    for across, color in ((-2.6, (56, 92, 128)), (-1.8, (172, 96, 52)), (1.5, (56, 92, 128)), (5.6, (172, 96, 52))):
        for lift, paint in ((0.0, color), (0.37, (148, 152, 148)), (0.74, color)):
            props.box(scene, across, scene.front_scale, 0.78, 0.35, paint, front=True, lift=lift)


def timber_row(scene: Scene) -> None:
    """Painted houses of boards over dark cobbles; barrels, firewood and firs stand between the paths."""
    scene.ground((92, 90, 92), rough=0.2)
    scene.tiles(0.24, 0.5, uneven=0.3)
    for k in range(7):
        left = -17.5 + k * 5.0
        over, up, region = scene.wall(
            20.0, TIMBER[(k + scene.draw.integer(2)) % len(TIMBER)], left=left, right=left + 5
        )
        scene.boards(over, region, 0.26, 0.28)
        for window in (left + 0.7, left + 3.1):
            over, up, region = scene.wall(19.9, (222, 220, 212), left=window, right=window + 1.3, foot=1.0, top=2.6)
            scene.panes(over, up, region, (window + 0.12, 1.12), (0.58, 0.74), (0.82, 0.82), (66, 70, 74))
        scene.wall(19.8, (226, 222, 212), left=left - 0.1, right=left + 0.1)
        scene.wall(19.7, (54, 60, 60), left=left + 2.1, right=left + 2.95, top=2.1)
    scene.wall(19.6, (104, 102, 102), top=0.35, rough=0.3)
    scene.darken(scene.band(away=(17.8, 19.6)), 0.75)
    scene.ground((120, 116, 112), scene.band(away=(12.6, 13.2)))
    scene.flush()
    for across in (-4.9, -4.2, 1.6):  # barrels
        props.box(scene, across, scene.front_scale, 0.62, 0.95, (112, 78, 50), front=True, folds=0.12)
    for lift in (0.0, 0.33, 0.66):  # a pile of firewood
        props.box(scene, 3.0, scene.front_scale, 1.9, 0.32, (134, 108, 78), front=True, lift=lift, folds=0.5)
    for lift in (0.4, 0.62):
        props.box(scene, -1.2, scene.front_scale, 1.7, 0.11, (92, 110, 104), front=True, lift=lift)
    for across in (-1.9, -0.5):
        props.box(scene, across, scene.front_scale, 0.1, 0.42, (52, 52, 54), front=True)
    props.pole(scene, 0.9, scene.front_scale, 5.0, 0.06, (38, 42, 44), front=True)
    for across in (4.2, 5.0):
        props.fir(scene, across, scene.front_scale, 1.9, FIR, front=True)


def dunes(scene: Scene) -> None:
    """A walk of boards through sand, huts in stripes and the sea behind; grass and posts between the paths."""
    scene.sky((196, 204, 210))
    scene.ground((128, 146, 152), rough=0.1)
    scene.tiles(1.6, 0.18, scene.band(away=(30.0, 300.0)), longer=8.0, uneven=0.2)
    scene.ground((196, 176, 140), scene.band(away=(0.0, 30.0)), rough=0.22)
    for k in range(5):
        left = -13.0 + k * 5.6 + scene.draw.triangular(0.7)
        color = scene.draw.choice(((96, 130, 150), (190, 92, 76), (214, 184, 92), (110, 142, 120)))
        over, _, region = scene.wall(22.0, (224, 220, 210), left=left, right=left + 2.4, top=2.6)
        scene.wall(21.9, color, left=left, right=left + 2.4, foot=2.3, top=2.75)
        for stripe in range(4):
            scene.wall(21.9, color, left=left + 0.6 * stripe, right=left + 0.6 * stripe + 0.3, top=2.3)
        scene.wall(21.8, (70, 66, 64), left=left + 0.8, right=left + 1.6, top=1.9)
    for k in range(13):
        tall = scene.draw.between(0.5, 0.9)
        color = (206, 188, 150) if k % 3 else STRAW
        props.bush(scene, -12.0 + k * 2.0 + scene.draw.triangular(1.0), 48.0, 2.6, tall, color)
    for k in range(14):
        props.grass(scene, -10.0 + k * 1.5 + scene.draw.triangular(0.6), 55.0, 0.8, STRAW)
    scene.flush()
    walk = scene.band(away=(8.6, 12.8))
    scene.ground((152, 136, 118), walk, rough=0.2)
    scene.tiles(0.3, 0.42, walk, longer=11.0, uneven=0.24)
    scene.darken(scene.band(away=(12.7, 13.0)), 0.7)
    for across in (-5.3, -2.9, 0.1, 2.4, 5.0):
        props.bush(scene, across, scene.front_scale, 1.6, 0.7, (186, 168, 134), front=True, folds=0.2)
    for across in (-5.6, -5.0, -3.3, -2.6, -0.2, 0.4, 2.1, 2.7, 5.1):
        props.grass(scene, across + scene.draw.triangular(0.2), scene.front_scale, 1.05, STRAW, front=True)
    for k in range(8):
        props.pole(scene, -5.8 + k * 1.6, scene.front_scale, 0.85, 0.05, (120, 104, 88), front=True)


def snow_square(scene: Scene) -> None:
    """A square in snow at nightfall, lit windows in a church of stone; firs, snow and a lamp between the paths."""
    scene.sky((116, 130, 160))
    scene.ground((192, 200, 212), rough=0.12)
    over, up, region = scene.wall(24.0, (98, 98, 106))
    scene.bricks(over, up, region, (1.1, 0.45), 0.3)
    for k in range(6):
        left = -12.5 + k * 4.4
        scene.wall(23.9, (66, 64, 70), left=left - 0.15, right=left + 1.35, foot=0.9, top=4.2)
        over, up, region = scene.wall(23.8, (228, 178, 98), left=left, right=left + 1.2, foot=1.05, top=4.1)
        scene.panes(over, up, region, (left, 1.05), (0.4, 0.6), (0.86, 0.86), (240, 196, 116), vary=0.25)
    scene.wall(23.7, (214, 220, 230), top=0.3, rough=0.2)
    for k in range(5):
        props.bare_tree(scene, -11.0 + k * 5.4 + scene.draw.triangular(1.2), 46.0, 4.2, 0.16)
    for k in range(5):
        props.bush(scene, -9.5 + k * 4.9 + scene.draw.triangular(1.2), 50.0, 2.4, 0.5, (198, 206, 220), folds=0.12)
    scene.flush()
    trodden = scene.band(away=(7.6, 14.0))
    scene.ground((160, 164, 172), trodden, rough=0.34)
    for _ in range(7):
        left = scene.draw.between(-7.0, 6.0)
        patch = scene.band(across=(left, left + scene.draw.between(0.8, 2.2)), away=(7.6, 14.0))
        scene.darken(patch & (scene.coarse > f32(0.4)), 0.78)
    for across in (-5.2, -1.9, -0.7, 4.4, 5.4):
        props.bush(scene, across, scene.front_scale, 1.9, 0.85, (208, 214, 226), front=True, folds=0.12)
    for across in (-3.4, 2.6):
        props.fir(scene, across, scene.front_scale, 2.3, (52, 74, 68), front=True)
    props.pole(scene, 0.5, scene.front_scale, 5.0, 0.08, (40, 42, 48), front=True)


def fish_hall(scene: Scene) -> None:
    """A market hall under green tubes: white tiles, a wet red floor, stalls; pillars and drums between the paths."""
    scene.ground((112, 74, 66), rough=0.2)
    scene.tiles(0.36, 0.34, uneven=0.2)
    over, up, region = scene.wall(18.0, (190, 200, 190))
    scene.bricks(over, up, region, (0.34, 0.34), 0.1)
    scene.wall(17.9, (46, 92, 84), foot=1.5, top=1.75)
    for k in range(5):
        left = -10.5 + k * 4.3 + scene.draw.triangular(0.3)
        over, _, region = scene.wall(17.0, (216, 218, 210), left=left, right=left + 3.2, foot=2.15, top=2.8)
        shade = scene.draw.choice(((48, 92, 120), (158, 58, 50), (60, 110, 84)))
        for stripe in range(4):
            scene.wall(16.9, shade, left=left + 0.8 * stripe, right=left + 0.8 * stripe + 0.4, foot=2.15, top=2.8)
        scene.wall(16.8, (148, 156, 158), left=left + 0.1, right=left + 3.1, top=0.85, rough=0.2)
        for crate in range(4):
            fill = scene.draw.choice(((196, 206, 208), (190, 110, 84), (88, 104, 112), (70, 112, 84), (206, 178, 96)))
            place = left + 0.16 + 0.74 * crate
            scene.wall(16.7, fill, left=place, right=place + 0.66, foot=0.8, top=1.05, rough=0.5)
    scene.darken(scene.band(away=(15.6, 16.8)), 0.65)
    scene.darken(scene.band(away=(8.0, 13.0)) & (scene.coarse > f32(0.55)), 0.84)
    tube = scene.columns * f32(1 / 330.0) + f32(0.2)
    wave = tube - np.floor(tube)
    scene.image *= (f32(0.9) + f32(0.6) * wave * (f32(1.0) - wave))[..., None]
    scene.flush()
    for across in (-4.4, 1.0, 5.3):
        props.pole(scene, across, scene.front_scale, 6.0, 0.13, (44, 84, 74), front=True)
    for across, color in ((-2.5, (70, 112, 142)), (-1.9, (196, 196, 188)), (2.9, (178, 96, 60)), (3.5, (70, 112, 142))):
        for lift, paint in ((0.0, color), (0.4, (196, 200, 196)), (0.8, color)):
            props.box(scene, across, scene.front_scale, 0.58, 0.39, paint, front=True, lift=lift)
    props.box(scene, -0.6, scene.front_scale, 1.5, 0.9, (126, 134, 138), front=True)


def ferry_yard(scene: Scene) -> None:
    """A yard of wet asphalt by lamp light, containers of ribbed steel; barriers and a fence between the paths."""
    scene.ground((78, 76, 80), rough=0.3)
    for left in (-5.6, -1.8, 2.0, 5.8):
        scene.ground((204, 170, 70), scene.band(across=(left, left + 0.16), away=(7.6, 16.0)))
    for row, foot in enumerate((0.0, 2.6)):
        for k in range(6):
            left = -17.0 + k * 6.2 + 1.6 * row
            color = scene.draw.choice(SHEETS)
            over, _, region = scene.wall(19.0, color, left=left, right=left + 6.0, foot=foot, top=foot + 2.5)
            scene.boards(over, region, 0.3, 0.34, uneven=0.05)
            scene.wall(18.9, (40, 40, 44), left=left, right=left + 6.0, foot=foot + 2.45, top=foot + 2.6)
            scene.wall(18.9, (188, 186, 178), left=left + 0.9, right=left + 2.3, foot=foot + 1.7, top=foot + 2.0)
    scene.darken(scene.band(away=(17.0, 19.0)), 0.6)
    wet = scene.band(away=(7.0, 16.5)) & (scene.coarse > f32(0.6))
    scene.ground((90, 87, 90), wet, rough=0.1)
    lamp = scene.columns * f32(1 / 420.0) + f32(0.4)
    wave = lamp - np.floor(lamp)
    scene.image *= (f32(0.8) + f32(1.0) * wave * (f32(1.0) - wave))[..., None]
    scene.flush()
    for across in (-4.4, -2.5, 3.9):
        props.box(scene, across, scene.front_scale, 1.75, 0.95, (158, 154, 146), front=True)
    for k in range(6):
        props.pole(scene, -0.6 + k * 0.55, scene.front_scale, 1.5, 0.03, (92, 96, 98), front=True)
    for lift in (0.2, 0.7, 1.2):
        props.box(scene, 0.8, scene.front_scale, 2.8, 0.05, (112, 116, 116), front=True, lift=lift)
    props.pole(scene, 5.6, scene.front_scale, 6.0, 0.12, (70, 72, 74), front=True)
