"""What only a GPU can show: steps that never wait, bits that come again, a network that was compiled."""

import pytest
import torch

from reid_lab import data, methods, training
from reid_lab.runtime.device import exact_float32
from reid_lab.runtime.distributed import Processes
from reid_lab.training.engine import Engine

pytestmark = pytest.mark.usefixtures("a_gpu")
REAL = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a real GPU; test_pretended_gpu.py trains on one")
METHODS = [methods.multitask, methods.residual_pooling]


def engine_of(recipe, device="cuda"):
    torch.manual_seed(0)
    return Engine(recipe, 10, Processes(training.find_device(device)))


def batch_of(recipe, device="cuda"):
    images = torch.randint(0, 256, (recipe.batch, 3, *recipe.resize), generator=torch.Generator().manual_seed(1))
    return images.to(torch.uint8).to(device), (torch.arange(recipe.batch) % 4).to(device)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("fill", "optimizer"), [("random", "adamw"), ("mean", "sgd")])
def test_a_step_never_waits_for_the_gpu(smoke, method, fill, optimizer):
    """Augmentation, network, losses and optimizer: PyTorch is told to call every wait an error."""
    recipe = method("smoke", erasing=0.5, erasing_fill=fill, optimizer=optimizer)
    engine, (images, pids) = engine_of(recipe), batch_of(recipe)
    store = data.image_store(smoke.train, recipe.resize, "cuda")
    indices = torch.arange(recipe.batch, device="cuda")
    engine.step(images, pids, 1)  # kernels are loaded and chosen here
    torch.cuda.set_sync_debug_mode("error")
    try:
        with pytest.raises(RuntimeError):  # so it would notice
            pids.sum().item()
        for key in range(2, 5):
            engine.set_lr(0.5)
            engine.step(store.batch(indices), pids, key).report()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_computes_the_loss_that_a_cpu_does(method):
    recipe = method("smoke", precision="float32", erasing=0.0)
    if recipe.method == "multitask":
        recipe = recipe.replace(dropout_identification=0.0, dropout_verification=0.0)
    losses = []
    for device in ("cpu", "cuda"):
        engine, (images, pids) = engine_of(recipe, device), batch_of(recipe, device)
        with exact_float32():
            losses.append(engine.losses(engine.prepare(images, 3), pids).total.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


@REAL
@pytest.mark.parametrize("method", METHODS)
def test_with_deterministic_the_same_seed_gives_the_same_bits_also_after_an_interruption(
    smoke, tmp_path, monkeypatch, method
):
    recipe = method("smoke", epochs=2, evaluate_every=0)
    options = dict(seed=1, device="cuda", deterministic=True, checkpoint_seconds=0)
    whole = training.fit(recipe, smoke, runs=tmp_path / "whole", **options)
    update, done = Engine.update, []

    def stopping(self, *batch):
        done.append(1)
        if len(done) == 8:
            raise KeyboardInterrupt
        return update(self, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Engine, "update", stopping)
        training.fit(recipe, smoke, runs=tmp_path / "stopped", **options)
    resumed = training.fit(recipe, smoke, runs=tmp_path / "stopped", **options)
    theirs = whole.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in resumed.model.state_dict().items())


@REAL
def test_a_compiled_network_trains(smoke, tmp_path):
    recipe = methods.residual_pooling("smoke")
    run = training.fit(recipe, smoke, device="cuda", runs=tmp_path, compile=True)
    assert run.environment["compile_seconds"] > 0 and len(run.history) == recipe.epochs
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0


def test_images_are_decoded_once_however_the_gpu_is_called(smoke):
    recipe = methods.multitask("smoke")
    store = data.image_store(smoke.query, recipe.crop, "cuda")
    assert store is data.image_store(smoke.query, recipe.crop, torch.device("cuda", 0))


@REAL
def test_the_default_is_the_gpu_and_its_name_is_kept(smoke, tmp_path):
    run = training.fit(methods.multitask("smoke"), smoke, runs=tmp_path)
    assert run.environment["device"] == torch.cuda.get_device_name()
    assert training.load(run.folder).result["mAP"] > 0
