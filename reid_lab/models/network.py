"""What the rest of the package may ask of either paper's network."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from reid_lab.losses import Losses
from reid_lab.models.backbones import Backbone
from reid_lab.runtime.distributed import Gather, no_gather
from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.runtime.validation import is_number, is_whole


class Network(nn.Module, ABC):
    """A backbone and the paper's head on it.

    ``input_size`` is the (height, width) of the images it was made for; ``num_pids`` the number of training
    identities. A subclass gives ``forward``, ``descriptor`` and ``loss``. Arguments out of their range raise
    RecipeError.
    """

    def __init__(self, backbone: Backbone, num_pids: int, input_size: tuple[int, int]) -> None:
        super().__init__()
        must_be_whole("num_pids", num_pids, 2)
        if not isinstance(input_size, Sequence) or len(input_size) != 2:
            raise RecipeError(f"input_size is {input_size!r}, but it must be two numbers, (height, width).")
        for name, side in zip(("height", "width"), input_size, strict=True):
            must_be_whole(f"input_size's {name}", side, 1)
        self.backbone = backbone
        self.num_pids = num_pids
        self.input_size = (int(input_size[0]), int(input_size[1]))

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """The vector (batch, d) that retrieval compares."""

    @abstractmethod
    def loss(self, outputs: Any, pids: Tensor, gather: Gather = no_gather) -> Losses:
        """The paper's loss of what ``forward`` returned, for identities ``pids`` counted from 0.

        Where several processes share a batch, ``gather`` puts the rows of all of them together, for a loss that
        compares every image with every other; the mean over the processes is then the loss of the whole batch.
        """

    def embed(self, images: Tensor) -> Tensor:
        """The descriptors (batch, d) of images (batch, 3, H, W): float32, computed in evaluation mode.

        The images must be normalized (:func:`reid_lab.data.normalize`), which cannot be checked. Every module gets its
        mode back afterwards. Gradients flow unless the caller switches them off, since Grad-CAM needs them.

        Raises:
            DataError: the images are of another type than float32, float16 or bfloat16.
        """
        if images.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise DataError(
                f"The images are {images.dtype}, but networks take normalized ones in float32, float16 or bfloat16: "
                "pass data.normalize(images), of uint8 pixels or of floats in [0, 1]."
            )
        with evaluating(self):
            return self.features(images)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """All parameters that are ever trained, by the name of the group that has its own rate and can be frozen.

        The default: "backbone", which may start from ImageNet, and "head", which starts from random values. Training
        asks once, before it freezes anything.
        """
        backbone = {id(parameter) for parameter in self.backbone.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return {
            "backbone": [parameter for parameter in trained if id(parameter) in backbone],
            "head": [parameter for parameter in trained if id(parameter) not in backbone],
        }

    def enter(self, stage: str) -> None:  # noqa: B027 (most methods have nothing to do)
        """A stage of the recipe begins; ``stage`` is its name. By default nothing happens.

        Called once in a run, whatever interrupts it. What is changed here must be in the weights or the buffers,
        because a resumed run finds only these. No parameter may be added.
        """

    def draw(self, generator: torch.Generator) -> None:  # noqa: B027
        """Draw what is random about a step for its whole batch, before ``forward``. By default nothing is.

        ``generator`` (on the CPU) is the same in all processes that share the batch; dropout, which uses torch's own
        generator, differs between them.
        """

    def collapse_margin(self) -> float:
        """The margin of the triplet loss, at which a collapsed network stands still; 0: there is none."""
        return 0.0


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within; afterwards each module is as it was, frozen batch norms included."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def must_be_one_of(name: str, value: object, choices: Collection[object]) -> None:
    """Raise RecipeError unless the value is one of the choices."""
    _must_be(value in list(choices), name, value, f"one of {', '.join(map(repr, choices))}")


def must_be_whole(name: str, value: object, low: int) -> None:
    """Raise RecipeError unless the value is a whole number from ``low``."""
    _must_be(is_whole(value, low), name, value, f"a whole number from {low}")


def must_be_number(name: str, value: object, high: float | None = None) -> None:
    """Raise RecipeError unless the value is a finite number from 0, and not above ``high``."""
    limits = (0,) if high is None else (0, high)
    _must_be(is_number(value, *limits), name, value, "a number from " + " to ".join(map(str, limits)))


def _must_be(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise RecipeError(f"{name} is {value!r}, but it must be {expected}.")
