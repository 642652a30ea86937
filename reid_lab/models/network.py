"""What the rest of the package may ask of either paper's network."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from reid_lab.errors import RecipeError
from reid_lab.losses import Losses
from reid_lab.models.backbones import Backbone

Gather = Callable[[Tensor], Tensor]


def alone(tensor: Tensor) -> Tensor:
    """The rows of all processes, where there is only one."""
    return tensor


class Network(nn.Module, ABC):
    """A backbone and the paper's head on it.

    ``input_size`` is the (height, width) of the images it was made for; ``num_pids`` the number of training
    identities. A subclass gives ``forward``, ``descriptor`` and ``loss``.
    """

    def __init__(self, backbone: Backbone, num_pids: int, input_size: tuple[int, int]) -> None:
        super().__init__()
        if num_pids < 2:
            raise RecipeError(f"num_pids is {num_pids}, but a network needs at least 2 identities to tell apart.")
        self.backbone = backbone
        self.num_pids = num_pids
        self.input_size = (int(input_size[0]), int(input_size[1]))

    @abstractmethod
    def descriptor(self, images: Tensor) -> Tensor:
        """The vector (batch, d) that retrieval compares."""

    @abstractmethod
    def loss(self, outputs: Any, pids: Tensor, gather: Gather = alone) -> Losses:
        """The paper's loss of what ``forward`` returned, for identities ``pids`` counted from 0.

        Where several processes share a batch, ``gather`` puts the rows of all of them together, for a loss that
        compares every image with every other; the mean over the processes is then the loss of the whole batch.
        """

    def describe(self, images: Tensor) -> Tensor:
        """The descriptors (batch, d) of images (batch, 3, H, W): float32, computed in evaluation mode.

        Every module gets its mode back afterwards. Gradients flow unless the caller switches them off, since
        Grad-CAM needs them.
        """
        with evaluating(self):
            return self.descriptor(images)

    def backbone_parameters(self) -> list[nn.Parameter]:
        """The trainable parameters of the backbone: they may start from ImageNet and learn more slowly."""
        return [parameter for parameter in self.backbone.parameters() if parameter.requires_grad]

    def head_parameters(self) -> list[nn.Parameter]:
        """All other trainable parameters: they start from random values."""
        backbone = {id(parameter) for parameter in self.backbone.parameters()}
        return [p for p in self.parameters() if p.requires_grad and id(p) not in backbone]


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
    if value not in choices:
        raise RecipeError(f"{name} is {value!r}, but it must be one of {', '.join(map(repr, choices))}.")
