"""The commands about data: check, passersby."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reid_lab.cli.options import (
    Arguments,
    cameras_option,
    command,
    picture_to_write,
    read_data,
    size_option,
)


def add_to(commands: Any) -> None:
    """Declare the commands of this file."""
    checking = command(commands, "check", check, "inspect a data folder", "check data/Market-1501")
    checking.add_argument("path", type=Path, help="the data set's folder, or a CSV with path, pid, camid, split")
    cameras_option(checking)

    making = command(
        commands, "passersby", passersby, "generate the synthetic data set", "passersby --size smoke --sheet people.png"
    )
    size_option(making, "classroom")
    making.add_argument("--seed", type=int, default=0, help="of the data (default 0)")
    making.add_argument("--sheet", type=picture_to_write, metavar="FILE", help="also write a contact sheet (.png)")


def check(chosen: Arguments) -> int:
    """Say what a folder holds and what is wrong with it; status 1 where something is."""
    kind, benchmark = read_data(chosen.path, chosen.cameras)
    print(f"{chosen.path}: {kind}\n\n{benchmark.summary().to_string()}\n", flush=True)
    findings = benchmark.findings(read_images=True)
    for finding in findings:
        print(f"[{finding.level}] {finding.sentence}")
    bad = sum(finding.level == "error" for finding in findings)
    print("Ready to use." if not bad else f"Errors: {bad}. Mend them before training on this folder.")
    return 1 if bad else 0


def passersby(chosen: Arguments) -> int:
    """Generate Passersby, or find it in the cache."""
    from reid_lab import data

    benchmark = data.passersby("full" if chosen.size == "paper" else chosen.size, chosen.seed)
    print(f"{benchmark.root}\n\n{benchmark.summary().to_string()}", flush=True)
    if chosen.sheet is not None:
        from reid_lab import plots  # the answer above needs no picture

        plots.save(plots.contact_sheet(benchmark), chosen.sheet)
        print(f"Written to {chosen.sheet}")
    return 0
