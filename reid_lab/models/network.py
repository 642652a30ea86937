"""The contract of all methods' networks: what the rest of the package may ask of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import Record
from reid_lab.losses import Losses
from reid_lab.models.backbones import Backbone
from reid_lab.runtime.distributed import Gather, no_gather
from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.runtime.validation import size, whole


class Network(nn.Module, ABC):
    """A backbone and a method's head on it.

    A method must define ``forward`` (images to named outputs), :meth:`features` (images to the vectors that are
    compared) and :meth:`loss` (outputs to a loss).

    It may define more. For training: :meth:`groups`, :meth:`enter`, :meth:`draw` and :meth:`collapse_margin`. For
    retrieval: ``metric``, the distance that it wants, and :meth:`extras`, what it needs beside images. For Grad-CAM:
    :meth:`identity_logits` and :meth:`unnormalized_features`. Whoever uses a network calls :meth:`embed`.

    Args:
        backbone: Gives the maps of layer3 and layer4.
        num_pids: Number of training identities.
        input_size: (height, width) of the images that the network is made for.

    Raises:
        RecipeError: An argument is out of its range.
    """

    metric: ClassVar[str] = "cosine"  # how retrieval compares the features by default; or "euclidean"

    def __init__(self, backbone: Backbone, num_pids: int, input_size: tuple[int, int]) -> None:
        super().__init__()
        self.backbone = backbone
        self.num_pids = whole("num_pids", num_pids, 2)
        self.input_size = size("input_size", input_size)

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Compute the vectors that retrieval compares, in the network's present mode.

        Args:
            images: (batch, 3, H, W), normalized.

        Returns:
            (batch, d).
        """

    @abstractmethod
    def loss(self, outputs: Any, pids: Tensor, gather: Gather = no_gather) -> Losses:
        """Compute the paper's loss.

        Args:
            outputs: What ``forward`` returned.
            pids: (batch,) identities, counted from 0.
            gather: Puts the rows of all processes together where several processes share a batch. A loss that
                compares every image with every other needs it. The mean over the processes is then the loss of the
                whole batch.

        Returns:
            The loss and its parts.
        """

    def extras(self, benchmark: Benchmark, records: Sequence[Record]) -> dict[str, Tensor]:
        """Read what the network needs beside images to describe them. By default nothing.

        Where no benchmark is, nobody asks: in a search among a folder of crops, in an ONNX file, for Grad-CAM. There
        :meth:`features` has to do without.

        Args:
            benchmark: The data set.
            records: Images of it, N.

        Returns:
            By name, one row for each image: (N, ...). They become arguments of :meth:`features`, by these names. The
            mirror image, too, is given this row.

        Raises:
            DataError: The benchmark lacks what is needed. The sentence names what would provide it.
        """
        return {}

    def embed(self, images: Tensor, **extras: Tensor) -> Tensor:
        """Compute the features of images in evaluation mode.

        Every module gets its mode back afterwards. Gradients flow unless the caller switches them off, since Grad-CAM
        needs them.

        Args:
            images: (batch, 3, H, W), normalized by :func:`reid_lab.data.normalize`, which cannot be checked.
            **extras: The rows of :meth:`extras` of these images.

        Returns:
            (batch, d), float32.

        Raises:
            DataError: The images are of another type than float32, float16 or bfloat16.
        """
        if images.dtype not in (torch.float32, torch.float16, torch.bfloat16):
            raise DataError(
                f"The images are {images.dtype}, but networks take normalized ones in float32, float16 or bfloat16: "
                "pass data.normalize(images), of uint8 pixels or of floats in [0, 1]."
            )
        features: Callable[..., Tensor] = self.features
        with evaluating(self):
            return features(images, **extras)

    def identity_logits(self, images: Tensor) -> Tensor:
        """Classify the identities of single images, for Grad-CAM.

        Args:
            images: (batch, 3, H, W), normalized.

        Returns:
            The logits, (batch, identities).

        Raises:
            RecipeError: The network has no identity classifier.
        """
        raise RecipeError(f"{type(self).__name__} has no identity classifier: ask for its features' similarity.")

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """Compute the features (batch, d) before they are brought to length 1, for Grad-CAM.

        By default these are :meth:`features`.
        """
        return self.features(images)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Group all parameters that are ever trained. Each group has its own learning rate and can be frozen.

        Training asks once, before it freezes anything.

        Returns:
            Lists of parameters by the group's name. By default "backbone", which may start from ImageNet, and
            "head", which starts from random values.
        """
        backbone = {id(parameter) for parameter in self.backbone.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return {
            "backbone": [parameter for parameter in trained if id(parameter) in backbone],
            "head": [parameter for parameter in trained if id(parameter) not in backbone],
        }

    def enter(self, stage: str) -> None:  # noqa: B027 (most methods have nothing to do)
        """Prepare the network for a stage of the recipe. By default nothing happens.

        Training calls this once a run for each stage, whatever interrupts it. What is changed here must be in the
        weights or the buffers, because a resumed run finds only these. No parameter may be added.

        Args:
            stage: The name of the stage that begins.
        """

    def draw(self, generator: torch.Generator) -> None:  # noqa: B027
        """Draw what is random about a step for its whole batch, before ``forward``. By default nothing is.

        Args:
            generator: On the CPU, the same in all processes that share the batch. Dropout uses torch's own generator,
                which differs between them.
        """

    def learn_from(self, teacher: "Network") -> None:  # noqa: B027
        """Take the trained network of the recipe's teacher, before the first step. By default nobody has one.

        A network should keep it out of its own modules: a teacher is not trained, and is no part of the weights.

        Args:
            teacher: In evaluation mode, on the network's device.
        """

    def collapse_margin(self) -> float:
        """Give the margin of the triplet loss, at which a collapsed network stands still. 0: there is none."""
        return 0.0


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Make a context in evaluation mode. Afterwards each module is as it was, frozen batch norms included."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
