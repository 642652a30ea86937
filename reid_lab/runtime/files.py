"""Where the package keeps its files, and how it writes them: whole or not at all, one process at a time."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from reid_lab.runtime.errors import CheckpointError
from reid_lab.runtime.progress import silenced

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package: a checkout, or site-packages
NOTEBOOKS = ROOT / "notebooks"  # in a checkout only
PACKED = ROOT / "reid_lab" / "course" / "files"  # in a wheel only: what notebooks read of a checkout (setup.py)


def project_folder() -> Path:
    """Find the folder that results belong to: the checkout; without one, the current folder."""
    return ROOT if NOTEBOOKS.is_dir() else Path.cwd()


def cache_folder() -> Path:
    """Find the cache: ``REID_LAB_HOME``, or ``reid_lab`` in the platform's cache folder. It is safe to delete."""
    if os.environ.get("REID_LAB_HOME"):
        return Path(os.environ["REID_LAB_HOME"]).expanduser()
    return platformdirs.user_cache_path("reid_lab", appauthor=False, opinion=False)


def runs_folder() -> Path:
    """Find the folder of trained runs: ``REID_LAB_RUNS``, or ``runs`` in :func:`project_folder`.

    Notebooks and the command line share it, so that what one has trained the other loads.
    """
    if os.environ.get("REID_LAB_RUNS"):
        return Path(os.environ["REID_LAB_RUNS"]).expanduser()
    return project_folder() / "runs"


def shared_folder() -> Path | None:
    """Find what somebody has made for everybody: ``REID_LAB_SHARED``, a cache whose folder ``runs`` holds trained runs.

    It is only read: neither locks nor files are written there. None: there is no such folder.
    """
    named = os.environ.get("REID_LAB_SHARED")
    return Path(named).expanduser() if named else None


def write_whole(path: Path | str, writer: Callable[[Path], object]) -> None:
    """Write a file so that it is either the old one or the new one, never a part.

    Args:
        path: The file.
        writer: ``writer(temporary)`` writes to a temporary name in the same folder. This file is then flushed to the
            disk and renamed.

    Raises:
        CheckpointError: The folder cannot be written to or the disk is full; the old file is still there. Or ``path``
            is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"Could not write {path}: it is a folder. Give the name of a file.")
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        writer(temporary)
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise CheckpointError(
            f"Could not write {path}: {error.strerror or error}. What was there before is untouched; "
            "free some space or choose a folder that you may write to, then start again."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` whole, as UTF-8 (see :func:`write_whole`)."""
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


@contextlib.contextmanager
def lock(folder: Path | str, seconds: float = -1, waiting: str = "") -> Iterator[None]:
    """Hold a folder for this process, while a second process waits.

    The lock is a file beside the folder. The system releases it when its holder dies.

    Args:
        folder: The folder.
        seconds: How long to wait for another process at most; forever by default.
        waiting: What the other process is doing. A process that waits logs it, unless progress is silenced.

    Raises:
        CheckpointError: Another process still holds the folder after ``seconds``, or the folder cannot be made.
    """
    folder = Path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder.parent / f".{folder.name}.lock", timeout=seconds)
        _acquire(held, waiting)
    except Timeout as error:
        raise CheckpointError(
            f"Another process is working on {folder}. Wait until it has finished, or stop it, then start again."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"Could not use {folder}: {error.strerror or error}. Choose a folder that you may write to."
        ) from error
    try:
        yield
    finally:
        held.release()


def _acquire(held: FileLock, waiting: str) -> None:
    try:
        held.acquire(timeout=0)
    except Timeout:
        if waiting and held.timeout and not silenced():
            logging.getLogger("reid_lab").warning("Another process is %s: waiting until it has finished.", waiting)
        held.acquire()
