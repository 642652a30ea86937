"""JLML: two branches on one stem, their losses, the penalties, and the controls."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from seen import seen
from torch.nn import functional as F

from reid_lab import export, methods
from reid_lab.methods.multi_loss import exclusive_lasso, group_lasso
from reid_lab.models.weights import passersby_weights
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import step

PIDS = torch.tensor([0, 1, 6, 2, 2, 5])
CONTROLS = [{}, {"streams": 1}, {"sparsity": 0.0}]


def network(**changes):
    torch.manual_seed(0)
    return methods.multi_loss("smoke", **changes).network(7)


@pytest.fixture
def images():
    return torch.randn(6, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def test_the_paper_size_has_the_parameters_of_two_resnets_on_one_stem():
    with torch.device("meta"):
        model = methods.multi_loss("paper", weights=None).network(751)
        outputs = model(torch.empty(2, 3, 224, 224))
    resnet, stem, features, classifier = 23_508_032, 9_408 + 128, 2048 * 512, 512 * 751 + 751
    assert sum(p.numel() for p in model.parameters()) == 2 * (resnet + features + classifier) - stem == 49_874_206
    shapes = [tuple(value.shape) for value in (outputs.whole, outputs.local, *outputs.logits)]
    assert shapes == [(2, 512)] * 2 + [(2, 751)] * 2


def test_the_branches_are_their_parts_by_hand_one_stripe_after_another(images):
    model = seen(network())
    b = model.backbone
    stem = F.max_pool2d(F.relu(b.bn1(b.conv1(images))), 3, 2, 1)
    assert stem.shape[2:] == (16, 12)
    whole = model.norms[0](b(images)[1].mean((2, 3))) @ model.w_g.weight.T
    parts = [model.stripes(stem[:, :, 4 * i : 4 * i + 4]).mean((2, 3)) for i in range(4)]
    local = torch.cat([model.norms[1](p) @ w.weight.T for p, w in zip(parts, model.w_l, strict=True)], dim=1)
    outputs = model(images)
    torch.testing.assert_close(outputs.whole, whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outputs.local, local, rtol=1e-4, atol=1e-5)
    for logits, features, classifier in zip(outputs.logits, (whole, local), model.classifiers, strict=True):
        torch.testing.assert_close(logits, classifier(features), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.embed(images), F.normalize(torch.cat([whole, local], dim=1)), rtol=0, atol=1e-5)
    torch.testing.assert_close(model.identity_logits(images), (outputs.logits[0] + outputs.logits[1]) / 2)


def test_a_loss_of_one_branch_reaches_the_stem_and_not_the_other_branch(images):
    for own, other in ((0, "stripes."), (1, "backbone.layer")):
        model = network()
        F.cross_entropy(model(images).logits[own], PIDS).backward()
        reached = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
        assert not any(name.startswith(other) for name in reached)
        assert {"backbone.conv1.weight", "w_g.weight" if own == 0 else "w_l.3.weight"} <= reached


def test_both_penalties_by_hand():
    w = torch.tensor([[3.0, -4.0], [0.0, 0.0], [1.0, 0.0]], requires_grad=True)
    assert group_lasso(w).item() == 6 and exclusive_lasso(w).item() == 50
    (gradient,) = torch.autograd.grad(group_lasso(w), w)
    torch.testing.assert_close(gradient, torch.tensor([[0.6, -0.8], [0.0, 0.0], [1.0, 0.0]]))  # a vanished group rests


def test_the_loss_is_the_sum_of_two_cross_entropies_and_the_penalties_of_inputs(images):
    model = network(sparsity=0.01)
    outputs = model(images)
    told = model.loss(outputs, PIDS)
    entropies = [F.cross_entropy(logits, PIDS) for logits in outputs.logits]
    group = sum(column.square().sum().sqrt() for column in model.w_g.weight.T)
    exclusive = sum(column.abs().sum() ** 2 for w in model.w_l for column in w.weight.T)
    torch.testing.assert_close(told.total, sum(entropies) + 0.01 * (group + exclusive))
    expected = dict(
        zip(("global", "local", "group_lasso", "exclusive_lasso"), (*entropies, group, exclusive), strict=True)
    )
    expected_terms = {name: value.detach() for name, value in expected.items()}
    torch.testing.assert_close(told.terms, expected_terms, rtol=1e-5, atol=1e-6)
    assert told.signs["idle_inputs"] == 0
    model.w_g.weight.data[:, :256] *= 1e-6
    assert model.loss(outputs, PIDS).signs["idle_inputs"] == 0.25


def test_one_merged_loss_sees_both_branches(images):
    model = network(merged=True, sparsity=0.0)
    outputs = model(images)
    (logits,), told = outputs.logits, model.loss(outputs, PIDS)
    both = torch.cat([outputs.whole, outputs.local], dim=1)
    torch.testing.assert_close(logits, model.classifiers[0](both))
    torch.testing.assert_close(told.total, F.cross_entropy(logits, PIDS))
    assert told.terms.keys() == {"merged"}


def test_the_controls_have_the_size_and_the_descriptor_of_the_method(images):
    sizes = [sum(p.numel() for p in network(**control).parameters()) for control in CONTROLS]
    assert len(set(sizes)) == 1
    merged = network(merged=True)
    assert sum(p.numel() for p in merged.parameters()) == sizes[0] - 7  # one bias less for each identity
    assert {network(**control).embed(images).shape for control in [*CONTROLS, {"merged": True}]} == {(6, 64)}


def test_one_stream_is_a_second_global_branch(images):
    model = seen(network(streams=1))
    model.stripes.load_state_dict(
        {f"{int(n[5]) - 1}{n[6:]}": v for n, v in model.backbone.state_dict().items() if n.startswith("layer")}
    )
    model.norms[1].load_state_dict(model.norms[0].state_dict())
    model.w_l[0].load_state_dict(model.w_g.state_dict())
    outputs = model(images)
    torch.testing.assert_close(outputs.local, outputs.whole)


def test_both_branches_begin_from_the_same_start():
    model = network(weights="passersby")
    whole, stripes = model.backbone.state_dict(), model.stripes.state_dict()
    start = {name: value for name, value in passersby_weights("resnet_slim").items() if name.startswith("layer")}
    assert len(start) == len(stripes)
    for name, value in start.items():
        assert torch.equal(whole[name], value) and torch.equal(stripes[f"{int(name[5]) - 1}{name[6:]}"], value)


def test_both_branches_are_of_the_group_backbone():
    recipe = methods.multi_loss("smoke", backbone_lr=0.1)
    model = recipe.network(7)
    groups = {group["name"]: group for group in step.make_optimizer(recipe, model).param_groups}
    assert groups["backbone"]["factor"] == 0.1 and groups["head"]["factor"] == 1.0
    branches = [*model.backbone.parameters(), *model.stripes.parameters()]
    assert [id(p) for p in groups["backbone"]["params"]] == [id(p) for p in branches]
    trained = [p for p in model.parameters() if p.requires_grad]
    assert len(groups["backbone"]["params"]) + len(groups["head"]["params"]) == len(trained)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"streams": 3}, "streams is 3; it must be a divisor of 16"),
        ({"streams": 16, "half_size_epochs": 1}, "streams is 16; it must be a divisor of 8"),
        ({"dim": 30}, "dim is 30; it must be a multiple of streams = 4"),
        ({"sparsity": -1.0}, "sparsity"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(changes, named):
    with pytest.raises(RecipeError, match=named):
        methods.multi_loss("smoke", **changes)


def test_the_network_is_exported(tmp_path):
    pytest.importorskip("onnxruntime")
    run = SimpleNamespace(model=seen(network()), folder=Path("run"), recipe=methods.multi_loss("smoke"))
    assert export.to_onnx(run, tmp_path / "multi_loss.onnx") < export.TOLERANCE
