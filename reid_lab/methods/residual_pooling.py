r"""Paper B: Z. He, X. Liu and H. Zhu, "Person re-identification method based on multi-scale residual pooling".

Proc. of SPIE vol. 12506, 125066I.

Layer3, layer4, and layer4 in 2 x 2 cells are each pooled by average and by maximum. Residual pooling (eq. 1) makes
one vector of each two. Each of these three vectors is classified; side by side they are the features of retrieval:

    layer3 -- Avg(1), Max(1) -- Pavg1, Pmax1 -- eq. 1 -- Pcont1 -- BNNeck --\
    layer4 -- Avg(1), Max(1) -- Pavg2, Pmax2 -- eq. 1 -- Pcont2 -- BNNeck -- classifier; features
    layer4 -- Avg(2), Max(2) -- Pavg3, Pmax3 -- eq. 1 -- Pcont3 -- BNNeck --/
                                triplet losses                 cross-entropies         (eq. 2)

This file is the paper. The poolings that it is compared with, and other readings of it, are in :mod:`.variants`.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
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
    contradictory,
    silent,
    stated,
)
from reid_lab.methods.recipe import SLIM, Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather

Pooling = Literal["residual", "avg", "max", "baseline", "avg+avg", "max+max", "max+avg", "raw avg", "raw max"]


@dataclass(frozen=True, kw_only=True)
class ResidualPoolingRecipe(Recipe):
    """Every number of paper B: its value, and what the paper says about it."""

    method: ClassVar = "residual_pooling"

    backbone: Backbone = stated("resnet50", "ResNet-50 without its classifier (3.1)")
    weights: Literal[None, "imagenet", "passersby"] = silent("imagenet", "nothing; usual with ResNet-50")
    last_stride: Annotated[Literal[1, 2], EXACT] = silent(1, "nothing; Table 4's 10.82 GFLOPs fit no other")
    smoothing: Share = silent(0.1, "label smoothing is used (4), how much is open")
    resize: Pixels = stated((288, 144), "288 x 144 (4.2)")
    crop: Pixels = stated((288, 144), "288 x 144 (4.2)")
    pad: Whole = silent(10)
    flip: Share = silent(0.5)
    erasing: Share = stated(0.5, "probability 0.5 (4)")
    erasing_area: Area = silent((0.02, 0.4))
    erasing_aspect: Aspect = silent((0.3, 3.33))
    erasing_attempts: Count = silent(100)
    erasing_fill: Literal["random", "mean"] = silent("mean")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("sgd", "SGD (4.2)")
    lr: Positive = stated(0.03, "0.03 (4.2)")
    momentum: Share = silent(0.9)
    weight_decay: NotNegative = stated(5e-4, "0.0005 (4.2)")
    backbone_lr: Positive = silent(1.0)
    epochs: Count = stated(220, '220 "iterations", which can only be epochs (4.2)')
    warmup: Literal["none", "constant", "linear"] = contradictory(
        "linear", "a gradual rise (4.2), to 0.003: below the rate of 0.03"
    )
    warmup_epochs: Whole = silent(10, "warm-up is used (4), how long is open")
    warmup_factor: Positive = contradictory(0.1, "0.003 is the end of the rise and the first step down (4.2)")
    schedule: Literal["steps", "cosine"] = stated("steps", "in steps (4.2)")
    milestones: Milestones = contradictory((40, 110), "steps at 40, 110 and 150, but the last changes nothing (4.2)")
    decay: Positive = stated(0.1, "0.003, then 0.0003 (4.2)")
    identities: Several = silent(8, "a batch of 32 (4.2), of how many people is open")
    images: Several = silent(4, "a batch of 32 (4.2), of how many images each is open")
    pooling: Pooling = stated("residual", "residual pooling (3.2)")
    dim: Count = silent(640, '"unified" (3.1), no number; 640 gives Table 4\'s 30.55 M')
    shared_convolutions: bool = silent(False, "one symbol (eq. 1); sharing a bare one leaves mean pooling")
    nonlinear: bool = silent(True, "nothing; batch normalization and ReLU after each convolution")
    sign: Literal["avg-max", "max-avg"] = contradictory(
        "avg-max", "mean minus maximum (eq. 1); the reverse in the text of 3.2"
    )
    third: Literal["map", "flatten"] = silent("map", "2 x 2 x 2048 (3.1), what becomes of the four cells is open")
    classifiers: Annotated[Literal[1, 3], EXACT] = silent(1, '"the classifier" (3.1); three losses (eq. 2)')
    fusion: Literal["concat", "sum"] = silent("concat", "fused (3.1), how is open")
    triplet_scales: Annotated[Literal[0, 1, 3], EXACT] = stated(3, "on all six pooled features (eq. 2)")
    margin: NotNegative = silent(0.3, "a triplet loss (3.3), no margin")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=20),
        # The paper's network from random weights, shorter, for one GPU; twice the images of each of twice the people.
        "full": dict(weights=None, identities=16, images=8, epochs=60, milestones=(30, 50), evaluate_every=10),
        "classroom": SLIM
        | dict(
            backbone="resnet_slim",
            weights="passersby",
            pad=5,
            erasing=0.0,  # the grid `erasing` asks what it does at this length
            lr=3e-3,  # the best of four on validation people: the grid `tuning_residual_pooling`
            weight_decay=0.05,
            epochs=6,
            warmup_epochs=1,
            identities=16,
            images=4,
            dim=256,
        ),
        "smoke": SLIM
        | dict(
            backbone="resnet_slim",
            resize=(64, 48),  # three columns in layer4: of two, AMX makes wrong numbers in bf16
            crop=(64, 48),
            pad=4,
            lr=2e-3,
            epochs=3,
            warmup_epochs=1,
            identities=4,
            images=4,
            dim=32,
            evaluate_every=1,
        ),
    }

    from_random: ClassVar = dict(last_stride=2, lr=1.2e-2, epochs=18, warmup_epochs=2, evaluate_every=3)

    def _check(self) -> None:
        super()._check()
        raw = self.pooling.startswith("raw")  # of other sizes at the three places
        self._require("fusion", self.fusion == "concat" or not raw, "'concat' with this pooling")

    @property
    def batch(self) -> int:
        """Images in a batch: P identities x K images."""
        return self.identities * self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PKSampler:
        """P identities x K images, among which the triplet losses find their hardest pairs."""
        return data.PKSampler(labels, self.identities, self.images, seed)

    def network(self, num_pids: int) -> "ResidualPooling":
        """Paper B's network, or the variant that the recipe asks for; its weights are drawn from torch's generator."""
        from reid_lab.methods import variants  # they are made of what is below

        return variants.network(self, num_pids)


@plain_dataclass
class ResidualPoolingOutputs:
    """The nine features of Fig. 1 by the paper's names, and what becomes of them."""

    pooled: dict[str, Tensor]  # Pavg1 .. Pmax3: (batch, c, 1, 1), the third ones (batch, c, 2, 2)
    contrast: dict[str, Tensor]  # Pcont1 .. Pcont3: (batch, dim)
    necks: list[Tensor]  # after each BNNeck: (batch, dim)
    logits: list[Tensor]  # of each: (batch, identities)
    layer4: Tensor  # what Pmax2 is the maximum of: (batch, 2048, h, w)


class ResidualPool(nn.Module):
    """The residual pooling module: paper B, Fig. 3 and eq. 1."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.first = convolution(channels, dim)
        self.second = convolution(channels, dim)

    def forward(self, p_avg: Tensor, p_max: Tensor) -> Tensor:
        """Two pooled maps (batch, c, m, m) to one (batch, dim, m, m)."""
        return self.first(p_max) + self.second(p_avg - p_max)  # eq. 1: Pcont


def convolution(channels: int, dim: int) -> nn.Sequential:
    """Eq. 1's 1x1 convolution, delta: (batch, channels, m, m) -> (batch, dim, m, m)."""
    delta = nn.Conv2d(channels, dim, kernel_size=1, bias=False)
    nn.init.kaiming_normal_(delta.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(delta, nn.BatchNorm2d(dim), nn.ReLU())


class ResidualPooling(Network):
    """Multi-scale residual pooling (paper B, Fig. 1)."""

    used: tuple[str, ...] = ("Pavg1", "Pmax1", "Pavg2", "Pmax2", "Pavg3", "Pmax3")
    in_triplets = used  # each of them has a triplet loss

    def __init__(self, recipe: ResidualPoolingRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        self.make_head(*self.backbone.channels, recipe.dim)

    def make_head(self, c3: int, c4: int, dim: int) -> None:
        """The three places' pooling modules and BNNecks, and the classifier, which all three share."""
        self.pools = nn.ModuleList(ResidualPool(channels, dim) for channels in (c3, c4, c4))  # 1024, 2048, 2048 -> 640
        self.necks = nn.ModuleList(heads.BNNeck(dim) for _ in range(3))
        self.classifiers = nn.ModuleList([heads.classifier(dim, self.num_pids, bias=False)])

    def forward(self, images: Tensor) -> ResidualPoolingOutputs:
        """Images (batch, 3, H, W) to the nine features, and the logits of the last three."""
        layer3, layer4 = self.backbone(images)  # (batch, 1024, h, w), (batch, 2048, h, w) with last_stride=1
        with losses.full_precision(images):
            pooled = self.pool(layer3, layer4)
            contrast = self.contrast(pooled)  # 3 x (batch, 640)
            necks = [neck(vector) for neck, vector in zip(self.necks, contrast.values(), strict=True)]
            logits = [self.classifiers[j % len(self.classifiers)](neck) for j, neck in enumerate(necks)]
        return ResidualPoolingOutputs(pooled, contrast, necks, logits, layer4)

    def pool(self, layer3: Tensor, layer4: Tensor) -> dict[str, Tensor]:
        """The six basic features of section 3.1."""
        return {
            "Pavg1": heads.average_pool(layer3, 1),  # (batch, 1024, 1, 1)
            "Pmax1": heads.max_pool(layer3, 1),
            "Pavg2": heads.average_pool(layer4, 1),  # (batch, 2048, 1, 1)
            "Pmax2": heads.max_pool(layer4, 1),
            "Pavg3": heads.average_pool(layer4, 2),  # (batch, 2048, 2, 2)
            "Pmax3": heads.max_pool(layer4, 2),
        }

    def contrast(self, pooled: dict[str, Tensor]) -> dict[str, Tensor]:
        """Pcont1 .. Pcont3, (batch, dim) each: eq. 1 at the three places, brought to one size."""
        return {
            f"Pcont{i}": pool(pooled[f"Pavg{i}"], pooled[f"Pmax{i}"]).mean(dim=(2, 3))  # (batch, 640)
            for i, pool in enumerate(self.pools, start=1)
        }

    def fuse(self, necks: list[Tensor]) -> Tensor:
        """Three BNNeck features side by side: (batch, 3 x 640)."""
        return torch.cat(necks, dim=1)

    def features(self, images: Tensor) -> Tensor:
        """The fused BNNeck features of images (batch, 3, H, W), of length 1: (batch, 3 x 640)."""
        return F.normalize(self.unnormalized_features(images), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The fused BNNeck features before they are brought to length 1: (batch, 3 x 640)."""
        return self.fuse(self(images).necks)

    def identity_logits(self, images: Tensor) -> Tensor:
        """The mean of the three branches' logits, (batch, identities)."""
        return torch.stack(self(images).logits).mean(dim=0)

    def loss(self, outputs: ResidualPoolingOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Eq. 2: (1/6) sum of 6 triplet losses + (1/3) sum of 3 cross-entropies.

        The triplets see the pooled maps themselves: eq. 1's convolutions learn from the cross-entropies alone.
        """
        triplet, paying = self.triplet_loss(outputs.pooled, pids, gather)
        entropies = [losses.identification(logits, pids, self.recipe.smoothing) for logits in outputs.logits]
        identification = torch.stack(entropies).mean()  # eq. 2: 1/3 sum_j L_CE^j
        spread, length = losses.spread(outputs.pooled[self.used[-1]])  # Pmax3 here: of layer4, where a collapse shows
        pools_maxima = "Pmax2" in self.used
        places = {"same_position": losses.same_position(outputs.layer4, gather)} if pools_maxima else {}
        return losses.Losses(
            total=triplet + identification,
            terms={"triplet": triplet.detach(), "identification": identification.detach()},
            accuracy=losses.accuracy(torch.stack(outputs.logits).sum(dim=0), pids),
            signs={"spread": spread, "length": length} | paying | places,
        )

    def triplet_loss(self, pooled: dict[str, Tensor], pids: Tensor, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        """The first half of eq. 2, and "paying" among its signs: the mean share of anchors that pay.

        A triplet's hardest images are those of the whole batch, of all processes.
        """
        everyone = gather(pids)
        triplets, paying = zip(
            *(losses.paying_triplet(gather(pooled[i]), everyone, self.recipe.margin) for i in self.in_triplets),
            strict=True,
        )
        mean = torch.stack(triplets).mean()  # eq. 2: 1/6 sum_i L_Triplet^i
        return mean, {"paying": torch.stack(paying).mean()}

    def collapse_margin(self) -> float:
        """The triplet losses' margin, at which they stand still when all features are alike."""
        return self.recipe.margin
