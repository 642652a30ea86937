"""A network as a function from one image to its features, made for speed: eager, compiled, or as a CUDA graph."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from reid_lab.data.augment import generator
from reid_lab.models.network import Network
from reid_lab.runtime.device import find_device
from reid_lab.runtime.errors import DeviceError
from reid_lab.runtime.validation import one_of

WAYS = ("eager", "compiled", "graph")
PRECISIONS = ("float32", "bf16")


def embedder(
    model: Network,
    device: torch.device | str | None = None,
    how: str = "eager",
    precision: str = "float32",
    folded: bool = False,
) -> Callable[[Tensor], Tensor]:
    """A function from one normalized image (1, 3, H, W) to its features (1, d), made for speed.

    It works on a copy of the model, in evaluation mode, without gradients, channels last.

    Args:
        model: the network; it stays as it is.
        device: default where the model is. Images must be there.
        how: "eager": operation by operation, as PyTorch comes. "compiled": torch.compile, with seconds to minutes of
            compilation now. "graph": the operations are recorded now as a CUDA graph and replayed with one launch;
            each call writes into the tensor that the one before returned.
        precision: "float32" (with TF32 where PyTorch is set so) or "bf16": bfloat16 autocast, the backbone's
            convolutions converted once instead of at every call.
        folded: merge each batch norm into the convolution before it: the same function, fewer operations.

    Raises:
        DeviceError: the device is not there, "graph" without CUDA, or torch.compile does not work here.
        RecipeError: an unknown way or precision.
    """
    one_of("how", how, WAYS)
    one_of("precision", precision, PRECISIONS)
    where = place(model, device)
    if how == "graph" and where.type != "cuda":
        raise DeviceError(f'how="graph" records a CUDA graph, but the device is "{where}": use a GPU, or how="eager".')
    network = _copy(model, where, precision, folded)
    image = noise(model.input_size, where)
    if how == "compiled":
        return _compiled(network, image, precision)
    describe = _in_inference(network.features, where, precision)
    return _graph(describe, image) if how == "graph" else describe


def place(model: nn.Module, device: torch.device | str | None) -> torch.device:
    """Find the device called ``device``; None: where the model is."""
    return next(model.parameters()).device if device is None else find_device(device)


def noise(size: tuple[int, int], device: torch.device) -> Tensor:
    """One image of noise: what it shows changes nothing in the time."""
    image = torch.randn(1, 3, *size, generator=generator(0))
    return image.to(device, memory_format=torch.channels_last)


def _copy(model: Network, device: torch.device, precision: str, folded: bool) -> Network:
    network = copy.deepcopy(model).eval().requires_grad_(False)
    if folded:
        _fold(network)
    network = network.to(device).to(memory_format=torch.channels_last)
    if precision == "bf16":  # autocast would convert them again at every call; the heads stay in float32
        for module in network.backbone.modules():
            if isinstance(module, nn.Conv2d):
                module.bfloat16()
    return network


def _fold(network: nn.Module) -> None:
    """Merge each batch norm of a network in evaluation mode into the convolution before it, in place.

    There a batch norm is y -> y * scale + shift with fixed numbers, which the convolution's weights and bias can do.
    They are found by name: conv1 and bn1, convs.0 and bns.0, or neighbors such as downsample.0 and downsample.1.
    """
    modules = dict(network.named_modules())
    for name, convolution in modules.items():
        if not isinstance(convolution, nn.Conv2d):
            continue
        place, _, last = name.rpartition(".")
        partner = f"{place}.{int(last) + 1}" if last.isdigit() and "conv" not in name else name.replace("conv", "bn")
        if isinstance(norm := modules.get(partner), nn.BatchNorm2d):
            network.set_submodule(name, fuse_conv_bn_eval(convolution, norm))
            network.set_submodule(partner, nn.Identity())


def _in_inference(
    features: Callable[[Tensor], Tensor], device: torch.device, precision: str
) -> Callable[[Tensor], Tensor]:
    def describe(image: Tensor) -> Tensor:
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        with torch.inference_mode(), autocast, _tried_convolutions():
            return features(image)

    return describe


@contextlib.contextmanager
def _tried_convolutions() -> Iterator[None]:
    """Let cuDNN try each convolution's algorithms once and keep the fastest, as the training does."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _compiled(network: Network, image: Tensor, precision: str) -> Callable[[Tensor], Tensor]:
    torch.compiler.reset()  # else a later network is compared with every one before, and after eight runs eagerly
    try:
        describe = _in_inference(torch.compile(network.features), image.device, precision)
        describe(image)
    except Exception as error:  # a missing compiler, an unsupported operation: many libraries take part
        reason = (str(error).strip().splitlines() or [""])[0]
        raise DeviceError(
            f"torch.compile does not work on {image.device} here ({type(error).__name__}: {reason}): "
            'install a C++ compiler, or use how="eager".'
        ) from error
    return describe


def _graph(describe: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[Tensor], Tensor]:
    """Copy each image to where a recording of the call reads it, and replay the recording."""
    fixed = image.clone()
    try:
        graph, features = _recorded(describe, fixed)
    except RuntimeError as error:  # torch's kind for whatever a driver or a library refuses
        reason = (str(error).strip().splitlines() or [""])[0]
        raise DeviceError(
            f'No CUDA graph could be recorded on {image.device} ({type(error).__name__}: {reason}): use how="eager".'
        ) from error

    def replay(image: Tensor) -> Tensor:
        fixed.copy_(image)
        graph.replay()
        return features

    return replay


def _recorded(describe: Callable[[Tensor], Tensor], fixed: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """A recording of one call, and where each replay of it leaves the features."""
    device = fixed.device
    with torch.cuda.device(device):
        side = torch.cuda.Stream(device)  # a recording must not begin on the stream that everybody uses
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(3):  # libraries are set up and algorithms chosen now: a recording may do neither
                describe(fixed)
        torch.cuda.current_stream(device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            features = describe(fixed)
    return graph, features
