"""The training loop that researchers run; :mod:`.step` has the plain one, to be read first.

It reads and writes checkpoints, shares the work among processes, watches the losses and evaluates on the way.
Everything random in a step is decided by (seed, epoch, step), so a run that was killed goes on from its last
checkpoint to the same weights, bit for bit, on one thread of the same CPU, and on several with ``deterministic``.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from reid_lab import data, retrieval
from reid_lab.methods import Recipe
from reid_lab.models.weights import start_digest
from reid_lab.runtime import checkpoint, environment
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.files import write_text
from reid_lab.runtime.progress import bar
from reid_lab.runtime.signals import Interruption
from reid_lab.training import guards, progress
from reid_lab.training.engine import Engine
from reid_lab.training.progress import Progress
from reid_lab.training.run import METRICS, write_about
from reid_lab.training.schedule import learning_rate
from reid_lab.training.stages import stage_at, total_epochs
from reid_lab.training.step import labels_of, random_key, rows_of
from reid_lab.training.tensorboard import write_tensorboard

READ_EVERY = 20  # steps between two looks at the loss: each look makes a GPU wait


@dataclass(frozen=True)
class Options:
    """How to train, which changes no recipe; :func:`reid_lab.training.fit` explains them."""

    deterministic: bool = False
    compile: bool = False
    tensorboard: bool = False
    checkpoint_seconds: float = 60.0


class Trainer:
    """One run in progress: the network, the batches, and how far it has come.

    Attributes:
        engine: the network, the optimizer and a step of them.
        sampler: what draws the batches.
        images: all training images, those that the recipe adds among them.
        labels: their identities, counted from 0, or -1 where nobody knows: (N,), on the device.
        extras: what travels with them (see :mod:`reid_lab.methods.extras`): (N, ...) each, on the device.
        progress: how far it has come; taken up from the folder's checkpoint, if there is one.
    """

    def __init__(
        self,
        recipe: Recipe,
        benchmark: data.Benchmark,
        seed: int,
        processes: Processes,
        folder: Path,
        options: Options = Options(),  # noqa: B008 (frozen)
    ) -> None:
        self.recipe, self.benchmark, self.seed, self.processes, self.folder = recipe, benchmark, seed, processes, folder
        self.options, self.device = options, processes.device
        self.extras = {name: values.to(self.device) for name, values in recipe.extras(benchmark).items()}
        self.images = recipe.training_images(benchmark, seed)
        self.identities, labels, camids = labels_of(self.images)
        self.labels = torch.from_numpy(labels).to(self.device)
        self.sampler = recipe.sampler(labels, camids, seed)
        self.engine = Engine(recipe, self.identities, processes)
        self.epochs = total_epochs(recipe)
        self.interruption, self.precision_check = Interruption(active=processes.size == 1), ""
        self.progress, self.counted, self.saved = Progress(), time.monotonic(), time.monotonic()
        if processes.broadcast((folder / progress.FILE).is_file()):
            self.progress = progress.restore(folder, self.engine)
            if processes.main:
                environment.note_other(folder, self.device, self.engine.precision)

    def run(self) -> None:
        """Train the epochs that are left, then write the weights and the result."""
        store = data.image_store(self.images, self.recipe.resize, self.device)
        warm_up = self.warm_up(store)
        self._write_about({"compile_seconds": warm_up} if self.options.compile else {})
        steps, first = len(self.sampler), len(self.progress.history)
        shown = bar(total=self.epochs * steps, description=self.folder.name, unit="step")
        with self.interruption, shown:
            shown.update(first * steps + self.progress.step)
            try:
                kept = self._kept_images()
                self.counted = self.saved = time.monotonic()
                for epoch in range(first, self.epochs):
                    self.epoch(epoch, store, shown)
            except KeyboardInterrupt:
                raise KeyboardInterrupt(self._after_interruption()) from None
        del kept
        self._finish()

    def warm_up(self, store: data.ImageStore) -> float:
        """Before the first step: choose a CPU's number of threads, check the precision, compile where asked.

        The faster number of threads is found by timing, so where the same bits are wanted each time it is torch's.

        Returns:
            The seconds of compilation.
        """
        indices = torch.from_numpy(self.sampler.epoch(0)[0])[self.engine.places]
        there, pixels = indices.to(self.device), store.batch(indices)
        pids, extras = self.labels[there], rows_of(self.extras, there)
        images, moved = self.engine.prepare(pixels, 0), self.engine.move(extras, pixels, 0)
        if self.device.type == "cpu":  # a resumed run keeps its own number, so that its bits stay the same
            threads = self.progress.threads
            if threads is None and self.processes.size == 1 and not torch.are_deterministic_algorithms_enabled():
                threads = self.engine.fastest_threads(images, pids, **moved)
            self.progress.threads = threads or torch.get_num_threads()
            torch.set_num_threads(self.progress.threads)
        self.precision_check = self.engine.check_precision(pixels, pids, **extras)
        return round(self.engine.compile(images, pids, **moved), 1) if self.options.compile else 0.0

    def epoch(self, epoch: int, store: data.ImageStore, shown: Any) -> None:
        """Take the steps of an epoch that are left, keep what they amounted to, and evaluate where that is due.

        Args:
            epoch: which one, counted from 0.
            store: the training images.
            shown: the progress bar.
        """
        self._begin(epoch)
        first, began = self.progress.step, time.perf_counter()
        self._steps(epoch, store, shown)
        row = {"epoch": epoch + 1, "lr": learning_rate(self.recipe, epoch + 1 - 1 / len(self.sampler))} | self._means()
        guards.check_finite(row, epoch + 1, self.folder, self.engine.precision)
        guards.check_spread(row, self.engine.model.collapse_margin(), epoch + 1, self.folder)
        taken = self.progress.step - first  # 0 in a run that is resumed after the last step
        speed = taken * self.recipe.batch / (time.perf_counter() - began)
        row["images_per_second"] = round(speed, 1) if taken else math.nan
        if epoch + 1 == self.epochs:
            self._keep_weights()
        if self._evaluation_is_due(epoch + 1):
            row |= self.processes.broadcast(self._evaluate(epoch + 1) if self.processes.main else None)
        with self.interruption.held():
            self.progress.history.append(row)
            self.progress.step, self.progress.sums = 0, {}
        self._write_history()
        if self.options.tensorboard and self.processes.main:
            write_tensorboard(self.folder / "tensorboard", row)

    def _begin(self, epoch: int) -> None:
        """Training mode for what the epoch's stage trains; the network is told of a stage once, at its first step.

        A checkpoint follows at once, so that a kill within the stage does not begin it again.
        """
        index, _ = stage_at(self.recipe, epoch)
        stage = self.recipe.stages[index]
        if self.progress.entered <= index:
            with self.interruption.held():
                self.engine.enter(stage, random_key(self.seed, epoch, 0))
                self.progress.entered = index + 1
            if index:
                self.save()
        self.engine.begin_epoch(stage, epoch)

    def _steps(self, epoch: int, store: data.ImageStore, shown: Any) -> None:
        """The steps of an epoch that are left, with a checkpoint where one is due."""
        here = torch.from_numpy(np.stack(self.sampler.epoch(epoch)))[:, self.engine.places]  # (steps, batch)
        batches = data.to_device(here, self.device)
        picks = here if store.pixels.device.type == "cpu" else batches  # where the images are, so that no step waits
        while (step := self.progress.step) < len(batches):
            with self.interruption.held():
                rows = rows_of(self.extras, batches[step])
                lr = self.step(store.batch(picks[step]), self.labels[batches[step]], epoch, **rows)
            shown.update()
            if step % READ_EVERY == 0:
                self._look(epoch, lr, shown)
            if time.monotonic() - self.saved > self.options.checkpoint_seconds:
                self.save()

    def step(self, images: Tensor, pids: Tensor, epoch: int, **extras: Tensor) -> float:
        """Take one step, and add its losses to the sums.

        Args:
            images: uint8 (batch, 3, H, W), at the recipe's ``resize``.
            pids: whose they are: (batch,), counted from 0.
            epoch: the present one, counted from 0.
            **extras: what travels with the images: (batch, ...) each.

        Returns:
            The step's learning rate.
        """
        step = self.progress.step
        lr = self.engine.set_lr(epoch + step / len(self.sampler))
        losses = self.engine.step(images, pids, random_key(self.seed, epoch, step), **extras)
        self.progress.add(losses.report())
        return lr

    def _look(self, epoch: int, lr: float, shown: Any) -> None:
        """Read the mean losses of this epoch so far: shown, and refused where they are no longer numbers."""
        means = self._means()
        shown.set_postfix(epoch=epoch + 1, loss=f"{means['loss']:.3f}", lr=f"{lr:.1e}")
        guards.check_finite(means, epoch + 1, self.folder, self.engine.precision)

    def _means(self) -> dict[str, float]:
        """The epoch's mean losses until now, over all processes."""
        sums = self.progress.sums
        total = self.processes.mean(torch.stack(list(sums.values())) / self.progress.step)
        return dict(zip(sums, total.tolist(), strict=True))

    def _evaluation_is_due(self, epochs: int) -> bool:
        every = self.recipe.evaluate_every
        return epochs == self.epochs or bool(every and epochs % every == 0)

    def _evaluate(self, epochs: int) -> dict[str, float]:
        """On the way in the precision of training, twice as fast; the end, which is what counts, in float32."""
        fast = self.engine.precision != "float32" and epochs < self.epochs  # and fit has checked the benchmark already
        result = retrieval.evaluate(self.engine.model, self.benchmark, device=self.device, autocast=fast, check=False)
        return {name: result.table()[name].item() / 100 for name in METRICS}

    def _kept_images(self) -> list[data.ImageStore]:
        """Query and gallery, decoded once for all evaluations."""
        if not self.processes.main:
            return []
        splits = (self.benchmark.query, self.benchmark.gallery)
        return [data.image_store(split, self.recipe.crop, self.device) for split in splits]

    # the run's folder
    def save(self) -> None:
        """Write a checkpoint, unless a loss is no longer finite: the last good one stays."""
        self.saved = time.monotonic()
        if not self.processes.main:
            return
        self._count_minutes()
        sums = {name: total.item() for name, total in self.progress.sums.items()}
        guards.check_finite(sums, len(self.progress.history) + 1, self.folder, self.engine.precision)
        progress.save(self.folder, self.engine, self.progress)

    def _count_minutes(self) -> None:
        now = time.monotonic()
        self.progress.minutes += (now - self.counted) / 60
        self.counted = now

    def _after_interruption(self) -> str:
        """Save what there is; a sentence for whoever interrupted."""
        done, steps = self.progress, len(self.sampler)
        where = f"epoch {len(done.history) + 1} of {self.epochs}, after {done.step} of {steps} steps"
        if self.processes.size > 1:  # each process was interrupted at another place
            return f"Interrupted in {where}. Start the same training again: it goes on from its last checkpoint."
        if done.history or done.step:
            self.save()
        return f"Interrupted in {where}. All is kept in {self.folder}: start the same training again, and it goes on."

    def _write_about(self, more: dict[str, Any]) -> None:
        if not self.processes.main:
            return
        told = environment.describe(self.device) | {
            "precision": self.engine.precision,
            "precision_check": self.precision_check,
            "processes": self.processes.size,
        }
        if self.recipe.weights == "passersby":
            told["start"] = start_digest(self.recipe.backbone)
        write_about(self.folder, self.recipe, self.benchmark, self.seed, told | more)

    def _write_history(self) -> None:
        if self.processes.main:
            write_text(self.folder / "history.csv", pd.DataFrame(self.progress.history).to_csv(index=False))

    def _keep_weights(self) -> None:
        """Before the last evaluation, whose failure then costs nothing: the same training goes on from here."""
        self.save()
        if self.processes.main:
            about = {"recipe": json.loads(self.recipe.to_json()), "identities": self.identities}
            checkpoint.write(self.folder / "weights.safetensors", self.engine.model.state_dict(), about)

    def _finish(self) -> None:
        if self.processes.main:
            if not (self.folder / "weights.safetensors").is_file():  # all epochs were trained before an interruption
                self._keep_weights()
            self._count_minutes()
            last = self.progress.history[-1]
            result = {name: last[name] for name in METRICS} | {"minutes": round(self.progress.minutes, 3)}
            self._write_history()
            write_text(self.folder / "result.json", json.dumps(result, indent=1))
            (self.folder / progress.FILE).unlink(missing_ok=True)
        self.processes.broadcast(None)  # the others may look only now
