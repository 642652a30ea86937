r"""The plain baseline: one network that learns to tell the training identities apart, and nothing more.

It is trained as ImageNet's networks are: the mean of the last layer, a classifier, cross-entropy. Its features are what
stands before the classifier:

    layer4 -- mean over all positions -- BNNeck -- classifier -- cross-entropy
                                           features

Sources: Zheng, Yang and Hauptmann, "Person Re-identification: Past, Present and Future" (2016), who call it IDE; the
BNNeck is that of Luo et al., "Bag of Tricks and a Strong Baseline for Deep Person Re-identification" (2019). The
numbers are ours. Backbones that start on another town (``weights="passersby"``) are trained with it.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.methods.fields import EXACT, Backbone, Count, NotNegative, Pixels, Positive, Share, Whole
from reid_lab.methods.recipe import SLIM, Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather


@dataclass(frozen=True, kw_only=True)
class ClassificationRecipe(Recipe):
    """Every number of the baseline; they are ours."""

    method: ClassVar = "classification"

    backbone: Backbone = "resnet50"
    weights: Literal[None, "imagenet", "passersby"] = "imagenet"
    last_stride: Annotated[Literal[1, 2], EXACT] = 1
    smoothing: Share = 0.1
    resize: Pixels = (256, 128)
    crop: Pixels = (256, 128)
    pad: Whole = 10
    flip: Share = 0.5
    erasing: Share = 0.0
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = "adamw"
    lr: Positive = 3e-3
    weight_decay: NotNegative = 0.05
    epochs: Count = 60
    warmup: Literal["none", "constant", "linear"] = "linear"
    warmup_epochs: Whole = 5
    warmup_factor: Positive = 0.01
    schedule: Literal["steps", "cosine"] = "cosine"
    images: Count = 64  # in a batch

    sizes: ClassVar = {
        "paper": {},
        "full": dict(weights=None),
        "classroom": SLIM
        | dict(backbone="resnet_slim", weights="passersby", pad=5, lr=3e-4, epochs=6, warmup_epochs=1),
        "smoke": SLIM
        | dict(
            backbone="resnet_slim",
            resize=(64, 48),
            crop=(64, 48),
            pad=4,
            lr=2e-3,
            epochs=3,
            warmup_epochs=1,
            images=16,
            evaluate_every=1,
        ),
    }

    from_random: ClassVar = dict(lr=3e-3, epochs=18, warmup_epochs=2)

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def network(self, num_pids: int) -> "Classification":
        """The network, its weights drawn from torch's generator."""
        return Classification(self, num_pids)


@plain_dataclass
class ClassificationOutputs:
    """What a batch gives."""

    pooled: Tensor  # (batch, c): the mean of layer4
    neck: Tensor  # (batch, c): after the BNNeck
    logits: Tensor  # (batch, identities)


class Classification(Network):
    """The mean of layer4, a BNNeck, a classifier."""

    def __init__(self, recipe: Recipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        self.neck: nn.Module = heads.BNNeck(self.backbone.channels[1])
        self.classifier = heads.classifier(self.backbone.channels[1], num_pids, bias=False)

    def forward(self, images: Tensor) -> ClassificationOutputs:
        """Images (batch, 3, H, W) to their features and logits."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        with losses.full_precision(images):
            pooled = heads.average_pool(layer4, 1).flatten(1)  # (batch, 2048)
            neck = self.neck(pooled)
            return ClassificationOutputs(pooled, neck, self.classifier(neck))

    def features(self, images: Tensor) -> Tensor:
        """The features after the BNNeck of images (batch, 3, H, W), of length 1: (batch, 2048)."""
        return F.normalize(self.unnormalized_features(images), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1."""
        return self(images).neck

    def identity_logits(self, images: Tensor) -> Tensor:
        """The classifier's answer (batch, identities) for single images (batch, 3, H, W)."""
        return self(images).logits

    def loss(self, outputs: ClassificationOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Cross-entropy, a mean over single images, so nothing needs to be gathered."""
        total = losses.identification(outputs.logits, pids, self.recipe.smoothing)
        spread, length = losses.spread(outputs.pooled)
        terms = {"identification": total.detach()}
        signs = {"spread": spread, "length": length}
        return losses.Losses(total, terms, losses.accuracy(outputs.logits, pids), signs)
