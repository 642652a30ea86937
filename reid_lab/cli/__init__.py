"""The command line: ``python -m reid_lab COMMAND``. A user's error is one sentence and a non-zero exit status.

training     demo, train, evaluate
datasets     check, passersby
experiments  ablate
shelf        runs: list, compare, delete
use          a trained run at work: export, describe, search
machine      doctor
options      what several of them share

Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from reid_lab.cli import datasets, experiments, machine, runs, training, use
from reid_lab.runtime.errors import ReidLabError

RESUMED = ("demo", "train", "ablate")  # the commands whose work is kept when they are interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status.

    0 done, 1 a check that found errors or a question answered with no, 2 an error, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 prints a question mark, not a traceback
    chosen = _parser().parse_args(arguments)
    try:
        status = chosen.run(chosen)
        print(end="", flush=True)  # unlike sys.stdout.flush(), also where somebody has closed it
        return status
    except ReidLabError as error:
        print(f"reid_lab: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read what is printed (``| head``) has seen enough
        _print_no_more()
        return 141  # as a shell says of a program that a closed pipe ended
    except OSError as error:
        if _can_print():
            if error.filename is None:
                raise
            print(
                f"reid_lab: {error.filename} could not be used: {error.strerror}. Look whether it is there, and "
                "whether your user may use it.",
                file=sys.stderr,
            )
            return 2
        _print_no_more()
        print(f"reid_lab: what was to be printed could not be: {error.strerror}. Print elsewhere.", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interruption:  # training tells how far it came
        goes_on = " and it goes on where it stopped" if chosen.run.__name__ in RESUMED else ""
        told = str(interruption) or f"interrupted. Start the same command again{goes_on}."
        print(f"reid_lab: {told}", file=sys.stderr)
        return 130


def _can_print() -> bool:
    try:
        print(flush=True)  # a line, as an empty text need not get as far as the device
    except OSError:
        return False
    return True


def _print_no_more() -> None:
    """What waits to be printed is lost, and Python says nothing of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reid_lab", description="Person re-identification to read and run.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in (training, datasets, experiments, runs, use, machine):
        group.add_to(commands)
    return parser
