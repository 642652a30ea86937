"""PCB's parts, against PyTorch's own poolings and layers."""

import functools

import numpy as np
import pytest
import torch
from seen import normed, seen
from torch.nn import functional as F

from reid_lab import methods, models
from reid_lab.methods import bench
from reid_lab.models import backbones
from reid_lab.runtime.errors import RecipeError

PARTITIONS = ("rows", "columns", "random", "none")
CROP = dict(resize=(128, 96), crop=(128, 96))  # whose map has 8 rows and 6 columns


@pytest.fixture(autouse=True, scope="module")
def narrow():
    """Backbones of few channels, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.BACKBONES, "resnet_slim", functools.partial(models.resnet_slim, width=4))
        yield


def network(**changes):
    torch.manual_seed(0)
    return seen(methods.pcb("smoke", **CROP | changes).network(7))


def a_map(model, h=8, w=6, batch=5):
    return torch.randn(batch, model.backbone.channels[1], h, w, generator=torch.Generator().manual_seed(1))


def test_the_network_of_the_paper_has_as_many_parameters_as_the_authors():
    model = methods.pcb("paper", weights=None).network(751)
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_190_874


def test_the_recipe_holds_the_published_numbers():
    r = methods.pcb("paper")
    assert (r.crop, r.resize, r.pad, r.flip, r.erasing, r.smoothing) == ((384, 128), (384, 128), 0, 0.5, 0.0, 0.0)
    assert (r.optimizer, r.lr, r.backbone_lr, r.momentum, r.weight_decay) == ("nesterov", 0.1, 0.1, 0.9, 5e-4)
    assert (r.epochs, r.schedule, r.milestones, r.decay, r.warmup, r.images) == (60, "steps", (40,), 0.1, "none", 64)
    assert (r.parts, r.dim, r.dropout, r.descriptor, r.partition) == (6, 256, 0.5, "g", "rows")


@pytest.mark.parametrize("method", [methods.pcb, methods.rpp])
def test_the_bench_is_left_only_for_the_parts_and_their_head(method):
    recipe, own = method("classroom"), {"lr": 3e-3, "backbone_lr": 1.0, "parts": 4, "dim": 128, "dropout": 0.2}
    assert {name: getattr(recipe, name) for name in bench.CLASSROOM | own} == bench.CLASSROOM | own
    assert method("classroom", weights=None).epochs == bench.FROM_RANDOM["epochs"]
    assert [methods.from_json(method(size).to_json()) for size in methods.SIZES] == [method(s) for s in methods.SIZES]


@pytest.mark.parametrize(
    ("partition", "parts", "cells"),
    [("rows", 1, 1), ("rows", 2, (2, 1)), ("rows", 8, (8, 1)), ("columns", 3, (1, 3)), ("columns", 6, (1, 6))]
    + [("random", 1, 1), ("none", 1, 1), ("none", 5, 1)],
)
def test_a_part_is_the_mean_that_adaptive_pooling_takes(partition, parts, cells):
    model = network(partition=partition, parts=parts)
    maps = a_map(model)
    expected = F.adaptive_avg_pool2d(maps, cells).flatten(2).transpose(1, 2)  # of "none" one mean, for all parts
    torch.testing.assert_close(model.head(maps).pooled, expected.expand(-1, parts, -1), rtol=0, atol=1e-6)


def test_images_of_half_the_size_are_cut_in_the_same_way():
    model = network(half_size_epochs=1, parts=4)
    images = torch.randn(2, 3, 64, 48)
    layer4 = model.backbone(images)[1]
    assert layer4.shape[2:] == (4, 3)
    expected = F.adaptive_avg_pool2d(layer4, (4, 1)).flatten(2).transpose(1, 2)
    torch.testing.assert_close(model(images).pooled, expected, rtol=0, atol=1e-6)


def test_random_parts_are_as_large_as_stripes_but_scattered_and_belong_to_the_weights():
    model = network(partition="random", parts=4)
    for h, w in ((8, 6), (4, 2)):  # the smaller map is that of images of half the size
        membership = model.head(a_map(model, h, w)).membership[0]  # (parts, positions)
        assert (membership.sum(dim=0) == 1).all() and (membership.sum(dim=1) == h * w / 4).all()
        assert set(membership.unique().tolist()) == {0, 1}
    rows = model.head(a_map(model)).membership[0].unflatten(1, (8, 6)).sum(dim=2).gt(0).sum(dim=1)
    assert (rows > 4).all()  # a stripe has two
    torch.manual_seed(1)
    other = methods.pcb("smoke", **CROP, partition="random", parts=4).network(7)
    assert not torch.equal(other.order, model.order)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.order, model.order)


def test_random_parts_stay_what_they_are_from_batch_to_batch():
    model = network(partition="random", parts=4)
    first, second = (model.head(a_map(model)).membership for _ in range(2))
    assert torch.equal(first, second)


def test_the_controls_have_the_same_weights_at_first_and_features_of_the_same_size():
    rows = network(parts=2)
    images = torch.randn(2, 3, 128, 96)
    for partition in PARTITIONS[1:]:
        model = network(parts=2, partition=partition)
        assert all(torch.equal(*pair) for pair in zip(model.parameters(), rows.parameters(), strict=True))
        ours, theirs = model.embed(images), rows.embed(images)
        assert ours.shape == theirs.shape and not torch.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("descriptor", ["g", "h"])
def test_the_head_and_the_features_are_those_of_the_layers_by_hand(descriptor):
    model, images = network(parts=4, descriptor=descriptor), torch.randn(3, 3, 128, 96)
    layer4 = model.backbone(images)[1]
    _, linear, norm, _ = model.reduction
    g = F.adaptive_avg_pool2d(layer4, (4, 1))
    h = F.relu(normed(F.conv2d(g, linear.weight[:, :, None, None]), norm))  # as published: a 1x1 convolution
    g, h = (maps.flatten(2).transpose(1, 2) for maps in (g, h))
    outputs = model(images)
    torch.testing.assert_close(outputs.reduced, h, rtol=1e-4, atol=1e-5)
    expected = [F.linear(h[:, i], layer.weight, layer.bias) for i, layer in enumerate(model.classifiers)]
    torch.testing.assert_close(outputs.logits, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.identity_logits(images), sum(expected) / 4, rtol=1e-4, atol=1e-5)
    parts = g if descriptor == "g" else h
    features = model.embed(images)
    torch.testing.assert_close(model.unnormalized_features(images), parts.flatten(1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(features, F.normalize(F.normalize(parts, dim=2).flatten(1)), rtol=1e-4, atol=1e-5)
    cosines = [F.cosine_similarity(parts[0, i], parts[1, i], dim=0) for i in range(4)]
    torch.testing.assert_close(features[0] @ features[1], sum(cosines) / 4, rtol=0, atol=1e-6)


def test_the_classifiers_begin_near_zero_and_the_reduction_as_a_convolution():
    torch.manual_seed(0)
    model = methods.pcb("smoke", dim=64).network(200)
    for layer in model.classifiers:
        assert layer.weight.std().item() == pytest.approx(0.001, rel=0.1) and not layer.bias.any()
    assert model.reduction[1].weight.std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.1)  # of 64 outputs


def test_the_batch_norm_takes_its_statistics_over_the_parts_of_all_images():
    model = network(parts=4, dropout=0.0)
    maps = a_map(model)
    rows = F.linear(F.adaptive_avg_pool2d(maps, (4, 1)).flatten(2).transpose(1, 2), model.reduction[1].weight)
    norm = model.reduction[2]
    expected = 0.9 * norm.running_mean + 0.1 * rows.mean(dim=(0, 1))
    model.train().head(maps)
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-6)


def test_dropout_is_before_the_reduction_and_nowhere_else():
    model = network(parts=4, dropout=0.75)
    first, second = (model.train().head(a_map(model)) for _ in range(2))
    assert torch.equal(first.pooled, second.pooled) and not torch.equal(first.reduced, second.reduced)
    kept = []
    model.reduction[1].register_forward_pre_hook(lambda layer, given: kept.append(given[0].ne(0).float().mean().item()))
    model.head(a_map(model, batch=40))
    assert kept == pytest.approx([0.25], abs=0.05)


def test_the_loss_is_the_sum_of_pytorchs_cross_entropies():
    model, pids = network(parts=4, smoothing=0.2), torch.tensor([0, 1, 6, 2, 2])
    outputs = model.head(a_map(model))
    losses = model.loss(outputs, pids)
    entropies = [F.cross_entropy(logits, pids, label_smoothing=0.2) for logits in outputs.logits]
    assert torch.allclose(losses.total, sum(entropies))
    assert losses.terms.keys() == {"identification"}
    assert torch.allclose(losses.terms["identification"], sum(entropies) / 4)
    assert losses.accuracy == (sum(outputs.logits).argmax(dim=1) == pids).float().mean()
    lengths = outputs.pooled.flatten(1).norm(dim=1)
    assert losses.signs["length"].item() == pytest.approx(lengths.square().mean().sqrt().item(), rel=1e-5)


def test_a_classifier_sees_its_own_stripe_of_the_map_but_more_of_the_image():
    model, images = network(parts=4), torch.randn(2, 3, 128, 96, requires_grad=True)
    layer4 = model.backbone(images)[1]
    layer4.retain_grad()
    model.head(layer4).logits[1].square().sum().backward()
    stripes = layer4.grad.abs().amax(dim=(0, 1, 3)).unflatten(0, (4, 2)).amax(dim=1)
    assert stripes[1] > 0 and stripes[[0, 2, 3]].eq(0).all()
    assert images.grad.abs().amax(dim=(0, 1, 3))[:80].gt(0).all()  # its own rows are 32 to 63


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (dict(parts=6), "parts is 6; it must be a divisor of 8, the rows of layer4's map of 128 x 96 images.*pcb"),
        (dict(parts=16), "parts is 16; it must be a divisor of 8"),  # more than there are rows
        (dict(parts=4, partition="columns"), "parts is 4; it must be a divisor of 6, the columns"),
        (dict(parts=5, partition="random"), "parts is 5; it must be a divisor of 48, the positions"),
        (dict(parts=8, half_size_epochs=1), "parts is 8; it must be a divisor of 4, the rows of .* 64 x 48"),
        (dict(parts=8, last_stride=2), "parts is 8; it must be a divisor of 4"),
        (dict(parts=0), "parts"),
        (dict(dim=0), "dim"),
        (dict(dropout=1.0), "dropout"),
        (dict(partition="stripes"), "partition"),
        (dict(descriptor="G"), "descriptor"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_parts_that_do_not_fit_are_refused_with_field_value_and_cure(changes, told):
    with pytest.raises(RecipeError, match=told):
        methods.pcb("smoke", **CROP | changes)


@pytest.mark.parametrize(("crop", "stride"), [((384, 128), 1), ((72, 54), 1), ((200, 77), 2)])
def test_the_size_of_the_map_that_is_reckoned_with_is_that_of_the_backbone(crop, stride):
    from reid_lab.methods.pcb import map_size

    layer4 = models.resnet_slim(stride, width=4)(torch.zeros(1, 3, *crop))[1]
    assert map_size(crop, stride) == layer4.shape[2:]


def test_batches_are_the_whole_set_in_random_order():
    recipe = methods.pcb("smoke", images=4)
    batches = recipe.sampler(np.arange(12) // 3, np.ones(12), 0).epoch(0)
    assert recipe.batch == 4 and sorted(np.concatenate(batches)) == list(range(12))
