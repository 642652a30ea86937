"""Weights and training state as safetensors: written whole, checked when read, never a pickle."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save

from reid_lab.runtime.errors import CheckpointError
from reid_lab.runtime.files import write_whole

State = dict[str, torch.Tensor]
CHECKSUM = "whole"  # its name in the file


def write(path: Path, tensors: State, about: dict[str, Any]) -> None:
    """Write tensors with a note about them and a checksum of all.

    Args:
        path: The file.
        tensors: Tensors by name, on any device.
        about: The note, anything JSON.

    Raises:
        CheckpointError: The file cannot be written; the one that was there is untouched.
    """
    # always contiguous in the default layout, so that a file does not depend on channels_last
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    note = json.dumps(about)
    metadata = {"about": note, CHECKSUM: _checksum(note, plain)}
    write_whole(path, lambda temporary: temporary.write_bytes(save(plain, metadata=metadata)))


def read(path: Path) -> tuple[State, dict[str, Any]]:
    """Read what :func:`write` wrote.

    Args:
        path: The file.

    Returns:
        The tensors by name, on the CPU, and the note about them.

    Raises:
        CheckpointError: There is no such file, it may not be read, it is no safetensors file, it was cut short, or it
            was altered since it was written.
    """
    try:
        with opened(path) as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no file {path}. Train the run again, or give the right folder.") from error
    except PermissionError as error:
        raise unreadable(path) from error
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}). Delete it and train the run again.") from error
    note = metadata.get("about", "")
    if "about" not in metadata or metadata.get(CHECKSUM) != _checksum(note, tensors):
        raise CheckpointError(
            f"{path} is damaged, was not written by reid_lab, or was written before its version 0.1.0: its checksum "
            "does not fit. Delete it and train the run again."
        )
    return tensors, json.loads(note)


def opened(path: Path) -> safetensors.safe_open:
    """Open a file of tensors for reading.

    Raises:
        OSError: There is no such file, or it may not be read.
        SafetensorError: It is no safetensors file.
    """
    open(path, "rb").close()  # a file that may not be read is one that is not there to safetensors
    return safetensors.safe_open(path, framework="pt")


def unreadable(path: Path) -> CheckpointError:
    """Make the error for a file that is there, and perhaps whole, but not for this user."""
    return CheckpointError(f"{path} cannot be read for want of permission: ask its owner for the right to read it.")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> State:
    """Collect an optimizer's buffers (momentum, moments, step counts) as named tensors."""
    state = optimizer.state_dict()["state"]
    return {
        f"{i}.{name}": tensor for i, buffers in state.items() for name, tensor in buffers.items() if tensor is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: State) -> None:
    """Put the buffers of :func:`optimizer_tensors` back into an optimizer over the same parameters."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, buffer = name.split(".", 1)
        state.setdefault(int(index), {})[buffer] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, buffers in optimizer.state.items():
        for buffer, tensor in buffers.items():
            if tensor.shape == parameter.shape:  # the same strides as the parameter's, which fused kernels rely on
                buffers[buffer] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor).detach()


def _checksum(note: str, tensors: State) -> str:
    """The CRC-32 of every tensor's name and bytes, then of the note and of every tensor's type and shape."""
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().data, total)
    forms = [f"{name} {tensor.dtype} {list(tensor.shape)}" for name, tensor in sorted(tensors.items())]
    return f"{zlib.crc32(json.dumps([note, forms]).encode(), total):08x}"
