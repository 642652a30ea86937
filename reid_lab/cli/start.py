"""The commands to begin with: demo, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from reid_lab.cli.app import command
from reid_lab.cli.options import Device, Runs, Seed, Size

GROUP = "To begin with"
Backbone = Annotated[
    Literal["resnet_slim", "res2net_slim", "vit_slim", "resnet50", "res2net50", "resnet101", "res2net101"],
    typer.Argument(
        metavar="BACKBONE",
        help="The network: resnet_slim, res2net_slim, vit_slim, resnet50, res2net50, resnet101 or res2net101.",
    ),
]
TownSize = Annotated[
    Literal["full", "smoke"], typer.Option(metavar="SIZE", help="How large the town is: full, or smoke for a try.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        show_default="the package's own; for large networks the cache, where the package finds it",
        help="The folder to write to.",
    ),
]


@command(GROUP, "demo --device cpu")
def demo(size: Size = "classroom", seed: Seed = 0, runs: Runs = None, device: Device = None) -> int:
    """Train both papers' networks on Passersby, compare them, and write a table and three pictures."""
    from reid_lab import demo as demonstration

    demonstration.demo(size, seed, device, runs, say=lambda line: print(line, flush=True))
    return 0


@command(GROUP, "pretrain resnet_slim --size smoke --out starts")
def pretrain(backbone: Backbone, size: TownSize = "full", out: Out = None, runs: Runs = None) -> int:
    """Train the start of a backbone on another town, and write it: NAME.safetensors and NAME.json."""
    from reid_lab import pretraining

    print(pretraining.pretrain(backbone, size, folder=out, runs=runs))
    return 0


@command(GROUP, "doctor")
def doctor() -> int:
    """Say whether this machine is ready for the course, and print the versions to quote when you ask for help."""
    from reid_lab import doctor

    lines = doctor.examine()
    print("\n".join(lines), flush=True)
    try:
        details = doctor.details()
    except Exception as error:  # a PyTorch that does not load is reported above; the status says it, too
        details = {"versions": f"could not be read ({type(error).__name__}: {error})"}
    for name, value in details.items():
        print(f"{name}: {value}")
    return int(any(line.startswith("[problem]") for line in lines))
