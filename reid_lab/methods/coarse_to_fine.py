r"""CtF: codes of many lengths, each learned from the next longer one, for a search that goes from coarse to fine.

A short code of bits is compared with the whole gallery, and longer ones only with what the shorter ones found near
(:mod:`reid_lab.retrieval.codes`). The network learns the feature and a pyramid of codes on it. No gradient leaves a
level in training, so the codes change neither the backbone nor one another:

    layer4 -- mean -- 2048 numbers ----------------- BNNeck -- tanh -- classifier     level 0: the feature
                        |  (no gradient) linear
                      2048 numbers ----------------- BNNeck -- tanh -- classifier     level 1: a code of 2048 bits
                        |  (no gradient) linear
                      1024 numbers, 512, ... 32 ---- BNNeck -- tanh -- classifier     level 2 to 7
                        triplet loss                            |      cross-entropy
                                                                signs are the bits; distillation

In training the tanh stands for the sign, which has no gradient. Each level has a triplet loss and a cross-entropy. Two
more losses ask the codes to agree with a teacher, a longer level: about the identities of an image (probabilities), and
about which images of the batch are alike (similarities).

All maps between the levels are linear, so that each code is the signs of one linear map of the feature. Random maps
(``projection="random"``) give codes, too: that is locality-sensitive hashing, the control of what is learned here.

Sources: Wang, Gong, Cheng and Hou, "Faster Person Re-identification" (ECCV 2020). Values are those of the authors'
repository light-reid; no code was taken. The control is from Charikar, "Similarity Estimation Techniques from Rounding
Algorithms" (STOC 2002). The linear layers have no bias here, since batch norm and distances take a bias back. Paper B
prints 94.20 / 84.90 and 86.90 / 75.60 for CtF (rank-1 / mAP on Market-1501 and DukeMTMC-reID). This is not confirmed:
others print the same four numbers for HOReID (CVPR 2020), which has the same first author.
"""

from collections.abc import Callable
from dataclasses import dataclass as plain_dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import AfterValidator, Field
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
    Several,
    Share,
    Whole,
    contradictory,
    silent,
    stated,
    unconfirmed,
)
from reid_lab.methods.recipe import Recipe
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather

CODE = "the authors' code: "


def _shorter_and_shorter(lengths: tuple[int, ...]) -> tuple[int, ...]:
    if not lengths or any(length % 8 for length in lengths) or any(a <= b for a, b in pairwise(lengths)):
        raise ValueError("no codes")
    return lengths


Lengths = Annotated[
    tuple[Count, ...],
    AfterValidator(_shorter_and_shorter),
    Field(description="a list of lengths in bits, multiples of 8 in descending order, such as [512, 128, 32]"),
]


@dataclass(frozen=True, kw_only=True)
class CoarseToFineRecipe(Recipe):
    """Every number of CtF: its value, and what is known about it."""

    method: ClassVar = "coarse_to_fine"

    backbone: Backbone = stated("resnet50", CODE + "ResNet-50")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", CODE + "ImageNet")
    last_stride: Annotated[Literal[1, 2], EXACT] = stated(1, CODE + "1")
    smoothing: Share = unconfirmed(0.1, "label smoothing, how much was not seen")
    resize: Pixels = stated((256, 128), CODE + "256 x 128")
    crop: Pixels = stated((256, 128), CODE + "256 x 128")
    pad: Whole = unconfirmed(10, "padding and a random crop, of how many pixels was not seen")
    flip: Share = unconfirmed(0.5, "random flips, how often was not seen")
    erasing: Share = unconfirmed(0.5, "random erasing, how often was not seen")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("adam", CODE + "Adam")
    lr: Positive = stated(3.5e-4, CODE + "0.00035")
    weight_decay: NotNegative = stated(5e-4, CODE + "0.0005")
    epochs: Count = stated(120, CODE + "120 epochs")
    warmup: Literal["none", "constant", "linear"] = unconfirmed("linear", "a warm-up, its form was not seen")
    warmup_epochs: Whole = stated(10, CODE + "10 epochs")
    warmup_factor: Positive = stated(0.01, CODE + "from 0.01 of the rate")
    schedule: Literal["steps", "cosine"] = stated("steps", CODE + "steps")
    milestones: Milestones = stated((40, 70), CODE + "epochs 40 and 70")
    decay: Positive = stated(0.1, CODE + "0.1")
    identities: Several = stated(16, CODE + "16 people in a batch")
    images: Several = stated(4, CODE + "4 images of each")
    margin: NotNegative = unconfirmed(
        0.3, "batch-hard triplets; the authors' code has a soft margin in the place of one"
    )
    codes: Lengths = stated((2048, 1024, 512, 256, 128, 64, 32), CODE + "seven codes beside the feature")
    length: Whole = silent(2048, "the code that `features` gives, as real numbers; 0: the feature itself")
    projection: Literal["learned", "random"] = stated("learned", CODE + "linear layers, which are learned")
    taught_by: Literal["first", "previous"] = contradictory(
        "first", "the paper: each code teaches the next shorter one; the authors' code: the feature teaches all"
    )
    probability: NotNegative = stated(1.0, CODE + "the weight 1")
    similarity: NotNegative = stated(1000.0, CODE + "the weight 1000")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=20),
        "full": dict(weights=None, epochs=60, milestones=(30, 50), evaluate_every=10),
        "classroom": bench.CLASSROOM | dict(codes=(512, 256, 128, 64, 32), length=512),
        "smoke": bench.SMOKE | dict(identities=4, codes=(64, 32, 16), length=64, erasing=0.0),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        known = (0, *self.codes)
        self._require("length", self.length in known, f"0 or one of the codes, {self.codes}")

    @property
    def batch(self) -> int:
        """Images in a batch: P identities x K images."""
        return self.identities * self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.PKSampler:
        """P identities x K images, among which the triplet losses find their hardest pairs."""
        return data.PKSampler(labels, self.identities, self.images, seed)

    def network(self, num_pids: int) -> "CoarseToFine":
        """The network, its weights drawn from torch's generator."""
        return CoarseToFine(self, num_pids)


@plain_dataclass
class CoarseToFineOutputs:
    """What a batch gives: a tensor for each level, the feature first, then the codes from the longest on."""

    levels: list[Tensor]  # (batch, length) each: before the BNNeck
    soft: list[Tensor]  # (batch, length) each: tanh of the BNNeck, between -1 and 1; the signs are the bits
    logits: list[Tensor]  # (batch, identities) each


class CoarseToFine(Network):
    """A feature and a pyramid of codes on it.

    Attributes:
        codes: The codes' lengths in bits, in descending order.
    """

    def __init__(self, recipe: CoarseToFineRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe, self.codes = recipe, recipe.codes
        lengths = (self.backbone.channels[1], *recipe.codes)
        learned = recipe.projection == "learned"
        self.projections = nn.ModuleList(projection(long, short, learned) for long, short in pairwise(lengths))
        self.necks = nn.ModuleList(heads.BNNeck(length) for length in lengths)
        self.classifiers = nn.ModuleList(heads.classifier(length, num_pids, bias=False) for length in lengths)

    def forward(self, images: Tensor) -> CoarseToFineOutputs:
        """Images (batch, 3, H, W) to all levels."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        with losses.full_precision(images):
            levels = [heads.average_pool(layer4, 1).flatten(1)]  # (batch, 2048): the feature
            for shorten in self.projections:
                longer = levels[-1].detach() if self.training else levels[-1]  # Grad-CAM asks through all levels
                levels.append(shorten(longer))  # (batch, 2048), (batch, 1024), ... (batch, 32)
            soft = [torch.tanh(neck(level)) for neck, level in zip(self.necks, levels, strict=True)]
            logits = [classifier(level) for classifier, level in zip(self.classifiers, soft, strict=True)]
        return CoarseToFineOutputs(levels, soft, logits)

    def soft_codes(self, images: Tensor) -> list[Tensor]:
        """The codes of images (batch, 3, H, W) before their signs are taken: (batch, length) for each of ``codes``."""
        return self(images).soft[1:]

    def features(self, images: Tensor) -> Tensor:
        """The recipe's ``length`` numbers for images (batch, 3, H, W), of length 1: (batch, length)."""
        return F.normalize(self.unnormalized_features(images), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1; their signs are the code of that many bits."""
        return self(images).soft[(0, *self.codes).index(self.recipe.length)]

    def identity_logits(self, images: Tensor) -> Tensor:
        """The answer (batch, identities) of the feature's classifier for single images (batch, 3, H, W)."""
        return self(images).logits[0]

    def loss(self, outputs: CoarseToFineOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Sums over the levels: cross-entropies, triplet losses, and each code's differences from its teacher."""
        recipe, everyone = self.recipe, gather(pids)
        entropies = [losses.identification(logits, pids, recipe.smoothing) for logits in outputs.logits]
        triplets, paying = zip(
            *(losses.paying_triplet(gather(level), everyone, recipe.margin) for level in outputs.levels), strict=True
        )
        terms = {
            "identification": torch.stack(entropies).sum(),
            "triplet": torch.stack(triplets).sum(),
            "probability": self._taught(outputs.logits, probability_difference),
            "similarity": self._taught([gather(level) for level in outputs.soft], similarity_difference),
        }
        total = terms["identification"] + terms["triplet"]
        total = total + recipe.probability * terms["probability"] + recipe.similarity * terms["similarity"]
        spread, length = losses.spread(outputs.levels[0])
        return losses.Losses(
            total,
            {name: term.detach() for name, term in terms.items()},
            losses.accuracy(outputs.logits[0], pids),
            {"spread": spread, "length": length, "paying": paying[0]},
        )

    def _taught(self, levels: list[Tensor], difference: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """The sum of the codes' differences from their teachers: the first level, or each code's next longer one."""
        teachers = levels[:-1] if self.recipe.taught_by == "previous" else levels[:1] * len(self.codes)
        return torch.stack(
            [difference(code, teacher.detach()) for code, teacher in zip(levels[1:], teachers, strict=True)]
        ).sum()

    def collapse_margin(self) -> float:
        """The triplet losses' margin, at which they stand still when all features are alike."""
        return self.recipe.margin


def projection(longer: int, shorter: int, learned: bool) -> nn.Linear:
    """A linear map (batch, longer) -> (batch, shorter) that starts orthonormal at random, and stays so if not learned.

    Orthonormal maps in a row are an orthonormal map, and no direction of the feature is likelier than another one.
    """
    linear = nn.Linear(longer, shorter, bias=False)
    nn.init.orthogonal_(linear.weight)
    return linear.requires_grad_(learned)


def probability_difference(logits: Tensor, teacher: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of two classifiers' probabilities p and q, from both sides: a scalar.

    KL(p, q) + KL(q, p) = sum_i (p_i - q_i) (log p_i - log q_i), a mean over the batch.

    Args:
        logits: (batch, identities).
        teacher: (batch, identities).
    """
    log_p, log_q = F.log_softmax(logits.float(), dim=1), F.log_softmax(teacher.float(), dim=1)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(dim=1).mean()


def similarity_difference(code: Tensor, teacher: Tensor) -> Tensor:
    """The mean square difference of how similar a batch's images are to one another: a scalar.

    The similarities of an image are its products with all images of the batch, brought to length 1.

    Args:
        code: (batch, length).
        teacher: (batch, another length).
    """
    alike, wanted = (F.normalize(level.float() @ level.float().T, dim=1) for level in (code, teacher))
    return (alike - wanted).square().mean()
