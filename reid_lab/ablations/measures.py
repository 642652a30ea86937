"""What is asked of a trained run: its scores, its curves, under which conditions it fails, where it looks.

Each measure takes a run, its benchmark, a device, and whether a re-ranked row is wanted, too. It gives the rows that
the grid's table gets for the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from reid_lab import retrieval
from reid_lab.analysis import conditions, cost, gradcam
from reid_lab.data import Benchmark, passersby
from reid_lab.data.held_out import drawn_with
from reid_lab.methods import classification
from reid_lab.methods.coarse_to_fine import CoarseToFine
from reid_lab.models import Network
from reid_lab.passersby.towns import TOWNS
from reid_lab.retrieval import Result, codes
from reid_lab.retrieval.code_thresholds import fit_thresholds
from reid_lab.training import Run
from reid_lab.training.stages import total_epochs

RANKS = (1, 5, 10, 20, 50)
TURNS = 5  # of timing one network and the other
LOOKED_AT = 120  # query images for heat maps, at most
FOUND = "found in 10"
HIDDEN, TURNED, CAMERAS = "hidden share of the query", "turn from query to match", "cameras in the gallery"

Rows = list[dict[str, Any]]


def scores(run: Run, bench: Benchmark, device: torch.device, rerank: bool) -> Rows:
    """Measure CMC at several ranks, mAP and mINP, in percent, and what the network costs."""
    rows = []
    for reranked in (False, True) if rerank else (False,):
        result = retrieval.evaluate(run.model, bench, device=device, rerank=reranked)
        about = {"epochs": total_epochs(run.recipe), "descriptor": _dimension(run, device)}
        about["parameters"] = cost.parameters(run.model)
        rows.append(about | {"reranked": reranked} | _percent(result))
    return rows


def on_the_bench(run: Run, bench: Benchmark, device: torch.device, rerank: bool) -> Rows:
    """Measure what :func:`scores` does, and ``time``: how long one image takes against the softmax baseline's network.

    Both are timed here, in turns, in float32, so that the ratio means something on a machine that does other work.
    """
    plain = classification(run.recipe.size, weights=None).network(run.model.num_pids)
    taken = [[cost.latency(model, device, repeats=20).median for model in (run.model, plain)] for _ in range(TURNS)]
    ratio = round(float(np.median([one / other for one, other in taken])), 2)
    return [row | {"time": ratio} for row in scores(run, bench, device, rerank)]


def by_condition(run: Run, bench: Benchmark, device: torch.device, rerank: bool) -> Rows:
    """Measure accuracy by the hidden share of the query, by the turn between query and match, and by cameras."""
    result = retrieval.evaluate(run.model, bench, device=device, top=len(bench.gallery))
    tables = {
        HIDDEN: conditions.by_occlusion(result, bench),
        TURNED: conditions.by_angle(result, bench, k=10),
        CAMERAS: conditions.by_gallery_cameras(result),
    }
    return [_condition(name, str(value), row) for name, table in tables.items() for value, row in table.iterrows()]


def heat(run: Run, bench: Benchmark, device: torch.device, rerank: bool) -> Rows:
    """Measure how much of Grad-CAM's heat lies on the person: of the network, and of two that are not trained.

    "untrained" has random weights; "start" is the network before its training, where it starts from ready-made weights.

    Of n queries it looks at every (n // LOOKED_AT)-th from the first, LOOKED_AT at most: of 800 at 0, 6, ... 714.
    """
    records = bench.query[:: max(1, len(bench.query) // LOOKED_AT)][:LOOKED_AT]
    networks = {"trained": run.model, "untrained": _begun(run, None).to(device)}
    if run.recipe.weights:
        networks["start"] = _begun(run, run.recipe.weights).to(device)
    return [
        {"network": name, "layer": layer, "target": target} | _mean_heat(model, records, layer, target)
        for name, model in networks.items()
        for layer in ("layer2", "layer3", "layer4")
        for target in gradcam.TARGETS
    ]


def _begun(run: Run, weights: str | None) -> Network:
    """The run's network before its training, from these weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.environment["seed"])
        return run.recipe.replace(weights=weights).network(run.model.num_pids)


def curves(run: Run, bench: Benchmark, device: torch.device, rerank: bool) -> Rows:
    """Give loss and training accuracy, epoch by epoch."""
    kept = run.history[["epoch", "loss", "accuracy"]].assign(accuracy=100 * run.history["accuracy"])
    return [{"epoch": int(row.pop("epoch"))} | row for row in kept.round(4).to_dict("records")]


def domain(run: Run, bench: Benchmark, device: torch.device, rerank: bool) -> Rows:
    """Measure accuracy on people of the town of the training, and of the other town, of equal size and seed."""
    size, seed, town = drawn_with(bench)
    rows = []
    for other in TOWNS:
        result = retrieval.evaluate(
            run.model, bench if other == town else passersby(size, seed, town=other), device=device
        )
        rows.append({"town": other} | _percent(result))
    return rows


def bits(run: Run, bench: Benchmark, device: torch.device, rerank: bool) -> Rows:
    """Measure each code of a network that has codes, and the search from coarse to fine.

    Thresholds are fitted to training images. ``compared`` is how many bits a query and an image of the gallery are
    compared by, on average.
    """
    train, query, gallery = (
        codes.extract(cast(CoarseToFine, run.model), records, device=device)
        for records in (bench.train, bench.query, bench.gallery)
    )
    people, cameras = (np.array([getattr(one, name) for one in bench.train]) for name in ("pid", "camid"))
    thresholds = fit_thresholds(train, people, cameras)
    searches: dict[str, list[int]] = {f"{length} bits": [length] for length in query}
    rows = []
    for name, lengths in (searches | {"coarse to fine": list(query)}).items():
        asked, held = ({length: some[length] for length in lengths} for some in (query, gallery))
        found = codes.cascade(asked, held, thresholds)
        total = sum(length * times for length, times in found.comparisons.items())
        about = {"code": name, "bits": sum(lengths), "compared": round(total / found.rankings.size, 2)}
        rows.append(about | _percent(codes.score(found, bench, top=max(RANKS))))
    return rows


MEASURES: dict[str, Callable[[Run, Benchmark, torch.device, bool], Rows]] = {
    "scores": scores,
    "bench": on_the_bench,
    "conditions": by_condition,
    "heat": heat,
    "curves": curves,
    "domain": domain,
    "codes": bits,
}


def _percent(result: Result) -> dict[str, float]:
    metrics = {f"rank-{k}": result.rank(k) for k in RANKS}
    metrics |= {"mAP": result.mAP, "mAP_trapezoid": result.mAP_trapezoid, "mINP": result.mINP}
    return {name: round(100 * value, 3) for name, value in metrics.items()}


def _dimension(run: Run, device: torch.device) -> int:
    with torch.inference_mode():
        return int(run.model.embed(torch.zeros(1, 3, *run.model.input_size, device=device)).shape[1])


def _condition(name: str, value: str, row: pd.Series) -> dict[str, Any]:
    kept = {column: round(float(row[column]), 3) for column in ("mAP", "rank-1", FOUND) if column in row}
    count = float(row["pairs"] if "pairs" in row else row["queries"])
    return {"condition": name, "value": value, "count": round(count, 1), **kept}


def _mean_heat(model: Any, records: Any, layer: str, target: str) -> dict[str, float]:
    table = gradcam.on_the_person(model, records, layer=layer, target=target)
    seen = table.dropna()
    return {
        "images": len(seen),
        "heat": round(100 * float(seen["heat"].mean()), 3),
        "area": round(100 * float(seen["area"].mean()), 3),
    }
