"""Where a network looks: Grad-CAM for retrieval networks, and how much of the heat lies on the person.

Grad-CAM (Selvaraju et al., 2017; paper B, Fig. 6) asks which places of a feature map raise a score. A classifier has
an obvious score. A retrieval network has a descriptor, and the score must be chosen:

- "identity": the logit of a training identity. A query's own identity is not among them, so this asks which of the
  known people it resembles, and where.
- "similarity": the cosine similarity to another image's descriptor, retrieval's own question: why are these two
  thought to be alike? To its own descriptor it is 1, its maximum, where every gradient is 0 and a heat map would be
  magnified rounding errors. An image by itself is therefore asked for the LENGTH of its descriptor before that is
  normalized: after a BNNeck, whose mean is 0, what makes it differ from the average image.

What Grad-CAM cannot see: it weights a channel by the mean of its gradient, that is by what happens if the channel
rises everywhere by the same amount. At layer4, Pavg and Pmax then rise alike and paper B's Pavg - Pmax stays as it is:
with the logit of a given identity as the score, residual pooling's second convolution adds nothing to the map. (Which
logit is the largest it does help to decide.) At layer3, which is pooled, too, it does add to the map: what rises there
rises unevenly in layer4, on which two of the three branches stand.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reid_lab import passersby
from reid_lab.data import Record, image_store, normalize
from reid_lab.models import Network
from reid_lab.models.network import evaluating
from reid_lab.retrieval import checks
from reid_lab.runtime.errors import DataError, FeatureError, ReidLabError
from reid_lab.runtime.progress import bar
from reid_lab.runtime.validation import one_of

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
    """Heat maps (N, H, W) of images, float32 in [0, 1], at the model's input size, where the model is.

    The layer's channels are weighted by the spatial mean of the score's gradient, summed, cut off below 0, and each
    map is stretched from 0 to 1: heat can be compared within an image, not between images. All 0 means that no place
    in the layer raises the score more than another, as where there is but one or none raises it. Uses pytorch-grad-cam;
    the model stays as it is, gradients included.

    Args:
        model: either paper's network.
        images: N records, or a tensor (N, 3, H, W) of the model's input size, uint8 or float and normalized.
        layer: whose map; layer4 is the coarsest, and nearest to the descriptor.
        target: "identity" or "similarity", see the head of this module.
        references: for "similarity": one for all or one per image, as images or as descriptors (N, d).
            Default: none, the length of the image's own descriptor.
        classes: for "identity": the training identity of each image, counted from 0 in the order of their pids.
            Default: the one with the largest logit.
        batch_size: images at a time.

    Raises:
        RecipeError: an unknown layer or target.
        DataError: no images, a wrong size, type or number, an image that is its own reference.
        FeatureError: descriptors of another length than the model's, NaN or infinity in what a map is made of, or a
            ``batch_size`` that is no number of images.
        ReidLabError: pytorch-grad-cam is not installed.
    """
    one_of("layer", layer, LAYERS)
    one_of("target", target, TARGETS)
    batch_size = checks.whole_number("batch_size", batch_size, 1)
    _check(model, images)
    heats: list[np.ndarray] = []
    with _as_it_was(model), bar(total=len(images), description="heat maps", unit="image") as shown:
        scores = _scores(model, len(images), target, references, classes, batch_size)
        with _library(_Scored(model, target), getattr(model.backbone, layer)) as cam:
            for batch in _batches(model, images, batch_size):
                asked = None if scores is None else scores[len(heats) : len(heats) + len(batch)]
                heats.extend(cam(batch.requires_grad_(True), asked))
                _check_heats(heats, len(batch))
                shown.update(len(batch))
    return np.stack(heats).astype(np.float32, copy=False)


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


def heat_share(heats: np.ndarray, masks: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The share of each map's heat that lies on the person, (N,); NaN where there is no heat or no person.

    Args:
        heats: (N, H, W), 0 or more.
        masks: N masks (h, w), bool; of another size they are resized by nearest neighbor.

    Raises:
        DataError: shapes or numbers do not match, or heat is below 0 or NaN.
    """
    heats = np.asarray(heats, dtype=np.float64)
    if heats.ndim != 3 or len(heats) != len(masks):
        raise DataError(
            f"There are heat maps of shape {heats.shape} and {len(masks)} masks: pass (N, H, W) and one mask for each."
        )
    if not (heats >= 0).all():
        raise DataError("Some heat is below 0 or NaN, of which there are no shares: pass maps as grad_cam gives them.")
    fitted = fit_masks(masks, heats.shape[1:])
    total, on_person = heats.sum(axis=(1, 2)), (heats * fitted).sum(axis=(1, 2))
    known = (total > 0) & fitted.any(axis=(1, 2))
    return np.divide(on_person, total, out=np.full(len(heats), np.nan), where=known)


def area_share(masks: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The share of each image that is person, (N,): even heat's share on the person; NaN where there is no person."""
    shares = np.array([np.asarray(mask, dtype=bool).mean() for mask in masks])
    return np.where(shares > 0, shares, np.nan)


def fit_masks(masks: Sequence[np.ndarray] | np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Masks (h, w), bool, resized to ``size`` = (height, width) by nearest neighbor: (N, height, width).

    Raises DataError for a mask that is no (h, w).
    """
    fitted = np.empty((len(masks), *size), dtype=bool)
    for i, mask in enumerate(masks):
        mask = np.asarray(mask, dtype=bool)
        if mask.ndim != 2 or 0 in mask.shape:
            raise DataError(f"Mask {i} has shape {mask.shape}, but (height, width) is needed: pass one mask per image.")
        rows, columns = (_nearest(count, wanted) for count, wanted in zip(mask.shape, size, strict=True))
        fitted[i] = mask[rows[:, None], columns]
    return fitted


def _nearest(count: int, wanted: int) -> np.ndarray:
    """Which of ``count`` pixels lies under the middle of each of ``wanted``."""
    return ((2 * np.arange(wanted) + 1) * count) // (2 * wanted)


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
    def score(descriptor: Tensor) -> Tensor:
        if len(reference) != len(descriptor):
            raise FeatureError(
                f"The references have {len(reference)} dimensions, the network's descriptors {len(descriptor)}: "
                "describe the references with the same network."
            )
        similarity = F.cosine_similarity(descriptor, reference, dim=0)
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
    """Descriptors (N, d) on the model's device, without gradients."""
    if isinstance(references, Tensor) and references.ndim == 2:
        return references.detach().to(next(model.parameters()).device, torch.float32).clone()
    _check(model, references)
    with torch.no_grad():
        return torch.cat([model.features(batch) for batch in _batches(model, references, batch_size)])


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
    with evaluating(model), torch.inference_mode(False), torch.enable_grad(), autocast:
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
    try:
        yield cam
    finally:  # not its own context manager, which prints an IndexError and goes on
        cam.activations_and_grads.release()
