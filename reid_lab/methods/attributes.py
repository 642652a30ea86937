r"""APR, attribute-person recognition: one network learns who a person is, and what can be said about that person.

What it says about the attributes goes back into the features of the identity, weighed by how far it can be trusted:

    layer4 -- mean -- f ---------------------------------------------\
                       \                                              f, a' -- 512-d layer -- classifier
                        one classifier for each attribute -- a -- a'-/         features       cross-entropy x 8
                        mean of cross-entropies    probabilities

    a' = sigmoid(V a + b) * a                      the attribute re-weighting module

Sources: Lin, Zheng, Zheng, Wu, Hu, Yan and Yang, "Improving Person Re-identification by Attribute and Identity
Learning", Pattern Recognition 2019 (arXiv 1703.07220). No public code of the network was found, and no code was
taken; the labels are public (see :mod:`reid_lab.data.attributes`). The paper was not at hand: numbers marked as
unconfirmed are from memory, or those of another network for these labels (hyk1996's Person-Attribute-Recognition).

It reports 87.04 rank-1 and 66.89 mAP on Market-1501, 73.92 and 55.56 on DukeMTMC-reID. Its attributes are right in
about 88 % of the cases on Market-1501. Most attributes have one frequent class, so :mod:`reid_lab.analysis.attributes`
sets what guessing that class gives beside it.
"""

from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.data.attributes import UNKNOWN, attributes, of_others, vocabulary
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
from reid_lab.models import heads
from reid_lab.models.network import Gather, Network, no_gather


@dataclass(frozen=True, kw_only=True)
class AttributesRecipe(Recipe):
    """Every number of APR: its value, and where it comes from."""

    method: ClassVar = "attributes"

    backbone: Backbone = unconfirmed("resnet50", "ResNet-50, among others")
    weights: Literal[None, "imagenet", "passersby"] = unconfirmed("imagenet", "ImageNet's")
    last_stride: Annotated[Literal[1, 2], EXACT] = silent(2, "nothing; 2 is the original network's")
    smoothing: Share = silent(0.0)
    resize: Pixels = unconfirmed((256, 128), "256 x 128; hyk1996's code: 288 x 144")
    crop: Pixels = unconfirmed((256, 128), "256 x 128; hyk1996's code: 288 x 144")
    pad: Whole = silent(0)
    flip: Share = unconfirmed(0.5, "hyk1996's code flips")
    erasing: Share = silent(0.0)
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = unconfirmed("sgd", "SGD; hyk1996's code: Nesterov's")
    lr: Positive = unconfirmed(0.01, "0.01, then 0.001; hyk1996's code: 0.1 for the heads")
    momentum: Share = unconfirmed(0.9, "0.9")
    weight_decay: NotNegative = unconfirmed(5e-4, "hyk1996's code: 0.0005")
    epochs: Count = unconfirmed(60, "about 60; hyk1996's code: 60")
    warmup: Literal["none", "constant", "linear"] = silent("none")
    warmup_epochs: Whole = silent(0)
    warmup_factor: Positive = silent(1.0)
    schedule: Literal["steps", "cosine"] = unconfirmed("steps", "in one step")
    milestones: Milestones = unconfirmed((40,), "hyk1996's code: after 40 of 60")
    decay: Positive = unconfirmed(0.1, "0.1")
    images: Count = unconfirmed(32, "32")  # in a batch
    # whose attributes the network learns, with their classes; see data.attributes
    attributes: Literal["passersby", "market1501", "dukemtmc-reid"] = stated("market1501", "27 labels, 12 predictions")
    # "identity": every image of a person has them; "visible": unknown where an image cannot show them; "shuffled":
    # each person has somebody else's
    labels: Literal["identity", "visible", "shuffled"] = stated("identity", "labels at the identity level")
    identification: NotNegative = unconfirmed(8.0, "lambda = 8, chosen on validation images")  # weight of the loss
    attribute: NotNegative = unconfirmed(1.0, "1, for the mean over the attributes")  # 0: identification alone
    reweight: bool = unconfirmed(True, "re-weighted; over attributes or over all their classes is open: over classes")
    embed_dim: Count = unconfirmed(512, "512; where this layer stands is open")
    dropout: Dropout = unconfirmed(0.5, "dropout after that layer, its rate is open")
    describe: Literal["embedding", "feature"] = silent("embedding", "the 512-d layer, or f and a'")

    sizes: ClassVar = {
        "paper": dict(evaluate_every=10),
        "full": dict(weights=None, evaluate_every=10),
        "classroom": bench.CLASSROOM
        | dict(smoothing=0.1, images=64, attributes="passersby", dropout=0.0),  # the first and the last as the baseline
        "smoke": bench.SMOKE | dict(images=16, attributes="passersby", embed_dim=32),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        exact = self.labels != "visible" or self.attributes == "passersby"
        self._require("labels", exact, "'identity' or 'shuffled' unless attributes is 'passersby'")

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def extras(self, benchmark: data.Benchmark) -> dict[str, Tensor]:
        """The classes of the M attributes of each training image, by the name "attributes": int64 (N, M)."""
        found = attributes(benchmark, benchmark.train, self.attributes, visible=self.labels == "visible")
        if self.labels == "shuffled":
            found = of_others(found, [record.pid for record in benchmark.train])
        return {"attributes": torch.tensor(found)}

    def network(self, num_pids: int) -> "Attributes":
        """The network, its weights drawn from torch's generator."""
        return Attributes(self, num_pids)


@plain_dataclass
class AttributesOutputs:
    """What a batch gives. K is the number of all classes of all attributes."""

    pooled: Tensor  # f: (batch, c), the mean of layer4
    attributes: list[Tensor]  # of each attribute: logits (batch, classes)
    reweighted: Tensor  # a': (batch, K)
    embedding: Tensor  # (batch, embed_dim)
    logits: Tensor  # (batch, identities)
    labels: Tensor | None  # of each attribute the true class: int64 (batch, M)


class Reweighting(nn.Module):
    """The attribute re-weighting module: a' = sigmoid(V a + b) * a. All attributes decide how far each is trusted."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.confidence = heads.classifier(classes, classes, bias=True)

    def forward(self, probabilities: Tensor) -> Tensor:
        """Probabilities (batch, K) to the same, weighed."""
        return torch.sigmoid(self.confidence(probabilities)) * probabilities


class Attributes(Network):
    """APR: attributes and identity from one feature vector, and the attributes once more as features."""

    def __init__(self, recipe: AttributesRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe, self.describe = recipe, recipe.describe
        self.classes = tuple(map(len, vocabulary(recipe.attributes).values()))
        channels, total = self.backbone.channels[1], sum(self.classes)
        self.attributes = heads.classifier(channels, total, bias=True)  # those of all attributes side by side
        self.reweighting = Reweighting(total) if recipe.reweight else nn.Identity()
        self.embedding = nn.Sequential(
            nn.Linear(channels + total, recipe.embed_dim, bias=False), nn.BatchNorm1d(recipe.embed_dim)
        )
        self.dropout = nn.Dropout(recipe.dropout)
        self.classifier = heads.classifier(recipe.embed_dim, num_pids, bias=True)

    def forward(self, images: Tensor, attributes: Tensor | None = None) -> AttributesOutputs:
        """Images (batch, 3, H, W) to their features and logits; ``attributes`` (batch, M) go on to the loss."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        with losses.full_precision(images):
            pooled = heads.average_pool(layer4, 1).flatten(1)  # f: (batch, 2048)
            logits = self.attributes(pooled).split(self.classes, dim=1)  # M x (batch, classes)
            probabilities = torch.cat([F.softmax(some, dim=1) for some in logits], dim=1)  # a: (batch, K)
            reweighted = self.reweighting(probabilities)  # a': (batch, K)
            embedding = self.embedding(torch.cat([pooled, reweighted], dim=1))  # (batch, 512)
            identities = self.classifier(self.dropout(embedding))
        return AttributesOutputs(pooled, list(logits), reweighted, embedding, identities, attributes)

    def features(self, images: Tensor) -> Tensor:
        """The vectors that are compared, of images (batch, 3, H, W), of length 1: (batch, 512)."""
        return F.normalize(self.unnormalized_features(images), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1: the 512-d layer, or f and a' side by side."""
        outputs = self(images)
        if self.describe == "embedding":
            return outputs.embedding
        return torch.cat([outputs.pooled, outputs.reweighted], dim=1)

    def attribute_logits(self, images: Tensor) -> list[Tensor]:
        """The answers about each attribute (batch, classes) for images (batch, 3, H, W), in the vocabulary's order."""
        return self(images).attributes

    def identity_logits(self, images: Tensor) -> Tensor:
        """The classifier's answer (batch, identities) for single images (batch, 3, H, W)."""
        return self(images).logits

    def loss(self, outputs: AttributesOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """Lambda x cross-entropy of the identity + the mean of the attributes' cross-entropies.

        Both are means over single images, so nothing needs to be gathered. Without labels no attribute is learned.
        """
        identification = losses.identification(outputs.logits, pids, self.recipe.smoothing)
        told = attribute_loss(outputs.attributes, outputs.labels)
        spread, length = losses.spread(outputs.pooled)
        return losses.Losses(
            total=self.recipe.identification * identification + self.recipe.attribute * told,
            terms={"identification": identification.detach(), "attributes": told.detach()},
            accuracy=losses.accuracy(outputs.logits, pids),
            signs={"spread": spread, "length": length},
        )


def attribute_loss(logits: list[Tensor], labels: Tensor | None) -> Tensor:
    """Take the mean over attributes and images of the cross-entropies.

    An attribute that is UNKNOWN of an image adds 0, and the image still counts: so the mean of the parts of a batch is
    that of the whole batch.

    Args:
        logits: Of each of M attributes, (batch, classes).
        labels: The true classes, int64 (batch, M); None: all are unknown.

    Returns:
        A scalar.
    """
    if labels is None:
        return logits[0].new_zeros(())
    terms = [
        F.cross_entropy(some.float(), true, ignore_index=UNKNOWN, reduction="none")  # (batch,)
        for some, true in zip(logits, labels.unbind(1), strict=True)
    ]
    return torch.stack(terms).mean()
