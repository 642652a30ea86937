r"""The plain baseline on a vision transformer instead of a ResNet.

Only the backbone differs from :mod:`.classification`:

    tokens after the last block -- mean over all patches -- BNNeck -- classifier -- cross-entropy
                                                                  features

So the difference between the two methods is that of their backbones, as far as both have the same start and the same
number of parameters. Neither paper could compare itself with transformers. Today most systems stand on one.

Sources: Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021, arXiv 2010.11929); He, Luo, Wang, Wang, Li and
Jiang, "TransReID: Transformer-based Object Re-Identification" (ICCV 2021, arXiv 2102.04378), whose baseline takes the
class token and has a triplet loss, too. The numbers are ours.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn

from reid_lab.methods.classification import Classification, ClassificationRecipe
from reid_lab.methods.fields import EXACT, Positive
from reid_lab.models import heads
from reid_lab.models.network import Network
from reid_lab.models.transformers import PATCHES, transformer
from reid_lab.runtime.errors import RecipeError

Transformer = Annotated[
    Literal["vit_small", "vit_slim"], Field(description="'vit_small' or 'vit_slim'; others are for classification")
]


@dataclass(frozen=True, kw_only=True)
class VisionTransformerRecipe(ClassificationRecipe):
    """Every number of the baseline; they are ours."""

    method: ClassVar = "vision_transformer"

    backbone: Transformer = "vit_small"
    last_stride: Annotated[Literal[1], EXACT] = 1  # tokens have one resolution
    lr: Positive = 3e-4

    sizes: ClassVar = {
        "paper": {},
        "full": dict(weights=None),
        "classroom": dict(ClassificationRecipe.sizes["classroom"], backbone="vit_slim", lr=1e-3),
        "smoke": dict(ClassificationRecipe.sizes["smoke"], backbone="vit_slim"),
    }

    from_random: ClassVar = dict(lr=1e-3, epochs=18, warmup_epochs=2)

    def _check(self) -> None:
        super()._check()
        side = PATCHES[self.backbone] * (2 if self.half_size_epochs else 1)
        if any(pixels % side for pixels in self.crop):
            half = ", half of which is shown in the first epochs," if self.half_size_epochs else ""
            raise RecipeError(
                f"{self.backbone} cuts images into patches of {PATCHES[self.backbone]} pixels a side: height and width "
                f"of crop{half} must be multiples of {side}, not {self.crop[0]} x {self.crop[1]}."
            )

    def network(self, num_pids: int) -> "VisionTransformer":
        """The network, its weights drawn from torch's generator."""
        return VisionTransformer(self, num_pids)


class VisionTransformer(Classification):
    """The mean of a transformer's last tokens, a BNNeck, a classifier."""

    def __init__(self, recipe: VisionTransformerRecipe, num_pids: int) -> None:
        Network.__init__(self, transformer(recipe.backbone, recipe.weights), num_pids, recipe.crop)
        self.recipe = recipe
        self.neck: nn.Module = heads.BNNeck(self.backbone.channels[1])
        self.classifier = heads.classifier(self.backbone.channels[1], num_pids, bias=False)
