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


def write(path: Path, tensors: State, about: dict[str, Any]) -> None:
    """Write ``tensors`` with a note ``about`` them (anything JSON) and a checksum.

    Raises:
        CheckpointError: the file cannot be written; the one that was there is untouched.
    """
    # always contiguous in the default layout, so that a file does not depend on channels_last
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    told, checksum = json.dumps(about), _checksum(plain)
    note = {"about": told, "checksum": checksum, "whole": _whole(checksum, told, plain)}
    write_whole(path, lambda temporary: temporary.write_bytes(save(plain, metadata=note)))


def read(path: Path) -> tuple[State, dict[str, Any]]:
    """Read what :func:`write` wrote.

    Raises:
        CheckpointError: no such file, no permission to read it, not safetensors, cut short, or altered since it was
            written (a file that is older than the second checksum, "whole": altered but for note, shapes and types).
    """
    try:
        with opened(path) as file:
            note = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError as error:
        raise CheckpointError(f"There is no file {path}. Train the run again, or give the right folder.") from error
    except PermissionError as error:
        raise unreadable(path) from error
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}). Delete it and train the run again.") from error
    told, checksum = note.get("about", ""), _checksum(tensors)
    whole = _whole(checksum, told, tensors)
    if "about" not in note or note.get("checksum") != checksum or note.get("whole", whole) != whole:
        raise CheckpointError(
            f"{path} is damaged or was not written by reid_lab: its checksum does not fit. "
            "Delete it and train the run again."
        )
    return tensors, json.loads(told)


def opened(path: Path) -> safetensors.safe_open:
    """A file of tensors, open for reading. Raises OSError, also for want of permission, or SafetensorError."""
    open(path, "rb").close()  # a file that may not be read is one that is not there to safetensors
    return safetensors.safe_open(path, framework="pt")


def unreadable(path: Path) -> CheckpointError:
    """What to say of a file that is there, and perhaps whole, but not for this user."""
    return CheckpointError(f"{path} cannot be read for want of permission: ask its owner for the right to read it.")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> State:
    """An optimizer's buffers (momentum, moments, step counts) as named tensors."""
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


def _checksum(tensors: State) -> str:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(name.encode(), total)
        total = zlib.crc32(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().data, total)
    return f"{total:08x}"


def _whole(checksum: str, told: str, tensors: State) -> str:
    """The checksum of names and bytes, carried on over the note and every tensor's type and shape."""
    forms = [f"{name} {tensor.dtype} {list(tensor.shape)}" for name, tensor in sorted(tensors.items())]
    return f"{zlib.crc32(json.dumps([told, forms]).encode(), int(checksum, 16)):08x}"
