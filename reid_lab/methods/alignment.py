r"""PAN: a network that finds the person in the image, cuts the image's maps out again, and looks a second time.

Detectors leave too much background around a person, or cut a part of the person off. From layer3 of a base branch, a
small network estimates theta: by how much to scale and to shift. Layer1's map is sampled there, zeros outside. A second
branch goes on from the sampled map. Both branches classify, and their features stand side by side:

    stem, layer1 -- layer2 -- layer3 -- layer4 -- mean -- classifier        base: features, half
              |                 |
              |                 +-- layer4' -- mean -- 128 -- theta
              |                                                 |
              +-------------------------------- sampled at theta -- layer2'' .. layer4'' -- mean -- classifier
                                                                            alignment: features, half

A scale below 1 cuts a window out of the map (a crop), above 1 it adds a border of zeros. Two controls of equal size at
the time of search, since theta's network gives no features: ``theta="fixed"`` with ``scale=1.0`` is the identity, that
is an ensemble of two branches; with ``scale=0.8`` each image is cropped by the same amount.

Source: Zheng, Zheng and Yang, "Pedestrian Alignment Network for Large-scale Person Re-identification" (TCSVT 2018,
arXiv 1707.00408). Values are those of the authors' repository Pedestrian_Alignment; no code was taken. It reports
82.81 / 63.35 and 71.59 / 51.51 (rank-1 / mAP on Market-1501 and DukeMTMC-reID). Three things differ here. Our theta has
four numbers, without rotation and shear, and theirs has six: with four, sampling is two products of matrices, whose
gradients are deterministic on every device. Here both branches are trained at once; the authors train the base alone,
then the rest with the base frozen. And the authors add the features of the mirror image.
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
    contradictory,
    silent,
    stated,
)
from reid_lab.methods.recipe import Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather

CODE = "the authors' code: "


@dataclass(frozen=True, kw_only=True)
class AlignmentRecipe(Recipe):
    """Every number of PAN: its value, and what is known about it."""

    method: ClassVar = "alignment"

    backbone: Backbone = stated("resnet50", CODE + "ResNet-50")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", CODE + "ImageNet")
    last_stride: Annotated[Literal[1, 2], EXACT] = stated(2, CODE + "ResNet-50 as it is")
    smoothing: Share = stated(0.0, CODE + "plain cross-entropy")
    resize: Pixels = stated((224, 224), CODE + "224 x 224, whatever the shape of the image")
    crop: Pixels = stated((224, 224), CODE + "224 x 224")
    pad: Whole = silent(10, "windows of 0.85 or 0.875 to 1 of the side are cut out and enlarged")
    flip: Share = stated(0.5, CODE + "random flips")
    erasing: Share = stated(0.0, CODE + "none")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("nesterov", CODE + "SGD with Nesterov's momentum")
    lr: Positive = stated(0.1, CODE + "0.1")
    momentum: Share = stated(0.9, CODE + "0.9")
    weight_decay: NotNegative = stated(5e-4, CODE + "0.0005; 0.0001 for the base")
    backbone_lr: Positive = stated(1e-3, CODE + "0.001 of the rate for filters; 0.02 for biases")
    theta_lr: Positive = stated(1e-5, CODE + "0.00001 of the rate for the last layer before theta")
    epochs: Count = silent(40, "25 epochs of the base alone, then 40 of the rest")
    warmup: Literal["none", "constant", "linear"] = stated("none", CODE + "none")
    warmup_epochs: Whole = stated(0, CODE + "none")
    warmup_factor: Positive = silent(1.0, "no warm-up")
    schedule: Literal["steps", "cosine"] = stated("steps", CODE + "steps")
    milestones: Milestones = stated((30,), CODE + "after 30 of 40 epochs")
    decay: Positive = stated(0.1, CODE + "0.1")
    images: Count = stated(32, CODE + "32 images in a batch")
    dropout: Dropout = contradictory(0.75, CODE + "0.75 for the base, 0.9 for the alignment")
    bnneck: bool = stated(False, CODE + "none")
    theta: Literal["learned", "fixed"] = stated("learned", CODE + "learned")
    scale: Positive = stated(0.8, CODE + "theta begins at a scale of 0.8 and no shift")
    hidden: Count = stated(128, CODE + "128 numbers before theta")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=10),
        "full": dict(weights=None, backbone_lr=1.0, lr=0.03, theta_lr=0.1, dropout=0.5, epochs=60, milestones=(30, 50)),
        "classroom": bench.CLASSROOM
        | dict(lr=3e-4, smoothing=0.1, images=64, backbone_lr=1.0, theta_lr=0.1, dropout=0.0, bnneck=True),
        "smoke": bench.SMOKE
        | dict(
            smoothing=0.1, images=16, backbone_lr=1.0, theta_lr=0.1, dropout=0.0, bnneck=True, last_stride=1, hidden=16
        ),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        moves = self.theta == "fixed" or self.scale != 1  # each position would be hit exactly, where a hat has its tip
        self._require("scale", moves, "another number than 1 where theta is learned, since theta has no gradient there")

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    @property
    def rates(self) -> dict[str, float]:
        """Factors on the learning rate for the backbones and for the last layer before theta."""
        return {"backbone": self.backbone_lr} | ({"theta": self.theta_lr} if self.theta == "learned" else {})

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def network(self, num_pids: int) -> "Alignment":
        """The network, its weights drawn from torch's generator."""
        return Alignment(self, num_pids)


@plain_dataclass
class AlignmentOutputs:
    """What a batch gives, of the base first, then of the alignment branch."""

    theta: Tensor  # (batch, 4): scale of y and x, shift of y and x; the map's corners are at -1 and 1
    pooled: list[Tensor]  # (batch, c) each: the mean of layer4
    vectors: list[Tensor]  # (batch, c) each: after the BNNeck, where there is one
    logits: list[Tensor]  # (batch, identities) each


class Locator(nn.Module):
    """From layer3's map (batch, c, h, w) to theta (batch, 4): a layer4 of its own, two linear layers.

    There is no activation between the linear layers, as in the authors' code. The last one begins with weights of 0 and
    a bias of (scale, scale, 0, 0), so that all images begin with the same theta.
    """

    def __init__(self, layer4: nn.Module, channels: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.layer4, self.hidden = layer4, nn.Linear(channels, hidden)
        self.theta = nn.Linear(hidden, 4)
        nn.init.zeros_(self.theta.weight)
        with torch.no_grad():
            self.theta.bias.copy_(torch.tensor([scale, scale, 0.0, 0.0]))

    def forward(self, layer3: Tensor) -> Tensor:
        """Estimate theta."""
        layer4 = self.layer4(layer3)
        with losses.full_precision(layer3):
            return self.theta(self.hidden(heads.average_pool(layer4, 1).flatten(1)))


class Alignment(Network):
    """A base branch, theta, and a second branch on the sampled map."""

    fixed: Tensor

    def __init__(self, recipe: AlignmentRecipe, num_pids: int) -> None:
        def backbone() -> models.Backbone:
            return models.backbone(recipe.backbone, recipe.last_stride, recipe.weights)

        super().__init__(backbone(), num_pids, recipe.crop)
        self.recipe, other, channels = recipe, backbone(), self.backbone.channels[1]
        self.branch = nn.Sequential(other.layer2, other.layer3, other.layer4)
        learned = recipe.theta == "learned"
        self.locator = Locator(backbone().layer4, channels, recipe.hidden, recipe.scale) if learned else None
        self.register_buffer("fixed", torch.tensor([recipe.scale, recipe.scale, 0.0, 0.0]), persistent=False)
        self.necks = nn.ModuleList(heads.BNNeck(channels) if recipe.bnneck else nn.Identity() for _ in range(2))
        self.dropout = nn.Dropout(recipe.dropout)
        self.classifiers = nn.ModuleList(heads.classifier(channels, num_pids, bias=True) for _ in range(2))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The groups "backbone" (of both branches and of the locator), "head" and, where it is learned, "theta"."""
        theta = list(self.locator.theta.parameters()) if self.locator else []
        backbone = [*self.backbone.parameters(), *self.branch.parameters()]
        backbone += self.locator.layer4.parameters() if self.locator else []
        named = {id(parameter) for parameter in (*theta, *backbone)}
        head = [p for p in self.parameters() if p.requires_grad and id(p) not in named]
        return {"backbone": backbone, "head": head} | ({"theta": theta} if theta else {})

    def forward(self, images: Tensor) -> AlignmentOutputs:
        """Images (batch, 3, H, W) to theta, and to features and logits of both branches."""
        base = self.backbone
        layer1 = base.layer1(base.maxpool(base.relu(base.bn1(base.conv1(images)))))  # (batch, 256, H/4, W/4)
        layer3 = base.layer3(base.layer2(layer1))
        theta = self.locator(layer3) if self.locator else self.fixed.expand(len(images), 4)
        with losses.full_precision(images):
            aligned = sample(layer1.float(), theta)
        maps = [base.layer4(layer3), self.branch(aligned)]  # (batch, 2048, H/32, W/32) each
        with losses.full_precision(images):
            pooled = [heads.average_pool(layer4, 1).flatten(1) for layer4 in maps]
            vectors = [neck(vector) for neck, vector in zip(self.necks, pooled, strict=True)]
            logits = [
                classifier(self.dropout(vector)) for classifier, vector in zip(self.classifiers, vectors, strict=True)
            ]
        return AlignmentOutputs(theta, pooled, vectors, logits)

    def features(self, images: Tensor) -> Tensor:
        """Both branches' features of images (batch, 3, H, W), of equal weight, together of length 1: (batch, 2 c)."""
        return torch.cat([F.normalize(vector, dim=1) for vector in self(images).vectors], dim=1) / 2**0.5

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before each branch's are brought to length 1."""
        return torch.cat(self(images).vectors, dim=1)

    def identity_logits(self, images: Tensor) -> Tensor:
        """The mean of both classifiers' answers (batch, identities) for single images (batch, 3, H, W)."""
        return torch.stack(self(images).logits).mean(dim=0)

    def loss(self, outputs: AlignmentOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """The sum of both branches' cross-entropies, means over single images, so nothing needs to be gathered."""
        base, alignment = (losses.identification(logits, pids, self.recipe.smoothing) for logits in outputs.logits)
        spread, length = losses.spread(outputs.pooled[1])
        return losses.Losses(
            total=base + alignment,
            terms={"base": base.detach(), "alignment": alignment.detach()},
            accuracy=losses.accuracy(torch.stack(outputs.logits).sum(dim=0), pids),
            signs={"spread": spread, "length": length},
        )


def sample(maps: Tensor, theta: Tensor) -> Tensor:
    """Sample a map at a scaled and shifted grid, linear between positions, zeros outside.

    Along an axis of n positions, which lie at g from -1 to 1, the output at g looks at the input at scale g + shift.
    Counted in positions, the output's i looks at s(i) = (scale g(i) + shift + 1) (n - 1) / 2. That is a matrix of hat
    functions, R[i, j] = max(0, 1 - |s(i) - j|), and the output is Ry X Rx^T. It is what ``F.grid_sample`` gives with
    ``align_corners=True`` and a theta without rotation and shear.

    Args:
        maps: (batch, c, h, w).
        theta: (batch, 4): scale of y and x, shift of y and x.

    Returns:
        (batch, c, h, w).
    """
    rows = _hats(maps.shape[2], theta[:, 0], theta[:, 2])  # (batch, h, h)
    columns = _hats(maps.shape[3], theta[:, 1], theta[:, 3])  # (batch, w, w)
    return rows[:, None] @ maps @ columns[:, None].transpose(2, 3)


def _hats(size: int, scale: Tensor, shift: Tensor) -> Tensor:
    """How much of each input position each output position sees: (batch, size, size)."""
    positions = torch.arange(size, device=scale.device, dtype=scale.dtype)
    middle = (size - 1) / 2  # (-1 and 1 are the first and the last position)
    source = scale[:, None] * (positions - middle) + (shift[:, None] + 1) * middle  # (batch, size)
    return F.relu(1 - (source[:, :, None] - positions).abs())
