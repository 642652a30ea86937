"""The commands that train and measure: demo, train, evaluate."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_lab.commands.options import (
    Arguments,
    chosen_run,
    command,
    device_option,
    picture_to_write,
    run_argument,
    size_option,
    training_options,
)
from reid_lab.errors import DataError, RecipeError

if TYPE_CHECKING:
    from reid_lab.data import Benchmark
    from reid_lab.training import Run


def add_to(commands: Any) -> None:
    """Declare the commands of this file."""
    showing = command(commands, "demo", demo, "train both papers' networks, rank, draw", "demo --device cpu")
    size_option(showing, "classroom")
    training_options(showing)

    teaching = command(
        commands,
        "train",
        train,
        "train one network, or load or resume it",
        "train residual_pooling --size classroom --set pooling=avg --seed 1",
    )
    teaching.add_argument("method", choices=["multitask", "residual_pooling"], help="paper A or paper B")
    size_option(teaching, None)
    teaching.add_argument("--data", type=Path, help="a real data set's folder (default: Passersby of that size)")
    teaching.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe (repeatable)"
    )
    training_options(teaching)
    teaching.add_argument(
        "--compile", action="store_true", help="torch.compile: a minute of warm-up, then faster on a GPU"
    )
    teaching.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits each time on the same machine (CPU: with the same number of threads); slower",
    )
    teaching.add_argument("--tensorboard", action="store_true", help="write logs for TensorBoard to the run's folder")

    measuring = command(
        commands, "evaluate", evaluate, "evaluate a trained run", "evaluate residual_pooling-classroom-01 --rerank"
    )
    run_argument(measuring)
    measuring.add_argument("--data", type=Path, help="another data set's folder (default: the one it was trained on)")
    measuring.add_argument("--rerank", action="store_true", help="k-reciprocal re-ranking")
    measuring.add_argument(
        "--gallery", type=picture_to_write, metavar="FILE", help="also write a picture of retrievals (.png)"
    )
    device_option(measuring)


def demo(chosen: Arguments) -> int:
    """The demonstration (see :func:`reid_lab.demo.demo`)."""
    from reid_lab.demo import demo

    demo(chosen.size, chosen.seed, chosen.device, chosen.runs, say=lambda line: print(line, flush=True))
    return 0


def train(chosen: Arguments) -> int:
    """Train, resume or load one run."""
    from reid_lab import data, training
    from reid_lab.training import recipes

    size = chosen.size or recipes.default_size(chosen.device)
    recipe = recipes.METHODS[chosen.method](size, **_fields(chosen.set))
    if chosen.data is None and recipe.size == "paper":
        raise DataError("The paper recipes are for a real data set: give its folder with --data PATH.")
    benchmark = data.passersby(recipe.size) if chosen.data is None else data.recognise(chosen.data)[1]
    run = training.fit(
        recipe,
        benchmark,
        chosen.seed,
        device=chosen.device,
        runs=chosen.runs,
        deterministic=chosen.deterministic,
        compile=chosen.compile,
        tensorboard=chosen.tensorboard,
    )
    if int(os.environ.get("RANK", "0")):  # of several processes, the first one speaks
        return 0
    print(run.history.to_string(index=False, float_format="%.4g"))
    print(f"{run}\n{run.folder}")
    return 0


def evaluate(chosen: Arguments) -> int:
    """Score a run on the data it was trained on, or on other data."""
    import torch

    from reid_lab import data, figures, retrieval, training

    device = training.pick_device(chosen.device)
    run = training.load(chosen_run(chosen))
    benchmark = data.recognise(chosen.data)[1] if chosen.data else _data_of(run)
    if chosen.rerank:
        with torch.inference_mode():
            dimension = run.model.describe(torch.zeros(1, 3, *run.model.input_size)).shape[1]
        print(
            f"Re-ranking takes {retrieval.plan(len(benchmark.query), len(benchmark.gallery), dimension, rerank=True)}."
        )
    result = retrieval.evaluate(run.model.to(device), benchmark, rerank=chosen.rerank, device=device)
    print(result.table().round(2).to_string(index=False))
    if chosen.gallery is not None:
        figures.save(figures.gallery(result), chosen.gallery)
        print(f"Written to {chosen.gallery}")
    return 0


def _data_of(run: Run) -> Benchmark:
    """What a run was trained on. Raises DataError where it is gone, or is no longer what it was."""
    from reid_lab import data

    told = run.environment
    name, root = str(told.get("data")), Path(str(told.get("data_root")))
    made = re.fullmatch(r"Passersby (\w+), seed (\d+)", name)
    if made and not root.exists():  # the cache was cleared
        return data.passersby(made[1], int(made[2]))
    table = root / f"{name}.csv"
    source = table if table.is_file() else root
    if not source.exists():
        raise DataError(
            f"The data of the run {run.folder} is not in {source}: put it back, or say where with --data PATH."
        )
    benchmark = data.recognise(source)[1]
    if benchmark.digest != told.get("data_digest"):
        raise DataError(
            f"What {source} holds is not what this run was trained on: restore it, or evaluate on it all the same "
            f"with --data {source}."
        )
    return benchmark


def _fields(assignments: Sequence[str]) -> dict[str, Any]:
    """``["pooling=avg", "erasing=0.5"]`` to recipe fields; values are JSON where they can be, else text."""
    fields = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise RecipeError(f"--set {assignment} is not FIELD=VALUE; for example --set pooling=avg.")
        if name == "size":
            raise RecipeError(
                f"--set {assignment} would change one number of many; choose a recipe with --size {value}."
            )
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return fields
