"""From a composed frame to its pixels, its person mask and its keypoints.

People are drawn at 2 x 2 samples per pixel over the scene's layers, then the camera's lens, tone and noise
follow, one image at a time, float32, in a fixed order of elementwise operations: the bytes are the same on
every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reid_lab.passersby import bodies, cameras, clothing
from reid_lab.passersby.clothing import Body
from reid_lab.passersby.frames import FINE, HEIGHT_PX, WIDTH_PX, Figure, Frame, Key, compose
from reid_lab.passersby.raster import Canvas
from reid_lab.passersby.town import Camera, Town
from reid_lab.passersby.towns.city import CITY

f32 = np.float32
BLUR = 0.5  # strength of the lenses
NOISE = 1.0  # strength of the sensors
# Somebody whom the front layer hides more than this is drawn before it: no detector would have found them.
MOST_HIDDEN = 0.5
MAIN = 1  # the main figure's materials are MAIN * PALETTE and up; others have other numbers


@dataclass
class Drawn:
    """The people of a frame in samples."""

    canvas: Canvas
    palette: np.ndarray  # (256, 3) float32
    body: Body | None  # the main figure's
    area: int  # samples of the main figure before anything hid it


def draw_people(seed: int, frame: Frame, town: Town = CITY) -> Drawn:
    """Draw everybody in a frame, the farthest first."""
    camera = town.cameras[frame.key.camid - 1]
    _, folds = cameras.noises(seed, town)
    canvas = Canvas(HEIGHT_PX * FINE, WIDTH_PX * FINE, folds)
    palette = np.zeros((256, 3), np.float32)
    body, area, number = None, 0, MAIN + 1

    def put(figure: Figure, slot: int) -> Body:
        drawn = Body(figure.who, figure.pose, figure.view)
        palette[slot * bodies.PALETTE : (slot + 1) * bodies.PALETTE] = bodies.palette(figure.who)
        for cylinder in clothing.cylinders(drawn):
            canvas.draw(cylinder, camera.sun, camera.ambient, slot * bodies.PALETTE, figure.folds_at)
        return drawn

    for figure in frame.behind:
        put(figure, number)
        number += 1
    if frame.main:
        body = put(frame.main, MAIN)
        area = int(np.count_nonzero(_main(canvas)))
    for figure in frame.before:
        put(figure, number)
        number += 1
    return Drawn(canvas, palette, body, area)


def _main(canvas: Canvas) -> np.ndarray:
    """Samples that show the main figure."""
    return (canvas.material - np.uint8(MAIN * bodies.PALETTE)) < bodies.PALETTE  # wraps around below


def _sample_positions(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Scene rows and columns of the samples, inside the scene."""
    left, top, width, height = frame.box
    rows = (np.arange(HEIGHT_PX * FINE) + 0.5) * (height / (HEIGHT_PX * FINE)) + top
    columns = (np.arange(WIDTH_PX * FINE) + 0.5) * (width / (WIDTH_PX * FINE)) + left
    scene = cameras.scenery
    return (
        np.clip(np.floor(rows).astype(np.int64), 0, scene.HEIGHT - 1),
        np.clip(np.floor(columns).astype(np.int64), 0, scene.WIDTH - 1),
    )


def _crop(layer: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The part of a layer that the box shows, mean of 2 x 2 samples: (128, 64[, C]) float32."""
    first = int(columns[0])
    strip = layer[:, first : int(columns[-1]) + 1]
    tall = strip[rows[0::2]].astype(np.uint16) + strip[rows[1::2]]
    total = tall[:, columns[0::2] - first] + tall[:, columns[1::2] - first]
    return total.astype(np.float32) * f32(0.25)


def _shadow(
    image: np.ndarray, x0: float, y0: float, x1: float, y1: float, wide: float, tall: float, dark: float
) -> None:
    """Darken around a segment on the ground (pixels): an ellipse of radii `wide`, `tall` swept along it."""
    left, right = max(int(min(x0, x1) - wide), 0), min(int(max(x0, x1) + wide) + 2, WIDTH_PX)
    top, bottom = max(int(min(y0, y1) - tall), 0), min(int(max(y0, y1) + tall) + 2, HEIGHT_PX)
    if left >= right or top >= bottom:
        return
    flat = wide / tall  # squeeze rows so that the ellipse is a circle
    dx, dy = x1 - x0, (y1 - y0) * flat
    xs = ((np.arange(left, right) + 0.5) - x0).astype(np.float32)[None, :]
    ys = (((np.arange(top, bottom) + 0.5) - y0) * flat).astype(np.float32)[:, None]
    along = (xs * f32(dx) + ys * f32(dy)) * f32(1.0 / (dx * dx + dy * dy + 1e-6))
    along = np.minimum(np.maximum(along, f32(0.0)), f32(1.0))
    away_x, away_y = xs - along * f32(dx), ys - along * f32(dy)
    soft = f32(1.0) - (away_x * away_x + away_y * away_y) * f32(1.0 / (wide * wide))
    soft = np.minimum(np.maximum(soft, f32(0.0)) * f32(1.8), f32(1.0)) * (f32(1.0) - along * f32(0.35))
    image[top:bottom, left:right] *= (f32(1.0) - f32(dark) * soft)[..., None]


def _cast_shadows(image: np.ndarray, frame: Frame, camera: Camera) -> None:
    right, away, dark = camera.shadow
    for figure in (*frame.behind, *([frame.main] if frame.main else []), *frame.before):
        x, y, meter = figure.view.x / FINE, figure.view.y / FINE, figure.view.scale / FINE
        tall = figure.who.height
        _shadow(image, x - 0.12 * meter, y, x + 0.12 * meter, y, 0.24 * meter, 0.07 * meter, 0.5)
        _shadow(image, x, y, x + right * tall * meter, y - away * tall * meter, 0.17 * meter, 0.11 * meter, dark)


def _over(image: np.ndarray, drawn: Drawn) -> None:
    """Put the people over the image, mean of 2 x 2 samples."""
    material = drawn.canvas.material
    occupied = np.flatnonzero(material.any(1))
    if not len(occupied):
        return
    columns = np.flatnonzero(material.any(0))
    top, bottom = int(occupied[0]) // 2, int(occupied[-1]) // 2 + 1
    left, right = int(columns[0]) // 2, int(columns[-1]) // 2 + 1
    window = (slice(2 * top, 2 * bottom), slice(2 * left, 2 * right))
    material = material[window]
    color = drawn.palette.take(material.reshape(-1), axis=0).reshape(*material.shape, 3)
    color *= drawn.canvas.brightness[window][..., None]
    bare = (material == 0).view(np.uint8)
    bare = bare[0::2] + bare[1::2]
    bare = (bare[:, 0::2] + bare[:, 1::2]).astype(np.float32)[..., None]  # samples of 4 that show the scene
    tall = color[0::2] + color[1::2]  # palette entry 0 is black
    total = tall[:, 0::2] + tall[:, 1::2]
    part = image[top:bottom, left:right]
    part *= bare
    part += total
    part *= f32(0.25)


def _blur(image: np.ndarray, strength: float) -> np.ndarray:
    """Mix every pixel with its neighbors along both axes; strength 0 .. 1."""
    side = f32(0.30 * strength)
    for axis in (0, 1):
        padded = (
            np.concatenate([image[:1], image, image[-1:]])
            if axis == 0
            else np.concatenate([image[:, :1], image, image[:, -1:]], 1)
        )
        near = padded[:-2] + padded[2:] if axis == 0 else padded[:, :-2] + padded[:, 2:]
        near *= side
        image = image * (f32(1.0) - f32(2.0) * side)
        image += near
    return image


def _develop(image: np.ndarray, frame: Frame, camera: Camera, grain: np.ndarray) -> np.ndarray:
    """Lens, color, tone, noise: (128, 64, 3) float32 to uint8."""
    image = _blur(image, min(camera.blur * BLUR + frame.softness, 1.0))
    grey = image[..., 0] * f32(0.3) + image[..., 1] * f32(0.59) + image[..., 2] * f32(0.11)
    mixed = f32(1.0 + (camera.saturation - 1.0) * cameras.COLOR_STRENGTH)
    image *= mixed
    image += (grey * (f32(1.0) - mixed))[..., None]
    index = np.minimum(np.maximum(image * f32(4.0), f32(0.0)), f32(1023.0)).astype(np.int32)
    tables = cameras.tone(camera, frame.exposure, frame.warmth)
    y, x = frame.grain_at[0] % (grain.shape[0] - HEIGHT_PX), frame.grain_at[1] % (grain.shape[1] - WIDTH_PX)
    finished = grain[y : y + HEIGHT_PX, x : x + WIDTH_PX] * f32(camera.noise * NOISE) + f32(0.5)
    for channel in range(3):
        finished[..., channel] += tables[channel].take(index[..., channel])
    return np.minimum(np.maximum(finished, f32(0.0)), f32(255.0)).astype(np.uint8)


def render(seed: int, key: Key, town: Town = CITY) -> tuple[np.ndarray, Frame, float]:
    """Render one image.

    Args:
        seed: The seed of the data set.
        key: The image's name.
        town: Where it was taken.

    Returns:
        The image, uint8 (128, 64, 3); what it shows; and the share of the main figure that is hidden in the box.
    """
    frame, drawn, veil = _people(seed, key, town)
    return paint(seed, frame, drawn, veil, town), frame, hidden_share(drawn, veil)


def paint(seed: int, frame: Frame, drawn: Drawn, veil: np.ndarray | None, town: Town = CITY) -> np.ndarray:
    """Paint a frame's people into its scene.

    Args:
        seed: The seed of the data set.
        frame: What the image shows.
        drawn: Its people.
        veil: The opacity of the front layer, if that is before the people (see :func:`veil_before`).
        town: Where it was taken.

    Returns:
        The image, uint8 (128, 64, 3).
    """
    scene = cameras.camera_scene(seed, frame.key.camid, town)
    rows, columns = _sample_positions(frame)
    image = _crop(scene.both if veil is None else scene.back, rows, columns)
    _cast_shadows(image, frame, scene.camera)
    _over(image, drawn)
    if veil is not None:
        image += (_crop(scene.front, rows, columns) - image) * (veil[..., None] * f32(1.0 / 255.0))
    grain, _ = cameras.noises(seed, town)
    return _develop(image, frame, scene.camera, grain)


def _people(seed: int, key: Key, town: Town) -> tuple[Frame, Drawn, np.ndarray | None]:
    """The frame, its people, and the opacity 0 .. 255 (128, 64) of the front layer if it is before them."""
    frame = compose(seed, key, town)
    drawn = draw_people(seed, frame, town)
    return frame, drawn, veil_before(seed, frame, drawn, town)


def veil_before(seed: int, frame: Frame, drawn: Drawn, town: Town = CITY) -> np.ndarray | None:
    """Find the opacity 0 .. 255 (128, 64) of the front layer; None where it is not before the people."""
    if not frame.far:
        return None
    veil = _crop(cameras.camera_scene(seed, frame.key.camid, town).alpha, *_sample_positions(frame))
    return veil if hidden_share(drawn, veil) <= MOST_HIDDEN else None


def visible_main(drawn: Drawn, veil: np.ndarray | None) -> np.ndarray:
    """Find the pixels, bool (128, 64), with the main figure in half of their samples and before the front layer."""
    samples = _main(drawn.canvas).view(np.uint8)
    samples = samples[0::2] + samples[1::2]
    shown = (samples[:, 0::2] + samples[:, 1::2]) >= 2
    return shown if veil is None else shown & (veil < f32(127.5))


def hidden_share(drawn: Drawn, veil: np.ndarray | None) -> float:
    """Compute 1 - visible area / area inside the box, in samples; 0 without a figure."""
    if not drawn.area:
        return 0.0
    shown = _main(drawn.canvas)
    if veil is not None and veil.any():
        shown = shown & (veil < f32(127.5)).repeat(2, 0).repeat(2, 1)
    return 1.0 - int(np.count_nonzero(shown)) / drawn.area


def person_mask(seed: int, key: Key, town: Town = CITY) -> np.ndarray:
    """Draw where an image shows its main person.

    Args:
        seed: The seed of the data set.
        key: The image's name.
        town: Where it was taken.

    Returns:
        Bool (128, 64).
    """
    _, drawn, veil = _people(seed, key, town)
    return visible_main(drawn, veil)


def person_keypoints(seed: int, key: Key, town: Town = CITY) -> list[tuple[str, float, float, int]]:
    """Find the keypoints of an image's main person.

    A joint behind the person's own body counts as seen: it is where the person is.

    Args:
        seed: The seed of the data set.
        key: The image's name.
        town: Where it was taken.

    Returns:
        Name, x, y (pixels) and visibility of each: 2 if the person is drawn there, 1 if a prop or somebody else hides
        it, 0 if it is outside the image or there is no person.
    """
    _, drawn, veil = _people(seed, key, town)
    if drawn.body is None:
        return [(name, 0.0, 0.0, 0) for name in bodies.KEYPOINTS]
    seen = visible_main(drawn, veil)
    rows = []
    for name in bodies.KEYPOINTS:
        x, y, _ = drawn.body.at[name]
        x, y = x / FINE, y / FINE
        inside = 0 <= x < WIDTH_PX and 0 <= y < HEIGHT_PX
        rows.append((name, x, y, 0 if not inside else 2 if seen[int(y), int(x)] else 1))
    return rows
