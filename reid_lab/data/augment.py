"""Augmentation of a whole batch at once, on the device where the images are: crop, flip, random erasing.

All random numbers come from a seed, through a generator on the CPU. So a training that is interrupted resumes bit for
bit, and a GPU crops and erases where a CPU would. Images stay uint8 until the last moment.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from reid_lab.data.geometry import Geometry
from reid_lab.runtime.device import current, pins
from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.runtime.validation import size, whole

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def normalize(images: Tensor) -> Tensor:
    """Normalize images by ImageNet's mean and standard deviation.

    Args:
        images: (B, 3, H, W), uint8, or float in [0, 1].

    Returns:
        A float32 copy, (B, 3, H, W).

    Raises:
        DataError: The images have another type.
    """
    return _normalize_(to_unit(images))


def to_unit(images: Tensor) -> Tensor:
    """Convert images that are uint8, or float in [0, 1] already, to a float32 copy in [0, 1].

    Raises:
        DataError: The images have another type.
    """
    if images.dtype == torch.uint8:
        return images.to(torch.float32).div_(255)
    if not images.is_floating_point():
        raise DataError(f"The images are {images.dtype}: convert them to uint8 (0 ... 255), or to floats in [0, 1].")
    return images.to(torch.float32, copy=True)


def _normalize_(unit: Tensor) -> Tensor:
    """In place: on a CPU, a fresh batch of this size costs more than the arithmetic."""
    for channel, mean, std in zip(unit.unbind(1), IMAGENET_MEAN, IMAGENET_STD, strict=True):
        channel.sub_(mean).div_(std)
    return unit


def generator(seed: int, device: torch.device | str = "cpu") -> Generator:
    """Make a generator from any non-negative ``seed``, however large: torch reads only its lowest 32 bits."""
    mixed = np.random.SeedSequence(seed).generate_state(1, np.uint32)[0]
    return Generator(device).manual_seed(int(mixed))


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to ``device``; from the CPU to a GPU it is copied while the program goes on."""
    if tensor.device.type != "cpu" or not pins(device):
        return tensor.to(device)
    with current(device):
        return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Part:
    """Which images of a larger batch these are: one process's share, where several train one network.

    Attributes:
        indices: The index of each image in the whole batch, int64 (B,).
        batch: The number of images in the whole batch.
    """

    indices: Tensor
    batch: int

    def of(self, whole: Tensor) -> Tensor:
        """Take these images' rows, (B, ...), of what was decided for the whole batch, (batch, ...)."""
        return whole[self.indices]


@dataclass(frozen=True)
class RandomErasing:
    """Random erasing for a whole batch at once: an image loses a rectangle (paper A, III.C).

    Source: Zhong, Zheng, Kang, Li and Yang, "Random erasing data augmentation" (2020), algorithm 1. A rectangle is
    drawn until one lies strictly inside the image; after ``attempts`` draws the image stays whole.

    Attributes:
        probability: That an image is erased at all.
        area: The share of the image that a rectangle covers, uniform between the two.
        aspect: Its height / width, uniform between the two.
        attempts: The number of draws.
        fill: "random" values per pixel and channel, uniform in [0, 1), or ImageNet's "mean".

    Raises:
        RecipeError: A value cannot work.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.3, 3.33)
    attempts: int = 100
    fill: Literal["random", "mean"] = "random"

    def __post_init__(self) -> None:
        """Check the values."""
        _within("erasing probability", self.probability, 0, 1)
        _within("largest erased area", self.area[1], 1e-6, 1)
        _within("smallest erased area", self.area[0], 0, min(self.area[1], 0.99))  # more is never strictly inside
        _within("largest erased aspect", self.aspect[1], 1e-6, 1e6)
        _within("smallest erased aspect", self.aspect[0], 1e-6, self.aspect[1])
        whole("The attempts of random erasing", self.attempts, 1)
        if self.fill not in ("random", "mean"):
            raise RecipeError(f'Random erasing fills with "random" or "mean", not {self.fill!r}: choose one.')

    def __call__(self, images: Tensor, random: Generator, part: Part | None = None) -> Tensor:
        """Erase in place.

        Args:
            images: Float in [0, 1], (B, 3, H, W).
            random: A generator on the CPU.
            part: Which images of a larger batch these are; None: all of it.

        Returns:
            The same images.
        """
        size = (images.shape[2], images.shape[3])
        whole = self.boxes(part.batch if part else len(images), size, random)
        boxes = part.of(whole) if part else whole
        mask = _inside(to_device(boxes, images.device), size)
        if self.fill == "mean":
            for channel, mean in zip(images.unbind(1), IMAGENET_MEAN, strict=True):
                channel.masked_fill_(mask[:, 0], mean)
            return images
        pixels = 3 * whole[:, 2] * whole[:, 3]  # known on the CPU: a GPU need not be waited for
        device_seed = int(torch.randint(2**32, (), generator=random))
        noise = torch.rand(int(pixels.sum()), device=images.device, generator=generator(device_seed, images.device))
        if part:
            of_each = noise.split(pixels.tolist())
            noise = torch.cat([of_each[index] for index in part.indices.tolist()])
        return images.masked_scatter_(mask.expand_as(images), noise)

    def boxes(self, batch: int, size: tuple[int, int], random: Generator) -> Tensor:
        """Draw the rectangles to erase.

        Args:
            batch: The number of images, B.
            size: Their (height, width).
            random: A generator on the CPU.

        Returns:
            Top, left, height and width of each image's rectangle, int64 (B, 4); all 0 where nothing is erased.
        """
        chosen = torch.rand(batch, generator=random) < self.probability
        draws = torch.rand(2, batch, self.attempts, generator=random, dtype=torch.float64)
        area = _uniform(draws[0], self.area) * (size[0] * size[1])  # (B, attempts)
        aspect = _uniform(draws[1], self.aspect)
        heights, widths = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
        fits = (heights < size[0]) & (widths < size[1])
        first = fits.to(torch.uint8).argmax(1, keepdim=True)  # argmax gives the first of equals
        box = torch.cat([heights.gather(1, first), widths.gather(1, first)], 1)  # (B, 2)
        where = torch.rand(batch, 2, generator=random, dtype=torch.float64)
        corner = (where * (torch.tensor(size) - box + 1)).floor()  # 0 ... size - box
        return torch.cat([corner, box], 1).long() * (chosen & fits.any(1))[:, None]


def _uniform(draws: Tensor, bounds: tuple[float, float]) -> Tensor:
    return bounds[0] + draws * (bounds[1] - bounds[0])


def _inside(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Bool (B, 1, H, W), true inside each image's box."""
    top, left, height, width = boxes[:, :, None].unbind(1)
    rows, columns = (torch.arange(length, device=boxes.device) for length in size)
    in_rows = (rows >= top) & (rows < top + height)  # (B, H)
    in_columns = (columns >= left) & (columns < left + width)  # (B, W)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


@dataclass(frozen=True)
class Augment:
    """Zero padding, random crop, horizontal flip, random erasing and normalization of a batch.

    Source: paper A, III.B (crop) and III.C (erasing); paper B, 4.2.

    Attributes:
        size: (height, width) of the crop. Images may be larger.
        pad: Pixels of zero padding on each side.
        flip: The probability that an image is mirrored.
        erasing: Random erasing, or None.
        shrink: At the very end each square of so many pixels becomes one, their mean; 1: nothing changes.

    Raises:
        RecipeError: A value cannot work.
    """

    size: tuple[int, int]
    pad: int = 0
    flip: float = 0.5
    erasing: RandomErasing | None = None
    shrink: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        size("The crop's size", self.size)
        whole("The padding", self.pad, 0)
        _within("padding", self.pad, 0, min(self.size))
        _within("flip probability", self.flip, 0, 1)
        whole("The factor to shrink by", self.shrink, 1)

    def __call__(self, images: Tensor, seed: int, part: Part | None = None) -> Tensor:
        """Augment a batch, decided by ``seed`` alone.

        Args:
            images: Uint8 (B, 3, H, W).
            seed: A whole number, another for each batch.
            part: Which images of a larger batch these are: they become what they would within the whole of it.

        Returns:
            Normalized float32 images, (B, 3, *size), both sides divided by ``shrink``.
        """
        random = generator(seed)
        unit = to_unit(self.crop_and_flip(images, random, part))
        if self.erasing is not None:
            unit = self.erasing(unit, random, part)
        images = _normalize_(unit)
        return images if self.shrink == 1 else F.avg_pool2d(images, self.shrink)

    def crop_and_flip(self, images: Tensor, random: Generator, part: Part | None = None) -> Tensor:
        """Crop and flip: uint8 (B, 3, H, W) to uint8 ``(B, 3, *size)``, in one gather for the whole batch.

        Raises:
            RecipeError: The images are smaller than the crop.
        """
        corners, flipped = self._draw(images, random, part)
        padded = F.pad(images, (self.pad,) * 4)
        top, left = corners[:, :, None].unbind(1)  # (B, 1)
        rows = top + torch.arange(self.size[0])  # (B, h)
        columns = torch.arange(self.size[1])
        columns = left + torch.where(flipped, columns.flip(0), columns)  # (B, w)
        rows, columns = to_device(rows, images.device), to_device(columns, images.device)
        taken = rows[:, :, None] * padded.shape[3] + columns[:, None, :]  # (B, h, w), indices into a flat image
        flat = taken.flatten(1)[:, None].expand(-1, 3, -1)
        return padded.flatten(2).gather(2, flat).view(len(images), 3, *self.size)

    def geometry(self, images: Tensor, seed: int, part: Part | None = None) -> Geometry:
        """Tell how a call with these arguments crops and flips, so that points can move with the pixels."""
        corners, flipped = (to_device(draw, images.device) for draw in self._draw(images, generator(seed), part))
        return Geometry(corners, flipped, self.pad, self.size, self.shrink)

    def _draw(self, images: Tensor, random: Generator, part: Part | None) -> tuple[Tensor, Tensor]:
        """Top and left of each crop in its padded image, int64 (B, 2), and whether it is mirrored, bool (B, 1)."""
        room = torch.tensor(images.shape[2:]) + 2 * self.pad - torch.tensor(self.size)
        if (room < 0).any():
            raise RecipeError(
                f"Images of {images.shape[2]} x {images.shape[3]} with padding {self.pad} are smaller than "
                f"the crop {self.size[0]} x {self.size[1]}: read larger images, crop less or pad more."
            )
        whole = part.batch if part else len(images)
        corners = (torch.rand(whole, 2, generator=random, dtype=torch.float64) * (room + 1)).long()
        flipped = torch.rand(whole, 1, generator=random) < self.flip
        return (part.of(corners), part.of(flipped)) if part else (corners, flipped)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RecipeError(f"The {name} must lie between {low:g} and {high:g}, not {value:g}: correct the recipe.")
