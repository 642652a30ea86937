"""Is a fast precision right on this machine? A processor that has bfloat16 may still compute it wrongly.

PyTorch 2.15's bfloat16 convolutions on Intel's AMX, for one, read memory that is not theirs where the stride is 2 and
the map has at most two columns. So a fast precision is compared with float32 before it is used: layer by layer, where
only rounding may differ, and before a training also the whole loss with its gradients, where roundings add up.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from reid_lab.device import device_name, has_bf16, own_random_numbers
from reid_lab.models.network import Network

DTYPES = {"bf16": torch.bfloat16, "float16": torch.float16}
TRIES = 3  # of each layer: what is read from foreign memory differs from one to the next
LAYER_LIMIT = 0.1  # largest difference, in units of value + root mean square of the layer; rounding gives 0.02
LOSS_LIMIT = 0.1  # of the loss, relative; rounding gives 0.01
GRADIENT_LIMIT = 1.0  # of all gradients together, relative to their length; rounding gives 0.45, by other maxima
FEW = 8  # images: an evaluation has hundreds, and their number decides nothing about a layer
SCALE = 1024.0  # on the loss, since small gradients are none in float16


@dataclass
class Check:
    """What a comparison with float32 found.

    ``fault`` says what was wrong first, and is empty where nothing was; ``layers`` counts the different layers that
    were compared, ``worst`` is the largest difference found in them, in units of value + root mean square.
    """

    precision: str
    fault: str = ""
    layers: int = 0
    worst: float = 0.0

    def __str__(self) -> str:
        agrees = f"{self.precision} agrees with float32 in {self.layers} different layers, within {self.worst:.3f}"
        return self.fault or agrees


def check_training(network: Network, images: Tensor, pids: Tensor, precision: str) -> Check:
    """Compare layers, loss and all gradients in ``precision`` ("bf16" or "float16") with float32 on one batch.

    Args:
        network: in training mode; a copy of it is used, so that nothing of it changes.
        images: (batch, 3, H, W), prepared as for a step.
        pids: (batch,), counted from 0.
        precision: a key of :data:`DTYPES`.
    """
    if precision == "bf16" and not has_bf16(images.device):
        return Check(precision, f"bf16 cannot be computed on {device_name(images.device)}")
    with own_random_numbers(images.device):
        check = _check_layers(copy.deepcopy(network), lambda trial: trial(images), images.device, precision, True)
        if not check.fault:
            low, exact = (_loss_and_gradients(network, images, pids, used) for used in (precision, "float32"))
            check.fault = _compare_losses(low, exact, precision)
    return check


def check_describing(network: Network, images: Tensor, precision: str) -> Check:
    """Compare the layers that describe the first few of ``images`` (batch, 3, H, W) in ``precision`` with float32."""
    few = images[:FEW]
    return _check_layers(network, lambda network: network.describe(few), images.device, precision, False)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which ``precision`` is used on ``device``; with "float32" it changes nothing."""
    return torch.autocast(device.type, DTYPES.get(precision), enabled=precision in DTYPES)


def _check_layers(
    network: nn.Module, run: Callable[..., object], device: torch.device, precision: str, gradients: bool
) -> Check:
    layers = _Layers(device, precision, gradients)
    with layers.watching(network), autocast(device, precision), torch.no_grad():
        run(network)
    return layers.check


@dataclass
class _Layers:
    """Compares each layer of a network with float32 when it is called under autocast.

    What a layer passes on is its float32 result, so that one wrong layer spoils no other. Of layers that are alike in
    kind, settings and input only the first is compared.
    """

    device: torch.device
    precision: str
    gradients: bool  # also those of the layer's input and parameters
    check: Check = field(init=False)
    seen: set[tuple[object, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.check = Check(self.precision)

    @contextlib.contextmanager
    def watching(self, network: nn.Module) -> Iterator[None]:
        """Within, all layers of ``network`` are compared but those that are random."""
        leaves = [(name, layer) for name, layer in network.named_modules() if not [*layer.children()]]
        handles = [
            layer.register_forward_hook(self._hook(name)) for name, layer in leaves if not isinstance(layer, nn.Dropout)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Callable[..., Tensor | None]:
        def called(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if not torch.is_autocast_enabled(self.device.type):
                return None  # the layer runs in float32 anyhow
            kind = (type(layer), layer.extra_repr(), inputs[0].shape, inputs[0].stride(), inputs[0].dtype)
            known = kind in self.seen
            self.seen.add(kind)
            exact = self._float32(layer, inputs[0], False) if known else self._compare(name, layer, inputs[0])
            return exact[0].to(output.dtype)

        return called

    def _compare(self, name: str, layer: nn.Module, given: Tensor) -> list[Tensor]:
        """Compare a layer's results several times; returns the float32 ones."""
        gradients = self.gradients and next(layer.parameters(), None) is not None
        wanted = self._float32(layer, given, gradients)
        off = 0.0
        for attempt in range(TRIES):
            _dirty_memory(self.device, math.nan if attempt % 2 else 1e3)
            off = max(off, *map(_difference, _results(layer, given, gradients), wanted))
        self.check.layers, self.check.worst = self.check.layers + 1, max(self.check.worst, off)
        if off > LAYER_LIMIT and not self.check.fault:
            self.check.fault = (
                f"{self.precision} is wrong here in the layer {name} ({type(layer).__name__} of "
                f"{' x '.join(map(str, given.shape))}): it differs from float32 by {off:.2g}, where rounding allows "
                f"{LAYER_LIMIT}"
            )
        return wanted

    def _float32(self, layer: nn.Module, given: Tensor, gradients: bool) -> list[Tensor]:
        with torch.autocast(self.device.type, enabled=False):
            return _results(layer, given.float(), gradients)


def _results(layer: nn.Module, given: Tensor, gradients: bool) -> list[Tensor]:
    """A layer's output and, where asked, the gradients of its input and parameters for a gradient from a seed."""
    with torch.set_grad_enabled(gradients):
        leaf = given.detach().clone().requires_grad_(gradients)
        output = layer.forward(leaf.clone())  # of a copy, since a layer may work in place; no hooks
        if not gradients:
            return [output.float()]
        random = torch.Generator(output.device).manual_seed(0)
        direction = torch.randn(output.shape, generator=random, device=output.device).to(output)
        parameters = [parameter for parameter in layer.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(output, [leaf, *parameters], direction)
    return [output.detach().float(), *(gradient.float() for gradient in found)]


def _difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, in units of value + root mean square; infinite where a number is not finite."""
    unit = wanted.abs() + wanted.square().mean().sqrt() + torch.finfo(torch.float32).tiny
    off = ((found - wanted).abs() / unit).max().item()
    return off if math.isfinite(off) else math.inf


def _dirty_memory(device: torch.device, value: float) -> None:
    """Leave numbers in freed memory, so that a layer that reads what nobody wrote is found out."""
    for power in range(10, 22, 2):
        torch.full((2**power,), value, device=device)


def _loss_and_gradients(network: Network, images: Tensor, pids: Tensor, precision: str) -> tuple[float, Tensor]:
    """The loss of a batch and all gradients as one vector, of a copy of the network."""
    trial = copy.deepcopy(network)
    torch.manual_seed(0)  # of dropout
    with autocast(images.device, precision):
        outputs = trial(images)
    loss = trial.loss(outputs, pids).total
    (loss * SCALE).backward()
    gradients = [p.grad.flatten().float() for p in trial.parameters() if p.grad is not None]
    return loss.item(), torch.cat(gradients) / SCALE


def _compare_losses(low: tuple[float, Tensor], exact: tuple[float, Tensor], precision: str) -> str:
    """What is wrong with the loss and the gradients, or an empty string."""
    off = {
        "loss": (abs(low[0] - exact[0]) / max(abs(exact[0]), 1e-3), LOSS_LIMIT),
        "gradients": (((low[1] - exact[1]).norm() / exact[1].norm().clamp(min=1e-12)).item(), GRADIENT_LIMIT),
    }
    for what, (found, limit) in off.items():
        if not found <= limit:
            return f"{precision} is wrong here: the {what} differ from float32's by {found:.2g} of them"
    return ""
