"""Images, decoded once into one uint8 tensor that a batch is taken from by its indices.

Re-ID images are small: Market-1501's 12,936 train images at 256 x 128 fill 1.3 GB. So nothing is decoded
twice, there are no worker processes, and on a GPU with room the whole set lives there.
"""

import copy
import os
import tempfile
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.augment import to_device
from reid_lab.data.decoding import check_size, decode, with_grey_range
from reid_lab.data.records import Record
from reid_lab.runtime.device import find_device, memory
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import cache_folder
from reid_lab.runtime.progress import bar

GIBIBYTE = 2**30
SLICE = 64  # images a thread decodes before it reports
NAMED_BAD = 5  # bad images spelt out in one error


class ImageStore:
    """All images of some records, decoded once.

    Attributes:
        size: (height, width) of the images.
        pixels: Uint8 (N, 3, H, W), on the device if they fit there.
        device: Where batches come out.
    """

    def __init__(
        self,
        records: Sequence[Record],
        size: tuple[int, int],
        device: torch.device | str = "cpu",
        memory_limit: int = 2 * GIBIBYTE,
        progress: str = "reading images",
    ) -> None:
        """Decode the images.

        Args:
            records: The images, N of them.
            size: The (height, width) to which they are resized.
            device: Where batches come out.
            memory_limit: Bytes of images that are kept in memory. More are kept in a memory-mapped temporary file in
                the cache folder, which vanishes with the store.
            progress: The text in front of the progress bar.

        Raises:
            DataError: Images are bad (up to five are named), the disk is full, or the size cannot be.
            DeviceError: This machine does not have the device.
        """
        if not records:
            raise DataError("There are no images to read: the list of records is empty; check the data folder.")
        check_size(size)
        device = find_device(device)
        shape = (len(records), 3, *size)
        array = np.empty(shape, np.uint8) if prod(shape) <= memory_limit else _memory_mapped(shape)
        _decode_into(array, with_grey_range({"": records})[""], progress)
        self.size = size
        self.pixels = torch.from_numpy(array)  # (N, 3, H, W), on the device if it fits there
        self.device = torch.device("cpu")
        if device.type != "cpu":
            moved = self.to(device)
            self.pixels, self.device = moved.pixels, moved.device

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self.pixels)

    def batch(self, indices: Sequence[int] | np.ndarray | Tensor) -> Tensor:
        """Take the images of a batch.

        Args:
            indices: Whole numbers from 0 to N - 1, (B,). Indices that lie on a GPU are not checked: the program would
                have to wait for it.

        Returns:
            Uint8 (B, 3, H, W), on the store's device.

        Raises:
            DataError: An index is no whole number, or there is no such image.
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
        """Make a store of the same images whose batches come out on ``device``; this one is left as it is.

        The images themselves move only if they take less than half of the GPU's free memory.

        Raises:
            DeviceError: This machine does not have the device.
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
    """Get the store of these images, shared with whoever holds it already, so that images are decoded once.

    A file that has been written anew is decoded anew.

    Args:
        records: The images.
        size: The (height, width) to which they are resized.
        device: Where batches come out.

    Raises:
        DataError: As :class:`ImageStore`.
        DeviceError: This machine does not have the device.
    """
    check_size(size)
    device = find_device(device)  # "cuda" and "cuda:0" are one
    key = (tuple((record.path, _stamp(record.path), record.greys) for record in records), tuple(size), str(device))
    with _shared_lock:
        store = _shared.get(key)
        if store is None:
            store = _shared[key] = ImageStore(records, size, device)
        return store
