"""What a step does to the weights, against the four optimizers written out by hand in float64."""

import copy
import functools

import pytest
import torch

from reid_lab import data, methods
from reid_lab.losses import Losses
from reid_lab.models.backbones import BACKBONES, res2net_slim, resnet_slim
from reid_lab.runtime import environment
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import RecipeError
from reid_lab.training.engine import Engine

METHODS = [methods.multitask, methods.residual_pooling]
COMMON = dict(precision="float32", resize=(40, 24), crop=(32, 16), pad=2, lr=0.02, weight_decay=0.3, backbone_lr=0.4)
SCHEDULE = dict(warmup="linear", warmup_epochs=2, warmup_factor=0.1, schedule="steps", milestones=(4,), decay=0.5)
RATES = {0.0: 0.002, 1.0: 0.011, 2.0: 0.02, 3.5: 0.02, 4.0: 0.01, 5.5: 0.01}  # lr by progress, from SCHEDULE


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Backbones of few channels: what is tested does not depend on how many there are."""
    for name, make in (("resnet_slim", resnet_slim), ("res2net_slim", res2net_slim)):
        monkeypatch.setitem(BACKBONES, name, functools.partial(make, width=8))


def engine_of(method, optimizer, **fields):
    torch.manual_seed(0)
    recipe = method("smoke", optimizer=optimizer, **COMMON | SCHEDULE | {"momentum": 0.8} | fields)
    return Engine(recipe, 6, Processes(torch.device("cpu")))


def batch_of(recipe, seed=1):
    random = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (recipe.batch, 3, *recipe.resize), dtype=torch.uint8, generator=random)
    return images, torch.arange(recipe.batch) // 2 % 6


class ByHand:
    """Gradient descent with momentum or Nesterov's, Adam and AdamW, of one parameter; everything in float64."""

    def __init__(self, recipe):
        self.recipe, self.steps, self.first, self.second = recipe, 0, 0.0, 0.0

    def step(self, weight, gradient, lr):
        decay = self.recipe.weight_decay
        self.steps += 1
        if self.recipe.optimizer != "adamw":
            gradient = gradient + decay * weight  # weight decay is part of the gradient
        if self.recipe.optimizer in ("sgd", "nesterov"):
            self.first = gradient if self.steps == 1 else self.recipe.momentum * self.first + gradient
            ahead = gradient + self.recipe.momentum * self.first
            return weight - lr * (ahead if self.recipe.optimizer == "nesterov" else self.first)
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        mean, square = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        if self.recipe.optimizer == "adamw":
            weight = weight - lr * decay * weight  # weight decay stands beside it
        return weight - lr * mean / (square**0.5 + 1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam", "adamw"])
@pytest.mark.parametrize("method", METHODS)
def test_every_weight_moves_as_the_optimizer_written_by_hand_moves_it(method, optimizer, monkeypatch):
    """Gradients of very different sizes are planted, and the learning rate changes from step to step."""
    engine = engine_of(method, optimizer)
    backbone = {id(parameter) for parameter in engine.model.backbone.parameters()}
    trained = {name: p for name, p in engine.model.named_parameters() if p.requires_grad}
    frozen = {name: p.clone() for name, p in engine.model.named_parameters() if not p.requires_grad}
    by_hand, random = {name: ByHand(engine.recipe) for name in trained}, torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in trained.values():  # nothing is 0: the decay of biases and batch norms would not show
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random))
    for size, (progress, lr) in zip((1.0, 30.0, 1e-3, 1e-4, 2.0, 1e-6), RATES.items(), strict=True):
        gradients = {name: size * torch.randn(p.shape, generator=random) for name, p in trained.items()}
        expected = {}
        for name, p in trained.items():
            own = lr * 0.4 if id(p) in backbone else lr
            expected[name] = by_hand[name].step(p.detach().double(), gradients[name].double(), own)
        total = sum((p * gradients[name]).sum() for name, p in trained.items())
        monkeypatch.setattr(engine, "losses", lambda *batch, total=total: Losses(total, {}, total, {}))
        assert engine.set_lr(progress) == pytest.approx(lr)
        engine.update(*batch_of(engine.recipe))
        for name, parameter in trained.items():
            torch.testing.assert_close(parameter.detach().double(), expected[name], rtol=2e-6, atol=2e-7, msg=name)
    assert all(torch.equal(engine.model.get_parameter(name), value) for name, value in frozen.items())


def test_nesterovs_momentum_needs_one():
    with pytest.raises(RecipeError, match="momentum"):
        methods.multitask("smoke", optimizer="nesterov", momentum=0.0)


@pytest.mark.parametrize("method", METHODS)
def test_the_gradients_of_a_step_are_those_of_its_own_loss_alone(method):
    """On a copy of the network, by torch.autograd.grad; what the step before left behind is gone."""
    engine = engine_of(method, "sgd")
    for key in (5, 6):
        images, pids = batch_of(engine.recipe, key)
        twin = copy.deepcopy(engine.model).train()
        prepared = engine.prepare(images, key)  # seeds dropout, too
        loss = twin.loss(twin(prepared), pids).total
        names, weights = zip(*((n, p) for n, p in twin.named_parameters() if p.requires_grad), strict=True)
        expected = torch.autograd.grad(loss, weights)
        found = engine.step(images, pids, key)
        torch.testing.assert_close(found.total, loss)
        for name, gradient in zip(names, expected, strict=True):
            torch.testing.assert_close(engine.model.get_parameter(name).grad, gradient, rtol=1e-3, atol=1e-6)


def test_dropout_follows_from_the_key_of_a_step():
    engine = engine_of(methods.multitask, "sgd", flip=0.0, erasing=0.0, resize=(32, 16), pad=0)
    images, pids = batch_of(engine.recipe)
    losses = [engine.losses(engine.prepare(images, key), pids).total.item() for key in (7, 8, 7)]
    assert losses[0] == losses[2] != losses[1]  # nothing but dropout is left to chance


FILLS = [
    dict(erasing=0.0),
    dict(erasing=1.0, erasing_area=(0.1, 0.2), erasing_aspect=(0.5, 0.9), erasing_attempts=3, erasing_fill="mean"),
    dict(erasing=0.6, erasing_fill="random", flip=1.0, pad=0),
    dict(erasing=0.6, erasing_attempts=1, erasing_area=(0.3, 0.9), pad=5, flip=0.0),
]


@pytest.mark.parametrize("fields", FILLS, ids=lambda fields: f"erasing {fields['erasing']}, {len(fields)} fields")
def test_a_batch_is_prepared_with_the_recipes_own_values(fields):
    engine = engine_of(methods.residual_pooling, "sgd", **fields)
    images, _ = batch_of(engine.recipe)
    told = {"pad": 2, "flip": 0.5} | {name: fields[name] for name in ("pad", "flip") if name in fields}
    erasing = data.RandomErasing(
        probability=fields["erasing"],
        area=fields.get("erasing_area", (0.02, 0.4)),
        aspect=fields.get("erasing_aspect", (0.3, 3.33)),
        attempts=fields.get("erasing_attempts", 100),
        fill=fields.get("erasing_fill", "mean"),  # paper B's
    )
    expected = data.Augment((32, 16), **told, erasing=erasing if fields["erasing"] else None)(images, seed=11)
    assert torch.equal(engine.prepare(images, 11), expected)
    assert not torch.equal(engine.prepare(images, 12), expected)


@pytest.mark.parametrize(("precision", "kind"), [("bf16", torch.bfloat16), ("float32", torch.float32)])
def test_the_backbone_computes_in_the_recipes_precision_and_the_loss_in_float32(precision, kind):
    engine = engine_of(methods.residual_pooling, "sgd", precision=precision)
    kinds = []
    engine.model.backbone.layer2.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    images, pids = batch_of(engine.recipe)
    assert engine.losses(engine.prepare(images, 1), pids).total.dtype == torch.float32
    assert kinds == [kind]


def test_backbone_and_head_are_two_groups_and_nothing_is_left_out():
    engine = engine_of(methods.multitask, "sgd", embed_norm=True)
    backbone, head = ({id(p) for p in group["params"]} for group in engine.optimizer.param_groups)
    assert backbone == {id(p) for p in engine.model.backbone.parameters()}
    assert head == {id(p) for p in engine.model.parameters()} - backbone
    assert isinstance(engine.model, methods.MultiTask)


def test_choosing_the_threads_of_a_step_moves_neither_weights_nor_statistics_nor_gradients(monkeypatch):
    engine, tried = engine_of(methods.residual_pooling, "sgd"), []
    images, pids = batch_of(engine.recipe)
    monkeypatch.setattr(environment, "fastest_threads", lambda step: (step(), step(), tried.append(1), 2)[-1])
    before = copy.deepcopy(engine.model.train().state_dict())
    assert engine.fastest_threads(engine.prepare(images, 1), pids) == 2 and tried
    assert all(torch.equal(before[name], value) for name, value in engine.model.state_dict().items())
    assert all(parameter.grad is None for parameter in engine.model.parameters())
