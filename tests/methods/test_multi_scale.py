"""DPFL: what each network sees, the consensus that teaches it, and the controls."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from seen import seen
from torch.nn import functional as F

from reid_lab import export, methods
from reid_lab.methods.multi_scale import rescaled
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import step

PIDS = torch.tensor([0, 1, 6, 2, 2, 5])
CONTROLS = [{}, {"scales": (1.0, 1.0)}, {"consensus": 0.0}]


def network(**changes):
    torch.manual_seed(0)
    return methods.multi_scale("smoke", **{"dropout": 0.0} | changes).network(7)


@pytest.fixture
def images():
    return torch.randn(6, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def test_the_paper_size_has_two_networks_of_53_17_million_parameters_together():
    with torch.device("meta"):
        model = methods.multi_scale("paper", weights=None).network(751)
        outputs = model(torch.empty(2, 3, 256, 128))
    assert sum(p.numel() for p in model.parameters()) == 53_170_509
    assert [tuple(value.shape) for value in outputs.pooled + outputs.logits] == [(2, 2048)] * 2 + [(2, 751)] * 2


@pytest.mark.parametrize("scale", [0.75, 0.5, 0.6])
def test_an_image_is_made_smaller_by_weights_that_fall_linearly_with_the_distance(images, scale):
    images = images.double()
    small, edges = rescaled(images, scale), []
    for side in images.shape[2:]:
        new = round(scale * side)
        middle, place = (torch.arange(new).double() + 0.5) * side / new, torch.arange(side) + 0.5
        weight = (1 - (place - middle[:, None]).abs() * new / side).clamp(min=0)
        edges.append(weight / weight.sum(dim=1, keepdim=True))
    torch.testing.assert_close(small, edges[0] @ images @ edges[1].T, rtol=0, atol=1e-12)
    assert rescaled(images, 1.0) is images


def test_each_network_sees_its_own_scale_and_the_fusion_sees_all(images):
    model = seen(network())
    pooled = [model.backbone(images)[1].mean((2, 3)), model.others[0](rescaled(images, 0.75))[1].mean((2, 3))]
    outputs, both = model(images), torch.cat(pooled, dim=1)
    for found, vector, logits, classifier in zip(
        outputs.pooled, pooled, outputs.logits, model.classifiers, strict=True
    ):
        torch.testing.assert_close(found, vector)
        torch.testing.assert_close(logits, vector @ classifier.weight.T + classifier.bias)
    torch.testing.assert_close(outputs.fused, both @ model.fusion.weight.T + model.fusion.bias)
    assert torch.equal(model.identity_logits(images), outputs.fused)
    torch.testing.assert_close(model.embed(images), F.normalize(both))
    assert not torch.equal(model.backbone.conv1.weight, model.others[0].conv1.weight)


def gradients(model, images, total):
    return dict(zip(dict(model.named_parameters()), torch.autograd.grad(total, list(model.parameters())), strict=True))


def test_the_loss_is_three_cross_entropies_and_two_to_the_consensus(images):
    model = network(consensus=0.5)
    outputs = model(images)
    told, consensus = model.loss(outputs, PIDS), outputs.fused.softmax(dim=1)
    hard = [F.cross_entropy(logits, PIDS) for logits in (*outputs.logits, outputs.fused)]
    soft = [F.cross_entropy(logits, consensus) for logits in outputs.logits]
    torch.testing.assert_close(told.total, sum(hard) + 0.5 * sum(soft))
    expected = {"scales": hard[0] + hard[1], "fusion": hard[2], "consensus": soft[0] + soft[1]}
    torch.testing.assert_close(told.terms, {name: value.detach() for name, value in expected.items()})


def test_the_consensus_teaches_the_scales_and_learns_nothing_from_them(images):
    model = network()
    torch.nn.init.normal_(model.fusion.weight)  # a teacher with an opinion
    found = []
    for consensus in (0.0, 1.0):
        model.recipe = model.recipe.replace(consensus=consensus)
        found.append(gradients(model, images, model.loss(model(images), PIDS).total))
    same = {name for name, gradient in found[0].items() if torch.equal(gradient, found[1][name])}
    assert same == {"fusion.weight", "fusion.bias"}


def test_the_fusions_own_loss_reaches_all_networks(images):
    model = network()
    fusion = F.cross_entropy(model(images).fused, PIDS)
    first = [model.backbone.conv1.weight, model.others[0].conv1.weight]
    assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(fusion, first))


def test_without_consensus_a_classifier_learns_from_its_own_scale_alone(images):
    model, found = network(consensus=0.0), []
    for other in (0.0, 1.0):
        model.others[0].conv1.weight.data.add_(other)
        found.append(gradients(model, images, model.loss(model(images), PIDS).total))
    assert torch.equal(found[0]["classifiers.0.weight"], found[1]["classifiers.0.weight"])
    assert not torch.equal(found[0]["classifiers.1.weight"], found[1]["classifiers.1.weight"])


def test_the_controls_have_the_size_and_the_descriptor_of_the_method(images):
    sizes = {sum(p.numel() for p in network(**control).parameters()) for control in CONTROLS}
    assert len(sizes) == 1
    assert {network(**control).embed(images).shape for control in CONTROLS} == {(6, 2048)}


def test_dropout_stands_before_the_fusion_alone(images):
    model = network(dropout=0.5).train()
    torch.manual_seed(1)
    outputs = model(images)
    torch.manual_seed(1)
    torch.testing.assert_close(outputs.fused, model.fusion(F.dropout(torch.cat(outputs.pooled, dim=1), 0.5)))
    torch.testing.assert_close(outputs.logits[0], model.classifiers[0](outputs.pooled[0]))


def test_all_networks_are_of_the_group_backbone():
    recipe = methods.multi_scale("smoke", backbone_lr=0.1, scales=(1.0, 0.75, 0.5))
    model = recipe.network(7)
    optimizer = step.make_optimizer(recipe, model)
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert groups["backbone"]["factor"] == 0.1 and groups["head"]["factor"] == 1.0
    backbone = [*model.backbone.parameters(), *model.others.parameters()]
    assert [id(p) for p in groups["backbone"]["params"]] == [id(p) for p in backbone]
    head = [*model.classifiers.parameters(), *model.fusion.parameters()]
    assert [id(p) for p in groups["head"]["params"]] == [id(p) for p in head]


@pytest.mark.parametrize("scales", [(1.0, 0.75), (1.0, 0.5)])
def test_small_maps_are_healthy_in_bf16_at_the_classrooms_input(scales):
    recipe = methods.multi_scale("classroom", weights=None, scales=scales)
    torch.manual_seed(0)
    model, images = recipe.network(7).train(), torch.randn(6, 3, *recipe.crop)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = model(images)
    model.loss(outputs, PIDS).total.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("scales", [(1.0,), (1.0, 1.5), (1.0, 0.1), (1.0, 0.0), (1.0, "half")])
def test_scales_that_cannot_be_are_refused_by_their_name(scales):
    with pytest.raises(RecipeError, match=r"\bscales is .*; it must be "):
        methods.multi_scale("smoke", scales=scales)


def test_the_network_is_exported(tmp_path):
    pytest.importorskip("onnxruntime")
    run = SimpleNamespace(model=seen(network()), folder=Path("run"), recipe=methods.multi_scale("smoke"))
    assert export.to_onnx(run, tmp_path / "multi_scale.onnx") < export.TOLERANCE
