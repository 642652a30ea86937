"""The plain baseline, against PyTorch's own modules."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from reid_lab import methods


def network(**changes):
    torch.manual_seed(0)
    return methods.classification("smoke", **changes).network(7)


def test_features_and_logits_are_those_of_the_parts_by_hand():
    torch.manual_seed(1)
    model, images = network(), torch.randn(6, 3, 64, 48)
    for norm in model.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):  # as if it had seen data, but not by way of the network
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    model.eval()
    layer4 = model.backbone(images)[1]
    pooled = F.adaptive_avg_pool2d(layer4, 1).flatten(1)
    neck = F.batch_norm(pooled, model.neck.running_mean, model.neck.running_var, model.neck.weight, model.neck.bias)
    outputs = model(images)
    assert torch.allclose(outputs.pooled, pooled, atol=1e-5) and torch.allclose(outputs.neck, neck, atol=1e-5)
    assert torch.allclose(outputs.logits, neck @ model.classifier.weight.T, atol=1e-5)
    assert torch.equal(model.identity_logits(images), outputs.logits)
    assert torch.allclose(model.embed(images), F.normalize(neck), atol=1e-5)


def test_the_loss_is_pytorchs_cross_entropy_with_label_smoothing():
    model, pids = network(smoothing=0.3), torch.tensor([0, 1, 6, 2, 2, 5])
    outputs = model(torch.randn(6, 3, 64, 48))
    losses = model.loss(outputs, pids)
    expected = F.cross_entropy(outputs.logits, pids, label_smoothing=0.3)
    assert torch.allclose(losses.total, expected) and losses.terms.keys() == {"identification"}


def test_the_paper_size_has_resnet_50_a_bnneck_and_a_classifier_without_a_bias():
    with torch.device("meta"):
        model = methods.classification("paper", weights=None).network(751)
    assert sum(p.numel() for p in model.parameters()) == 23_508_032 + 2 * 2048 + 2048 * 751


def test_batches_are_the_whole_set_in_random_order():
    recipe = methods.classification("smoke", images=4)
    batches = recipe.sampler(np.arange(12) // 3, np.ones(12), 0).epoch(0)
    assert recipe.batch == 4 and sorted(np.concatenate(batches)) == list(range(12))
