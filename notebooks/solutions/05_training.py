"""Solutions of notebook 05: both schedules, one epoch of training, a step of SGD, two vital signs."""

import copy
import dataclasses

import numpy as np
import torch

from reid_lab import course, data, losses, methods, training
from reid_lab.training import step


def rate_at(progress, lr, warmup, warmup_epochs, factor, milestones, decay):
    """The learning rate after `progress` epochs: a warm-up, then steps. Both papers' schedules.

    Args:
        progress: epochs since the beginning; may be a fraction.
        lr: the rate after the warm-up.
        warmup: "constant" keeps lr * factor until the warm-up ends; "linear" begins there and
            rises evenly to lr.
        warmup_epochs: how long it lasts; 0: there is none.
        factor: of the warm-up.
        milestones: epochs at which the rate is multiplied by decay.
        decay: that number.

    Returns:
        A float.
    """
    # solution
    rate = lr
    for milestone in milestones:
        if progress >= milestone:
            rate *= decay
    if progress < warmup_epochs:
        done = progress / warmup_epochs if warmup == "linear" else 0
        rate *= factor + (1 - factor) * done
    return rate
    # end


def check_rate_at(answer):
    for name, recipe in {"A": methods.multitask("paper"), "B": methods.residual_pooling("paper")}.items():
        given = (recipe.lr, recipe.warmup, recipe.warmup_epochs, recipe.warmup_factor, recipe.milestones, recipe.decay)
        for progress in (0, 2.5, 4.75, 5, 9.5, 10, 39.75, 40, 41, 80, 110, 120, 160, 219):
            found, expected = answer(progress, *given), training.learning_rate(recipe, progress)
            if abs(found - expected) > 1e-9:
                yield f"paper {name}'s rate after {progress} epochs should be {expected:.3g}, but is {found:.3g}"
                return
    if answer(0, 1.0, "linear", 0, 0.1, (), 0.1) != 1.0:
        yield "where the warm-up lasts 0 epochs, there is none: the rate should be lr from the beginning"


def wrong_rate_at_no_warmup(progress, lr, warmup, warmup_epochs, factor, milestones, decay):
    return rate_at(progress, lr, warmup, 0, factor, milestones, decay)


def wrong_rate_at_always_linear(progress, lr, warmup, warmup_epochs, factor, milestones, decay):
    return rate_at(progress, lr, "linear", warmup_epochs, factor, milestones, decay)


def wrong_rate_at_too_late(progress, lr, warmup, warmup_epochs, factor, milestones, decay):
    return rate_at(progress, lr, warmup, warmup_epochs, factor, [each + 1 for each in milestones], decay)


def train_one_epoch(recipe, network, optimizer, sampler, store, labels, epoch, seed, clip=None):
    """Learn from each batch of one epoch.

    What you need: sampler.epoch(epoch), a list of index arrays; store.batch(indices), uint8 images;
    recipe.augmentation(epoch), called with images and a key; network(images); network.loss(outputs,
    pids).total; training.learning_rate(recipe, progress), with the progress in epochs;
    step.set_learning_rate(optimizer, rate); step.random_key(seed, epoch, i) for step i, which
    decides the augmentation and, by torch.manual_seed, dropout.

    Args:
        recipe, network, optimizer, sampler, store: see above; the network is in training mode.
        labels: (N,), the identities of all training images, counted from 0.
        epoch, seed: whole numbers from 0.
        clip: the largest length that all gradients together may have; None: any.

    Returns:
        The loss of each step, a list of floats.
    """
    # solution
    augment, history = recipe.augmentation(epoch), []
    for i, indices in enumerate(sampler.epoch(epoch)):
        rate = training.learning_rate(recipe, epoch + i / len(sampler))
        step.set_learning_rate(optimizer, rate)
        key = step.random_key(seed, epoch, i)
        torch.manual_seed(key)
        indices = torch.from_numpy(indices)
        images = augment(store.batch(indices), key)
        outputs = network(images)
        loss = network.loss(outputs, labels[indices]).total
        optimizer.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        history.append(loss.item())
    return history
    # end


class _Store:
    """Random images, as an image store gives them."""

    def __init__(self):
        draw = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (32, 3, 64, 48), dtype=torch.uint8, generator=draw)

    def batch(self, indices):
        return self.pixels[indices]


def _drops(loop):
    """Whether two runs of a loop see the same dropout, whatever torch's generator had drawn before."""
    one, other = (_trained(loop, noise=noise)[1] for noise in (1, 2))
    return bool(np.allclose(one, other, rtol=0, atol=0.01))  # rounding by several threads is far below this


def _with_noise(loss):
    """A loss that also has one number of torch's generator, as dropout brings it in."""

    def noisy(outputs, pids):
        found = loss(outputs, pids)
        return dataclasses.replace(found, total=found.total + torch.rand(()))

    return noisy


def _trained(loop, noise=0, **more):
    """How far one epoch of a loop moves the first weights of a tiny network, its losses, and the last rate."""
    recipe, labels = methods.residual_pooling("smoke", optimizer="sgd", lr=1e-4, erasing=0.5), torch.arange(32) // 4
    torch.manual_seed(0)
    network = recipe.network(8).train()
    before, optimizer = network.backbone.conv1.weight.detach().clone(), step.make_optimizer(recipe, network)
    sampler = data.PKSampler(labels.numpy(), recipe.identities, recipe.images, seed=0)
    if noise:
        network.loss = _with_noise(network.loss)
        torch.manual_seed(noise)
    history = loop(recipe, network, optimizer, sampler, _Store(), labels, epoch=1, seed=3, **more)
    return network.backbone.conv1.weight.detach() - before, history, optimizer.param_groups[0]["lr"]


def _differ(one, other):
    """Rounding moves a network by less than this, and every mistake by more."""
    return bool((one - other).abs().max() > 0.1 * other.abs().max())


def _clipped_before_every_step(recipe, network, optimizer, *rest, clip, **more):
    """The package's loop, whose optimizer clips by itself."""
    optimizer.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(network.parameters(), clip) and None)
    return step.train_epoch(recipe, network, optimizer, *rest, **more)


@course.permits(training.learning_rate, step.set_learning_rate, step.random_key)
def check_train_one_epoch(answer):
    expected, told, rate = _trained(step.train_epoch)
    moved, history, last = _trained(answer)
    if not isinstance(history, list) or len(history) != len(told) or not all(np.isscalar(each) for each in history):
        yield f"an epoch of {len(told)} steps should return a list of {len(told)} floats, but returned {history!r}"
        return
    if not moved.any():
        yield "the weights of the backbone did not change: what do backward() and step() do, and in which order?"
        return
    if abs(last - rate) > 1e-9:
        yield (
            f"in the last step of epoch 1 the learning rate should be {rate:.3g}, but was {last:.3g}: set it before "
            "every step; the progress is in epochs, and a step is a fraction of one"
        )
    if abs(history[0] - told[0]) > 1e-2:
        yield (
            f"the loss of the first step should be {told[0]:.3f}, but is {history[0]:.3f}: does the key of "
            "(seed, epoch, step) decide the augmentation?"
        )
    elif _differ(moved, expected):
        yield (
            f"a weight moved by {moved.abs().max():.2g} where it should move by {expected.abs().max():.2g}: are the "
            "gradients cleared in every step?"
        )
    if not _drops(answer):
        yield "two trainings with one seed draw other numbers: call torch.manual_seed(key) before the network computes"
    clipped, wanted = _trained(answer, clip=0.1)[0], _trained(_clipped_before_every_step, clip=0.1)[0]
    if not _differ(clipped, moved):
        yield "clip=0.1 changes nothing: clip the gradients between backward() and step()"
    elif _differ(clipped, wanted):
        yield "with clip=0.1 the length of all gradients together, not of each, should be at most 0.1 in each step"


def wrong_train_one_epoch_gradients_add_up(recipe, network, optimizer, *rest, **more):
    clear, optimizer.zero_grad = optimizer.zero_grad, lambda: None
    try:
        return train_one_epoch(recipe, network, optimizer, *rest, **more)
    finally:
        optimizer.zero_grad = clear


def wrong_train_one_epoch_never_steps(recipe, network, optimizer, *rest, **more):
    optimizer = copy.copy(optimizer)
    optimizer.step = lambda: None
    return train_one_epoch(recipe, network, optimizer, *rest, **more)


def wrong_train_one_epoch_rate_of_the_epoch(recipe, network, optimizer, sampler, *rest, epoch, seed, clip=None):
    whole, training.learning_rate = training.learning_rate, lambda recipe, progress: whole(recipe, int(progress))
    try:
        return train_one_epoch(recipe, network, optimizer, sampler, *rest, epoch=epoch, seed=seed, clip=clip)
    finally:
        training.learning_rate = whole


def wrong_train_one_epoch_never_clips(*arguments, clip=None, **more):
    return train_one_epoch(*arguments, **more)


def wrong_train_one_epoch_dropout_by_chance(recipe, network, optimizer, sampler, *rest, **more):
    """Never calls torch.manual_seed, so that dropout depends on what was drawn before."""
    seeded, torch.manual_seed = torch.manual_seed, lambda key: None
    try:
        return train_one_epoch(recipe, network, optimizer, sampler, *rest, **more)
    finally:
        torch.manual_seed = seeded


def sgd_step(weights, memories, lr, momentum, weight_decay):
    """One step of SGD with momentum and weight decay, in place: both papers' optimizer.

    The weight decay adds weight_decay times the weight to its gradient. The memory of a weight is
    momentum times what it was, plus this gradient. The weight goes lr times its memory downhill.

    Args:
        weights: a list of tensors whose .grad is filled; change them.
        memories: a list of tensors of the same shapes, at first 0; change them, too.
        lr, momentum, weight_decay: numbers.
    """
    # solution
    with torch.no_grad():
        for weight, memory in zip(weights, memories, strict=True):
            gradient = weight.grad + weight_decay * weight
            memory.mul_(momentum).add_(gradient)
            weight.sub_(lr * memory)
    # end


def check_sgd_step(answer):
    for momentum, decay in ((0.0, 0.0), (0.9, 0.0), (0.9, 0.1)):
        theirs, ours = ([torch.tensor([[1.0, -2.0]], requires_grad=True), torch.tensor([4.0], requires_grad=True)]
                        for _ in range(2))  # fmt: skip
        optimizer = torch.optim.SGD(theirs, lr=0.1, momentum=momentum, weight_decay=decay)
        memories = [torch.zeros(1, 2), torch.zeros(1)]
        for _ in range(3):
            for weight in (*theirs, *ours):
                weight.grad = None
                (weight**2).sum().backward()
            optimizer.step()
            answer(ours, memories, 0.1, momentum, decay)
        for begin, their, our in zip(("(1, -2)", "4, the second weight,"), theirs, ours, strict=True):
            if not torch.allclose(their, our, atol=1e-6):
                yield (
                    f"three steps on w^2 from {begin} with lr 0.1, momentum {momentum} and weight decay {decay}: "
                    f"torch's SGD comes to {_told(their)}, the answer to {_told(our)}"
                )


def _told(weight):
    return ", ".join(f"{value:.4f}" for value in weight.flatten().tolist())


def wrong_sgd_step_uphill(weights, memories, lr, momentum, weight_decay):
    sgd_step(weights, memories, -lr, momentum, weight_decay)


def wrong_sgd_step_forgets(weights, memories, lr, momentum, weight_decay):
    sgd_step(weights, [torch.zeros_like(memory) for memory in memories], lr, momentum, weight_decay)


def wrong_sgd_step_no_decay(weights, memories, lr, momentum, weight_decay):
    sgd_step(weights, memories, lr, momentum, 0.0)


def wrong_sgd_step_first_weight_only(weights, memories, lr, momentum, weight_decay):
    sgd_step(weights[:1], memories[:1], lr, momentum, weight_decay)


def signs_of(features, pids, margin):
    """Two vital signs of a batch: has it collapsed, and how many anchors are still active?

    Args:
        features: (batch, d).
        pids: (batch,) identities; every person has several images.
        margin: of the batch-hard triplet loss (notebook 04).

    Returns:
        Two floats. The first: the root mean square of the distances between two features of the
        batch (those of a feature to itself included), divided by that of the features' lengths.
        The second: the share of active anchors, whose triplet loss is above 0.
    """
    # solution
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    spread = distances.square().mean().sqrt()
    length = features.square().sum(dim=1).mean().sqrt()
    same = pids[:, None] == pids[None, :]
    farthest = distances.masked_fill(~same, 0).amax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    paying = (farthest - nearest + margin > 0).float().mean()
    return (spread / length).item(), paying.item()
    # end


def check_signs_of(answer):
    torch.manual_seed(0)
    pids = torch.arange(16) // 4
    people = torch.randn(4, 8).repeat_interleave(4, dim=0)
    batches = {
        "random features": torch.randn(16, 8),
        "features that are nearly one vector": 7 + 1e-3 * torch.randn(16, 8),
        "people far apart": 10 * people + 0.1 * torch.randn(16, 8),
        "people who overlap": people + 0.4 * torch.randn(16, 8),
    }
    for name, features in batches.items():
        spread, length = losses.spread(features)
        expected = (spread / length).item(), losses.paying_triplet(features, pids, 0.3)[1].item()
        found = tuple(float(value) for value in answer(features, pids, 0.3))
        for what, one, other in zip(("spread / length", "share of active anchors"), found, expected, strict=True):
            if abs(one - other) > 1e-3 * max(1e-2, other):
                yield f"{name}: the {what} should be {other:.4g}, but is {one:.4g}"
                return


def wrong_signs_of_lengths(features, pids, margin):
    return features.norm(dim=1).std().item() / features.norm(dim=1).mean().item(), signs_of(features, pids, margin)[1]


def wrong_signs_of_pairs(features, pids, margin):
    d, same = torch.cdist(features, features), pids[:, None] == pids
    return signs_of(features, pids, margin)[0], (d[same].mean() - d[~same] + margin > 0).float().mean().item()
