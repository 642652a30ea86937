"""One run of a grid, in a process of its own: ``python -m reid_lab.ablations.job``, told what to do by its input.

Trains (or resumes, or loads) the run, measures it, and prints one JSON object per row of the experiment's table.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from reid_lab import data, training
from reid_lab.ablations.measures import MEASURES
from reid_lab.methods import from_json

ABOUT = ("data", "device", "precision", "threads", "torch", "reid_lab", "date")


def work(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for an order of ``recipe`` (JSON), ``size``, ``seed``, ``device``, ``runs``, ``measure`` and ``rerank``."""
    bench = data.passersby(order["size"], seed=order["seed"])
    recipe = from_json(order["recipe"])
    run = training.fit(recipe, bench, order["seed"], device=order["device"], runs=order["runs"])
    measure = MEASURES[order["measure"]]
    about = {"minutes": run.result["minutes"], "run": run.folder.name}
    about |= {name: run.environment[name] for name in ABOUT}
    return [row | about for row in measure(run, bench, training.find_device(order["device"]), order["rerank"])]


if __name__ == "__main__":
    for row in work(json.load(sys.stdin)):
        print(json.dumps(row), flush=True)
