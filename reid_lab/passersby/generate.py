"""Making the data set: which images there are, writing them, finding their truth again.

The folder is Market-1501's (bounding_box_train, query, bounding_box_test) with PNG files, a table `truth.csv`
and, last, a marker `passersby.json`. It is written beside its final place and renamed, under a lock: it is
there whole or not at all, whoever else makes it at the same time. A left-over of a killed generation is
thrown away and made again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from PIL import Image

from reid_lab.passersby import render
from reid_lab.passersby.annotations import MARKER, TRUTH, VERSION
from reid_lab.passersby.frames import Key, Shot
from reid_lab.passersby.people import ATTRIBUTES
from reid_lab.passersby.splits import GALLERY, QUERY, SIZES, TRAIN, plan
from reid_lab.runtime import files as homes
from reid_lab.runtime.errors import CheckpointError, DataError
from reid_lab.runtime.progress import bar

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


def _make(seed: int, folder: Path, images: list[tuple[str, Key]]) -> Made:
    """Render and write images; their rows of the truth table and a digest over their pixels."""
    rows, digest = [], hashlib.sha256()
    for split, key in images:
        pixels, shot, hidden = render.render(seed, key)
        digest.update(pixels.tobytes())
        Image.fromarray(pixels).save(folder / split / f"{key.name}.png", compress_level=1)
        rows.append(_row(split, key, shot, hidden))
    return rows, digest.hexdigest()


# --- Many images, several processes ---
# A worker is a fresh Python that imports this module and nothing of the caller's: that works from a notebook,
# from a script without a main guard and on every system. It answers on its standard output, a line per chunk.
_WORKER = "from reid_lab.passersby.generate import serve; serve()"
Made = tuple[list[list[object]], str]  # rows of the truth table and a digest, for one chunk


def serve() -> None:
    """Work for `generate` in another process: make every n-th chunk, in order."""
    size, seed, folder, worker, workers = json.loads(sys.argv[1])
    images = plan(SIZES[size], seed)
    with suppress(KeyboardInterrupt, BrokenPipeError):  # whoever started this has ended
        for start in range(worker * CHUNK, len(images), workers * CHUNK):
            answer: object
            try:
                answer = _make(seed, Path(folder), images[start : start + CHUNK])
            except OSError as error:
                answer = [error.errno, error.strerror or str(error)]
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


def _made(size: str, seed: int, folder: Path, workers: int) -> Iterator[Made]:
    """All chunks of a data set in order, made here or by several processes."""
    images = plan(SIZES[size], seed)
    if workers == 1:
        for start in range(0, len(images), CHUNK):
            yield _make(seed, folder, images[start : start + CHUNK])
        return
    with ExitStack() as stack:
        team = [_start(stack, [size, seed, str(folder), worker, workers]) for worker in range(workers)]
        for number in range(-(-len(images) // CHUNK)):
            line = team[number % workers].readline()
            if not line:
                raise DataError(
                    f"A process that was making Passersby in {folder} ended early (out of memory or disk?). "
                    "Free some, then start again; workers=1 makes it in this process and shows the error."
                )
            first, second = json.loads(line)
            if not isinstance(first, list):
                raise OSError(first, second)
            yield first, second


def _start(stack: ExitStack, job: list[object]) -> IO[str]:
    """Start a worker that ends with the stack; returns what it says."""
    paths = [str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-c", _WORKER, json.dumps(job)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    assert process.stdout is not None  # a pipe was asked for
    return stack.enter_context(process.stdout)


def _workers(workers: int | None, images: int) -> int:
    if workers is None:
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = 1 if images < 600 else min(available, 16)
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
    counts, digest, sizes = {TRAIN: 0, QUERY: 0, GALLERY: 0}, hashlib.sha256(), SIZES[size]
    total = sizes.train_images + sizes.queries + sizes.gallery + sizes.distractors + sizes.junk
    try:
        with (
            open(partial / TRUTH, "w", newline="", encoding="utf-8") as file,
            bar(total=total, description=f"Passersby {size}", unit="image") as progress,
        ):
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for rows, part in _made(size, seed, partial, _workers(workers, total)):
                table.writerows(rows)
                digest.update(part.encode())
                for row in rows:
                    counts[str(row[0]).split("/")[0]] += 1
                progress.update(len(rows))
        marker = {
            "kind": "Passersby",
            "size": size,
            "seed": seed,
            "generator": VERSION,
            "counts": counts,
            "digest": digest.hexdigest(),
        }
        (partial / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
