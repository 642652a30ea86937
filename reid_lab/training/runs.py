"""All runs of a folder: what there is, in what some of them differ, and how one is thrown away.

Nothing here loads weights, so hundreds of runs are read in a moment, the damaged ones included.
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

from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError, ReidLabError
from reid_lab.runtime.files import lock
from reid_lab.training.run import METRICS, finished, read_history, read_json, read_recipe, runs_root
from reid_lab.training.stages import total_epochs

COLUMNS = ("method", "size", "data", "seed", "state", "rank-1", "mAP", "minutes", "device", "date")
FILES = (
    "recipe.json",
    "environment.json",
    "history.csv",
    "checkpoint.safetensors",
    "weights.safetensors",
    "result.json",
)
NAME = re.compile(r"\w+-\w+-[0-9a-f]{10}")  # of a run that lost even its recipe


def table(runs: Path | str | None = None) -> pd.DataFrame:
    """Show every run in the folder ``runs``, one row each, by name. No weights are loaded, so it takes a moment.

    Returns:
        Columns: COLUMNS. ``state`` is "finished", "finished, its history lost", "epoch 3 of 18", "damaged: " and the
        files that are missing or make no sense, or "unreadable: " and those that this user may not read; ``rank-1``
        and ``mAP`` are in percent, ``minutes`` of training. What a run does not tell is NA.
    """
    folders = _folders(runs)
    index = pd.Index([folder.name for folder in folders], name="name")
    found = pd.DataFrame([_row(folder) for folder in folders], index, list(COLUMNS), dtype=object)
    numbers = {name: "Float64" for name in ("rank-1", "mAP", "minutes")} | {"seed": "Int64"}
    return found.astype({name: numbers.get(name, "string") for name in COLUMNS})


def find(name: str, runs: Path | str | None = None) -> Path:
    """Find the folder of a run.

    Args:
        name: a unique beginning of the folder's name, or a path (it has a separator). A path is only made absolute:
            whether a run is there is for whoever opens it to say.
        runs: the folder of all runs; default: :func:`reid_lab.runtime.files.runs_folder`.

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
    """Show in what runs differ, and their results.

    Returns:
        A column per run, rows (part, field). Parts: "recipe", "run" (the seed), "data", "environment", all without
        what is the same everywhere; "result", whole, its metrics in percent. A field that a run does not have is the
        empty string.

    Raises:
        CheckpointError: fewer than two runs, or one of them is not there, damaged or may not be read.
    """
    paths = list(dict.fromkeys(Path(folder) for folder in folders))
    if len(paths) < 2:
        raise CheckpointError("One run cannot be compared with itself: name two or more different ones.")
    alone = len({path.name for path in paths}) == len(paths)
    parts = {path.name if alone else str(path): _parts(path) for path in paths}
    rows = {}
    for part in next(iter(parts.values())):
        for field in dict.fromkeys(field for told in parts.values() for field in told[part]):
            values = [told[part].get(field, "") for told in parts.values()]
            if part == "result" or len(set(map(repr, values))) > 1:
                rows[part, field] = values
    index = pd.MultiIndex.from_tuples(list(rows), names=["part", "field"])
    return pd.DataFrame(list(rows.values()), index=index, columns=list(parts), dtype=object)


def check_deletable(folder: Path | str) -> None:
    """Check that ``folder`` is a run's own folder.

    Raises:
        CheckpointError: it is a link, or holds no recipe.
    """
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
    """What a run tells of itself, and which of its files cannot be read."""
    row: dict[str, Any] = {}
    broken: dict[str, list[str]] = {"unreadable": [], "damaged": []}
    for name in FILES:
        try:
            row |= _facts(folder, name)
        except (ReidLabError, safetensors.SafetensorError, OSError, ValueError, TypeError, KeyError) as error:
            denied = isinstance(error, PermissionError) or isinstance(error.__cause__, PermissionError)
            broken["unreadable" if denied else "damaged"].append(name)
    if any(broken.values()):
        row["state"] = next(f"{what}: {', '.join(names)}" for what, names in broken.items() if names)
    elif finished(folder):
        row["state"] = "finished" if row["done"] else "finished, its history lost"
    else:
        row["state"] = f"epoch {row['done']} of {row['epochs']}"
    return row


def _facts(folder: Path, name: str) -> dict[str, Any]:
    """What the file ``name`` of a run tells; nothing where the run needs no such file yet, or any more."""
    path, done = folder / name, finished(folder)
    if name == "recipe.json":
        recipe = read_recipe(folder)
        return {"method": recipe.method, "size": recipe.size, "epochs": total_epochs(recipe)}
    if name == "environment.json":
        told = read_json(path)
        date = str(told["date"])[:16].replace("T", " ")  # to the minute
        return {"data": str(told["data"]), "seed": int(told["seed"]), "device": str(told["device"]), "date": date}
    if name == "history.csv":
        return {"done": len(read_history(folder))}
    if name == "result.json" and done:
        told = read_json(path)
        scores = {metric: 100 * float(told[metric]) for metric in METRICS if metric in told}
        return scores | {"minutes": float(told["minutes"])}
    needed = "weights.safetensors" if done else "checkpoint.safetensors"
    if name == needed and (done or path.is_file()):
        with checkpoint.opened(path) as file:  # which also shows whether it was cut short
            about = json.loads(file.metadata()["about"])
        return {} if done else {"minutes": float(about["minutes"])}
    return {}


def _parts(folder: Path) -> dict[str, dict[str, Any]]:
    """Everything that a run tells about itself, by part and field."""
    if not folder.is_dir():
        raise CheckpointError(f"There is no run in {folder}: `reid-lab runs` shows those that are there.")
    row = _row(folder)
    state = row["state"]
    if state.startswith("unreadable"):
        raise CheckpointError(f"The run in {folder} is {state}. Ask its owner for the right to read it.")
    if state == "damaged: history.csv":
        raise CheckpointError(f"The run in {folder} is {state}. Delete that file: only its curves are lost.")
    if state.startswith("damaged"):
        raise CheckpointError(f"The run in {folder} is {state}. Delete it and train it again.")
    recipe, told = read_recipe(folder), read_json(folder / "environment.json")
    told.pop("data_root", None)  # the digest (of names, labels and file sizes) is the same wherever the images lie
    return {
        "recipe": {"method": recipe.method} | dataclasses.asdict(recipe),
        "run": {"seed": told.pop("seed", "")},
        "data": {"name": told.pop("data", ""), "digest": str(told.pop("data_digest", ""))[:12]},
        "environment": told,
        "result": {name: row[name] for name in ("state", *METRICS, "minutes") if name in row},
    }
