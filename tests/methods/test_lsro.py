"""LSRO against PyTorch's label smoothing, and against the baseline that it becomes without generated images."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reid_lab import export, losses, methods, training
from reid_lab.methods.lsro import outlier_entropies
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.training.engine import Engine
from reid_lab.training.step import labels_of

PIDS = torch.tensor([0, -1, 6, 2, -1, 5])


def network(**changes):
    torch.manual_seed(0)
    return methods.lsro("smoke", **changes).network(7)


@pytest.fixture
def logits():
    return torch.randn(6, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)


def test_an_image_of_nobody_pays_pytorchs_cross_entropy_with_smoothing_of_one(logits):
    each = outlier_entropies(logits, PIDS, smoothing=0.2)
    real = F.cross_entropy(logits[PIDS >= 0], PIDS[PIDS >= 0], label_smoothing=0.2, reduction="none")
    nobody = F.cross_entropy(logits[PIDS < 0], torch.tensor([3, 1]), label_smoothing=1.0, reduction="none")
    assert torch.allclose(each[PIDS >= 0], real, atol=1e-6) and torch.allclose(each[PIDS < 0], nobody, atol=1e-6)
    assert torch.allclose(nobody.mean(), losses.identification(logits[PIDS < 0], torch.tensor([0, 0]), 1.0), atol=1e-6)


def test_its_gradient_is_the_softmax_minus_one_over_all_identities(logits):
    (gradient,) = torch.autograd.grad(outlier_entropies(logits, PIDS).sum(), logits)
    assert torch.allclose(gradient[PIDS < 0], logits[PIDS < 0].softmax(1) - 1 / 7, atol=1e-6)
    expected = logits[PIDS >= 0].softmax(1) - F.one_hot(PIDS[PIDS >= 0], 7)
    assert torch.allclose(gradient[PIDS >= 0], expected, atol=1e-6)


def test_a_uniform_answer_is_the_least_that_an_image_of_nobody_can_pay():
    uniform, nobody = torch.full((1, 7), 2.0, requires_grad=True), torch.tensor([-1])
    least = outlier_entropies(uniform, nobody)
    assert least.item() == pytest.approx(np.log(7), abs=1e-6)
    assert torch.autograd.grad(least, uniform)[0].abs().max() < 1e-7
    assert all(outlier_entropies(uniform + 0.1 * torch.randn(1, 7), nobody) > least for _ in range(5))


def test_the_loss_is_the_mean_over_all_images_and_its_terms_are_those_of_each_kind():
    model = network(smoothing=0.1)
    outputs = model(torch.randn(6, 3, 64, 48))
    found = model.loss(outputs, PIDS)
    each = outlier_entropies(outputs.logits, PIDS, 0.1)
    assert torch.allclose(found.total, each.mean())
    assert torch.allclose(found.terms["identification"], each[PIDS >= 0].mean())
    assert torch.allclose(found.terms["generated"], each[PIDS < 0].mean())
    assert torch.allclose(4 * found.terms["identification"] + 2 * found.terms["generated"], 6 * found.total)
    right = (outputs.logits.argmax(1) == PIDS)[PIDS >= 0].float().mean()
    assert torch.allclose(found.accuracy, right)
    assert model.loss(outputs, PIDS.clamp(min=0)).terms["generated"] == 0


def test_without_generated_images_it_is_the_baseline_bit_for_bit(few, tmp_path):
    """So the control "label smoothing, no further images" is the method `classification` itself."""
    options = dict(seed=2, device="cpu", runs=tmp_path, deterministic=True)
    alike = dict(precision="float32", epochs=2, evaluate_every=0, smoothing=0.1)
    recipe = methods.lsro("smoke", generated=0, dropout=0.0, **alike)
    shared = {
        name: getattr(recipe, name)
        for name in ("last_stride", "lr", "weight_decay", "pad", "warmup_epochs", "warmup_factor", "warmup", "images")
    }
    baseline = training.fit(methods.classification("smoke", **alike | shared), few, **options)
    run = training.fit(recipe, few, **options)
    assert recipe.training_images(few, 0) is few.train
    mine, others = run.model.state_dict(), baseline.model.state_dict()
    assert mine.keys() == others.keys() and all(torch.equal(mine[name], others[name]) for name in mine)
    assert run.result["mAP"] == baseline.result["mAP"]


def test_at_classroom_the_control_without_generated_images_has_the_baselines_numbers():
    mine = methods.lsro("classroom", generated=0, smoothing=0.1)
    baseline = methods.classification("classroom")
    names = ("backbone", "weights", "last_stride", "smoothing", "resize", "crop", "pad", "flip", "erasing", "optimizer")
    names += ("weight_decay", "epochs", "warmup", "warmup_epochs", "warmup_factor", "schedule", "images", "batch")
    assert {name: getattr(mine, name) for name in names} == {name: getattr(baseline, name) for name in names}
    assert (mine.dropout, mine.neck, mine.rates) == (0, True, baseline.rates)


@pytest.mark.parametrize("source", ["pca", "noise"])
def test_batches_hold_real_images_and_made_ones_of_nobody(few, source):
    recipe = methods.lsro("smoke", source=source)
    records = recipe.training_images(few, 1)
    identities, labels, camids = labels_of(records)
    assert identities == 8 and list(labels[: len(few.train)]) == list(labels_of(few.train)[1])
    assert (labels[len(few.train) :] == -1).all() and len(records) == len(few.train) + 20
    for batch in recipe.sampler(labels, camids, 0).epoch(0):
        assert len(batch) == recipe.batch == 24 and (labels[batch] == -1).sum() == 8
    assert records[-1].path != recipe.training_images(few, 2)[-1].path  # a generator's sample is the training's own
    assert records == recipe.training_images(few, 1)


def test_the_papers_network_has_resnet_50s_parameters_and_a_classifier():
    with torch.device("meta"):
        model = methods.lsro("paper").replace(weights=None).network(751)
    assert sum(p.numel() for p in model.parameters()) == 23_508_032 + 2048 * 751 + 751


def test_a_step_makes_no_gpu_wait(pretended):
    recipe = methods.lsro("smoke", precision="float32")
    with pretended() as gpu:
        engine = Engine(recipe, 7, Processes(torch.device("cuda")))
        engine.begin_epoch(recipe.stages[0], 0)
        images = torch.zeros(recipe.batch, 3, *recipe.resize, dtype=torch.uint8).cuda()
        pids = (torch.arange(recipe.batch) % 8 - 1).cuda()
        gpu.waiting = "error"
        found = engine.step(images, pids, key=0)
        gpu.waiting = "allow"
        assert found.total.is_cuda and found.terms["generated"].item() == pytest.approx(np.log(7), abs=0.1)


def test_more_components_than_images_are_refused(few):
    with pytest.raises(DataError, match="48 images have 47 principal components at most, and 96"):
        methods.lsro("smoke", components=96).training_images(few, 0)


@pytest.mark.parametrize("fields", [{"source": "dcgan"}, {"generated": -1}, {"pool": 0}, {"dropout": 1.0}])
def test_impossible_values_are_refused_by_their_field(fields):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(fields))}\b"):
        methods.lsro("smoke", **fields)


def test_a_run_is_trained_explained_and_exported(few, tmp_path):
    run = training.fit(methods.lsro("smoke"), few, device="cpu", runs=tmp_path)
    history = run.history
    assert history["generated"].between(0.99 * np.log(8), 4).all() and history["identification"].iloc[-1] < 2.0
    pytest.importorskip("onnxruntime")
    export.to_onnx(run, tmp_path / "lsro.onnx")
    images = torch.randn(2, 3, 64, 48)
    assert run.model.identity_logits(images).shape == (2, 8)
    assert torch.allclose(run.model.embed(images).norm(dim=1), torch.ones(2))
