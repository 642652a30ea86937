"""What a network costs: parameters, operations and the time for one image (paper B, Table 4).

A count is the same everywhere. A time belongs to one machine, precision and way of running, and carries all three.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reid_lab.analysis.embedders import WAYS, embedder, noise, place
from reid_lab.models.network import Network
from reid_lab.runtime.device import device_name, synchronize
from reid_lab.runtime.errors import DeviceError, RecipeError
from reid_lab.runtime.validation import one_of


def parameters(model: nn.Module) -> int:
    """How many numbers training may change in a network, or in a part of it such as ``model.backbone``.

    Frozen ones (the BNNecks' biases) and the statistics of batch norms are not counted. Table 4 gives millions.
    """
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def flops(model: nn.Module, input_size: tuple[int, int] | None = None) -> int:
    """Floating-point operations for the features of ONE image: torch's own count, a multiply-add being two.

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
    """How long the features of one image took: the median of many calls, in milliseconds.

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
    """Time the features of a single image, from an image on the device to its features on the device.

    Reading, resizing and copying the image to the device are not in it (paper B does not say whether they are in its
    Table 4). Every call is waited for. The model is copied and stays as it is.

    Args:
        model: what to time, at its own ``input_size``.
        device: default where the model is.
        how: "eager", "compiled" or "graph", see :func:`.embedders.embedder`.
        precision: "float32" or "bf16".
        folded: merge each batch norm into the convolution before it.
        repeats: how many calls are timed.
        warmup: how many calls go before them.

    Raises:
        DeviceError: the device is not there, or cannot run this way.
        RecipeError: an unknown way or precision, or nothing to time.
    """
    if repeats < 1 or warmup < 0:
        raise RecipeError(f"repeats is {repeats} and warmup {warmup}, but they must be at least 1 and 0.")
    began = time.perf_counter()
    where = place(model, device)
    describe = embedder(model, where, how, precision, folded)
    image = noise(model.input_size, where)
    for _ in range(warmup):
        _milliseconds(describe, image)
    ready = time.perf_counter()
    times = np.array([_milliseconds(describe, image) for _ in range(repeats)])
    p10, median, p90 = np.percentile(times, [10, 50, 90]).tolist()
    return Latency(how, precision, _device_name(where), median, p10, p90, ready - began, times)


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
        where = _device_name(place(model, device))
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


def _device_name(device: torch.device) -> str:
    return str(device) if device.type == "cpu" else device_name(device)


def _milliseconds(describe: Callable[[Tensor], Tensor], image: Tensor) -> float:
    began = time.perf_counter()
    describe(image)
    synchronize(image.device)  # a GPU's calls return before the work is done
    return 1000 * (time.perf_counter() - began)
