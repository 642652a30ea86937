"""Solving: what ``training.fit`` does with a method that has no epochs.

:func:`solve` is all of it, plainly; :func:`run` keeps the result as any other run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from reid_lab import data, retrieval
from reid_lab.methods import ClosedForm, Projected
from reid_lab.runtime import checkpoint, environment
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.files import write_text
from reid_lab.training.run import METRICS, write_about
from reid_lab.training.tensorboard import write_tensorboard


def solve(
    recipe: ClosedForm, benchmark: data.Benchmark, seed: int = 0, device: torch.device | str = "cpu"
) -> tuple[Projected, Mapping[str, float]]:
    """Solve a closed form for a benchmark's training images.

    Args:
        recipe: what to solve.
        benchmark: whose training images to learn from.
        seed: decides what is drawn at random.
        device: where features are computed.

    Returns:
        The network, in evaluation mode, and what it says of its solution.
    """
    pids, labels = np.unique([record.pid for record in benchmark.train], return_inverse=True)  # labels count from 0
    camids = np.array([record.camid for record in benchmark.train])
    store = data.image_store(benchmark.train, recipe.resize, device)  # uint8 (N, 3, H, W)
    network = recipe.network(len(pids)).to(device).eval()
    return network, network.solve(store, labels, camids, seed)


def run(
    recipe: ClosedForm,
    benchmark: data.Benchmark,
    seed: int,
    processes: Processes,
    folder: Path,
    tensorboard: bool = False,
) -> None:
    """Solve, evaluate and write the run's folder; of several processes the main one does it all.

    Raises:
        KeyboardInterrupt: it was interrupted. Nothing is kept, because little is lost.
    """
    if processes.main:
        about = {"precision": "float32", "precision_check": "float32 needs none", "processes": processes.size}
        write_about(folder, recipe, benchmark, seed, environment.describe(processes.device) | about)
        try:
            _solve_and_write(recipe, benchmark, seed, processes.device, folder, tensorboard)
        except KeyboardInterrupt:
            told = f"Interrupted while {folder.name} was solved. Start it again: a closed form begins anew."
            raise KeyboardInterrupt(told) from None
    processes.broadcast(None)  # the others may look only now


def _solve_and_write(
    recipe: ClosedForm, benchmark: data.Benchmark, seed: int, device: torch.device, folder: Path, tensorboard: bool
) -> None:
    began = time.monotonic()
    network, told = solve(recipe, benchmark, seed, device)
    speed = len(benchmark.train) / (time.monotonic() - began)
    made = {"recipe": json.loads(recipe.to_json()), "identities": network.num_pids}
    checkpoint.write(folder / "weights.safetensors", network.state_dict(), made)
    scores = retrieval.evaluate(network, benchmark, device=device, check=False).table()  # fit has checked already
    metrics = {name: scores[name].item() / 100 for name in METRICS}
    row: dict[str, Any] = {"epoch": 1, **told, "images_per_second": round(speed, 1), **metrics}
    write_text(folder / "history.csv", pd.DataFrame([row]).to_csv(index=False))
    if tensorboard:
        write_tensorboard(folder / "tensorboard", row)
    result = metrics | {"minutes": round((time.monotonic() - began) / 60, 3)}
    write_text(folder / "result.json", json.dumps(result, indent=1))
