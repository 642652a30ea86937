"""Training, plainly: one process, one device, no files.

:func:`reid_lab.training.fit` gives the same weights. It also survives a kill, shares the work among processes and
keeps what it trained. A test compares the weights bit for bit, on one thread and, with
``torch.use_deterministic_algorithms(True)``, on several.

Everything random in a step is decided by (seed, epoch, step): its batch, its augmentation, its dropout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from reid_lab import data, models
from reid_lab.methods import Recipe, Sampler
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import stages
from reid_lab.training.schedule import learning_rate

NO_EXTRAS: Mapping[str, Tensor] = MappingProxyType({})


def train(recipe: Recipe, benchmark: data.Benchmark, seed: int = 0) -> models.Network:
    """Train the network of ``recipe`` on the CPU in float32.

    Args:
        recipe: what to train; its ``precision`` is not looked at.
        benchmark: whose training images to learn from.
        seed: decides the weights, the batches, the augmentation and dropout.

    Returns:
        The trained network, in evaluation mode.
    """
    extras = recipe.extras(benchmark)  # neither paper's method has any
    teacher = train(recipe.teacher, benchmark, seed) if recipe.teacher else None  # neither paper's method has one
    records = recipe.training_images(benchmark, seed)  # the benchmark's, for both papers' methods
    identities, labels, camids = labels_of(records)
    torch.manual_seed(seed)  # decides the initial weights
    sampler = recipe.sampler(labels, camids, seed)
    store = data.image_store(records, recipe.resize)  # uint8 (N, 3, H, W)
    network = recipe.network(identities).to(memory_format=torch.channels_last)
    if teacher:
        network.learn_from(teacher)
    optimizer = make_optimizer(recipe, network)
    epoch = 0
    for stage in recipe.stages:  # both papers' methods have one
        stages.begin(stage, network, optimizer, random_key(seed, epoch, 0))
        stages.freeze(stage, optimizer)
        for _ in range(stage.epochs):
            stages.set_training_mode(stage, network)
            train_epoch(recipe, network, optimizer, sampler, store, torch.from_numpy(labels), epoch, seed, extras)
            epoch += 1
    return network.eval()


def labels_of(records: Sequence[data.Record]) -> tuple[int, np.ndarray, np.ndarray]:
    """Number the identities of training images, as classifiers count them.

    Returns:
        How many identities there are; whose each image is, (N,), counted from 0, or -1 where nobody knows; and the
        camera of each, (N,).
    """
    pids, camids = (np.array([getattr(record, name) for record in records]) for name in ("pid", "camid"))
    known = np.unique(pids[pids != data.JUNK])
    return len(known), np.where(pids == data.JUNK, -1, np.searchsorted(known, pids)), camids


def train_epoch(
    recipe: Recipe,
    network: models.Network,
    optimizer: torch.optim.Optimizer,
    sampler: Sampler,
    store: data.ImageStore,
    labels: Tensor,
    epoch: int,
    seed: int,
    extras: Mapping[str, Tensor] = NO_EXTRAS,
) -> list[float]:
    """Learn from each batch of one epoch, and return the loss of each step.

    Args:
        recipe: gives the augmentation and the learning rate.
        network: in training mode.
        optimizer: from :func:`make_optimizer`.
        sampler: draws the batches.
        store: the training images.
        labels: their identities, counted from 0: (N,), on the network's device.
        epoch: which one, counted from 0.
        seed: of the training.
        extras: what travels with the training images (see :mod:`reid_lab.methods.extras`): (N, ...) each.
    """
    augment, losses = recipe.augmentation(epoch), []
    for step, indices in enumerate(map(torch.from_numpy, sampler.epoch(epoch))):  # (batch,)
        set_learning_rate(optimizer, learning_rate(recipe, epoch + step / len(sampler)))
        key = random_key(seed, epoch, step)
        torch.manual_seed(key)  # decides dropout
        network.draw(torch.Generator().manual_seed(key))  # for a network that draws more; neither paper's does
        pixels = store.batch(indices)  # uint8 (batch, 3, H, W)
        images = augment(pixels, key)  # float32: crop, flip, erasing, normalization
        told = recipe.move(rows_of(extras, indices), augment.geometry(pixels, key))  # points move with the pixels
        outputs = network(images.contiguous(memory_format=torch.channels_last), **told)
        loss = network.loss(outputs, labels[indices]).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def rows_of(extras: Mapping[str, Tensor], indices: Tensor) -> dict[str, Tensor]:
    """Take the rows (batch, ...) of a batch of extras (N, ...), by the indices (batch,) of its images."""
    return {name: values[indices] for name, values in extras.items()}


def make_optimizer(recipe: Recipe, network: models.Network) -> torch.optim.Optimizer:
    """Make the recipe's optimizer.

    Returns:
        An optimizer with one group for each of the network's groups of parameters, with its ``name`` and its
        ``factor`` on the learning rate.

    Raises:
        RecipeError: the recipe has a rate for a group that the network does not have.
    """
    named, rates = network.groups(), recipe.rates
    for name in rates:
        if name not in named:
            raise RecipeError(f"The recipe has a rate for {name!r}, but the network has only {list(named)}.")
    groups = [{"name": name, "params": some, "factor": rates.get(name, 1.0)} for name, some in named.items()]
    lr, decay = recipe.lr, recipe.weight_decay
    match recipe.optimizer:
        case "adam":  # its weight decay is part of the gradient
            return torch.optim.Adam(groups, lr=lr, weight_decay=decay, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=lr, weight_decay=decay, fused=True)
        case _:
            nesterov = recipe.optimizer == "nesterov"
            return torch.optim.SGD(
                groups, lr=lr, momentum=recipe.momentum, weight_decay=decay, nesterov=nesterov, fused=True
            )


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each group of parameters the rate ``lr`` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["factor"]


def random_key(seed: int, epoch: int, step: int) -> int:
    """Make one number of (seed, epoch, step), spread over 62 bits."""
    return int(np.random.SeedSequence([seed, epoch, step]).generate_state(1, np.uint64)[0] >> 2)
