"""Training, plainly: one process, one device, no files. :func:`reid_lab.training.fit` gives the same weights, and
survives a kill, shares the work among processes and keeps what it trained. A test compares the weights bit for bit, on
one thread and, with ``torch.use_deterministic_algorithms(True)``, on several.

Everything random in a step is decided by (seed, epoch, step): its batch, its augmentation, its dropout.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reid_lab import data, models
from reid_lab.methods import Recipe, Sampler
from reid_lab.runtime.precision import autocast
from reid_lab.training.schedule import learning_rate


def train(recipe: Recipe, benchmark: data.Benchmark, seed: int = 0, precision: str = "float32") -> models.Network:
    """The network of ``recipe``, trained on the CPU from random weights; in evaluation mode.

    ``precision`` is "float32", "bf16" or "float16" without a scaled loss; a recipe's "auto" is not looked at.
    """
    torch.manual_seed(seed)  # of the weights
    pids, labels = np.unique([record.pid for record in benchmark.train], return_inverse=True)  # labels count from 0
    camids = np.array([record.camid for record in benchmark.train])
    sampler = recipe.sampler(labels, camids, seed)
    store = data.image_store(benchmark.train, recipe.resize)  # uint8 (N, 3, H, W)
    network = recipe.network(len(pids)).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(recipe, network)
    for epoch in range(recipe.epochs):
        train_epoch(recipe, network, optimizer, sampler, store, torch.from_numpy(labels), epoch, seed, precision)
    return network.eval()


def train_epoch(
    recipe: Recipe,
    network: models.Network,
    optimizer: torch.optim.Optimizer,
    sampler: Sampler,
    store: data.ImageStore,
    labels: Tensor,
    epoch: int,
    seed: int,
    precision: str = "float32",
) -> list[float]:
    """One pass over the sampler's batches; returns the loss of each step. ``epoch`` counts from 0."""
    augment, losses = recipe.augmentation(), []
    network.train()
    for step, indices in enumerate(map(torch.from_numpy, sampler.epoch(epoch))):  # (batch,)
        for group in optimizer.param_groups:
            group["lr"] = group["factor"] * learning_rate(recipe, epoch + step / len(sampler))
        key = random_key(seed, epoch, step)
        torch.manual_seed(key)  # of dropout
        images = augment(store.batch(indices), key)  # float32 (batch, 3, H, W): crop, flip, erasing, normalization
        with autocast(images.device, precision):
            outputs = network(images.contiguous(memory_format=torch.channels_last))
        loss = network.loss(outputs, labels[indices]).total  # always in float32
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def make_optimizer(recipe: Recipe, network: models.Network) -> torch.optim.Optimizer:
    """SGD or AdamW over two groups, the backbone and the head, each with its ``factor`` on the learning rate."""
    groups = [
        {"params": network.backbone_parameters(), "factor": recipe.backbone_lr},
        {"params": network.head_parameters(), "factor": 1.0},
    ]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=True
        )
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True)


def random_key(seed: int, epoch: int, step: int) -> int:
    """One number per (seed, epoch, step), spread over 62 bits."""
    return int(np.random.SeedSequence([seed, epoch, step]).generate_state(1, np.uint64)[0] >> 2)
