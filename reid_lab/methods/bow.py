r"""Bag of words with KISSME: what text retrieval knows, applied to the colours of small cells, and a learned metric.

The image falls into cells of 4 x 4 pixels. The colour of a cell votes for its nearest words, of a codebook of colours.
Votes are counted in 16 strips, weighed as in text retrieval, and projected by a metric that is solved for:

    cells -- colour -- the 10 nearest of 350 words -- votes, few at the margin -- sums in strips (16 x 350)
       -- / sqrt(votes for the word) -- minus the training mean -- x sqrt(idf) -- length 1 -- PCA (200) -- KISSME

Sources: Zheng, Shen, Tian, Wang, Wang and Tian, "Scalable Person Re-identification: A Benchmark" (ICCV 2015), for the
features; Koestinger et al. (CVPR 2012) for the metric, see :mod:`.pair_metrics`. No code was taken.

The authors' colours are probabilities of 11 colour names, looked up in a table without a licence. We take CIE L*a*b*;
``colours`` may be the path of that table. Their codebook came from other images, and what they weigh words by partly
from the test images; ours all come from the training images.

KISSME's matrix has negative eigenvalues, which no projection has. They are set to 0, as the authors set them near 0.
What that costs is seen with ``metric="none"``, :func:`.pair_metrics.kissme` and :func:`.pair_metrics.quadratic`.
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
from reid_lab.methods.fields import Count, Pixels, Positive, Several, Whole, stated, unconfirmed
from reid_lab.runtime.errors import RecipeError

CELL, STRIP = 4, 2  # pixels of a cell's side; rows of cells in a strip
NAMES = 11  # of colours
SAMPLE = 20_000  # cells from which the codebook is made


@dataclass(frozen=True, kw_only=True)
class BowRecipe(ClosedForm):
    """Every number of the bag of words and its metric."""

    method: ClassVar = "bow"

    resize: Pixels = stated((128, 64), "the authors' code: 128 x 64")
    colours: str = stated("lab", "the authors' code: 11 colour names; give the path of their table for it")
    words: Whole = stated(350, "the authors' code: 350 words; 0: no words, the cells' colours themselves")
    assigned: Count = stated(10, "the authors' code: each cell votes for its 10 nearest words")
    sigma: Positive = stated(3.0, "the authors' code: a vote is exp(-distance / 9), nearly 1 for all that are near")
    background: bool = stated(True, "the authors' code: votes are weighed by exp(-x^2 - y^2), x and y from -1 to 1")
    burstiness: bool = stated(True, "the authors' code: divided by the root of the image's votes for the word")
    idf: bool = stated(True, "the authors' code: multiplied by the root of the idf")
    metric: Literal["kissme", "similar", "none"] = stated("kissme", "the authors' code; 'similar': S^-1 alone")
    pairs: Literal["cross_camera", "all"] = stated("cross_camera", "the authors' code: some pairs from two cameras")
    pca: Several = unconfirmed(200, "200 dimensions")

    # Without idf below "paper": on validation people, it made words of L*a*b* worse.
    sizes: ClassVar = {
        "paper": {},
        "full": dict(idf=False),
        "classroom": dict(idf=False),
        "smoke": dict(resize=(64, 32), words=30, assigned=5, pca=12, idf=False),
    }

    def _check(self) -> None:
        rows, columns = CELL * STRIP, CELL
        fits = self.resize[0] % rows == 0 and self.resize[1] % columns == 0
        self._require("resize", fits, f"multiples of {rows} and {columns} pixels")
        self._require("words", self.words != 1, "0, or a whole number from 2")
        self._require("assigned", self.assigned <= (self.words or self.assigned), f"at most words = {self.words}")

    def network(self, num_pids: int, rows: int = 0) -> "BagOfWords":
        """The network; its codebook is still all 0."""
        return BagOfWords(self, num_pids, rows)


class BagOfWords(Projected):
    """Words of colour in strips, and their projection."""

    table: Tensor  # (32^3, 11): colour names of colours of 5 bits a channel; (0, 11) where colours are L*a*b*
    codebook: Tensor  # (words, channels)
    mean: Tensor  # (length,): of the training images
    idf: Tensor  # (words,)
    importance: Tensor  # (cells,)

    def __init__(self, recipe: BowRecipe, num_pids: int, rows: int = 0) -> None:
        height, width = (side // CELL for side in recipe.resize)
        channels = 3 if recipe.colours == "lab" else NAMES
        length = height // STRIP * recipe.words if recipe.words else height * width * channels
        super().__init__(recipe, num_pids, length, rows)
        self.recipe = recipe
        self.register_buffer("table", torch.zeros(0 if recipe.colours == "lab" else 32**3, NAMES))
        self.register_buffer("codebook", torch.zeros(recipe.words, channels))
        self.register_buffer("mean", torch.zeros(self.length))
        self.register_buffer("idf", torch.ones(recipe.words))
        self.register_buffer("importance", importance(height, width, recipe.background), persistent=False)

    def describe(self, pixels: Tensor) -> Tensor:
        """The weighed words of pixels (batch, 3, H, W): (batch, strips x words), of length 1."""
        return self.weighed(self.counted(self.cells(pixels)))

    def cells(self, pixels: Tensor) -> Tensor:
        """The colour of each cell, row by row: (batch, cells, channels)."""
        if len(self.table):
            red, green, blue = pixels.long().div(8, rounding_mode="floor").unbind(1)
            colours = self.table[red + 32 * green + 1024 * blue].permute(0, 3, 1, 2)
        else:
            colours = lab(pixels) / 100  # as near to one another as probabilities, for which sigma was chosen
        return F.avg_pool2d(colours, CELL).flatten(2).transpose(1, 2)

    def counted(self, cells: Tensor) -> Tensor:
        """The votes of cells (batch, cells, channels) in strips: (batch, strips x words)."""
        if not self.recipe.words:
            return cells.flatten(1)
        votes, chosen = self.votes(cells)
        strips = self.input_size[0] // CELL // STRIP
        weighed = votes * self.importance[:, None]
        counts = weighed.unflatten(1, (strips, -1)).sum(dim=2)  # (batch, strips, words)
        if self.recipe.burstiness:
            counts = counts / chosen.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        return counts.flatten(1)

    def votes(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Each cell's votes, exp(-distance / sigma^2) for its nearest words, and 1 at these: (batch, cells, words)."""
        squares = torch.zeros(*cells.shape[:2], len(self.codebook), dtype=cells.dtype, device=cells.device)
        for colour, word in zip(cells.unbind(2), self.codebook.unbind(1), strict=True):
            squares = squares + (colour[:, :, None] - word).square()
        nearest, places = squares.topk(self.recipe.assigned, dim=2, largest=False)
        none = torch.zeros_like(squares)
        votes = none.scatter(2, places, torch.exp(-nearest.sqrt() / self.recipe.sigma**2))
        return votes, none.scatter(2, places, torch.ones_like(nearest))

    def weighed(self, counts: Tensor) -> Tensor:
        """Counts (batch, length) without what all images have, each word by its idf, of length 1."""
        centered = counts - self.mean
        if not self.recipe.words:
            return centered
        return F.normalize((centered.unflatten(1, (-1, len(self.idf))) * self.idf.sqrt()).flatten(1), dim=1)

    def solve(self, images: data.ImageStore, pids: np.ndarray, camids: np.ndarray, seed: int) -> Mapping[str, float]:
        """The codebook, what the words weigh, and the metric."""
        recipe = self.recipe
        if len(self.table):
            self.table.copy_(colour_names(recipe.colours))
        if recipe.words:
            self.codebook.copy_(codebook(self.of_all(images, self.cells), recipe.words, seed))
        counts = self.of_all(images, lambda pixels: self.counted(self.cells(pixels)))  # (N, length)
        self.mean.copy_(counts.mean(dim=0))
        if recipe.idf and recipe.words:
            having = counts.unflatten(1, (-1, recipe.words)).sum(dim=1).gt(0).sum(dim=0)  # images with the word
            self.idf.copy_(torch.log(len(counts) / having.clamp(min=1)))
        if recipe.metric == "none":
            return {"dimensions": self.length}
        features = torch.cat([self.weighed(rows.to(self.mean)).cpu() for rows in counts.split(1024)])
        span = pair_metrics.span(features, recipe.pca)
        found = pair_metrics.covariances(span.coordinates, pids, camids, recipe.pairs)
        if recipe.metric == "similar":
            matrix = pair_metrics.inverse(found.similar)
        else:
            matrix = pair_metrics.kissme(found.similar, found.different)
        rows = pair_metrics.factor(matrix)
        self.project(span.projection(rows))
        pairs = {"similar_pairs": found.similar_pairs, "different_pairs": found.different_pairs}
        return pairs | {"dimensions": len(rows)}


def importance(height: int, width: int, background: bool) -> Tensor:
    """How much the vote of a cell counts, more in the middle, where the person is: (height * width,)."""
    y, x = (torch.linspace(-1, 1, cells).square() for cells in (height, width))
    return torch.exp(-y[:, None] - x).flatten() if background else torch.ones(height * width)


def lab(pixels: Tensor) -> Tensor:
    """The L*a*b* of sRGB pixels (batch, 3, H, W) from 0 to 255, under daylight (D65): (batch, 3, H, W)."""
    unit = pixels / 255
    linear = torch.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    red, green, blue = linear.unbind(1)
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    xyz = torch.stack([x, y, z], dim=1)
    fx, fy, fz = torch.where(xyz > (6 / 29) ** 3, xyz ** (1 / 3), xyz * (29 / 6) ** 2 / 3 + 4 / 29).unbind(1)
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], dim=1)


def colour_names(path: str) -> Tensor:
    """The user's table of colour names: (32^3, 11), by red / 8 + 32 (green / 8) + 1024 (blue / 8).

    Raises:
        RecipeError: The file cannot be read, or holds no such table.
    """
    from scipy.io import loadmat, matlab

    try:
        arrays = [np.asarray(value) for name, value in loadmat(path).items() if not name.startswith("__")]
    except (OSError, ValueError, NotImplementedError, matlab.MatReadError) as error:  # the third: of MATLAB 7.3
        raise RecipeError(
            f"The recipe's field colours is {path!r}, which cannot be read ({error}); it must be 'lab' or the path of "
            "a MATLAB file with a table of colour names."
        ) from error
    for array in arrays:
        if array.ndim == 2 and len(array) == 32**3 and array.shape[1] >= NAMES:
            return torch.from_numpy(array[:, -NAMES:].astype(np.float32))  # the colours themselves may stand before
    raise RecipeError(
        f"The recipe's field colours is {path!r}, a file without a table of 32768 rows and {NAMES} columns; give "
        "'lab' or the path of such a file."
    )


def codebook(cells: Tensor, words: int, seed: int) -> Tensor:
    """The words: means of the k-means clusters of some cells (N, cells, channels), drawn at random: (words, channels).

    Raises:
        RecipeError: There are fewer different cells than words.
    """
    from scipy.cluster.vq import kmeans2

    random, every = np.random.default_rng(seed), cells.flatten(0, 1).double().numpy()
    some = every[random.choice(len(every), min(SAMPLE, len(every)), replace=False)]
    if len(np.unique(some, axis=0)) < words:
        raise RecipeError(f"The recipe's field words is {words}, more than the cells have colours; choose fewer words.")
    return torch.from_numpy(kmeans2(some, words, minit="++", seed=random)[0].astype(np.float32))
