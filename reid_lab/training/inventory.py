"""All runs of a folder: what there is, in what some of them differ, and how one is thrown away.

Nothing here loads weights, so a shelf of hundreds of runs is read in a moment, the damaged ones included.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import safetensors

from reid_lab.methods import Recipe, from_json
from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError, RecipeError, ReidLabError
from reid_lab.runtime.files import lock
from reid_lab.training.runs import METRICS, finished, read_history, read_json, runs_root

COLUMNS = ("method", "size", "data", "seed", "state", "rank-1", "mAP", "minutes", "device", "date")
FILES = (
    "recipe.json",
    "environment.json",
    "history.csv",
    "checkpoint.safetensors",
    "weights.safetensors",
    "result.json",
)
NAME = re.compile(r"(multitask|residual_pooling)-\w+-[0-9a-f]{10}")  # of a run that lost even its recipe
LONG = 12  # characters of a digest that a table shows


def shelf(runs: Path | str | None = None) -> pd.DataFrame:
    """Every run below ``runs`` (default: see ``home.runs_folder``), one row each, by name.

    Columns: COLUMNS. ``state`` is "finished", "finished, its history lost", "epoch 3 of 18", "damaged: " and the files
    that are missing or make no sense, or "unreadable: " and those that this user may not read; ``rank-1`` and ``mAP``
    are in percent, ``minutes`` of training. What a run does not tell is NA.
    """
    folders = _folders(runs)
    index = pd.Index([folder.name for folder in folders], name="name")
    table = pd.DataFrame([_row(folder) for folder in folders], index, list(COLUMNS), dtype=object)
    numbers = {name: "Float64" for name in ("rank-1", "mAP", "minutes")} | {"seed": "Int64"}
    texts = {name: "string" for name in COLUMNS if name not in numbers}
    return table.astype(numbers | texts)


def find(name: str, runs: Path | str | None = None) -> Path:
    """The folder of the run called ``name``: a unique beginning of its folder's name, or a path (it has a separator).

    A path is only made absolute: whether a run is there is for whoever opens it to say.

    Raises:
        CheckpointError: no run, or more than one, has a name that begins so.
    """
    path = Path(name).expanduser()
    if path.name != name:
        return Path(os.path.abspath(path))
    folders = _folders(runs) if name else []  # every name begins with nothing
    found = [folder for folder in folders if folder.name == name] or [f for f in folders if f.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    where = runs_root(runs)
    if not found:
        raise CheckpointError(
            f"There is no run {name!r} in {where}: `reid-lab runs` shows those that are there; "
            "a run that lies elsewhere needs its path."
        )
    several = ", ".join(folder.name for folder in found[:5]) + (", ..." if len(found) > 5 else "")
    raise CheckpointError(f"{len(found)} runs in {where} begin with {name} ({several}): give more of the name.")


def compare(folders: Iterable[Path | str]) -> pd.DataFrame:
    """In what runs differ, and their results: a column per run, rows (part, field).

    Parts: "recipe", "run" (the seed), "data", "environment", all without what is the same everywhere; "result",
    whole, its metrics in percent. A field that a run does not have is the empty string.

    Raises:
        CheckpointError: fewer than two runs, or one of them is not there, damaged or may not be read.
    """
    paths = list(dict.fromkeys(Path(folder) for folder in folders))
    if len(paths) < 2:
        raise CheckpointError("One run cannot be compared with itself: name two or more different ones.")
    alone = len({path.name for path in paths}) == len(paths)
    facts = {path.name if alone else str(path): _facts(path) for path in paths}
    fields = sorted(
        {field: None for told in facts.values() for field in told}, key=lambda field: _PARTS.index(field[0])
    )
    rows = {field: [told.get(field, "") for told in facts.values()] for field in fields}
    shown = [field for field in fields if field[0] == "result" or len(set(map(repr, rows[field]))) > 1]
    index = pd.MultiIndex.from_tuples(shown, names=["part", "field"])
    return pd.DataFrame([rows[field] for field in shown], index=index, columns=list(facts), dtype=object)


def check_deletable(folder: Path | str) -> None:
    """Raise CheckpointError unless ``folder`` is a run's own folder."""
    folder = Path(folder)
    if folder.is_symlink():
        raise CheckpointError(f"{folder} is a link to {folder.resolve()}: give that path, or remove the link yourself.")
    if not (folder / "recipe.json").is_file():
        raise CheckpointError(
            f"{folder} is not a run's folder: it has no recipe.json. Only runs are deleted; remove it yourself if you "
            "are sure."
        )


def delete(folder: Path | str) -> None:
    """Delete a run's folder and the lock file beside it.

    Raises:
        CheckpointError: not a run, another process is working on it, or it cannot be removed.
    """
    folder = Path(os.path.abspath(folder))
    check_deletable(folder)
    with lock(folder, seconds=0):
        doomed = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.deleted"
        try:
            folder.rename(doomed)  # at once, so that a deletion that is killed leaves no half of a run
            shutil.rmtree(doomed)
        except OSError as error:
            left = doomed if doomed.exists() else folder
            raise CheckpointError(
                f"Could not delete {left}: {error.strerror or error}. Remove what is left of it yourself."
            ) from error
        with contextlib.suppress(OSError):  # Windows removes it by itself
            (folder.parent / f".{folder.name}.lock").unlink()


def _folders(runs: Path | str | None) -> list[Path]:
    """What looks like a run, even a damaged one, by name."""
    root = runs_root(runs)
    if not root.is_dir():
        return []
    folders = (path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(f for f in folders if NAME.fullmatch(f.name) or any((f / name).is_file() for name in FILES))


def _row(folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {}
    damaged: list[str] = []
    unreadable: list[str] = []
    for name, read in _READERS.items():
        try:
            row |= read(folder)
        except (ReidLabError, safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
            denied = isinstance(error, PermissionError) or isinstance(error.__cause__, PermissionError)
            (unreadable if denied else damaged).append(name)
    if unreadable:
        row["state"] = "unreadable: " + ", ".join(unreadable)
    elif damaged:
        row["state"] = "damaged: " + ", ".join(damaged)
    return row


def _of_recipe(folder: Path) -> dict[str, Any]:
    recipe = _recipe(folder)
    return {"method": recipe.method, "size": recipe.size}


def _of_environment(folder: Path) -> dict[str, Any]:
    told = read_json(folder / "environment.json")
    date = str(told["date"])[:16].replace("T", " ")  # to the minute
    return {"data": str(told["data"]), "seed": int(told["seed"]), "device": str(told["device"]), "date": date}


def _of_history(folder: Path) -> dict[str, Any]:
    """How far it has come."""
    done = len(read_history(folder))
    if finished(folder):
        return {"state": "finished"} if done else {"state": "finished, its history lost"}
    with contextlib.suppress(CheckpointError):  # a damaged recipe is told elsewhere
        return {"state": f"epoch {done} of {_recipe(folder).epochs}"}
    return {"state": f"epoch {done}"}


def _of_checkpoint(folder: Path) -> dict[str, Any]:
    """The minutes so far. Opening it also shows whether the file was cut short."""
    path = folder / "checkpoint.safetensors"
    if finished(folder) or not path.is_file():
        return {}
    with checkpoint.opened(path) as file:
        about = json.loads(file.metadata()["about"])
    return {"minutes": float(about["minutes"])}


def _of_weights(folder: Path) -> dict[str, Any]:
    if finished(folder):
        with checkpoint.opened(folder / "weights.safetensors"):
            pass
    return {}


def _of_result(folder: Path) -> dict[str, Any]:
    if not finished(folder):
        return {}
    told = read_json(folder / "result.json")
    return {name: 100 * float(told[name]) for name in METRICS if name in told} | {"minutes": float(told["minutes"])}


_READERS = {
    "recipe.json": _of_recipe,
    "environment.json": _of_environment,
    "history.csv": _of_history,
    "checkpoint.safetensors": _of_checkpoint,
    "weights.safetensors": _of_weights,
    "result.json": _of_result,
}


def _recipe(folder: Path) -> Recipe:
    path = folder / "recipe.json"
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise checkpoint.unreadable(path) from error
    except (OSError, UnicodeDecodeError, RecipeError) as error:
        raise CheckpointError(f"{path} is missing or damaged ({error}). Give the folder of a whole run.") from error


Field = tuple[str, str]
_PARTS = ("recipe", "run", "data", "environment", "result")


def _facts(folder: Path) -> dict[Field, Any]:
    """Everything that a run tells about itself, by (part, field)."""
    if not folder.is_dir():
        raise CheckpointError(f"There is no run in {folder}: `reid-lab runs` shows those that are there.")
    row = _row(folder)
    if row["state"].startswith("unreadable"):
        raise CheckpointError(f"The run in {folder} is {row['state']}. Ask its owner for the right to read it.")
    if row["state"] == "damaged: history.csv":
        raise CheckpointError(f"The run in {folder} is {row['state']}. Delete that file: only its curves are lost.")
    if row["state"].startswith("damaged"):
        raise CheckpointError(f"The run in {folder} is {row['state']}. Delete it and train it again.")
    recipe, told = _recipe(folder), read_json(folder / "environment.json")
    facts: dict[Field, Any] = {("recipe", "method"): recipe.method}
    facts |= {("recipe", name): value for name, value in dataclasses.asdict(recipe).items()}
    facts |= {("run", "seed"): told.pop("seed", ""), ("data", "name"): told.pop("data", "")}
    facts |= {("data", "digest"): str(told.pop("data_digest", ""))[:LONG]}
    told.pop("data_root", None)  # the digest (of names, labels and file sizes) is the same wherever the images lie
    facts |= {("environment", name): value for name, value in told.items()}
    facts |= {("result", name): row[name] for name in ("state", *METRICS, "minutes") if name in row}
    return facts
