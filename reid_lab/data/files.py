"""Finding a data set's folder and the images in it."""

import os
from collections.abc import Iterable
from pathlib import Path

from reid_lab.errors import DataError

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def existing_folder(root: Path | str) -> Path:
    """``root`` as an absolute path. Raises DataError if it is not a folder."""
    folder = Path(os.path.abspath(Path(root).expanduser()))
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"The data folder {folder} {found}: give the folder that holds the unpacked data set.")
    return folder


def candidates(root: Path | str, needed: Iterable[str], inside: Iterable[str] = ()) -> list[Path]:
    """Folders that hold all ``needed`` names: ``root``, else its parent, else any of its sub-folders.

    The parent is tried only if ``root`` is one of ``needed`` or ``inside``, that is one level too low.
    """
    root, needed = existing_folder(root), tuple(needed)
    around = [root]
    if root.name in (*needed, *inside):
        around.append(root.parent)
    for folder in around:
        if not _missing(folder, needed):
            return [folder]
    return [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not _missing(folder, needed)]


def locate(root: Path | str, needed: Iterable[str], what: str, inside: Iterable[str] = ()) -> Path:
    """The one folder among the :func:`candidates`. Raises DataError if there is none, or more than one."""
    needed = tuple(needed)
    found = candidates(root, needed, inside)
    if len(found) == 1:
        return found[0]
    root = existing_folder(root)
    if found:
        names = " and ".join(folder.name for folder in found)
        raise DataError(f"The folder {root} holds {what} more than once ({names}): give one of them.")
    raise DataError(
        f"The folder {root} is not {what}: it lacks {', '.join(_missing(root, needed))}, and so do the "
        "folders around it; give the folder that holds them, or unpack the archive again."
    )


def _missing(folder: Path, needed: Iterable[str]) -> list[str]:
    return [name for name in needed if not (folder / name).exists()]


def image_files(folder: Path, recursive: bool = False) -> list[Path]:
    """The images of a folder, sorted by name; Thumbs.db, other files, and hidden files and folders are passed over.

    A link that leads nowhere is listed: whoever opens it will name it.
    """
    files = folder.rglob("*") if recursive else folder.iterdir()
    named = {path.relative_to(folder).as_posix(): path for path in files if path.suffix.lower() in SUFFIXES}
    seen = (name for name in sorted(named) if not any(part.startswith(".") for part in name.split("/")))
    return [named[name] for name in seen if not named[name].is_dir()]


def with_any_suffix(path: Path) -> Path:
    """``path``, or the same name in another image format or case if only that exists."""
    if path.exists():
        return path
    others = (path.with_suffix(form) for suffix in sorted(SUFFIXES) for form in (suffix, suffix.upper()))
    return next((other for other in others if other.exists()), path)
