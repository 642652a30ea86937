"""What paper B is compared with: other poolings (Table 2), controls of equal size, and other readings of the paper.

Each class changes a few parts of :class:`.residual_pooling.ResidualPooling`; the rest stays the paper's.
"""

import torch
from torch import Tensor, nn

from reid_lab.methods.residual_pooling import ResidualPooling, ResidualPoolingRecipe, convolution
from reid_lab.models import heads
from reid_lab.models.network import Gather
from reid_lab.runtime.validation import one_of

# Which pooled features a variant uses; each of them gets a triplet loss.
POOLINGS = {
    "residual": ("Pavg1", "Pmax1", "Pavg2", "Pmax2", "Pavg3", "Pmax3"),  # the paper's
    "avg": ("Pavg1", "Pavg2", "Pavg3"),
    "max": ("Pmax1", "Pmax2", "Pmax3"),
    "baseline": ("Pavg2",),
    "avg+avg": ("Pavg1", "Pavg2", "Pavg3"),  # and three of residual's size, to compare it with
    "max+max": ("Pmax1", "Pmax2", "Pmax3"),
    "max+avg": ("Pavg1", "Pmax1", "Pavg2", "Pmax2", "Pavg3", "Pmax3"),
    "raw avg": ("Pavg1", "Pavg2", "Pavg3"),  # and two without convolutions, of another size
    "raw max": ("Pmax1", "Pmax2", "Pmax3"),
}


def network(recipe: ResidualPoolingRecipe, num_pids: int) -> ResidualPooling:
    """The network that a recipe asks for: the paper's, where it reads the paper as we do.

    Args:
        recipe: its ``pooling``, and the fields from ``shared_convolutions`` to ``triplet_scales``, decide.
        num_pids: the number of training identities.
    """
    paper = ResidualPoolingRecipe(size="paper")
    if recipe.pooling == "baseline":
        return Baseline(recipe, num_pids)
    if recipe.pooling.startswith("raw"):
        return RawPooling(recipe, num_pids)
    reading = (
        "pooling",
        "shared_convolutions",
        "nonlinear",
        "sign",
        "third",
        "classifiers",
        "fusion",
        "triplet_scales",
    )
    same = all(getattr(recipe, name) == getattr(paper, name) for name in reading)
    return (ResidualPooling if same else Variant)(recipe, num_pids)


def _average(p_avg: Tensor, p_max: Tensor) -> Tensor:
    return p_avg


def _maximum(p_avg: Tensor, p_max: Tensor) -> Tensor:
    return p_max


def _contrast(p_avg: Tensor, p_max: Tensor) -> Tensor:
    return p_avg - p_max


def _reversed(p_avg: Tensor, p_max: Tensor) -> Tensor:
    return p_max - p_avg


class VariantPool(nn.Module):
    """Another pooling in the place of eq. 1: what the first 1x1 convolution sees, plus what the second one sees.

    Shared and linear, eq. 1 is plain average pooling:
    d(Pmax) + d(Pavg - Pmax) = d(Pmax) + d(Pavg) - d(Pmax) = d(Pavg).

    Args:
        channels: of the pooled maps.
        dim: of the result.
        pooling: one of SEEN.
        shared: both convolutions are one.
        nonlinear: batch normalization and ReLU follow each convolution.

    Raises:
        RecipeError: there is no such pooling.
    """

    SEEN = {
        "avg-max": (_maximum, _contrast),  # eq. 1
        "max-avg": (_maximum, _reversed),  # the text of section 3.2
        "avg": (_average,),
        "max": (_maximum,),
        "avg+avg": (_average, _average),
        "max+max": (_maximum, _maximum),
        "max+avg": (_maximum, _average),
    }

    def __init__(self, channels: int, dim: int, pooling: str, shared: bool = False, nonlinear: bool = True) -> None:
        one_of("pooling", pooling, self.SEEN)
        super().__init__()
        self.pooling = pooling
        self.first = _delta(channels, dim, nonlinear)
        self.second = None if shared or pooling in ("avg", "max") else _delta(channels, dim, nonlinear)

    def forward(self, p_avg: Tensor, p_max: Tensor) -> Tensor:
        """Two pooled maps (batch, c, m, m) to one (batch, dim, m, m)."""
        first, *second = self.SEEN[self.pooling]
        result = self.first(first(p_avg, p_max))
        if not second:
            return result
        delta = self.first if self.second is None else self.second
        return result + delta(second[0](p_avg, p_max))


def _delta(channels: int, dim: int, nonlinear: bool) -> nn.Module:
    delta = convolution(channels, dim)
    return delta if nonlinear else delta[0]


class Variant(ResidualPooling):
    """Another pooling with convolutions, or another reading of the paper: fields of the recipe, freely combined.

    ``third``: the 2x2 features pass the convolutions as a "map" that is averaged afterwards, or "flatten"-ed to one
    vector of four times the channels. ``classifiers``: 1 for the three branches, or 3. ``fusion`` of the three:
    "concat" or "sum". ``triplet_scales``: triplet losses at all 3 places, at 1 (layer4 as a whole), or at 0.
    """

    def __init__(self, recipe: ResidualPoolingRecipe, num_pids: int) -> None:
        super().__init__(recipe, num_pids)
        self.third, self.fusion = recipe.third, recipe.fusion
        self.used = POOLINGS[recipe.pooling]
        scales = {3: "123", 1: "2", 0: ""}[recipe.triplet_scales]
        self.in_triplets = tuple(name for name in self.used if name[-1] in scales)

    def make_head(self, c3: int, c4: int, dim: int) -> None:
        """A pooling module and a BNNeck at each of the three places, and one classifier, or three."""
        recipe, places = self.recipe, (c3, c4, self._third(c4))
        pooling = recipe.sign if recipe.pooling == "residual" else recipe.pooling
        self.pools = nn.ModuleList(
            VariantPool(channels, dim, pooling, recipe.shared_convolutions, recipe.nonlinear) for channels in places
        )
        self._make_necks([dim] * 3, recipe.classifiers)

    def _third(self, c4: int) -> int:
        return 4 * c4 if self.recipe.third == "flatten" else c4

    def _make_necks(self, dims: list[int], classifiers: int) -> None:
        self.necks = nn.ModuleList(heads.BNNeck(dim) for dim in dims)
        own = [heads.classifier(dim, self.num_pids, bias=False) for dim in dims[:classifiers]]
        self.classifiers = nn.ModuleList(own)

    def contrast(self, pooled: dict[str, Tensor]) -> dict[str, Tensor]:
        """Pcont1 .. Pcont3, (batch, dim) each."""
        return super().contrast(self._flattened(pooled))

    def _flattened(self, pooled: dict[str, Tensor]) -> dict[str, Tensor]:
        if self.third == "map":
            return pooled
        return {name: feature.flatten(1)[..., None, None] for name, feature in pooled.items()}

    def fuse(self, necks: list[Tensor]) -> Tensor:
        """Three BNNeck features side by side, or their sum (batch, dim)."""
        return torch.stack(necks).sum(dim=0) if self.fusion == "sum" else super().fuse(necks)

    def triplet_loss(self, pooled: dict[str, Tensor], pids: Tensor, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean triplet loss of the features in use at the chosen scales; 0, without signs, where there are none."""
        if not self.in_triplets:
            return pids.new_zeros((), dtype=torch.float32), {}
        return super().triplet_loss(pooled, pids, gather)

    def collapse_margin(self) -> float:
        """The triplet losses' margin; 0 without triplet losses."""
        return self.recipe.margin if self.in_triplets else 0.0


class RawPooling(Variant):
    """No convolutions: what was pooled goes on as it is, at each place to a classifier of its own."""

    def make_head(self, c3: int, c4: int, dim: int) -> None:
        """Three BNNecks of the pooled features' sizes, three classifiers."""
        self.pools = nn.ModuleList()
        self._make_necks([c3, c4, self._third(c4)], classifiers=3)

    def contrast(self, pooled: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features in use, as vectors."""
        flat = self._flattened(pooled)
        return {f"Pcont{i}": flat[name].mean(dim=(2, 3)) for i, name in enumerate(self.used, start=1)}


class Baseline(RawPooling):
    """The baseline of Table 2: the average of layer4, one BNNeck, one classifier."""

    def make_head(self, c3: int, c4: int, dim: int) -> None:
        """One BNNeck of layer4's size, one classifier."""
        self.pools = nn.ModuleList()
        self._make_necks([c4], classifiers=1)

    def pool(self, layer3: Tensor, layer4: Tensor) -> dict[str, Tensor]:
        """Only the feature that is used."""
        return {"Pavg2": heads.average_pool(layer4, 1)}
