"""The command line: ``python -m reid_lab COMMAND``. A user's error is one sentence and a non-zero exit status."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_lab.errors import DataError, RecipeError, ReidLabError

if TYPE_CHECKING:
    from reid_lab.data import Benchmark
    from reid_lab.training import Run

Arguments = argparse.Namespace


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 a check that found errors, 2 an error, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 prints a question mark, not a traceback
    chosen = _parser().parse_args(arguments)
    try:
        status = chosen.run(chosen)
        sys.stdout.flush()
        return status
    except ReidLabError as error:
        print(f"reid_lab: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read what is printed (``| head``) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says of a program that a closed pipe ended
    except KeyboardInterrupt:
        print("reid_lab: interrupted. Start the same command again and it goes on where it stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reid_lab", description="Person re-identification to read and run.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    demo = _command(commands, "demo", _demo, "train both papers' networks, rank, draw", "demo --device cpu")
    _size_option(demo, "classroom")
    _training_options(demo)

    check = _command(commands, "check", _check, "inspect a data folder", "check data/Market-1501")
    check.add_argument("path", type=Path, help="the data set's folder, or a CSV with path, pid, camid, split")

    train = _command(
        commands,
        "train",
        _train,
        "train one network, or load or resume it",
        "train residual_pooling --size classroom --set pooling=avg --seed 1",
    )
    train.add_argument("method", choices=["multitask", "residual_pooling"], help="paper A or paper B")
    _size_option(train, None)
    train.add_argument("--data", type=Path, help="a real data set's folder (default: Passersby of that size)")
    train.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe (repeatable)"
    )
    _training_options(train)

    evaluate = _command(
        commands,
        "evaluate",
        _evaluate,
        "evaluate a trained run",
        "evaluate runs/residual_pooling-classroom-0123456789 --rerank",
    )
    evaluate.add_argument("folder", type=Path, metavar="RUN", help="the run's folder")
    evaluate.add_argument("--data", type=Path, help="another data set's folder (default: the one it was trained on)")
    evaluate.add_argument("--rerank", action="store_true", help="k-reciprocal re-ranking")
    evaluate.add_argument("--gallery", type=Path, metavar="FILE", help="also write a picture of retrievals")
    _device_option(evaluate)

    passersby = _command(
        commands,
        "passersby",
        _passersby,
        "generate the synthetic data set",
        "passersby --size smoke --sheet people.png",
    )
    _size_option(passersby, "classroom")
    passersby.add_argument("--seed", type=int, default=0, help="of the data (default 0)")
    passersby.add_argument("--sheet", type=Path, metavar="FILE", help="also write a contact sheet")
    return parser


def _command(
    commands: Any, name: str, run: Callable[[Arguments], int], about: str, example: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"example: python -m reid_lab {example}",
    )
    parser.set_defaults(run=run)
    return parser


def _size_option(parser: argparse.ArgumentParser, default: str | None) -> None:
    choices = ("smoke", "classroom", "full", "paper")
    text = default or "REID_LAB_SIZE, else full on a GPU and classroom without"
    parser.add_argument("--size", choices=choices, default=default, help=f"of data and recipe (default: {text})")


def _device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: the GPU where there is one)")


def _training_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="of the training (default 0)")
    parser.add_argument("--runs", type=Path, help="folder that keeps the runs (default: runs)")
    _device_option(parser)


def _demo(chosen: Arguments) -> int:
    from reid_lab.demo import demo

    demo(chosen.size, chosen.seed, chosen.device, chosen.runs, say=lambda line: print(line, flush=True))
    return 0


def _check(chosen: Arguments) -> int:
    from reid_lab import data

    kind, benchmark = data.recognise(chosen.path)
    print(f"{chosen.path}: {kind}\n\n{benchmark.summary().to_string()}\n")
    findings = benchmark.findings(read_images=True)
    for finding in findings:
        print(f"[{finding.level}] {finding.sentence}")
    bad = sum(finding.level == "error" for finding in findings)
    print("Ready to use." if not bad else f"Errors: {bad}. Mend them before training on this folder.")
    return 1 if bad else 0


def _train(chosen: Arguments) -> int:
    from reid_lab import data, training
    from reid_lab.training import recipes

    recipe = recipes.METHODS[chosen.method](chosen.size, **_fields(chosen.set))
    if chosen.data is None and recipe.size == "paper":
        raise DataError("The paper recipes are for a real data set: give its folder with --data PATH.")
    benchmark = data.passersby(recipe.size) if chosen.data is None else data.recognise(chosen.data)[1]
    run = training.fit(recipe, benchmark, chosen.seed, device=chosen.device, runs=chosen.runs)
    print(run.history.to_string(index=False, float_format="%.4g"))
    print(f"{run}\n{run.folder}")
    return 0


def _evaluate(chosen: Arguments) -> int:
    import torch

    from reid_lab import data, figures, retrieval, training

    device = training.pick_device(chosen.device)
    run = training.load(chosen.folder)
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


def _passersby(chosen: Arguments) -> int:
    from reid_lab import data, figures

    benchmark = data.passersby("full" if chosen.size == "paper" else chosen.size, chosen.seed)
    print(f"{benchmark.root}\n\n{benchmark.summary().to_string()}")
    if chosen.sheet is not None:
        figures.save(figures.contact_sheet(benchmark), chosen.sheet)
        print(f"Written to {chosen.sheet}")
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
