"""How far a run has come, and the checkpoint that keeps it: all that a killed run needs to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from reid_lab import models
from reid_lab.methods import Recipe, from_json
from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError, RecipeError
from reid_lab.training.engine import Engine

FILE = "checkpoint.safetensors"


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        history: a row for each finished epoch.
        step: the steps of the present epoch that are done.
        sums: their losses and signs, added up on the device, by name.
        entered: how many stages have begun.
        minutes: how long it has been trained.
        threads: of the CPU; None: not chosen yet.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    step: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    entered: int = 0
    minutes: float = 0.0
    threads: int | None = None

    def add(self, told: Mapping[str, Tensor]) -> None:
        """Add what a step told to the sums of its epoch.

        An epoch that an older version began goes on without the signs that are newer, whose first steps are not known.
        """
        for name, value in told.items():
            if self.step == 0 or name in self.sums:
                self.sums[name] = self.sums[name] + value if name in self.sums else value.clone()  # no two share memory
        self.step += 1


def save(folder: Path, engine: Engine, progress: Progress) -> None:
    """Write the run's checkpoint.

    Raises:
        CheckpointError: it cannot be written; the one before is still there.
    """
    tensors = {f"model.{name}": tensor for name, tensor in engine.model.state_dict().items()}
    buffers = checkpoint.optimizer_tensors(engine.optimizer)
    tensors |= {f"optimizer.{name}": tensor for name, tensor in buffers.items()}
    tensors |= {f"sum.{name}": total for name, total in progress.sums.items()}
    about = {
        "recipe": json.loads(engine.recipe.to_json()),
        "history": progress.history,
        "step": progress.step,
        "stages_entered": progress.entered,
        "minutes": progress.minutes,
        "threads": progress.threads,
        "precision": engine.precision,
        "scaler": engine.scaler.state_dict(),
    }
    checkpoint.write(folder / FILE, tensors, about)


def restore(folder: Path, engine: Engine) -> Progress:
    """Put the run's checkpoint into ``engine``; a checkpoint that is older than stages has entered its only one.

    Raises:
        CheckpointError: it is damaged, or belongs to another recipe.
        WeightsError: its weights belong to another network.
    """
    tensors, about = checkpoint.read(folder / FILE)
    if not _is(engine.recipe, about.get("recipe")):
        raise CheckpointError(f"{folder / FILE} belongs to another recipe. Move that folder away and start again.")
    models.load_weights(engine.model, _part(tensors, "model."))
    buffers = _part(tensors, "optimizer.") or _part(tensors, "optimiser.")  # so in version 0.1.0
    checkpoint.restore_optimizer(engine.optimizer, buffers)
    engine.resume_precision(about.get("precision", engine.precision), about.get("scaler", {}))
    sums = {name: value.to(engine.device) for name, value in _part(tensors, "sum.").items()}
    entered, minutes, threads = about.get("stages_entered", 1), about["minutes"], about["threads"]
    return Progress(about["history"], about["step"], sums, entered, minutes, threads)


def _is(recipe: Recipe, told: Any) -> bool:
    try:
        return from_json(json.dumps(told)) == recipe  # both as read: a field's former name does not matter
    except RecipeError:
        return False


def _part(tensors: checkpoint.State, prefix: str) -> checkpoint.State:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
