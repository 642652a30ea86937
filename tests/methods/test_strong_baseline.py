"""The bag of tricks: paper B's baseline with another recipe, and each trick left out."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reid_lab import losses, methods
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import learning_rate, step

PIDS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])


def network(**changes):
    torch.manual_seed(0)
    model = methods.strong_baseline("smoke", **changes).network(5)
    torch.nn.init.normal_(model.classifier.weight)  # a trained one is not as near to zero as a new one
    return model


@pytest.fixture
def images():
    return torch.randn(8, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def test_the_paper_size_has_resnet_50_a_bnneck_and_a_classifier_without_a_bias():
    with torch.device("meta"):
        model = methods.strong_baseline("paper").replace(weights=None).network(751)
        outputs = model(torch.empty(4, 3, 256, 128))
    assert sum(p.numel() for p in model.parameters()) == 23_508_032 + 2 * 2048 + 2048 * 751
    assert outputs.pooled.shape == outputs.neck.shape == (4, 2048) and outputs.logits.shape == (4, 751)


def test_it_is_paper_bs_baseline_and_trains_to_the_same_weights_bit_for_bit(smoke):
    torch.use_deterministic_algorithms(True)
    try:
        recipe = methods.strong_baseline("smoke", epochs=1, erasing=0.5, optimizer="adam")
        shared = {field.name for field in dataclasses.fields(methods.ResidualPoolingRecipe)} - {"size"}
        fields = {name: value for name, value in vars(recipe).items() if name in shared}
        other = methods.residual_pooling("smoke", pooling="baseline", **fields)
        ours, theirs = (step.train(each, smoke, seed=1).state_dict() for each in (recipe, other))
    finally:
        torch.use_deterministic_algorithms(False)
    renamed = {name.replace("necks.0", "neck").replace("classifiers.0", "classifier"): t for name, t in theirs.items()}
    assert vars(recipe).keys() - shared == {"size", "neck", "triplet"} and ours.keys() == renamed.keys()
    assert all(torch.equal(value, renamed[name]) for name, value in ours.items())


def test_the_loss_is_torchs_cross_entropy_after_the_neck_and_a_triplet_loss_before_it(images):
    model = network(margin=0.5, smoothing=0.2)
    outputs = model(images)
    distances, same = torch.cdist(outputs.pooled, outputs.pooled), PIDS[:, None] == PIDS
    d_ap, d_an = distances.where(same, -1).amax(dim=1), distances.where(~same, torch.inf).amin(dim=1)
    triplet = F.margin_ranking_loss(d_an, d_ap, torch.ones(8), margin=0.5)
    entropy = F.cross_entropy(outputs.logits, PIDS, label_smoothing=0.2)
    found = model.loss(outputs, PIDS)
    torch.testing.assert_close(found.total, triplet + entropy)
    torch.testing.assert_close(found.terms, {"triplet": triplet.detach(), "identification": entropy.detach()})
    torch.testing.assert_close(found.signs["paying"], (d_ap - d_an + 0.5 > 0).float().mean())
    assert found.signs.keys() == {"spread", "length", "paying"} and model.collapse_margin() == 0.5


def test_the_triplet_loss_teaches_neither_the_neck_nor_the_classifier(images):
    gradients = []
    for triplet in (True, False):
        model = network(triplet=triplet)
        model.loss(model(images), PIDS).total.backward()
        gradients.append((model.neck.weight.grad, model.classifier.weight.grad, model.backbone.conv1.weight.grad))
    with_it, without = gradients
    assert torch.equal(with_it[0], without[0]) and torch.equal(with_it[1], without[1])
    assert not torch.equal(with_it[2], without[2]) and all(gradient.abs().max() > 0 for gradient in with_it)


def test_without_the_triplet_loss_there_is_cross_entropy_alone_and_no_margin(images):
    model = network(triplet=False)
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    torch.testing.assert_close(found.total, F.cross_entropy(outputs.logits, PIDS, label_smoothing=0.1))
    assert found.terms.keys() == {"identification"} and model.collapse_margin() == 0


def test_batches_are_the_same_without_the_triplet_loss():
    labels = np.arange(48) // 4
    recipes = [methods.strong_baseline("smoke", triplet=triplet) for triplet in (True, False)]
    with_it, without = (recipe.sampler(labels, labels, 3).epoch(0) for recipe in recipes)
    assert np.array_equal(with_it, without)


def test_without_the_neck_the_pooled_features_are_classified_and_compared(images):
    model = network(neck=False).eval()
    pooled = F.adaptive_avg_pool2d(model.backbone(images)[1], 1).flatten(1)
    outputs = model(images)
    torch.testing.assert_close(outputs.neck, pooled)
    torch.testing.assert_close(outputs.logits, pooled @ model.classifier.weight.T)
    torch.testing.assert_close(model.embed(images), F.normalize(pooled))
    assert not any("neck" in name for name in model.state_dict())
    outputs = network().train()(images)
    torch.testing.assert_close(outputs.neck, F.batch_norm(outputs.pooled, None, None, training=True))


def test_smoothing_and_the_last_stride_are_tricks_that_can_be_left_out(images):
    outputs = network(smoothing=0.0)(images)
    plain = network(smoothing=0.0).loss(outputs, PIDS).terms["identification"]
    torch.testing.assert_close(plain, F.cross_entropy(outputs.logits, PIDS).detach())
    assert [network(last_stride=stride).backbone(images)[1].shape[2:] for stride in (1, 2)] == [(4, 3), (2, 2)]


def test_the_rate_rises_for_ten_epochs_and_falls_after_40_and_70():
    recipe = methods.strong_baseline("paper")
    rates = [learning_rate(recipe, epoch) for epoch in (0, 5, 10, 39, 40, 70, 119)]
    assert rates == pytest.approx([3.5e-6, 1.7675e-4, 3.5e-4, 3.5e-4, 3.5e-5, 3.5e-6, 3.5e-6])
    assert (recipe.batch, recipe.images, recipe.crop, recipe.erasing) == (64, 4, (256, 128), 0.5)


@pytest.mark.parametrize(("field", "value"), [("neck", "no"), ("triplet", 2), ("margin", -1.0), ("images", 1)])
def test_an_impossible_value_is_refused_by_its_name(field, value):
    with pytest.raises(RecipeError, match=rf"\b{field} is {value!r}"):
        methods.strong_baseline("smoke", **{field: value})


def test_the_hardest_images_are_those_of_all_processes(images):
    model = network()
    outputs, others = model(images), model(images.flip(0) + 1)

    def gather(rows):
        extra = PIDS.flip(0) if rows.shape == PIDS.shape else others.pooled
        return torch.cat([rows, extra])

    found = model.loss(outputs, PIDS, gather).terms["triplet"]
    whole = torch.cat([outputs.pooled, others.pooled])
    expected = losses.batch_hard_triplet(whole, torch.cat([PIDS, PIDS.flip(0)]), model.recipe.margin)
    torch.testing.assert_close(found, expected.detach())
    assert found != model.loss(outputs, PIDS).terms["triplet"]
