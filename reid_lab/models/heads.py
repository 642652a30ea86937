"""What stands between the feature maps and the losses: poolings, the BNNeck, classifiers."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


def average_pool(maps: Tensor, m: int) -> Tensor:
    """Take the mean of each of m x m cells: paper B's Avg(m).

    Args:
        maps: (batch, c, h, w).
        m: Cells per side, as in adaptive pooling.

    Returns:
        (batch, c, m, m), float32.
    """
    return _pool(maps, m, lambda cell: cell.mean(dim=(2, 3), dtype=torch.float32))


def max_pool(maps: Tensor, m: int) -> Tensor:
    """Take the maximum of each of m x m cells: paper B's Max(m).

    Args:
        maps: (batch, c, h, w).
        m: Cells per side, as in adaptive pooling.

    Returns:
        (batch, c, m, m), float32.
    """
    return _pool(maps, m, lambda cell: cell.amax(dim=(2, 3)).float())


def _pool(maps: Tensor, m: int, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """Reduce each cell by explicit slices: adaptive max pooling has no deterministic backward on CUDA."""
    rows, columns = _cells(maps.shape[2], m), _cells(maps.shape[3], m)
    return torch.stack([torch.stack([reduce(maps[:, :, r, c]) for c in columns], -1) for r in rows], -2)


def _cells(size: int, m: int) -> list[slice]:
    """Split a side into m cells as adaptive pooling does: of 9 columns the two cells are 0:5 and 4:9."""
    return [slice(i * size // m, -(-(i + 1) * size // m)) for i in range(m)]


class BNNeck(nn.BatchNorm1d):
    """Batch normalization between features and their classifier, (batch, d) to (batch, d), with the bias frozen at 0.

    Cross-entropy shapes the features after it. A triplet loss shapes those before it; in paper B these are still
    earlier ones, the pooled features.

    Source: Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification" (2019); paper B,
    section 4.

    Args:
        channels: Size d of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.bias.requires_grad_(False)


def classifier(channels: int, classes: int, bias: bool) -> nn.Linear:
    """Make a linear classifier that starts near zero, so that at first all classes are equally likely.

    Args:
        channels: Size of its input.
        classes: Number of classes.
        bias: Whether it has one, which starts at zero.
    """
    linear = nn.Linear(channels, classes, bias=bias)
    nn.init.normal_(linear.weight, std=0.001)
    if bias:
        nn.init.zeros_(linear.bias)
    return linear
