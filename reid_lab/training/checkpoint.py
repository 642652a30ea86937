"""Weights and training state as safetensors: written whole, checked when read, never a pickle."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save

from reid_lab.errors import CheckpointError
from reid_lab.home import write_whole

State = dict[str, torch.Tensor]


def write(path: Path, tensors: State, about: dict[str, Any]) -> None:
    """Write ``tensors`` with a note ``about`` them (anything JSON) and a checksum.

    Raises:
        CheckpointError: the file cannot be written; the one that was there is untouched.
    """
    # always contiguous in the default layout, so that a file does not depend on channels_last
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    note = {"about": json.dumps(about), "checksum": _checksum(plain)}
    write_whole(path, lambda temporary: temporary.write_bytes(save(plain, metadata=note)))


def read(path: Path) -> tuple[State, dict[str, Any]]:
    """Read what :func:`write` wrote.

    Raises:
        CheckpointError: no such file, not safetensors, cut short, or altered since it was written.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            note = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no file {path}. Train the run again, or give the right folder.") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}). Delete it and train the run again.") from error
    if "about" not in note or note.get("checksum") != _checksum(tensors):
        raise CheckpointError(
            f"{path} is damaged or was not written by reid_lab: its checksum does not fit. "
            "Delete it and train the run again."
        )
    return tensors, json.loads(note["about"])


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> State:
    """An optimiser's buffers (momentum, moments, step counts) as named tensors."""
    state = optimiser.state_dict()["state"]
    return {
        f"{i}.{name}": tensor for i, buffers in state.items() for name, tensor in buffers.items() if tensor is not None
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: State) -> None:
    """Put the buffers of :func:`optimiser_tensors` back into an optimiser over the same parameters."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        index, buffer = name.split(".", 1)
        state.setdefault(int(index), {})[buffer] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    for parameter, buffers in optimiser.state.items():
        for buffer, tensor in buffers.items():
            if tensor.shape == parameter.shape:  # the same strides as the parameter's, which fused kernels rely on
                buffers[buffer] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor).detach()


def _checksum(tensors: State) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"
