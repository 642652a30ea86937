r"""PAR: features of parts, whose places the network finds by itself, trained by triplets alone.

Eight maps say for each position how much it belongs to a part. Each part is the mean of the layer, weighted by its map,
and gets a linear layer of its own. The parts side by side are the features:

    layer3 -- 1x1 -- T (512, h, w) -- x map 1 -- mean -- linear 1 -- 64 numbers --\
                     |                  ...                                         concatenated -- length 1 -- triplets
                     |                x map 8 -- mean -- linear 8 -- 64 numbers --/     512         features
                     +-- 1x1 -- sigmoid -- maps 1 to 8 (h, w)

Nobody says where the parts are: there are no labels of parts, and the maps compete neither with one another nor over
places. All triplets of a batch count, not the hardest ones. There is no classifier (but see ``identification``).

Two controls. With ``maps="one"`` all maps are 1: eight linear layers on one mean, which are a single linear layer.
With ``parts=1`` one map weights the places, and one linear layer gives as many numbers as eight.

Source: Zhao, Li, Zhuang and Wang, "Deeply-Learned Part-Aligned Representations for Person Re-Identification" (ICCV
2017, arXiv 1707.07256). Values are those of the authors' repository part_reid; no code was taken. The paper reports
81.0 / 63.4 (rank-1 / mAP on Market-1501). Its backbone is GoogLeNet up to the layer inception_4e, of stride 16. Ours is
a ResNet up to layer3, of the same stride. There is no layer4, neither its parameters nor its work, so that
``last_stride`` does nothing.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.methods import bench
from reid_lab.methods.fields import (
    EXACT,
    Backbone,
    Count,
    Milestones,
    NotNegative,
    Pixels,
    Positive,
    Several,
    Share,
    Whole,
    silent,
    stated,
    unconfirmed,
)
from reid_lab.methods.recipe import Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather

CODE = "the authors' code: "


@dataclass(frozen=True, kw_only=True)
class PartAlignedRecipe(Recipe):
    """Every number of PAR: its value, and what is known about it."""

    method: ClassVar = "part_aligned"

    backbone: Backbone = silent("resnet50", "GoogLeNet, of which there is none here")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", CODE + "ImageNet")
    last_stride: Annotated[Literal[1, 2], EXACT] = silent(2, "nothing; there is no layer4")
    smoothing: Share = silent(0.0, "no classifier")
    resize: Pixels = stated((160, 80), CODE + "160 x 80")
    crop: Pixels = stated((160, 80), CODE + "160 x 80")
    pad: Whole = unconfirmed(0, "no random crop is known")
    flip: Share = stated(0.5, CODE + "mirror images")
    erasing: Share = unconfirmed(0.0, "older than random erasing")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("sgd", CODE + "SGD")
    lr: Positive = stated(0.01, CODE + "0.01")
    momentum: Share = stated(0.9, CODE + "0.9")
    weight_decay: NotNegative = stated(2e-4, CODE + "0.0002")
    epochs: Count = stated(1163, CODE + "50,000 steps, of 43 in an epoch of Market-1501")
    warmup: Literal["none", "constant", "linear"] = stated("none", CODE + "none")
    warmup_epochs: Whole = stated(0, CODE + "none")
    warmup_factor: Positive = silent(1.0, "no warm-up")
    schedule: Literal["steps", "cosine"] = stated("steps", CODE + "steps")
    milestones: Milestones = stated((465, 930), CODE + "every 20,000 steps, of 43 in an epoch of Market-1501")
    decay: Positive = stated(0.2, CODE + "0.2")
    identities: Several = stated(30, CODE + "300 images in a batch; 400 in the paper, as is remembered")
    images: Several = stated(10, CODE + "up to 10 images of each person")
    parts: Count = stated(8, CODE + "8 maps")
    reduced: Count = stated(512, CODE + "512 channels are left of the layer")
    dim: Count = stated(512, CODE + "512 numbers, of all parts together")
    maps: Literal["learned", "one"] = stated("learned", CODE + "sigmoids of a 1x1 convolution")
    margin: Positive = stated(0.2, CODE + "0.2, of squared distances between vectors of length 1")
    triplets: Literal["violating", "all"] = stated(
        "violating", CODE + "a mean over the triplets that violate the margin"
    )
    identification: NotNegative = silent(0.0, "no classifier; above 0, a BNNeck and a cross-entropy of this weight")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=100),
        "full": dict(weights=None, epochs=60, milestones=(30, 50), evaluate_every=10),
        "classroom": bench.CLASSROOM | dict(smoothing=0.1, identities=16, images=4, reduced=256, dim=256),
        "smoke": bench.SMOKE | dict(smoothing=0.1, identities=4, images=4, parts=4, reduced=32, dim=32),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        self._require("dim", self.dim % self.parts == 0, f"a multiple of parts = {self.parts}")

    @property
    def batch(self) -> int:
        """Images in a batch: P identities x K images."""
        return self.identities * self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PKSampler:
        """P identities x K images, which make the triplets."""
        return data.PKSampler(labels, self.identities, self.images, seed)

    def network(self, num_pids: int) -> "PartAligned":
        """The network, its weights drawn from torch's generator."""
        return PartAligned(self, num_pids)


@plain_dataclass
class PartAlignedOutputs:
    """What a batch gives."""

    maps: Tensor  # (batch, parts, h, w): how much each position belongs to each part, from 0 to 1
    pooled: Tensor  # (batch, parts, reduced): the means, weighted by the maps
    vector: Tensor  # (batch, dim): after the linear layers, side by side
    logits: Tensor | None  # (batch, identities), where there is a classifier


class PartAligned(Network):
    """Layer3, maps of parts, and a linear layer for each part."""

    def __init__(self, recipe: PartAlignedRecipe, num_pids: int) -> None:
        backbone = models.backbone(recipe.backbone, recipe.last_stride, recipe.weights)
        backbone.layer4 = nn.Sequential()  # of no layers: what layer3 gives passes through
        super().__init__(backbone, num_pids, recipe.crop)
        self.recipe = recipe
        self.reduce = nn.Conv2d(backbone.channels[0], recipe.reduced, kernel_size=1)  # 1024 -> 512
        self.detect = nn.Conv2d(recipe.reduced, recipe.parts, kernel_size=1) if recipe.maps == "learned" else None
        each = recipe.dim // recipe.parts
        self.linears = nn.ModuleList(nn.Linear(recipe.reduced, each) for _ in range(recipe.parts))  # 512 -> 64
        for layer in (self.reduce, self.detect, *self.linears):
            _xavier(layer)
        classified = recipe.identification > 0
        self.neck = heads.BNNeck(recipe.dim) if classified else None
        self.classifier = heads.classifier(recipe.dim, num_pids, bias=False) if classified else None

    def forward(self, images: Tensor) -> PartAlignedOutputs:
        """Images (batch, 3, H, W) to maps, parts and features."""
        layer3, _ = self.backbone(images)  # (batch, 1024, h, w)
        with losses.full_precision(images):
            layer = self.reduce(layer3.float())  # T: (batch, 512, h, w)
            maps = torch.sigmoid(self.detect(layer)) if self.detect else self._ones(layer)
            pooled = weighted_means(layer, maps)  # (batch, 8, 512)
            vector = torch.cat([linear(pooled[:, k]) for k, linear in enumerate(self.linears)], dim=1)  # (batch, 512)
            logits = self.classifier(self.neck(vector)) if self.classifier and self.neck else None
        return PartAlignedOutputs(maps, pooled, vector, logits)

    def _ones(self, layer: Tensor) -> Tensor:
        """Maps that are 1 everywhere: (batch, parts, h, w)."""
        return layer.new_ones(len(layer), self.recipe.parts, *layer.shape[2:])

    def features(self, images: Tensor) -> Tensor:
        """The parts side by side of images (batch, 3, H, W), of length 1: (batch, dim)."""
        return F.normalize(self.unnormalized_features(images), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1."""
        return self(images).vector

    def identity_logits(self, images: Tensor) -> Tensor:
        """The classifier's answer (batch, identities) for images (batch, 3, H, W), where there is a classifier."""
        logits = self(images).logits
        return super().identity_logits(images) if logits is None else logits

    def loss(self, outputs: PartAlignedOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """The hinge of all triplets of the batch, of all processes, and the cross-entropy where it has a weight.

        The accuracy is that of the batch as its own gallery: the share of images whose nearest other one shows the
        same person.
        """
        recipe, everyone = self.recipe, gather(pids)
        unit = gather(F.normalize(outputs.vector, dim=1))
        total, paying = all_triplets(unit, everyone, recipe.margin, recipe.triplets)
        terms = {"triplet": total.detach()}
        if outputs.logits is not None:
            identification = losses.identification(outputs.logits, pids, recipe.smoothing)
            total, terms["identification"] = total + recipe.identification * identification, identification.detach()
        spread, length = losses.spread(unit)
        signs = {"spread": spread, "length": length, "paying": paying}
        return losses.Losses(total, terms, _nearest_is_the_same(unit, everyone), signs)

    def collapse_margin(self) -> float:
        """The margin, at which the loss stands still when all features are alike."""
        return self.recipe.margin


def weighted_means(layer: Tensor, maps: Tensor) -> Tensor:
    """The mean of a layer over all positions, weighted by each of the maps.

    Args:
        layer: (batch, c, h, w).
        maps: (batch, parts, h, w).

    Returns:
        (batch, parts, c). The weights are divided by the number of positions, not by their sum: a part that is not
        there is near zero.
    """
    return torch.einsum("bchw,bkhw->bkc", layer, maps) / (layer.shape[2] * layer.shape[3])


def all_triplets(features: Tensor, pids: Tensor, margin: float, average: str) -> tuple[Tensor, Tensor]:
    """The hinge of every triplet of a batch, on squared Euclidean distances.

    Args:
        features: (batch, d).
        pids: (batch,) identities.
        margin: How much farther a negative should be than a positive, in squared distance.
        average: Over which triplets: "all", or the "violating" ones, whose hinge is above 0.

    Returns:
        The mean, 0 where there is no such triplet, and the share of all triplets that violate, without gradient.
    """
    squared = (features[:, None] - features[None]).square().sum(dim=2)  # (batch, batch): exact also near 0
    same = pids[:, None] == pids[None]
    positive = same & ~torch.eye(len(pids), dtype=torch.bool, device=pids.device)
    triplet = positive[:, :, None] & ~same[:, None, :]  # (batch, batch, batch): anchor, positive, negative
    hinge = F.relu(squared[:, :, None] - squared[:, None, :] + margin) * triplet
    count, violating = triplet.sum().clamp(min=1), (hinge.detach() > 0).sum()
    mean = hinge.sum() / (count if average == "all" else violating.clamp(min=1))
    return mean, violating / count


@torch.no_grad()
def _nearest_is_the_same(features: Tensor, pids: Tensor) -> Tensor:
    distances = torch.cdist(features, features).fill_diagonal_(torch.inf)
    return (pids[distances.argmin(dim=1)] == pids).float().mean()


def _xavier(layer: nn.Module | None) -> None:
    """Glorot and Bengio's initialization, with biases of 0."""
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
