"""Small data folders, written where a test wants them."""

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MARKET_NAMES = {
    "bounding_box_train": ["0002_c1s1_1_1.jpg", "0002_c2s1_1_1.jpg", "0007_c1s1_1_1.jpg", "0007_c3s1_1.jpg"],
    "query": ["0001_c1s1_001051_00.jpg", "0003_c2s1_000151_00.jpg"],
    "bounding_box_test": [
        "-1_c1s1_000401_00.jpg",
        "0000_c1s1_000151_01.jpg",
        "0001_c2s1_001051_00.jpg",
        "0001_c1s1_002051_00.jpg",
        "0003_c5s1_000151_00.jpg",
    ],
}  # fmt: skip


def write_image(path: Path, size: tuple[int, int] = (8, 4), seed: int | None = None, mode: str = "RGB") -> Path:
    """An image of noise, another one in each place unless a seed is told; size is (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(bytes(path)) if seed is None else seed)
    noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)
    return path


@pytest.fixture
def image():
    return write_image


@pytest.fixture
def market(tmp_path):
    """A function that writes a folder in Market-1501's layout and returns it."""

    def write(names=MARKET_NAMES, root=tmp_path / "Market-1501-v15.09.15"):
        for folder, files in names.items():
            for name in files:
                write_image(root / folder / name)
        return root

    return write
