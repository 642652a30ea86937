"""Where people's joints are in the images: exact ones of Passersby, or a pose estimator's in a file of the data set.

The file is ``joints.csv`` in the data set's folder, with a header and a row for each image:

    path,width,height,head_x,head_y,neck_x,neck_y,left_hip_x,left_hip_y,right_hip_x,right_hip_y
    query/0001_c1s1_001051_00.jpg,64,128,31.9,23.7,32.1,33.3,37.8,67.5,26.3,67.1

``path`` is relative to the folder, with forward slashes; width, height, x and y are in pixels of the image file. The
head is the middle of the head. What was not found is left empty. Passersby's file is written when it is first needed.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.datasets.market import MARKER
from reid_lab.data.records import Record
from reid_lab.runtime.errors import DataError

FILE = "joints.csv"
JOINTS = ("head", "neck", "left_hip", "right_hip")
COLUMNS = [f"{joint}_{axis}" for joint in JOINTS for axis in "xy"]


def joints(benchmark: Benchmark, records: Sequence[Record], noise: float = 0.0) -> np.ndarray:
    """Read the joints of the people of some images.

    Args:
        benchmark: The data set.
        records: Images of it, N.
        noise: Standard deviation of an error that is added to each coordinate, in pixels of the image file. An image
            always gets the same error, in training and at test time, as if a pose estimator had made it.

    Returns:
        x and y of JOINTS as shares of the image's width and height: float32 (N, 4, 2). They may lie outside of 0 to 1,
        and are NaN where nobody knows.

    Raises:
        DataError: The data set has no joints, or not those of all images. The sentence says what would provide them.
    """
    found = np.full((len(records), len(JOINTS), 2), np.nan)
    homes = [_home(benchmark, record) for record in records]
    names = [benchmark.relative(record) for record in records]
    for home in sorted(set(homes)):
        places = [i for i, other in enumerate(homes) if other == home]
        found[places] = _rows(benchmark, home, [names[i] for i in places], noise)
    return found.astype(np.float32)


def _home(benchmark: Benchmark, record: Record) -> Path:
    """The folder that an image belongs to: the validation people of Passersby have one of their own."""
    for folder in (getattr(benchmark, "drawn_root", None), benchmark.root):
        if folder is not None and record.path.is_relative_to(folder):
            return folder
    raise DataError(
        f"{benchmark.name} has no folder with {record.path} in it, in which a {FILE} could lie: {_cure(benchmark.root)}"
    )


def _cure(folder: Path | None) -> str:
    where = folder or "the data set's folder"
    columns = ", ".join(["path", "width", "height", *COLUMNS])
    return f"put a pose estimator's joints into {where}, as {FILE} with the columns {columns}; or use fixed stripes."


def _rows(benchmark: Benchmark, home: Path, names: list[str], noise: float) -> np.ndarray:
    """The joints (images, 4, 2) of images of one folder, as shares."""
    if (home / MARKER).is_file():
        from reid_lab.passersby import joint_table  # slow to import, and only needed here

        joint_table(home)
    if not (home / FILE).is_file():
        raise DataError(f"{benchmark.name} has no joints in {home / FILE}: {_cure(home)}")
    try:
        table = pd.read_csv(home / FILE, index_col="path")[["width", "height", *COLUMNS]].astype(float)
    except (OSError, ValueError, KeyError) as error:  # pandas' errors are ValueErrors
        raise DataError(f"{home / FILE} cannot be read ({error}): {_cure(home)}") from error
    absent = [name for name in names if name not in table.index]
    if absent:
        raise DataError(f"{home / FILE} has no row for {len(absent):,} images (first: {absent[0]}): add these rows.")
    rows = table[~table.index.duplicated()].loc[names].to_numpy()
    points = rows[:, 2:].reshape(-1, len(JOINTS), 2)
    if noise:
        points = points + noise * np.stack([_errors(name) for name in names])
    return points / rows[:, None, :2]


def _errors(name: str) -> np.ndarray:
    """Standard normal numbers (4, 2) that depend on the image's name alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal((len(JOINTS), 2))
