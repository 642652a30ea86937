r"""JLML: W. Li, X. Zhu and S. Gong, "Person Re-Identification by Deep Joint Learning of Multi-Loss Classification".

International Joint Conference on Artificial Intelligence, 2017, arXiv 1705.04724. Tables of other papers call it
MultiLoss.

A global branch sees the whole image, a local branch sees horizontal stripes of it. They share the first layers only.
Each has a classifier and a loss of its own:

    stem --+-- layer1 .. layer4 -- mean ------------ W_G ----- 512 -- classifier -- cross-entropy
           |                                               features, side by side
           +-- 4 stripes -- layer1 .. layer4 -- mean of each -- 4 W_L -- 4 x 128 -- classifier -- cross-entropy

Two penalties are added. That on W_G favors few inputs (the group lasso). That on the W_L favors few outputs of each
input (the exclusive lasso; which weights form a group is our reading). Gradient steps never make a weight exactly 0.
So the sign "idle_inputs" is the share of W_G's inputs whose weights have nearly vanished.

Numbers of the paper (rank-1 / mAP): Market-1501 85.1 / 65.5. Other tables quote 83.9 / 64.4, which seems to come from
its first version on arXiv (unconfirmed).

The layers are our reading. The paper has a ResNet of 39 layers, whose widths were not at hand. Here both branches are
those of one backbone, and all stripes share the layers of the local one, so that both may start from the same weights.
Most numbers of the recipe are unconfirmed or ours. No public code is known, and none was taken.
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
    Share,
    Whole,
    silent,
    stated,
    unconfirmed,
)
from reid_lab.methods.recipe import Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather

IDLE = 1e-3  # an input whose weights are together shorter than this has nearly vanished


@dataclass(frozen=True, kw_only=True)
class MultiLossRecipe(Recipe):
    """Every number of JLML that is known, and ours for the others."""

    method: ClassVar = "multi_loss"

    backbone: Backbone = unconfirmed("resnet50", "a ResNet of 39 layers; ResNet-50 is ours")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", "ImageNet first")
    last_stride: Annotated[Literal[1, 2], EXACT] = silent(2)
    smoothing: Share = unconfirmed(0.0, "plain cross-entropy")
    resize: Pixels = unconfirmed((224, 224), "224 x 224")
    crop: Pixels = unconfirmed((224, 224), "224 x 224")
    pad: Whole = silent(0)
    flip: Share = silent(0.5)
    erasing: Share = silent(0.0, "nothing; random erasing was published later")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = silent("sgd")
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
    images: Count = unconfirmed(32, "batches of 32")
    streams: Count = stated(4, "four stripes; 1 makes a second global branch of equal size (ours)")
    dim: Count = unconfirmed(512, "512 for each branch")
    input_norm: bool = silent(False, "nothing; with it, a BNNeck stands before W_G and W_L")
    sparsity: NotNegative = unconfirmed(5e-4, "0.0005 for both penalties")
    merged: bool = stated(False, "each branch has its own loss; one loss for both is worse")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=20),
        "full": dict(weights=None, lr=0.03, warmup="linear", warmup_epochs=5, warmup_factor=0.1)
        | dict(input_norm=True, evaluate_every=10),
        "classroom": bench.CLASSROOM
        | dict(images=64, dim=256)
        | dict(input_norm=True),  # without it a bare linear layer has no scale, and learns slowly
        "smoke": bench.SMOKE | dict(last_stride=1, images=16, dim=32, input_norm=True),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        for shrink in (1, 2) if self.half_size_epochs else (1,):
            rows = -(-self.crop[0] // (4 * shrink))  # of the stem's map
            self._require("streams", rows % self.streams == 0, f"a divisor of {rows}, the rows of the stem's map")
        self._require("dim", self.dim % self.streams == 0, f"a multiple of streams = {self.streams}")

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def network(self, num_pids: int) -> "MultiLoss":
        """The network, its weights drawn from torch's generator."""
        return MultiLoss(self, num_pids)


@plain_dataclass
class MultiLossOutputs:
    """What a batch gives."""

    whole: Tensor  # (batch, dim): the global branch's features
    local: Tensor  # (batch, dim): those of all stripes side by side
    logits: list[Tensor]  # (batch, identities) of each branch, or of both together


class MultiLoss(Network):
    """A global and a local branch on one stem."""

    def __init__(self, recipe: MultiLossRecipe, num_pids: int) -> None:
        first, second = (models.backbone(recipe.backbone, recipe.last_stride, recipe.weights) for _ in range(2))
        super().__init__(first, num_pids, recipe.crop)
        self.recipe = recipe
        self.stripes = nn.Sequential(second.layer1, second.layer2, second.layer3, second.layer4)
        channels, dim, streams = self.backbone.channels[1], recipe.dim, recipe.streams
        self.norms = nn.ModuleList(heads.BNNeck(channels) if recipe.input_norm else nn.Identity() for _ in range(2))
        self.w_g = nn.Linear(channels, dim, bias=False)
        self.w_l = nn.ModuleList(nn.Linear(channels, dim // streams, bias=False) for _ in range(streams))
        sizes = [2 * dim] if recipe.merged else [dim, dim]
        self.classifiers = nn.ModuleList(heads.classifier(size, num_pids, bias=True) for size in sizes)

    def forward(self, images: Tensor) -> MultiLossOutputs:
        """Images (batch, 3, H, W) to the features of both branches and their logits."""
        b, streams = self.backbone, self.recipe.streams
        stem = b.maxpool(b.relu(b.bn1(b.conv1(images))))  # (batch, 64, H/4, W/4)
        whole = b.layer4(b.layer3(b.layer2(b.layer1(stem))))  # (batch, 2048, h, w)
        stripes = stem.unflatten(2, (streams, -1)).transpose(1, 2).flatten(0, 1)  # (batch x 4, 64, H/16, W/4)
        local = self.stripes(stripes.contiguous(memory_format=torch.channels_last))  # (batch x 4, 2048, ...)
        with losses.full_precision(images):
            pooled = [
                norm(heads.average_pool(maps, 1).flatten(1))
                for norm, maps in zip(self.norms, (whole, local), strict=True)
            ]
            f_whole = self.w_g(pooled[0])  # (batch, 512)
            each = pooled[1].unflatten(0, (-1, streams)).unbind(dim=1)  # 4 x (batch, 2048)
            f_local = torch.cat([w(stripe) for w, stripe in zip(self.w_l, each, strict=True)], dim=1)  # (batch, 512)
            seen = [torch.cat([f_whole, f_local], dim=1)] if self.recipe.merged else [f_whole, f_local]
            logits = [classifier(features) for classifier, features in zip(self.classifiers, seen, strict=True)]
        return MultiLossOutputs(f_whole, f_local, logits)

    def features(self, images: Tensor) -> Tensor:
        """The features of both branches side by side, of length 1: (batch, 2 x 512)."""
        return F.normalize(self.unnormalized_features(images), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1."""
        outputs = self(images)
        return torch.cat([outputs.whole, outputs.local], dim=1)

    def identity_logits(self, images: Tensor) -> Tensor:
        """The mean of the classifiers' answers, (batch, identities), for single images (batch, 3, H, W)."""
        return torch.stack(self(images).logits).mean(dim=0)

    def loss(self, outputs: MultiLossOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """The sum of the branches' cross-entropies, and ``sparsity`` times both penalties.

        All are means over single images or functions of the weights, so nothing needs to be gathered.
        """
        entropies = [losses.identification(logits, pids, self.recipe.smoothing) for logits in outputs.logits]
        terms = dict(zip(["merged"] if self.recipe.merged else ["global", "local"], entropies, strict=True))
        total = torch.stack(entropies).sum()
        if self.recipe.sparsity:
            exclusive = torch.stack([exclusive_lasso(w.T) for w in self.w_l.parameters()]).sum()
            terms |= {"group_lasso": group_lasso(self.w_g.weight.T), "exclusive_lasso": exclusive}
            total = total + self.recipe.sparsity * (terms["group_lasso"] + exclusive)
        spread, length = losses.spread(torch.cat([outputs.whole, outputs.local], dim=1))
        idle = (self.w_g.weight.detach().norm(dim=0) < IDLE).float().mean()
        return losses.Losses(
            total=total,
            terms={name: term.detach() for name, term in terms.items()},
            accuracy=losses.accuracy(torch.stack(outputs.logits).sum(dim=0), pids),
            signs={"spread": spread, "length": length, "idle_inputs": idle},
        )

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The layers of both branches are the backbone."""
        backbone, head = super().groups().values()
        stripes = list(self.stripes.parameters())
        known = {id(parameter) for parameter in stripes}
        return {"backbone": backbone + stripes, "head": [p for p in head if id(p) not in known]}


def group_lasso(weights: Tensor) -> Tensor:
    """The sum of the lengths of all groups, which favors few groups: |W|_{2,1}.

    Args:
        weights: A group in each row: (inputs, outputs).
    """
    return weights.norm(dim=1).sum()


def exclusive_lasso(weights: Tensor) -> Tensor:
    """The sum over all groups of (sum of absolute values)^2, which favors few weights in each group.

    Args:
        weights: A group in each row: (inputs, outputs).
    """
    return weights.abs().sum(dim=1).square().sum()
