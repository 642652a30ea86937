"""Check that a fast precision is right on this machine: a processor that has bfloat16 may compute it wrongly.

One example: PyTorch 2.15's bfloat16 convolutions on Intel's AMX read foreign memory where the stride is 2 and the map
has at most two columns. So a fast precision is compared with float32 before it is used. First each layer is compared,
where only rounding may differ. Then follows what the network computes of its layers' results. Before a training the
loss and the length of its gradients are compared, too: there roundings add up.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from reid_lab.runtime.device import device_name, has_bf16, own_random_numbers

DTYPES = {"bf16": torch.bfloat16, "float16": torch.float16}
DROPOUT = nn.modules.dropout._DropoutNd  # random, hence never the same
Run = Callable[[nn.Module, str], Tensor]  # of a network in a precision: a loss or an output
Loss = Callable[[Any, Any], Tensor]  # of a network and what it gave: a scalar
TRIES = 3  # of each layer: what is read from foreign memory differs from one to the next
LAYER_LIMIT = 0.1  # largest difference, in units of value + root mean square of the layer; rounding gives 0.05
SUMS_LIMIT = 0.3  # the same of gradients between layers, where what was rounded adds up and cancels; 0.07
LOSS_LIMIT = 0.1  # of the loss, relative; rounding gives 0.01
GRADIENT_LIMIT = 3.0  # of all gradients' length; through many random layers they point elsewhere by rounding alone
FEW = 8  # images
GRADIENT = "the gradient of"
SCALE = 1024.0  # on the loss, since small gradients are none in float16


@dataclass
class Check:
    """What a comparison with float32 found.

    Attributes:
        precision: What was compared, "bf16" or "float16".
        fault: What was wrong first, as a sentence; empty where nothing was.
        layers: How many different layers were compared.
        worst: The largest difference found in them, in units of value + root mean square.
    """

    precision: str
    fault: str = ""
    layers: int = 0
    worst: float = 0.0

    def __str__(self) -> str:
        agrees = f"{self.precision} agrees with float32 in {self.layers} different layers, within {self.worst:.3f}"
        return self.fault or agrees


def check_training(network: nn.Module, images: Tensor, loss: Loss, precision: str, **extras: Tensor) -> Check:
    """Compare layers, loss and all gradients of one batch with those of float32.

    Args:
        network: A network in training mode. Copies of it are used, so that nothing of it changes.
        images: (batch, 3, H, W), prepared as for a step.
        loss: Gives the loss, a scalar, of a copy of the network and of what this copy made of the images.
        precision: "bf16" or "float16", a key of :data:`DTYPES`.
        **extras: What the network takes beside the images, by name.

    Returns:
        What was found.
    """

    def run(trial: nn.Module, used: str) -> Tensor:
        torch.manual_seed(0)  # of dropout
        with autocast(images.device, used):
            outputs = trial(images, **extras)
        return loss(trial, outputs)

    if precision == "bf16" and not has_bf16(images.device):
        return Check(precision, f"bf16 cannot be computed on {device_name(images.device)}")
    with own_random_numbers(images.device):
        layers = _Layers(images.device, Check(precision), True)
        layers.compare(copy.deepcopy(network), run)
        check = layers.check
        if not check.fault or _waits(network):
            low, exact = (_loss_and_gradients(network, run, used) for used in (precision, "float32"))
            check.fault = check.fault or _compare_losses(low, exact, precision)
    return check


def check_output(network: nn.Module, images: Tensor, output: Callable[[Tensor], Tensor], precision: str) -> Check:
    """Compare the layers of a network that is not trained with float32.

    Most is done with a few of the images. But a library chooses its way of a convolution by the number of images, too.
    So each convolution is compared once with all of them.

    Args:
        network: The network whose layers are compared.
        images: (batch, 3, H, W), prepared as for the network.
        output: What the network computes of images: itself, or one of its methods.
        precision: "bf16" or "float16", a key of :data:`DTYPES`.

    Returns:
        What was found.
    """
    layers = _Layers(images.device, Check(precision), False)

    def run(_: nn.Module, used: str, few: Tensor = images[:FEW]) -> Tensor:
        with autocast(images.device, used):
            return output(few)

    layers.compare(network, run)
    if len(images) > FEW and not layers.check.fault:
        layers.products_only = True
        layers.compare_layers(network, lambda network, used: run(network, used, images))
    return layers.check


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Make the context in which ``precision`` is used on ``device``. With "float32" it changes nothing."""
    return torch.autocast(device.type, DTYPES.get(precision), enabled=precision in DTYPES)


def _waits(network: nn.Module) -> bool:
    """Whether the batch norms of several processes wait for one another: then each does all, whatever it finds."""
    return any(isinstance(layer, nn.SyncBatchNorm) for layer in network.modules())


@dataclass
class _Layers:
    """Compares each layer of a network with float32 as it is called under autocast, then what stands between layers.

    Of layers that are alike in kind, settings and input only the first is compared. ``made`` is what each call of a
    layer gave, in order. With these results in the layers' place, the network computes nothing but its own code.
    """

    device: torch.device
    check: Check
    gradients: bool  # also those of the layer's input and parameters
    products_only: bool = False  # convolutions and linear layers, once
    seen: set[tuple[object, ...]] = field(default_factory=set)
    made: list[Any] = field(default_factory=list)

    def compare(self, network: nn.Module, run: Run) -> None:
        """Compare the layers of what ``run(network, precision)`` computes, then what stands between them."""
        self.compare_layers(network, run)
        if not self.check.fault or _waits(network):
            self._compare_between(network, run)

    def compare_layers(self, network: nn.Module, run: Run) -> None:
        """Compare the layers alone."""
        with _instead(network, self._watched), torch.no_grad():
            run(network, self.check.precision)

    def _watched(self, name: str, layer: nn.Module, forward: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call a layer, having compared it."""
        low = torch.is_autocast_enabled(self.device.type)  # where not, the layer runs in float32 anyhow
        given = [(tensor.shape, tensor.stride(), tensor.dtype) for tensor in _tensors((args, named))]
        kind = (type(layer), layer.extra_repr(), layer.training, *given)
        wanted = not self.products_only or any(parameter.ndim > 1 for parameter in layer.parameters())
        if low and given and wanted and kind not in self.seen and not isinstance(layer, DROPOUT):
            self.seen.add(kind)
            off = self._compare(layer, forward, args, named)
            shape = " x ".join(map(str, given[0][0]))
            self._judge(off, f"the layer {name} ({type(layer).__name__} of {shape})")
            self.check.layers += not self.products_only
        out = forward(*args, **named)
        if not self.products_only:
            self.made.append(tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), out))
        return out

    def _compare(self, layer: nn.Module, forward: Callable[..., Any], args: Any, named: Any) -> float:
        """The largest difference of a layer's results from float32's, in several tries."""
        parameters = [p for p in layer.parameters() if p.requires_grad] if self.gradients else []
        with torch.autocast(self.device.type, enabled=False):
            exact, names = _floats((args, named))
            wanted = _results(forward, exact, names, parameters, self.gradients)
        off = 0.0
        for attempt in range(1 if self.products_only else TRIES):
            _dirty_memory(self.device, 1e3 if attempt % 2 else math.nan)
            off = max(off, *map(_difference, _results(forward, args, named, parameters, self.gradients), wanted))
        return off

    def _compare_between(self, network: nn.Module, run: Run) -> None:
        """Compare what the network computes itself, of what its layers have made: sums, poolings, concatenations."""
        low, exact = (self._between(network, run, used) for used in (self.check.precision, "float32"))
        for (name, found), (_, wanted) in zip(low, exact, strict=True):
            limit = SUMS_LIMIT if name.startswith(GRADIENT) else LAYER_LIMIT
            self._judge(_difference(found, wanted), f"{name} {' x '.join(map(str, found.shape))}", limit)

    def _between(self, network: nn.Module, run: Run, used: str) -> list[tuple[str, Tensor]]:
        """What the layers are given, the result, and the gradients of what the layers have made, each with its name."""
        given, sources, made = list[tuple[str, Tensor]](), list[tuple[str, Tensor]](), iter(self.made)

        def stand_in(name: str, layer: nn.Module, forward: object, *args: Any, **named: Any) -> Any:
            given.extend((name, tensor.clone()) for tensor in _tensors((args, named)))
            out = next(made) if used != "float32" else _floats(next(made))
            out = _leaves(out, self.gradients)
            sources.extend((name, tensor) for tensor in _tensors(out))
            return tree_map_only(Tensor, torch.clone, out)  # what follows may work in place

        with torch.set_grad_enabled(self.gradients), _instead(network, stand_in):
            given.append(("", run(network, used)))
        gradients = _gradients([tensor for _, tensor in given], [tensor for _, tensor in sources])
        results = [(f"what the layer {name} is given," if name else "the result,", t) for name, t in given]
        names = [f"{GRADIENT} what the layer {name} gives," for name, _ in sources]
        return [*results, *zip(names, gradients, strict=False)]

    def _judge(self, off: float, what: str, limit: float = LAYER_LIMIT) -> None:
        """Note a difference, and where it is too large, the first of its kind."""
        self.check.worst = max(self.check.worst, off)
        if off > limit and not self.check.fault:
            told = f"it differs from float32 by {off:.2g}, where rounding allows {limit}"
            self.check.fault = f"{self.check.precision} is wrong here in {what}: {told}"


@contextlib.contextmanager
def _instead(network: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """Within, ``forward(name, layer, its own forward, ...)`` is called in the place of each layer's own."""
    layers = [(name, layer) for name, layer in network.named_modules() if not [*layer.children()]]
    before = [(layer, vars(layer).get("forward")) for _, layer in layers]
    try:
        for name, layer in layers:
            vars(layer)["forward"] = functools.partial(forward, name, layer, layer.forward)
        yield
    finally:
        for layer, own in before:
            vars(layer).pop("forward") if own is None else vars(layer).update(forward=own)


def _tensors(tree: Any) -> list[Tensor]:
    """The floating-point tensors among a call's arguments or results."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _leaves(tree: Any, gradients: bool) -> Any:
    return tree_map_only(Tensor, lambda t: t.detach().requires_grad_(gradients and t.is_floating_point()), tree)


def _floats(tree: Any) -> Any:
    return tree_map_only(Tensor, lambda tensor: tensor.float() if tensor.is_floating_point() else tensor, tree)


def _results(
    forward: Callable[..., Any], args: Any, named: Any, parameters: list[nn.Parameter], gradients: bool
) -> list[Tensor]:
    """A layer's results and, where asked, the gradients of its input and parameters for a gradient from a seed."""
    with torch.set_grad_enabled(gradients):
        leaves = _leaves((args, named), gradients)
        args, named = tree_map_only(Tensor, torch.clone, leaves)  # copies, since a layer may work in place
        outputs = _tensors(forward(*args, **named))
        return [output.detach().float() for output in outputs] + _gradients(outputs, [*_tensors(leaves), *parameters])


def _gradients(outputs: list[Tensor], sources: list[Tensor]) -> list[Tensor]:
    """The gradients (float32) of ``sources`` for gradients of ``outputs`` from a seed; none where there are none."""
    outputs = [output for output in outputs if output.requires_grad]
    if not outputs:
        return []
    where = outputs[0].device
    random = torch.Generator(where).manual_seed(0)
    directions = [torch.randn(output.shape, generator=random, device=where).to(output) for output in outputs]
    sources = [source for source in sources if source.requires_grad]
    found = torch.autograd.grad(outputs, sources, directions, allow_unused=True, materialize_grads=True)
    return [gradient.float() for gradient in found]


def _difference(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, in units of value + root mean square; infinite where a number is not finite."""
    unit = wanted.abs().add_(wanted.square().mean().sqrt() + torch.finfo(torch.float32).tiny)
    off = (found - wanted).abs_().div_(unit).max().item()
    return off if math.isfinite(off) else math.inf


def _dirty_memory(device: torch.device, value: float) -> None:
    """Leave numbers in freed memory, so that a layer that reads what nobody wrote is found out."""
    for power in range(10, 22, 2):
        torch.full((2**power,), value, device=device)


def _loss_and_gradients(network: nn.Module, run: Run, precision: str) -> tuple[float, Tensor]:
    """The loss of a batch and all gradients as one vector, of a copy of the network."""
    trial = copy.deepcopy(network)
    loss = run(trial, precision)
    (loss * SCALE).backward()
    gradients = [p.grad.flatten().float() for p in trial.parameters() if p.grad is not None]
    return loss.item(), torch.cat(gradients) / SCALE


def _compare_losses(low: tuple[float, Tensor], exact: tuple[float, Tensor], precision: str) -> str:
    """What is wrong with the loss and the gradients, or an empty string."""
    off = abs(low[0] - exact[0]) / max(abs(exact[0]), 1e-3)
    if not off <= LOSS_LIMIT:
        return f"{precision} is wrong here: the loss differs from float32's by {off:.2g} of it"
    longer = (low[1].norm() / exact[1].norm().clamp(min=1e-12)).item()
    if not 1 / GRADIENT_LIMIT < longer < GRADIENT_LIMIT:
        return f"{precision} is wrong here: the gradients are {longer:.2g} times as long as float32's"
    return ""
