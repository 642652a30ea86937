"""Vision transformers as backbones: timm's, whose last tokens are given back as a map.

A transformer cuts the image into patches, and makes a vector of each, a token. Every block lets all tokens look at each
other. There is one token for each patch from the first block to the last, so there are no layers of falling
resolution, as a ResNet has. To stand in a ResNet's place, a transformer calls the tokens after two thirds of its blocks
layer3, and those after the last block layer4. Both are maps with one position for each patch.

Source: Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021, arXiv 2010.11929). timm's code is under the
Apache licence 2.0; it is used, not copied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from reid_lab.models.backbones import Backbone
from reid_lab.models.weights import no_weights, start, timm_vit_weights
from reid_lab.runtime.errors import RecipeError
from reid_lab.runtime.validation import one_of

PATCHES = {"vit_small": 16, "vit_slim": 8}  # the side of a patch, in pixels


class TransformerBackbone(Backbone):
    """A vision transformer without its classifier.

    Args:
        shape: timm's arguments of a ``VisionTransformer``: ``img_size``, ``patch_size``, ``embed_dim``, ``depth``,
            ``num_heads``. Images of other sizes get position embeddings that are interpolated.

    Attributes:
        channels: Numbers of a token, twice: in both maps that ``forward`` returns.

    Raises:
        RecipeError: timm is not installed.
    """

    def __init__(self, **shape: Any) -> None:
        nn.Module.__init__(self)
        try:
            from timm.layers import set_fused_attn, use_fused_attn
            from timm.models.vision_transformer import VisionTransformer
        except ImportError as error:
            raise RecipeError("A vision transformer needs timm: pip install timm.") from error
        fused = bool(use_fused_attn())
        set_fused_attn(False)  # on a CPU, the gradients of fused attention took half of a step
        self.tokens = VisionTransformer(**shape, num_classes=0, global_pool="avg", fc_norm=False, dynamic_img_size=True)
        set_fused_attn(fused)
        self.channels = (shape["embed_dim"], shape["embed_dim"])
        self.layer4 = nn.Identity()  # where Grad-CAM finds the map

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the maps of the tokens, after two thirds of the blocks and after all of them.

        Args:
            images: (batch, 3, H, W), normalized; H and W are multiples of the patch's side.

        Returns:
            Two maps (batch, d, H / patch, W / patch), normalized by the last layer norm.
        """
        blocks = len(self.tokens.blocks)
        indices = [2 * blocks // 3 - 1, blocks - 1]
        maps: Any = self.tokens.forward_intermediates(images, indices, norm=True, intermediates_only=True)
        return maps[0], self.layer4(maps[1])


def vit_small(weights: str | None = None) -> TransformerBackbone:
    """ViT-S/16 for images of 256 x 128: 21.6 M parameters without its classifier."""
    shape = dict(img_size=(256, 128), embed_dim=384, depth=12, num_heads=6)
    network = TransformerBackbone(patch_size=PATCHES["vit_small"], **shape)
    start(network, "vit_small", weights, timm_vit_weights)
    return network


def vit_slim(weights: str | None = None) -> TransformerBackbone:
    """Four narrow blocks on patches of 8 x 8: for images of 128 x 64 on a CPU."""
    shape = dict(img_size=(128, 64), embed_dim=192, depth=4, num_heads=3)
    network = TransformerBackbone(patch_size=PATCHES["vit_slim"], **shape)
    start(network, "vit_slim", weights, no_weights)
    return network


TRANSFORMERS: Mapping[str, Callable[..., TransformerBackbone]] = {"vit_small": vit_small, "vit_slim": vit_slim}


def transformer(name: str, weights: str | None = None) -> TransformerBackbone:
    """Build the vision transformer of that name.

    Args:
        name: A key of :data:`TRANSFORMERS`.
        weights: As for a :func:`reid_lab.models.backbone`.

    Raises:
        RecipeError: There is no transformer of that name, or timm is not installed.
        WeightsError: The weights could not be had.
    """
    return TRANSFORMERS[one_of("The transformer", name, TRANSFORMERS)](weights)
