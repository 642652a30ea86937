r"""BEF, later called Batch DropBlock: rows of a feature map are erased in training, the same rows for a whole batch.

A second branch must recognize everybody of a batch without, say, the legs. What it finds elsewhere stands beside the
features of a global branch. After training nothing is erased:

    layer4 -- mean over all positions --------------- linear, BN, ReLU -- classifier -- cross-entropy
       |                                                            |     features
       |                                                            triplet loss
       \-- residual block -- erase rows -- maximum -- linear, BN, ReLU -- classifier -- cross-entropy
                             (training)                             |     features
                                                                    triplet loss

Source: Dai, Chen, Gu, Zhu and Tan, "Batch Feature Erasing for Person Re-identification and Beyond" (arXiv 1811.07130),
later "Batch DropBlock Network for Person Re-identification and Beyond" (ICCV 2019). The authors' code is under the MIT
licence; no code was taken. The later paper's scores, which paper B quotes under the first name, are rank-1 95.3 and mAP
86.7 on Market-1501, 89.0 and 76.0 on DukeMTMC-reID. The code's page reports 95.3 and 86.2, 88.9 and 75.9. The code
also erases pixels: a square of 64 x 64 in half of the images.

The authors train on four GPUs, and each of them erases rows of its own. Here all processes erase the same rows.
"""

import math
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.methods import bench
from reid_lab.methods.fields import (
    EXACT,
    Area,
    Aspect,
    Backbone,
    Count,
    Milestones,
    NotNegative,
    Pixels,
    Positive,
    Several,
    Share,
    Whole,
    stated,
)
from reid_lab.methods.recipe import Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather

Drop = Literal["batch", "image", "scattered", "none"]

# From random weights, the published triplet losses collapsed at size "classroom": at a rate of 6e-3 all features were
# 0, at 2.5e-3 all were alike. With these two values the network learned at 3e-3. One training each. From weights of
# another town, both ways were alive after 36 steps at size "smoke".
_ALIVE: dict[str, Any] = dict(margin=0.3, triplet_on="before ReLU")


@dataclass(frozen=True, kw_only=True)
class FeatureErasingRecipe(Recipe):
    """Every number of batch feature erasing: its value, and where it comes from.

    The authors count four images of each person as an epoch: 23 batches of Market-1501. Our epoch has as many images
    as the training set: 101 batches. So their 400 epochs are 91 of ours, and their rate changes at 11, 46 and 68
    instead of 50, 200 and 300.
    """

    method: ClassVar = "feature_erasing"

    backbone: Backbone = stated("resnet50", "the authors' code: ResNet-50")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", "the authors' code: ImageNet's")
    last_stride: Annotated[Literal[1, 2], EXACT] = stated(1, "the authors' code: 1")
    smoothing: Share = stated(0.1, "the authors' code: 0.1")
    resize: Pixels = stated((384, 128), "the authors' code: 384 x 128")
    crop: Pixels = stated((384, 128), "the authors' code: no crop")
    pad: Whole = stated(0, "the authors' code: no crop")
    flip: Share = stated(0.5, "the authors' code: 0.5")
    erasing: Share = stated(0.5, "the authors' code: cutout in half of the images")
    erasing_area: Area = stated((1 / 12, 1 / 12), "the authors' code: 64 x 64 of 384 x 128")
    erasing_aspect: Aspect = stated((1.0, 1.0), "the authors' code: a square")
    erasing_fill: Literal["random", "mean"] = stated("mean", "the authors' code: 0 after normalization")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("adam", "the authors' code: Adam")
    lr: Positive = stated(1e-3, "the authors' code: 0.001")
    weight_decay: NotNegative = stated(5e-4, "the authors' code: 0.0005")
    epochs: Count = stated(91, "the authors' code: 400 of 23 batches")
    warmup: Literal["none", "constant", "linear"] = stated("linear", "the authors' code: ten stairs")
    warmup_epochs: Whole = stated(11, "the authors' code: 50 of 23 batches")
    warmup_factor: Positive = stated(0.1, "the authors' code: from 0.0001")
    schedule: Literal["steps", "cosine"] = stated("steps", "the authors' code: steps")
    milestones: Milestones = stated((46, 68), "the authors' code: 200 and 300, of 23 batches each")
    decay: Positive = stated(0.1, "the authors' code: 0.0001, then 0.00001")
    identities: Several = stated(32, "the authors' code: a batch of 128, 4 images of each")
    images: Several = stated(4, "the authors' code: 4 of each")
    drop: Drop = stated("batch", "the authors' code: one region for the batch of a GPU")
    drop_height: Share = stated(0.33, "the authors' code: 0.33 of the rows; the paper is said to have 0.3")
    global_dim: Count = stated(512, "the authors' code: 512")
    drop_dim: Count = stated(1024, "the authors' code: 1024")
    margin: NotNegative | Literal["soft"] = stated("soft", "the authors' code: the soft margin")
    triplet_on: Literal["before ReLU", "after ReLU"] = stated("after ReLU", "the authors' code: the features")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=20),
        "full": dict(weights=None, **_ALIVE, epochs=60, milestones=(30, 50), evaluate_every=10),
        "classroom": bench.CLASSROOM | dict(lr=3e-3, identities=16, images=4, global_dim=256, drop_dim=512),
        "smoke": bench.SMOKE | dict(identities=4, images=4, erasing=0.0, global_dim=16, drop_dim=32),
    }

    from_random: ClassVar = bench.FROM_RANDOM | _ALIVE

    def _check(self) -> None:
        super()._check()
        some = self.drop == "none" or 1 <= round(self.drop_height * self.rows) < self.rows
        self._require("drop_height", some, f"a share that erases some of the {self.rows} rows of layer4, but not all")

    @property
    def rows(self) -> int:
        """Rows of layer4's map: the backbone makes one of every 16 rows of pixels, or of every 32."""
        return math.ceil(self.crop[0] / (16 * self.last_stride))

    @property
    def batch(self) -> int:
        """Images in a batch: P identities x K images."""
        return self.identities * self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PKSampler:
        """P identities x K images, among which the triplet losses find their hardest pairs."""
        return data.PKSampler(labels, self.identities, self.images, seed)

    def network(self, num_pids: int) -> "FeatureErasing":
        """The network, its weights drawn from torch's generator."""
        return FeatureErasing(self, num_pids)


@plain_dataclass
class FeatureErasingOutputs:
    """What a batch gives: of each branch, the global one first."""

    erased: Tensor  # (batch, 2048, h, w): what the second branch pools
    before: list[Tensor]  # (batch, 512), (batch, 1024): after the batch norm, before the ReLU
    features: list[Tensor]  # the same after it
    logits: list[Tensor]  # (batch, identities) each


class RowErasing(nn.Module):
    """Sets rows of a map to 0 in training, and changes nothing afterwards.

    The rows are found by comparison with a tensor that was drawn beforehand, not by a slice. A compiled network would
    be compiled anew for each slice.

    Args:
        drop: "batch": the same neighboring rows in all images; "image": neighboring rows, others in each image;
            "scattered": the same rows in all images, anywhere; "none": no row.
        share: of the rows; their number is rounded, and one row is always left.
        most: how many rows a map has at most, and how many images a process has of a batch.
    """

    drawn: Tensor

    def __init__(self, drop: Drop, share: float, most: int) -> None:
        super().__init__()
        self.drop, self.share = drop, share
        self.register_buffer("drawn", torch.arange(most) / most, persistent=False)  # numbers in [0, 1)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the rows of a batch. The numbers are the same in all processes that share it."""
        drawn = torch.rand(len(self.drawn), generator=generator)
        self.drawn.copy_(data.to_device(drawn, self.drawn.device))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (batch, c, h, w), and the same with rows of zeros."""
        if not self.training or self.drop == "none":
            return maps
        return maps.masked_fill(self.chosen(len(maps), maps.shape[2]), 0)

    def chosen(self, batch: int, h: int) -> Tensor:
        """Which of h rows are erased: bool (1, 1, h, 1), or (batch, 1, h, 1) if each image has its own."""
        count, rows = min(round(self.share * h), h - 1), torch.arange(h, device=self.drawn.device)
        if self.drop == "scattered":
            rank = self.drawn[:h].argsort().argsort()
            return (rank < count)[None, None, :, None]
        place = self.drawn[:batch, None] if self.drop == "image" else self.drawn[0]
        top = (place * (h - count + 1)).floor().clamp(max=h - count)  # a product may be rounded up
        return ((rows >= top) & (rows < top + count)).view(-1, 1, h, 1)


def reduction(channels: int, dim: int) -> nn.Sequential:
    """What makes a branch's vector of its pooled map: (batch, channels) to (batch, dim), before the ReLU."""
    return nn.Sequential(_linear(channels, dim), nn.BatchNorm1d(dim))


def _linear(channels: int, dim: int) -> nn.Linear:
    """A linear layer, also a classifier, with the authors' initial values."""
    linear = nn.Linear(channels, dim)
    nn.init.kaiming_normal_(linear.weight, mode="fan_out")
    nn.init.zeros_(linear.bias)
    return linear


class FeatureErasing(Network):
    """A global branch, and one whose map loses rows in training."""

    metric: ClassVar[str] = "euclidean"  # the lengths of the features are part of the triplet losses

    def __init__(self, recipe: FeatureErasingRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        channels, dims = self.backbone.channels[1], (recipe.global_dim, recipe.drop_dim)
        self.block = models.Bottleneck(channels, channels // models.Bottleneck.expansion)
        self.erasing = RowErasing(recipe.drop, recipe.drop_height, max(recipe.rows, recipe.batch))
        self.reductions = nn.ModuleList(reduction(channels, dim) for dim in dims)
        self.classifiers = nn.ModuleList(_linear(dim, num_pids) for dim in dims)

    def draw(self, generator: torch.Generator) -> None:
        """Draw the rows that the next batch loses."""
        self.erasing.draw(generator)

    def forward(self, images: Tensor) -> FeatureErasingOutputs:
        """Images (batch, 3, H, W) to both branches' features and logits."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        erased = self.erasing(self.block(layer4))  # (batch, 2048, h, w)
        with losses.full_precision(images):
            pooled = (heads.average_pool(layer4, 1).flatten(1), heads.max_pool(erased, 1).flatten(1))  # (batch, 2048)
            before = [reduce(vector) for reduce, vector in zip(self.reductions, pooled, strict=True)]
            features = [F.relu(vector) for vector in before]  # (batch, 512), (batch, 1024)
            logits = [classify(vector) for classify, vector in zip(self.classifiers, features, strict=True)]
        return FeatureErasingOutputs(erased, before, features, logits)

    def features(self, images: Tensor) -> Tensor:
        """Both branches' features of images (batch, 3, H, W), side by side: (batch, 512 + 1024), of any length."""
        return torch.cat(self(images).features, dim=1)

    def identity_logits(self, images: Tensor) -> Tensor:
        """The mean of both branches' logits, (batch, identities)."""
        return torch.stack(self(images).logits).mean(dim=0)

    def loss(self, outputs: FeatureErasingOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """The sum of both branches' cross-entropies and triplet losses.

        A triplet's hardest images are those of the whole batch, of all processes.
        """
        everyone = gather(pids)
        seen = outputs.features if self.recipe.triplet_on == "after ReLU" else outputs.before
        triplet = torch.stack([self.triplet_loss(gather(vectors), everyone) for vectors in seen]).sum()
        entropies = [losses.identification(logits, pids, self.recipe.smoothing) for logits in outputs.logits]
        identification = torch.stack(entropies).sum()
        spread, length = losses.spread(torch.cat(outputs.features, dim=1))
        places = losses.same_position(outputs.erased, gather)
        return losses.Losses(
            total=triplet + identification,
            terms={"triplet": triplet.detach(), "identification": identification.detach()},
            accuracy=losses.accuracy(torch.stack(outputs.logits).sum(dim=0), pids),
            signs={"spread": spread, "length": length, "same_position": places},
        )

    def triplet_loss(self, vectors: Tensor, pids: Tensor) -> Tensor:
        """The batch-hard triplet loss of one branch's vectors (batch, d), with the recipe's margin."""
        if self.recipe.margin == "soft":
            return losses.soft_margin_triplet(vectors, pids)
        return losses.batch_hard_triplet(vectors, pids, self.recipe.margin)

    def collapse_margin(self) -> float:
        """Where a triplet loss stands still when all features are alike, or all are 0: at its margin, or at ln 2."""
        return math.log(2) if self.recipe.margin == "soft" else self.recipe.margin
