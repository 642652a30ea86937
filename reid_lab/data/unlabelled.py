"""Images of nobody, made from the training images or of nothing: more to learn from, without an identity.

``ghosts`` samples a Gaussian in the space of the training images' principal components: a linear generator, which
takes a second. Its images look like people in a mist. ``noise`` is its control: images that show nothing at all.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from reid_lab.data.augment import generator
from reid_lab.data.benchmark import Benchmark
from reid_lab.data.images import image_store
from reid_lab.data.records import JUNK, Record
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import cache_folder
from reid_lab.runtime.folders import image_folder
from reid_lab.runtime.validation import one_of, size, whole

SMALL = (64, 32)  # height and width at which the components are found, and of the ghosts
PASSES = 4  # of the randomized decomposition over the images; two give the same ghosts to the eye


def ghosts(images: Tensor, count: int, components: int, seed: int) -> Tensor:
    """Sample images from a Gaussian that has the mean and the principal components of given ones.

    Args:
        images: Uint8 (N, 3, H, W), at least two.
        count: The number of samples.
        components: How many components are kept, at most N - 1.
        seed: Decides the samples.

    Returns:
        Uint8 (count, 3, 64, 32).

    Raises:
        DataError: There are too few images for the components.
    """
    if not 0 < whole("components", components, 1, DataError) < len(images):
        raise DataError(
            f"{len(images)} images have {len(images) - 1} principal components at most, and {components} are wanted: "
            "add images, or want fewer."
        )
    small = F.interpolate(images.float(), SMALL, mode="area").flatten(1)  # (N, 6144)
    mean = small.mean(dim=0)
    with torch.random.fork_rng(devices=[]):  # the decomposition draws from torch's own generator
        torch.manual_seed(0)
        _, values, directions = torch.svd_lowrank(small - mean, components, PASSES)  # (c,), (6144, c)
    deviations = values / (len(images) - 1) ** 0.5  # of the images, along each direction
    drawn = torch.randn(count, components, generator=generator(seed))
    samples = mean + (drawn * deviations) @ directions.T
    return samples.round().clamp(0, 255).to(torch.uint8).view(count, 3, *SMALL)


def noise(shape: tuple[int, int], count: int, seed: int) -> Tensor:
    """Draw images whose values are independent and uniform: uint8 (count, 3, height, width)."""
    return torch.randint(0, 256, (count, 3, *shape), generator=generator(seed), dtype=torch.uint8)


def unlabelled(
    benchmark: Benchmark,
    source: Literal["pca", "noise"],
    count: int,
    shape: tuple[int, int],
    components: int = 96,
    seed: int = 0,
) -> list[Record]:
    """Make images of nobody for a benchmark's training, or find those that were made before.

    Args:
        benchmark: Whose training images the ghosts are made from.
        source: "pca" for ghosts, or "noise".
        count: How many images.
        shape: (height, width) at which the training reads images; noise has that size.
        components: The principal components of the ghosts.
        seed: Decides the images.

    Returns:
        Records with the pid -1, whose files lie in the package's cache.

    Raises:
        RecipeError: The source is unknown.
        DataError: There are too few training images for the components, or the files cannot be written.
    """
    one_of("The source of unlabelled images", source, ("pca", "noise"))
    size("shape", shape)
    names = [f"{number:06d}.png" for number in range(whole("count", count, 1))]

    def fill(folder: Path) -> None:
        if source == "noise":
            made = noise(shape, count, seed)
        else:
            made = ghosts(image_store(benchmark.train, shape).pixels, count, components, seed)
        for name, pixels in zip(names, made.permute(0, 2, 3, 1).numpy(), strict=True):
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / name, compress_level=1)

    told = f"{benchmark.digest} {source} {count} {shape} {components} {PASSES} {seed}"
    folder = cache_folder() / "unlabelled" / f"{source}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    return [Record(path, JUNK) for path in image_folder(folder, names, fill)]
