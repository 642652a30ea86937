"""What every benchmark's table says beside its figures, and how the tables are kept."""

import os
import platform
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch

RESULTS = Path(__file__).resolve().parent / "results"


def machine(device="cpu"):
    """What the figures depend on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    gpu = torch.device(device).type == "cuda"
    return {
        "machine": torch.cuda.get_device_name() if gpu else f"{cpu}, {os.cpu_count()} threads",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
        "date": date.today().isoformat(),
    }


def keep(name, rows, device="cpu"):
    """Write `results/NAME.csv` and return it; rows of another machine, or named otherwise in the first column, stay."""
    path = RESULTS / f"{name}.csv"
    table = pd.DataFrame(rows).assign(**machine(device))
    if path.exists():
        before, key = pd.read_csv(path), table.columns[0]
        again = (before["machine"] == table["machine"].iloc[0]) & before[key].isin(table[key])
        table = pd.concat([before[~again], table])
    path.parent.mkdir(exist_ok=True)
    table.to_csv(path, index=False)
    return table


def show(rows):
    """The rows as they are printed."""
    print(pd.DataFrame(rows).to_string(index=False, na_rep=""), flush=True)
