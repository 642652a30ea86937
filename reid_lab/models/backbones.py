"""The networks that turn an image into feature maps: a stem and four layers of residual blocks.

ResNet's block is here; Res2Net's is in ``res2net.py``. The parameters have the published names, so that
ImageNet weights load. ``last_stride=1`` keeps layer4 at layer3's resolution. Re-identification often prefers
that: the map has four times as many positions, and the network as many parameters as before.

Source: He et al., "Deep Residual Learning for Image Recognition" (arXiv 1512.03385).
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from reid_lab.models.res2net import Res2NetBlock
from reid_lab.models.weights import no_weights, start, timm_weights, torchvision_weights
from reid_lab.runtime.validation import one_of, whole

# A layer's first Res2Net block has no hierarchy, so a Res2Net of (1, 1, 1, 1) would have none at all. The
# slim ResNet has the same depth, for fair comparison.
SLIM_LAYERS = (1, 1, 2, 1)  # blocks in layer1 .. layer4


class Bottleneck(nn.Module):
    """ResNet's block: 1x1 convolution, 3x3 convolution with the stride, 1x1 convolution, shortcut.

    It computes what torchvision's block computes. Importing torchvision takes two seconds, so only the tests and
    whoever wants its weights do that.

    Args:
        inplanes: Channels of the input.
        planes: Channels within the block; the output has ``planes * expansion``.
        stride: Stride of the 3x3 convolution.
        downsample: What fits the shortcut to the output. None: the input fits.
    """

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample if downsample is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inplanes, h, w) to (batch, planes * expansion, h / stride, w / stride)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Backbone(nn.Module):
    """A ResNet without its pooling and classifier.

    Args:
        block: The class of the residual block: ``block(inplanes, planes, stride, downsample)``.
        layers: The number of blocks in each of the four layers.
        last_stride: Stride of layer4, 1 or 2.
        width: Channels of the stem: 64 in the published networks.

    Attributes:
        channels: Channels of the two maps that ``forward`` returns: (1024, 2048) in the published networks.

    Raises:
        RecipeError: ``last_stride`` or ``width`` is out of its range.
    """

    def __init__(self, block: Any, layers: Sequence[int], last_stride: int = 2, width: int = 64) -> None:
        super().__init__()
        one_of("The backbone's last_stride", last_stride, (1, 2))
        whole("The backbone's width", width, 1)
        self.channels = (4 * width * block.expansion, 8 * width * block.expansion)
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        out = block.expansion
        self.layer1 = _layer(block, width, width, layers[0], stride=1)
        self.layer2 = _layer(block, width * out, width * 2, layers[1], stride=2)
        self.layer3: nn.Module = _layer(block, width * 2 * out, width * 4, layers[2], stride=2)
        self.layer4: nn.Module = _layer(block, width * 4 * out, width * 8, layers[3], stride=last_stride)
        _initialize(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the maps of layer3 and layer4.

        Args:
            images: (batch, 3, H, W), normalized.

        Returns:
            Two maps: in the published networks (batch, 1024, H/16, W/16) and (batch, 2048, H/32, W/32). With
            ``last_stride=1`` the second one is (batch, 2048, H/16, W/16).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))  # (batch, 64, H/4, W/4)
        x = self.layer1(x)  # (batch, 256, H/4, W/4)
        x = self.layer2(x)  # (batch, 512, H/8, W/8)
        layer3 = self.layer3(x)  # (batch, 1024, H/16, W/16)
        layer4 = self.layer4(layer3)  # (batch, 2048, H/32, W/32)
        return layer3, layer4


def _layer(block: Any, inplanes: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    """Residual blocks in a row; the first one changes the channels and, with its stride, the resolution."""
    outplanes = planes * block.expansion
    downsample = nn.Sequential(
        nn.Conv2d(inplanes, outplanes, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outplanes)
    )
    first = block(inplanes, planes, stride, downsample)
    return nn.Sequential(first, *(block(outplanes, planes) for _ in range(blocks - 1)))


def _initialize(network: nn.Module) -> None:
    """He et al.'s normal initialization; batch norms keep PyTorch's weight 1 and bias 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet50(last_stride: int = 2, weights: str | None = None) -> Backbone:
    """ResNet-50: 23.51 M parameters without its classifier. Paper B's backbone, paper A's control."""
    network = Backbone(Bottleneck, (3, 4, 6, 3), last_stride)
    start(network, "resnet50", weights, torchvision_weights)
    return network


def resnet101(last_stride: int = 2, weights: str | None = None) -> Backbone:
    """ResNet-101: 42.50 M parameters without its classifier. Paper A calls it "ResNet-121"."""
    network = Backbone(Bottleneck, (3, 4, 23, 3), last_stride)
    start(network, "resnet101", weights, torchvision_weights)
    return network


def resnet_slim(
    last_stride: int = 2, weights: str | None = None, width: int = 32, layers: Sequence[int] = SLIM_LAYERS
) -> Backbone:
    """ResNet's blocks, fewer and narrower: for images of 128 x 64 on a CPU."""
    network = Backbone(Bottleneck, layers, last_stride, width)
    start(network, "resnet_slim", weights, no_weights)
    return network


def res2net50(last_stride: int = 2, weights: str | None = None) -> Backbone:
    """Res2Net-50, 26w x 4s: 23.65 M parameters, 25.70 M with ImageNet's classifier. Paper A's backbone."""
    network = Backbone(Res2NetBlock, (3, 4, 6, 3), last_stride)
    start(network, "res2net50", weights, timm_weights)
    return network


def res2net101(last_stride: int = 2, weights: str | None = None) -> Backbone:
    """Res2Net-101, 26w x 4s: 43.16 M parameters, 45.21 M with ImageNet's classifier.

    Paper A's "Res2Net-121": no Res2Net has 121 layers.
    """
    network = Backbone(Res2NetBlock, (3, 4, 23, 3), last_stride)
    start(network, "res2net101", weights, timm_weights)
    return network


def res2net_slim(
    last_stride: int = 2, weights: str | None = None, width: int = 32, layers: Sequence[int] = SLIM_LAYERS
) -> Backbone:
    """Res2Net's blocks, fewer and narrower: for images of 128 x 64 on a CPU."""
    network = Backbone(Res2NetBlock, layers, last_stride, width)
    start(network, "res2net_slim", weights, no_weights)
    return network


BACKBONES: dict[str, Callable[..., Backbone]] = {
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet_slim": resnet_slim,
    "res2net50": res2net50,
    "res2net101": res2net101,
    "res2net_slim": res2net_slim,
}


def backbone(name: str, last_stride: int = 2, weights: str | None = None) -> Backbone:
    """Build the backbone of that name.

    Args:
        name: A key of :data:`BACKBONES`.
        last_stride: Stride of layer4, 1 or 2.
        weights: "imagenet", "passersby" for those of another town of our synthetic data, or None for random ones.

    Raises:
        RecipeError: There is no backbone of that name, or an argument is out of its range.
        WeightsError: The weights could not be had.
    """
    return BACKBONES[one_of("The backbone", name, BACKBONES)](last_stride, weights)
