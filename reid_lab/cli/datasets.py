"""The commands about data: passersby, check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from reid_lab.cli.app import command
from reid_lab.cli.options import Cameras, Size, picture_to_write, read_data, whole

GROUP = "Data"


@command(GROUP, "passersby --size smoke --town coast --sheet people.png")
def passersby(
    size: Size = "classroom",
    seed: Annotated[int, typer.Option(parser=whole, help="The seed of the data.")] = 0,
    town: Annotated[
        Literal["city", "coast"],
        typer.Option(
            metavar="TOWN", help="Where the people walk: city, or coast, with other scenes, light and clothes."
        ),
    ] = "city",
    sheet: Annotated[
        Path | None,
        typer.Option(parser=picture_to_write, metavar="FILE", help="Also draw a contact sheet to this .png file."),
    ] = None,
) -> int:
    """Generate the synthetic data set Passersby, or find it in the cache, and say where it is."""
    from reid_lab import data

    benchmark = data.passersby("full" if size == "paper" else size, seed, town=town)
    print(f"{benchmark.root}\n\n{benchmark.summary().to_string()}", flush=True)
    if sheet is not None:
        from reid_lab import plots  # the answer above needs no picture

        plots.save(plots.contact_sheet(benchmark), sheet)
        print(f"Written to {sheet}")
    return 0


@command(GROUP, "check data/Market-1501")
def check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The data set's folder, or a CSV with path, pid, camid, split.")
    ],
    cameras: Cameras = None,
) -> int:
    """Say what a data set holds, what is wrong with it and how to mend it."""
    kind, benchmark = read_data(path, cameras)
    print(f"{path}: {kind}\n\n{benchmark.summary().to_string()}\n", flush=True)
    findings = benchmark.findings(read_images=True)
    for finding in findings:
        print(f"[{finding.level}] {finding.sentence}")
    bad = sum(finding.level == "error" for finding in findings)
    print("Ready to use." if not bad else f"Errors: {bad}. Mend them before you train on this data.")
    return 1 if bad else 0
