"""Where a network looks: Grad-CAM for retrieval networks, and how much of the heat lies on the person.

Grad-CAM (Selvaraju et al., 2017; paper B, Fig. 6) asks which places of a feature map raise a score. A classifier has
an obvious score. A retrieval network has features, and the score must be chosen.

The layer's channels are weighted by the spatial mean of the score's gradient, summed and cut off below 0. A map is
stretched from 0 to 1, so heat can be compared within an image, not between images.

- "identity": the logit of a training identity. A query's own identity is not among them, so this asks which of the
  known people it resembles, and where.
- "similarity": the cosine similarity to another image's features, retrieval's own question: why are these two
  thought to be alike? To its own features it is 1, its maximum, where every gradient is 0 and a heat map would be
  magnified rounding errors. An image by itself is therefore asked for the LENGTH of its features before they are
  normalized: after a BNNeck, whose mean is 0, what makes it differ from the average image.

What Grad-CAM cannot see: it weights a channel by the mean of its gradient, that is by what happens if the channel
rises everywhere by the same amount. At layer4, Pavg and Pmax then rise alike and paper B's Pavg - Pmax stays as it is:
with the logit of a given identity as the score, residual pooling's second convolution adds nothing to the map. (Which
logit is the largest it does help to decide.) At layer3, which is pooled, too, it does add to the map: what rises there
rises unevenly in layer4, on which two of the three branches stand.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import passersby
from reid_lab.analysis.shares import area_share, fit_masks, heat_share
from reid_lab.data import Record, image_store, normalize
from reid_lab.models import Network
from reid_lab.models.network import evaluating
from reid_lab.retrieval.features import embed
from reid_lab.runtime.device import exact_float32
from reid_lab.runtime.errors import DataError, FeatureError, RecipeError, ReidLabError
from reid_lab.runtime.progress import bar
from reid_lab.runtime.validation import one_of, whole

LAYERS = ("layer4", "layer3", "layer2", "layer1")
TARGETS = ("identity", "similarity")
Score = Callable[[Tensor], Tensor]
Images = Sequence[Record] | Tensor  # records, or (N, 3, H, W): uint8, or float32 and normalized


def grad_cam(
    model: Network,
    images: Images,
    layer: str = "layer4",
    target: str = "identity",
    references: Images | None = None,
    classes: Sequence[int] | None = None,
    batch_size: int = 32,
) -> np.ndarray:
    """Compute heat maps with pytorch-grad-cam; the model stays as it is.

    Args:
        model: any method's network, where it is.
        images: N records, or a tensor (N, 3, H, W) of the model's input size, uint8 or float and normalized.
        layer: whose map; layer4 is the coarsest, and nearest to the features.
        target: "identity" or "similarity", see the head of this module.
        references: for "similarity": one for all or one per image, as images or as features (N, d); default none.
        classes: for "identity": training identities, counted from 0 in the order of their pids; default the likeliest.
        batch_size: images at a time.

    Returns:
        (N, H, W), float32 in [0, 1], at the model's input size; all 0 where no place raises the score more than others.

    Raises:
        RecipeError: an unknown layer or target, or a network without identity classifier.
        DataError: no images, a wrong size, type or number, an image that is its own reference.
        FeatureError: features of another length than the model's, NaN or infinity, or a wrong ``batch_size``.
        ReidLabError: pytorch-grad-cam is not installed.
    """
    one_of("layer", layer, LAYERS)
    one_of("target", target, TARGETS)
    batch_size = whole("batch_size", batch_size, 1, FeatureError)
    _check(model, images)
    with _as_it_was(model):
        scores = _scores(model, len(images), target, references, classes, batch_size)
        return _maps(_Scored(model, target), images, layer, scores, batch_size)


def on_the_person(
    model: Network,
    records: Sequence[Record],
    layer: str = "layer4",
    target: str = "identity",
    references: Images | None = None,
    classes: Sequence[int] | None = None,
    batch_size: int = 32,
) -> pd.DataFrame:
    """How much of the heat lies on the person: one row per Passersby image.

    Columns: ``path``; ``heat`` (share of the heat on the person, see :func:`heat_share`); ``area`` (share of the image
    that is person: what even heat would give); ``ratio`` of the two. NaN where there is no heat or no person.
    Arguments and errors are those of :func:`grad_cam`; DataError, too, for images that are not Passersby's.
    """
    masks = [passersby.mask(record) for record in records]
    heats = grad_cam(model, records, layer, target, references, classes, batch_size)
    shares, areas = heat_share(heats, masks), area_share(fit_masks(masks, heats.shape[1:]))
    paths = [str(record.path) for record in records]
    return pd.DataFrame({"path": paths, "heat": shares, "area": areas, "ratio": shares / areas})


class _Scored(nn.Module):
    """The network as pytorch-grad-cam wants it: images (B, 3, H, W) to one tensor with a row per image."""

    def __init__(self, model: Network, target: str) -> None:
        super().__init__()
        self.model, self.target = model, target

    def forward(self, images: Tensor) -> Tensor:
        model = self.model
        return model.identity_logits(images) if self.target == "identity" else model.unnormalized_features(images)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Nothing: the library asks for it, but the model's gradients are its owner's."""


def _maps(scored: _Scored, images: Images, layer: str, scores: list[Score] | None, batch_size: int) -> np.ndarray:
    """The heat maps (N, H, W) of all images, one batch after another."""
    model, heats = scored.model, list[np.ndarray]()
    with (
        bar(total=len(images), description="heat maps", unit="image") as shown,
        _library(scored, _layer(model, layer)) as cam,
    ):
        for batch in _batches(model, images, batch_size):
            asked = None if scores is None else scores[len(heats) : len(heats) + len(batch)]
            heats.extend(_stretched(cam(batch.requires_grad_(True), asked), model.input_size))
            _check_heats(heats, len(batch))
            shown.update(len(batch))
    return np.stack(heats).astype(np.float32, copy=False)


def _layer(model: Network, layer: str) -> nn.Module:
    if not hasattr(model.backbone, layer):
        raise RecipeError(
            f"A {type(model).__name__} has no {layer} on the way to its features, so Grad-CAM has no map of it."
        )
    return getattr(model.backbone, layer)


def _stretched(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Maps (N, h, w) to (N, height, width), linear between positions, each of which is put where it looks.

    Of a map of stride s, position i looks at the pixels around s i, since a layer of stride 2 does: 3 x 3 with padding
    1 sees 2 i - 1 to 2 i + 1. Squares of s pixels side by side, as most heat maps are drawn, have their middles
    (s - 1) / 2 pixels further down and to the right. Beyond the last position its heat is repeated.
    """
    rows, columns = (_between(*counts) for counts in zip(maps.shape[1:], size, strict=True))
    return np.einsum("yi,nij,xj->nyx", rows, maps, columns)


def _between(positions: int, pixels: int) -> np.ndarray:
    """Weights (pixels, positions) of the two positions beside each pixel."""
    stride = 2 ** math.ceil(math.log2(pixels / positions))  # of the last position a part may lie outside
    places = np.minimum(np.arange(pixels) / stride, positions - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(positions)))


def _scores(
    model: Network, count: int, target: str, references: Images | None, classes: Sequence[int] | None, batch_size: int
) -> list[Score] | None:
    """The score of each image, a function of its row of ``_Scored``; None: the largest logit."""
    if (references is not None and target != "similarity") or (classes is not None and target != "identity"):
        raise DataError('References go with target="similarity", classes with target="identity": leave the others out.')
    if target == "identity":
        return None if classes is None else [_logit(number) for number in _checked(classes, count, model.num_pids)]
    if references is None:
        return [torch.linalg.vector_norm] * count
    features = _references(model, references, batch_size)
    if len(features) not in (1, count):
        raise DataError(f"There are {len(features)} references for {count} images: pass one, or one for each.")
    return [_similarity(features[i % len(features)], i) for i in range(count)]


def _logit(number: int) -> Score:
    return lambda logits: logits[number]


def _similarity(reference: Tensor, place: int) -> Score:
    def score(features: Tensor) -> Tensor:
        if len(reference) != len(features):
            raise FeatureError(
                f"The references have {len(reference)} dimensions, the network's features {len(features)}: "
                "compute the references' features with the same network."
            )
        similarity = F.cosine_similarity(features, reference, dim=0)
        if similarity.item() > 1 - 1e-6:
            raise DataError(
                f"Image {place} and its reference have a cosine similarity of 1, which cannot rise, so there is no "
                "heat: choose another image as its reference, or leave references out."
            )
        return similarity

    return score


def _checked(classes: Sequence[int], count: int, identities: int) -> list[int]:
    try:
        numbers = [operator.index(number) for number in classes]
    except TypeError as error:
        raise DataError(
            f"The classes are {classes!r}, not a list of whole numbers: pass one from 0 to {identities - 1} for each "
            "image."
        ) from error
    if len(numbers) != count or not all(0 <= number < identities for number in numbers):
        raise DataError(
            f"The classes are {len(numbers)} numbers for {count} images, from {min(numbers, default=0)} to "
            f"{max(numbers, default=0)}: pass one from 0 to {identities - 1} for each image."
        )
    return numbers


def _references(model: Network, references: Images, batch_size: int) -> Tensor:
    """Features (N, d) on the model's device, without gradients."""
    device = next(model.parameters()).device
    if isinstance(references, Tensor) and references.ndim == 2:
        return references.detach().to(device, torch.float32).clone()
    _check(model, references)
    return embed(model, _batches(model, references, batch_size)).to(device)


def _check(model: Network, images: Images) -> None:
    tensor = isinstance(images, Tensor) and (images.is_floating_point() or images.dtype == torch.uint8)
    if not tensor and not (isinstance(images, Sequence) and all(isinstance(image, Record) for image in images)):
        kind = images.dtype if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise DataError(
            f"The images are {kind}: pass a list of records, or a tensor of uint8 pixels or of normalized floats."
        )
    if len(images) == 0:
        raise DataError("There are no images to explain: the list is empty, so choose some records.")
    if isinstance(images, Tensor) and images.shape[1:] != (3, *model.input_size):
        raise DataError(
            f"The images have shape {tuple(images.shape)}, but the network takes (N, 3, {model.input_size[0]}, "
            f"{model.input_size[1]}): resize them, or pass records."
        )


def _batches(model: Network, images: Images, batch_size: int) -> Iterator[Tensor]:
    """Normalized images (B, 3, H, W) on the model's device, fresh copies, channels last."""
    device = next(model.parameters()).device
    pixels = images if isinstance(images, Tensor) else image_store(images, model.input_size, device)
    for start in range(0, len(images), batch_size):
        places = torch.arange(start, min(start + batch_size, len(images)))
        batch = (pixels[places] if isinstance(pixels, Tensor) else pixels.batch(places)).detach().to(device)
        batch = normalize(batch) if batch.dtype == torch.uint8 else batch.float()
        yield batch.contiguous(memory_format=torch.channels_last)


def _check_heats(heats: Sequence[np.ndarray], batch: int) -> None:
    for i in range(len(heats) - batch, len(heats)):
        if not np.isfinite(heats[i]).all():
            raise FeatureError(
                f"The heat map of image {i} is NaN: its pixels, its reference or the network's weights hold NaN or "
                "infinity, so look for them there."
            )


@contextlib.contextmanager
def _as_it_was(model: Network) -> Iterator[None]:
    """Evaluation mode, float32, gradients for activations but none for weights; afterwards all is as it was."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    device = next(model.parameters()).device.type
    autocast = torch.autocast(device, enabled=False)
    with evaluating(model), torch.inference_mode(False), torch.enable_grad(), autocast, exact_float32():
        model.requires_grad_(False)
        try:
            yield
        finally:
            for parameter, flag in flags:
                parameter.requires_grad_(flag)


@contextlib.contextmanager
def _library(scored: nn.Module, layer: nn.Module) -> Iterator[Any]:
    """pytorch-grad-cam at work on one layer; its hooks are removed afterwards."""
    try:
        from pytorch_grad_cam import GradCAM
    except ImportError as error:
        raise ReidLabError(
            f"Heat maps need pytorch-grad-cam ({error}): install it with `pip install grad-cam`."
        ) from error
    cam = GradCAM(scored, [layer])
    cam.get_target_width_height = lambda images: None  # maps of the layer's own size: see _stretched
    try:
        yield cam
    finally:  # not its own context manager, which prints an IndexError and goes on
        cam.activations_and_grads.release()
