r"""The bag of tricks: a plain ResNet-50 that is trained with care.

The plain baseline becomes strong by a triplet loss before its BNNeck, by last stride 1, warm-up, random erasing and
label smoothing:

    layer4 -- mean over all positions -- BNNeck -- classifier -- cross-entropy, smoothed
                                    |    features
                                    triplet loss

Source: Luo, Gu, Liao, Lai and Jiang, "Bag of Tricks and a Strong Baseline for Deep Person Re-identification" (CVPR
Workshops 2019, arXiv 1903.07071). The authors' code is under the MIT licence; no code was taken. For the network of
this file, its page reports rank-1 94.1 and mAP 85.7 on Market-1501, 86.2 and 75.9 on DukeMTMC-reID. The scores that
others quote, 94.5 and 85.9, 86.4 and 76.4, need a center loss as well. It has an optimizer of its own, and is left
out here.

This file is short because nothing in its network is new. It is :mod:`.classification` with one more loss. It is also
paper B's baseline, ``residual_pooling(pooling="baseline")``: a test trains both and finds the same weights, bit for
bit. What differs is the recipe, and that each trick can be left out.
"""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from reid_lab import data, losses
from reid_lab.methods import bench
from reid_lab.methods.classification import Classification, ClassificationOutputs
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
from reid_lab.models.network import Gather, no_gather


@dataclass(frozen=True, kw_only=True)
class StrongBaselineRecipe(Recipe):
    """Every number of the bag of tricks: its value, and where it comes from."""

    method: ClassVar = "strong_baseline"

    backbone: Backbone = stated("resnet50", "the authors' code: ResNet-50")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", "the authors' code: ImageNet's")
    last_stride: Annotated[Literal[1, 2], EXACT] = stated(1, "the authors' code: 1, a trick")
    smoothing: Share = stated(0.1, "the authors' code: 0.1, a trick")
    resize: Pixels = stated((256, 128), "the authors' code: 256 x 128")
    crop: Pixels = stated((256, 128), "the authors' code: 256 x 128")
    pad: Whole = stated(10, "the authors' code: 10")
    flip: Share = stated(0.5, "the authors' code: 0.5")
    erasing: Share = stated(0.5, "the authors' code: 0.5, a trick")
    erasing_area: Area = stated((0.02, 0.4), "the authors' code: 0.02 to 0.4")
    erasing_aspect: Aspect = stated((0.3, 3.33), "the authors' code: 0.3 to 1 / 0.3")
    erasing_attempts: Count = stated(100, "the authors' code: 100")
    erasing_fill: Literal["random", "mean"] = stated(
        "mean", "the authors' code: ImageNet's mean color, but in images that are normalized already"
    )
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("adam", "the authors' code: Adam")
    lr: Positive = stated(3.5e-4, "the authors' code: 0.00035")
    weight_decay: NotNegative = stated(5e-4, "the authors' code: 0.0005")
    epochs: Count = stated(120, "the authors' code: 120")
    warmup: Literal["none", "constant", "linear"] = stated("linear", "the authors' code: linear, a trick")
    warmup_epochs: Whole = stated(10, "the authors' code: 10")
    warmup_factor: Positive = stated(0.01, "the authors' code: 0.01")
    schedule: Literal["steps", "cosine"] = stated("steps", "the authors' code: steps")
    milestones: Milestones = stated((40, 70), "the authors' code: 40 and 70")
    decay: Positive = stated(0.1, "the authors' code: 0.1")
    identities: Several = stated(16, "the authors' code: a batch of 64, 4 images of each")
    images: Several = stated(4, "the authors' code: 4 of each")
    neck: bool = stated(True, "the authors' code: a BNNeck, a trick")
    triplet: bool = stated(True, "the authors' code: a triplet loss before the BNNeck")
    margin: NotNegative = stated(0.3, "the authors' code: 0.3")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=20),
        "full": dict(weights=None, epochs=60, milestones=(30, 50), evaluate_every=10),
        "classroom": bench.CLASSROOM | dict(identities=16, images=4),
        "smoke": bench.SMOKE | dict(identities=4, images=4, erasing=0.0),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    @property
    def batch(self) -> int:
        """Images in a batch: P identities x K images."""
        return self.identities * self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PKSampler:
        """P identities x K images, also without the triplet loss: only what is left out shall differ."""
        return data.PKSampler(labels, self.identities, self.images, seed)

    def network(self, num_pids: int) -> "StrongBaseline":
        """The network, its weights drawn from torch's generator."""
        return StrongBaseline(self, num_pids)


class StrongBaseline(Classification):
    """The plain baseline with a triplet loss before its BNNeck, and each of the two only if the recipe wants it."""

    recipe: StrongBaselineRecipe

    def __init__(self, recipe: StrongBaselineRecipe, num_pids: int) -> None:
        super().__init__(recipe, num_pids)
        if not recipe.neck:
            self.neck = nn.Identity()

    def loss(self, outputs: ClassificationOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Triplet loss of the pooled features, on the hardest images of all processes, + cross-entropy."""
        found = super().loss(outputs, pids, gather)
        if not self.recipe.triplet:
            return found
        triplet, paying = losses.paying_triplet(gather(outputs.pooled), gather(pids), self.recipe.margin)
        return losses.Losses(
            total=triplet + found.total,
            terms={"triplet": triplet.detach(), **found.terms},
            accuracy=found.accuracy,
            signs={**found.signs, "paying": paying},
        )

    def collapse_margin(self) -> float:
        """The triplet loss's margin, at which the loss stands still when all features are alike; 0 without it."""
        return self.recipe.margin if self.recipe.triplet else 0.0
