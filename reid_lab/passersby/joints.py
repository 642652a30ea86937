"""The body joints of all people of a Passersby folder as a table, which is written once, beside the annotations.

``keypoints`` also says which joints are hidden, for which it draws the image. Where joints are follows from the image's
name alone, in half the time.
"""

import csv
import functools
import os
from pathlib import Path

from reid_lab.passersby.annotations import annotations as truth
from reid_lab.passersby.annotations import made_from
from reid_lab.passersby.bodies import KEYPOINTS, Body
from reid_lab.passersby.frames import FINE, HEIGHT_PX, WIDTH_PX, compose
from reid_lab.runtime import files
from reid_lab.runtime.errors import CheckpointError, DataError
from reid_lab.runtime.pool import available_processors, ordered_map

JOINTS = "joints.csv"
CHUNK = 200  # images that a worker looks at at a time
FEW = 600  # images that one process looks at as fast as several
COLUMNS = ("path", "width", "height", *(f"{joint}_{axis}" for joint in KEYPOINTS for axis in "xy"))


def joint_table(folder: Path | str, workers: int | None = None) -> Path:
    """Write the table of joints of a Passersby folder, unless it is there.

    Args:
        folder: A folder that :func:`reid_lab.passersby.generate` has made.
        workers: The number of processes, which changes nothing in the table; by default one per processor, and one for
            few images.

    Returns:
        The file: one row per image, with its ``path`` relative to the folder, its ``width`` and ``height``, and x and y
        of each joint in pixels. They may lie outside of the image. They are empty where nobody is there.

    Raises:
        DataError: The folder is not Passersby's, was made by another version, or cannot be written to.
    """
    folder = Path(folder)
    path = folder / JOINTS
    if path.is_file():
        return path
    names = list(truth(folder).index)
    try:
        with files.lock(path):
            if not path.is_file():
                files.write_whole(path, functools.partial(_write, folder, names, workers))
    except CheckpointError as error:
        raise DataError(
            f"The joints of {folder} could not be written to {JOINTS} in it ({error}): let that folder be written to, "
            "or copy the data set to a folder of your own."
        ) from error
    return path


def _write(folder: Path, names: list[str], workers: int | None, temporary: Path) -> None:
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]
    if workers is None:
        workers = 1 if len(names) < FEW else min(available_processors(), 16)
    found = ordered_map(functools.partial(_rows, folder), chunks, workers, "joints", "image", units=len)
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for rows in found:
            table.writerows(rows)


def _rows(folder: Path, names: list[str]) -> list[list[object]]:
    return [[name, WIDTH_PX, HEIGHT_PX, *_joints(os.path.join(folder, name))] for name in names]


def _joints(image: str) -> list[object]:
    """X and y of each joint in pixels; empty where nobody is there."""
    main = compose(*made_from(image)).main
    if main is None:
        return [""] * (2 * len(KEYPOINTS))
    at = Body(main.who, main.pose, main.view).at
    return [round(value / FINE, 3) for joint in KEYPOINTS for value in at[joint][:2]]
