r"""SVDNet: Y. Sun, L. Zheng, W. Deng and S. Wang, "SVDNet for Pedestrian Retrieval" (ICCV 2017, arXiv 1703.05693).

A linear layer without bias, the Eigenlayer, stands before the classifier; each column of its matrix W is a weight
vector. Weight vectors that resemble one another count the same thing several times in a Euclidean distance, so training
replaces them by orthogonal ones, and goes on from there:

    layer4 -- mean -- Eigenlayer, W^T x -- dropout -- classifier -- cross-entropy
                   |                    |
           features "input"     features "output"        compared by Euclidean distance

    stage            before its first step            what is trained
    base             W is random                      everything
    restraint 1      W = U S V^T becomes U S          everything but W
    relaxation 1     nothing                          everything, or all but the first layers
    restraint 2      W = U S V^T becomes U S          everything but W
    ...

U S changes no distance between two outputs: it is (x - y)^T W W^T (x - y), and W W^T = U S^2 U^T is the same for both.
What a round gains, it gains by the training after it. So the fair comparison has the same stages without the SVD.

Numbers of the paper, with ResNet-50 (rank-1 / mAP): Market-1501 82.3 / 62.1, DukeMTMC-reID 76.7 / 56.8. These are said
to be those of the Eigenlayer's input; its output has 81.4 / 61.2 and 75.9 / 56.3 (unconfirmed).

"SVDNet+Era" in tables is the same network with random erasing: Zhong, Zheng, Kang, Li and Yang, "Random Erasing Data
Augmentation" (AAAI 2020, arXiv 1708.04896), 87.08 / 71.31 and 79.31 / 62.44. Its authors trained SVDNet anew, with
other images (256 x 128, unconfirmed). Without erasing they had 84.41 / 65.60 and 76.82 / 57.70 (unconfirmed), so that a
comparison with the numbers above changes two things at once. Here ``erasing=0.5`` changes one.

The authors' code is public, for academic use; no code was taken.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal, Self

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
from reid_lab.methods.stage import Stage
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather
from reid_lab.runtime.errors import RecipeError

Rounds = Annotated[tuple[Positive, ...], Field(description="a list of factors above 0, such as [1.0, 0.1]")]
CODE = "the authors' code: "


@dataclass(frozen=True, kw_only=True)
class SVDNetRecipe(Recipe):
    """Every number of SVDNet. Most are those of the authors' code, since the paper itself was not at hand."""

    method: ClassVar = "svdnet"

    backbone: Backbone = stated("resnet50", CODE + "ResNet-50; another version has CaffeNet")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", CODE + "fine-tuned from ImageNet")
    last_stride: Annotated[Literal[1, 2], EXACT] = stated(2, CODE + "7 x 7 positions of 224 x 224 pixels")
    smoothing: Share = stated(0.0, CODE + "plain cross-entropy")
    resize: Pixels = stated((224, 224), CODE + "224 x 224")
    crop: Pixels = stated((224, 224), CODE + "224 x 224")
    pad: Whole = stated(0, CODE + "no crop")
    flip: Share = stated(0.5, CODE + "mirrored images")
    erasing: Share = stated(0.0, CODE + "none; 0.5 in the paper on random erasing")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("sgd", CODE + "SGD")
    lr: Positive = stated(1e-3, CODE + "0.001")
    momentum: Share = stated(0.9, CODE + "0.9")
    weight_decay: NotNegative = stated(5e-4, CODE + "0.0005")
    epochs: Count = stated(62, CODE + "25,000 steps of 32 images before the first SVD")
    warmup: Literal["none", "constant", "linear"] = stated("none", CODE + "none")
    warmup_epochs: Whole = stated(0, CODE + "none")
    warmup_factor: Positive = stated(1.0, CODE + "none")
    schedule: Literal["steps", "cosine"] = stated("steps", CODE + "in steps")
    milestones: Milestones = stated((25, 49), CODE + "x 0.1 every 10,000 steps")
    decay: Positive = stated(0.1, CODE + "x 0.1")
    images: Count = stated(32, CODE + "16 on each of two GPUs")
    eigen_dim: Count = stated(1024, CODE + "1024 weight vectors")
    input_norm: bool = silent(False, "nothing; with it, a BNNeck stands before the Eigenlayer")
    dropout: Dropout = stated(0.5, CODE + "0.5, after the Eigenlayer")
    rounds: Rounds = stated((1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.1), CODE + "7 rounds, and the rate in each of them")
    restraint_epochs: Count = stated(20, CODE + "8,000 steps")
    relaxation_epochs: Count = stated(20, CODE + "8,000 steps")
    round_milestones: Milestones = stated((12,), CODE + "x 0.1 after 5,000 steps of a restraint or relaxation")
    decorrelation: Literal["svd", "none"] = stated("svd", "U S; with none, the stages begin anew and W stays (ours)")
    matching: Literal["nearest", "order"] = stated("nearest", CODE + "each column takes the nearest one of U S")
    penalty: NotNegative = stated(0.0, "none; weight of 1 - S(W) in the loss (ours)")
    fixed_statistics: bool = stated(True, CODE + "the backbone's batch norms keep ImageNet's statistics")
    partial_relaxation: bool = stated(True, CODE + "conv1, layer1 and batch norms stand still in relaxation")
    descriptor: Literal["input", "output"] = unconfirmed("input", "both; the authors' page takes the output")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=20),
        # From random weights, shorter, for one GPU: 20 epochs and two rounds of 10 + 10.
        "full": dict(weights=None, fixed_statistics=False, partial_relaxation=False, input_norm=True, evaluate_every=10)
        | dict(lr=0.03, epochs=20, milestones=(15,), warmup="linear", warmup_epochs=5, warmup_factor=0.1)
        | dict(rounds=(1.0, 1.0), restraint_epochs=10, relaxation_epochs=10, round_milestones=(6,)),
        "classroom": bench.CLASSROOM
        | dict(images=64, eigen_dim=256, dropout=0.0, fixed_statistics=False, partial_relaxation=False)
        | dict(input_norm=True)  # without it the bare linear layer has no scale, and learns slowly
        | dict(epochs=2, rounds=(1.0, 1.0), restraint_epochs=1, relaxation_epochs=1, round_milestones=()),  # 6 epochs
        "smoke": bench.SMOKE
        | dict(last_stride=1, images=16, eigen_dim=32, dropout=0.0, fixed_statistics=False, partial_relaxation=False)
        | dict(input_norm=True)
        | dict(epochs=1, rounds=(1.0,), restraint_epochs=1, relaxation_epochs=1, round_milestones=()),
    }

    from_random: ClassVar = bench.FROM_RANDOM | dict(epochs=6, restraint_epochs=3, relaxation_epochs=3)

    def _check(self) -> None:
        super()._check()
        random = self.weights is None
        self._require("fixed_statistics", not (self.fixed_statistics and random), "false with random weights")

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The base, then a restraint and a relaxation in each round."""
        found = [Stage("base", self.epochs, self.lr, self.milestones)]
        restrained = ("backbone", "still", "head")
        relaxed = ("backbone", "eigen", "head") if self.partial_relaxation else ()
        for number, rate in enumerate(self.rounds, start=1):
            how = self.lr * rate, self.round_milestones
            found.append(Stage(f"restraint {number}", self.restraint_epochs, *how, restrained))
            found.append(Stage(f"relaxation {number}", self.relaxation_epochs, *how, relaxed))
        return tuple(found)

    @property
    def rates(self) -> dict[str, float]:
        """Factors on the learning rate; both groups of the backbone have its own."""
        return {"backbone": self.backbone_lr, "still": self.backbone_lr}

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def network(self, num_pids: int) -> "SVDNet":
        """The network, its weights drawn from torch's generator."""
        return SVDNet(self, num_pids)


@plain_dataclass
class SVDNetOutputs:
    """What a batch gives."""

    given: Tensor  # (batch, c): the Eigenlayer's input
    projected: Tensor  # (batch, eigen_dim): its output, W^T x
    logits: Tensor  # (batch, identities)


class SVDNet(Network):
    """The mean of layer4, the Eigenlayer, a classifier."""

    metric = "euclidean"  # the paper's argument is about Euclidean distances; lengths are kept

    def __init__(self, recipe: SVDNetRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        channels, dim = self.backbone.channels[1], recipe.eigen_dim
        if dim > channels:
            raise RecipeError(
                f"The recipe's field eigen_dim is {dim}; it must be at most {channels}, the channels of "
                f"{recipe.backbone}: more weight vectors cannot be orthogonal. Take a smaller eigen_dim."
            )
        self.input_norm = heads.BNNeck(channels) if recipe.input_norm else nn.Identity()
        self.eigen = nn.Linear(channels, dim, bias=False)  # its weight is W^T: (dim, channels), a vector in each row
        nn.init.normal_(self.eigen.weight, std=0.01)
        self.dropout = nn.Dropout(recipe.dropout)
        self.classifier = heads.classifier(dim, num_pids, bias=True)

    def forward(self, images: Tensor) -> SVDNetOutputs:
        """Images (batch, 3, H, W) to the Eigenlayer's input and output, and the logits."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        with losses.full_precision(images):
            given = self.input_norm(heads.average_pool(layer4, 1).flatten(1))  # (batch, 2048)
            projected = self.eigen(given)  # (batch, 1024)
            return SVDNetOutputs(given, projected, self.classifier(self.dropout(projected)))

    def features(self, images: Tensor) -> Tensor:
        """The Eigenlayer's input (batch, 2048), or its output (batch, 1024), with their lengths."""
        return self._descriptor(self(images))

    def _descriptor(self, outputs: SVDNetOutputs) -> Tensor:
        return outputs.given if self.recipe.descriptor == "input" else outputs.projected

    def identity_logits(self, images: Tensor) -> Tensor:
        """The classifier's answer (batch, identities) for single images (batch, 3, H, W)."""
        return self(images).logits

    def loss(self, outputs: SVDNetOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Cross-entropy, a mean over single images, so nothing needs to be gathered; S(W) is among the signs."""
        total = losses.identification(outputs.logits, pids, self.recipe.smoothing)
        terms = {"identification": total.detach()}
        with losses.full_precision(total), torch.set_grad_enabled(bool(self.recipe.penalty)):
            s = orthogonality(self.eigen.weight)
        if self.recipe.penalty:
            total = total + self.recipe.penalty * (1 - s)
        spread, length = losses.spread(self._descriptor(outputs))
        signs = {"spread": spread, "length": length, "orthogonality": s.detach()}
        return losses.Losses(total, terms, losses.accuracy(outputs.logits, pids), signs)

    def enter(self, stage: str) -> None:
        """Replace W by U S at the beginning of a restraint."""
        if stage.startswith("restraint") and self.recipe.decorrelation == "svd":
            with torch.no_grad():
                self.eigen.weight.copy_(uncorrelated(self.eigen.weight, self.recipe.matching))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The Eigenlayer, which a restraint freezes, and what a partial relaxation freezes, are groups of their own."""
        backbone, head = super().groups().values()
        norms = [m for m in self.backbone.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        first = [self.backbone.conv1, self.backbone.layer1, *norms]
        still = {id(parameter) for module in first for parameter in module.parameters()}
        return {
            "backbone": [parameter for parameter in backbone if id(parameter) not in still],
            "still": [parameter for parameter in backbone if id(parameter) in still],
            "eigen": list(self.eigen.parameters()),
            "head": [parameter for parameter in head if parameter is not self.eigen.weight],
        }

    def train(self, mode: bool = True) -> Self:
        """Set the mode; with ``fixed_statistics`` the backbone's batch norms stay in evaluation mode."""
        super().train(mode)
        if self.recipe.fixed_statistics:
            for module in self.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self


def orthogonality(vectors: Tensor) -> Tensor:
    """S(W), the paper's measure of how orthogonal weight vectors are.

    With G = W^T W, the products of all pairs of vectors, it is sum_i g_ii / sum_ij |g_ij|.

    Args:
        vectors: W^T, a weight vector in each row, (k, d).

    Returns:
        A scalar from 1 / k, where all vectors are the same, to 1, where each is orthogonal to all others.
    """
    gram = vectors @ vectors.T  # (k, k)
    return gram.diagonal().sum() / gram.abs().sum().clamp(min=torch.finfo(gram.dtype).tiny)


def uncorrelated(vectors: Tensor, matching: str = "nearest") -> Tensor:
    """Replace weight vectors by orthogonal ones that give the same distances: W = U S V^T by U S.

    In which order, and with which signs, U S is written into W changes no distance. It matters to the classifier, whose
    weights stay. An SVD leaves the signs open. Here each vector gets the sign that suits the one whose place it takes,
    so that all machines agree.

    Args:
        vectors: W^T, a weight vector in each row, (k, d), with k at most d.
        matching: "nearest": one after another, each old vector is replaced by that new one, among those that are left,
            to which its angle is the smallest. "order": by falling singular values.

    Returns:
        The new W^T, (k, d), in float64 on the CPU.
    """
    old = vectors.detach().cpu().double()
    _, s, u = torch.linalg.svd(old, full_matrices=False)  # W^T = V S U^T
    new = s[:, None] * u  # (k, d): the columns of U S
    cosines = F.normalize(old, dim=1) @ F.normalize(new, dim=1).T  # (k, k): of each old vector with each new one
    taken = torch.arange(len(old)) if matching == "order" else _nearest(cosines.abs())
    chosen = cosines.gather(1, taken[:, None])  # (k, 1)
    return torch.where(chosen < 0, -new[taken], new[taken])


def _nearest(closeness: Tensor) -> Tensor:
    """For each row in turn the column of its largest number, among those that no earlier row has taken: (k,)."""
    left, taken = closeness.clone(), list[int]()
    for row in range(len(left)):
        taken.append(int(left[row].argmax()))
        left[:, taken[-1]] = -1
    return torch.tensor(taken)
