"""What several commands share: how one is declared, and the options that mean the same everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Arguments = argparse.Namespace


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
    from reid_lab.training import shelf

    folder = Path(chosen.folder).expanduser()
    return folder if folder.is_dir() else shelf.find(chosen.folder, chosen.runs)


def force_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--force``."""
    parser.add_argument("--force", action="store_true", help="replace the file where there is one")


def at_least_one(text: str) -> int:
    """A whole number from 1, as an argument's ``type``."""
    if not (text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


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
    """The name of a file, not of a folder, as an argument's ``type``."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder: give the name of a file")
    return path


def picture_to_write(text: str) -> Path:
    """The name of a PNG file, as an argument's ``type``."""
    path = file_to_write(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text} does not end in .png, and pictures are written as PNG")
    return path
