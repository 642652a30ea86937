r"""Paper A: Z. Cao and H. J. Lee, "Improved Res2Net model for Person re-identification".

IEEE CogMI 2019, arXiv:1910.04061.

Two images go through one network. It says who each is (identification) and whether both are the same person
(verification); the features in between learn from all three answers:

    anchor  --\                     /-- f1 -- identity of the anchor    weight 0.5
               backbone, projection                \
               (shared weights)             (f1 - f2)^2 -- same or not   weight 1
    partner --/                     \-- f2 -- identity of the partner   weight 0.5
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from reid_lab import data, losses, models
from reid_lab.methods.fields import (
    EXACT,
    Area,
    Aspect,
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
from reid_lab.methods.recipe import SLIM, Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, evaluating, no_gather
from reid_lab.runtime.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class MultiTaskRecipe(Recipe):
    """Every number of paper A: its value, and what the paper says about it."""

    method: ClassVar = "multitask"
    groups: ClassVar = 2  # anchors and partners

    backbone: Backbone = stated("res2net50", 'Res2Net-50 and a "Res2Net-121", which is 101 (II.A, Table 3)')
    weights: Literal[None, "imagenet", "passersby"] = contradictory(
        "imagenet", "ImageNet's (II.A); random at the start (III.C, warm-up)"
    )
    last_stride: Annotated[Literal[1, 2], EXACT] = silent(2, "nothing; 2 is the original network's")
    smoothing: Share = stated(0.0, "targets of 0 and 1 (eq. 2)")
    resize: Pixels = contradictory((288, 144), "resized to 256 x 128 (II.A) and cropped to 256 x 128 (III.B)")
    crop: Pixels = stated((256, 128), "a random 256 x 128 crop; 256 x 128 at test time (III.B)")
    pad: Whole = silent(0)
    flip: Share = silent(0.5)
    erasing: Share = contradictory(0.5, "0.5 (III.C), but Tables 2 and 3 agree at 0.4")
    erasing_area: Area = silent((0.02, 0.4), "cites random erasing's authors, whose values these are")
    erasing_aspect: Aspect = silent((0.3, 3.33), "the same")
    erasing_attempts: Count = silent(100, "the same")
    erasing_fill: Literal["random", "mean"] = stated("random", "random values (III.C)")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("sgd", "SGD in mini-batches (III.B)")
    lr: Positive = stated(0.05, "0.05 at first (III.B)")
    momentum: Share = silent(0.9)
    weight_decay: NotNegative = silent(5e-4)
    backbone_lr: Positive = silent(0.1, "nothing; slower where it starts from ImageNet weights")
    epochs: Count = stated(256, "256 (III.B)")
    warmup: Literal["none", "constant", "linear"] = stated("constant", "one tenth of the rate, no ramp (III.C)")
    warmup_epochs: Whole = stated(5, "the first five (III.C)")
    warmup_factor: Positive = stated(0.1, "0.1 (III.C)")
    schedule: Literal["steps", "cosine"] = stated("steps", "in steps (III.B)")
    milestones: Milestones = stated(
        (40, 80, 120, 160, 200, 240), "every 40 epochs (III.B); from 160 on hardly a change"
    )
    decay: Positive = stated(0.1, "0.1 (III.B)")
    pairs: Count = silent(32, "no batch size")
    # the probability of a positive partner; "annealed": from 1/2 towards 1/5
    positive: Share | Literal["annealed"] = silent(0.5, "partners of the same or another class, shares open")
    cross_camera: bool = silent(False)  # draw a positive partner from another camera where one exists
    embed_dim: Whole = stated(4096, "f is 1 x 1 x 4096 (II.C); Res2Net has 2048: projected")  # 0: not projected
    embed_norm: bool = silent(False)  # batch normalization of f, which sets its scale
    identification: NotNegative = stated(0.5, "0.5 for each of the two images (III.B)")
    verification: NotNegative = stated(1.0, "1 (III.B)")
    dropout_identification: Dropout = silent(0.5)  # before the two classifiers
    dropout_verification: Dropout = silent(0.5)

    sizes: ClassVar = {
        "paper": dict(evaluate_every=16),
        # The paper's network from random weights, so its backbone learns at the whole rate; shorter, for one GPU.
        "full": dict(weights=None, backbone_lr=1.0, epochs=60, milestones=(30, 50), evaluate_every=10),
        "classroom": SLIM
        | dict(
            backbone="res2net_slim",
            weights="passersby",
            last_stride=1,
            smoothing=0.1,
            pad=5,
            erasing=0.0,  # the grid `erasing` asks what it does at this length
            lr=3e-4,  # the best of five on validation people: the grid `tuning_multitask`
            pairs=16,  # twice the steps of 32; from random weights with those, one seed in two learned half as much
            backbone_lr=1.0,
            weight_decay=0.05,
            epochs=4,
            warmup="linear",
            warmup_epochs=1,
            embed_dim=512,
            embed_norm=True,  # without it f has no fixed scale, and which learning rate is stable depends on it
            positive=0.2,  # half positive pairs leave fewer identities in a batch: the grid `heads` has both
            dropout_identification=0.0,
            dropout_verification=0.0,
        ),
        "smoke": SLIM
        | dict(
            backbone="res2net_slim",
            resize=(72, 54),  # three columns in layer4: of two, AMX makes wrong numbers in bf16
            crop=(64, 48),
            lr=2e-3,
            backbone_lr=1.0,
            epochs=3,
            warmup_epochs=1,
            embed_dim=64,
            pairs=8,
            evaluate_every=1,
        ),
    }

    from_random: ClassVar = dict(last_stride=2, lr=3e-3, epochs=8, warmup_epochs=2, evaluate_every=2)

    @property
    def batch(self) -> int:
        """Images in a batch: the anchors, then their partners."""
        return 2 * self.pairs

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PairSampler:
        """Images in random order are anchors; the partner shows the same person or another one (II.B)."""
        return data.PairSampler(labels, camids, self.pairs, self.positive, self.cross_camera, seed)

    def network(self, num_pids: int) -> "MultiTask":
        """Paper A's network, its weights drawn from torch's generator."""
        return MultiTask(self, num_pids)


@plain_dataclass
class MultiTaskOutputs:
    """What a batch of B pairs gives: anchors first, their partners after them, in the same order."""

    features: Tensor  # (2B, d): f
    identity_logits: Tensor  # (2B, identities)
    pair_logits: Tensor  # (B, 2): class 0 is "same", class 1 is "different"


class MultiTask(Network):
    """Identification and verification on the same features (paper A, Fig. 1)."""

    def __init__(self, recipe: MultiTaskRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        channels = self.backbone.channels[1]
        dim = recipe.embed_dim or channels
        # After global average pooling, a 1x1 convolution is a linear layer.
        self.projection = nn.Linear(channels, dim) if recipe.embed_dim else nn.Identity()
        self.norm = nn.BatchNorm1d(dim) if recipe.embed_norm else nn.Identity()
        self.dropout_identification = nn.Dropout(recipe.dropout_identification)
        self.dropout_verification = nn.Dropout(recipe.dropout_verification)
        self.identity_classifier = heads.classifier(dim, num_pids, bias=True)  # theta_I
        self.pair_classifier = heads.classifier(dim, 2, bias=True)  # theta_s

    def features(self, images: Tensor) -> Tensor:
        """Paper A's f of images (batch, 3, H, W): (batch, 4096). Compare by cosine similarity."""
        _, layer4 = self.backbone(images)  # (batch, 2048, H/32, W/32)
        with losses.full_precision(images):
            pooled = heads.average_pool(layer4, 1).flatten(1)  # (batch, 2048)
            return self.norm(self.projection(pooled))  # (batch, 4096)

    def forward(self, images: Tensor) -> MultiTaskOutputs:
        """Answer for B pairs of images.

        Args:
            images: (2B, 3, H, W), B anchors, then their B partners.

        Raises:
            TrainingError: the number of images is odd.
        """
        if len(images) % 2:
            raise TrainingError(
                f"MultiTask was given {len(images)} images, but it takes pairs, the anchors before their "
                "partners: draw batches with a PairSampler, or use embed() for single images."
            )
        f = self.features(images)  # (2B, 4096)
        with losses.full_precision(images):
            identity_logits = self.identity_classifier(self.dropout_identification(f))  # eq. 1: theta_I o f
            f1, f2 = f.chunk(2)  # (B, 4096) each
            pair_logits = self._compare(f1, f2)
        return MultiTaskOutputs(f, identity_logits, pair_logits)

    def _compare(self, f1: Tensor, f2: Tensor) -> Tensor:
        f_s = losses.square_layer(f1, f2)  # eq. 3
        return self.pair_classifier(self.dropout_verification(f_s))  # (B, 2), eq. 4: theta_s o f_s

    def loss(self, outputs: MultiTaskOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """0.5 Identify(f1) + 0.5 Identify(f2) + 1 Verify(f1, f2): section III.B, with eqs. 2 and 5.

        Every term is a mean over single images or pairs, so nothing needs to be gathered.
        """
        pids1, pids2 = pids.chunk(2)  # (B,) each
        logits1, logits2 = outputs.identity_logits.chunk(2)  # (B, identities) each
        identify1 = losses.identification(logits1, pids1, self.recipe.smoothing)  # eq. 2
        identify2 = losses.identification(logits2, pids2, self.recipe.smoothing)  # eq. 2
        verify = losses.verification(outputs.pair_logits, pids1 == pids2)  # eq. 5
        identification, verification = self.recipe.identification, self.recipe.verification
        total = identification * identify1 + identification * identify2 + verification * verify
        spread, length = losses.spread(outputs.features)
        return losses.Losses(
            total=total,
            terms={
                "identification_anchor": identify1.detach(),
                "identification_partner": identify2.detach(),
                "verification": verify.detach(),
            },
            accuracy=losses.accuracy(outputs.identity_logits, pids),
            signs={"spread": spread, "length": length},
        )

    def identity_logits(self, images: Tensor) -> Tensor:
        """The classifier's answer (batch, identities) for single images (batch, 3, H, W)."""
        return self.identity_classifier(self.features(images))

    def verify(self, features1: Tensor, features2: Tensor) -> Tensor:
        """The probability that two images show one person, eq. 4's q^_1.

        Args:
            features1: (pairs, d), as ``embed`` returns them.
            features2: (pairs, d); or (1, d), to compare one with many.

        Returns:
            (pairs,).
        """
        with evaluating(self), losses.full_precision(features1):
            return torch.softmax(self._compare(features1.float(), features2.float()), dim=1)[:, 0]
