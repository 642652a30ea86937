"""Decode an image file: RGB, upright, 8 bits, whatever the file holds.

Grey pictures deeper than 8 bits (16-bit TIFF or PNG, floats) are brought to 8 bits, all of a data set by one rule.
Which of the 16 bits a camera uses is nowhere in the file. So the darkest and the brightest value of the whole set
decide, never those of one image: that would change the images' brightness against one another.
"""

import contextlib
import io
import os
import re
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from reid_lab.data.records import Record, Splits
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.validation import is_size

MOST_PIXELS = 2**28  # pixels of an image that is read: a telephone's photograph has 200 million

# Pillow's own limit is half as high, and it warns of an attack below that; ours is a sentence in _trouble.
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
warnings.filterwarnings("ignore", module=r"PIL\.")
UPRIGHT = {  # what the EXIF entry "orientation" asks for
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DEEP_SUFFIXES = frozenset(
    [".png", ".apng", ".tif", ".tiff", ".pgm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"]
)  # may be deep
BITS = (8, 10, 12, 14, 16)  # that cameras use
FEW = 16  # grey levels of 256: a range that would leave fewer is stretched
PNG = b"\x89PNG\r\n\x1a\n"  # how a PNG file begins
KEPT_CHUNKS = (b"tRNS", b"eXIf")  # of what a PNG may lack: transparency and orientation


def decode(path: Path, size: tuple[int, int] | None = None, span: tuple[float, float] | None = None) -> np.ndarray:
    """Decode one image.

    Grey-scale, CMYK and palette images become RGB. An alpha channel is dropped, as other re-ID code does. A photograph
    is turned upright as its EXIF entry says. If only a note in a PNG is damaged (a text, a profile), the picture is
    read without it.

    Args:
        path: The image's file.
        size: The (height, width) to which it is resized by PIL's bilinear filter; None: its own.
        span: The lowest and highest value of the set's grey pictures of more than 8 bits; None: this picture's own.

    Returns:
        RGB, uint8 (H, W, 3).

    Raises:
        DataError: The file is missing, empty, no image or damaged, or ``size`` cannot be.
    """
    if size is not None:
        check_size(size)
    try:
        return _pixels(path, size, span)
    except Exception as error:  # a decoder may raise anything at a damaged file
        bare = _without_notes(path) if not isinstance(error, Image.DecompressionBombError) else None
        with contextlib.suppress(Exception):
            if bare is not None:
                return _pixels(io.BytesIO(bare), size, span)
        raise DataError(f"The image {path} {_trouble(path, error)}.") from error


def _pixels(file: Path | io.BytesIO, size: tuple[int, int] | None, span: tuple[float, float] | None) -> np.ndarray:
    with Image.open(file) as opened:
        if opened.width * opened.height > MOST_PIXELS:
            raise Image.DecompressionBombError(f"Image size ({opened.width * opened.height} pixels)")
        opened.load()
        image = _rgb(_upright(opened), span)
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(image)


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # a note that cannot be read says nothing about the picture
        orientation = None
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _rgb(image: Image.Image, span: tuple[float, float] | None) -> Image.Image:
    if is_deep(image):  # PIL would clip it
        image = Image.fromarray(to_bytes(np.asarray(image), span))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _trouble(path: Path, error: Exception) -> str:
    if not os.path.isfile(path):  # unlike Path.is_file never raises, say for a name that is too long
        return "does not exist: restore it, or load the data set again"
    if isinstance(error, PermissionError):
        return "cannot be read: allow your user to read it"
    if path.stat().st_size == 0:
        return "is empty (0 bytes): copy it again from the original, or remove it"
    if isinstance(error, Image.DecompressionBombError):
        pixels = int(next(iter(re.findall(r"\d+", str(error))), MOST_PIXELS))
        return f"has {pixels:,} pixels, more than the {MOST_PIXELS:,} that are read: make it smaller"
    if isinstance(error, MemoryError):
        return "takes more memory than there is: make it smaller"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image that Pillow can read: remove it, or save it again as JPEG or PNG"
    if isinstance(error, SyntaxError | EOFError) or re.search(
        "truncated|broken|corrupt|unrecognized", str(error).lower()
    ):
        return f"is damaged ({error}): copy it again from the original, or remove it"
    return f"cannot be decoded by Pillow ({error}): save it again as JPEG or PNG, or remove it"


def check_size(size: tuple[int, int]) -> None:
    """Raise DataError unless ``size`` is (height, width) in whole pixels."""
    if not is_size(size):
        raise DataError(f"Images cannot have the size {size}: give (height, width) in whole pixels, 1 or more of each.")


def _without_notes(path: Path) -> bytes | None:
    """A PNG without the notes in its file (texts, profiles), since a damaged note is no damaged picture.

    None if it is no PNG, cannot be read or holds no notes. JPEG needs none of this: Pillow passes over such notes.

    A chunk is length, name, data, check sum; a name's first letter is small where a picture may do without the chunk.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    kept, start = [PNG], len(PNG)
    while content.startswith(PNG) and start + 12 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        chunk = content[start:end]
        sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if not chunk[4] & 32 or (sound and chunk[4:8] in KEPT_CHUNKS):
            kept.append(chunk)
        start = end
    return b"".join(kept) if len(kept) > 1 and sum(map(len, kept)) < len(content) else None


# Grey pictures deeper than 8 bits


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow holds the image as one channel of more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def to_bytes(values: np.ndarray, span: tuple[float, float] | None = None) -> np.ndarray:
    """Bring grey values of more than 8 bits to 8 bits.

    White is 1 for floats from 0 to 1, else the first of 2^8, 2^10, 2^12, 2^14, 2^16 above the set's highest value.
    If the set uses less than a sixteenth of that (thermal pictures), or more, or negative values, its own lowest
    and highest value become black and white.

    Args:
        values: Integers or floats of any range, (H, W). What is not finite becomes black, infinity white.
        span: The lowest and highest value of the set; None: of these values.

    Returns:
        Uint8 (H, W), black to white.
    """
    floats = values.dtype.kind == "f"
    low, high = (_ends(values) or (0.0, 0.0)) if span is None else span
    values = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    if floats and low >= 0 and high <= 1:
        black, white = 0.0, 256 / 255
    else:
        black, white = 0.0, next((2.0**bits for bits in BITS if low >= 0 and high < 2**bits), 0.0)
    if not white or (low < high and (high - low) / white * 256 < FEW):
        black, white = low, low + (high - low or 1.0) * 256 / 255
    return ((values - black) * 256 / (white - black) + 1e-6).clip(0, 255).astype(np.uint8)  # rounded down, as >> does


def _ends(values: np.ndarray) -> tuple[float, float] | None:
    """The lowest and highest of the values that are numbers and finite; None where there are none."""
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if len(known) else None


def with_grey_range(splits: Splits) -> dict[str, list[Record]]:
    """Tell the records of grey pictures of more than 8 bits which values the whole set uses.

    Args:
        splits: The records of a data set. Those that know the values keep them.

    Returns:
        The same records, with ``greys`` where it is needed.
    """
    paths = {r.path for records in splits.values() for r in records if r.greys is None and _may_be_deep(r.path)}
    with ThreadPoolExecutor() as pool:
        found = dict(zip(paths, pool.map(_span, paths), strict=True))
    spans = {path: span for path, span in found.items() if span is not None}
    if not spans:
        return {split: list(records) for split, records in splits.items()}
    span = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
    return {split: _marked(records, spans, span) for split, records in splits.items()}


def _marked(records: Sequence[Record], deep: dict, span: tuple[float, float]) -> list[Record]:
    return [replace(record, greys=span) if record.path in deep else record for record in records]


def _may_be_deep(path: Path) -> bool:
    return path.suffix.lower() in DEEP_SUFFIXES


def _span(path: Path) -> tuple[float, float] | None:
    """The lowest and highest value of a deep grey picture; None for others, and for damaged files."""
    try:
        if path.suffix.lower() == ".png":
            with path.open("rb") as file:
                if file.read(26)[24:26] != b"\x10\0":  # 16 bits, grey
                    return None
        with Image.open(path) as image:
            if not is_deep(image):
                return None
            return _ends(np.asarray(image))
    except Exception:  # whoever reads the image will say what is wrong with it
        return None
