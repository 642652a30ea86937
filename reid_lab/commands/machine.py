"""The command about this machine: doctor."""

from __future__ import annotations

from typing import Any

from reid_lab.commands.options import Arguments, command


def add_to(commands: Any) -> None:
    """Declare the command of this file."""
    command(commands, "doctor", doctor, "is this machine ready for the course? and what to quote for help", "doctor")


def doctor(chosen: Arguments) -> int:
    """Print what is there, what is missing and its cure, and versions. Returns 1 where there is a problem."""
    from reid_lab import doctor

    lines = doctor.examine()
    for line in lines + [f"{name}: {value}" for name, value in doctor.details().items()]:
        print(line)
    return int(any(line.startswith("[problem]") for line in lines))
