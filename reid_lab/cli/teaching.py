"""The commands of whoever teaches: handout, leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from reid_lab.cli.app import command
from reid_lab.cli.options import whole

GROUP = "For whoever teaches"


@command(GROUP, "handout capstone --seed 271828")
def handout(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The new folder to write to.")],
    seed: Annotated[int, typer.Option(parser=whole, metavar="<int>", help="Your secret: from 1000 on.")],
    size: Annotated[
        Literal["classroom", "smoke"],
        typer.Option(metavar="SIZE", help="How large the town is: classroom, or smoke for a try."),
    ] = "classroom",
    town: Annotated[Literal["coast", "city"], typer.Option(metavar="TOWN", help="Coast or city.")] = "coast",
) -> int:
    """Write the images of a hidden town for students, and beside them the key that stays with you."""
    from reid_lab import capstone

    key = capstone.handout(folder, seed, size, town)
    print(f"For students: {folder / 'handout'}\nYours, keep it secret: {key}")
    return 0


@command(GROUP, "leaderboard capstone/key.csv baseline team1 team2")
def leaderboard(
    key: Annotated[Path, typer.Argument(metavar="KEY", help="The key that was written with the handout.")],
    teams: Annotated[
        list[Path],
        typer.Argument(metavar="TEAM...", help="Folders with query.npz and gallery.npz; the first is the baseline."),
    ],
) -> int:
    """Score the features of teams, with 95 % intervals over people, and compare them with the baseline."""
    from reid_lab import capstone

    print(capstone.leaderboard(key, teams).round(1).to_string())
    return 0
