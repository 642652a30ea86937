"""A method of three stages on a small network, for tests of the training alone."""

from typing import ClassVar

import torch
from pydantic.dataclasses import dataclass
from torch import nn
from torch.nn import functional as F

from reid_lab import data, losses, methods, models
from reid_lab.models.backbones import resnet_slim
from reid_lab.models.network import Network


class Toy(Network):
    """The mean of layer4, a batch norm and a classifier; it writes down what it is told."""

    told: ClassVar[list] = []  # (stage, a copy of the state) of each call of `enter`

    def __init__(self, num_pids, input_size):
        super().__init__(resnet_slim(width=8, last_stride=2), num_pids, input_size)
        channels = self.backbone.channels[1]
        self.norm = nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(channels, num_pids)
        self.draws = []

    def features(self, images):
        return self.norm(self.backbone(images)[1].mean(dim=(2, 3)).float())

    def forward(self, images):
        features = self.features(images)
        return features, self.classifier(features)

    def loss(self, outputs, pids, gather=None):
        features, logits = outputs
        total = F.cross_entropy(logits, pids)
        signs = dict(zip(("spread", "length"), losses.spread(features), strict=True))
        return losses.Losses(total, {"entropy": total.detach()}, losses.accuracy(logits, pids), signs)

    def enter(self, stage):
        """What is done here a second time would show in the weights."""
        self.told.append((stage, {name: value.clone() for name, value in self.state_dict().items()}))
        with torch.no_grad():
            self.classifier.weight.add_(0.1 * torch.randn(self.classifier.weight.shape))

    def draw(self, generator):
        self.draws.append(torch.rand((), generator=generator).item())


@dataclass(frozen=True, kw_only=True)
class ToyRecipe(methods.Recipe):
    """Two epochs of everything, one of the head alone, two of everything at another rate."""

    method: ClassVar[str] = "toy"
    batch: ClassVar[int] = 16

    sizes: ClassVar = {
        "smoke": dict(
            **dict(backbone="resnet_slim", weights=None, last_stride=2, resize=(40, 24), crop=(32, 16)),
            **dict(smoothing=0.0, pad=2, flip=0.5, erasing=0.0, precision="float32"),
            **dict(optimizer="adamw", lr=0.004, weight_decay=0.1, schedule="steps", milestones=(), epochs=5),
            **dict(warmup="linear", warmup_epochs=1, warmup_factor=0.1),
        )
    }

    @property
    def stages(self):
        return (
            methods.Stage("all", 2),
            methods.Stage("head alone", 1, lr=0.002, train=("head",)),
            methods.Stage("fine", 2, lr=0.001, milestones=(1,)),
        )

    def network(self, num_pids) -> models.Network:
        return Toy(num_pids, self.crop)

    def sampler(self, labels, camids, seed):
        return data.PKSampler(labels, 4, 4, seed)
