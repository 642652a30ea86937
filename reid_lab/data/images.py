"""Images, decoded once into one uint8 tensor that a batch is taken from by its indices.

Re-ID images are small: Market-1501's 12,936 train images at 256 x 128 fill 1.3 GB. So nothing is decoded
twice, there are no worker processes, and on a GPU with room the whole set lives there.
"""

import contextlib
import copy
import io
import os
import re
import tempfile
import threading
import warnings
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from reid_lab.data import greys
from reid_lab.data.augment import to_device
from reid_lab.data.notes import without_notes
from reid_lab.data.records import Record
from reid_lab.runtime.device import find_device, memory
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import cache_folder
from reid_lab.runtime.progress import bar
from reid_lab.runtime.validation import is_size

GIBIBYTE = 2**30
SLICE = 64  # images a thread decodes before it reports
NAMED_BAD = 5  # bad images spelt out in one error
LARGEST = 2**28  # pixels of an image that is read: a telephone's photograph has 200 million

# Pillow's own limit is half as high, and it warns of an attack below that; ours is a sentence in _trouble.
Image.MAX_IMAGE_PIXELS = LARGEST
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


def decode(path: Path, size: tuple[int, int] | None = None, span: tuple[float, float] | None = None) -> np.ndarray:
    """One image as RGB, uint8 (H, W, 3), resized to ``size`` = (height, width) by PIL's bilinear filter.

    Grey-scale, CMYK and palette images become RGB; an alpha channel is dropped, as other re-ID code does; a
    photograph is turned upright as its EXIF entry says. Grey pictures of more than 8 bits are scaled by what their set
    uses (``span``, its lowest and highest value; None: their own), see :mod:`reid_lab.data.greys`. Where only a note in
    a PNG is damaged (a text, a profile), the picture is read without it.
    Raises DataError where the file is missing, empty, not an image, or damaged, or ``size`` cannot be.
    """
    if size is not None:
        _check_size(size)
    try:
        return _pixels(path, size, span)
    except Exception as error:  # a decoder may raise anything at a damaged file
        bare = without_notes(path) if not isinstance(error, Image.DecompressionBombError) else None
        with contextlib.suppress(Exception):
            if bare is not None:
                return _pixels(io.BytesIO(bare), size, span)
        raise DataError(f"The image {path} {_trouble(path, error)}.") from error


def _pixels(file: Path | io.BytesIO, size: tuple[int, int] | None, span: tuple[float, float] | None) -> np.ndarray:
    with Image.open(file) as opened:
        if opened.width * opened.height > LARGEST:
            raise Image.DecompressionBombError(f"Image size ({opened.width * opened.height} pixels)")
        opened.load()
        image = _rgb(_upright(opened), span)
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
        return np.asarray(image)


def _check_size(size: tuple[int, int]) -> None:
    if not is_size(size):
        raise DataError(f"Images cannot have the size {size}: give (height, width) in whole pixels, 1 or more of each.")


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # a note that cannot be read says nothing about the picture
        orientation = None
    return image.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else image


def _rgb(image: Image.Image, span: tuple[float, float] | None) -> Image.Image:
    if greys.is_deep(image):  # PIL would clip it
        image = Image.fromarray(greys.to_bytes(np.asarray(image), span))
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
        pixels = int(next(iter(re.findall(r"\d+", str(error))), LARGEST))
        return f"has {pixels:,} pixels, more than the {LARGEST:,} that are read: make it smaller"
    if isinstance(error, MemoryError):
        return "takes more memory than there is: make it smaller"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image that Pillow can read: remove it, or save it again as JPEG or PNG"
    if isinstance(error, SyntaxError | EOFError) or re.search(
        "truncated|broken|corrupt|unrecognized", str(error).lower()
    ):
        return f"is damaged ({error}): copy it again from the original, or remove it"
    return f"cannot be decoded by Pillow ({error}): save it again as JPEG or PNG, or remove it"


class ImageStore:
    """All images of some records, decoded once: uint8 (N, 3, H, W).

    In memory up to ``memory_limit`` bytes, beyond it in a memory-mapped temporary file in the cache folder,
    which vanishes with the store. ``device`` is where batches come out.
    Raises DataError, which names every bad image up to five, a full disk or a size that cannot be; DeviceError
    if this machine does not have the device.
    """

    def __init__(
        self,
        records: Sequence[Record],
        size: tuple[int, int],
        device: torch.device | str = "cpu",
        memory_limit: int = 2 * GIBIBYTE,
        progress: str = "reading images",
    ) -> None:
        if not records:
            raise DataError("There are no images to read: the list of records is empty; check the data folder.")
        _check_size(size)
        device = find_device(device)
        shape = (len(records), 3, *size)
        array = np.empty(shape, np.uint8) if prod(shape) <= memory_limit else _memory_mapped(shape)
        _decode_into(array, greys.alike({"": records})[""], progress)
        self.size = size
        self.pixels = torch.from_numpy(array)  # (N, 3, H, W), on the device if it fits there
        self.device = torch.device("cpu")
        if device.type != "cpu":
            moved = self.to(device)
            self.pixels, self.device = moved.pixels, moved.device

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        """Images at ``indices``: uint8 (B, 3, H, W) on the store's device.

        Raises DataError unless they are whole numbers from 0 to N - 1. Indices that lie on a GPU are trusted to be
        that: to look at them, the program would have to wait for it.
        """
        given = torch.as_tensor(indices)
        if given.numel() and (given.dtype == torch.bool or not torch.can_cast(given.dtype, torch.int64)):
            raise DataError(f"Images are taken by their index, not by {given.dtype}: give whole numbers.")
        chosen = given.to(torch.int64)
        if chosen.numel() and chosen.device.type == "cpu":
            low, high = (bound.item() for bound in chosen.aminmax())
            if low < 0 or high >= len(self):
                raise DataError(
                    f"There is no image {low if low < 0 else high} in a store of {len(self):,}: give indices from 0 "
                    f"to {len(self) - 1}."
                )
        images = self.pixels.index_select(0, to_device(chosen, self.pixels.device))
        return to_device(images, self.device)

    def to(self, device: torch.device | str) -> "ImageStore":
        """A store of the same images whose batches come out on ``device``; this one is left as it is.

        The images themselves move only where they take less than half of the GPU's free memory.
        Raises DeviceError if this machine does not have the device.
        """
        store = copy.copy(self)
        store.device = find_device(device)
        if store.device.type == "cpu" or _fits(self.pixels.nbytes, store.device):
            store.pixels = self.pixels.to(store.device)
        return store


def _fits(size: int, device: torch.device) -> bool:
    return size < memory(device)[0] / 2


def _memory_mapped(shape: tuple[int, ...]) -> np.ndarray:
    """An array in a temporary file that the system removes when the array goes."""
    size = prod(shape)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # a full disk must show now, not as a crash at a later write
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise DataError(
            f"The decoded images need {size / 1e9:.1f} GB in {folder}, which failed ({error.strerror}): "
            "free some space, set REID_LAB_HOME to a larger disk, or raise memory_limit."
        ) from error


def _decode_into(array: np.ndarray, records: Sequence[Record], progress: str) -> None:
    """Fill ``array`` (N, 3, H, W) with several threads: PIL lets go of the interpreter while it decodes."""
    size = (array.shape[2], array.shape[3])

    def decode_slice(start: int) -> list[str]:
        bad = []
        for i in range(start, min(start + SLICE, len(records))):
            try:
                array[i] = decode(records[i].path, size, records[i].greys).transpose(2, 0, 1)
            except DataError as error:
                bad.append(str(error))
        return bad

    bad: list[str] = []
    with ThreadPoolExecutor() as pool, bar(total=len(records), description=progress, unit="image") as shown:
        for start, sentences in zip(
            range(0, len(records), SLICE), pool.map(decode_slice, range(0, len(records), SLICE)), strict=True
        ):
            bad += sentences
            shown.update(min(SLICE, len(records) - start))
    if bad:
        more = [f"{len(bad) - NAMED_BAD:,} more images are bad, too."] if len(bad) > NAMED_BAD else []
        raise DataError(" ".join(bad[:NAMED_BAD] + more))


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, which tell one content from another; None where it is missing."""
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_size, now.st_mtime_ns


_shared: "weakref.WeakValueDictionary[tuple, ImageStore]" = weakref.WeakValueDictionary()
_shared_lock = threading.Lock()


def image_store(records: Sequence[Record], size: tuple[int, int], device: torch.device | str = "cpu") -> ImageStore:
    """The store of these images, shared with whoever holds it already, so that images are decoded once.

    A file that has been written anew is decoded anew. Raises what :class:`ImageStore` does.
    """
    _check_size(size)
    device = find_device(device)  # "cuda" and "cuda:0" are one
    key = (tuple((record.path, _stamp(record.path), record.greys) for record in records), tuple(size), str(device))
    with _shared_lock:
        store = _shared.get(key)
        if store is None:
            store = _shared[key] = ImageStore(records, size, device)
        return store
