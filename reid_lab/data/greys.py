"""Grey pictures deeper than 8 bits (16-bit TIFF or PNG, floats), brought to 8 bits: all of a set by one rule.

Which of 16 bits a camera uses is nowhere in the file. So the darkest and the brightest value of the whole set decide,
never those of one image, which would change the images' brightness against one another.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from reid_lab.data.records import Record, Splits

SUFFIXES = frozenset(
    [".png", ".apng", ".tif", ".tiff", ".pgm", ".pnm", ".pfm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"]
)  # may be deep
BITS = (8, 10, 12, 14, 16)  # that cameras use
FEW = 16  # grey levels of 256: a range that would leave fewer is stretched


def is_deep(image: Image.Image) -> bool:
    """Whether Pillow holds the image as one channel of more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def to_bytes(values: np.ndarray, span: tuple[float, float] | None = None) -> np.ndarray:
    """Deep grey values (H, W) as uint8, black to white.

    Args:
        values: integers or floats of any range; what is not finite becomes black, infinity white.
        span: the lowest and highest value of the set; None: of these values.

    White is 1 for floats from 0 to 1, else the first of 2^8, 2^10, 2^12, 2^14, 2^16 above the set's highest value.
    Where the set uses less than a sixteenth of that (thermal pictures), or more, or negative values, its own lowest
    and highest value become black and white.
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


def alike(splits: Splits) -> dict[str, list[Record]]:
    """The same records; those of deep grey pictures know the values that the whole set uses, unless they do already."""
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
    return path.suffix.lower() in SUFFIXES


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
