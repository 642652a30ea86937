"""The training loop that students read and researchers run.

Everything random in a step is decided by (seed, epoch, step), so a run that was killed goes on from its last
checkpoint to the same weights, bit for bit, on the same CPU with the same number of threads.
"""

from __future__ import annotations

import contextlib
import copy
import json
import operator
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from reid_lab import data, models, retrieval
from reid_lab.errors import CheckpointError, RecipeError, TrainingError
from reid_lab.home import lock, write_text
from reid_lab.losses import Losses
from reid_lab.progress import bar
from reid_lab.training import checkpoint, machine
from reid_lab.training.recipes import MultiTaskRecipe, Recipe, ResidualPoolingRecipe
from reid_lab.training.runs import METRICS, Run, finished, load, read_history, run_folder
from reid_lab.training.schedule import learning_rate


def fit(
    recipe: Recipe,
    benchmark: data.Benchmark,
    seed: int = 0,
    *,
    device: str | torch.device | None = None,
    runs: Path | str | None = None,
    deterministic: bool = False,
) -> Run:
    """Train ``recipe`` on ``benchmark``; load it if it was trained before, resume it if it was interrupted.

    Args:
        recipe: from :mod:`reid_lab.training.recipes`.
        benchmark: from :mod:`reid_lab.data`; it is checked before any work.
        seed: of the weights, the samplers, the augmentation and dropout.
        device: "cpu", "cuda", ...; default the GPU where there is one.
        runs: folder that holds the runs' folders; default ``runs`` in the checkout.
        deterministic: on a GPU, use slower algorithms that give the same bits each time (a CPU always does).

    Raises:
        DataError, RecipeError, DeviceError: what was asked for cannot be trained.
        CheckpointError: the run's folder is damaged or cannot be written; the last good checkpoint stays.
        TrainingError: a loss is no longer finite.
    """
    device = machine.pick_device(device)
    seed = operator.index(seed)
    if not 0 <= seed < 2**63:
        raise RecipeError(f"The seed of training is {seed}; it must be a whole number from 0 to 2**63 - 1.")
    benchmark.check(read_images=False)
    folder = run_folder(recipe, benchmark, seed, runs)
    with lock(folder):
        if not finished(folder):
            with machine.reproducible(seed, device, deterministic):
                _Training(recipe, benchmark, seed, device, folder).run()
        run = load(folder)
    if run.recipe != recipe:
        raise CheckpointError(f"{folder} holds a run of another recipe. Move that folder away and start again.")
    run.model.to(device)
    return run


class _Training:
    """One run in progress: network, optimiser, data, and how far it has come."""

    def __init__(
        self, recipe: Recipe, benchmark: data.Benchmark, seed: int, device: torch.device, folder: Path
    ) -> None:
        self.recipe, self.benchmark, self.seed, self.device, self.folder = recipe, benchmark, seed, device, folder
        self.precision = machine.resolve_precision(recipe.precision, device)
        pids = np.array([record.pid for record in benchmark.train])
        camids = np.array([record.camid for record in benchmark.train])
        known, labels = np.unique(pids, return_inverse=True)  # classifiers count identities from 0
        self.identities = len(known)
        self.labels = torch.from_numpy(labels).to(device)
        self.sampler = _sampler(recipe, labels, camids, seed)
        self.augment = data.Augment(recipe.crop, recipe.pad, recipe.flip, _erasing(recipe))
        self.model = recipe.build(self.identities).to(device).to(memory_format=torch.channels_last)
        self.optimiser = _optimiser(recipe, self.model)
        self.history: list[dict[str, Any]] = []
        self.minutes = 0.0
        self.threads: int | None = None
        self._resume()

    def run(self) -> None:
        """Train the epochs that are left, then write the weights and the result."""
        store = data.image_store(self.benchmark.train, self.recipe.resize, self.device)
        self._settle_threads(store)
        self._write_about()
        kept = [
            data.image_store(split, self.recipe.crop, self.device)
            for split in (self.benchmark.query, self.benchmark.gallery)
        ]
        steps = len(self.sampler)
        first = len(self.history)
        with bar(total=self.recipe.epochs * steps, description=self.folder.name, unit="step") as progress:
            progress.update(first * steps)
            for epoch in range(first, self.recipe.epochs):
                began = time.perf_counter()
                row = self._epoch(epoch, store, progress)
                last = epoch + 1 == self.recipe.epochs
                if last or (self.recipe.evaluate_every and (epoch + 1) % self.recipe.evaluate_every == 0):
                    row |= self._evaluate()
                self.minutes += (time.perf_counter() - began) / 60
                self.history.append(row)
                self._save()
        del kept
        self._finish()

    def _settle_threads(self, store: data.ImageStore) -> None:
        """On a CPU, take the faster number of threads; a resumed run keeps its own, so that its bits stay the same."""
        if self.device.type != "cpu":
            return
        if self.threads is None:
            copy_of_model, indices = copy.deepcopy(self.model), self.sampler.epoch(0)[0]
            self.threads = machine.fastest_threads(
                lambda: self._losses(copy_of_model, store, indices, 0).total.backward()
            )
        torch.set_num_threads(self.threads)

    def _epoch(self, epoch: int, store: data.ImageStore, progress: Any) -> dict[str, Any]:
        """One epoch of steps; the loss terms are added up on the device and read rarely, so that it never waits."""
        self.model.train()
        batches = self.sampler.epoch(epoch)
        sums: dict[str, torch.Tensor] = {}
        images_seen, began = 0, time.perf_counter()
        for step, indices in enumerate(batches):
            lr = self._set_lr(epoch + step / len(batches))
            losses = self._step(store, indices, _key(self.seed, epoch, step))
            for name, value in {"loss": losses.total, **losses.terms, "accuracy": losses.accuracy}.items():
                sums[name] = sums.get(name, 0.0) + value.detach()
            images_seen += len(indices)
            progress.update()
            if step % 20 == 0:
                progress.set_postfix(epoch=epoch + 1, loss=f"{losses.total.item():.3f}", lr=f"{lr:.1e}")
        means = {name: float(total) / len(batches) for name, total in sums.items()}
        self._still_finite(means, epoch)
        speed = images_seen / (time.perf_counter() - began)
        return {"epoch": epoch + 1, "lr": lr, **means, "images_per_second": round(speed, 1)}

    def _step(self, store: data.ImageStore, indices: np.ndarray, key: int) -> Losses:
        """Losses, their gradients, an update of the weights."""
        losses = self._losses(self.model, store, indices, key)
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()
        self.optimiser.step()
        return losses

    def _losses(self, model: models.Network, store: data.ImageStore, indices: np.ndarray, key: int) -> Losses:
        """A batch through augmentation, network and loss; ``key`` decides everything random in it."""
        torch.manual_seed(key)  # dropout
        images = self.augment(store.batch(indices), seed=key)  # (batch, 3, height, width)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            outputs = model(images)
        return model.loss(outputs, self.labels[torch.from_numpy(indices).to(self.device)])

    def _set_lr(self, progress: float) -> float:
        lr = learning_rate(self.recipe, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        return lr

    def _still_finite(self, means: dict[str, float], epoch: int) -> None:
        bad = [name for name, value in means.items() if not np.isfinite(value)]
        if bad:
            raise TrainingError(
                f"The {bad[0]} became {means[bad[0]]} in epoch {epoch + 1} of {self.folder}. Usual cures: a lower lr, "
                "a longer warm-up, precision='float32'; the last good checkpoint is kept."
            )

    def _evaluate(self) -> dict[str, float]:
        result = retrieval.evaluate(self.model, self.benchmark, device=self.device)
        return {name: result.table()[name].item() / 100 for name in METRICS}

    # the run's folder

    def _resume(self) -> None:
        """Take up the last checkpoint, if there is one."""
        path = self.folder / "checkpoint.safetensors"
        if not path.is_file():
            return
        tensors, about = checkpoint.read(path)
        if about.get("recipe") != json.loads(self.recipe.to_json()):
            raise CheckpointError(f"{path} belongs to another recipe. Move that folder away and start again.")
        models.load_weights(self.model, _part(tensors, "model."))
        checkpoint.restore_optimiser(self.optimiser, _part(tensors, "optimiser."))
        # a row may have been written just before the kill, its checkpoint not
        self.history = read_history(self.folder).iloc[: about["epochs"]].to_dict("records")
        if len(self.history) < about["epochs"]:
            raise CheckpointError(
                f"{self.folder / 'history.csv'} has lost epochs that {path.name} has seen. "
                "Put it back, or move that folder away and start again."
            )
        self.minutes, self.threads = about["minutes"], about["threads"]

    def _save(self) -> None:
        write_text(self.folder / "history.csv", pd.DataFrame(self.history).to_csv(index=False))
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"optimiser.{name}": t for name, t in checkpoint.optimiser_tensors(self.optimiser).items()}
        about = {
            "recipe": json.loads(self.recipe.to_json()),
            "epochs": len(self.history),
            "minutes": self.minutes,
            "threads": self.threads,
        }
        checkpoint.write(self.folder / "checkpoint.safetensors", tensors, about)

    def _write_about(self) -> None:
        environment = machine.describe(self.device) | {
            "seed": self.seed,
            "precision": self.precision,
            "data": self.benchmark.name,
            "data_root": str(self.benchmark.root),
            "data_digest": self.benchmark.digest,
        }
        for left_over in self.folder.glob(".*.part"):  # of a save that was killed
            with contextlib.suppress(OSError):
                left_over.unlink()
        write_text(self.folder / "recipe.json", self.recipe.to_json())
        write_text(self.folder / "environment.json", json.dumps(environment, indent=1))

    def _finish(self) -> None:
        about = {"recipe": json.loads(self.recipe.to_json()), "identities": self.identities}
        checkpoint.write(self.folder / "weights.safetensors", self.model.state_dict(), about)
        last = self.history[-1]
        result = {name: last[name] for name in METRICS} | {"minutes": round(self.minutes, 3)}
        write_text(self.folder / "result.json", json.dumps(result, indent=1))
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)


def _sampler(recipe: Recipe, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PairSampler | data.PKSampler:
    if isinstance(recipe, MultiTaskRecipe):
        return data.PairSampler(labels, camids, recipe.pairs, recipe.positive, recipe.cross_camera, seed)
    assert isinstance(recipe, ResidualPoolingRecipe)
    return data.PKSampler(labels, recipe.identities, recipe.images, seed)


def _erasing(recipe: Recipe) -> data.RandomErasing | None:
    if recipe.erasing == 0:
        return None
    return data.RandomErasing(
        recipe.erasing, recipe.erasing_area, recipe.erasing_aspect, recipe.erasing_attempts, recipe.erasing_fill
    )


def _optimiser(recipe: Recipe, model: models.MultiTask | models.ResidualPooling) -> torch.optim.Optimizer:
    groups = [
        {"params": list(model.backbone_parameters()), "factor": recipe.backbone_lr},
        {"params": list(model.head_parameters()), "factor": 1.0},
    ]
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)


def _key(seed: int, epoch: int, step: int) -> int:
    """One number per (seed, epoch, step), spread over 63 bits."""
    return int(np.random.SeedSequence([seed, epoch, step]).generate_state(1, np.uint64)[0] >> 1)


def _part(tensors: checkpoint.State, prefix: str) -> checkpoint.State:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
