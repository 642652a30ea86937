"""What several commands share: how one is declared, and the options that mean the same everywhere."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_lab.runtime.errors import DataError

if TYPE_CHECKING:
    from reid_lab.data import Benchmark

Arguments = argparse.Namespace
DRAWN_BY = b"Software\0reid_lab"  # in the head of a PNG file from plots.save
MOST = 1000  # runs, processes: what nobody means to ask for stands beyond


def command(
    commands: Any, name: str, run: Callable[[Arguments], int], about: str, example: str
) -> argparse.ArgumentParser:
    """Add a command, whose ``run`` returns the exit status; its help ends with the ``example``."""
    parser = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"example: python -m reid_lab {example}",
    )
    parser.set_defaults(run=run)
    return parser


def size_option(parser: argparse.ArgumentParser, default: str | None) -> None:
    """Add ``--size``; None: the recipes' own default."""
    choices = ("smoke", "classroom", "full", "paper")
    text = default or "REID_LAB_SIZE, else full on a GPU and classroom without"
    parser.add_argument("--size", choices=choices, default=default, help=f"of data and recipe (default: {text})")


def device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps, xpu (default: the GPU where there is one)")


def runs_option(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Add ``--runs``."""
    parser.add_argument("--runs", type=Path, default=default, help="folder that keeps the runs (default: runs)")


def training_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``, ``--runs`` and ``--device``."""
    parser.add_argument("--seed", type=int, default=0, help="of the training (default 0)")
    runs_option(parser)
    device_option(parser)


def run_argument(parser: argparse.ArgumentParser) -> None:
    """Add RUN, the trained run that a command works with, and where to look for it (see :func:`chosen_run`)."""
    parser.add_argument("folder", metavar="RUN", help="the run's folder, or the beginning of its name")
    runs_option(parser)


def chosen_run(chosen: Arguments) -> Path:
    """The folder of RUN. Raises CheckpointError where no run, or more than one, is called so."""
    from reid_lab.training import runs

    folder = Path(chosen.folder).expanduser()
    return folder if folder.is_dir() else runs.find(chosen.folder, chosen.runs)


def cameras_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--cameras``, for :func:`read_data`."""
    parser.add_argument(
        "--cameras",
        metavar="PATTERN|none",
        help="which camera took an image of the data: a regular expression with the number in brackets, such as "
        "'cam([0-9]+)', one number for all images, or none where it is unknown (default: what names or table say)",
    )


def read_data(path: Path, cameras: str | None) -> tuple[str, Benchmark]:
    """The kind of a data folder or table, and what it holds, cameras as told. Raises DataError."""
    from reid_lab import data

    return data.recognize(path, cameras=cameras)


def cameras_of_data(chosen: Arguments) -> str | None:
    """What ``--cameras`` says. Raises DataError without ``--data``: Passersby's cameras are known."""
    if chosen.cameras is not None and chosen.data is None:
        raise DataError("--cameras says how to read data of your own: name their folder with --data PATH, or leave it.")
    return chosen.cameras


def force_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--force``."""
    parser.add_argument("--force", action="store_true", help="replace the file where there is one")


def at_least_one(text: str) -> int:
    """A whole number from 1, as an argument's ``type``."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def a_few(text: str) -> int:
    """A whole number from 1 to MOST, as an argument's ``type``."""
    number = at_least_one(text)
    if number > MOST:
        raise argparse.ArgumentTypeError(f"{text} is more than {MOST}: give a smaller number")
    return number


def above_zero(text: str) -> float:
    """A number above 0, as an argument's ``type``."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:  # nor NaN
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def file_to_write(text: str) -> Path:
    """The name of a file, not of a folder, that can be made where it is to be, as an argument's ``type``."""
    path = Path(text)
    try:
        if path.is_dir():
            raise argparse.ArgumentTypeError(f"{text} is a folder: give the name of a file")
        above = next(folder for folder in path.absolute().parents if folder.exists())  # the others will be made
        if not above.is_dir():
            raise argparse.ArgumentTypeError(f"{text} cannot be made, because {above} is a file: give another name")
        if not os.access(above, os.W_OK):
            raise argparse.ArgumentTypeError(f"{text} cannot be made: you may not write to {above}")
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise argparse.ArgumentTypeError(f"{text} cannot be made: {error.strerror}") from error
    return path


def picture_to_write(text: str) -> Path:
    """The name of a PNG file that is not there yet, or was drawn by reid_lab, as an argument's ``type``.

    So a photograph is safe whose name stands behind the wrong option; the picture of yesterday is replaced.
    """
    path = file_to_write(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png, and pictures are written as PNG")
    if path.exists() and not _drawn_here(path):
        raise argparse.ArgumentTypeError(f"{text} exists already, and reid_lab did not draw it: give another name")
    return path


def _drawn_here(path: Path) -> bool:
    """Whether a PNG file says that reid_lab drew it, as those do that ``plots.save`` writes."""
    try:
        with path.open("rb") as file:
            return DRAWN_BY in file.read(4096)
    except OSError:
        return False
