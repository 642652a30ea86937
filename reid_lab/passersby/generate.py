"""Generate a Passersby data set: render all images and write them with their annotations.

The folder has Market-1501's layout (bounding_box_train, query, bounding_box_test), PNG files, a table ``truth.csv``
and a marker ``passersby.json``. It is written under another name and renamed at the end, under a lock: so it is there
whole or not at all, even if two processes make it at the same time. What a killed process left is made again.

The images of the validation split are another folder of this layout, without training images. It is made on first use.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
from contextlib import closing
from pathlib import Path

from PIL import Image

from reid_lab.passersby import render, towns
from reid_lab.passersby.annotations import MARKER, TABLE, VERSION
from reid_lab.passersby.frames import Frame, Key
from reid_lab.passersby.people import ATTRIBUTES
from reid_lab.passersby.splits import GALLERY, QUERY, SIZES, TRAIN, list_images, list_validation_images
from reid_lab.passersby.towns import CITY
from reid_lab.runtime import files, folders
from reid_lab.runtime.errors import CheckpointError, DataError
from reid_lab.runtime.pool import available_processors, ordered_map

CHUNK = 48  # images that a worker makes at a time
FEW = 600  # images that one process makes as fast as several
COLUMNS = (
    *("path", "pid", "camid", "sequence", "frame", "shows", "view_angle", "gait_phase", "occluded"),
    *("box_error", "others", *ATTRIBUTES),
)


def generate(
    size: str,
    seed: int = 0,
    home: Path | str | None = None,
    workers: int | None = None,
    validation: bool = False,
    town: str = CITY.name,
) -> Path:
    """Make a Passersby data set, unless it is there.

    Args:
        size: "smoke", "classroom" or "full".
        seed: Another seed gives another data set: other people, other things in the same kinds of scenes.
        home: The folder to keep it in; by default the package's cache folder.
        workers: The number of processes, which changes no file; by default one per processor, and one for few images.
        validation: Make the query and gallery images of the validation split instead: other people, no training.
        town: The name of one of ``towns.TOWNS``.

    Returns:
        The folder of the data set, or of its validation split.

    Raises:
        DataError: The size or the town is unknown, the seed is negative, or the folder cannot be written.
        WorkerError: A worker process ended early.
    """
    _check(size, seed, town)
    final = _folder(size, seed, home, validation, town)
    try:
        return folders.write_folder(
            final, lambda partial: _write(size, seed, partial, workers, validation, town), whole=_complete
        )
    except (OSError, CheckpointError) as error:  # the latter from the lock, which hides an OSError
        reason = error.__cause__ or error
        raise DataError(
            f"Passersby could not be written to {final}: {getattr(reason, 'strerror', None) or reason}. Free space or "
            "set REID_LAB_HOME to a folder that you may write to, then start again."
        ) from error


def _check(size: str, seed: int, town: str) -> None:
    if size not in SIZES:
        raise DataError(f"Passersby has no size {size!r}; choose one of {', '.join(SIZES)}.")
    if seed < 0:
        raise DataError(f"Passersby needs a seed of 0 or more, not {seed}.")
    towns.find(town)


def is_made(size: str, seed: int = 0, home: Path | str | None = None) -> bool:
    """Whether :func:`generate` would find the city's data set ready."""
    return folders.find(_folder(size, seed, home), _complete) is not None


def _folder(size: str, seed: int, home: Path | str | None, validation: bool = False, town: str = CITY.name) -> Path:
    place, part = "" if town == CITY.name else f"{town}-", "-validation" if validation else ""
    name = f"{place}{size}-seed{seed}{part}-v{VERSION}"
    return (Path(home) if home else files.cache_folder()) / "passersby" / name


def _complete(folder: Path) -> bool:
    """Whether a folder is whole: the marker is written last, and neither table nor image has been lost since."""
    try:
        counts = json.loads((folder / MARKER).read_text(encoding="utf-8"))["counts"]
        return (folder / TABLE).is_file() and all(
            sum(entry.name.endswith(".png") for entry in os.scandir(folder / split)) == counts[split]
            for split in (TRAIN, QUERY, GALLERY)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(size: str, seed: int, folder: Path, workers: int | None, validation: bool, town: str) -> None:
    for split in (TRAIN, QUERY, GALLERY):
        (folder / split).mkdir()
    marker = {"kind": "Passersby", "size": size, "seed": seed, "generator": VERSION}
    marker |= {} if town == CITY.name else {"town": town}
    marker |= {"part": "validation"} if validation else {}
    marker |= _fill(folder, size, seed, workers, validation, town)
    (folder / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")


def _fill(folder: Path, size: str, seed: int, workers: int | None, validation: bool, town: str) -> dict[str, object]:
    """Write all images and the table; returns the images of each split and a digest over all pixels."""
    listed = list_validation_images if validation else list_images
    images, digest = listed(SIZES[size], seed, towns.find(town)), hashlib.sha256()
    chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    workers = processes(workers, len(images), len(chunks))
    work = functools.partial(_make, seed, folder, town)
    made = ordered_map(work, chunks, workers, description=f"Passersby {size}", unit="image", units=len)
    with open(folder / TABLE, "w", newline="", encoding="utf-8") as file, closing(made):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for rows, part in made:
            table.writerows(rows)
            digest.update(part.encode())
    counts = {name: sum(split == name for split, _ in images) for name in (TRAIN, QUERY, GALLERY)}
    return {"counts": counts, "digest": digest.hexdigest()}


def processes(workers: int | None, images: int, chunks: int) -> int:
    """Choose the number of processes that make so many images in so many chunks; ``workers`` are asked for."""
    if workers is None:
        workers = 1 if images < FEW else min(available_processors(), 16)
    return max(1, min(workers, chunks))


def _make(seed: int, folder: Path, town: str, images: list[tuple[str, Key]]) -> tuple[list[list[object]], str]:
    """Render and write images; returns their rows of the table and a digest over their pixels."""
    rows, digest = [], hashlib.sha256()
    for split, key in images:
        pixels, frame, hidden = render.render(seed, key, towns.find(town))
        digest.update(pixels.tobytes())
        Image.fromarray(pixels).save(folder / split / f"{key.name}.png", compress_level=1)
        rows.append(_row(split, key, frame, hidden))
    return rows, digest.hexdigest()


def _row(folder: str, key: Key, frame: Frame, hidden: float) -> list[object]:
    main = frame.main
    attributes: dict[str, object] = dict(main.who.attributes()) if main else {}
    view = round((main.view.yaw % 1.0) * 360.0, 1) if main else ""
    phase = round(main.pose.phase % 1.0, 3) if main else ""
    return [
        f"{folder}/{key.name}.png",
        key.pid,
        key.camid,
        key.sequence,
        key.frame,
        frame.kind,
        view,
        phase,
        round(hidden, 4),
        round(frame.box_error, 4),
        len(frame.behind) + len(frame.before),
        *(attributes.get(name, "") for name in ATTRIBUTES),
    ]
