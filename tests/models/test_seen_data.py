"""Both networks, their normalization layers having seen data, against their papers' formulas written out.

A fresh BNNeck is nearly the identity: with one, features before and after it cannot be told apart.
"""

import pytest
import torch
from seen import normed, seen
from torch import nn
from torch.nn import functional as F

from reid_lab import methods

PIDS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])


@pytest.fixture
def images():
    return torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def trained(model):
    """As after a training: classifiers, too, are no longer near zero."""
    random = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.weight.data.copy_(0.3 * torch.randn(module.weight.shape, generator=random))
    seen(model)
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not name.startswith("backbone"):
            module.running_var[::2] = 0.01  # features that vary little: the constant that is added shows
    return model


def residual(pooling="residual", **fields):
    torch.manual_seed(0)
    return trained(methods.residual_pooling("smoke", pooling=pooling, dim=16, **fields).network(5))


def multitask(**fields):
    torch.manual_seed(0)
    return trained(methods.multitask("smoke", **fields).network(5))


def delta(x, module):
    """Eq. 1's 1x1 convolution, batch normalization, ReLU: (batch, c, m, m) -> (batch, dim, m, m)."""
    if isinstance(module, nn.Conv2d):
        return torch.einsum("bchw,dc->bdhw", x, module.weight[:, :, 0, 0])
    return normed(delta(x, module[0]), module[1]).clamp(min=0)


def pcont(model):
    """Eq. 1 at the three places, from the two maps: written out for "residual", the baseline and the raw maximum."""

    sign = 1 if model.recipe.sign == "avg-max" else -1

    def of(layer3, layer4):
        if model.recipe.pooling == "baseline":
            return [layer4.mean((2, 3))]
        places = [(layer3, 1), (layer4, 1), (layer4, 2)]
        if model.recipe.pooling == "raw max":
            return [F.adaptive_max_pool2d(maps, m).mean((2, 3)) for maps, m in places]
        found = []
        for (maps, m), pool in zip(places, model.pools, strict=True):
            p_avg, p_max = F.adaptive_avg_pool2d(maps, m), F.adaptive_max_pool2d(maps, m)
            if model.recipe.third == "flatten":
                p_avg, p_max = p_avg.flatten(1)[..., None, None], p_max.flatten(1)[..., None, None]
            second = pool.first if pool.second is None else pool.second
            found.append((delta(p_max, pool.first) + delta(sign * (p_avg - p_max), second)).mean((2, 3)))
        return found

    return of


VARIANTS = [
    {},
    {"fusion": "sum"},
    {"third": "flatten"},
    {"classifiers": 3},
    {"sign": "max-avg"},
    {"shared_convolutions": True},
    {"nonlinear": False},
    {"last_stride": 2},
    {"pooling": "baseline"},
    {"pooling": "raw max"},
]


@pytest.mark.parametrize("fields", VARIANTS, ids=str)
def test_paper_bs_features_logits_and_descriptor_are_those_after_the_bnneck(images, fields):
    model = residual(**fields)
    with torch.no_grad():
        contrast = pcont(model)(*model.backbone(images))
        necks = [normed(vector, neck) for vector, neck in zip(contrast, model.necks, strict=True)]
        owners = [model.classifiers[j if len(model.classifiers) > 1 else 0] for j in range(len(necks))]
        logits = [neck @ owner.weight.T for neck, owner in zip(necks, owners, strict=True)]
        fused = torch.cat(necks, 1) if model.recipe.fusion == "concat" else torch.stack(necks).sum(0)
        outputs, described = model(images), model.embed(images)
    for ours, theirs in ((outputs.necks, necks), (outputs.logits, logits), ([*outputs.contrast.values()], contrast)):
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(described, fused / fused.norm(dim=1, keepdim=True), rtol=1e-3, atol=1e-5)
    before = torch.cat(contrast, 1)
    if before.shape == described.shape:  # the comparison can tell the two sides of the BNNeck apart
        assert (described - F.normalize(before, dim=1)).abs().max() > 0.05


@pytest.mark.parametrize(("dim", "norm"), [(16, False), (16, True), (0, True)])
def test_paper_as_descriptor_and_logits_are_those_after_its_projection_and_norm(images, dim, norm):
    model = multitask(embed_dim=dim, embed_norm=norm)
    with torch.no_grad():
        f = model.backbone(images)[1].mean((2, 3))
        if dim:
            f = f @ model.projection.weight.T + model.projection.bias
        if norm:
            f = normed(f, model.norm)
        outputs, described = model(images), model.embed(images)
    square = (f[:4] - f[4:]) ** 2
    pairs, people = model.pair_classifier, model.identity_classifier
    torch.testing.assert_close(described, f, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(outputs.identity_logits, f @ people.weight.T + people.bias, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(outputs.pair_logits, square @ pairs.weight.T + pairs.bias, rtol=1e-3, atol=1e-3)
    same = (square @ pairs.weight.T + pairs.bias).softmax(1)[:, 0]
    torch.testing.assert_close(model.train().verify(f[:4], f[4:]), same, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [residual, lambda: multitask(embed_dim=16, embed_norm=True)], ids=["B", "A"])
def test_in_training_every_norm_takes_the_batchs_statistics_and_moves_its_own_a_tenth_towards_them(make, images):
    model = make().train()
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    before = {name: (m.running_mean.clone(), m.running_var.clone()) for name, m in norms.items()}
    given, gave = {}, {}

    def watch(name):
        def hook(module, inputs, output):
            given[name], gave[name] = inputs[0].detach(), output.detach().clone()  # the ReLU behind it works in place

        return hook

    for name, module in norms.items():
        module.register_forward_hook(watch(name))
    model(images)
    assert given.keys() == norms.keys()
    for name, module in norms.items():
        x = given[name].transpose(0, 1).flatten(1)  # (channels, batch x places)
        mean, variance = x.mean(1), x.var(1, correction=0)
        plain = (x - mean[:, None]) / torch.sqrt(variance + 1e-5)[:, None] * module.weight[:, None] + module.bias[
            :, None
        ]
        torch.testing.assert_close(gave[name].transpose(0, 1).flatten(1), plain, rtol=1e-2, atol=2e-3)
        old_mean, old_variance = before[name]
        torch.testing.assert_close(module.running_mean, 0.9 * old_mean + 0.1 * mean, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(module.running_var, 0.9 * old_variance + 0.1 * x.var(1), rtol=1e-3, atol=1e-5)


def test_triplets_see_the_features_before_the_bnneck_and_cross_entropies_those_after_it(images):
    """A change of the BNNeck alone changes the cross-entropies, and leaves the triplets as they were."""
    model = residual()
    outputs = model(images)
    before = model.loss(outputs, PIDS).terms
    triplet = []
    for maps in (outputs.pooled[name].flatten(1) for name in ("Pavg1", "Pmax1", "Pavg2", "Pmax2", "Pavg3", "Pmax3")):
        far = torch.cdist(maps, maps)
        same = PIDS[:, None] == PIDS
        positive, negative = far.masked_fill(~same, -1).amax(1), far.masked_fill(same, torch.inf).amin(1)
        triplet.append((positive - negative + 0.3).clamp(min=0).mean())
    torch.testing.assert_close(before["triplet"], torch.stack(triplet).mean().detach(), rtol=1e-3, atol=1e-4)
    for neck in model.necks:
        neck.running_mean += 1
    after = model.loss(model(images), PIDS).terms
    assert torch.equal(after["triplet"], before["triplet"])
    assert (after["identification"] - before["identification"]).abs() > 1e-3


def far_apart(features):
    """Root mean squares of the distance between two rows, each with each and with itself, and of their lengths."""
    rows = features.flatten(1).double()
    return torch.cdist(rows, rows).square().mean().sqrt(), rows.square().sum(1).mean().sqrt()


@pytest.mark.parametrize("fields", [{}, {"classifiers": 3}, {"pooling": "avg"}, {"pooling": "baseline"}], ids=str)
def test_paper_bs_report_is_of_all_branches_and_of_the_last_pooled_feature(images, fields):
    model = residual(smoothing=0.3, margin=0.7, **fields)
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    entropies = [F.cross_entropy(logits, PIDS, label_smoothing=0.3) for logits in outputs.logits]
    triplets = []
    for name in methods.POOLINGS[model.recipe.pooling]:
        rows = outputs.pooled[name].flatten(1)
        far, same = torch.cdist(rows, rows), PIDS[:, None] == PIDS
        hardest = far.masked_fill(~same, -1).amax(1) - far.masked_fill(same, torch.inf).amin(1)
        triplets.append((hardest + 0.7).clamp(min=0).mean())
    entropy, triplet = torch.stack(entropies).mean(), torch.stack(triplets).mean()
    torch.testing.assert_close(found.terms["identification"], entropy.detach())
    torch.testing.assert_close(found.terms["triplet"], triplet.detach(), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found.total, entropy + triplet, rtol=1e-3, atol=1e-4)
    random = torch.Generator().manual_seed(3)
    outputs.logits = [torch.randn(8, 5, generator=random) for _ in outputs.logits]  # alike in size
    guessed = sum(outputs.logits).argmax(1)
    assert model.loss(outputs, guessed).accuracy == 1
    assert len(outputs.logits) == 1 or all((logits.argmax(1) != guessed).any() for logits in outputs.logits)
    expected = far_apart(outputs.pooled[methods.POOLINGS[model.recipe.pooling][-1]].detach())
    assert (found.signs["spread"].item(), found.signs["length"].item()) == pytest.approx(
        [value.item() for value in expected], rel=1e-3
    )


def test_paper_as_report_is_of_both_images_of_a_pair(images):
    model = multitask(embed_dim=16, smoothing=0.2, identification=0.7, verification=0.4)
    outputs, pids = model(images), torch.tensor([0, 1, 2, 3, 0, 4, 2, 1])
    found = model.loss(outputs, pids)
    halves = [F.cross_entropy(outputs.identity_logits[i : i + 4], pids[i : i + 4], label_smoothing=0.2) for i in (0, 4)]
    verify = F.cross_entropy(outputs.pair_logits, torch.tensor([0, 1, 0, 1]))
    torch.testing.assert_close(found.total, 0.7 * halves[0] + 0.7 * halves[1] + 0.4 * verify)
    expected = {"identification_anchor": halves[0], "identification_partner": halves[1], "verification": verify}
    for name, value in expected.items():
        torch.testing.assert_close(found.terms[name], value.detach())
    assert found.accuracy.item() == pytest.approx((outputs.identity_logits.argmax(1) == pids).float().mean().item())
    spread, length = far_apart(outputs.features.detach())
    assert (found.signs["spread"].item(), found.signs["length"].item()) == pytest.approx(
        (spread.item(), length.item()), rel=1e-3
    )
