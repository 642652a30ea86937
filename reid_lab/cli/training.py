"""The commands that train and measure one network: train, evaluate."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from reid_lab.cli.app import command
from reid_lab.cli.data_of_run import data_at, data_of, remember_cameras
from reid_lab.cli.options import Cameras, Device, Picture, RunName, Runs, Seed, SizeName, chosen_run, read_data
from reid_lab.runtime.errors import DataError, NoMatchError, RecipeError

if TYPE_CHECKING:
    from reid_lab.data import Benchmark, Finding
    from reid_lab.methods import AnyRecipe
    from reid_lab.training import Run

GROUP = "Training"
Method = Annotated[
    str,
    typer.Argument(
        metavar="METHOD",
        autocompletion=lambda: _names_of_methods(),
        help="The method: multitask is paper A's, residual_pooling is paper B's, classification the plain baseline.",
    ),
]
RecipeSize = Annotated[
    SizeName | None,
    typer.Option(
        metavar="SIZE",
        show_default="REID_LAB_SIZE, else full on a GPU and classroom without",
        help="How large data and network are: smoke, classroom, full or paper.",
    ),
]
TrainingData = Annotated[
    Path | None,
    typer.Option(metavar="PATH", show_default="Passersby of that size", help="A real data set's folder or table."),
]
Validation = Annotated[
    bool,
    typer.Option(
        "--validation", help="Train and score on the validation split: make choices there, look at the test once."
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change a field of the recipe; may be given several times."),
]
Compiled = Annotated[
    bool, typer.Option("--compile", help="Use torch.compile: a minute of warm-up, then faster on a GPU.")
]
Deterministic = Annotated[
    bool,
    typer.Option(
        "--deterministic",
        help="Give the same bits each time on the same machine (CPU: with the same number of threads); slower.",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write logs for TensorBoard to the run's folder.")
]


@command(GROUP, "train residual_pooling --size classroom --set pooling=avg --seed 1")
def train(
    method: Method,
    size: RecipeSize = None,
    data: TrainingData = None,
    cameras: Cameras = None,
    validation: Validation = False,
    changes: Changes = None,
    seed: Seed = 0,
    runs: Runs = None,
    device: Device = None,
    compiled: Compiled = False,
    deterministic: Deterministic = False,
    tensorboard: TensorBoard = False,
) -> int:
    """Train one network; load it if it is trained already, resume it if it was interrupted."""
    from reid_lab import training

    recipe = _recipe(method, size, device, changes or [])
    benchmark, speaks = _training_data(recipe, data, cameras, validation), _speaks()
    if speaks and data is not None:  # before the work, which may take days
        _print_findings(benchmark.findings(read_images=False), ("warning",), sys.stderr)
    run = training.fit(
        recipe,
        benchmark,
        seed,
        device=device,
        runs=runs,
        deterministic=deterministic,
        compile=compiled,
        tensorboard=tensorboard,
    )
    if speaks:
        remember_cameras(run, cameras)
        print(run.history.to_string(index=False, float_format="%.4g"))
        for sentence in training.unhealthy(run.history):
            print(f"[warning] {sentence}")
        print(f"{run}\n{run.folder}")
    return 0


@command(GROUP, "evaluate residual_pooling-classroom-01 --rerank")
def evaluate(
    name: RunName,
    data: Annotated[
        Path | None,
        typer.Option(metavar="PATH", show_default="the training's", help="Another data set's folder or table."),
    ] = None,
    cameras: Cameras = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Score also where the check of the data finds errors; they are shown.")
    ] = False,
    rerank: Annotated[bool, typer.Option("--rerank", help="Re-rank with k-reciprocal neighbors.")] = False,
    gallery: Picture = None,
    runs: Runs = None,
    device: Device = None,
) -> int:
    """Score a trained run on the data of its training (the validation split of --validation), or on other data."""
    from reid_lab import retrieval, training

    where = training.find_device(device)
    run = training.load(chosen_run(name, runs))
    benchmark = data_at(run, data, cameras) if data else data_of(run, cameras)
    findings = benchmark.findings(read_images=False)  # an image that cannot be decoded stops the scoring anyway
    if not anyway:
        _refuse_errors(findings)
    if rerank:
        print(f"Re-ranking takes {_plan(run, benchmark)}.")
    result = retrieval.evaluate(run.model.to(where), benchmark, rerank=rerank, device=where, check=False)
    print(result.table().round(2).to_string(index=False))
    _print_findings(findings, ("error", "warning"), sys.stdout)
    if gallery is not None:
        from reid_lab import plots

        plots.save(plots.gallery(result), gallery)
        print(f"Written to {gallery}")
    return 0


def _recipe(method: str, size: str | None, device: str | None, changes: Sequence[str]) -> AnyRecipe:
    from reid_lab.methods import METHODS, default_size

    if method not in METHODS:
        raise RecipeError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    return METHODS[method].at(size or default_size(device), **_fields(changes))


def _names_of_methods() -> list[str]:
    from reid_lab.methods import METHODS

    return list(METHODS)


def _fields(changes: Sequence[str]) -> dict[str, Any]:
    """``["pooling=avg", "erasing=0.5"]`` to recipe fields; values are JSON where they can be, else text."""
    fields = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise RecipeError(f"--set {change} is not FIELD=VALUE; for example --set pooling=avg.")
        if name == "size":
            raise RecipeError(f"--set {change} would change one number of many; choose a recipe with --size {value}.")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return fields


def _training_data(recipe: AnyRecipe, path: Path | None, cameras: str | None, validation: bool) -> Benchmark:
    benchmark = _whole_data(recipe, path, cameras)
    return benchmark.validation() if validation else benchmark


def _whole_data(recipe: AnyRecipe, path: Path | None, cameras: str | None) -> Benchmark:
    from reid_lab import data

    if path is not None:
        return read_data(path, cameras)[1]
    if recipe.size == "paper":
        raise DataError("The paper recipes are for a real data set: give its folder with --data PATH.")
    if cameras is not None:  # Passersby's are known
        raise DataError("--cameras says how to read your own data: give their folder with --data PATH.")
    return data.passersby(recipe.size)


def _speaks() -> bool:
    """Whether this process prints: of several, the first does."""
    return int(os.environ.get("RANK", "0")) == 0


def _plan(run: Run, benchmark: Benchmark) -> object:
    """What re-ranking needs: memory and work."""
    import torch

    from reid_lab import retrieval

    with torch.inference_mode():
        dimension = run.model.embed(torch.zeros(1, 3, *run.model.input_size)).shape[1]
    return retrieval.plan(len(benchmark.query), len(benchmark.gallery), dimension, rerank=True)


def _refuse_errors(findings: Sequence[Finding]) -> None:
    """Raise what ``Benchmark.check`` raises, with the way round it."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        kind = NoMatchError if all(finding.subject == "match" for finding in errors) else DataError
        sentences = " ".join(finding.sentence for finding in errors)
        raise kind(f"{sentences} A score would mislead; to see it nevertheless, add --anyway.")


def _print_findings(findings: Sequence[Finding], levels: Sequence[str], where: TextIO) -> None:
    """Print them at once: what comes next may take long, or fail."""
    for finding in findings:
        if finding.level in levels:
            print(f"[{finding.level}] {finding.sentence}", file=where)
    print(end="", file=where, flush=True)
