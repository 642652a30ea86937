"""Shrink the pictures that a notebook saves: drawings become PNG files with a palette, photographs become JPEG files.

``run.py`` does this after it has executed a notebook. The width at which the page shows a picture stays (a *retina*
picture has twice as many pixels as it is wide on the page). The number of pixels stays, too, but for photographs
wider than 1,400 pixels. A smaller file is taken only if it looks the same: the mean error over the pixels that are not
background stays below a bound.
"""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

COLOURS = 256  # of a palette
WIDEST = 1400  # pixels of a photograph
# The mean error that may be, in levels of 255, over the pixels that are not background. A drawing of lines has 0.5 as a
# palette and 6 as a JPEG file of quality 80; a gallery of photographs has 2.2 and 1.6. At 2.2 a palette can be seen.
PALETTE_ERROR = 1.5
JPEG = (  # quality, sampling of colours, the error that may be
    (80, "4:2:0", 3.0),
    (80, "4:4:4", 3.0),
    (90, "4:4:4", 4.0),
)
KINDS = ("image/png", "image/jpeg")


def shrunk(png: bytes) -> tuple[str, bytes]:
    """The smallest file that shows the same picture: its kind and its bytes. Transparent pictures and palettes stay."""
    picture = Image.open(BytesIO(png))
    if picture.mode == "P" or picture.convert("RGBA").getextrema()[3][0] < 255:
        return "image/png", png
    picture = picture.convert("RGB")
    background = max(picture.getcolors(picture.width * picture.height))[1]
    ink = (np.asarray(picture) != background).any(axis=-1)
    palette = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    found = [("image/png", png), ("image/png", _file(picture, "png"))]  # the second is the same without transparency
    if error(picture, palette, ink) <= PALETTE_ERROR:
        found.append(("image/png", _file(palette, "png")))
    elif picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
        ink = np.ones((picture.height, picture.width), bool)
    for quality, subsampling, bound in JPEG:
        file = _file(picture, "jpeg", quality=quality, subsampling=subsampling, progressive=True)
        if error(picture, Image.open(BytesIO(file)), ink) <= bound:
            found.append(("image/jpeg", file))
    return min(found, key=lambda each: len(each[1]))


def error(one: Image.Image, other: Image.Image, ink: np.ndarray) -> float:
    """The mean difference of two pictures, in levels of 255, over the pixels that are marked in ``ink`` (h, w)."""
    levels = [np.asarray(each.convert("RGB"), dtype=np.int16)[ink] for each in (one, other)]
    return float(np.abs(levels[0] - levels[1]).mean()) if ink.any() else 0.0


def _file(picture: Image.Image, kind: str, **settings) -> bytes:
    file = BytesIO()
    picture.save(file, kind, optimize=True, **settings)
    return file.getvalue()


def shrink(cell) -> None:
    """Shrink the PNG pictures in the outputs of a code cell, and keep what is said about them."""
    for output in cell.outputs:
        if "image/png" in output.get("data", {}):
            kind, file = shrunk(base64.b64decode(output.data.pop("image/png")))
            output.data[kind] = base64.b64encode(file).decode("ascii")
            told = output.metadata.pop("image/png", None)
            if told is not None:
                output.metadata[kind] = told


def describe(cell) -> None:
    """Repeat the size and the alternative text of a cell's only figure where MyST-NB looks for them: at the cell."""
    told = [
        output.metadata.get(kind, {}) for output in cell.outputs for kind in KINDS if kind in output.get("data", {})
    ]
    page = {name: value for name, value in cell.metadata.get("mystnb", {}).items() if name != "image"}
    if len(told) == 1 and "alt" in told[0]:
        page["image"] = {"alt": told[0]["alt"]}
        if "width" in told[0]:
            page["image"]["width"] = f"{told[0]['width']}px"
    cell.metadata.pop("mystnb", None)
    if page:
        cell.metadata["mystnb"] = page
