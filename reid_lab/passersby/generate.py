"""Making the data set: which images there are, writing them, finding their truth again.

The folder is Market-1501's (bounding_box_train, query, bounding_box_test) with PNG files, a table `truth.csv`
and, last, a marker `passersby.json`. It is written beside its final place and renamed, under a lock: it is
there whole or not at all, whoever else makes it at the same time. A left-over of a killed generation is
thrown away and made again.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import shutil
import uuid
from contextlib import closing
from pathlib import Path

from PIL import Image

from reid_lab.passersby import render
from reid_lab.passersby.annotations import MARKER, TRUTH, VERSION
from reid_lab.passersby.frames import Key, Shot
from reid_lab.passersby.people import ATTRIBUTES
from reid_lab.passersby.splits import GALLERY, QUERY, SIZES, TRAIN, plan
from reid_lab.runtime import files as homes
from reid_lab.runtime.errors import CheckpointError, DataError
from reid_lab.runtime.pool import available_processors, ordered_map

CHUNK = 48  # images a worker hands back at a time


# --- One image ---
def _row(folder: str, key: Key, shot: Shot, hidden: float) -> list[object]:
    main = shot.main
    attributes: dict[str, object] = dict(main.who.attributes()) if main else {}
    view = round((main.view.yaw % 1.0) * 360.0, 1) if main else ""
    phase = round(main.pose.phase % 1.0, 3) if main else ""
    return [
        f"{folder}/{key.name}.png",
        key.pid,
        key.camid,
        key.sequence,
        key.frame,
        shot.kind,
        view,
        phase,
        round(hidden, 4),
        round(shot.box_error, 4),
        len(shot.behind) + len(shot.before),
        *(attributes.get(name, "") for name in ATTRIBUTES),
    ]


COLUMNS = (
    "path",
    "pid",
    "camid",
    "sequence",
    "frame",
    "shows",
    "view_angle",
    "gait_phase",
    "occluded",
    "box_error",
    "others",
    *ATTRIBUTES,
)


def _make(seed: int, folder: Path, images: list[tuple[str, Key]]) -> tuple[list[list[object]], str]:
    """Render and write images; their rows of the truth table and a digest over their pixels."""
    rows, digest = [], hashlib.sha256()
    for split, key in images:
        pixels, shot, hidden = render.render(seed, key)
        digest.update(pixels.tobytes())
        Image.fromarray(pixels).save(folder / split / f"{key.name}.png", compress_level=1)
        rows.append(_row(split, key, shot, hidden))
    return rows, digest.hexdigest()


def _workers(workers: int | None, images: int) -> int:
    if workers is None:
        workers = 1 if images < 600 else min(available_processors(), 16)
    return max(1, min(workers, -(-images // CHUNK)))


def generate(size: str, seed: int = 0, home: Path | str | None = None, workers: int | None = None) -> Path:
    """The folder of a Passersby data set, made on first use.

    Args:
        size: "smoke", "classroom" or "full".
        seed: another seed is another data set: other people, other places.
        home: where to keep it; by default the package's cache folder.
        workers: processes to use; by default one per processor ("smoke": one). The result is the same.

    Raises:
        DataError: an unknown size, a negative seed, or a folder that cannot be written.
    """
    if size not in SIZES:
        raise DataError(f"Passersby has no size {size!r}; choose one of {', '.join(SIZES)}.")
    if seed < 0:
        raise DataError(f"Passersby needs a seed of 0 or more, not {seed}.")
    final = _place(size, seed, home)
    if _complete(final):
        return final
    try:
        with homes.lock(final):
            if not _complete(final):
                _write(size, seed, final, workers)
    except (OSError, CheckpointError) as error:  # the latter from the lock, which hides an OSError
        reason = error.__cause__ or error
        raise DataError(
            f"Passersby could not be written to {final}: {getattr(reason, 'strerror', None) or reason}. Free space or "
            "set REID_LAB_HOME to a folder that you may write to, then start again."
        ) from error
    return final


def is_made(size: str, seed: int = 0, home: Path | str | None = None) -> bool:
    """Whether `generate` would find the data set ready."""
    return _complete(_place(size, seed, home))


def _place(size: str, seed: int, home: Path | str | None) -> Path:
    return (Path(home) if home else homes.cache_folder()) / "passersby" / f"{size}-seed{seed}-v{VERSION}"


def _complete(folder: Path) -> bool:
    """Whether a folder is whole: the marker is written last, and neither table nor image has been lost since."""
    try:
        counts = json.loads((folder / MARKER).read_text(encoding="utf-8"))["counts"]
        return (folder / TRUTH).is_file() and all(
            sum(entry.name.endswith(".png") for entry in os.scandir(folder / split)) == counts[split]
            for split in (TRAIN, QUERY, GALLERY)
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write(size: str, seed: int, final: Path, workers: int | None) -> None:
    # A name of its own: workers of a killed generation may still be writing into theirs.
    partial = final.with_name(f".{final.name}.{uuid.uuid4().hex}.partial")
    for left_over in final.parent.glob(f".{final.name}.*partial"):
        shutil.rmtree(left_over, ignore_errors=True)
    if final.exists():
        shutil.rmtree(final)
    for split in (TRAIN, QUERY, GALLERY):
        (partial / split).mkdir(parents=True)
    images, digest = plan(SIZES[size], seed), hashlib.sha256()
    chunks = [images[start : start + CHUNK] for start in range(0, len(images), CHUNK)]
    made = ordered_map(
        functools.partial(_make, seed, partial),
        chunks,
        _workers(workers, len(images)),
        description=f"Passersby {size}",
        unit="image",
        units=len,
    )
    try:
        with open(partial / TRUTH, "w", newline="", encoding="utf-8") as file, closing(made):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for rows, part in made:
                table.writerows(rows)
                digest.update(part.encode())
        marker = {
            "kind": "Passersby",
            "size": size,
            "seed": seed,
            "generator": VERSION,
            "counts": {name: sum(split == name for split, _ in images) for name in (TRAIN, QUERY, GALLERY)},
            "digest": digest.hexdigest(),
        }
        (partial / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
