"""Paper A's network."""

import pytest
import torch
from torch.nn import functional as F

from reid_lab import methods
from reid_lab.runtime.errors import TrainingError

PIDS = torch.tensor([0, 1, 2, 3, 0, 1, 4, 0])  # pairs: same, same, different, different


def small(**fields):
    return methods.multitask("smoke", backbone="resnet_slim", **fields).network(5)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = methods.multitask("smoke", embed_dim=32).network(5)
    for classifier in (model.identity_classifier, model.pair_classifier):
        torch.nn.init.normal_(classifier.weight)  # trained ones are not as near to zero as new ones
    return model


@pytest.fixture
def images():
    return torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(0))


def test_the_paper_size_has_a_descriptor_of_4096_and_751_identities():
    with torch.device("meta"):
        outputs = methods.multitask("paper", weights=None).network(751)(torch.empty(4, 3, 256, 128))
    assert outputs.features.shape == (4, 4096)
    assert outputs.identity_logits.shape == (4, 751)
    assert outputs.pair_logits.shape == (2, 2)


def test_the_loss_is_half_of_each_identification_and_the_whole_verification(model, images):
    outputs = model(images)
    same = torch.tensor([0, 0, 1, 1])
    expected = (
        0.5 * F.cross_entropy(outputs.identity_logits[:4], PIDS[:4])
        + 0.5 * F.cross_entropy(outputs.identity_logits[4:], PIDS[4:])
        + 1.0 * F.cross_entropy(outputs.pair_logits, same)
    )
    losses = model.loss(outputs, PIDS)
    torch.testing.assert_close(losses.total, expected)
    assert list(losses.terms) == ["identification_anchor", "identification_partner", "verification"]


def test_the_weights_of_the_losses_are_fields(images):
    model = small(embed_dim=8, identification=2.0, verification=0.25, smoothing=0.2)
    losses = model.loss(model(images), PIDS)
    anchor, partner, verification = losses.terms.values()
    torch.testing.assert_close(losses.total.detach(), 2 * anchor + 2 * partner + 0.25 * verification)


def test_the_pair_logits_come_from_the_squared_difference_of_the_two_halves(model, images):
    model.eval()
    outputs = model(images)
    f_s = (outputs.features[:4] - outputs.features[4:]) ** 2
    torch.testing.assert_close(outputs.pair_logits, model.pair_classifier(f_s))


def test_verify_gives_the_probability_of_same(model, images):
    model.train()
    f = model.embed(images)
    probability = model.verify(f[:4], f[4:])
    torch.testing.assert_close(probability, model.eval()(images).pair_logits.softmax(1)[:, 0])
    torch.testing.assert_close(model.verify(f, f[:1])[4], probability[0])


def test_describe_gives_f_itself_before_any_normalization(model, images):
    described = model.embed(images)
    torch.testing.assert_close(described, model.eval()(images).features)
    assert described.norm(dim=1).std() > 1e-6


def test_a_normalized_descriptor_has_the_scale_of_batch_normalization(images):
    model = small(embed_dim=8, embed_norm=True).train()
    f = model(images).features
    assert torch.allclose(f.mean(dim=0), torch.zeros(8), atol=1e-5)
    assert torch.allclose(f.std(dim=0, correction=0), torch.ones(8), atol=1e-2)


def test_without_a_projection_the_descriptor_is_the_backbones(images):
    model = small(embed_dim=0)
    layer4 = model.eval().backbone(images)[1]
    torch.testing.assert_close(model.embed(images), layer4.mean((2, 3)))


@pytest.mark.parametrize("identification, verification", [(0.999999, 0.0), (0.0, 0.999999)])
def test_each_dropout_stands_before_its_own_classifier(images, identification, verification):
    torch.manual_seed(0)
    model = small(embed_dim=8, dropout_identification=identification, dropout_verification=verification)
    outputs = model(images)
    assert (outputs.identity_logits.abs().max() == 0) == (identification > 0)
    assert (outputs.pair_logits.abs().max() == 0) == (verification > 0)


def test_both_images_of_a_pair_teach_the_backbone_and_every_parameter_learns(model, images):
    images.requires_grad_()
    model.loss(model(images), PIDS).total.backward()
    assert (images.grad.flatten(1).abs().amax(1) > 0).all()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in model.parameters())


def test_an_odd_batch_is_refused_with_a_cure(model, images):
    with pytest.raises(TrainingError, match="7 images"):
        model(images[:7])


def test_grad_cams_logits_are_those_of_single_images_and_every_number_is_used(model, images):
    model.eval()
    torch.testing.assert_close(model.identity_logits(images[:3]), model(images).identity_logits[:3])
    assert model.collapse_margin() == 0 and model.metric == "cosine"
