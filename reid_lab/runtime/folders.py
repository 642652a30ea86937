"""Folders of made files: whole or not at all, made once, also by several processes at the same time."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from reid_lab.runtime import files
from reid_lab.runtime.errors import CheckpointError, DataError


def find(folder: Path, whole: Callable[[Path], bool]) -> Path | None:
    """Find a made folder: itself, or the one of the same name in :func:`reid_lab.runtime.files.shared_folder`.

    Args:
        folder: The folder. Only folders of the cache are shared.
        whole: ``whole(folder)`` says whether a folder is there, with nothing lost.

    Returns:
        The one that is whole; None where neither is.
    """
    shared, cache = files.shared_folder(), files.cache_folder()
    places = [folder, shared / folder.relative_to(cache)] if shared and folder.is_relative_to(cache) else [folder]
    return next((place for place in places if whole(place)), None)


def write_folder(folder: Path, fill: Callable[[Path], object], whole: Callable[[Path], bool]) -> Path:
    """Make a folder, unless :func:`find` finds it: under another name, renamed at the end, under a lock.

    What a killed process left is removed. A folder that is there is read without a lock, so it may be read-only.

    Args:
        folder: The folder.
        fill: ``fill(partial)`` writes all of it to an empty folder of another name.
        whole: As in :func:`find`.

    Returns:
        The folder that is whole: this one, or the shared one.

    Raises:
        OSError: It cannot be written.
        CheckpointError: The same, of the folder's lock.
    """
    if there := find(folder, whole):
        return there
    with files.lock(folder):
        if whole(folder):
            return folder
        for left_over in folder.parent.glob(f".{folder.name}.*partial"):
            shutil.rmtree(left_over, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(folder)
        # A name of its own: the workers of a killed process may still be writing into theirs.
        partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
        try:
            partial.mkdir(parents=True)
            fill(partial)
            os.replace(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return folder


def image_folder(folder: Path, names: Sequence[str], fill: Callable[[Path], object]) -> list[Path]:
    """Make a folder of images in the package's cache, unless it is there.

    Args:
        folder: The folder, whose name should tell everything that its images depend on.
        names: The names of all its files.
        fill: ``fill(partial)`` writes the files of these names to an empty folder of another name.

    Returns:
        The paths of all files, in the order of the names.

    Raises:
        DataError: The folder cannot be written.
    """

    def whole(there: Path) -> bool:
        return there.is_dir() and {entry.name for entry in os.scandir(there)}.issuperset(names)

    try:
        folder = write_folder(folder, fill, whole)
    except (OSError, CheckpointError) as error:  # the latter from the lock, which hides an OSError
        reason = error.__cause__ or error
        raise DataError(
            f"The images of {folder} could not be written: {getattr(reason, 'strerror', None) or reason}. Free space "
            "or set REID_LAB_HOME to a folder that you may write to, then start again."
        ) from error
    return [folder / name for name in names]
