"""A training that cannot come to anything stops, with a sentence that says which loss, when, and what helps."""

import pytest
import torch

from reid_lab import methods, training
from reid_lab.losses import spread
from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import DeviceError, TrainingError
from reid_lab.training import guards
from reid_lab.training.engine import Engine
from reid_lab.training.run import run_folder


def test_a_loss_that_is_not_finite_stops_the_run_with_a_sentence(few, tmp_path):
    recipe = methods.residual_pooling("smoke", optimizer="sgd", lr=1e12, warmup="none", precision="float32")
    with pytest.raises(TrainingError, match=r"(triplet|identification) .*(nan|inf).* epoch 1 .*lr"):
        training.fit(recipe, few, device="cpu", runs=tmp_path)


def test_the_term_that_spoilt_the_sum_is_named():
    with pytest.raises(TrainingError, match="triplet loss .*nan.* epoch 3 of here"):
        guards.check_finite({"loss": float("nan"), "identification": 2.0, "triplet": float("nan")}, 3, "here")
    guards.check_finite({"loss": 1.0, "triplet": 0.5}, 3, "here")


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("loss", "loss"),
        ("length", "features' length"),
        ("spread", "features' spread"),
        ("gradient_norm", "gradients' length"),
    ],
)
def test_what_is_no_term_of_the_loss_is_not_called_one(lost, said):
    with pytest.raises(TrainingError, match=f"^The {said} [a-z]+ inf"):
        guards.check_finite({"loss": 1.0, "triplet": 0.5} | {lost: float("inf")}, 1, "here")


def test_a_checkpoint_is_promised_only_where_there_is_one(tmp_path):
    def said():
        with pytest.raises(TrainingError) as caught:
            guards.check_finite({"loss": float("nan")}, 1, tmp_path)
        return str(caught.value)

    without = said()
    (tmp_path / "checkpoint.safetensors").touch()
    assert "checkpoint" in said() and "checkpoint" not in without.replace(str(tmp_path), "")


def test_a_loss_that_is_lost_never_reaches_the_checkpoint(few, tmp_path, monkeypatch):
    """The last good checkpoint is kept."""
    recipe = methods.residual_pooling("smoke", epochs=2, evaluate_every=0, precision="float32")
    update, steps = Engine.update, []

    def poisoned(self, images, pids):
        steps.append(1)
        return update(self, images * float("nan") if len(steps) > 4 else images, pids)

    monkeypatch.setattr(Engine, "update", poisoned)
    with pytest.raises(TrainingError, match="nan"):
        training.fit(recipe, few, device="cpu", runs=tmp_path, checkpoint_seconds=0)
    folder = run_folder(recipe, few, 0, tmp_path)
    tensors, about = checkpoint.read(folder / "checkpoint.safetensors")
    assert all(value.isfinite().all() for value in tensors.values() if value.is_floating_point())
    assert (len(about["history"]), about["step"]) == divmod(4, len(few.train) // 16)


def test_an_embedding_that_has_collapsed_stops_the_run(few, tmp_path, monkeypatch):
    """All descriptors alike: the triplet loss stands at its margin, and would for ever."""
    pool = methods.ResidualPooling.pool

    def all_alike(self, layer3, layer4):
        return {name: 1 + 0 * value for name, value in pool(self, layer3, layer4).items()}

    monkeypatch.setattr(methods.ResidualPooling, "pool", all_alike)
    sentence = r"epoch 1 of .*0\.300.* 0\.3.*lr"  # the triplet loss, its margin, the cure
    with pytest.raises(TrainingError, match=sentence):
        training.fit(methods.residual_pooling("smoke", precision="float32"), few, device="cpu", runs=tmp_path)


def test_a_collapse_of_paper_a_stops_the_run_too(few, tmp_path, monkeypatch):
    features = methods.MultiTask.features
    monkeypatch.setattr(methods.MultiTask, "features", lambda self, x: 1 + 1e-5 * features(self, x).tanh())
    with pytest.raises(TrainingError, match="collapsed .*epoch 1"):
        training.fit(methods.multitask("smoke", precision="float32"), few, device="cpu", runs=tmp_path)


def test_a_healthy_run_stays_far_from_what_is_called_a_collapse(smoke_run):
    history, margin = smoke_run.history, smoke_run.recipe.margin
    assert (history["spread"] > 10 * guards.ALIKE * history["length"]).all()
    assert (history["spread"] > 10 * guards.SMALL * margin).all()


A, B = methods.multitask("smoke"), methods.residual_pooling("smoke", margin=0.4)


@pytest.mark.parametrize(
    ("recipe", "length", "limit"),
    [
        (A, 10.0, 0.01),  # a thousandth of the features' length
        (A, 0.1, 0.0001),
        (B, 1.0, 0.004),  # a hundredth of the margin
        (B, 8.0, 0.008),
        (B.replace(triplet_scales=0), 1.0, 0.001),  # no triplet, no margin
    ],
    ids=["A", "A, short", "B", "B, long", "B without triplets"],
)
def test_features_have_collapsed_below_a_thousandth_of_their_length_or_a_hundredth_of_the_margin(recipe, length, limit):
    means, margin = {"loss": 1.0, "length": length}, recipe.network(4).collapse_margin()
    guards.check_spread(means | {"spread": 1.02 * limit}, margin, 1, "here")
    with pytest.raises(TrainingError, match="epoch 1 of here"):
        guards.check_spread(means | {"spread": 0.98 * limit}, margin, 1, "here")


def test_spread_is_the_root_mean_square_distance_of_all_pairs():
    features = torch.randn(7, 3, 2, 2)
    expected = torch.cdist(features.flatten(1), features.flatten(1)).square().mean().sqrt()
    distance, length = spread(features)
    assert torch.allclose(distance, expected)
    assert torch.allclose(length, features.flatten(1).norm(dim=1).square().mean().sqrt())


def test_a_gpu_that_is_too_small_is_a_sentence(smoke, tmp_path, monkeypatch):
    def too_much(self, images, pids):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    monkeypatch.setattr(Engine, "update", too_much)
    with pytest.raises(TrainingError, match="16 images of 64 x 48"):
        training.fit(methods.residual_pooling("smoke"), smoke, device="cpu", runs=tmp_path)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (RuntimeError("Failed to find C compiler."), DeviceError, "C compiler"),
        (AssertionError(), DeviceError, "AssertionError"),
        (torch.OutOfMemoryError("CUDA out of memory."), TrainingError, "memory"),
    ],
)
def test_compiling_that_fails_is_a_sentence(smoke, tmp_path, monkeypatch, error, kind, told):
    def failing(network):
        raise error

    monkeypatch.setattr(torch, "compile", failing)
    with pytest.raises(kind, match=told):
        training.fit(methods.residual_pooling("smoke"), smoke, device="cpu", runs=tmp_path, compile=True)


def test_the_warm_up_of_a_compiled_network_changes_nothing(few, tmp_path, monkeypatch):
    """Compilation itself may change bits; its trial step must not. Here it compiles nothing."""
    recipe = methods.residual_pooling("smoke", epochs=1, precision="float32")
    options = dict(device="cpu", deterministic=True)
    plain = training.fit(recipe, few, runs=tmp_path / "plain", **options)
    monkeypatch.setattr(torch, "compile", lambda network: network)
    compiled = training.fit(recipe, few, runs=tmp_path / "compiled", compile=True, **options)
    theirs = plain.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in compiled.model.state_dict().items())
    assert compiled.environment["compile_seconds"] >= 0 and "compile_seconds" not in plain.environment
