"""DG-Net's discriminative half against PyTorch's own losses, its teacher, and what a batch holds."""

import shutil

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reid_lab import data, export, methods, training
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import DataError, RecipeError, TrainingError
from reid_lab.training.engine import Engine
from reid_lab.training.run import finished, run_folder
from reid_lab.training.step import labels_of

PIDS = torch.tensor([0, 3, 6, 5, 1, 1])  # three shots, and the owners of the clothes that they are dressed in
OPTIONS = dict(seed=3, device="cpu", deterministic=True)


def network(**changes):
    torch.manual_seed(0)
    return methods.dgnet("smoke", dropout_primary=0.0, dropout_fine=0.0, **changes).network(7)


def teacher(outputs):
    """A network that answers with given logits."""
    model = methods.classification("smoke").network(7)
    model.identity_logits = lambda images: outputs[: len(images)]
    return model


@pytest.fixture
def images():
    return torch.randn(6, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def test_features_and_logits_are_those_of_the_parts_by_hand(images):
    model = network().train()
    model(images)  # the norms have seen data
    model.eval()
    pooled = F.adaptive_max_pool2d(model.backbone(images)[1], 1).flatten(1)
    hands = []
    for (linear, norm), classifier in zip(model.embeddings, model.classifiers, strict=True):
        one = F.batch_norm(linear(pooled), norm.running_mean, norm.running_var, norm.weight, norm.bias)
        hands.append((one, classifier(one)))
    outputs = model(images)
    assert torch.allclose(outputs.pooled, pooled, atol=1e-5) and outputs.soft is None
    for found, logits, (one, answer) in zip(outputs.embeddings, outputs.logits, hands, strict=True):
        assert torch.allclose(found, one, atol=1e-5) and torch.allclose(logits, answer, atol=1e-5)
    expected = torch.cat([F.normalize(one) for one, _ in hands], dim=1)
    assert torch.allclose(model.embed(images), expected, atol=1e-5)
    assert torch.equal(model.identity_logits(images), outputs.logits[0])


def test_the_loss_is_real_primary_and_fine_with_the_papers_weights(images):
    model = network(generated=2.0, fine=0.2)
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    (shot, dressed), (shot_fine, dressed_fine) = (logits.chunk(2) for logits in outputs.logits)
    bodies, owners = PIDS[:3], PIDS[3:]
    terms = {
        "identification": F.cross_entropy(shot, bodies),
        "identification_fine": F.cross_entropy(shot_fine, bodies),
        "primary": F.cross_entropy(dressed, owners),
        "fine": F.cross_entropy(dressed_fine, bodies),
    }
    assert found.terms.keys() == terms.keys()
    assert all(torch.allclose(found.terms[name], term, atol=1e-6) for name, term in terms.items())
    total = terms["identification"] + 0.4 * terms["identification_fine"] + 2 * terms["primary"] + 0.4 * terms["fine"]
    assert torch.allclose(found.total, total, atol=1e-5)
    assert torch.allclose(found.accuracy, (shot.argmax(1) == bodies).float().mean())


def test_a_teachers_answer_is_the_primary_label_and_costs_nothing_where_the_student_agrees(images):
    model = network()
    answers = torch.randn(3, 7)
    model.learn_from(teacher(answers))
    outputs = model(images)
    assert torch.allclose(outputs.soft, answers.softmax(1))
    dressed, q = outputs.logits[0][3:], answers.softmax(1)
    by_hand = (q * (q.log() - dressed.log_softmax(1))).sum(1).mean()
    found = model.loss(outputs, PIDS)
    assert torch.allclose(found.terms["primary"], by_hand, atol=1e-6)
    outputs.soft = dressed.softmax(1).detach()
    agreed = model.loss(outputs, PIDS)
    assert agreed.terms["primary"].abs() < 1e-6
    (gradient,) = torch.autograd.grad(agreed.total, outputs.logits[0], retain_graph=True)
    assert gradient[3:].abs().max() < 1e-6 and gradient[:3].abs().max() > 0.1


def test_the_teacher_sees_the_dressed_images_in_training_alone(images):
    model, seen = network(), []
    watching = methods.classification("smoke").network(7)
    watching.identity_logits = lambda batch: seen.append(batch) or torch.zeros(len(batch), 7)
    model.learn_from(watching)
    model.train()(images)
    model.eval()(images)
    assert len(seen) == 1 and torch.equal(seen[0], images[3:]) and not watching.training


def test_a_teacher_is_no_part_of_the_weights_and_gets_no_gradient(images):
    model = network()
    before = list(model.state_dict())
    one = methods.classification("smoke").network(7)
    model.learn_from(one)
    model.loss(model(images), PIDS).total.backward()
    assert list(model.state_dict()) == before
    assert all(parameter.grad is None for parameter in one.parameters())
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_each_head_learns_from_its_own_labels_alone(images):
    model = network()
    outputs = model(images)
    terms = model.loss(outputs, PIDS)
    other = model.loss(outputs, torch.cat([PIDS[:3], PIDS[3:].roll(1) + 1]))  # other owners of the clothes
    assert other.terms["fine"] == terms.terms["fine"] and other.terms["primary"] != terms.terms["primary"]
    gradients = torch.autograd.grad(network(generated=0.0).loss(outputs, PIDS).total, outputs.logits, allow_unused=True)
    assert not gradients[0][3:].any() and not gradients[1].any()  # dressed images teach nothing


@pytest.mark.parametrize("rates", [(0.5, 0.0), (0.0, 0.5)])
def test_each_head_has_a_dropout_of_its_own_before_its_classifier(images, rates):
    model = methods.dgnet("smoke", dropout_primary=rates[0], dropout_fine=rates[1]).network(7)
    torch.manual_seed(1)
    outputs = model(images)
    torch.manual_seed(1)
    for rate, one, logits, classifier in zip(rates, outputs.embeddings, outputs.logits, model.classifiers, strict=True):
        torch.testing.assert_close(logits, classifier(F.dropout(one, rate)))


def test_an_odd_number_of_images_is_refused(images):
    model = network()
    with pytest.raises(TrainingError, match="5 images"):
        model.loss(model(images[:5]), PIDS[:5])


def test_a_batch_is_shots_and_the_same_shots_in_the_clothes_of_others(few):
    recipe = methods.dgnet("smoke", each=2)
    records = recipe.training_images(few, 0)
    _, labels, camids = labels_of(records)
    assert len(records) == 3 * len(few.train) and records[: len(few.train)] == list(few.train)
    made = records[len(few.train) :]
    for record, shot in zip(made, 2 * list(few.train), strict=True):
        assert record.path.stem[2:].startswith(shot.path.stem) and record.camid == shot.camid
        assert record.pid != shot.pid and record.path.stem.endswith(f"_in_{record.pid}")
    for batch in recipe.sampler(labels, camids, 0).epoch(0):
        assert len(batch) == recipe.batch == 16 and recipe.groups == 2
        shots, dressed = batch[:8], batch[8:]
        assert (shots < len(few.train)).all() and (dressed >= len(few.train)).all()
        assert np.array_equal(dressed % len(few.train), shots)


def test_in_their_own_clothes_the_control_has_as_many_images_and_steps(few):
    recipe = methods.dgnet("smoke", clothes="own")
    records = recipe.training_images(few, 0)
    _, labels, camids = labels_of(records)
    sampler = recipe.sampler(labels, camids, 0)
    assert records is few.train and len(sampler) == len(few.train) // 8
    assert len(sampler) == len(methods.dgnet("smoke").sampler(np.tile(labels, 2), camids, 0))
    assert all(np.array_equal(batch[:8], batch[8:]) and len(batch) == recipe.batch for batch in sampler.epoch(0))


def test_the_papers_network_has_26_38_million_parameters():
    """Appearance encoder and both heads, as counted in the authors' network."""
    with torch.device("meta"):
        model = methods.dgnet("paper").replace(weights=None).network(751)
    heads = 2 * (2048 * 512 + 512 + 2 * 512 + 512 * 751 + 751)
    assert sum(p.numel() for p in model.parameters()) == 23_508_032 + heads == 26_378_782
    with torch.device("meta"):
        assert model.eval().features(torch.empty(2, 3, 256, 128)).shape == (2, 1024)


def test_the_teacher_is_the_baseline_whose_run_others_share():
    for size in methods.SIZES:
        assert methods.dgnet(size).teacher == methods.classification(size)
    assert methods.dgnet("classroom", weights=None).teacher == methods.classification("classroom", weights=None)
    assert methods.dgnet("smoke", primary="owner").teacher is None and methods.classification("smoke").teacher is None


@pytest.fixture(scope="module")
def recipe():
    return methods.dgnet("smoke", epochs=2, evaluate_every=0, precision="float32")


@pytest.fixture(scope="module")
def taught(few, recipe, tmp_path_factory):
    """A run, beside its teacher's."""
    return training.fit(recipe, few, runs=tmp_path_factory.mktemp("taught"), checkpoint_seconds=0, **OPTIONS)


def test_fit_makes_the_teacher_first_and_finds_it_again(few, recipe, taught):
    runs = taught.folder.parent
    teachers = run_folder(recipe.teacher, few, 3, runs)
    assert finished(teachers)
    assert {path.parent for path in runs.glob("*/result.json")} >= {teachers, taught.folder}
    written = (teachers / "weights.safetensors").stat().st_mtime_ns
    own = training.fit(recipe.replace(clothes="own", epochs=1), few, runs=runs, **OPTIONS)
    assert (teachers / "weights.safetensors").stat().st_mtime_ns == written
    assert taught.model.teacher is None and taught.history["primary"][0] != own.history["primary"][0]
    hard = training.fit(recipe.replace(primary="owner", epochs=1), few, runs=runs, **OPTIONS)
    assert hard.history["primary"][0] > taught.history["primary"][0]  # an entropy, and a divergence


def test_a_run_that_is_killed_ends_in_the_same_bits(few, recipe, taught, tmp_path, monkeypatch):
    teachers = run_folder(recipe.teacher, few, 3, taught.folder.parent)
    shutil.copytree(teachers, tmp_path / teachers.name)
    done, update = [], Engine.update

    def killed(self, *batch):
        done.append(1)
        if len(done) == 8:  # in the second epoch
            raise KeyError("killed")
        return update(self, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Engine, "update", killed)
        training.fit(recipe, few, runs=tmp_path, checkpoint_seconds=0, **OPTIONS)
    run = training.fit(recipe, few, runs=tmp_path, checkpoint_seconds=0, **OPTIONS)
    state, other = taught.model.state_dict(), run.model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_a_step_with_a_teacher_makes_no_gpu_wait(pretended):
    recipe = methods.dgnet("smoke", precision="float32")
    with pretended() as gpu:
        engine = Engine(recipe, 7, Processes(torch.device("cuda")))
        engine.model.learn_from(recipe.teacher.network(7).cuda())
        engine.begin_epoch(recipe.stages[0], 0)
        images = torch.zeros(recipe.batch, 3, *recipe.resize, dtype=torch.uint8).cuda()
        pids = (torch.arange(recipe.batch) % 7).cuda()
        gpu.waiting = "error"
        found = engine.step(images, pids, key=0)
        gpu.waiting = "allow"
        assert found.total.is_cuda and found.total.item() > 0


def test_images_that_are_not_passersbys_cannot_be_dressed(few, tmp_path):
    elsewhere = [data.Record(tmp_path / record.path.name, record.pid, record.camid) for record in few.train]
    bench = data.Benchmark("elsewhere", elsewhere, few.query, few.gallery)
    with pytest.raises(DataError, match="not in a Passersby folder"):
        methods.dgnet("smoke").training_images(bench, 0)


@pytest.mark.parametrize(
    "fields", [{"clothes": "borrowed"}, {"primary": "hard"}, {"each": 0}, {"fine": -0.1}, {"shots": 0}]
)
def test_impossible_values_are_refused_by_their_field(fields):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(fields))}\b"):
        methods.dgnet("smoke", **fields)


def test_a_network_is_exported(few, tmp_path):
    pytest.importorskip("onnxruntime")
    recipe = methods.dgnet("smoke", epochs=1, clothes="own", primary="owner", evaluate_every=0)
    run = training.fit(recipe, few, device="cpu", runs=tmp_path)
    export.to_onnx(run, tmp_path / "dgnet.onnx")
    assert run.model.embed(torch.randn(2, 3, 64, 48)).shape == (2, 64)
