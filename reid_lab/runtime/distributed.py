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
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from reid_lab.runtime.device import find_device, seen
from reid_lab.runtime.errors import DeviceError, RecipeError

PATIENCE = datetime.timedelta(hours=4)  # the others wait while one process generates data or evaluates
Gather = Callable[[Tensor], Tensor]


def no_gather(tensor: Tensor) -> Tensor:
    """Return ``tensor`` itself: the rows of all processes, where there is only one."""
    return tensor


class Processes:
    """The processes of one run, seen from this one. This class is one process; :func:`assemble` gives several.

    Attributes:
        rank: This process's number, counted from 0.
        size: How many processes there are.
        main: Whether this is the one process that evaluates and writes files.
        device: This process's own device.
    """

    rank, size, main = 0, 1, True

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def share(self, batch: int, groups: int = 1) -> Tensor:
        """Say which elements of a batch are this process's own.

        Args:
            batch: Elements of the whole batch.
            groups: Groups that the batch consists of, one after another. Each is shared in the same way: a batch of
                pairs has two groups, first and second elements, and a pair stays together.

        Returns:
            Their indices within the batch: (batch / size,) int64.

        Raises:
            RecipeError: The batch cannot be shared equally.
        """
        if batch % (groups * self.size):
            what = f"{batch // groups} pairs" if groups == 2 else f"{batch} images"
            raise RecipeError(
                f"A batch of {what} cannot be shared equally among {self.size} processes: choose another number of "
                "processes, or another batch in the recipe."
            )
        return torch.arange(batch).view(groups, self.size, -1)[:, self.rank].flatten()

    def wrap(self, model: nn.Module) -> nn.Module:
        """Make a network that averages its gradients over all processes. It shares its weights with ``model``."""
        return model

    def gather(self, tensor: Tensor) -> Tensor:
        """Put the rows (n, ...) of all processes one below another: (size * n, ...). Gradients flow back to each."""
        return tensor

    def mean(self, tensor: Tensor) -> Tensor:
        """Take the mean of a tensor over all processes."""
        return tensor

    def broadcast(self, answer: Any) -> Any:
        """Return the main process's ``answer`` on every process. All others wait for it here."""
        return answer

    def answers(self, answer: str) -> list[str]:
        """Collect the answers of all processes on every process, in the order of their ranks."""
        return [answer]


class _Accelerated(Processes):
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

    def wrap(self, model: nn.Module) -> nn.Module:
        if self.device.type != "cpu":  # PyTorch synchronizes batch statistics on GPUs only
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return self.accelerator.prepare_model(model)

    def gather(self, tensor: Tensor) -> Tensor:
        return _Gather.apply(tensor, self.rank, self.size)

    def mean(self, tensor: Tensor) -> Tensor:
        return self.accelerator.reduce(tensor, "mean")

    def broadcast(self, answer: Any) -> Any:
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([answer])[0]

    def answers(self, answer: str) -> list[str]:
        from accelerate.utils import gather_object

        return gather_object([answer])


class _Gather(torch.autograd.Function):
    """All processes' rows. A row's gradient is the sum of what each process's loss says about it.

    PyTorch's own ``torch.distributed.nn.functional.all_gather`` does the same, but newer versions warn against it, and
    what they name instead is private.
    """

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


def assemble(device: str | torch.device | None = None) -> Processes:
    """Find the processes that this one works with. The launcher gives their number as ``WORLD_SIZE``.

    Args:
        device: Each process's device, without an index where there are several processes. None: a GPU, else the CPU.

    Raises:
        DeviceError: There is no such device, or one GPU is named for several processes, or Accelerate is missing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(find_device(device))
    found = None if device is None else find_device(device)
    if found is not None and torch.device(str(device)).index is not None:
        raise DeviceError(
            f"The device {str(device)!r} names one GPU, but each of several processes takes one of its own: use "
            f"{found.type!r}, and CUDA_VISIBLE_DEVICES to choose among the machine's GPUs."
        )
    try:
        return _Accelerated(found)
    except ImportError as error:
        raise DeviceError(
            "Training with several processes needs Hugging Face Accelerate: pip install accelerate, or start one "
            "process."
        ) from error
