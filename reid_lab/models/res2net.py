"""Res2Net: the bottleneck whose 3x3 convolution becomes a ladder of three small ones (paper A, Fig. 2).

Gao et al., "Res2Net: A New Multi-scale Backbone Architecture" (arXiv 1904.01169), at its usual size 26w x 4s.
Written from the two papers. Only the parameters' names are those of the released weights, so that they load.

Two things that the papers do not say, but that the networks of the released weights have:

- The split that passes untouched is the LAST one; in the Res2Net paper's equation 1 it is the first.
- The first block of every layer (a "stage" block) changes resolution or channels, so its splits are not added
  to each other, and its untouched split goes through a 3x3 average pool with the block's stride.
"""

import torch
from torch import Tensor, nn

SCALE = 4  # s: the number of splits
BASE_WIDTH = 26  # w: channels of a split, for every 64 planes


class Res2NetBlock(nn.Module):
    """1x1 convolution, four splits in a hierarchy of 3x3 convolutions, 1x1 convolution, shortcut.

    Args:
        inplanes: Channels of the input.
        planes: Channels that set the block's width; the output has ``planes * expansion``.
        stride: Stride of the 3x3 convolutions.
        downsample: What fits the shortcut to the output. Only a layer's first block has one, which makes it a stage
            block. None: the input fits.
    """

    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None) -> None:
        super().__init__()
        width = planes * BASE_WIDTH // 64  # w = 26, 52, 104, 208 in layer1 .. layer4
        self.is_stage = downsample is not None
        self.conv1 = nn.Conv2d(inplanes, width * SCALE, kernel_size=1, bias=False)  # n = s x w
        self.bn1 = nn.BatchNorm2d(width * SCALE)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False) for _ in range(SCALE - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SCALE - 1))
        self.pool = nn.AvgPool2d(kernel_size=3, stride=stride, padding=1) if self.is_stage else nn.Identity()
        self.conv3 = nn.Conv2d(width * SCALE, planes * self.expansion, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample if downsample is not None else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inplanes, h, w) to (batch, planes * expansion, h / stride, w / stride)."""
        splits = self.relu(self.bn1(self.conv1(x))).chunk(SCALE, dim=1)  # s x (batch, w, h, w)
        y = torch.cat([*self._hierarchy(splits[:-1]), self.pool(splits[-1])], dim=1)  # (batch, s * w, h', w')
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))

    def _hierarchy(self, splits: tuple[Tensor, ...]) -> list[Tensor]:
        """y_1 = K_1(x_1) and y_i = K_i(x_i + y_(i-1)): each step adds a 3x3 convolution's receptive field."""
        outputs: list[Tensor] = []
        for x, conv, bn in zip(splits, self.convs, self.bns, strict=True):
            alone = self.is_stage or not outputs
            outputs.append(self.relu(bn(conv(x if alone else x + outputs[-1]))))
        return outputs
