"""The commands that train and measure: demo, train, evaluate."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from reid_lab.cli.options import (
    Arguments,
    cameras_of_data,
    cameras_option,
    chosen_run,
    command,
    device_option,
    picture_to_write,
    read_data,
    run_argument,
    size_option,
    training_options,
)
from reid_lab.runtime.errors import CheckpointError, DataError, NoMatchError, RecipeError

if TYPE_CHECKING:
    from reid_lab.data import Benchmark, Finding
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
    cameras_option(teaching)
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
    cameras_option(measuring)
    measuring.add_argument(
        "--anyway", action="store_true", help="score also where the data's check finds errors, which are shown"
    )
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
    from reid_lab import data, methods, training

    size = chosen.size or methods.default_size(chosen.device)
    recipe = methods.METHODS[chosen.method].at(size, **_fields(chosen.set))
    if chosen.data is None and recipe.size == "paper":
        raise DataError("The paper recipes are for a real data set: give its folder with --data PATH.")
    cameras, first = cameras_of_data(chosen), not int(os.environ.get("RANK", "0"))  # of several processes one speaks
    benchmark = data.passersby(recipe.size) if chosen.data is None else read_data(chosen.data, cameras)[1]
    if first and chosen.data is not None:  # before the work, which may take days
        _print_doubts(benchmark.findings(read_images=False), ("warning",))
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
    if not first:
        return 0
    _remember_cameras(run, cameras)
    print(run.history.to_string(index=False, float_format="%.4g"))
    print(f"{run}\n{run.folder}")
    return 0


def evaluate(chosen: Arguments) -> int:
    """Score a run on the data it was trained on, or on other data, if the data can give a meaningful number."""
    import torch

    from reid_lab import retrieval, training

    device = training.find_device(chosen.device)
    run = training.load(chosen_run(chosen))
    benchmark = _data_at(run, chosen.data, chosen.cameras) if chosen.data else _data_of(run, chosen.cameras)
    findings = benchmark.findings(read_images=False)  # whether an image can be decoded will show
    if not chosen.anyway:
        _refuse_errors(findings)
    if chosen.rerank:
        with torch.inference_mode():
            dimension = run.model.embed(torch.zeros(1, 3, *run.model.input_size)).shape[1]
        print(
            f"Re-ranking takes {retrieval.plan(len(benchmark.query), len(benchmark.gallery), dimension, rerank=True)}."
        )
    result = retrieval.evaluate(run.model.to(device), benchmark, rerank=chosen.rerank, device=device, check=False)
    print(result.table().round(2).to_string(index=False))
    _print_doubts(findings, ("error", "warning"), sys.stdout)
    print(end="", flush=True)  # the number first: a picture that fails must not cost it
    if chosen.gallery is not None:
        from reid_lab import plots

        plots.save(plots.gallery(result), chosen.gallery)
        print(f"Written to {chosen.gallery}")
    return 0


def _refuse_errors(findings: Sequence[Finding]) -> None:
    """What ``Benchmark.check`` raises, with the way round it."""
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        kind = NoMatchError if all(finding.subject == "match" for finding in errors) else DataError
        sentences = " ".join(finding.sentence for finding in errors)
        raise kind(f"{sentences} A score would mislead; to see it all the same, add --anyway.")


def _print_doubts(findings: Sequence[Finding], levels: Sequence[str], where: TextIO | None = None) -> None:
    for finding in findings:
        if finding.level in levels:
            print(f"[{finding.level}] {finding.sentence}", file=where or sys.stderr, flush=True)


CAMERAS = "data_cameras"  # in environment.json: what --cameras said when the data were read


def _remember_cameras(run: Run, cameras: str | None) -> None:
    """Note in the run's folder how its data were read, so that ``evaluate`` can read them so again."""
    from reid_lab.runtime.files import write_text

    if cameras is None or run.environment.get(CAMERAS) == cameras:
        return
    run.environment[CAMERAS] = cameras
    try:
        write_text(run.folder / "environment.json", json.dumps(run.environment, indent=1))
    except CheckpointError:  # the run is finished and whole, this is a convenience
        print(f"reid_lab: --cameras could not be noted in {run.folder}: evaluate with it, too.", file=sys.stderr)


def _data_of(run: Run, cameras: str | None = None) -> Benchmark:
    """What a run was trained on. Raises DataError where it is gone, or is no longer what it was."""
    from reid_lab import data

    told = run.environment
    name, root = str(told.get("data")), Path(str(told.get("data_root")))
    made = re.fullmatch(r"Passersby (\w+), seed (\d+)", name)
    if made and not root.exists():  # the cache was cleared
        return data.passersby(made[1], int(made[2]))
    sources = _sources(name, root)
    if not sources:
        raise DataError(
            f"The data of the run {run.folder} is not in {root}: put it back, or say where with --data PATH."
        )
    cameras = told.get(CAMERAS) if cameras is None else cameras
    troubles: list[DataError] = []
    for source in sources:
        try:
            benchmark = read_data(source, cameras)[1]
            if benchmark.digest == told.get("data_digest"):
                return benchmark
        except DataError as error:
            troubles.append(error)
    if len(troubles) == len(sources):
        raise troubles[0]
    raise DataError(
        f"What {sources[0]} holds is not what this run was trained on, or its cameras were read otherwise: restore it, "
        f"give the --cameras of the training, or evaluate on it all the same with --data {sources[0]}."
    )


def _data_at(run: Run, path: Path, cameras: str | None) -> Benchmark:
    """The data in ``path``; if they are what the run was trained on, moved, with the cameras of the training."""
    told = run.environment.get(CAMERAS)
    if cameras is None and told is not None:
        with contextlib.suppress(DataError):  # other data, to which those cameras need not fit
            benchmark = read_data(path, told)[1]
            if benchmark.digest == run.environment.get("data_digest"):
                return benchmark
    return read_data(path, cameras)[1]


def _sources(name: str, root: Path) -> list[Path]:
    """Where data of that name may have been read from: a table in the folder, or the folder itself.

    Raises DataError where it was a table, for no folder is read under another name than its own, and that is gone.
    """
    from reid_lab.data.datasets.published import COUNTS

    if not root.is_dir():
        return []
    tables = [path for path in sorted(root.iterdir()) if path.stem == name and path.suffix.lower() == ".csv"]
    if not tables and name not in (root.name, *COUNTS) and not name.startswith("Passersby"):
        raise DataError(f"The table {root / name}.csv is not there: put it back, or say where with --data PATH.")
    return [*(path for path in tables if path.is_file()), root]


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
