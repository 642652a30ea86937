"""A method of 40 lines: the mean of the last layer, classified. What a new method must give, and no more."""

from typing import ClassVar

from pydantic.dataclasses import dataclass
from torch import nn

from reid_lab import data, losses, methods, models
from reid_lab.methods.fields import Count, Positive, Share, silent, stated
from reid_lab.methods.recipe import SLIM
from reid_lab.models import heads


@dataclass(frozen=True, kw_only=True)
class ToyRecipe(methods.Recipe):
    method: ClassVar = "toy"
    people: Count = stated(4, "four people in a batch (2.1)")
    lr: Positive = stated(3e-3, "0.003 (2.2)")
    flip: Share = silent(0.5)
    sizes: ClassVar = {
        "smoke": SLIM
        | dict(backbone="resnet_slim", last_stride=2, smoothing=0.0, pad=2, erasing=0.0, weight_decay=0.05, epochs=2)
        | dict(warmup="none", warmup_epochs=0, warmup_factor=1.0, precision="float32")
    }

    @property
    def batch(self):
        return 4 * self.people

    def sampler(self, labels, camids, seed):
        return data.PKSampler(labels, self.people, 4, seed)

    def network(self, num_pids):
        return Toy(self, num_pids)


class Toy(models.Network):
    metric = "euclidean"

    def __init__(self, recipe, num_pids):
        super().__init__(models.backbone(recipe.backbone, recipe.last_stride, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        self.classifier = heads.classifier(self.backbone.channels[1], num_pids, bias=True)
        self.norm = nn.BatchNorm1d(self.backbone.channels[1])

    def features(self, images):
        return self.norm(heads.average_pool(self.backbone(images)[1], 1).flatten(1))

    def forward(self, images):
        features = self.features(images)
        return features, self.classifier(features)

    def loss(self, outputs, pids, gather=None):
        features, logits = outputs
        total = losses.identification(logits, pids, self.recipe.smoothing)
        signs = dict(zip(("spread", "length"), losses.spread(features), strict=True))
        return losses.Losses(total, {"identification": total.detach()}, losses.accuracy(logits, pids), signs)

    def identity_logits(self, images):
        return self.classifier(self.features(images))
