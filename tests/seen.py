"""Networks as after a training: a fresh batch norm is nearly the identity, and hides what stands on its wrong side."""

import torch
from torch import Tensor, nn


def seen(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model, its batch norms with statistics, weights and biases of data that they have seen; in evaluation mode.

    A BNNeck's bias stays 0, as training leaves it.
    """
    random = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            _draw(module.running_mean, -0.5, 0.5, random)
            _draw(module.running_var, 0.3, 2.0, random)
            _draw(module.weight.data, 0.5, 1.5, random)
            if module.bias.requires_grad:
                _draw(module.bias.data, -0.3, 0.3, random)
    return model.eval()


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    """Batch normalization with a module's own numbers, written out: (batch, c) or (batch, c, h, w)."""
    mean, variance, weight, bias = (
        values.view(-1, *[1] * (x.ndim - 2)) for values in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def _draw(values: Tensor, low: float, high: float, random: torch.Generator) -> None:
    values.copy_(torch.rand(values.shape, generator=random) * (high - low) + low)
