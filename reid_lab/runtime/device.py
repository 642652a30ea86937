"""Everything that differs from device to device: which are there, and what each of them can do.

The GPU is what PyTorch calls the machine's accelerator: CUDA (NVIDIA, and AMD through ROCm, which is called "cuda",
too), MPS (Apple) or XPU (Intel). A small computation finds out what a device can do, because a table of device names
would grow old.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import operator
import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional as F

from reid_lab.runtime.errors import DeviceError

KINDS = ("cpu", "cuda", "mps", "xpu")
FLOAT32 = ("cuda.matmul", "cudnn.conv", "cudnn.rnn", "mkldnn.matmul", "mkldnn.conv")  # of torch.backends
CURE = (
    "Install a PyTorch that is made for this GPU, stop other programs that use it, or use --device cpu (device='cpu')."
)
WITHOUT_BF16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")  # oneDNN emulates it
GPU_MEMORY = ("out of memory", "ALLOC_FAILED", "OUT_OF_DEVICE_MEMORY", "OUT_OF_RESOURCES")  # as drivers say it


def seen() -> torch.device | None:
    """Find the GPU that PyTorch sees, usable or not. None: there is none of a kind that is known here."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found if found is not None and found.type in KINDS[1:] else None


def find_device(name: str | torch.device | None = None) -> torch.device:
    """Find a device by its name.

    Args:
        name: For example "cpu", "cuda" or "cuda:1". None: the GPU if there is one that computes, else the CPU. If
            PyTorch sees a GPU but cannot use it, this is logged.

    Returns:
        The device with its index, so that devices can be compared.

    Raises:
        DeviceError: ``name`` is no device, or one that this machine does not have or cannot use.
    """
    if name is None:
        return _default()
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f"There is no device called {name!r}; use {_names()}.") from error
    if device.type not in KINDS:
        raise DeviceError(f"The device {str(name)!r} is of a kind that reid_lab does not use; use {_names()}.")
    if device.type == "cpu":
        return torch.device("cpu")
    count = torch.get_device_module(device).device_count()
    if (device.index or 0) >= count:
        raise DeviceError(
            f"The device {str(name)!r} was asked for, but PyTorch sees {count} GPUs of that kind here. Use --device "
            "cpu (device='cpu'), or install a driver and a PyTorch that match the GPU."
        )
    if (why := trouble(device)) is not None:
        raise DeviceError(f"The device {str(name)!r} is there, but cannot be used: {why} {CURE}")
    return torch.empty(0, device=device).device  # "cuda" as "cuda:0", so that devices can be compared


def _default() -> torch.device:
    device = seen()
    if device is None:
        return torch.device("cpu")
    if (why := trouble(device)) is None:
        return torch.empty(0, device=device).device
    _tell(why)
    return torch.device("cpu")


@functools.cache  # once is enough
def _tell(why: str) -> None:
    logging.getLogger("reid_lab").warning("The GPU cannot be used, and the CPU is taken instead: %s %s", why, CURE)


def _names() -> str:
    gpu = seen()
    return f"'cpu', '{gpu}' or '{gpu}:1'" if gpu else "'cpu' (PyTorch sees no GPU here)"


def trouble(device: torch.device) -> str | None:
    """Say in a sentence why ``device`` cannot compute. None: it can, and a small product comes out right."""
    try:
        ones = torch.ones(8, 8, device=device)
        right = float((ones @ ones).sum()) == 8.0**3
    except Exception as error:  # whatever a driver, or PyTorch on its behalf, raises
        return _sentence(error)
    return None if right else "a product of ones comes out wrong."


def _sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return f"{lines[0].rstrip('.')}."


def kind(device: torch.device) -> str:
    """Name the kind of device, "cpu", "cuda", "rocm", "mps" or "xpu". It decides how numbers are rounded."""
    return "rocm" if device.type == "cuda" and torch.version.hip else device.type


def device_name(device: torch.device) -> str:
    """Name the device as its maker calls it."""
    if device.type in ("cuda", "xpu"):
        return str(torch.get_device_module(device).get_device_name(device))
    if device.type == "mps":
        return f"{platform.machine()} Apple GPU"
    return f"{platform.machine()} CPU ({torch.backends.cpu.get_cpu_capability()})"


def synchronize(device: torch.device) -> None:
    """Wait until ``device`` has done all its work: a GPU's calls return before that."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def memory(device: torch.device) -> tuple[int, int]:
    """Ask for free and total bytes of a GPU. What PyTorch keeps of tensors that are gone counts as free."""
    if device.type == "mps":
        total = torch.mps.recommended_max_memory()
        return total - torch.mps.current_allocated_memory(), total
    module = torch.get_device_module(device)
    try:
        free, total = module.mem_get_info(device)
    except (RuntimeError, AttributeError):  # some of Intel's GPUs do not say what is free
        total = module.get_device_properties(device).total_memory
        free = total - module.memory_reserved(device)
    return free + module.memory_reserved(device) - module.memory_allocated(device), total


def pins(device: torch.device) -> bool:
    """Whether pinned memory lets the program go on while it is copied to ``device``."""
    return device.type in ("cuda", "xpu")


@contextlib.contextmanager
def own_random_numbers(where: torch.device) -> Iterator[None]:
    """Make a context that leaves the random generators of the CPU and of a device as they were."""
    if where.type in ("cuda", "xpu"):
        with torch.random.fork_rng([where], device_type=where.type):
            yield
        return
    state = torch.mps.get_rng_state() if where.type == "mps" else None
    with torch.random.fork_rng([]):
        try:
            yield
        finally:
            if state is not None:
                torch.mps.set_rng_state(state)


def current(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Make a context in which ``device`` is its kind's default. Outside, work on cuda:1 takes memory on cuda:0."""
    if device.type not in ("cuda", "xpu"):
        return contextlib.nullcontext()
    return torch.get_device_module(device).device(device)


def has_float64(device: torch.device) -> bool:
    """Whether ``device`` computes in 64-bit floats: Apple's and some of Intel's GPUs do not."""
    return _works(lambda: torch.ones(1, dtype=torch.float64, device=device) + 1) is None


def has_bf16(device: torch.device) -> bool:
    """Whether ``device`` computes in bfloat16 at all, fast or not."""
    ones = torch.ones(8, 8, dtype=torch.bfloat16)
    return _works(lambda: ones.to(device) @ ones.to(device)) is None


def no_determinism(device: torch.device) -> str | None:
    """Say why a training on ``device`` cannot give the same bits each time, in PyTorch's words. None: it can."""
    if device.type == "cpu":
        return None
    before = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        return _works(lambda: _one_of_each(device))
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warned)


def _one_of_each(device: torch.device) -> None:
    """What has no deterministic kernel on one device or another: products, pooling's and indexing's gradients."""
    with torch.inference_mode(False), torch.enable_grad():
        x = torch.ones(1, 1, 4, 4, device=device, requires_grad=True)
        rows = F.max_pool2d(x, 3, 2, 1).flatten(2)[0] @ torch.ones(4, 2, device=device)
        rows[torch.zeros(2, dtype=torch.int64, device=device)].sum().backward()


def _works(work: Callable[[], object]) -> str | None:
    """None where ``work`` can be done, else what was said against it."""
    try:
        work()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return _sentence(error)
    return None


def fast_precision(device: torch.device) -> str:
    """Find the precision in which ``device`` should be faster than in float32.

    CUDA: tensor cores, which know bfloat16 from compute capability 8.0 on (Ampere) and float16 from 7.0. ROCm: as it
    says. CPU: AVX-512 BF16 or AMX, unless the library of its convolutions is told to do without. MPS has both, but is
    not faster in either.

    Returns:
        "bf16" or "float16"; "float32" where neither is faster.
    """
    if device.type == "cuda" and torch.version.hip:
        with current(device):
            return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "bf16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "float32"
    if device.type == "cpu":
        if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in WITHOUT_BF16:
            return "float32"
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, hence asked for politely
        return "bf16" if any(getattr(torch.cpu, probe, lambda: False)() for probe in probes) else "float32"
    return "bf16" if device.type == "xpu" else "float32"


def tf32(device: torch.device) -> str:
    """Name the float32 arithmetic that may be rounded to TF32's three digits: "", "convolutions", "products, ..."."""
    if kind(device) != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return ""
    if _newer_flags():
        may = [_backend(part).fp32_precision == "tf32" for part in ("cuda.matmul", "cudnn.conv")]
    else:
        may = [torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32]
    return ", ".join(what for what, allowed in zip(("products", "convolutions"), may, strict=True) if allowed)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Make a context in which nothing is rounded to TF32 or bfloat16: float32 is float32 on every device.

    PyTorch lets cuDNN's convolutions use TF32 unless told otherwise, and a program may allow it for products, too.
    """
    flags = _float32_flags()
    before = [getattr(owner, flag) for owner, flag, _ in flags]
    precision = None if _newer_flags() else torch.get_float32_matmul_precision()
    try:
        for owner, flag, exact in flags:
            setattr(owner, flag, exact)
        if precision:
            torch.set_float32_matmul_precision("highest")
        yield
    finally:
        for (owner, flag, _), value in zip(flags, before, strict=True):
            setattr(owner, flag, value)
        if precision:
            torch.set_float32_matmul_precision(precision)


def _newer_flags() -> bool:
    """From PyTorch 2.9 on, where the older ones may not be mixed with them."""
    return hasattr(torch.backends, "fp32_precision")


def _float32_flags() -> list[tuple[object, str, object]]:
    """The settings (owner, name) of float32 arithmetic, with the value that rounds nothing."""
    if not _newer_flags():
        return [(torch.backends.cudnn, "allow_tf32", False)]
    return [(_backend(part), "fp32_precision", "ieee") for part in FLOAT32]


def _backend(part: str) -> Any:
    return operator.attrgetter(part)(torch.backends)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU's memory is too small: PyTorch has a class for one of the ways only."""
    told = isinstance(error, RuntimeError) and any(words in str(error) for words in GPU_MEMORY)
    return told or isinstance(error, torch.OutOfMemoryError)
