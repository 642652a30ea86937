"""ResNet and Res2Net against torchvision and timm."""

import pytest
import timm
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from reid_lab import models
from reid_lab.models.res2net import Res2NetBlock
from reid_lab.runtime.errors import RecipeError

ORACLES = {
    "resnet50": lambda: torchvision.models.resnet50(),
    "resnet101": lambda: torchvision.models.resnet101(),
    "res2net50": lambda: timm.create_model("res2net50_26w_4s", pretrained=False),
    "res2net101": lambda: timm.create_model("res2net101_26w_4s", pretrained=False),
}


def millions(network: torch.nn.Module) -> float:
    return sum(p.numel() for p in network.parameters()) / 1e6


def randomize(network: torch.nn.Module) -> None:
    """Give every batch norm statistics, weights and biases that a wrong order or stride would betray."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low, high in [
                (module.running_mean, -0.2, 0.2),
                (module.running_var, 0.8, 1.2),
                (module.weight.data, 0.8, 1.2),
                (module.bias.data, -0.2, 0.2),
            ]:
                values.copy_(torch.rand(values.shape, generator=generator) * (high - low) + low)


def without_classifier(state_dict: dict) -> dict:
    return {name: value for name, value in state_dict.items() if not name.startswith("fc.")}


def oracle_maps(network: torch.nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """layer3's and layer4's output of the oracle, caught on the way through its own forward."""
    maps = []
    for layer in (network.layer3, network.layer4):
        layer.register_forward_hook(lambda module, inputs, output: maps.append(output))
    network(images)
    return maps[0], maps[1]


@pytest.mark.parametrize("name", ORACLES)
def test_the_oracles_weights_load_and_give_the_same_maps(name):
    torch.manual_seed(0)
    oracle, ours = ORACLES[name](), models.backbone(name)
    randomize(oracle)
    ours.load_state_dict(without_classifier(oracle.state_dict()), strict=True)
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        expected = oracle_maps(oracle.eval(), images)
        got = ours.eval()(images)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * b.abs().max().item())
        assert b.std() > 1e-3  # the comparison is not one of zeros


def test_res2net_has_the_oracles_gradient_too():
    torch.manual_seed(0)
    oracle, ours = ORACLES["res2net50"](), models.res2net50()
    ours.load_state_dict(without_classifier(oracle.state_dict()), strict=True)
    images = torch.randn(2, 3, 64, 64)
    oracle_maps(oracle.train(), images)[1].square().mean().backward()
    ours.train()(images)[1].square().mean().backward()
    for name in ("layer1.0.convs.0.weight", "layer3.2.convs.1.weight", "layer4.1.convs.2.weight"):
        a, b = ours.get_parameter(name).grad, oracle.get_parameter(name).grad
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * b.abs().max().item())


@pytest.mark.parametrize(
    "name, alone, with_classifier",
    [
        ("resnet50", 23.51, 25.56),
        ("resnet101", 42.50, 44.55),
        ("res2net50", 23.65, 25.70),
        ("res2net101", 43.16, 45.21),
    ],
)
def test_the_published_parameter_counts(name, alone, with_classifier):
    with torch.device("meta"):
        network, classifier = models.backbone(name), torch.nn.Linear(2048, 1000)
    assert round(millions(network), 2) == alone
    assert round(millions(network) + millions(classifier), 2) == with_classifier


@pytest.mark.parametrize("name", models.BACKBONES)
@pytest.mark.parametrize("last_stride, side", [(2, 2), (1, 4)])
def test_the_last_stride_sets_the_resolution_of_layer4_and_no_parameter(name, last_stride, side):
    with torch.device("meta"):
        network = models.backbone(name, last_stride)
        layer3, layer4 = network(torch.empty(2, 3, 64, 64))
        assert millions(network) == millions(models.backbone(name))
    assert layer3.shape == (2, network.channels[0], 4, 4)
    assert layer4.shape == (2, network.channels[1], side, side)


@pytest.mark.parametrize("last_stride, gflops", [(1, 10.26), (2, 6.89)])
def test_paper_bs_10_82_gflops_fit_only_a_last_stride_of_1(last_stride, gflops):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        models.resnet50(last_stride)(torch.empty(1, 3, 288, 144))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflops, abs=0.01)


def test_a_res2net_block_adds_each_split_to_the_next_but_not_in_a_stage_block():
    """With convolutions that pass their input on, split i is the sum of the splits up to i."""
    block = Res2NetBlock(inplanes=64, planes=16).eval()  # four splits of 6 channels
    for module in block.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.dirac_(module.weight)
    splits = tuple(torch.full((1, 6, 3, 3), float(i)) for i in (1, 2, 3))
    means = [y.mean().item() for y in block._hierarchy(splits)]
    assert means == pytest.approx([1, 3, 6], rel=1e-4)
    block.is_stage = True
    assert [y.mean().item() for y in block._hierarchy(splits)] == pytest.approx([1, 2, 3], rel=1e-4)


def test_also_the_slim_res2net_has_a_block_with_a_hierarchy():
    blocks = [m for m in models.res2net_slim(width=8).modules() if isinstance(m, Res2NetBlock)]
    assert any(not block.is_stage for block in blocks)


@pytest.mark.parametrize("family", ["resnet_slim", "res2net_slim"])
def test_a_slim_network_is_as_narrow_as_asked(family):
    network = models.BACKBONES[family](width=16, layers=(1, 2, 1, 1))
    assert network.channels == (256, 512)
    assert len(network.layer2) == 2


def test_convolutions_start_as_he_et_al_say():
    weight = models.resnet_slim(width=64).conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 7 * 7)) ** 0.5, rel=0.05)


def test_an_unknown_backbone_or_stride_is_refused_with_the_choices():
    with pytest.raises(RecipeError, match="resnet51"):
        models.backbone("resnet51")
    with pytest.raises(RecipeError, match="last_stride is 3"):
        models.backbone("resnet_slim", last_stride=3)


@pytest.mark.parametrize("width", [0, -1, 1.5])
def test_a_width_without_channels_is_refused(width):
    with pytest.raises(RecipeError, match=f"width is {width}"):
        models.resnet_slim(width=width)
