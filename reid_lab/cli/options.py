"""The options that mean the same in several commands, and the checks of their values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from reid_lab.data import Benchmark

DRAWN_BY = b"Software\0reid_lab"  # in the head of every PNG file from plots.save
MOST = 1000  # nobody means to ask for more runs or processes


def whole(text: Any) -> int:
    """Check a whole number."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"'{text}' is not a whole number") from None


def at_least_one(text: Any) -> int:
    """Check a whole number from 1."""
    number = whole(text)
    if number < 1:
        raise typer.BadParameter(f"{number} is not a whole number from 1")
    return number


def a_few(text: Any) -> int:
    """Check a whole number from 1 to MOST."""
    number = at_least_one(text)
    if number > MOST:
        raise typer.BadParameter(f"{number} is more than {MOST}: give a smaller number")
    return number


def a_port(text: Any) -> int:
    """Check a port that a user may take."""
    number = whole(text)
    if not 1024 <= number <= 65535:
        raise typer.BadParameter(f"{number} is not a port from 1024 to 65535")
    return number


def above_zero(text: Any) -> float:
    """Check a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:  # this refuses NaN, too
        raise typer.BadParameter(f"'{text}' is not a number above 0")
    return number


def file_to_write(text: Any) -> Path:
    """Check the name of a file: it is no folder, and it can be made where it is to be."""
    path = Path(text)
    try:
        if path.is_dir():
            raise typer.BadParameter(f"{text} is a folder: give the name of a file")
        above = next(folder for folder in path.absolute().parents if folder.exists())  # the others will be made
        if not above.is_dir():
            raise typer.BadParameter(f"{text} cannot be made, because {above} is a file: give another name")
        if not os.access(above, os.W_OK):
            raise typer.BadParameter(f"{text} cannot be made: you may not write to {above}")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise typer.BadParameter(f"{text} cannot be made: {error.strerror}") from error
    return path


def picture_to_write(text: Any) -> Path:
    """Check the name of a PNG file: it is new, or reid_lab drew the old one.

    So a photograph is safe when its name stands behind the wrong option.
    """
    path = file_to_write(text)
    if path.suffix.lower() != ".png":
        raise typer.BadParameter(f"{text} does not end in .png, and pictures are written as PNG")
    if path.exists() and not _drawn_here(path):
        raise typer.BadParameter(f"{text} exists already, and reid_lab did not draw it: give another name")
    return path


def _drawn_here(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return DRAWN_BY in file.read(4096)
    except OSError:
        return False


SizeName = Literal["smoke", "classroom", "full", "paper"]
Size = Annotated[
    SizeName,
    typer.Option(metavar="SIZE", help="How large data and networks are: smoke, classroom, full or paper."),
]
Seed = Annotated[int, typer.Option(parser=whole, help="The seed of everything random in the training.")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        show_default="the GPU where there is one",
        help="Where to compute: cpu, cuda, cuda:1, mps or xpu.",
    ),
]
Runs = Annotated[
    Path | None, typer.Option(metavar="FOLDER", show_default="runs", help="The folder that keeps the runs.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="The run's folder, or the beginning of its name.")]
RunNames = Annotated[
    list[str], typer.Argument(metavar="RUN", help="The runs' folders, or the beginnings of the names.")
]
Cameras = Annotated[
    str | None,
    typer.Option(
        metavar="PATTERN|none",
        show_default="what file names or table say",
        help="How to know the camera of an image: a regular expression with the number in brackets, such as "
        "'cam([0-9]+)', one number for all images, or none where it is not known.",
    ),
]
Picture = Annotated[
    Path | None,
    typer.Option(parser=picture_to_write, metavar="FILE", help="Also draw queries and finds to this .png file."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]


def chosen_run(name: str, runs: Path | None) -> Path:
    """The folder of a run.

    Args:
        name: The folder, or the beginning of its name.
        runs: The folder of all runs.

    Raises:
        CheckpointError: No run has that name, or more than one.
    """
    from reid_lab.training import runs as kept

    folder = Path(name).expanduser()
    return folder if folder.is_dir() else kept.find(name, runs)


def read_data(path: Path, cameras: str | None) -> tuple[str, Benchmark]:
    """Read a data set of any kind.

    Args:
        path: Its folder, or its table.
        cameras: The value of ``--cameras``.

    Returns:
        The kind, in words, and the benchmark.

    Raises:
        DataError: The data are not there or cannot be used.
    """
    from reid_lab import data

    return data.recognize(path, cameras=cameras)
