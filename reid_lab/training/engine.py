"""One training step: a batch of images through augmentation, network, losses and optimizer."""

from __future__ import annotations

import copy
import logging
import time
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from reid_lab import data
from reid_lab.losses import Losses
from reid_lab.methods import Recipe, Stage
from reid_lab.runtime import environment, precision
from reid_lab.runtime.device import fast_precision, out_of_memory, synchronize
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import DeviceError
from reid_lab.training import stages
from reid_lab.training.schedule import learning_rate
from reid_lab.training.stages import total_epochs
from reid_lab.training.step import make_optimizer, set_learning_rate


class Engine:
    """A recipe's network with all that trains it, on one device or shared by several processes.

    Nothing here waits for a GPU: what a step needs is decided on the CPU beforehand, and what it gives stays on the
    device until somebody reads it. On several GPUs PyTorch's synchronized batch norms wait once each.

    Attributes:
        model: the network itself.
        network: what is called in training, wrapped and compiled; shares its weights with ``model``.
        optimizer: over the network's groups of parameters.
        precision: what is computed in: "float32", "bf16" or "float16".
        places: this process's images within a batch: indices (batch / processes,).
    """

    def __init__(self, recipe: Recipe, identities: int, processes: Processes) -> None:
        self.recipe, self.processes, self.device = recipe, processes, processes.device
        fastest = fast_precision(processes.device)
        self.precision = fastest if recipe.precision == "auto" else recipe.precision  # until it is checked
        self.places = processes.share(recipe.batch, recipe.groups)
        self.part = data.Part(self.places, recipe.batch) if processes.size > 1 else None
        self.augment = recipe.augmentation(epoch=0)
        self.model = recipe.network(identities).to(processes.device).to(memory_format=torch.channels_last)
        self.network, self.compiled = processes.wrap(self.model), False
        self.optimizer = make_optimizer(recipe, self.model)
        # Small gradients are zero in float16, so the loss is multiplied until they are too large for it, then by less.
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=self.precision == "float16")

    def check_precision(self, pixels: Tensor, pids: Tensor, **extras: Tensor) -> str:
        """Compare a fast precision with float32, at each size that images have in training.

        Where it is wrong, training goes on in float32, and a warning is logged. All processes decide alike.

        Args:
            pixels: uint8 (batch, 3, H, W), at the recipe's ``resize``.
            pids: whose they are: (batch,), counted from 0.
            **extras: what travels with them (see :mod:`reid_lab.methods.extras`): (batch, ...) each.

        Returns:
            What was found, as a sentence.

        Raises:
            DeviceError: the precision is wrong here, and the recipe insists on it.
        """
        if self.precision == "float32":
            return "float32 needs none"
        found, first = "", self.augment
        for shrink in sorted({self.recipe.augmentation(epoch).shrink for epoch in range(total_epochs(self.recipe))}):
            self.augment = replace(first, shrink=shrink)
            if self.precision != "float32":
                found = self._check_precision(self.prepare(pixels, 0), pids, **self.move(extras, pixels, 0))
        self.augment = first
        return found

    def _check_precision(self, images: Tensor, pids: Tensor, **extras: Tensor) -> str:
        check = precision.check_training(
            self.model, images, lambda network, outputs: network.loss(outputs, pids).total, self.precision, **extras
        )
        faults = [fault for fault in self.processes.answers(check.fault) if fault]
        if not faults:
            return str(check)
        if self.recipe.precision == self.precision:
            raise DeviceError(f"{faults[0]}. Train with precision='auto' or 'float32'.")
        self._use_float32()
        if self.processes.main:
            logging.getLogger("reid_lab").warning("%s. So the training runs in float32.", faults[0])
        return faults[0]

    def resume_precision(self, precision: str, scaler: dict[str, Any]) -> None:
        """Go on in float32 where a run has begun in it, and with its gradient scaler where it has one."""
        if precision == "float32":
            self._use_float32()
        if scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)

    def _use_float32(self) -> None:
        self.precision = "float32"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=False)

    def enter(self, stage: Stage, key: int) -> None:
        """Tell the network that ``stage`` begins, and clear the optimizer (see :func:`.stages.begin`)."""
        stages.begin(stage, self.model, self.optimizer, key)

    def begin_epoch(self, stage: Stage, epoch: int) -> None:
        """The epoch's augmentation; training mode, and gradients, for what ``stage`` trains.

        Where that changes, the wrapper of several processes is made anew, because it expects the gradients that there
        were when it was made.
        """
        self.augment = self.recipe.augmentation(epoch)
        if stages.freeze(stage, self.optimizer):
            self.network = self.processes.wrap(self.model)
            if self.compiled:
                self.network = cast(nn.Module, torch.compile(self.network))
        stages.set_training_mode(stage, self.model)

    def step(self, images: Tensor, pids: Tensor, key: int, **extras: Tensor) -> Losses:
        """Train on one batch.

        Args:
            images: uint8 (batch, 3, H, W), at the recipe's ``resize``.
            pids: whose they are: (batch,), counted from 0.
            key: decides everything random.
            **extras: what travels with the images: (batch, ...) each.
        """
        return self.update(self.prepare(images, key), pids, **self.move(extras, images, key))

    def prepare(self, images: Tensor, key: int) -> Tensor:
        """Augment and normalize uint8 images: float32, channels last; what the network draws is seeded, too."""
        torch.manual_seed(key + self.processes.rank)
        self.model.draw(torch.Generator().manual_seed(key))
        return self.augment(images, key, self.part).contiguous(memory_format=torch.channels_last)

    def move(self, extras: dict[str, Tensor], images: Tensor, key: int) -> dict[str, Tensor]:
        """Let what travels with uint8 images follow what :meth:`prepare` makes of them."""
        return self.recipe.move(extras, self.augment.geometry(images, key, self.part)) if extras else extras

    def update(self, images: Tensor, pids: Tensor, **extras: Tensor) -> Losses:
        """Compute the losses of prepared images and their gradients, and update the weights."""
        losses = self.losses(images, pids, **extras)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses.total).backward()
        signs = losses.signs | {"gradient_norm": self._gradient_norm()}
        self.scaler.step(self.optimizer)  # skipped where a gradient is not finite
        self.scaler.update()
        return replace(losses, signs=signs)

    def _gradient_norm(self) -> Tensor:
        """The length of all gradients, of all processes; 0 where the scaler skips the step, as it does at first."""
        parameters = (parameter for group in self.optimizer.param_groups for parameter in group["params"])
        norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
        if not self.scaler.is_enabled():
            return norm
        return torch.where(norm.isfinite(), norm / self.scaler.scale(torch.ones_like(norm)), 0.0)

    def losses(self, images: Tensor, pids: Tensor, **extras: Tensor) -> Losses:
        """Compute the losses of prepared images. Distances and logits are float32, whatever the autocast."""
        with precision.autocast(self.device, self.precision):
            outputs = self.network(images, **extras)
        return self.model.loss(outputs, pids, self.processes.gather)

    def set_lr(self, progress: float) -> float:
        """Set the learning rate after ``progress`` epochs, and return it (the head's)."""
        lr = learning_rate(self.recipe, progress)
        set_learning_rate(self.optimizer, lr)
        return lr

    def compile(self, images: Tensor, pids: Tensor, **extras: Tensor) -> float:
        """Compile the network with torch.compile and try it on a prepared batch.

        Returns:
            The seconds it took.

        Raises:
            DeviceError: torch.compile does not work here.
        """
        began, before = time.perf_counter(), copy.deepcopy(self.model.state_dict())
        try:
            self.network, self.compiled = cast(nn.Module, torch.compile(self.network)), True
            self.losses(images, pids, **extras).total.backward()
        except Exception as error:  # a missing compiler, an unsupported operation: many libraries take part
            if out_of_memory(error):  # told by the loop, with its cure
                raise
            said = next(iter(str(error).strip().splitlines()), "no reason given")
            raise DeviceError(
                f"torch.compile does not work here ({type(error).__name__}: {said}); train without it."
            ) from error
        self.optimizer.zero_grad(set_to_none=True)
        self.model.load_state_dict(before)  # the trial has moved the batch norms' statistics
        synchronize(self.device)
        return time.perf_counter() - began

    def fastest_threads(self, images: Tensor, pids: Tensor, **extras: Tensor) -> int:
        """Find the faster number of CPU threads for a step on prepared images, tried on a copy of the network."""
        trial = copy.copy(self)
        trial.network = trial.model = copy.deepcopy(self.model)
        return environment.fastest_threads(lambda: trial.losses(images, pids, **extras).total.backward())
