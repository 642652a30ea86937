r"""LOMO with XQDA: local maximal occurrence, a formula that few things disturb, and a learned metric.

In each window of 10 x 10 pixels, colours and textures are counted. Of the windows side by side only the largest count
of each bin is kept, so that a person who turns or steps aside changes little. Light is taken out twice: colours by
Retinex, and texture (SILTP) compares neighbours by ratios. The image is looked at in three scales:

    Retinex -- hue, saturation, value (8 x 8 x 8 bins) --\
    grey -- SILTP, radius 3 (81 codes) -------------------- windows -- maximum over each of 24 + 11 + 5 rows
    grey -- SILTP, radius 5 (81 codes) -------------------/     -- log(1 + count) -- length 1, each -- XQDA
                                                                      (512 + 2 x 81) x 40 = 26,960

Source: Liao, Hu, Zhu and Li, "Person Re-identification by Local Maximal Occurrence Representation and Metric Learning"
(CVPR 2015). No code was taken. SILTP is that of Liao et al. (CVPR 2010). The authors' Retinex is not public. Ours is
that of Jobson, Rahman and Woodell (1997), with surrounds of 5 and 20 pixels, which the authors are said to use.

XQDA in their code solves another problem than in the paper; ``basis`` chooses (see :mod:`.pair_metrics`).
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional as F

from reid_lab import data
from reid_lab.methods import pair_metrics
from reid_lab.methods.closed_form import ClosedForm, Projected
from reid_lab.methods.fields import Count, NotNegative, Pixels, stated, unconfirmed

WINDOW, STEP, SCALES = 10, 5, 3
COLOUR_BINS, RADII = 8, (3, 5)  # bins of hue, of saturation and of value; of SILTP
TAU = 0.3  # of SILTP: a neighbour is darker below 1 - TAU times the centre, brighter above 1 + TAU times
CODES = (COLOUR_BINS**3, *(3**4 for _ in RADII))  # how many codes a pixel may have, in each of the three blocks
SURROUNDS = (5.0, 20.0)  # standard deviations in pixels, of Retinex
STRETCH = 2.5  # standard deviations around the mean that Retinex maps to the whole range


@dataclass(frozen=True, kw_only=True)
class LomoRecipe(ClosedForm):
    """Every number of LOMO and XQDA that may be changed; those of the windows are constants."""

    method: ClassVar = "lomo"

    resize: Pixels = stated((128, 48), "the authors' code: 128 x 48")
    retinex: bool = unconfirmed(True, "multi-scale Retinex before the colours, its details are open")
    metric: Literal["xqda", "none"] = stated("xqda", "the authors' code")
    basis: Literal["eigen", "svd"] = unconfirmed("eigen", "generalized eigenvectors; the authors' code: an SVD")
    pairs: Literal["cross_camera", "all"] = unconfirmed("cross_camera", "pairs from two cameras, of which it has two")
    ridge: NotNegative = stated(0.001, "the authors' code: 0.001 on the diagonal")
    dims: Count | None = stated(None, "the authors' code: all directions whose value is above 1")

    sizes: ClassVar = {
        "paper": {},
        "full": dict(resize=(128, 64)),
        "classroom": dict(resize=(128, 64)),
        "smoke": dict(resize=(64, 48)),
    }

    def _check(self) -> None:
        smallest = WINDOW * 2 ** (SCALES - 1)
        self._require("resize", min(self.resize) >= smallest, f"at least {smallest} pixels high and wide")

    def network(self, num_pids: int, rows: int = 0) -> "Lomo":
        """The network."""
        return Lomo(self, num_pids, rows)


class Lomo(Projected):
    """Counts of colours and textures, and their projection."""

    def __init__(self, recipe: LomoRecipe, num_pids: int, rows: int = 0) -> None:
        sides = [recipe.resize[0] // 2**scale for scale in range(SCALES)]
        super().__init__(recipe, num_pids, sum(CODES) * sum((side - WINDOW) // STEP + 1 for side in sides), rows)
        self.recipe = recipe

    def describe(self, pixels: Tensor) -> Tensor:
        """Colours and textures of pixels (batch, 3, H, W): (batch, 26960) at 128 x 48; three blocks of length 1."""
        colours, greys = hsv_codes(retinex(pixels) if self.recipe.retinex else pixels).float(), grey(pixels)
        blocks: list[list[Tensor]] = [[] for _ in CODES]
        for scale in range(SCALES):
            if scale:
                colours, greys = F.avg_pool2d(colours, 2).floor(), F.avg_pool2d(greys, 2)
            codes = [colours.long(), *(siltp(greys, radius) for radius in RADII)]
            for block, code, bins in zip(blocks, codes, CODES, strict=True):
                block.append(maximal_occurrence(code, bins))
        return torch.cat([F.normalize(torch.cat(block, dim=1).log1p(), dim=1) for block in blocks], dim=1)

    def solve(self, images: data.ImageStore, pids: np.ndarray, camids: np.ndarray, seed: int) -> Mapping[str, float]:
        """The metric."""
        recipe = self.recipe
        if recipe.metric == "none":
            return {"dimensions": self.length}
        span = pair_metrics.span(self.of_all(images, self.describe))
        found = pair_metrics.covariances(span.coordinates, pids, camids, recipe.pairs)
        rows = pair_metrics.xqda(found.similar, found.different, recipe.ridge, recipe.dims, recipe.basis)
        self.project(span.projection(rows))
        pairs = {"similar_pairs": found.similar_pairs, "different_pairs": found.different_pairs}
        return pairs | {"dimensions": len(rows)}


def maximal_occurrence(codes: Tensor, bins: int) -> Tensor:
    """How often each code occurs in a window, the most of all windows of a row: (batch, rows x bins).

    Args:
        codes: (batch, 1, H, W), whole numbers from 0 to bins - 1.
        bins: How many codes there are.
    """
    windows = codes[:, 0].unfold(1, WINDOW, STEP).unfold(2, WINDOW, STEP).flatten(3)  # (batch, rows, columns, 100)
    counts = torch.zeros(*windows.shape[:3], bins, device=codes.device)
    return counts.scatter_add(3, windows, torch.ones_like(windows, dtype=counts.dtype)).amax(dim=2).flatten(1)


def grey(pixels: Tensor) -> Tensor:
    """The luma of pixels (batch, 3, H, W), whole numbers from 0 to 255: (batch, 1, H, W)."""
    red, green, blue = pixels.split(1, dim=1)
    return ((299 * red + 587 * green + 114 * blue) / 1000).round()  # the sum is exact


def hsv_codes(pixels: Tensor) -> Tensor:
    """The joint bin of hue, saturation and value of pixels (batch, 3, H, W): (batch, 1, H, W), from 0 to 511.

    A grey pixel has hue 0.
    """
    red, green, blue = pixels.split(1, dim=1)
    high, low = pixels.amax(dim=1, keepdim=True), pixels.amin(dim=1, keepdim=True)
    chroma = high - low
    some = chroma.clamp(min=1e-12)
    hue = torch.where(high == red, (green - blue) / some, 4 + (red - green) / some)
    hue = torch.where((high == green) & (high != red), 2 + (blue - red) / some, hue)
    hue = torch.where(hue < 0, hue + 6, hue) / 6 * (chroma > 0)
    saturation = chroma / high.clamp(min=1e-12)
    bins = [(COLOUR_BINS * share).floor().clamp(0, COLOUR_BINS - 1) for share in (hue, saturation, high / 255)]
    return (bins[0] + COLOUR_BINS * bins[1] + COLOUR_BINS**2 * bins[2]).long()


def siltp(greys: Tensor, radius: int) -> Tensor:
    """The code of each pixel of (batch, 1, H, W): of four neighbours, which are darker (1) or brighter (2).

    Beyond the edge, the edge's pixels are repeated.
    """
    around = F.pad(greys, (radius, radius, radius, radius), mode="replicate")
    height, width = greys.shape[2:]
    code = torch.zeros_like(greys)
    for place, (down, right) in enumerate(((0, 1), (1, 0), (0, -1), (-1, 0))):
        top, left = radius * (1 + down), radius * (1 + right)
        neighbour = around[:, :, top : top + height, left : left + width]
        darker, brighter = neighbour < (1 - TAU) * greys, neighbour > (1 + TAU) * greys
        code = code + 3**place * (darker.float() + 2 * brighter.float())
    return code.long()


def retinex(pixels: Tensor) -> Tensor:
    """Pixels (batch, 3, H, W) from 0 to 255 without the light that they were seen in, and again from 0 to 255.

    A colour is compared with the blurred image around it; what is grey there becomes grey again by the share of the
    pixel's three colours. Whole numbers come out, so that a last digit rarely changes a bin.
    """
    light = pixels + 1
    rows, columns = light.shape[2:]
    compared = torch.zeros_like(light)
    for sigma in SURROUNDS:
        around = blur(rows, sigma, light) @ light @ blur(columns, sigma, light).T
        compared = compared + (light.log() - around.log()) / len(SURROUNDS)
    restored = compared * (125 * light / light.sum(dim=1, keepdim=True)).log()
    mean = restored.mean(dim=(1, 2, 3), keepdim=True)
    deviation = (restored - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    share = (restored - mean) / (2 * STRETCH * deviation + 1e-3) + 0.5
    return (255 * share.clamp(0, 1)).round()


def blur(size: int, sigma: float, like: Tensor) -> Tensor:
    """The Gaussian weights (size, size) of each place's neighbours, which sum to 1 also at the edges."""
    places = torch.arange(size, device=like.device, dtype=like.dtype)
    weights = torch.exp(-(places[:, None] - places).square() / (2 * sigma**2))
    return weights / weights.sum(dim=1, keepdim=True)
