"""A run: one recipe trained on one benchmark with one seed, and the folder that keeps it.

The folder holds ``recipe.json``, ``environment.json``, ``history.csv``, ``weights.safetensors`` and, last of all,
``result.json``: a run is finished when that file is there. ``checkpoint.safetensors`` exists only until then.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from reid_lab import models
from reid_lab.data import Benchmark
from reid_lab.methods import AnyRecipe, from_json
from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError, RecipeError
from reid_lab.runtime.files import runs_folder, write_text

METRICS = ("rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP")
FORMAT = 2  # raise it when training the same recipe gives another result, so that old runs are not taken for new


@dataclass
class Run:
    """A finished run.

    Attributes:
        folder: where it is kept.
        recipe: what was trained.
        model: the trained network, in eval mode, on the CPU or the device it was trained on.
        history: one row per epoch: learning rate, loss terms, accuracy, images/s, metrics where evaluated.
        result: the metrics at the end (fractions) and the minutes it took.
        environment: seed, versions, device, threads, data.
    """

    folder: Path
    recipe: AnyRecipe
    model: models.Network
    history: pd.DataFrame
    result: dict[str, Any]
    environment: dict[str, Any]

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {100 * self.result[name]:.1f} %" for name in ("rank-1", "mAP"))
        return f"Run({self.recipe.method}, {self.recipe.size}, seed {self.environment['seed']}: {scores})"


def runs_root(runs: Path | str | None) -> Path:
    """The folder of all runs (default: :func:`reid_lab.runtime.files.runs_folder`), ``~`` being the home folder."""
    return Path(runs if runs is not None else runs_folder()).expanduser()


def run_folder(recipe: AnyRecipe, benchmark: Benchmark, seed: int, runs: Path | str | None = None) -> Path:
    """Name the folder of a run, whether it is there or not.

    Args:
        recipe: what is trained.
        benchmark: on which data; its digest counts, not its place.
        seed: with which seed.
        runs: the folder of all runs; default: :func:`reid_lab.runtime.files.runs_folder`.
    """
    # The field is spelled as in version 0.1.0, so that runs keep their names.
    told = recipe.to_json().replace('"optimizer": ', '"optimiser": ')
    key = f"{FORMAT}\n{told}\n{benchmark.digest}\n{seed}"
    name = f"{recipe.method}-{recipe.size}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    return runs_root(runs) / name


def write_about(folder: Path, recipe: AnyRecipe, benchmark: Benchmark, seed: int, told: dict[str, Any]) -> None:
    """Write what a run is made of, and where: its recipe and its environment. What a killed save left over is removed.

    Args:
        folder: the run's.
        recipe: what is trained.
        benchmark: on which data.
        seed: with which seed.
        told: what else the environment is to say: device, versions, precision.
    """
    data = {"data": benchmark.name, "data_root": str(benchmark.root), "data_digest": benchmark.digest}
    for left_over in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            left_over.unlink()
    write_text(folder / "recipe.json", recipe.to_json())
    write_text(folder / "environment.json", json.dumps(told | {"seed": seed} | data, indent=1))


def finished(folder: Path) -> bool:
    """Whether the run in ``folder`` has been trained to its end."""
    return (folder / "result.json").is_file()


def load(folder: Path | str) -> Run:
    """Load a finished run from its folder (``~`` is the home folder).

    Raises:
        CheckpointError: not a run's folder, not finished, damaged, may not be read, or its recipe was changed after
            the training.
        WeightsError: the weights belong to another architecture.
    """
    folder = Path(folder).expanduser()
    if not (folder / "recipe.json").is_file():
        raise CheckpointError(f"{folder} is not a run's folder: it has no recipe.json. Give a folder made by training.")
    if not finished(folder):
        raise CheckpointError(f"The run in {folder} is not finished: start its training again and it resumes.")
    recipe = read_recipe(folder)
    tensors, about = checkpoint.read(folder / "weights.safetensors")
    if not {"identities", "recipe"} <= about.keys():
        raise CheckpointError(f"{folder / 'weights.safetensors'} is not a run's weights. Delete it and train again.")
    if from_json(json.dumps(about["recipe"])) != recipe:  # both as read: a field that is newer than the run is alike
        raise CheckpointError(
            f"{folder / 'recipe.json'} is not the recipe that the weights beside it were trained with. "
            "Put the original back; to train another recipe, give it to training.fit, which makes a folder for it."
        )
    with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten at once
        model = recipe.blank(about["identities"], tensors)
    models.load_weights(model, tensors)
    model = model.to(memory_format=torch.channels_last).eval()
    result = read_json(folder / "result.json", ["rank-1", "mAP"])
    return Run(folder, recipe, model, read_history(folder), result, read_json(folder / "environment.json", ["seed"]))


def read_recipe(folder: Path) -> AnyRecipe:
    """Read the run's recipe.

    Raises:
        CheckpointError: it is missing, damaged, or may not be read.
    """
    path = folder / "recipe.json"
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecipeError) as error:
        raise _damaged(path, error, "Put the original back, or delete the run's folder and train again.") from error


def read_history(folder: Path) -> pd.DataFrame:
    """Read the run's history so far, a row for each epoch; an empty table where there is none.

    Raises:
        CheckpointError: it is damaged, or may not be read.
    """
    path = folder / "history.csv"
    try:
        return pd.read_csv(io.StringIO(path.read_text(encoding="utf-8"))) if path.is_file() else pd.DataFrame()
    except (OSError, ValueError) as error:  # a run whose history is lost is a run all the same
        raise _damaged(
            path, error, "Delete that file: the run loads without it, and only its curves are lost."
        ) from error


def read_json(path: Path, needed: Iterable[str] = ()) -> dict[str, Any]:
    """Read a JSON file of a run, an object.

    Raises:
        CheckpointError: it is missing or damaged, may not be read, or lacks a ``needed`` name.
    """
    cure = "Delete the run's folder and train again."
    try:
        told = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(path, error, cure) from error
    lacking = [name for name in needed if name not in told]
    if lacking:
        raise _damaged(path, f"it lacks {', '.join(lacking)}", cure)
    return told


def _damaged(path: Path, error: object, cure: str) -> CheckpointError:
    if isinstance(error, PermissionError):
        return checkpoint.unreadable(path)
    return CheckpointError(f"{path} is missing or damaged ({error}). {cure}")
