r"""DG-Net's discriminative half, with a generator that makes no mistakes: people in other people's clothes.

DG-Net generates images with one person's appearance and another one's structure, and learns to tell people apart from
both kinds of images at once. Here is the second half. The images come from Passersby, which draws each shot again in
other clothes, exact to the pixel. So the question is: how much is a perfect generator worth? **The generator itself
(encoders, decoder, discriminator; three optimizers) is not built.**

    a shot of b ---------------\            /-- primary head -- identity: of a shot, b; of the other image, what a
                                backbone, max                   teacher answers, or a, the owner of the clothes
    it again, in a's clothes --/            \-- fine head ----- identity: of both images b, whose body it is

    features: both heads' embeddings, each of length 1, side by side

Sources: Zheng, Yang, Yu, Zheng, Yang and Kautz, "Joint Discriminative and Generative Learning for Person
Re-identification", CVPR 2019 (arXiv:1904.07223). The authors' code is CC BY-NC-SA; it was read, and no code was taken.

What differs from the paper. Its weight of generated images is 0 until 30,000 steps and then rises, since early ones
are bad; ours is constant. Its two images of a pair exchange clothes; here the owner is anybody. The teacher answers
for one image, not for the mirrored one, too; and the features are of one image. Clothes are garments, their colors and
prints, and shoes; hair, hat and bag are structure.

Numbers: 94.8 / 86.0 (rank-1 / mAP) on Market-1501 and 86.6 / 74.8 on DukeMTMC-reID are of both halves together.

The controls are fields. ``clothes="own"`` puts the shot itself in the place of the dressed image, with a crop of its
own: as many images and steps, nothing generated. ``primary="owner"`` needs no teacher; ``fine=0.0`` is a
single head's training.
"""

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.methods import bench
from reid_lab.methods.classification import ClassificationRecipe
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
from reid_lab.runtime.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class DGNetRecipe(Recipe):
    """Every number of DG-Net's discriminative half."""

    method: ClassVar = "dgnet"
    groups: ClassVar = 2  # shots, then the same ones dressed

    backbone: Backbone = stated("resnet50", "the authors' code: ResNet-50")
    weights: Literal[None, "imagenet", "passersby"] = unconfirmed("imagenet", "ImageNet")
    last_stride: Annotated[Literal[1, 2], EXACT] = stated(1, "the authors' code: 1")
    smoothing: Share = stated(0.0, "the authors' code: none")
    resize: Pixels = stated((256, 128), "the authors' code: 256 x 128")
    crop: Pixels = stated((256, 128), "the authors' code: 256 x 128")
    pad: Whole = stated(10, "the authors' code: 10")
    flip: Share = stated(0.5, "the authors' code: mirrored at random")
    erasing: Share = stated(0.5, "the authors' code: 0.5, of real images in identity losses alone")
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("nesterov", "the authors' code: Nesterov")
    lr: Positive = stated(0.02, "the authors' code: 0.02 for the heads")
    weight_decay: NotNegative = stated(5e-4, "the authors' code: 0.0005")
    backbone_lr: Positive = stated(0.1, "the authors' code: 0.002 for the backbone")
    epochs: Count = stated(62, "the authors' code: 100,000 steps of 8 shots, of 12,936 images")
    warmup: Literal["none", "constant", "linear"] = silent("none")
    warmup_epochs: Whole = silent(0)
    warmup_factor: Positive = silent(1.0)
    schedule: Literal["steps", "cosine"] = stated("steps", "the authors' code: in steps")
    milestones: Milestones = stated((37, 56), "the authors' code: after 60,000 and 90,000 steps")
    decay: Positive = stated(0.1, "the authors' code: 0.1")
    shots: Count = stated(8, "the authors' code: 8, and 8 partners")  # in a batch, each with a dressed image
    each: Count = silent(4, "nothing, it generates anew at every step")  # dressed images of each shot
    clothes: Literal["others", "own"] = stated("others", "appearance and structure of two people")
    primary: Literal["teacher", "owner"] = stated("teacher", "the authors' code: a teacher's soft labels; others, too")
    embed_dim: Count = stated(512, "the authors' code: 512 for each head")
    dropout_primary: Dropout = stated(0.5, "the authors' code: 0.5")
    dropout_fine: Dropout = stated(0.75, "the authors' code: 0.75")
    generated: NotNegative = stated(2.0, "the authors' code: up to 2, the weight of generated images")
    fine: NotNegative = stated(0.2, "the authors' code: 0.2 of the weight of the primary loss")

    sizes: ClassVar = {
        "paper": {},
        "full": dict(weights=None, backbone_lr=1.0, shots=32, epochs=60, milestones=(30, 50), evaluate_every=10),
        "classroom": bench.CLASSROOM
        | dict(backbone_lr=1.0, shots=32, each=2, embed_dim=256, dropout_primary=0.0, dropout_fine=0.0),
        "smoke": bench.SMOKE | dict(last_stride=1, backbone_lr=1.0, erasing=0.0, shots=8, each=1, embed_dim=32),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    @property
    def batch(self) -> int:
        """Images in a batch: shots, then each of them dressed."""
        return 2 * self.shots

    @property
    def teacher(self) -> ClassificationRecipe | None:
        """The plain baseline at this size, start and input: whoever has trained that baseline has the teacher."""
        if self.primary != "teacher":
            return None
        alike = dict(weights=self.weights, resize=self.resize, crop=self.crop, precision=self.precision)
        return ClassificationRecipe.at(self.size, **alike)

    def training_images(self, benchmark: data.Benchmark, seed: int) -> Sequence[data.Record]:
        """The benchmark's images, then ``each`` rounds of the same in other people's clothes.

        The identity of a dressed image is that of the clothes' owner. The images do not depend on the seed.
        """
        from reid_lab.passersby import wardrobe  # slow to import, and only needed here

        shots = benchmark.train
        if self.clothes == "own":
            return shots
        made = wardrobe(shots, self.each)
        return [*shots, *(data.Record(one.path, shots[one.owner].pid, shots[one.shot].camid) for one in made)]

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.VersionSampler:
        """Shots in random order, then a dressed image of each."""
        return data.VersionSampler(len(labels), self.each if self.clothes == "others" else 0, self.shots, seed)

    def network(self, num_pids: int) -> "DGNet":
        """The network, its weights drawn from torch's generator."""
        return DGNet(self, num_pids)


@plain_dataclass
class DGNetOutputs:
    """What a batch of B shots and B dressed images gives, in this order."""

    pooled: Tensor  # (2B, c): the maximum of layer4
    embeddings: list[Tensor]  # of the primary and the fine head: (2B, dim) each
    logits: list[Tensor]  # of the same: (2B, identities) each
    soft: Tensor | None  # what the teacher answers to the dressed images: (B, identities) probabilities


class DGNet(Network):
    """The maximum of layer4, and two heads: an embedding and a classifier each."""

    teacher: Network | None = None  # no module of this network: it is not trained and not saved with it

    def __init__(self, recipe: DGNetRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        channels, dim = self.backbone.channels[1], recipe.embed_dim
        self.embeddings = nn.ModuleList(nn.Sequential(nn.Linear(channels, dim), nn.BatchNorm1d(dim)) for _ in range(2))
        self.dropouts = nn.ModuleList([nn.Dropout(recipe.dropout_primary), nn.Dropout(recipe.dropout_fine)])
        self.classifiers = nn.ModuleList(heads.classifier(dim, num_pids, bias=True) for _ in range(2))

    def learn_from(self, teacher: Network) -> None:
        """Take the teacher, whose answers are the primary labels of dressed images; without one, the owners are."""
        self.__dict__["teacher"] = teacher.eval()

    def forward(self, images: Tensor) -> DGNetOutputs:
        """Images (batch, 3, H, W) to both heads' embeddings and logits, and in training to the teacher's answers."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        with losses.full_precision(images):
            pooled = heads.max_pool(layer4, 1).flatten(1)  # (batch, 2048)
            embeddings = [embedding(pooled) for embedding in self.embeddings]  # (batch, 512) each
            dropped = [dropout(one) for dropout, one in zip(self.dropouts, embeddings, strict=True)]
            logits = [classifier(one) for classifier, one in zip(self.classifiers, dropped, strict=True)]
        soft = None
        if self.training and self.teacher is not None:
            with torch.no_grad():
                soft = self.teacher.identity_logits(images[len(images) // 2 :]).float().softmax(dim=1)
        return DGNetOutputs(pooled, embeddings, logits, soft)

    def features(self, images: Tensor) -> Tensor:
        """Both embeddings of images (batch, 3, H, W), each of length 1, side by side: (batch, 2 x 512)."""
        return torch.cat([F.normalize(one, dim=1) for one in self(images).embeddings], dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1."""
        return torch.cat(self(images).embeddings, dim=1)

    def identity_logits(self, images: Tensor) -> Tensor:
        """The primary head's answer (batch, identities) for single images (batch, 3, H, W)."""
        return self(images).logits[0]

    def loss(self, outputs: DGNetOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """The identity losses of shots, and the primary and fine-grained losses of dressed images.

        All are means over single images, so nothing needs to be gathered.

        Args:
            outputs: what ``forward`` returned.
            pids: (2B,): whose the B shots are, then the owners of the clothes in the B dressed images.
            gather: is not used.

        Raises:
            TrainingError: The number of images is odd.
        """
        if len(pids) % 2:
            raise TrainingError(f"DG-Net was given {len(pids)} images, but it takes shots, then each of them dressed.")
        bodies, owners = pids.chunk(2)  # (B,) each
        (shot, dressed), (shot_fine, dressed_fine) = (logits.chunk(2) for logits in outputs.logits)
        recipe = self.recipe
        real = losses.identification(shot, bodies, recipe.smoothing)
        real_fine = losses.identification(shot_fine, bodies, recipe.smoothing)
        fine = losses.identification(dressed_fine, bodies, recipe.smoothing)
        if outputs.soft is None:
            primary = losses.identification(dressed, owners, recipe.smoothing)
        else:
            primary = F.kl_div(F.log_softmax(dressed.float(), dim=1), outputs.soft, reduction="batchmean")
        total = real + recipe.generated * (primary + recipe.fine * (real_fine + fine))
        terms = {"identification": real, "identification_fine": real_fine, "primary": primary, "fine": fine}
        spread, length = losses.spread(outputs.pooled)
        return losses.Losses(
            total=total,
            terms={name: term.detach() for name, term in terms.items()},
            accuracy=losses.accuracy(shot, bodies),
            signs={"spread": spread, "length": length},
        )
