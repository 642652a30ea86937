"""The processes that train one run together: one, or as many as ``accelerate launch`` or ``torchrun`` started.

Each process takes its share of every batch. Which images a batch holds, how each of them is cropped and erased, and
the loss over all of them are the same however many processes there are. Starting them, averaging gradients and
synchronizing batch normalization is the work of Hugging Face Accelerate and PyTorch's DistributedDataParallel.
"""

from __future__ import annotations

import atexit
import datetime
import os
import sys
from typing import Any

import torch
from torch import Tensor, nn

from reid_lab.runtime.device import find_device, seen
from reid_lab.runtime.errors import DeviceError, RecipeError

PATIENCE = datetime.timedelta(hours=4)  # the others wait while one process generates data or evaluates


class Team:
    """One process on its own; :func:`assemble` gives a larger team where there is one.

    ``rank`` counts the processes from 0, ``size`` is their number, ``main`` is true in the one that evaluates and
    writes files, ``device`` is this process's own.
    """

    rank, size, main = 0, 1, True

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def places(self, batch: int, groups: int = 1) -> Tensor:
        """Which images of a batch are this process's: indices (batch / size,), an equal share of each group.

        A batch of pairs has two groups, anchors and partners, so that a pair stays together.
        Raises RecipeError where the batch cannot be shared equally.
        """
        if batch % (groups * self.size):
            what = f"{batch // groups} pairs" if groups == 2 else f"{batch} images"
            raise RecipeError(
                f"A batch of {what} cannot be shared equally among {self.size} processes: choose another number of "
                "processes, or another batch in the recipe."
            )
        return torch.arange(batch).view(groups, self.size, -1)[:, self.rank].flatten()

    def spread(self, model: nn.Module) -> nn.Module:
        """The network as this team trains it: its gradients are averaged over all processes."""
        return model

    def gather(self, tensor: Tensor) -> Tensor:
        """The rows of all processes, one process after another, on every process; gradients flow back to each."""
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """The mean over all processes, on every process."""
        return tensor

    def told(self, answer: Any) -> Any:
        """What the main process answers, on every process; also a point where all wait for it."""
        return answer

    def answers(self, answer: str) -> list[str]:
        """What each process answers, on every process."""
        return [answer]


class _Accelerated(Team):
    """Several processes, through Hugging Face Accelerate."""

    def __init__(self, device: torch.device | None) -> None:
        from accelerate import Accelerator, InitProcessGroupKwargs

        on_cpu = device is not None and device.type == "cpu" or seen() is None
        self.accelerator = Accelerator(  # precision is the recipe's, whatever `accelerate config` was told
            cpu=on_cpu, mixed_precision="no", kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)]
        )
        super().__init__(self.accelerator.device)
        self.rank, self.size = self.accelerator.process_index, self.accelerator.num_processes
        self.main = self.accelerator.is_main_process
        atexit.unregister(_leave)
        atexit.register(_leave)

    def spread(self, model: nn.Module) -> nn.Module:
        if self.device.type != "cpu":  # PyTorch synchronizes batch statistics on GPUs only
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return self.accelerator.prepare_model(model)

    def gather(self, tensor: Tensor) -> Tensor:
        return _Gather.apply(tensor, self.rank, self.size)

    def mean(self, tensor: Tensor) -> Tensor:
        return self.accelerator.reduce(tensor, "mean")

    def told(self, answer: Any) -> Any:
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([answer])[0]

    def answers(self, answer: str) -> list[str]:
        from accelerate.utils import gather_object

        return gather_object([answer])


class _Gather(torch.autograd.Function):
    """All processes' rows; what each process's loss says about a row comes back to the process that it came from."""

    @staticmethod
    def forward(context: Any, tensor: Tensor, rank: int, size: int) -> Tensor:
        context.rank, context.size = rank, size
        parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(size)]
        torch.distributed.all_gather(parts, tensor.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        total = gradients[0].contiguous().clone()
        torch.distributed.all_reduce(total)
        return total.chunk(context.size)[context.rank], None, None


def _leave() -> None:
    """Close what the processes talked through; a process that fails leaves that to its launcher."""
    if torch.distributed.is_initialized() and getattr(sys, "last_value", None) is None:
        torch.distributed.destroy_process_group()


def assemble(device: str | torch.device | None = None) -> Team:
    """The team that this process belongs to: its launcher says so in the environment variable ``WORLD_SIZE``.

    Raises:
        DeviceError: no such device, or one GPU for several processes; Accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team(find_device(device))
    found = None if device is None else find_device(device)
    if found is not None and torch.device(str(device)).index is not None:
        raise DeviceError(
            f"The device {str(device)!r} names one GPU, but each process of a team takes one of its own: use "
            f"{found.type!r}, and CUDA_VISIBLE_DEVICES to choose among the machine's GPUs."
        )
    try:
        return _Accelerated(found)
    except ImportError as error:
        raise DeviceError(
            "Training with several processes needs Hugging Face Accelerate: pip install accelerate, or start one "
            "process."
        ) from error
