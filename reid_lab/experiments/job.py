"""One run of a grid, in a process of its own: ``python -m reid_lab.experiments.job``, told what to do by its input.

Trains (or resumes, or loads) the run, measures it, and prints one JSON object per row of the experiment's table.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

from reid_lab import cost, data, retrieval, training
from reid_lab.retrieval import Result
from reid_lab.training import Run
from reid_lab.training.recipes import from_json

RANKS = (1, 5, 10, 20, 50)


def work(order: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows for an order of ``recipe`` (JSON), ``size``, ``seed``, ``device``, ``runs`` and ``rerank``."""
    recipe = from_json(order["recipe"])
    bench = data.passersby(order["size"], seed=order["seed"])
    run = training.fit(recipe, bench, order["seed"], device=order["device"], runs=order["runs"])
    device = training.pick_device(order["device"])
    rows = []
    for rerank in (False, True) if order["rerank"] else (False,):
        result = retrieval.evaluate(run.model, bench, device=device, rerank=rerank)
        rows.append(_about(run, device) | {"reranked": rerank} | _metrics(result))
    return rows


def _metrics(result: Result) -> dict[str, float]:
    metrics = {f"rank-{k}": result.rank(k) for k in RANKS}
    metrics |= {"mAP": result.mAP, "mAP_trapezoid": result.mAP_trapezoid, "mINP": result.mINP}
    return {name: round(100 * value, 3) for name, value in metrics.items()}


def _about(run: Run, device: torch.device) -> dict[str, Any]:
    with torch.inference_mode():
        descriptor = run.model.describe(torch.zeros(1, 3, *run.model.input_size, device=device)).shape[1]
    told = run.environment
    return {
        "epochs": run.recipe.epochs,
        "descriptor": descriptor,
        "parameters": cost.parameters(run.model),
        "minutes": run.result["minutes"],
        "run": run.folder.name,
        **{name: told[name] for name in ("data", "device", "precision", "threads", "torch", "reid_lab", "date")},
    }


if __name__ == "__main__":
    for row in work(json.load(sys.stdin)):
        print(json.dumps(row), flush=True)
