r"""Closed forms: methods without epochs. A formula gives the features, and a linear projection of them is solved for.

    images -- bytes -- formula -- (d) -- projection (r x d) -- (r): features, compared by Euclidean distance

A learned metric is such a projection. Its distance is (x - z)' M (x - z). Where M has no negative eigenvalue, M = L' L,
and the distance is the squared Euclidean one between L x and L z. So retrieval, re-ranking and search need to know
nothing of metrics.

:func:`reid_lab.training.fit` writes the folder of a run here, too. Its history has one row.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.data.augment import IMAGENET_MEAN, IMAGENET_STD
from reid_lab.methods.base import BaseRecipe
from reid_lab.methods.fields import Pixels
from reid_lab.methods.stage import Stage
from reid_lab.models.network import Gather, Network, no_gather
from reid_lab.runtime.errors import RecipeError
from reid_lab.runtime.progress import bar

BATCH = 64  # images that are described at once


@dataclass(frozen=True, kw_only=True, config=ConfigDict(strict=True, extra="forbid"))
class ClosedForm(BaseRecipe):
    """What all methods that are solved need: the size of the images.

    A subclass is a method. It gives ``method``, ``sizes`` and ``network``.
    """

    weights: ClassVar[None] = None  # it has no ready-made start ...
    epochs: ClassVar[int] = 1  # ... and looks at each training image once, as tables of runs see it

    resize: Pixels  # images are resized to this

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The one row of the history."""
        return (Stage("solve", self.epochs),)

    def network(self, num_pids: int, rows: int = 0) -> Projected:
        """The network for ``num_pids`` training identities, with ``rows`` of a projection that are still all 0.

        Without a projection, which is what 0 rows mean, its features are the formula's.
        """
        raise self._lacks("network")

    def blank(self, num_pids: int, tensors: Mapping[str, Tensor]) -> Projected:
        """The network that takes a run's ``tensors``: how many rows the projection has was found in solving."""
        return self.network(num_pids, len(tensors.get("projection", ())))


class NoBackbone(models.Backbone):
    """Stands in a backbone's place where features are a formula's. It has no layers."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.channels = (0, 0)


class Projected(Network):
    """A formula and a projection of what it gives.

    Args:
        recipe: What decides the formula.
        num_pids: Number of training identities.
        length: How many numbers the formula gives for an image.
        rows: How many the projection makes of them; 0: there is no projection.

    Attributes:
        projection: (rows, length); no gradient reaches it.
    """

    metric: ClassVar[str] = "euclidean"

    def __init__(self, recipe: ClosedForm, num_pids: int, length: int, rows: int) -> None:
        super().__init__(NoBackbone(), num_pids, recipe.resize)
        self.settings = recipe.to_json()  # text, by which kept features of two formulas are told apart
        self.length = length
        self.projection = nn.Parameter(torch.zeros(rows, length), requires_grad=False)

    @abstractmethod
    def describe(self, pixels: Tensor) -> Tensor:
        """The formula.

        Args:
            pixels: (batch, 3, H, W), whole numbers from 0 to 255 as float32.

        Returns:
            (batch, length), float32.
        """

    @abstractmethod
    def solve(self, images: data.ImageStore, pids: np.ndarray, camids: np.ndarray, seed: int) -> Mapping[str, float]:
        """Solve for everything that is learned.

        Args:
            images: the N training images.
            pids: (N,) identities, counted from 0.
            camids: (N,) cameras.
            seed: decides everything random.

        Returns:
            What is worth a column of the history, by name.

        Raises:
            RecipeError: The images do not allow what the recipe asks for.
        """

    def forward(self, images: Tensor) -> Tensor:
        """The features (batch, rows or length) of normalized images (batch, 3, H, W)."""
        return self.features(images)

    def features(self, images: Tensor) -> Tensor:
        """What is compared, by Euclidean distance: (batch, rows), or (batch, length) without a projection."""
        with losses.full_precision(images):
            found = self.describe(pixels_of(images))
            return F.linear(found, self.projection) if len(self.projection) else found

    def project(self, projection: np.ndarray) -> None:
        """Take a projection (rows, length) that was solved for."""
        solved = torch.from_numpy(projection).to(self.projection)
        self.projection = nn.Parameter(solved.contiguous(), requires_grad=False)

    def of_all(self, images: data.ImageStore, function: Callable[[Tensor], Tensor]) -> Tensor:
        """A function of pixels (batch, 3, H, W), applied to all images: (N, ...) on the CPU."""
        found = []
        with torch.inference_mode(), bar(total=len(images), description="solving", unit="image") as shown:
            for indices in torch.arange(len(images)).split(BATCH):
                found.append(function(images.batch(indices).to(self.projection)).cpu())
                shown.update(len(indices))
        return torch.cat(found)

    def loss(self, outputs: Any, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """There is none.

        Raises:
            RecipeError: always.
        """
        raise RecipeError(f"{type(self).__name__} has no loss: it is solved, not trained. Give it to training.fit.")


def pixels_of(images: Tensor) -> Tensor:
    """The bytes that normalized images were made of: whole numbers from 0 to 255, float32 (batch, 3, H, W)."""
    channels = zip(images.float().unbind(1), IMAGENET_MEAN, IMAGENET_STD, strict=True)
    units = torch.stack([channel * deviation + mean for channel, mean, deviation in channels], dim=1)
    return (255 * units).round().clamp(0, 255)
