"""Solutions of the exercises of 14_transfer.ipynb, and what checks them."""

import copy

import torch
from torch import nn


def relative_change(before, after):
    """How far training moved each layer of a backbone.

    before, after  state dictionaries: tensors by names such as "layer1.0.conv1.weight"; the layer's name is what
                   stands before the first dot

    Returns a dictionary from layer to a float. The weights of all convolutions of a layer count as one long vector;
    tensors that are not convolutions (those without four dimensions) do not count.
    """
    # solution
    moved, length = {}, {}
    for name, old in before.items():
        if old.ndim != 4:
            continue
        layer = name.split(".")[0]
        moved[layer] = moved.get(layer, 0.0) + (after[name] - old).square().sum().item()
        length[layer] = length.get(layer, 0.0) + old.square().sum().item()
    return {layer: (moved[layer] / length[layer]) ** 0.5 for layer in moved}
    # end


def check_relative_change(answer):
    before = {
        "conv1.weight": torch.full((1, 1, 1, 1), 2.0),
        "layer1.0.a.weight": torch.full((1, 1, 3, 1), 1.0),
        "layer1.1.b.weight": torch.full((1, 1, 1, 1), 1.0),
        "layer1.0.bn.weight": torch.ones(5),
    }
    after = {name: value.clone() for name, value in before.items()}
    after["layer1.0.a.weight"][0, 0, 0] = 2.0
    after["layer1.0.bn.weight"] += 100
    kept = {name: value.clone() for name, value in before.items()}
    found = answer(before, after)
    if set(found) != {"conv1", "layer1"}:
        yield f"the layers should be conv1 and layer1, but are {', '.join(map(str, found))}."
        return
    if abs(found["conv1"]) > 1e-6:
        yield f"conv1 did not change, so its relative change should be 0, not {found['conv1']:g}."
    if abs(found["layer1"] - 0.5) > 1e-6:
        yield (
            "of the four weights of layer1's two convolutions, all 1, one became 2: the change has length 1, the "
            f"weights had length 2, so it should be 0.5, not {found['layer1']:g}."
        )
    if any(not torch.equal(before[name], kept[name]) for name in before):
        yield "the state dictionaries that it is given should stay as they are."


def wrong_relative_change_mean_of_tensors(before, after):
    found = {}
    for name, old in before.items():
        if old.ndim == 4:
            found.setdefault(name.split(".")[0], []).append(((after[name] - old).norm() / old.norm()).item())
    return {layer: sum(some) / len(some) for layer, some in found.items()}


def wrong_relative_change_with_batch_norms(before, after):
    moved, length = {}, {}
    for name, old in before.items():
        layer = name.split(".")[0]
        moved[layer] = moved.get(layer, 0.0) + (after[name] - old).square().sum().item()
        length[layer] = length.get(layer, 0.0) + old.square().sum().item()
    return {layer: (moved[layer] / length[layer]) ** 0.5 for layer in moved}


def recalibrated(network, batches):
    """A copy of a network whose batch norms have the statistics of these batches.

    network  any module with BatchNorm1d or BatchNorm2d layers
    batches  a list of tensors that the network takes

    All batches count alike: running_mean and running_var are the means over the batches. The copy is in evaluation
    mode. The given network stays as it is, and no weight changes.
    """
    # solution
    adapted = copy.deepcopy(network).train()
    for module in adapted.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        for batch in batches:
            adapted(batch)
    return adapted.eval()
    # end


def check_recalibrated(answer):
    torch.manual_seed(0)
    network = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2), nn.BatchNorm1d(2)).eval()
    batches = [torch.randn(64, 3) * (i + 1) + 5 for i in range(4)]
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    weight = network[1].weight
    found = answer(network, batches)
    if found is network or any(not torch.equal(value, kept[name]) for name, value in network.state_dict().items()):
        yield "the network that it was given has changed: work on a copy."
        return
    if found.training:
        yield "the copy should be in evaluation mode, so that it uses the new statistics: call eval()."
    if not torch.equal(found[1].weight, weight):
        yield "a weight of the linear layer has changed: only the statistics of batch norms should."
    mean = torch.stack([batch.mean(0) for batch in batches]).mean(0)
    variance = torch.stack([batch.var(0) for batch in batches]).mean(0)
    if not torch.allclose(found[0].running_mean, mean, atol=1e-4):
        yield (
            f"running_mean of the first batch norm should be the mean over the batches, {mean[0]:.2f} in the first "
            f"channel, not {found[0].running_mean[0]:.2f}: forget the old statistics, and let all batches count alike."
        )
    elif not torch.allclose(found[0].running_var, variance, atol=1e-3):
        yield f"running_var should be {variance[0]:.2f} in the first channel, not {found[0].running_var[0]:.2f}."


def wrong_recalibrated_in_place(network, batches):
    network.train()
    for batch in batches:
        network(batch)
    return network.eval()


def wrong_recalibrated_old_statistics(network, batches):
    adapted = copy.deepcopy(network).train()
    with torch.no_grad():
        for batch in batches:
            adapted(batch)
    return adapted.eval()


def linear_probe(features, labels, classes, steps=200, lr=0.1):
    """Train a linear classifier on frozen features, and give it back.

    features  (N, d) float tensor; it gets no gradient
    labels    (N,) long tensor, 0 ... classes - 1
    steps     how many times the weights move; every step uses all N features
    lr        the rate of plain gradient descent (torch.optim.SGD)

    Returns an nn.Linear(d, classes). The loss is cross-entropy.
    """
    # solution
    probe = nn.Linear(features.shape[1], classes)
    optimizer = torch.optim.SGD(probe.parameters(), lr=lr)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(probe(features.detach()), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return probe
    # end


def check_linear_probe(answer):
    generator = torch.Generator().manual_seed(0)
    centres = 3 * torch.randn(4, 8, generator=generator)
    labels = torch.arange(4).repeat(50)
    features = (centres[labels] + torch.randn(200, 8, generator=generator)).requires_grad_()
    torch.manual_seed(0)
    probe = answer(features, labels, 4)
    if not isinstance(probe, nn.Linear) or (probe.in_features, probe.out_features) != (8, 4):
        yield "it should return an nn.Linear from 8 features to 4 classes."
        return
    accuracy = (probe(features).argmax(1) == labels).float().mean().item()
    if accuracy < 0.97:
        yield f"on four well separated classes it should be right for nearly all features, not for {accuracy:.0%}."
    if features.grad is not None:
        yield "the features have a gradient: they are frozen, so detach them."
    torch.manual_seed(0)
    few = answer(features, labels, 4, steps=1)
    torch.manual_seed(0)
    many = answer(features, labels, 4, steps=100)
    torch.manual_seed(0)
    start = nn.Linear(8, 4)
    nn.functional.cross_entropy(start(features.detach()), labels).backward()
    for rate in (0.1, 0.01):
        torch.manual_seed(0)
        moved = answer(features, labels, 4, steps=1, lr=rate).weight
        if not torch.allclose(moved, start.weight - rate * start.weight.grad, atol=1e-5):
            yield f"one step of gradient descent with all features should move the weights by {rate:g} x gradient."
    losses = [nn.functional.cross_entropy(one(features), labels).item() for one in (few, many)]
    if losses[1] > 0.5 * losses[0]:
        yield "a hundred steps should end with a far smaller loss than one step: is every step taken?"


def wrong_linear_probe_one_step(features, labels, classes, steps=200, lr=0.1):
    probe = nn.Linear(features.shape[1], classes)
    optimizer = torch.optim.SGD(probe.parameters(), lr=lr)
    nn.functional.cross_entropy(probe(features.detach()), labels).backward()
    optimizer.step()
    return probe


def wrong_linear_probe_trains_the_features(features, labels, classes, steps=200, lr=0.1):
    probe = nn.Linear(features.shape[1], classes)
    optimizer = torch.optim.SGD(probe.parameters(), lr=lr)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(probe(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return probe


def wrong_linear_probe_other_optimizer(features, labels, classes, steps=200, lr=0.1):
    """Adam on mini-batches, at a rate of its own."""
    probe = nn.Linear(features.shape[1], classes)
    optimizer = torch.optim.Adam(probe.parameters(), lr=0.05)
    for _ in range(steps):
        some = torch.randint(len(features), (32,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(probe(features.detach()[some]), labels[some]).backward()
        optimizer.step()
    return probe
