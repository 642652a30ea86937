"""A folder of crops of people whom nobody has named: the images below it as records."""

from __future__ import annotations

from pathlib import Path

from reid_lab.data import finding
from reid_lab.data.files import Seen, existing_folder, look
from reid_lab.data.records import DISTRACTOR, Record
from reid_lab.runtime.errors import DataError


def crops(folder: Path | str) -> list[Record]:
    """List the images below a folder, sorted by path. Hidden files and folders are passed over.

    Args:
        folder: The folder.

    Returns:
        One record for each image, as a distractor: its identity is not known.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise DataError(f"{folder} is a file, and a folder of crops is needed: give the folder that it lies in.")
    if not path.exists():
        raise DataError(f"The folder {folder} does not exist: give the folder that holds the crops.")
    root = existing_folder(folder)
    seen = look(root)
    if not seen.images:
        raise DataError(f"There is no image below {root}, {_instead(seen)}.")
    return [Record(path, pid=DISTRACTOR) for path in seen.images]


def passed_over(folder: Path | str) -> list[str]:
    """Say which pictures below a folder :func:`crops` did not take.

    Args:
        folder: The folder.

    Returns:
        Sentences; none if there are no such pictures.
    """
    root = existing_folder(folder)
    return [found.sentence for found in finding.passed_over(look(root).passed, root)]


def _instead(seen: Seen) -> str:
    """What a folder without images holds, and the cure."""
    others = [path.name for paths in seen.passed.values() for path in paths] + seen.others
    if not others:
        return "nor any other file: give the folder that holds the crops"
    names = ", ".join(sorted(others)[:3]) + (", ..." if len(others) > 3 else "")
    return (
        f"but {len(others):,} files that are not read ({names}): give a folder with JPEG, PNG or other pictures, or "
        "save these as such"
    )
