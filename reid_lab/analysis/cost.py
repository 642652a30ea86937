"""What a network costs: parameters, operations and the time for one image (paper B, Table 4).

A count is the same everywhere. A time belongs to one machine, precision and way of running, and carries all three.
"""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from reid_lab.data.augment import generator
from reid_lab.models.network import Network
from reid_lab.runtime.device import device_name, find_device, synchronize
from reid_lab.runtime.errors import DeviceError, RecipeError
from reid_lab.runtime.validation import one_of

WAYS = ("eager", "compiled", "graph")
PRECISIONS = ("float32", "bf16")


def parameters(model: nn.Module) -> int:
    """How many numbers training may change in a network, or in a part of it such as ``model.backbone``.

    Frozen ones (the BNNecks' biases) and the statistics of batch norms are not counted. Table 4 gives millions.
    """
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def flops(model: nn.Module, input_size: tuple[int, int] | None = None) -> int:
    """Floating-point operations for the descriptor of ONE image: torch's own count, a multiply-add being two.

    Convolutions and matrix products are counted; normalization, activation, pooling and addition, of which there are
    a hundred times fewer, are not. Nothing is computed: a copy of the network is counted without its numbers.

    Args:
        model: a Network, or another module, of which ``forward`` is counted.
        input_size: (height, width) of the image; default the network's own.

    Raises:
        RecipeError: no input size for a module that has none.
    """
    size = input_size or getattr(model, "input_size", None)
    if size is None:
        raise RecipeError(f"A {type(model).__name__} knows no input size: give flops an input_size=(height, width).")
    shadow = copy.deepcopy(model).to("meta").eval()
    image = torch.empty(1, 3, *size, device="meta")
    with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow.features(image) if isinstance(shadow, Network) else shadow(image)
    return int(counter.get_total_flops())


@dataclass(frozen=True)
class Latency:
    """How long the descriptor of one image took: the median of many calls, in milliseconds.

    A tenth of the calls took less than ``p10``, a tenth more than ``p90``; ``milliseconds`` are all of them in order.
    ``warmup_seconds`` is what came before them: copying, compiling or recording, and the calls of the warm-up.
    """

    how: str
    precision: str
    device: str
    median: float
    p10: float
    p90: float
    warmup_seconds: float
    milliseconds: np.ndarray = field(repr=False)  # (repeats,)


def latency(
    model: Network,
    device: torch.device | str | None = None,
    how: str = "eager",
    precision: str = "float32",
    folded: bool = False,
    repeats: int = 100,
    warmup: int = 10,
) -> Latency:
    """Time the descriptor of a single image, from an image on the device to a descriptor on the device.

    Reading, resizing and copying the image to the device are not in it (paper B does not say whether they are in its
    Table 4). Every call is waited for. The model is copied and stays as it is.

    Args:
        model: what to time, at its own ``input_size``.
        device, how, precision, folded: see :func:`embedder`.
        repeats: how many calls are timed.
        warmup: how many calls go before them.

    Raises:
        DeviceError: the device is not there, or cannot run this way.
        RecipeError: an unknown way or precision, or nothing to time.
    """
    if repeats < 1 or warmup < 0:
        raise RecipeError(f"repeats is {repeats} and warmup {warmup}, but they must be at least 1 and 0.")
    began = time.perf_counter()
    where = _place(model, device)
    describe = embedder(model, where, how, precision, folded)
    image = _example(model.input_size, where)
    for _ in range(warmup):
        _milliseconds(describe, image)
    ready = time.perf_counter()
    times = np.array([_milliseconds(describe, image) for _ in range(repeats)])
    p10, median, p90 = np.percentile(times, [10, 50, 90]).tolist()
    return Latency(how, precision, _device_name(where), median, p10, p90, ready - began, times)


def embedder(
    model: Network,
    device: torch.device | str | None = None,
    how: str = "eager",
    precision: str = "float32",
    folded: bool = False,
) -> Callable[[Tensor], Tensor]:
    """A function from one normalized image (1, 3, H, W) to its descriptor (1, d), made for speed.

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
    where = _place(model, device)
    if how == "graph" and where.type != "cuda":
        raise DeviceError(f'how="graph" records a CUDA graph, but the device is "{where}": use a GPU, or how="eager".')
    network = _copy(model, where, precision, folded)
    image = _example(model.input_size, where)
    if how == "compiled":
        return _compiled(network, image, precision)
    describe = _in_inference(network.features, where, precision)
    return _graph(describe, image) if how == "graph" else describe


def table(
    models: Mapping[str, Network],
    device: torch.device | str | None = None,
    ways: Sequence[str] = WAYS,
    precision: str = "float32",
    folded: bool = False,
    repeats: int = 100,
    warmup: int = 10,
) -> pd.DataFrame:
    """Paper B's Table 4 on the machine at hand: one row per network.

    Columns: parameters and, of these, the backbone's (millions); FLOPs (10^9, a multiply-add being two); median
    milliseconds for one image by each of the ``ways`` that works here ("compiled" may take minutes per network).
    ``table.attrs`` has the device, the precision, and in "not measured" the reason for each missing time.

    Raises:
        RecipeError: no networks, an unknown way or precision, or nothing to time.
        DeviceError: the device is not there.
    """
    if not models:
        raise RecipeError("There are no networks to tabulate: pass a mapping from names to networks.")
    for way in ways:
        one_of("how", way, WAYS)
    rows, missing, where = {}, {}, ""
    for name, model in models.items():
        where = _device_name(_place(model, device))
        rows[name] = {"parameters, M": parameters(model) / 1e6, "backbone, M": parameters(model.backbone) / 1e6}
        rows[name]["FLOPs, G"] = flops(model) / 1e9
        for way in ways:
            try:
                measured = latency(model, device, way, precision, folded, repeats, warmup)
                rows[name][f"{way}, ms"] = measured.median
            except DeviceError as error:
                missing[f"{name}, {way}"] = str(error)
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")
    found.attrs = {"device": where, "precision": precision, "folded": folded, "not measured": missing}
    return found


def _place(model: nn.Module, device: torch.device | str | None) -> torch.device:
    return next(model.parameters()).device if device is None else find_device(device)


def _device_name(device: torch.device) -> str:
    return str(device) if device.type == "cpu" else device_name(device)


def _example(size: tuple[int, int], device: torch.device) -> Tensor:
    """One image of noise: what it shows changes nothing in the time."""
    image = torch.randn(1, 3, *size, generator=generator(0))
    return image.to(device, memory_format=torch.channels_last)


def _milliseconds(describe: Callable[[Tensor], Tensor], image: Tensor) -> float:
    began = time.perf_counter()
    describe(image)
    synchronize(image.device)  # a GPU's calls return before the work is done
    return 1000 * (time.perf_counter() - began)


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
    descriptor: Callable[[Tensor], Tensor], device: torch.device, precision: str
) -> Callable[[Tensor], Tensor]:
    def describe(image: Tensor) -> Tensor:
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        with torch.inference_mode(), autocast, _tried_convolutions():
            return descriptor(image)

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
    """A recording of one call, and where each replay of it leaves the descriptor."""
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
