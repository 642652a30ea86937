"""Paper A: Cao and Lee, "Improved Res2Net model for Person re-identification".

Two images go through one network. It says who each is (identification) and whether both are the same person
(verification); the descriptor in between learns from all three answers:

    anchor  --\\                     /-- f1 -- identity of the anchor    weight 0.5
               backbone, projection                \\
               (shared weights)             (f1 - f2)^2 -- same or not   weight 1
    partner --/                     \\-- f2 -- identity of the partner   weight 0.5
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from reid_lab import data, losses
from reid_lab.methods import sizes
from reid_lab.methods.recipe import Recipe, shared
from reid_lab.models import heads
from reid_lab.models.backbones import backbone as make_backbone
from reid_lab.models.network import Gather, Network, evaluating, must_be_number, must_be_whole, no_gather
from reid_lab.runtime.errors import TrainingError
from reid_lab.runtime.validation import is_number, is_whole


@dataclass
class MultiTaskOutputs:
    """What a batch of B pairs gives: anchors first, their partners after them, in the same order."""

    features: Tensor  # (2B, d): the descriptors f
    identity_logits: Tensor  # (2B, identities)
    pair_logits: Tensor  # (B, 2): class 0 is "same", class 1 is "different"


class MultiTask(Network):
    """Identification and verification on one descriptor (paper A, Fig. 1).

    ``embed_dim`` is the size of the descriptor f (0: the backbone's own); ``embed_norm`` passes it through batch
    normalization, which sets the scale that both classifiers and the square layer see. The two dropouts stand before
    the classifiers; ``identification`` (for each image of a pair) and ``verification`` weigh the losses.
    """

    def __init__(
        self,
        num_pids: int,
        backbone: str = "res2net50",
        embed_dim: int = 4096,
        dropout_identification: float = 0.5,
        dropout_verification: float = 0.5,
        identification: float = 0.5,
        verification: float = 1.0,
        smoothing: float = 0.0,
        embed_norm: bool = False,
        last_stride: int = 2,
        input_size: tuple[int, int] = (256, 128),
        weights: str | None = None,
    ) -> None:
        must_be_whole("embed_dim", embed_dim, 0)
        must_be_number("dropout_identification", dropout_identification, 1)
        must_be_number("dropout_verification", dropout_verification, 1)
        must_be_number("smoothing", smoothing, 1)
        super().__init__(make_backbone(backbone, last_stride, weights), num_pids, input_size)
        channels = self.backbone.channels[1]
        features = embed_dim or channels
        # After global average pooling, a 1x1 convolution is a linear layer.
        self.projection = nn.Linear(channels, embed_dim) if embed_dim else nn.Identity()
        self.norm = nn.BatchNorm1d(features) if embed_norm else nn.Identity()
        self.dropout_identification = nn.Dropout(dropout_identification)
        self.dropout_verification = nn.Dropout(dropout_verification)
        self.identity_classifier = heads.classifier(features, num_pids, bias=True)  # theta_I
        self.pair_classifier = heads.classifier(features, 2, bias=True)  # theta_s
        self.identification, self.verification, self.smoothing = identification, verification, smoothing

    def features(self, images: Tensor) -> Tensor:
        """Paper A's f, (batch, 4096) unless ``embed_dim`` says otherwise. Compare by cosine similarity."""
        _, layer4 = self.backbone(images)  # (batch, 2048, H/32, W/32)
        with losses.full_precision(images):
            pooled = heads.average_pool(layer4, 1).flatten(1)  # (batch, 2048)
            return self.norm(self.projection(pooled))  # (batch, 4096)

    def forward(self, images: Tensor) -> MultiTaskOutputs:
        """Images (2B, 3, H, W): B anchors, then their B partners. Raises TrainingError for an odd batch."""
        if len(images) % 2:
            raise TrainingError(
                f"MultiTask was given {len(images)} images, but it takes pairs, the anchors before their "
                "partners: draw batches with a PairSampler, or use describe() for single images."
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

        Every term is a mean over single pairs, so nothing needs to be gathered.
        """
        pids1, pids2 = pids.chunk(2)  # (B,) each
        logits1, logits2 = outputs.identity_logits.chunk(2)  # (B, identities) each
        identify1 = losses.identification(logits1, pids1, self.smoothing)  # eq. 2
        identify2 = losses.identification(logits2, pids2, self.smoothing)  # eq. 2
        verify = losses.verification(outputs.pair_logits, pids1 == pids2)  # eq. 5
        total = self.identification * identify1 + self.identification * identify2 + self.verification * verify
        spread, length = losses.spread(outputs.features)
        return losses.Losses(
            total=total,
            terms={
                "identification_anchor": identify1.detach(),
                "identification_partner": identify2.detach(),
                "verification": verify.detach(),
            },
            accuracy=losses.accuracy(outputs.identity_logits, pids),
            spread=spread,
            length=length,
        )

    def verify(self, features1: Tensor, features2: Tensor) -> Tensor:
        """The probability that two images show one person, eq. 4's q^_1: (pairs, d) twice -> (pairs,).

        Takes descriptors as ``describe`` returns them; of (batch, d) and (1, d) it compares one with many.
        """
        with evaluating(self), losses.full_precision(features1):
            return torch.softmax(self._compare(features1.float(), features2.float()), dim=1)[:, 0]


@dataclass(frozen=True, kw_only=True)
class MultiTaskRecipe(Recipe):
    """Paper A: identification and verification of a pair of images through shared weights."""

    method: ClassVar[str] = "multitask"
    groups: ClassVar[int] = 2

    pairs: int = 32  # pairs in a batch (silent)
    positive: float | Literal["annealed"] = (
        0.5  # probability of a positive partner, or "annealed" from 1/2 towards 1/5 (silent)
    )
    cross_camera: bool = False  # draw a positive from another camera where one exists (silent)
    embed_dim: int = 4096  # descriptor f, "1x1x4096"; 0: the backbone's pooled feature itself
    embed_norm: bool = False  # batch normalization of f, which sets its scale (the paper names none)
    identification: float = 0.5  # weight of each of the two identification losses (III.B)
    verification: float = 1.0  # weight of the verification loss (III.B)
    dropout_identification: float = 0.5  # before the classifiers (silent)
    dropout_verification: float = 0.5

    def _check(self) -> None:
        super()._check()
        self._require("pairs", is_whole(self.pairs, 1), "a whole number from 1")
        for name in ("embed_norm", "cross_camera"):
            self._require(name, isinstance(getattr(self, name), bool), "true or false")
        self._require("embed_dim", is_whole(self.embed_dim, 0), "a whole number from 0")
        for name in ("identification", "verification"):
            self._require(name, is_number(getattr(self, name), 0), "a number from 0")
        for name in ("dropout_identification", "dropout_verification"):
            self._require(name, is_number(getattr(self, name), 0) and getattr(self, name) < 1, "from 0 to below 1")
        probable = self.positive == "annealed" or is_number(self.positive, 0, 1)
        self._require("positive", probable, "a probability or 'annealed'")

    @property
    def batch(self) -> int:
        """Images in a batch: the anchors, then their partners."""
        return 2 * self.pairs

    @classmethod
    def sizes(cls) -> dict[str, dict[str, Any]]:
        """The values of the fields at each of SIZES."""
        return sizes.MULTITASK

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PairSampler:
        """Pairs of images."""
        return data.PairSampler(labels, camids, self.pairs, self.positive, self.cross_camera, seed)

    def network(self, num_pids: int) -> MultiTask:
        """Paper A's network."""
        return MultiTask(num_pids, input_size=self.crop, **shared(self, MultiTask))
