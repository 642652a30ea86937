r"""GLAD, global-local-alignment descriptor: the whole person, and head, upper body and lower body where they are.

A pose estimator finds joints, and these say where a part begins and ends. Each part, and the whole, has a stream of its
own with a classifier of its own; side by side they are the features of retrieval:

             head, neck, hips of this image say which rows are whose
                                   |
    layer4 -- mean of all rows ---------- 1,024-d layer -- BNNeck -- classifier -- cross-entropy --\
           -- mean of the head's rows --- 1,024-d layer -- BNNeck -- classifier -- cross-entropy --- sum
           -- mean of the upper body's -- 1,024-d layer -- BNNeck -- classifier -- cross-entropy --/
           -- mean of the lower body's -- 1,024-d layer -- BNNeck -- classifier -- cross-entropy -/
                                                           features

Sources: Wei, Zhang, Yao, Gao and Tian, "GLAD: Global-Local-Alignment Descriptor for Pedestrian Retrieval", ACM
Multimedia 2017; and its longer version for Scalable Person Re-Identification, IEEE Transactions on Multimedia 2018. No
code was taken. The papers were not at hand: how far the authors' crops reach beyond the joints is not known here, so
this is a system after GLAD. It cuts one map of a ResNet-50; GLAD sends crops of the image through a GoogLeNet.

It reports 89.9 rank-1 and 73.9 mAP on Market-1501 with weighted parts, 80.0 and 62.2 on DukeMTMC-reID in the longer
version. Both are with an estimated pose, of which nobody says how far it is off: ``pose_noise`` asks what that costs.

Where nobody tells joints, as in a search among a folder of crops, in an ONNX file and for Grad-CAM, the parts are fixed
stripes (``stripes``).
"""

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import data, losses, models
from reid_lab.data.geometry import Geometry
from reid_lab.data.joints import joints
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

THINNEST = 1 / 16  # of the image's height: no part is thinner, wherever a pose estimator puts the joints
Rows = Annotated[tuple[Share, Share, Share], Field(description="three shares of the height, ascending by 1/16 or more")]


@dataclass(frozen=True, kw_only=True)
class GLADRecipe(Recipe):
    """Every number of GLAD: its value, and where it comes from."""

    method: ClassVar = "glad"

    backbone: Backbone = silent("resnet50", "GoogLeNet with batch normalization; here as all systems")
    weights: Literal[None, "imagenet", "passersby"] = stated("imagenet", "the authors' README: ImageNet's")
    last_stride: Annotated[Literal[1, 2], EXACT] = silent(1)
    smoothing: Share = silent(0.0)
    resize: Pixels = unconfirmed((512, 256), "512 x 256")
    crop: Pixels = unconfirmed((512, 256), "512 x 256")
    pad: Whole = silent(0)
    flip: Share = silent(0.5)
    erasing: Share = silent(0.0)
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = stated("sgd", "the authors' README: Caffe's SGD")
    lr: Positive = silent(0.01)
    momentum: Share = silent(0.9)
    weight_decay: NotNegative = silent(5e-4)
    epochs: Count = silent(60, "the authors' README: 100,000 steps, of how many images is open")
    warmup: Literal["none", "constant", "linear"] = silent("none")
    warmup_epochs: Whole = silent(0)
    warmup_factor: Positive = silent(1.0)
    schedule: Literal["steps", "cosine"] = silent("steps")
    milestones: Milestones = silent((40,))
    decay: Positive = silent(0.1)
    images: Count = silent(32)  # in a batch
    dim: Count = stated(1024, "the authors' README: fc6 has 1,024 numbers in each stream")
    norm: Annotated[Literal[1, 2], EXACT] = stated(1, "the authors' README: L1")  # of a stream's features
    pose: Literal["joints", "stripes"] = stated("joints", "the authors' README: DeeperCut's joints")
    pose_noise: NotNegative = silent(0.0)  # standard deviation of an error of the joints, in pixels of the image file
    # where the three parts begin, as shares of the height, in images whose joints are not known: means of Passersby
    stripes: Rows = silent((0.05, 0.22, 0.5))

    sizes: ClassVar = {
        "paper": dict(evaluate_every=10),
        "full": dict(weights=None, resize=(256, 128), crop=(256, 128), evaluate_every=10),
        # 4 x 256 numbers, as many as the baseline's features have
        "classroom": bench.CLASSROOM | dict(smoothing=0.1, images=64, dim=256),
        "smoke": bench.SMOKE | dict(images=16, dim=16),
    }

    from_random: ClassVar = bench.FROM_RANDOM

    def _check(self) -> None:
        super()._check()
        steps = np.diff([*self.stripes, 1.0])
        self._require("stripes", bool((steps >= THINNEST).all()), "three shares of the height, 1/16 apart or more")
        self._require("pose_noise", self.pose == "joints" or not self.pose_noise, "0 with stripes, which need no pose")

    @property
    def batch(self) -> int:
        """Images in a batch."""
        return self.images

    def sampler(self, labels: np.ndarray, camids: np.ndarray, seed: int) -> data.ShuffleSampler:
        """Images in random order."""
        return data.ShuffleSampler(labels, self.images, seed)

    def extras(self, benchmark: data.Benchmark) -> dict[str, Tensor]:
        """The joints of each training image, in pixels: float32 (N, 4, 2). Test images must have theirs, too."""
        found = [self.joints(benchmark, records, self.resize) for records in benchmark.splits.values()]
        return found[0]

    def joints(
        self, benchmark: data.Benchmark, records: Sequence[data.Record], size: tuple[int, int]
    ) -> dict[str, Tensor]:
        """The joints of images of ``size`` (height, width), in pixels: float32 (N, 4, 2); nothing for stripes."""
        if self.pose == "stripes":
            return {}
        return {"joints": torch.from_numpy(joints(benchmark, records, self.pose_noise)) * torch.tensor(size[::-1])}

    def move(self, rows: dict[str, Tensor], geometry: Geometry) -> dict[str, Tensor]:
        """Joints move with the pixels."""
        return {name: geometry.move(points) for name, points in rows.items()}

    def network(self, num_pids: int) -> "GLAD":
        """The network, its weights drawn from torch's generator."""
        return GLAD(self, num_pids)


@plain_dataclass
class GLADOutputs:
    """What a batch gives; the streams are the whole, head, upper body and lower body."""

    bounds: Tensor  # where each stream begins and ends, as shares of the height: (batch, 4, 2)
    pooled: Tensor  # (batch, 4, c)
    necks: list[Tensor]  # of each stream, after its BNNeck: (batch, dim)
    logits: list[Tensor]  # of each stream: (batch, identities)


class Stream(nn.Module):
    """One stream's own layers: its features, their BNNeck, their classifier."""

    def __init__(self, channels: int, dim: int, num_pids: int) -> None:
        super().__init__()
        self.layer = nn.Linear(channels, dim, bias=False)
        self.neck = heads.BNNeck(dim)
        self.classifier = heads.classifier(dim, num_pids, bias=False)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features (batch, c) to the stream's features (batch, dim) and logits (batch, identities)."""
        neck = self.neck(self.layer(pooled))
        return neck, self.classifier(neck)


class GLAD(Network):
    """Four averages of one map: of all rows, and of those of three parts of the body."""

    stripes: Tensor

    def __init__(self, recipe: GLADRecipe, num_pids: int) -> None:
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe, self.norm = recipe, recipe.norm
        self.register_buffer("stripes", torch.tensor(recipe.stripes))
        channels = self.backbone.channels[1]
        self.streams = nn.ModuleList(Stream(channels, recipe.dim, num_pids) for _ in range(4))

    def extras(self, benchmark: data.Benchmark, records: Sequence[data.Record]) -> dict[str, Tensor]:
        """The joints of images of the network's input size, in pixels."""
        return self.recipe.joints(benchmark, records, self.input_size)

    def forward(self, images: Tensor, joints: Tensor | None = None) -> GLADOutputs:
        """Images (batch, 3, H, W) and the joints in them (batch, 4, 2), in pixels, to features and logits."""
        _, layer4 = self.backbone(images)  # (batch, 2048, h, w)
        with losses.full_precision(images):
            bounds = part_bounds(images, joints, self.stripes)
            pooled = pool_rows(layer4, bounds)  # (batch, 4, 2048)
            streams = zip(self.streams, pooled.unbind(1), strict=True)
            necks, logits = zip(*(stream(part) for stream, part in streams), strict=True)
        return GLADOutputs(bounds, pooled, list(necks), list(logits))

    def features(self, images: Tensor, joints: Tensor | None = None) -> Tensor:
        """The four streams' features side by side, each first brought to length 1, then all: (batch, 4 x 1024)."""
        necks = self(images, joints).necks
        return F.normalize(torch.cat([F.normalize(neck, p=self.norm, dim=1) for neck in necks], dim=1), dim=1)

    def unnormalized_features(self, images: Tensor) -> Tensor:
        """The same before they are brought to length 1."""
        return torch.cat(self(images).necks, dim=1)

    def identity_logits(self, images: Tensor) -> Tensor:
        """The mean of the four streams' logits, (batch, identities)."""
        return torch.stack(self(images).logits).mean(dim=0)

    def loss(self, outputs: GLADOutputs, pids: Tensor, gather: Gather = no_gather) -> losses.Losses:
        """The sum of the four streams' cross-entropies: means over single images, so nothing needs to be gathered."""
        entropies = [losses.identification(logits, pids, self.recipe.smoothing) for logits in outputs.logits]
        spread, length = losses.spread(outputs.pooled[:, 0])
        total = torch.stack(entropies).sum()
        return losses.Losses(
            total=total,
            terms={"identification": total.detach()},
            accuracy=losses.accuracy(torch.stack(outputs.logits).sum(dim=0), pids),
            signs={"spread": spread, "length": length},
        )


def part_bounds(images: Tensor, joints: Tensor | None, stripes: Tensor) -> Tensor:
    """Find where each stream begins and ends.

    The head begins as far above its middle as the neck is below it. The upper body begins at the neck, the lower body
    at the mean of the hips, and it ends where the image does.

    Args:
        images: (batch, 3, H, W).
        joints: Head, neck, left and right hip, x and y in pixels: (batch, 4, 2), NaN where one is not known; or None.
        stripes: Where the three parts begin in an image whose joints are not known, as shares of its height: (3,).

    Returns:
        Shares of the height, (batch, 4, 2): of the whole, head, upper body and lower body. Each part has at least
        THINNEST of the height.
    """
    starts = fixed = stripes.expand(len(images), 3)
    if joints is not None:
        head, neck, *hips = (joints[..., 1].float() / images.shape[2]).unbind(1)  # (batch,) each
        told = torch.stack([2 * head - neck, neck, torch.stack(hips, dim=1).nanmean(dim=1)], dim=1)  # (batch, 3)
        starts = torch.where(told.isnan(), fixed, told)
    edges = [torch.zeros_like(starts[:, 0]) - THINNEST]
    for place, start in enumerate(starts.unbind(1)):
        room = 1 - (3 - place) * THINNEST  # for this part and those below it
        edges.append(torch.maximum(start, edges[-1] + THINNEST).clamp(max=room))
    begin, ends = torch.stack(edges[1:], dim=1), torch.stack([*edges[2:], torch.ones_like(edges[0])], dim=1)
    parts = torch.stack([begin, ends], dim=2)  # (batch, 3, 2)
    whole = torch.stack([torch.zeros_like(edges[0]), torch.ones_like(edges[0])], dim=1)  # (batch, 2)
    return torch.cat([whole[:, None], parts], dim=1)


def pool_rows(maps: Tensor, bounds: Tensor) -> Tensor:
    """Take the mean of some rows of a map. A row that lies partly within the bounds counts with that part of it.

    Args:
        maps: (batch, c, h, w).
        bounds: Begin and end of each stream, as shares of the height: (batch, streams, 2).

    Returns:
        (batch, streams, c), float32.
    """
    rows = maps.mean(dim=3, dtype=torch.float32)  # (batch, c, h)
    height = rows.shape[2]
    top = torch.arange(height, device=maps.device) / height  # (h,)
    begin, end = bounds[..., None].unbind(2)  # (batch, streams, 1)
    inside = (torch.minimum(end, top + 1 / height) - torch.maximum(begin, top)).clamp(min=0)  # (batch, streams, h)
    return inside @ rows.transpose(1, 2) / inside.sum(dim=2, keepdim=True)
