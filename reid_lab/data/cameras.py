"""Which camera took an image: as its path says, or as the user tells.

What the user tells is called ``cameras`` in Python and ``--cameras`` on the command line.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from reid_lab.data.records import UNKNOWN_CAMERA
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.validation import is_whole

# What the user may tell: a regular expression whose first group is the number (or a letter: a is 1), "none" where
# cameras are unknown, a function of the path, or one number for all. None: look at the names.
Cameras = str | Callable[[Path], int] | int | None
NONE = "none"
# c1, cam1, camera_01, cam_a as a word of its own in a path; also Market's c1s1 and MARS' 0001C1T0001F001
CAMERA = (
    r"(?:^|[/_\-. ])(?:c(?:am(?:era)?)?[_\- ]?(\d+)(?:s\d+)?|[ck]am(?:era)?(?:[_\- ]([a-z])|((?-i:[A-Z]))))"
    r"(?=[/_\-. ]|$)"
    r"|(?:^|/)(?:\d+|00-1)c(\d+)t\d+(?:f\d+)?(?=[./]|$)"
)
CURE = (
    "tell the cameras with a pattern whose group is the number, such as 'cam([0-9]+)' (`cameras`, --cameras on the "
    'command line), or say "none" there if nobody knows them'
)


def check(cameras: Cameras) -> None:
    """Check what the user told.

    Raises:
        DataError: A pattern is no regular expression with a group.
    """
    if not isinstance(cameras, str) or _is_number(cameras) or cameras.lower() == NONE:
        return
    try:
        groups = re.compile(cameras).groups
    except re.error as error:
        raise DataError(f"The camera pattern {cameras!r} is no regular expression ({error}): correct it.") from error
    if not groups:
        raise DataError(
            f"The camera pattern {cameras!r} has no group: put the number in brackets, as in 'cam([0-9]+)', or give "
            f'"{NONE}" if cameras are unknown.'
        )


def named(text: str) -> int | None:
    """Find the camera that a path or a name tells by itself; None where it tells none."""
    match = re.search(CAMERA, text, re.IGNORECASE)
    return None if match is None else number(next(group for group in match.groups() if group))


def number(text: str) -> int:
    """Read a camera's number: ``"07"`` is 7, ``"b"`` is 2.

    Raises:
        ValueError: The text is something else.
    """
    return ord(text.lower()) - ord("a") + 1 if re.fullmatch("[a-zA-Z]", text) else int(text)


def camera_of(path: Path, texts: Sequence[str], cameras: Cameras, known: int | None = None) -> int:
    """Find the camera of one image.

    Args:
        path: The image's path.
        texts: Parts of the path in which a pattern is looked for; the first that matches counts.
        cameras: What the user told.
        known: What the reader knows, where the user told nothing; None: look for c1, cam1, camera_1 in ``texts``.

    Returns:
        The camera's number; -1 if it is unknown.

    Raises:
        DataError: The camera that was told is not found, or is no number.
    """
    if cameras is None:
        found = known if known is not None else next((c for c in map(named, texts) if c is not None), None)
        return UNKNOWN_CAMERA if found is None else found
    if isinstance(cameras, str):
        if cameras.lower() == NONE:
            return UNKNOWN_CAMERA
        return int(cameras) if _is_number(cameras) else _by_pattern(path, texts, cameras)
    told = cameras(path) if callable(cameras) else cameras
    if not is_whole(told, UNKNOWN_CAMERA):
        raise DataError(f"The camera of {path} was told as {told!r}: give its number, or -1 if it is unknown.")
    return int(told)


def _by_pattern(path: Path, texts: Sequence[str], pattern: str) -> int:
    match = next((m for m in (re.search(pattern, text, re.IGNORECASE) for text in texts) if m is not None), None)
    if match is None:
        raise DataError(
            f"No camera is found in {path}: the pattern {pattern!r} does not match {texts[0]!r}; correct one."
        )
    try:
        return number(match[1])
    except (TypeError, ValueError) as error:  # None is a group that was left out
        found = f"The camera pattern {pattern!r} finds {match[1]!r} in {path}"
        raise DataError(f"{found}, which is no number: put the number alone in brackets.") from error


def _is_number(text: str) -> bool:
    return re.fullmatch("-1|[0-9]+", text) is not None
