"""SVDNet: what the SVD changes and what it cannot change, and its stages across a kill."""

import dataclasses
import importlib

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.nn import functional as F

from reid_lab import data, export, methods, retrieval, training
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import learning_rate, stages, step
from reid_lab.training.engine import Engine
from reid_lab.training.trainer import Trainer

svdnet = importlib.import_module("reid_lab.methods.svdnet")  # the module: methods.svdnet makes recipes
NAMES = ["base", "restraint 1", "relaxation 1", "restraint 2", "relaxation 2"]
OPTIONS = dict(seed=3, device="cpu", deterministic=True, checkpoint_seconds=0)


def network(**changes):
    torch.manual_seed(0)
    return methods.svdnet("smoke", **changes).network(7)


def alike(rows=8, columns=20, seed=0):
    """Weight vectors that resemble one another, a vector in each row."""
    random = torch.Generator().manual_seed(seed)
    own, common = (torch.randn(count, columns, generator=random, dtype=torch.float64) for count in (rows, 1))
    return own + 2 * common


def distances(features):
    return torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")


# S(W) and the SVD


def test_s_is_1_for_orthogonal_vectors_and_1_in_k_for_equal_ones():
    assert svdnet.orthogonality(torch.diag(torch.tensor([1.0, 5.0, 0.1]))).item() == 1
    assert svdnet.orthogonality(torch.ones(4, 9)).item() == pytest.approx(1 / 4)
    assert svdnet.orthogonality(torch.tensor([[1.0, 0.0], [-1.0, 1.0]])).item() == pytest.approx(3 / 5)
    assert svdnet.orthogonality(torch.zeros(2, 3)).item() == 0


@pytest.mark.parametrize("matching", ["nearest", "order"])
def test_u_s_is_orthogonal_and_leaves_every_distance_as_it_was(matching):
    old = alike()
    new = svdnet.uncorrelated(old, matching)
    assert svdnet.orthogonality(old) < 0.3 and svdnet.orthogonality(new) > 1 - 1e-12
    torch.testing.assert_close(new.T @ new, old.T @ old, rtol=0, atol=1e-11)  # W W^T
    x = torch.randn(30, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(distances(x @ new.T), distances(x @ old.T), rtol=0, atol=1e-11)
    assert (new * old).sum(dim=1).min() >= 0  # each has the sign of the one that it replaces


def test_the_vectors_are_the_columns_of_scipys_u_s():
    old = alike()
    u, s, _ = scipy.linalg.svd(old.numpy().T, full_matrices=False)
    wanted, found = (u * s).T, svdnet.uncorrelated(old, "order").numpy()
    np.testing.assert_allclose(np.abs((wanted * found).sum(axis=1)), s**2, rtol=1e-12)
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=1e-12)


def test_each_vector_is_replaced_by_the_nearest_one_that_is_left():
    old = alike(4, 8)
    columns = list((svdnet.uncorrelated(old, "order")).numpy())
    for vector, found in zip(old.numpy(), svdnet.uncorrelated(old).numpy(), strict=True):
        cosines = [vector @ c / np.linalg.norm(vector) / np.linalg.norm(c) for c in columns]
        best = int(np.argmax(np.abs(cosines)))
        np.testing.assert_allclose(found, columns.pop(best) * np.sign(cosines[best]), atol=1e-12)
    assert not columns


@pytest.mark.parametrize("matching", ["nearest", "order"])
def test_the_signs_that_a_machine_gives_an_svd_change_nothing(matching, monkeypatch):
    old, svd = alike(), torch.linalg.svd
    expected = svdnet.uncorrelated(old, matching)
    signs = torch.tensor([1.0, -1, -1, 1, -1, 1, 1, -1], dtype=torch.float64)

    def other_signs(*given, **named):
        v, s, u = svd(*given, **named)
        return v * signs, s, u * signs[:, None]

    monkeypatch.setattr(torch.linalg, "svd", other_signs)
    assert torch.equal(svdnet.uncorrelated(old, matching), expected)


def test_vectors_that_depend_on_one_another_give_zeros_and_no_nan():
    old = alike(2, 5)[[0, 1, 0, 1]]
    new = svdnet.uncorrelated(old)
    assert new.isfinite().all() and new.norm(dim=1).sort().values[:2].max() < 1e-12
    torch.testing.assert_close(new.T @ new, old.T @ old, rtol=0, atol=1e-11)


# The network


def test_the_paper_size_has_26_374_959_parameters_and_the_papers_features():
    with torch.device("meta"):
        model = methods.svdnet("paper", weights=None, fixed_statistics=False).network(751)
        outputs = model(torch.empty(2, 3, 224, 224))
    assert sum(p.numel() for p in model.parameters()) == 26_374_959
    assert [tuple(value.shape) for value in vars(outputs).values()] == [(2, 2048), (2, 1024), (2, 751)]


def test_the_network_is_its_parts_by_hand():
    model, images = network(descriptor="output").eval(), torch.randn(6, 3, 64, 48)
    pooled = F.adaptive_avg_pool2d(model.backbone(images)[1], 1).flatten(1)
    given = F.batch_norm(pooled, model.input_norm.running_mean, model.input_norm.running_var, model.input_norm.weight)
    outputs, w = model(images), model.eigen.weight.T
    torch.testing.assert_close(outputs.given, given)
    torch.testing.assert_close(outputs.projected, given @ w)
    torch.testing.assert_close(outputs.logits, given @ w @ model.classifier.weight.T + model.classifier.bias)
    assert torch.equal(model.embed(images), outputs.projected) and torch.equal(
        model.identity_logits(images), outputs.logits
    )
    other = network(descriptor="input").eval()
    assert torch.equal(other.embed(images), other(images).given)


def test_dropout_stands_behind_the_eigenlayer():
    model, images = network(dropout=0.5).train(), torch.randn(6, 3, 64, 48)
    torch.manual_seed(1)
    outputs = model(images)
    torch.manual_seed(1)
    torch.testing.assert_close(outputs.logits, model.classifier(F.dropout(outputs.projected, 0.5)))
    torch.testing.assert_close(outputs.projected, outputs.given @ model.eigen.weight.T)


def test_a_restraint_changes_w_but_no_distance_and_no_ranking():
    model, images = network(descriptor="output").eval(), torch.randn(12, 3, 64, 48)
    model.eigen.weight.data.add_(0.02 * torch.randn(model.eigen.weight.shape[1]))  # vectors that are alike
    before, w = model.embed(images), model.eigen.weight.clone()
    model.enter("base"), model.enter("relaxation 1")
    assert torch.equal(model.eigen.weight, w)
    model.enter("restraint 1")
    after = model.embed(images)
    assert not torch.allclose(after, before, atol=1e-2) and svdnet.orthogonality(model.eigen.weight) > 1 - 1e-5
    torch.testing.assert_close(distances(after), distances(before), rtol=1e-4, atol=1e-5)
    labels = dict(query_pids=np.arange(6) // 2, gallery_pids=np.arange(6) // 2)
    ranks = [retrieval.rank(f[:6], f[6:], metric=model.metric, **labels).mAP for f in (before.detach(), after.detach())]
    assert model.metric == "euclidean" and ranks[0] == ranks[1]


def test_without_the_svd_the_same_stages_leave_w_alone():
    model = network(decorrelation="none")
    before = model.eigen.weight.clone()
    model.enter("restraint 1")
    assert torch.equal(model.eigen.weight, before)
    assert methods.svdnet("smoke", decorrelation="none").stages == methods.svdnet("smoke").stages


def test_the_loss_is_cross_entropy_and_the_penalty_is_paid_for_what_is_not_orthogonal():
    pids = torch.tensor([0, 1, 6, 2, 2, 5])
    for penalty in (0.0, 0.5):
        model = network(penalty=penalty)
        outputs = model(torch.randn(6, 3, 64, 48))
        told = model.loss(outputs, pids)
        entropy, s = F.cross_entropy(outputs.logits, pids), svdnet.orthogonality(model.eigen.weight)
        torch.testing.assert_close(told.total, entropy + penalty * (1 - s))
        torch.testing.assert_close(told.signs["orthogonality"], s.detach())
        torch.testing.assert_close(told.terms["identification"], entropy.detach())
        expected = torch.autograd.grad(entropy + penalty * (1 - s), model.eigen.weight, retain_graph=True)[0]
        torch.testing.assert_close(torch.autograd.grad(told.total, model.eigen.weight)[0], expected)


def moved_in_a_step(recipe, stage):
    """The names of the tensors that one step of a stage changes."""
    model = recipe.network(7)
    optimizer = step.make_optimizer(recipe, model)
    stages.freeze(stage, optimizer)
    stages.set_training_mode(stage, model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.loss(model(torch.randn(6, 3, 64, 48)), torch.tensor([0, 1, 6, 2, 2, 5])).total.backward()
    step.set_learning_rate(optimizer, 0.01)
    optimizer.step()
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_relaxation_may_leave_the_first_layers_and_all_batch_norms_alone():
    recipe = methods.svdnet("smoke", partial_relaxation=True)
    moved, weights = moved_in_a_step(recipe, recipe.stages[2]), dict(recipe.network(7).named_parameters())
    convolutions = {name for name, weight in weights.items() if name.startswith("backbone.layer") and weight.ndim == 4}
    first = {name for name in convolutions if name.startswith("backbone.layer1.")}
    assert first and {name for name in moved if name.startswith("backbone.")} == convolutions - first
    assert {"eigen.weight", "classifier.weight", "input_norm.running_mean", "input_norm.weight"} <= moved


@pytest.mark.parametrize("fixed", [False, True])
def test_fixed_statistics_are_those_of_the_backbones_batch_norms(fixed):
    recipe = methods.svdnet("smoke", weights="passersby", fixed_statistics=fixed)
    moved = moved_in_a_step(recipe, recipe.stages[0])
    assert any(name.startswith("backbone.") and name.endswith("running_var") for name in moved) != fixed
    assert {"backbone.bn1.weight", "backbone.conv1.weight", "input_norm.running_var", "eigen.weight"} <= moved


def test_all_parameters_are_in_one_group_and_a_restraint_freezes_w_alone():
    recipe = methods.svdnet("smoke", partial_relaxation=True, backbone_lr=0.5)
    model = recipe.network(7)
    found, still = [p for some in model.groups().values() for p in some], model.groups()["still"]
    assert len({id(p) for p in found}) == len(found) == len([p for p in model.parameters() if p.requires_grad])
    optimizer = step.make_optimizer(recipe, model)
    assert {g["name"]: g["factor"] for g in optimizer.param_groups} == dict(backbone=0.5, still=0.5, eigen=1, head=1)
    frozen = []
    for stage in recipe.stages:
        stages.freeze(stage, optimizer)
        frozen.append([p for p in found if not p.requires_grad])
    assert frozen[0] == [] and [id(p) for p in frozen[1]] == [id(model.eigen.weight)]
    assert still and {id(p) for p in frozen[2]} == {id(p) for p in still}


def test_an_epoch_count_of_six_at_classroom_and_of_the_authors_code_at_paper():
    assert stages.total_epochs(methods.svdnet("classroom")) == stages.total_epochs(methods.classification("classroom"))
    assert stages.total_epochs(methods.svdnet("classroom", weights=None)) == 18
    paper = methods.svdnet("paper").stages
    assert len(paper) == 15 and sum(stage.epochs for stage in paper) == 62 + 7 * 40
    assert [stage.lr for stage in paper[5:9]] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])


def test_the_rate_drops_in_the_base_after_25_and_49_epochs_and_in_each_stage_of_a_round_after_12():
    recipe = methods.svdnet("paper")
    rates = {0: 1e-3, 24: 1e-3, 25: 1e-4, 49: 1e-5, 62: 1e-3, 73: 1e-3, 74: 1e-4, 82: 1e-3, 94: 1e-4}
    rates |= {182: 1e-4, 193: 1e-4, 194: 1e-5}  # the fourth round
    assert {epoch: learning_rate(recipe, epoch) for epoch in rates} == pytest.approx(rates)


def test_erasing_is_a_field_that_changes_nothing_else():
    plain, erased = (methods.svdnet("paper", erasing=erasing) for erasing in (0.0, 0.5))
    assert dataclasses.replace(erased, erasing=0.0) == plain and plain.augmentation().erasing is None
    assert erased.augmentation().erasing == data.RandomErasing(0.5, (0.02, 0.4), (0.3, 3.33), 100, "random")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"eigen_dim": 2000}, "eigen_dim is 2000; it must be at most 1024"),
        ({"fixed_statistics": True}, "fixed_statistics is True"),
        ({"rounds": (1.0, 0)}, "rounds"),
        ({"matching": "best"}, "matching"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(changes, named):
    with pytest.raises(RecipeError, match=named):
        methods.svdnet("smoke", **changes).network(7)


# The stages


@pytest.fixture(scope="module")
def few(smoke):
    """Eight of its people to train on, and four others to look for."""

    def people(records, count):
        return sorted({record.pid for record in records})[:count]

    chosen = {*people(smoke.train, 8), *people(smoke.query, 4)}
    splits = [[record for record in split if record.pid in chosen] for split in smoke.splits.values()]
    return data.Benchmark("few", *splits, root=smoke.root)


@pytest.fixture(scope="module")
def recipe():
    """Five stages of an epoch each; small images, since the backbone is not what is tested."""
    return methods.svdnet("smoke", rounds=(1.0, 0.5), resize=(32, 24), crop=(32, 24), precision="float32").replace(
        evaluate_every=0
    )


class Told:
    """The Eigenlayer's weight at the beginning and the end of each stage, and how often there was an SVD."""

    def __init__(self, patch):
        self.svds, self.weights = 0, []
        enter, uncorrelated = svdnet.SVDNet.enter, svdnet.uncorrelated

        def watched(network, stage):
            self.weights.append(network.eigen.weight.detach().clone())
            enter(network, stage)
            self.weights.append(network.eigen.weight.detach().clone())

        def counted(*given):
            self.svds += 1
            return uncorrelated(*given)

        patch.setattr(svdnet.SVDNet, "enter", watched)
        patch.setattr(svdnet, "uncorrelated", counted)


@pytest.fixture(scope="module")
def whole(few, recipe, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        told = Told(patch)
        return training.fit(recipe, few, runs=tmp_path_factory.mktemp("whole"), **OPTIONS), told


def test_a_restraint_begins_with_an_svd_and_keeps_the_eigenlayers_bits(whole):
    run, told = whole
    assert [stage.name for stage in run.recipe.stages] == NAMES and told.svds == 2
    _, _, first, restrained, first_end, relaxed, second, restrained_2, second_end, relaxed_2 = told.weights
    assert not torch.equal(first, restrained) and not torch.equal(second, restrained_2)
    assert torch.equal(first_end, restrained) and torch.equal(second_end, restrained_2)
    assert torch.equal(first_end, relaxed) and torch.equal(second_end, relaxed_2)
    assert not torch.equal(second, relaxed) and not torch.equal(run.model.eigen.weight, relaxed_2)
    measured = run.history["orthogonality"].to_numpy()
    assert (measured[[1, 3]] > 1 - 1e-4).all() and (measured[[0, 2, 4]] < 1 - 1e-3).all()


class KilledError(Exception):
    pass


def killed(patch, owner, name, number):
    """The call of that number, counted from 0, never happens."""
    calls, right = [], getattr(owner, name)

    def counted(*given):
        if len(calls) == number:
            raise KilledError
        calls.append(1)
        return right(*given)

    patch.setattr(owner, name, counted)


@pytest.mark.parametrize("stage", [*NAMES[1:], "after the SVD of restraint 1", "after the SVD of restraint 2"])
def test_a_kill_at_any_stage_boundary_ends_in_the_same_bits_after_two_svds(
    few, recipe, whole, tmp_path, monkeypatch, stage
):
    told, begins = Told(monkeypatch), NAMES.index(stage.removeprefix("after the SVD of "))
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        if stage in NAMES:  # the stage does not begin
            killed(patch, Trainer, "_begin", begins)
        else:  # it has begun, but takes no step
            killed(patch, Engine, "update", begins * (len(few.train) // recipe.batch))
        training.fit(recipe, few, runs=tmp_path, **OPTIONS)
    run = training.fit(recipe, few, runs=tmp_path, **OPTIONS)
    state, expected = run.model.state_dict(), whole[0].model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert told.svds == 2 and len(told.weights) == 2 * len(NAMES)


def test_the_network_is_exported(whole, tmp_path):
    pytest.importorskip("onnxruntime")
    assert export.to_onnx(whole[0], tmp_path / "svdnet.onnx") < export.TOLERANCE
