"""The demonstration: both papers' networks trained on Passersby, ranked against an untrained one, and shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from reid_lab import data, methods, plots, retrieval, training
from reid_lab.retrieval import Result
from reid_lab.runtime.files import write_text
from reid_lab.training import Recipe
from reid_lab.training.run import runs_root


def demo(
    size: str = "classroom",
    seed: int = 0,
    device: str | None = None,
    runs: Path | str | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> pd.DataFrame:
    """Train (or load) both methods, evaluate four rankings and write ``table.csv`` and three pictures.

    Args:
        size: of data and recipes, see ``methods.SIZES``.
        seed: of training; the data set is always the one of seed 0.
        device: default the GPU where there is one.
        runs: folder of the runs; the results go to its sub-folder ``demo``.
        say: called with a line about each stage.

    Returns:
        One row per ranking, metrics in percent.
    """
    runs = runs_root(runs)
    out = runs / "demo"
    say(f"Passersby, size {size}: generated on first use")
    benchmark = data.passersby(_data_size(size))
    say(benchmark.summary().to_string())
    trained = {}
    for title, recipe in _methods(size).items():
        say(f"{title}: training on {training.find_device(device)}, or loading what was trained before")
        trained[title] = training.fit(recipe, benchmark, seed, device=device, runs=runs)
        say(f"  {trained[title].result['minutes']:.1f} minutes of training, kept in {trained[title].folder}")
    say("Ranking the gallery for every query")
    results = _rankings(benchmark, trained, seed, device)
    table = pd.concat([result.table(name) for name, result in results.items()]).rename_axis("ranking")
    best, last = list(trained.items())[-1]  # paper B; its recipe is the untrained network's, too
    say(table.round(1).to_string())  # before anything is written, which may fail
    written = table.join(pd.DataFrame({name: _about(trained.get(name, last)) for name in results}).T)
    write_text(out / "table.csv", written.to_csv(float_format="%.4f"))
    pictures = {
        "passersby.png": plots.contact_sheet(benchmark),
        "curves.png": plots.curves(trained),
        "gallery.png": plots.gallery(results[best]),
    }
    for name, figure in pictures.items():
        plots.save(figure, out / name)
    say("Written to " + ", ".join(str(out / name) for name in ("table.csv", *pictures)))
    return table


def _methods(size: str) -> dict[str, Recipe]:
    return {
        "A: multi-task Res2Net": methods.multitask(size),
        "B: residual pooling": methods.residual_pooling(size),
    }


def _about(run: training.Run) -> dict[str, object]:
    keys = ("seed", "device", "threads", "torch", "reid_lab", "data", "date")
    return {"run": run.folder.name} | {key: run.environment[key] for key in keys}


def _rankings(
    benchmark: data.Benchmark, trained: dict[str, training.Run], seed: int, device: str | None
) -> dict[str, Result]:
    """An untrained network, both trained ones, and the second again after re-ranking."""
    where = training.find_device(device)
    title, last = list(trained.items())[-1]
    with torch.random.fork_rng(devices=[]):  # weights are drawn on the CPU
        torch.manual_seed(seed)
        untrained = last.recipe.replace(weights=None).network(2)
    results = {"untrained network": retrieval.evaluate(untrained, benchmark, device=where)}
    for name, run in trained.items():
        results[name] = retrieval.evaluate(run.model, benchmark, device=where, cache=run.folder)
    results[f"{title}, re-ranked"] = retrieval.evaluate(
        last.model, benchmark, device=where, cache=last.folder, rerank=True
    )
    return results


def _data_size(size: str) -> str:
    return "full" if size == "paper" else size
