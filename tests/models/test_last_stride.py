"""``last_stride=1`` against timm's networks with the same change: nothing but layer4's stride becomes 1."""

import pytest
import timm
import torch
from seen import seen
from torch import nn

from reid_lab import models

NAMES = {"resnet50": "resnet50", "res2net50": "res2net50_26w_4s"}


def with_stride_1(oracle):
    """timm's network, the stride of layer4's first block taken away, as Sun et al. (PCB, 2018) do it."""
    first = oracle.layer4[0]
    convolutions = [first.conv2] if hasattr(first, "conv2") else first.convs
    for module in (*convolutions, first.downsample[0]):
        assert module.stride == (2, 2)
        module.stride = (1, 1)
    if hasattr(first, "pool"):  # Res2Net's: of the split that no convolution sees
        assert first.pool.stride in (2, (2, 2))
        first.pool.stride = 1
    return oracle


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_are_those_of_timms_network_with_the_same_change(name):
    torch.manual_seed(0)
    oracle = seen(timm.create_model(NAMES[name], pretrained=False, num_classes=0))  # timm's own last norms are 0
    ours = models.backbone(name, last_stride=1)
    ours.load_state_dict(oracle.state_dict(), strict=True)
    maps = []
    for layer in (with_stride_1(oracle).layer3, oracle.layer4):
        layer.register_forward_hook(lambda module, inputs, output: maps.append(output))
    images = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        oracle(images)
        found = ours.eval()(images)
    assert found[0].shape[2:] == found[1].shape[2:] == (4, 3)
    for ours_map, theirs in zip(found, maps, strict=True):
        torch.testing.assert_close(ours_map, theirs, rtol=1e-4, atol=1e-5 * theirs.abs().max().item())
        assert theirs.std() > 1e-3


def test_a_slim_network_is_changed_in_the_same_place_and_nowhere_else():
    """Its blocks are the published networks'; their strides tell where the resolution changes."""
    for name in ("resnet_slim", "res2net_slim"):
        with torch.device("meta"):
            usual, changed = (models.backbone(name, last_stride) for last_stride in (2, 1))
        settings = [
            {n: (m.stride, m.padding, m.dilation) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)}
            for network in (usual, changed)
        ]
        different = {n for n in settings[0] if settings[0][n] != settings[1][n]}
        assert different == {n for n in settings[0] if n.startswith("layer4.0.") and settings[0][n][0] == (2, 2)}
        assert all(settings[1][n] == ((1, 1), settings[0][n][1], (1, 1)) for n in different)
