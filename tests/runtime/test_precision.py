"""A fast precision is used only where it agrees with float32; a planted fault is found, told and avoided."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from reid_lab import data, doctor, methods, retrieval, training
from reid_lab.runtime import checkpoint, device, distributed, precision
from reid_lab.runtime.errors import DeviceError, TrainingError
from reid_lab.training import engine, trainer
from reid_lab.training.engine import Engine

SMALL = dict(epochs=1, evaluate_every=0)


def wrong_convolution(monkeypatch, wrong, when=lambda given, stride: True):
    """All convolutions in bfloat16 are ``wrong`` of their right result, where ``when``."""
    right = F.conv2d

    def conv2d(given, weight, bias=None, stride=1, *others, **named):
        out = right(given, weight, bias, stride, *others, **named)
        low = torch.is_autocast_enabled("cpu") or given.dtype == torch.bfloat16
        return wrong(out) if low and when(given, stride) else out

    monkeypatch.setattr(F, "conv2d", conv2d)


def one_number_off(out):
    """One number of thousands, by the size that numbers have there."""
    off = torch.zeros_like(out)
    off[-1, -1, -1, -1] = out.detach().float().square().mean().sqrt()
    return out + off


def one_channel_off(out):
    """One channel of many, by a third of the size that numbers have there."""
    off = torch.zeros_like(out)
    off[:, -1] = 0.3 * out.detach().float().square().mean().sqrt()
    return torch.add(out, off)


class _WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(context, given):
        return given.view_as(given)

    @staticmethod
    def backward(context, gradient):
        return 1.5 * gradient


class _NoGradient(_WrongGradient):
    @staticmethod
    def backward(context, gradient):
        return 0 * gradient


class _Now(torch.autograd.Function):
    """NaN at every third call only, as garbage in memory comes and goes."""

    calls = 0

    @classmethod
    def sometimes(cls, out):
        cls.calls += 1
        return out * float("nan") if cls.calls % 3 == 0 else out


FAULTS = {
    "garbage": lambda out: out * 1e30,
    "not a number": lambda out: out * float("nan"),
    "plausible": one_number_off,
    "now and then": _Now.sometimes,
    "gradients only": _WrongGradient.apply,
}


def narrow_and_strided(given, stride):
    """Where PyTorch 2.15 on AMX is wrong: stride 2, here on maps of up to three columns."""
    return stride in (2, (2, 2)) and given.shape[-1] <= 3


@pytest.fixture
def claims_bf16(monkeypatch):
    for reader in (engine, device):
        monkeypatch.setattr(reader, "fast_precision", lambda device: "bf16")


@pytest.mark.parametrize("method", methods.trained())
def test_the_networks_agree_with_float32_on_this_machine(smoke, method):
    check = check_training(*a_batch(smoke, methods.METHODS[method].at("smoke")), "bf16")
    assert not check.fault and check.layers > 10
    assert 0 < check.worst < 0.8 * precision.LAYER_LIMIT  # on AVX2, which imitates bf16, 0.64 was seen; else below 0.5
    assert str(check).startswith("bf16 agrees with float32 in")


def check_training(network, images, pids, used):
    return precision.check_training(network, images, lambda trial, outputs: trial.loss(outputs, pids).total, used)


def a_batch(bench, recipe):
    """A recipe's network in training mode, with the images and labels of a step."""
    torch.manual_seed(0)
    engine = Engine(recipe, 8, distributed.Processes(torch.device("cpu")))
    images = data.image_store(bench.train, recipe.resize).batch(range(recipe.batch))
    return engine.model.train(), engine.prepare(images, 0), torch.arange(recipe.batch) // 4 % 8


@pytest.mark.parametrize("fault", FAULTS)
def test_a_convolution_that_is_wrong_in_bf16_is_found_and_named(smoke, monkeypatch, fault):
    batch = a_batch(smoke, methods.multitask("smoke"))
    wrong_convolution(monkeypatch, FAULTS[fault], narrow_and_strided)
    found = check_training(*batch, "bf16").fault
    assert found.startswith("bf16 is wrong here in the layer backbone.layer4.0.") and "Conv2d" in found


def test_checking_changes_neither_the_network_nor_the_random_numbers(smoke):
    network, images, pids = a_batch(smoke, methods.multitask("smoke"))
    before, random = {name: t.clone() for name, t in network.state_dict().items()}, torch.get_rng_state()
    check_training(network, images, pids, "bf16")
    precision.check_output(network, images, network.embed, "bf16")
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random) and network.training
    assert all(p.grad is None for p in network.parameters()) and not any(
        "forward" in vars(m) for m in network.modules()
    )


@pytest.mark.parametrize(
    ("owner", "name", "fault", "told"),
    [
        (F, "batch_norm", one_channel_off, "the layer backbone.bn1 (BatchNorm2d"),
        (F, "batch_norm", _WrongGradient.apply, "the layer backbone.bn1 (BatchNorm2d"),
        (F, "max_pool2d", _NoGradient.apply, "the layer backbone.maxpool (MaxPool2d"),
        (torch.Tensor, "amax", one_channel_off, "what the layer pools.0.first.0 is given,"),
        (torch.Tensor, "amax", _WrongGradient.apply, "the gradient of what the layer backbone."),
        (torch.Tensor, "mean", one_channel_off, "what the layer pools."),
        (torch.Tensor, "mean", _NoGradient.apply, "the gradient of what the layer backbone."),
        (torch.Tensor, "__add__", one_channel_off, "what the layer backbone."),
    ],
)
def test_each_layer_and_what_stands_between_layers_is_compared(smoke, monkeypatch, owner, name, fault, told):
    """Also what has no parameters, such as a pooling by the network itself, and its gradient alone."""
    batch, right = a_batch(smoke, methods.residual_pooling("smoke")), getattr(owner, name)

    def wrong(given, *others, **named):
        out = right(given, *others, **named)
        return fault(out) if given.dtype == torch.bfloat16 and given.ndim == 4 else out

    monkeypatch.setattr(owner, name, wrong)
    assert check_training(*batch, "bf16").fault.startswith(f"bf16 is wrong here in {told}")


@pytest.mark.parametrize("lost", [0.0, 0.1, 10.0, float("inf"), float("nan")])
def test_gradients_that_are_lost_or_blown_up_are_noticed(lost):
    told = precision._compare_losses((1.0, lost * torch.ones(9)), (1.0, torch.ones(9)), "float16")
    assert told.startswith("float16 is wrong here: the gradients are")


def test_a_deep_network_is_no_false_alarm(smoke):
    """Of many layers with random weights roundings add up, until the gradients of bf16 point elsewhere."""
    recipe = methods.residual_pooling("smoke", backbone="resnet50", identities=2)
    assert not check_training(*a_batch(smoke, recipe), "bf16").fault


def test_a_layer_may_take_and_give_what_it_likes(smoke, monkeypatch):
    """Several inputs, inputs by name, several results, a layer that works in place, one that is frozen."""

    class Two(torch.nn.Module):
        def forward(self, maps, *, other, power):
            return {"sum": (maps.mul_(1.0) + other) ** power, "shape": maps.shape}

    class Net(type(methods.multitask("smoke").network(8))):
        def __init__(self):
            super().__init__(methods.multitask("smoke", backbone="resnet_slim", embed_dim=0), 8)
            self.two = Two()
            self.backbone.conv1.requires_grad_(False)

        def features(self, images):
            maps = self.backbone(images)[1]
            return self.two(maps.clone(), other=maps, power=1)["sum"].mean((2, 3)).float()

    _, images, pids = a_batch(smoke, methods.multitask("smoke"))
    torch.manual_seed(0)
    network = Net().train()
    assert not check_training(network, images, pids, "bf16").fault
    assert not precision.check_output(network.eval(), images, network.embed, "bf16").fault
    right = Two.forward
    monkeypatch.setattr(Two, "forward", lambda *a, **k: {"sum": one_channel_off(right(*a, **k)["sum"])})
    assert not check_training(network.train(), images, pids, "bf16").fault  # wrong in float32, too

    def wrong(*given, **named):
        out = right(*given, **named)["sum"]
        return {"sum": one_channel_off(out) if out.dtype == torch.bfloat16 else out}

    monkeypatch.setattr(Two, "forward", wrong)
    assert "the layer two (Two" in check_training(network, images, pids, "bf16").fault
    assert "the layer two (Two" in precision.check_output(network.eval(), images, network.embed, "bf16").fault


def test_features_are_compared_at_the_number_of_images_that_are_described_at_once(smoke, smoke_run, monkeypatch):
    wrong_convolution(monkeypatch, one_channel_off, lambda given, stride: len(given) > precision.FEW)
    exact = retrieval.extract(smoke_run.model, smoke.query)
    assert torch.equal(retrieval.extract(smoke_run.model, smoke.query, autocast=True), exact)


def test_what_is_wrong_outside_a_layer_shows_in_the_loss(smoke, monkeypatch):
    network, images, pids = a_batch(smoke, methods.residual_pooling("smoke"))
    right = type(network).forward
    low = lambda: torch.is_autocast_enabled("cpu")  # noqa: E731

    def forward(self, given):
        return right(self, given * -3 if low() else given)

    monkeypatch.setattr(type(network), "forward", forward)
    monkeypatch.setattr(precision._Layers, "_judge", lambda *found: None)
    assert "the loss differs" in check_training(network, images, pids, "bf16").fault


def test_training_goes_on_in_float32_and_says_so_once(smoke, monkeypatch, tmp_path, caplog, claims_bf16):
    recipe = methods.multitask("smoke", **SMALL)
    right = training.fit(
        recipe.replace(precision="float32"), smoke, device="cpu", runs=tmp_path / "right", deterministic=True
    )
    wrong_convolution(monkeypatch, FAULTS["not a number"], narrow_and_strided)
    with caplog.at_level(logging.WARNING, "reid_lab"):
        run = training.fit(recipe, smoke, device="cpu", runs=tmp_path, deterministic=True)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and told[0].endswith("So the training runs in float32.")
    assert run.environment["precision"] == "float32" and "layer4.0" in run.environment["precision_check"]
    weights, expected = run.model.state_dict(), right.model.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def test_a_recipe_that_insists_on_a_wrong_precision_is_refused(smoke, monkeypatch, tmp_path):
    wrong_convolution(monkeypatch, FAULTS["garbage"])
    with pytest.raises(DeviceError, match="bf16"):
        training.fit(methods.multitask("smoke", precision="bf16", **SMALL), smoke, device="cpu", runs=tmp_path)


def test_features_are_computed_in_float32_where_bf16_is_wrong(smoke, smoke_run, monkeypatch, caplog):
    exact = retrieval.extract(smoke_run.model, smoke.query)
    rounded = retrieval.extract(smoke_run.model, smoke.query, autocast=True)
    assert not torch.equal(rounded, exact) and torch.allclose(rounded, exact, atol=0.1)
    wrong_convolution(monkeypatch, one_number_off)
    assert torch.equal(retrieval.extract(smoke_run.model, smoke.query, autocast=True), exact)
    assert "So the features are computed in float32." in caplog.text


def test_the_doctor_reports_a_wrong_precision(monkeypatch, claims_bf16):
    smoke = methods.multitask("smoke")
    monkeypatch.setattr(methods, "trained", lambda: {"multitask": SimpleNamespace(at=lambda size: smoke)})
    assert "[ok] the fastest precision here, bf16, is right" in doctor.examine()
    wrong_convolution(monkeypatch, FAULTS["plausible"], narrow_and_strided)
    assert any(line.startswith("[problem]") and "layer4.0" in line for line in doctor.examine())


def test_a_device_that_does_not_know_bf16_trains_in_float32(smoke, monkeypatch):
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert check_training(*a_batch(smoke, methods.multitask("smoke")), "bf16").fault.startswith("bf16 cannot")


def test_all_processes_leave_a_precision_that_is_wrong_in_one_of_them(smoke, caplog):
    class Other(distributed.Processes):
        def answers(self, answer):
            return [answer, "bf16 is wrong on the other machine"]

    recipe = methods.multitask("smoke")
    engine = Engine(recipe, 8, Other(torch.device("cpu")))
    engine.precision = "bf16"
    _, images, pids = a_batch(smoke, recipe)
    assert engine.check_precision(images, pids) == "bf16 is wrong on the other machine"
    assert engine.precision == "float32"


# float16, for GPUs that have nothing faster


TINY = dict(precision="float16", resize=(32, 32), crop=(32, 32))  # a CPU takes its time for float16


def a_float16_engine(bench, **fields):
    recipe = methods.multitask("smoke", **TINY, **fields)
    torch.manual_seed(0)
    engine = Engine(recipe, 8, distributed.Processes(torch.device("cpu")))
    engine.set_lr(1.0)
    engine.model.train()
    return engine, data.image_store(bench.train, recipe.resize).batch(range(recipe.batch)), torch.arange(16) % 8


def test_a_float16_gradient_that_overflows_costs_a_step_and_halves_the_scale(smoke):
    engine, images, pids = a_float16_engine(smoke)
    engine.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)  # far too much: the first gradients are infinite
    before = {name: p.detach().clone() for name, p in engine.model.named_parameters()}
    engine.step(images, pids, 0)
    assert all(torch.equal(before[name], p) for name, p in engine.model.named_parameters())
    assert engine.scaler.get_scale() == 2.0**39
    engine.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    engine.step(images, pids, 1)
    moved = [not torch.equal(before[name], p) for name, p in engine.model.named_parameters()]
    assert all(moved) and all(p.isfinite().all() for p in engine.model.parameters())


def test_float16_learns_what_float32_learns(smoke):
    """One step from the same weights: without the scale, gradients below 6e-8 would be lost."""
    engine, images, pids = a_float16_engine(smoke, optimizer="sgd", lr=0.1, momentum=0.0)
    other, *_ = a_float16_engine(smoke, optimizer="sgd", lr=0.1, momentum=0.0)
    other.precision, other.scaler = "float32", torch.amp.GradScaler("cpu", enabled=False)
    start = torch.cat([p.detach().flatten() for p in engine.model.parameters()])
    steps = []
    for each in (engine, other):
        each.step(images, pids, 0)
        steps.append(torch.cat([p.detach().flatten() for p in each.model.parameters()]) - start)
    assert (steps[0] - steps[1]).norm() < 0.1 * steps[1].norm()


def test_a_float16_run_resumes_with_its_scale(smoke, tmp_path, monkeypatch):
    recipe = methods.multitask("smoke", **TINY, epochs=2, evaluate_every=0, pairs=8)
    smoke = data.Benchmark("a few", smoke.train[:24], smoke.query, smoke.gallery, root=smoke.root)
    whole = training.fit(recipe, smoke, device="cpu", runs=tmp_path / "whole", deterministic=True)
    steps, update = [], Engine.update

    def killed(self, *batch):
        steps.append(self.scaler.get_scale())
        if len(steps) == 4:
            raise KeyError("killed")
        return update(self, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Engine, "update", killed)
        training.fit(recipe, smoke, device="cpu", runs=tmp_path, checkpoint_seconds=0, deterministic=True)
    _, about = checkpoint.read(next(tmp_path.glob("multitask*/checkpoint.safetensors")))
    assert about["precision"] == "float16" and about["scaler"]["scale"] == steps[-1]
    resumed = training.fit(recipe, smoke, device="cpu", runs=tmp_path, deterministic=True)
    weights, expected = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(weights[name], expected[name]) for name in weights)


def test_a_run_that_began_in_float32_goes_on_in_it(smoke, tmp_path, monkeypatch, claims_bf16):
    recipe = methods.residual_pooling("smoke", epochs=2, evaluate_every=0)
    save = trainer.Trainer.save

    def save_and_stop(self):
        self.engine._use_float32()  # as on a machine without bf16
        save(self)
        raise KeyError("killed")

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(trainer.Trainer, "save", save_and_stop)
        training.fit(recipe, smoke, device="cpu", runs=tmp_path, checkpoint_seconds=0)
    assert training.fit(recipe, smoke, device="cpu", runs=tmp_path).environment["precision"] == "float32"


def test_not_a_number_in_a_fast_precision_names_float32_first(tmp_path):
    from reid_lab.training import guards

    with pytest.raises(TrainingError, match="bf16"):
        guards.check_finite({"loss": float("nan")}, 1, tmp_path, "bf16")


def test_a_failing_last_evaluation_does_not_cost_the_training(smoke, tmp_path, monkeypatch):
    recipe = methods.residual_pooling("smoke", precision="float32", epochs=2, evaluate_every=1)
    whole = training.fit(recipe, smoke, device="cpu", runs=tmp_path / "whole", deterministic=True)
    evaluate, calls = trainer.retrieval.evaluate, []

    def fails_at_the_end(*given, **named):
        calls.append(1)
        if len(calls) == 2:
            raise OverflowError("no number is that large")
        return evaluate(*given, **named)

    with monkeypatch.context() as patch, pytest.raises(OverflowError):
        patch.setattr(trainer.retrieval, "evaluate", fails_at_the_end)
        training.fit(recipe, smoke, device="cpu", runs=tmp_path, deterministic=True)
    folder = next(tmp_path.glob("residual_pooling*"))
    assert (folder / "weights.safetensors").is_file() and not (folder / "result.json").exists()
    monkeypatch.setattr(Engine, "update", None)  # nothing is left to train
    again = training.fit(recipe, smoke, device="cpu", runs=tmp_path, deterministic=True)
    assert again.result["mAP"] == whole.result["mAP"] and list(again.history["epoch"]) == [1, 2]
    assert again.history["images_per_second"].notna().tolist() == [True, False]  # no step was timed
    assert json.loads((folder / "environment.json").read_text())["precision_check"]


@pytest.mark.parametrize("rows", [8, 4])  # of layer4's input at the whole size, and at half of it
def test_a_fault_at_either_size_of_the_images_is_found(rows, smoke, monkeypatch, tmp_path, claims_bf16, caplog):
    wrong_convolution(monkeypatch, FAULTS["not a number"], lambda given, stride: given.shape[2] == rows)
    recipe = methods.classification("smoke", resize=(128, 64), crop=(128, 64), half_size_epochs=1, epochs=2, images=8)
    run = training.fit(recipe.replace(evaluate_every=0), smoke, device="cpu", runs=tmp_path)
    assert run.environment["precision"] == "float32" and "bf16 is wrong here" in run.environment["precision_check"]
