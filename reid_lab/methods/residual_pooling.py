"""Paper B: He, Liu and Zhu, "Person re-identification method based on multi-scale residual pooling".

Three places of the network are pooled twice, by average and by maximum. Residual pooling (eq. 1) makes one
vector of each two, and these three are classified and, side by side, compared:

    layer3 -- Avg(1), Max(1) -- Pavg1, Pmax1 -- eq. 1 -- Pcont1 -- BNNeck --\\
    layer4 -- Avg(1), Max(1) -- Pavg2, Pmax2 -- eq. 1 -- Pcont2 -- BNNeck -- classifier; descriptor
    layer4 -- Avg(2), Max(2) -- Pavg3, Pmax3 -- eq. 1 -- Pcont3 -- BNNeck --/
                                triplet losses                 cross-entropies         (eq. 2)
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses
from reid_lab.methods import sizes
from reid_lab.methods.recipe import Recipe, shared
from reid_lab.models import heads
from reid_lab.models.backbones import backbone as make_backbone
from reid_lab.models.network import Gather, Network, must_be_number, must_be_one_of, must_be_whole, no_gather
from reid_lab.runtime.validation import is_number, is_whole

# Which pooled features a variant uses; each of them gets a triplet loss.
POOLINGS = {
    "residual": ("Pavg1", "Pmax1", "Pavg2", "Pmax2", "Pavg3", "Pmax3"),  # the paper's
    "avg": ("Pavg1", "Pavg2", "Pavg3"),
    "max": ("Pmax1", "Pmax2", "Pmax3"),
    "baseline": ("Pavg2",),
    "avg+avg": ("Pavg1", "Pavg2", "Pavg3"),  # and three of residual's size, to compare it with
    "max+max": ("Pmax1", "Pmax2", "Pmax3"),
    "max+avg": ("Pavg1", "Pmax1", "Pavg2", "Pmax2", "Pavg3", "Pmax3"),
    "raw avg": ("Pavg1", "Pavg2", "Pavg3"),  # and two without convolutions, of another size
    "raw max": ("Pmax1", "Pmax2", "Pmax3"),
}
EQUATION_1 = ("residual", "avg", "max", "avg+avg", "max+max", "max+avg")  # those with convolutions
SIGNS = {"avg-max": 1, "max-avg": -1}  # eq. 1's, and that of section 3.2's words


@dataclass
class ResidualPoolingOutputs:
    """The nine features of Fig. 1 by the paper's names, and what becomes of them.

    The baseline has only Pavg2, which is its one ``contrast``, too.
    """

    pooled: dict[str, Tensor]  # Pavg1 .. Pmax3: (batch, c, 1, 1), the third ones (batch, c, 2, 2)
    contrast: dict[str, Tensor]  # Pcont1 .. Pcont3: (batch, dim)
    necks: list[Tensor]  # after each BNNeck: (batch, dim)
    logits: list[Tensor]  # of each: (batch, identities)


class ResidualPool(nn.Module):
    """The residual pooling module: paper B, Fig. 3 and eq. 1, and the variants it is compared with.

    Each 1x1 convolution has no bias and is followed by batch normalization and ReLU, unless ``nonlinear`` is
    false. With ``shared`` both are one convolution d. Shared and linear, eq. 1 is plain average pooling:
    d(Pmax) + d(Pavg - Pmax) = d(Pmax) + d(Pavg) - d(Pmax) = d(Pavg).

    Raises:
        RecipeError: a ``pooling`` that is none of EQUATION_1, a ``sign`` that is none of SIGNS, or ``dim`` below 1.
    """

    def __init__(self, channels: int, dim: int, pooling: str, sign: str, shared: bool, nonlinear: bool) -> None:
        must_be_one_of("pooling", pooling, EQUATION_1)
        must_be_one_of("sign", sign, SIGNS)
        must_be_whole("dim", dim, 1)
        super().__init__()
        self.pooling, self.sign = pooling, SIGNS[sign]
        self.first = _delta(channels, dim, nonlinear)
        single = shared or pooling in ("avg", "max")
        self.second = None if single else _delta(channels, dim, nonlinear)

    def forward(self, p_avg: Tensor, p_max: Tensor) -> Tensor:
        """Two pooled maps (batch, c, m, m) to one (batch, dim, m, m)."""
        delta1, delta2 = self.first, self.first if self.second is None else self.second
        match self.pooling:
            case "residual":
                return delta1(p_max) + delta2(self.sign * (p_avg - p_max))  # eq. 1: Pcont
            case "avg":
                return delta1(p_avg)
            case "max":
                return delta1(p_max)
            case "avg+avg":
                return delta1(p_avg) + delta2(p_avg)
            case "max+max":
                return delta1(p_max) + delta2(p_max)
            case _:  # max+avg
                return delta1(p_max) + delta2(p_avg)


def _delta(channels: int, dim: int, nonlinear: bool) -> nn.Module:
    """Eq. 1's 1x1 convolution. (batch, channels, m, m) -> (batch, dim, m, m)."""
    convolution = nn.Conv2d(channels, dim, kernel_size=1, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(dim), nn.ReLU()) if nonlinear else convolution


class ResidualPooling(Network):
    """Multi-scale residual pooling (paper B, Fig. 1), its variants (Table 2) and controls of equal size.

    ``pooling`` chooses the variant (POOLINGS). ``dim`` is the unified dimension; ``shared_convolutions``,
    ``nonlinear`` and ``sign`` are those of ResidualPool. ``third``: the 2x2 features pass the convolutions as
    a "map" that is averaged afterwards, or "flatten"-ed to one vector of four times the channels.
    ``classifiers``: 1 for the three branches, or 3. ``fusion`` of the three into the descriptor: "concat" or
    "sum". ``triplet_scales``: triplet losses at all 3 places, at 1 (layer4 as a whole), or at 0. The "raw" poolings
    classify and compare the pooled features as they are, each branch with its own classifier.
    """

    def __init__(
        self,
        num_pids: int,
        backbone: str = "resnet50",
        pooling: str = "residual",
        dim: int = 640,
        shared_convolutions: bool = False,
        nonlinear: bool = True,
        sign: str = "avg-max",
        third: str = "map",
        classifiers: int = 1,
        fusion: str = "concat",
        triplet_scales: int = 3,
        smoothing: float = 0.1,
        margin: float = 0.3,
        last_stride: int = 1,
        input_size: tuple[int, int] = (288, 144),
        weights: str | None = None,
    ) -> None:
        must_be_one_of("pooling", pooling, POOLINGS)
        must_be_one_of("sign", sign, SIGNS)
        must_be_one_of("third", third, ("map", "flatten"))
        must_be_one_of("classifiers", classifiers, (1, 3))
        must_be_one_of("fusion", fusion, ("concat",) if pooling.startswith("raw") else ("concat", "sum"))
        must_be_one_of("triplet_scales", triplet_scales, (0, 1, 3))
        must_be_whole("dim", dim, 1)
        must_be_number("smoothing", smoothing, 1)
        must_be_number("margin", margin)
        super().__init__(make_backbone(backbone, last_stride, weights), num_pids, input_size)
        self.pooling, self.third, self.fusion = pooling, third, fusion
        self.smoothing, self.margin = smoothing, margin
        c3, c4 = self.backbone.channels  # 1024 and 2048
        places = [c4] if pooling == "baseline" else [c3, c4, c4 * 4 if third == "flatten" else c4]
        plain = pooling == "baseline" or pooling.startswith("raw")  # no eq. 1: what was pooled goes on as it is
        dims = places if plain else [dim] * 3
        self.pools = nn.ModuleList(
            [] if plain else [ResidualPool(c, dim, pooling, sign, shared_convolutions, nonlinear) for c in places]
        )
        self.necks = nn.ModuleList(heads.BNNeck(size) for size in dims)
        own = dims if classifiers == 3 or plain else dims[:1]
        self.classifiers = nn.ModuleList(heads.classifier(size, num_pids, bias=False) for size in own)
        used = POOLINGS[pooling] if triplet_scales else ()
        self.triplet_features = [name for name in used if triplet_scales == 3 or name.endswith("2")]

    def forward(self, images: Tensor) -> ResidualPoolingOutputs:
        """Images (batch, 3, H, W) to the nine features, and the logits of the last three."""
        layer3, layer4 = self.backbone(images)  # (batch, 1024, h, w), (batch, 2048, h, w) with last_stride=1
        with losses.full_precision(images):
            pooled = self._pool(layer3, layer4)
            contrast = self._contrast(pooled)  # 3 x (batch, 640)
            necks = [neck(vector) for neck, vector in zip(self.necks, contrast.values(), strict=True)]
            logits = [self.classifiers[j % len(self.classifiers)](neck) for j, neck in enumerate(necks)]
        return ResidualPoolingOutputs(pooled, contrast, necks, logits)

    def _pool(self, layer3: Tensor, layer4: Tensor) -> dict[str, Tensor]:
        """The six basic features of section 3.1; of the baseline only the one it uses."""
        if self.pooling == "baseline":
            return {"Pavg2": heads.average_pool(layer4, 1)}
        return {
            "Pavg1": heads.average_pool(layer3, 1),  # (batch, 1024, 1, 1)
            "Pmax1": heads.max_pool(layer3, 1),
            "Pavg2": heads.average_pool(layer4, 1),  # (batch, 2048, 1, 1)
            "Pmax2": heads.max_pool(layer4, 1),
            "Pavg3": heads.average_pool(layer4, 2),  # (batch, 2048, 2, 2)
            "Pmax3": heads.max_pool(layer4, 2),
        }

    def _contrast(self, pooled: dict[str, Tensor]) -> dict[str, Tensor]:
        """Pcont1 .. Pcont3, (batch, dim) each: eq. 1 at the three places, brought to one size."""
        if self.third == "flatten":
            pooled = {name: feature.flatten(1)[..., None, None] for name, feature in pooled.items()}
        if not self.pools:
            used = [pooled[name] for name in POOLINGS[self.pooling]]
            return {f"Pcont{i}": feature.mean(dim=(2, 3)) for i, feature in enumerate(used, start=1)}
        return {
            f"Pcont{i}": pool(pooled[f"Pavg{i}"], pooled[f"Pmax{i}"]).mean(dim=(2, 3))  # (batch, 640)
            for i, pool in enumerate(self.pools, start=1)
        }

    def features(self, images: Tensor) -> Tensor:
        """The fused BNNeck features, of length 1: (batch, 3 x 640), or (batch, 640) with ``fusion="sum"``."""
        necks = self(images).necks
        fused = torch.cat(necks, dim=1) if self.fusion == "concat" else torch.stack(necks).sum(dim=0)
        return F.normalize(fused, dim=1)

    def collapse_margin(self) -> float:
        """The triplet losses' margin; 0 without triplet losses."""
        return self.margin if self.triplet_features else 0.0

    def loss(self, outputs: ResidualPoolingOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Eq. 2: (1/6) sum of 6 triplet losses + (1/3) sum of 3 cross-entropies.

        A variant that uses fewer of the six basic features weighs its triplet losses 1 over their number.
        """
        basic = [outputs.pooled[name] for name in self.triplet_features]
        everyone = gather(pids)  # a triplet's hardest images are those of the whole batch
        triplets = [losses.batch_hard_triplet(gather(feature), everyone, self.margin) for feature in basic]
        entropies = [losses.identification(logits, pids, self.smoothing) for logits in outputs.logits]
        triplet = torch.stack(
            triplets or [pids.new_zeros((), dtype=torch.float32)]
        ).mean()  # eq. 2: 1/6 sum_i L_Triplet^i
        identification = torch.stack(entropies).mean()  # eq. 2: 1/3 sum_j L_CE^j
        spread, length = losses.spread(outputs.pooled[POOLINGS[self.pooling][-1]])  # of layer4, where a collapse shows
        return losses.Losses(
            total=triplet + identification,
            terms={"triplet": triplet.detach(), "identification": identification.detach()},
            accuracy=losses.accuracy(torch.stack(outputs.logits).sum(dim=0), pids),
            spread=spread,
            length=length,
        )


@dataclass(frozen=True, kw_only=True)
class ResidualPoolingRecipe(Recipe):
    """Paper B: multi-scale residual pooling, or one of the variants it is compared with."""

    method: ClassVar[str] = "residual_pooling"

    identities: int = 8  # P identities x K images; 8 x 4 = the paper's batch of 32
    images: int = 4
    pooling: str = "residual"
    dim: int = 640  # the "unified dimension"; 640 gives Table 4's 30.55 M parameters
    shared_convolutions: bool = False
    nonlinear: bool = True
    sign: str = "avg-max"  # eq. 1; the text of 3.2 says "max-avg"
    third: str = "map"  # the 2x2 features: convolved as a map and averaged, or "flatten"
    classifiers: int = 1  # one shared by the three branches, or 3
    fusion: str = "concat"
    triplet_scales: int = 3  # places with triplet losses: 3 (eq. 2), 1 (layer4 as a whole) or 0
    margin: float = 0.3  # of the triplet loss (silent)

    def _check(self) -> None:
        super()._check()
        self._require("identities", is_whole(self.identities, 2), "a whole number from 2")
        self._require("images", is_whole(self.images, 2), "a whole number from 2: a triplet needs a positive")
        self._require("dim", is_whole(self.dim, 1), "a whole number from 1")
        self._require("margin", is_number(self.margin, 0), "a number from 0")
        self._choice("pooling", tuple(POOLINGS))
        self._choice("sign", ("avg-max", "max-avg"))
        self._choice("third", ("map", "flatten"))
        self._require("classifiers", is_whole(self.classifiers, 1), "1 or 3")
        self._choice("classifiers", (1, 3))
        for name in ("shared_convolutions", "nonlinear"):
            self._require(name, isinstance(getattr(self, name), bool), "true or false")
        self._choice("fusion", ("concat",) if self.pooling.startswith("raw") else ("concat", "sum"))
        self._require("triplet_scales", is_whole(self.triplet_scales, 0), "0, 1 or 3")
        self._choice("triplet_scales", (0, 1, 3))

    @property
    def batch(self) -> int:
        """Images in a batch: P identities x K images."""
        return self.identities * self.images

    @classmethod
    def sizes(cls) -> dict[str, dict[str, Any]]:
        """The values of the fields at each of SIZES."""
        return sizes.RESIDUAL_POOLING

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PKSampler:
        """P identities x K images."""
        return data.PKSampler(labels, self.identities, self.images, seed)

    def network(self, num_pids: int) -> ResidualPooling:
        """Paper B's network."""
        return ResidualPooling(num_pids, input_size=self.crop, **shared(self, ResidualPooling))
