r"""PCB, the part-based convolutional baseline: each part of an image must tell people apart by itself.

The map of layer4 is cut into horizontal stripes. The mean of each stripe is reduced and classified on its own; the
means side by side are the features of retrieval:

              stripe 1 -- mean -- g_1 --\               /-- h_1 -- classifier 1 -- cross-entropy --\
    layer4 -- stripe 2 -- mean -- g_2 ---- reduction ------ h_2 -- classifier 2 -- cross-entropy ---- sum
              stripe p -- mean -- g_p --/   (shared)    \-- h_p -- classifier p -- cross-entropy --/
                                  features

Source: Y. Sun, L. Zheng, Y. Yang, Q. Tian and S. Wang, "Beyond Part Models: Person Retrieval with Refined Part Pooling
(and a Strong Convolutional Baseline)", ECCV 2018, arXiv 1711.09349. The authors' code is public, for academic use only;
no code was taken. The paper itself was not at hand, so a number comes from that code, or it is unconfirmed.

Papers A and B quote its rank-1 / mAP: Market-1501 92.3 / 77.4, DukeMTMC-reID 81.8 (B: 81.7) / 66.1. These are of the
features g.

Three controls have the same parameters and features of the same size: vertical stripes, random groups of positions,
and the mean of the whole map for every classifier. :mod:`.rpp` lets the network itself say what belongs to a part.
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
    Dropout,
    Milestones,
    NotNegative,
    Pixels,
    Positive,
    Share,
    Whole,
    stated,
)
from reid_lab.methods.recipe import Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather


@dataclass(frozen=True, kw_only=True)
class PCBRecipe(Recipe):
    """Every number of PCB: its value, and where it comes from."""

    method: ClassVar = "pcb"

    backbone: Backbone = stated("resnet50", "the authors' code: ResNet-50")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", "the authors' code: ImageNet's")
    last_stride: Annotated[Literal[1, 2], EXACT] = stated(1, "the authors' code: stride 1 in layer4")
    smoothing: Share = stated(0.0, "the authors' code: plain cross-entropy")
    resize: Pixels = stated((384, 128), "the authors' code: 384 x 128")
    crop: Pixels = stated((384, 128), "the authors' code: no crop")
    pad: Whole = stated(0, "the authors' code: no crop")
    flip: Share = stated(0.5, "the authors' code: a random flip, one in two")
    erasing: Share = stated(0.0, "the authors' code: none")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("nesterov", "the authors' code: SGD, Nesterov's")
    lr: Positive = stated(0.1, "the authors' code: 0.1")
    momentum: Share = stated(0.9, "the authors' code: 0.9")
    weight_decay: NotNegative = stated(5e-4, "the authors' code: 0.0005")
    backbone_lr: Positive = stated(0.1, "the authors' code: a tenth for the backbone")
    epochs: Count = stated(60, "the authors' code: 60")
    warmup: Literal["none", "constant", "linear"] = stated("none", "the authors' code: none")
    warmup_epochs: Whole = stated(0, "the authors' code: none")
    warmup_factor: Positive = stated(1.0, "the authors' code: none")
    schedule: Literal["steps", "cosine"] = stated("steps", "the authors' code: in steps")
    milestones: Milestones = stated((40,), "the authors' code: one step after 40 epochs")
    decay: Positive = stated(0.1, "the authors' code: 0.1")
    images: Count = stated(64, "the authors' code: batches of 64 shuffled images")
    parts: Count = stated(6, "the authors' code: 6 stripes")
    # Positions of a part: those of some rows, of some columns, or drawn at random; "none": all, for every part
    partition: Literal["rows", "columns", "random", "none"] = stated("rows", "the authors' code: equal stripes")
    dim: Count = stated(256, "the authors' code: from 2048 to 256")
    dropout: Dropout = stated(0.5, "the authors' code: 0.5, before the reduction")
    descriptor: Literal["g", "h"] = stated("g", "the authors' code: g, before the reduction")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=10),
        # From random weights, with a warm-up. The backbone keeps its tenth, as six losses' gradients add up in it.
        "full": dict(weights=None, warmup="linear", warmup_epochs=5, warmup_factor=0.01, evaluate_every=10),
        "classroom": bench.CLASSROOM
        | dict(
            lr=3e-3,
            backbone_lr=1.0,
            parts=4,  # layer4 has 8 rows, which 6 does not divide
            dim=128,  # an eighth of layer4's channels, as published
            dropout=0.2,  # the published half is for ten times the epochs
        ),
        "smoke": bench.SMOKE | dict(backbone_lr=1.0, images=16, parts=2, dim=16, dropout=0.2),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        for shrink in (1, 2) if self.half_size_epochs else (1,):
            height, width = (side // shrink for side in self.crop)
            rows, columns = map_size((height, width), self.last_stride)
            whole = {"rows": rows, "columns": columns, "random": rows * columns, "none": self.parts}[self.partition]
            what = self.partition if self.partition in ("rows", "columns") else "positions"
            of = f"of {height} x {width} images, so that all parts are equally large"
            self._require("parts", whole % self.parts == 0, f"a divisor of {whole}, the {what} of layer4's map {of}")

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def network(self, num_pids: int) -> "PCB":
        """The network, its weights drawn from torch's generator."""
        return PCB(self, num_pids)


@plain_dataclass
class PCBOutputs:
    """What a batch gives, for each part."""

    membership: Tensor  # (batch, parts, positions): how much of a position belongs to a part; batch may be 1
    pooled: Tensor  # (batch, parts, c): g
    reduced: Tensor  # (batch, parts, dim): h
    logits: list[Tensor]  # of each part: (batch, identities)


class PCB(Network):
    """Parts of layer4, a reduction that all share, a classifier for each."""

    order: Tensor  # of random parts: (positions,)

    def __init__(self, recipe: PCBRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe, channels = recipe, self.backbone.channels[1]
        self.reduction = reduction(channels, recipe.dim, recipe.dropout)
        self.classifiers = nn.ModuleList(heads.classifier(recipe.dim, num_pids, bias=True) for _ in range(recipe.parts))
        if recipe.partition == "random":
            rows, columns = map_size(recipe.crop, recipe.last_stride)
            self.register_buffer("order", torch.randperm(rows * columns))  # drawn last: nothing else differs

    def forward(self, images: Tensor) -> PCBOutputs:
        """Images (batch, 3, H, W) to what each part says."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        with losses.full_precision(images):
            return self.head(layer4)

    def head(self, layer4: Tensor) -> PCBOutputs:
        """The map of layer4, (batch, c, h, w), to what each part says."""
        vectors = layer4.flatten(2).transpose(1, 2).float()  # f: (batch, positions, 2048)
        membership = self.membership(vectors, *layer4.shape[2:])
        pooled = membership @ vectors * (self.recipe.parts / vectors.shape[1])  # g: (batch, parts, 2048)
        reduced = self.reduction(pooled.flatten(0, 1)).unflatten(0, pooled.shape[:2])  # h: (batch, parts, 256)
        logits = [classify(h) for classify, h in zip(self.classifiers, reduced.unbind(1), strict=True)]
        return PCBOutputs(membership, pooled, reduced, logits)

    def membership(self, vectors: Tensor, h: int, w: int) -> Tensor:
        """How much of each position belongs to each part. Over the parts this sums to 1.

        A part is as large as any other, positions / parts, so g is the mean of its positions.

        Args:
            vectors: The map's vectors f, position by position: (batch, h * w, c).
            h: Rows of the map.
            w: Columns of the map.

        Returns:
            (1, parts, h * w), since here all images are cut alike.
        """
        parts, at = self.recipe.parts, torch.arange(h * w, device=vectors.device)
        match self.recipe.partition:
            case "rows":
                part = at // w * parts // h  # of each position: (h * w,)
            case "columns":
                part = at % w * parts // w
            case "random":
                part = self.order[: h * w].argsort() * parts // (h * w)
            case _:
                return vectors.new_full((1, parts, h * w), 1 / parts)
        return (part == torch.arange(parts, device=vectors.device)[:, None]).float()[None]

    def features(self, images: Tensor) -> Tensor:
        """The parts' g (or h) of images (batch, 3, H, W), each of the same length: (batch, parts * 2048), of length 1.

        So the cosine similarity of two images is the mean of that of their parts.
        """
        return F.normalize(self._described(images), dim=2).flatten(1) / self.recipe.parts**0.5

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before each part is brought to its length."""
        return self._described(images).flatten(1)

    def _described(self, images: Tensor) -> Tensor:
        outputs = self(images)
        return outputs.pooled if self.recipe.descriptor == "g" else outputs.reduced

    def identity_logits(self, images: Tensor) -> Tensor:
        """The mean of the parts' logits, (batch, identities), for single images (batch, 3, H, W)."""
        return torch.stack(self(images).logits).mean(dim=0)

    def loss(self, outputs: PCBOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """The SUM of the parts' cross-entropies; their mean is what the history keeps.

        Each is a mean over single images, so nothing needs to be gathered.
        """
        entropies = torch.stack([losses.identification(part, pids, self.recipe.smoothing) for part in outputs.logits])
        spread, length = losses.spread(outputs.pooled)
        return losses.Losses(
            total=entropies.sum(),
            terms={"identification": entropies.mean().detach()},
            accuracy=losses.accuracy(torch.stack(outputs.logits).sum(dim=0), pids),
            signs={"spread": spread, "length": length},
        )


def map_size(image: tuple[int, int], last_stride: int) -> tuple[int, int]:
    """(rows, columns) of layer4's map of an image (height, width): a sixteenth, or less with a last stride of 2."""
    rows, columns = (-(-side // (16 * last_stride)) for side in image)  # each stride rounds up
    return rows, columns


def reduction(channels: int, dim: int, dropout: float) -> nn.Sequential:
    """From g to h, (rows, channels) to (rows, dim): a 1x1 convolution of vectors is a linear layer.

    The batch normalization takes its statistics over the parts of all images.
    """
    linear = nn.Linear(channels, dim, bias=False)
    nn.init.kaiming_normal_(linear.weight, mode="fan_out")
    return nn.Sequential(nn.Dropout(dropout), linear, nn.BatchNorm1d(dim), nn.ReLU())
