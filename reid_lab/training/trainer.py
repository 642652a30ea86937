"""The training loop that researchers run; :mod:`.step` has the plain one, to be read first.

Everything random in a step is decided by (seed, epoch, step), so a run that was killed goes on from its last
checkpoint to the same weights, bit for bit, on one thread of the same CPU, and on several with ``deterministic``.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reid_lab import data, models, retrieval
from reid_lab.methods import Recipe
from reid_lab.runtime import checkpoint, environment
from reid_lab.runtime.distributed import Processes, assemble
from reid_lab.runtime.errors import CheckpointError, RecipeError
from reid_lab.runtime.files import lock, write_text
from reid_lab.runtime.progress import bar
from reid_lab.runtime.signals import Interruption
from reid_lab.runtime.validation import is_whole
from reid_lab.training import guards
from reid_lab.training.engine import Engine
from reid_lab.training.runs import METRICS, Run, finished, load, run_folder, tensorboard_writer, write_tensorboard
from reid_lab.training.schedule import learning_rate
from reid_lab.training.step import random_key

READ_EVERY = 20  # steps between two looks at the loss: each look makes a GPU wait


def fit(
    recipe: Recipe,
    benchmark: data.Benchmark,
    seed: int = 0,
    *,
    device: str | torch.device | None = None,
    runs: Path | str | None = None,
    deterministic: bool = False,
    compile: bool = False,
    tensorboard: bool = False,
    checkpoint_seconds: float = 60.0,
) -> Run:
    """Train ``recipe`` on ``benchmark``; load it if it was trained before, resume it if it was interrupted.

    Started by ``accelerate launch`` or ``torchrun``, the processes share every batch: see
    :mod:`reid_lab.runtime.distributed`.

    Args:
        recipe: from :mod:`reid_lab.methods.recipe`.
        benchmark: from :mod:`reid_lab.data`; it is checked before any work.
        seed: of the weights, the samplers, the augmentation and dropout.
        device: "cpu", "cuda", "mps", "xpu"; default the GPU where there is one.
        runs: folder that holds the runs' folders, ``~`` being the home folder; default: see ``home.runs_folder``.
        deterministic: the same bits each time on the same machine, on a CPU with the same number of threads (see
            ``environment.json``). A GPU uses slower algorithms for it; a CPU keeps torch's number of threads, where it
            otherwise takes the faster of that and 1, which a busy machine may decide differently each time.
        compile: use torch.compile: a minute or more of warm-up, then faster steps on a GPU, and other bits.
        tensorboard: also write the history for TensorBoard, to the run's folder.
        checkpoint_seconds: between two checkpoints, which is what a kill may cost.

    Raises:
        DataError, RecipeError, DeviceError: what was asked for cannot be trained, or not in the recipe's precision.
        CheckpointError: the run's folder is damaged or cannot be written; the last good checkpoint stays.
        WeightsError: the recipe's ImageNet weights could not be had, or a checkpoint's belong to another network.
        TrainingError: a loss is no longer finite, the embedding has collapsed, or the GPU's memory is too small.
    """
    if not is_whole(seed, 0) or seed >= 2**63:
        raise RecipeError(f"The seed of training is {seed!r}; it must be a whole number from 0 to 2**63 - 1.")
    seed = int(seed)
    if tensorboard:
        tensorboard_writer()  # now, rather than after an epoch
    processes = assemble(device)
    benchmark.check(read_images=False)
    folder = run_folder(recipe, benchmark, seed, runs)
    with lock(folder, waiting=f"training {folder.name}") if processes.main else contextlib.nullcontext():
        if not processes.broadcast(finished(folder)):
            with environment.reproducible(seed, processes.device, deterministic), guards.memory_told(recipe, folder):
                training = _Training(recipe, benchmark, seed, processes, folder, checkpoint_seconds, tensorboard)
                training.run(compile)
        elif processes.main:
            environment.note_other(folder, processes.device)
        run = load(folder)
    if run.recipe != recipe:
        raise CheckpointError(f"{folder} holds a run of another recipe. Move that folder away and start again.")
    run.model.to(processes.device)
    return run


class _Training:
    """One run in progress: the engine, the data, and how far it has come.

    ``history`` has a row for each finished epoch, ``step`` counts the steps of the present one, and ``sums`` adds up
    their losses on the device.
    """

    def __init__(
        self,
        recipe: Recipe,
        benchmark: data.Benchmark,
        seed: int,
        processes: Processes,
        folder: Path,
        checkpoint_seconds: float = 60.0,
        tensorboard: bool = False,
    ) -> None:
        self.recipe, self.benchmark, self.seed, self.processes, self.folder = recipe, benchmark, seed, processes, folder
        self.device, self.checkpoint_seconds, self.tensorboard = processes.device, checkpoint_seconds, tensorboard
        pids = np.array([record.pid for record in benchmark.train])
        camids = np.array([record.camid for record in benchmark.train])
        known, labels = np.unique(pids, return_inverse=True)  # classifiers count identities from 0
        self.identities = len(known)
        self.labels = torch.from_numpy(labels).to(self.device)
        self.sampler = recipe.sampler(labels, camids, seed)
        self.engine = Engine(recipe, self.identities, processes)
        self.history: list[dict[str, Any]] = []
        self.step, self.sums = 0, dict[str, Tensor]()
        self.threads: int | None = None
        self.precision_check = ""
        self.minutes, self.began, self.saved = 0.0, time.monotonic(), time.monotonic()
        self._resume()

    def run(self, compile: bool = False) -> None:
        """Train the epochs that are left, then write the weights and the result."""
        store = data.image_store(self.benchmark.train, self.recipe.resize, self.device)
        warm_up = self._warm_up(store, compile)
        self._write_about({"compile_seconds": warm_up} if compile else {})
        steps, first = len(self.sampler), len(self.history)
        with (
            Interruption(active=self.processes.size == 1) as interruption,
            bar(total=self.recipe.epochs * steps, description=self.folder.name, unit="step") as shown,
        ):
            shown.update(first * steps + self.step)
            try:
                kept = self._kept_images()
                self.began = self.saved = time.monotonic()
                for epoch in range(first, self.recipe.epochs):
                    self._epoch(epoch, store, shown, interruption)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(self._after_interruption()) from None
        del kept
        self._finish()

    def _epoch(self, epoch: int, store: data.ImageStore, shown: Any, interruption: Interruption) -> None:
        """The steps of an epoch that are left, what they amounted to, and the evaluation where one is due."""
        self.engine.model.train()
        here = torch.from_numpy(np.stack(self.sampler.epoch(epoch)))[:, self.engine.places]  # (steps, batch)
        batches = data.to_device(here, self.device)
        picks = here if store.pixels.device.type == "cpu" else batches  # where the images are, so that no step waits
        first, began = self.step, time.perf_counter()
        while self.step < len(batches):
            with interruption.held():
                lr = self._step(store.batch(picks[self.step]), self.labels[batches[self.step]], epoch)
            shown.update()
            if self.step % READ_EVERY == 1:
                self._look(epoch, lr, shown)
            if time.monotonic() - self.saved > self.checkpoint_seconds:
                self._save()
        last = learning_rate(self.recipe, epoch + 1 - 1 / len(batches))
        row = {"epoch": epoch + 1, "lr": last} | self._means()
        guards.check_finite(row, epoch + 1, self.folder, self.engine.precision)
        guards.check_spread(row, self.recipe, epoch + 1, self.folder)
        speed = (self.step - first) * self.recipe.batch / (time.perf_counter() - began)
        row["images_per_second"] = round(speed, 1) if self.step > first else math.nan  # resumed after the last step
        if epoch + 1 == self.recipe.epochs:
            self._keep_weights()
        if self._evaluation_is_due(epoch + 1):
            row |= self.processes.broadcast(self._evaluate(epoch + 1) if self.processes.main else None)
        with interruption.held():
            self.history.append(row)
            self.step, self.sums = 0, {}
        self._write_history()
        if self.tensorboard and self.processes.main:
            write_tensorboard(self.folder / "tensorboard", row)

    def _step(self, images: Tensor, pids: Tensor, epoch: int) -> float:
        """One step, added to the sums; returns its learning rate."""
        lr = self.engine.set_lr(epoch + self.step / len(self.sampler))
        losses = self.engine.step(images, pids, random_key(self.seed, epoch, self.step))
        for name, value in losses.report().items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.step += 1
        return lr

    def _look(self, epoch: int, lr: float, shown: Any) -> None:
        """Read the mean losses of this epoch so far: shown, and refused where they are no longer numbers."""
        means = self._means()
        shown.set_postfix(epoch=epoch + 1, loss=f"{means['loss']:.3f}", lr=f"{lr:.1e}")
        guards.check_finite(means, epoch + 1, self.folder, self.engine.precision)

    def _means(self) -> dict[str, float]:
        """The epoch's mean losses until now, over all processes."""
        total = self.processes.mean(torch.stack(list(self.sums.values())) / self.step)
        return dict(zip(self.sums, total.tolist(), strict=True))

    def _evaluation_is_due(self, epochs: int) -> bool:
        every = self.recipe.evaluate_every
        return epochs == self.recipe.epochs or bool(every and epochs % every == 0)

    def _evaluate(self, epochs: int) -> dict[str, float]:
        """On the way in the precision of training, twice as fast; the end, which is what counts, in float32."""
        fast = self.engine.precision != "float32" and epochs < self.recipe.epochs
        options: dict[str, Any] = dict(device=self.device, autocast=fast, check=False)  # fit has checked already
        result = retrieval.evaluate(self.engine.model, self.benchmark, **options)
        return {name: result.table()[name].item() / 100 for name in METRICS}

    def _kept_images(self) -> list[data.ImageStore]:
        """Query and gallery, decoded once for all evaluations."""
        if not self.processes.main:
            return []
        splits = (self.benchmark.query, self.benchmark.gallery)
        return [data.image_store(split, self.recipe.crop, self.device) for split in splits]

    def _warm_up(self, store: data.ImageStore, compile: bool) -> float:
        """Before the first step: choose a CPU's number of threads, check the precision, compile where asked.

        Returns the seconds of compilation. The faster number of threads is found by timing, so where the same bits are
        wanted each time it is torch's.
        """
        indices = torch.from_numpy(self.sampler.epoch(0)[0])[self.engine.places]
        pids, images = self.labels[indices.to(self.device)], self.engine.prepare(store.batch(indices), 0)
        if self.device.type == "cpu":  # a resumed run keeps its own number, so that its bits stay the same
            if self.threads is None and self.processes.size == 1 and not torch.are_deterministic_algorithms_enabled():
                self.threads = self.engine.fastest_threads(images, pids)
            self.threads = self.threads or torch.get_num_threads()
            torch.set_num_threads(self.threads)
        self.precision_check = self.engine.check_precision(images, pids)
        return round(self.engine.compile(images, pids), 1) if compile else 0.0

    # the run's folder

    def _resume(self) -> None:
        """Take up the last checkpoint, if there is one."""
        path = self.folder / "checkpoint.safetensors"
        if not self.processes.broadcast(path.is_file()):
            return
        tensors, about = checkpoint.read(path)
        if about.get("recipe") != json.loads(self.recipe.to_json()):
            raise CheckpointError(f"{path} belongs to another recipe. Move that folder away and start again.")
        models.load_weights(self.engine.model, _part(tensors, "model."))
        checkpoint.restore_optimizer(self.engine.optimizer, _part(tensors, "optimizer."))
        self.history, self.step = about["history"], about["step"]
        self.sums = {name: value.to(self.device) for name, value in _part(tensors, "sum.").items()}
        self.minutes, self.threads = about["minutes"], about["threads"]
        self.engine.resume_precision(about.get("precision", self.engine.precision), about.get("scaler", {}))
        if self.processes.main:
            environment.note_other(self.folder, self.device, self.engine.precision)

    def _save(self) -> None:
        """Write a checkpoint: all that a killed run needs to go on as if nothing had happened."""
        self.saved = time.monotonic()
        if not self.processes.main:
            return
        sums = {name: total.item() for name, total in self.sums.items()}
        guards.check_finite(sums, len(self.history) + 1, self.folder, self.engine.precision)  # the last good one stays
        tensors = {f"model.{name}": tensor for name, tensor in self.engine.model.state_dict().items()}
        buffers = checkpoint.optimizer_tensors(self.engine.optimizer)
        tensors |= {f"optimizer.{name}": tensor for name, tensor in buffers.items()}
        tensors |= {f"sum.{name}": total for name, total in self.sums.items()}
        about = {
            "recipe": json.loads(self.recipe.to_json()),
            "history": self.history,
            "step": self.step,
            "minutes": self._minutes(),
            "threads": self.threads,
            "precision": self.engine.precision,
            "scaler": self.engine.scaler.state_dict(),
        }
        checkpoint.write(self.folder / "checkpoint.safetensors", tensors, about)

    def _minutes(self) -> float:
        return self.minutes + (time.monotonic() - self.began) / 60

    def _after_interruption(self) -> str:
        """Save what there is; a sentence for whoever interrupted."""
        where = f"epoch {len(self.history) + 1} of {self.recipe.epochs}, after {self.step} of {len(self.sampler)} steps"
        if self.processes.size > 1:  # each process was interrupted at another place
            return f"Interrupted in {where}. Start the same training again: it goes on from its last checkpoint."
        if self.history or self.step:
            self._save()
        return f"Interrupted in {where}. All is kept in {self.folder}: start the same training again, and it goes on."

    def _write_about(self, more: dict[str, Any]) -> None:
        if not self.processes.main:
            return
        told = environment.describe(self.device) | {
            "seed": self.seed,
            "precision": self.engine.precision,
            "precision_check": self.precision_check,
            "processes": self.processes.size,
            "data": self.benchmark.name,
            "data_root": str(self.benchmark.root),
            "data_digest": self.benchmark.digest,
        }
        for left_over in self.folder.glob(".*.part"):  # of a save that was killed
            with contextlib.suppress(OSError):
                left_over.unlink()
        write_text(self.folder / "recipe.json", self.recipe.to_json())
        write_text(self.folder / "environment.json", json.dumps(told | more, indent=1))

    def _write_history(self) -> None:
        if self.processes.main:
            write_text(self.folder / "history.csv", pd.DataFrame(self.history).to_csv(index=False))

    def _keep_weights(self) -> None:
        """Before the last evaluation, whose failure then costs nothing: the same training goes on from here."""
        self._save()
        if self.processes.main:
            about = {"recipe": json.loads(self.recipe.to_json()), "identities": self.identities}
            checkpoint.write(self.folder / "weights.safetensors", self.engine.model.state_dict(), about)

    def _finish(self) -> None:
        if self.processes.main:
            if not (self.folder / "weights.safetensors").is_file():  # all epochs were trained before an interruption
                self._keep_weights()
            last = self.history[-1]
            result = {name: last[name] for name in METRICS} | {"minutes": round(self._minutes(), 3)}
            self._write_history()
            write_text(self.folder / "result.json", json.dumps(result, indent=1))
            (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)
        self.processes.broadcast(None)  # the others may look only now


def _part(tensors: checkpoint.State, prefix: str) -> checkpoint.State:
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
