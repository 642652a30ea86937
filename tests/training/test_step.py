"""The plain training is the training: what `fit` adds changes no bit."""

import numpy as np
import pytest
import torch

from reid_lab import data, methods, training
from reid_lab.training import step


@pytest.fixture(autouse=True)
def deterministic():
    """With several threads, some of PyTorch's sums depend on who comes first, unless it is told otherwise."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "sgd", "erasing": 0.0, "backbone_lr": 0.1, "half_size_epochs": 1}]
)
@pytest.mark.parametrize("method", methods.trained())
def test_the_plain_training_ends_in_the_weights_of_fit_bit_for_bit(few, tmp_path, method, changes):
    recipe = methods.METHODS[method].at("smoke", precision="float32", epochs=2, evaluate_every=0, **changes)
    plain = step.train(recipe, few, seed=3)
    run = training.fit(recipe, few, seed=3, device="cpu", runs=tmp_path, deterministic=True)
    expected = run.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in plain.state_dict().items())
    assert not plain.training


def test_an_epoch_returns_the_loss_of_each_step_whose_mean_the_history_keeps(few, tmp_path):
    recipe = methods.residual_pooling("smoke", precision="float32", epochs=1)
    run = training.fit(recipe, few, seed=0, device="cpu", runs=tmp_path, deterministic=True)
    torch.manual_seed(0)
    pids, labels = np.unique([record.pid for record in few.train], return_inverse=True)
    sampler = recipe.sampler(labels, np.array([record.camid for record in few.train]), 0)
    network = recipe.network(len(pids)).to(memory_format=torch.channels_last)
    store, optimizer = data.image_store(few.train, recipe.resize), step.make_optimizer(recipe, network)
    losses = step.train_epoch(recipe, network, optimizer, sampler, store, torch.from_numpy(labels), 0, 0)
    assert len(losses) == len(sampler)
    assert np.mean(losses) == pytest.approx(run.history["loss"][0], rel=1e-6)
