"""The command about this machine: doctor."""

from __future__ import annotations

from typing import Any

from reid_lab.cli.options import Arguments, command


def add_to(commands: Any) -> None:
    """Declare the command of this file."""
    command(commands, "doctor", doctor, "is this machine ready for the course? and what to quote for help", "doctor")


def doctor(chosen: Arguments) -> int:
    """Print what is there, what is missing and its cure, and versions. Returns 1 where there is a problem."""
    from reid_lab import doctor

    lines = doctor.examine()
    print("\n".join(lines), flush=True)
    try:
        details = doctor.details()
    except Exception as error:  # a PyTorch that does not load has been told above; the rest is worth quoting, too
        details = {"could not be asked": f"{type(error).__name__}: {error}"}
    for name, value in details.items():
        print(f"{name}: {value}")
    return int(any(line.startswith("[problem]") for line in lines))
