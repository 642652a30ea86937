"""The demonstration: both papers' networks trained on Passersby and compared with an untrained network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from reid_lab import data, methods, plots, retrieval, training
from reid_lab.retrieval import Result
from reid_lab.runtime.files import write_text
from reid_lab.training import Run
from reid_lab.training.run import runs_root

Say = Callable[[str], object]
START = "the start, not trained here"


def demo(
    size: str = "classroom",
    seed: int = 0,
    device: str | None = None,
    runs: Path | str | None = None,
    say: Say = lambda line: None,
) -> pd.DataFrame:
    """Train (or load) both methods, evaluate their rankings, and write ``table.csv`` and three pictures.

    Args:
        size: The size of data and recipes, see ``methods.SIZES``.
        seed: The seed of the training. The data set is always that of seed 0.
        device: Where to compute. Default: the GPU where there is one.
        runs: The folder of the runs. The results go to its sub-folder ``demo``.
        say: Called with a line about each stage.

    Returns:
        One row for each ranking; the metrics are in percent.
    """
    runs = runs_root(runs)
    say(f"Passersby, size {size}: generated on first use")
    benchmark = data.passersby("full" if size == "paper" else size)
    say(benchmark.summary().to_string())
    trained = _train(size, benchmark, seed, device, runs, say)
    say("Ranking the gallery for every query")
    results = _evaluate(benchmark, trained, seed, device)
    table = pd.concat([result.table(name) for name, result in results.items()]).rename_axis("ranking")
    say(table.round(1).to_string())  # before anything is written: writing may fail
    _write(runs / "demo", table, benchmark, trained, results, say)
    return table


def _train(size: str, benchmark: data.Benchmark, seed: int, device: str | None, runs: Path, say: Say) -> dict[str, Run]:
    recipes = {
        "A: multi-task Res2Net": methods.multitask(size),
        "B: residual pooling": methods.residual_pooling(size),
    }
    trained = {}
    for title, recipe in recipes.items():
        say(f"{title}: training on {training.find_device(device)}, or loading what was trained before")
        trained[title] = run = training.fit(recipe, benchmark, seed, device=device, runs=runs)
        say(f"  {run.result['minutes']:.1f} minutes of training, kept in {run.folder}")
    return trained


def _evaluate(benchmark: data.Benchmark, trained: dict[str, Run], seed: int, device: str | None) -> dict[str, Result]:
    """Rank with paper B's network from random weights and with what its start alone can do, neither trained here.

    Then with both trained networks, and with paper B's again after re-ranking.
    """
    where = training.find_device(device)
    title, last = list(trained.items())[-1]
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU
        torch.manual_seed(seed)
        untrained = last.recipe.replace(weights=None).network(2)
    results = {"untrained network": retrieval.evaluate(untrained, benchmark, device=where)}
    if last.recipe.weights:
        alone = methods.classification(last.recipe.size, weights=last.recipe.weights).network(2)
        results[START] = retrieval.evaluate(alone, benchmark, device=where)
    for name, run in trained.items():
        results[name] = retrieval.evaluate(run.model, benchmark, device=where, cache=run.folder)
    results[f"{title}, re-ranked"] = retrieval.evaluate(
        last.model, benchmark, device=where, cache=last.folder, rerank=True
    )
    return results


def _write(
    out: Path,
    table: pd.DataFrame,
    benchmark: data.Benchmark,
    trained: dict[str, Run],
    results: dict[str, Result],
    say: Say,
) -> None:
    """Write the table, with a note in each row of where its numbers come from, and the pictures."""
    best, last = list(trained.items())[-1]  # the untrained network and the re-ranked one have its recipe, too
    notes = {name: _about(trained.get(name, last)) for name in results}
    write_text(out / "table.csv", table.join(pd.DataFrame(notes).T).to_csv(float_format="%.4f"))
    pictures = {
        "passersby.png": plots.contact_sheet(benchmark),
        "curves.png": plots.curves(trained),
        "gallery.png": plots.gallery(results[best]),
    }
    for name, figure in pictures.items():
        plots.save(figure, out / name)
    say("Written to " + ", ".join(str(out / name) for name in ("table.csv", *pictures)))


def _about(run: Run) -> dict[str, object]:
    keys = ("seed", "device", "threads", "torch", "reid_lab", "data", "date")
    return {"run": run.folder.name} | {key: run.environment[key] for key in keys}
