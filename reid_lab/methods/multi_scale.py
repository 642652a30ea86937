r"""DPFL: Y. Chen, X. Zhu and S. Gong, "Person Re-Identification by Deep Learning Multi-Scale Representations".

IEEE International Conference on Computer Vision Workshops, 2017. Tables of other papers call it MultiScale.

Each scale of an image has a network of its own. A fusion classifier sees the features of all networks. Its answer, the
consensus, is a second target for each of them:

    image, scale 1    -- network 1 -- mean --+-- classifier 1 -- losses 1
                                             |
                                             +-- side by side -- dropout -- fusion classifier -- cross-entropy
                                             |     features                        |
    image, scale 0.75 -- network 2 -- mean --+-- classifier 2 -- losses 2      consensus, without gradient

    losses s = cross-entropy to the identity + cross-entropy to the consensus

Two networks are also an ensemble. So the fair comparison has two networks that both see the full scale.

Numbers of the paper (rank-1 / mAP): Market-1501 88.9 / 73.1 (unconfirmed), DukeMTMC-reID 79.2 / 60.6. They are for
Inception-V3; ours is a ResNet. Most numbers of the recipe are unconfirmed or ours, because neither the paper nor its
authors' code was at hand. No code was taken.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.methods import bench
from reid_lab.methods.fields import (
    EXACT,
    Backbone,
    Count,
    Dropout,
    Milestones,
    NotNegative,
    Pixels,
    Positive,
    Share,
    Whole,
    silent,
    stated,
    unconfirmed,
)
from reid_lab.methods.recipe import Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather

Scales = Annotated[
    tuple[Positive, ...], Field(min_length=2, description="a list of two or more numbers, such as [1.0, 0.75]")
]
SMALLEST = 16  # pixels of a side at the smallest scale


@dataclass(frozen=True, kw_only=True)
class MultiScaleRecipe(Recipe):
    """Every number of DPFL that is known, and ours for the others."""

    method: ClassVar = "multi_scale"

    backbone: Backbone = unconfirmed("resnet50", "Inception-V3 of 42 layers; ResNet-50 is ours")
    weights: Literal[None, "imagenet", "passersby"] = unconfirmed("imagenet", "fine-tuned from ImageNet")
    last_stride: Annotated[Literal[1, 2], EXACT] = silent(2)
    smoothing: Share = unconfirmed(0.0, "plain cross-entropy")
    resize: Pixels = unconfirmed((256, 128), "squares of 299 pixels for Inception-V3")
    crop: Pixels = unconfirmed((256, 128), "squares of 299 pixels for Inception-V3")
    pad: Whole = silent(0)
    flip: Share = silent(0.5)
    erasing: Share = silent(0.0, "nothing; random erasing was published later")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("sgd", "SGD")
    lr: Positive = silent(0.01)
    momentum: Share = silent(0.9)
    weight_decay: NotNegative = silent(5e-4)
    epochs: Count = silent(60)
    warmup: Literal["none", "constant", "linear"] = silent("none")
    warmup_epochs: Whole = silent(0)
    warmup_factor: Positive = silent(1.0)
    schedule: Literal["steps", "cosine"] = silent("steps")
    milestones: Milestones = silent((40,))
    decay: Positive = silent(0.1)
    images: Count = silent(32)
    scales: Scales = unconfirmed((1.0, 0.75), "299 and 225 pixels; others' code: 224 and 160")
    consensus: NotNegative = unconfirmed(1.0, "a weight of the consensus; others' code: 1")
    dropout: Dropout = unconfirmed(0.001, "others' code: 0.001, before the fusion classifier")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=20),
        "full": dict(weights=None, lr=0.03, warmup="linear", warmup_epochs=5, warmup_factor=0.1, evaluate_every=10),
        "classroom": bench.CLASSROOM | dict(lr=3e-3, images=64),
        "smoke": bench.SMOKE | dict(last_stride=1, images=16),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        low = SMALLEST / min(self.crop)
        fits = low <= min(self.scales) and max(self.scales) <= 1
        self._require("scales", fits, f"from {low:g}, where crop = {self.crop} keeps {SMALLEST} pixels a side, to 1")

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def network(self, num_pids: int) -> "MultiScale":
        """The network, its weights drawn from torch's generator."""
        return MultiScale(self, num_pids)


@plain_dataclass
class MultiScaleOutputs:
    """What a batch gives."""

    pooled: list[Tensor]  # of each scale: (batch, c), the mean of its layer4
    logits: list[Tensor]  # of each scale: (batch, identities)
    fused: Tensor  # (batch, identities): the fusion classifier's logits


class MultiScale(Network):
    """A network for each scale, with a classifier each, and the fusion classifier on the features of all."""

    def __init__(self, recipe: MultiScaleRecipe, num_pids: int) -> None:
        first, *others = (models.backbone(recipe.backbone, recipe.last_stride, recipe.weights) for _ in recipe.scales)
        super().__init__(first, num_pids, recipe.crop)
        self.recipe = recipe
        self.others = nn.ModuleList(others)
        channels = self.backbone.channels[1]
        self.classifiers = nn.ModuleList(heads.classifier(channels, num_pids, bias=True) for _ in recipe.scales)
        self.dropout = nn.Dropout(recipe.dropout)
        self.fusion = heads.classifier(len(recipe.scales) * channels, num_pids, bias=True)

    def forward(self, images: Tensor) -> MultiScaleOutputs:
        """Images (batch, 3, H, W) to the features and logits of each scale, and the logits of all together."""
        pooled = []
        for scale, branch in zip(self.recipe.scales, (self.backbone, *self.others), strict=True):
            _, layer4 = branch(rescaled(images, scale))  # (batch, 2048, h, w)
            pooled.append(heads.average_pool(layer4, 1).flatten(1))  # (batch, 2048), float32
        with losses.full_precision(images):
            logits = [classifier(vector) for classifier, vector in zip(self.classifiers, pooled, strict=True)]
            return MultiScaleOutputs(pooled, logits, self.fusion(self.dropout(torch.cat(pooled, dim=1))))

    def features(self, images: Tensor) -> Tensor:
        """The features of all scales side by side, of length 1: (batch, scales x 2048)."""
        return F.normalize(self.unnormalized_features(images), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1."""
        return torch.cat(self(images).pooled, dim=1)

    def identity_logits(self, images: Tensor) -> Tensor:
        """The fusion classifier's answer (batch, identities) for single images (batch, 3, H, W)."""
        return self(images).fused

    def loss(self, outputs: MultiScaleOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Cross-entropy of each scale and of the fusion, plus ``consensus`` times that of each scale to the consensus.

        The consensus is the fusion's softmax, at temperature 1. It gets no gradient from the scales, so that a teacher
        does not move towards its pupils. All are means over single images, so nothing needs to be gathered.
        """
        scales = torch.stack([losses.identification(logits, pids, self.recipe.smoothing) for logits in outputs.logits])
        fusion = losses.identification(outputs.fused, pids, self.recipe.smoothing)
        teacher = outputs.fused.detach().softmax(dim=1)  # (batch, identities)
        consensus = torch.stack([losses.soft_cross_entropy(logits, teacher) for logits in outputs.logits])
        terms = {"scales": scales.sum(), "fusion": fusion, "consensus": consensus.sum()}
        spread, length = losses.spread(torch.cat(outputs.pooled, dim=1))
        return losses.Losses(
            total=terms["scales"] + fusion + self.recipe.consensus * terms["consensus"],
            terms={name: term.detach() for name, term in terms.items()},
            accuracy=losses.accuracy(outputs.fused, pids),
            signs={"spread": spread, "length": length},
        )

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The networks of all scales are the backbone."""
        backbone, head = super().groups().values()
        others = list(self.others.parameters())
        known = {id(parameter) for parameter in others}
        return {"backbone": backbone + others, "head": [p for p in head if id(p) not in known]}


def rescaled(images: Tensor, scale: float) -> Tensor:
    """Images (batch, 3, H, W) at a scale of at most 1, by linear interpolation without aliasing."""
    if scale == 1:
        return images
    size = [round(side * scale) for side in images.shape[2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True)
