"""Features of images: a network at work on batches of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from reid_lab.data.augment import normalize
from reid_lab.data.images import ImageStore, image_store
from reid_lab.data.records import Record
from reid_lab.models.network import Network, evaluating
from reid_lab.runtime import precision
from reid_lab.runtime.device import exact_float32, fast_precision, find_device, kind
from reid_lab.runtime.errors import CheckpointError, DataError, FeatureError
from reid_lab.runtime.files import write_whole
from reid_lab.runtime.progress import bar
from reid_lab.runtime.validation import whole

EVERY_MODULES = frozenset(vars(torch.nn.Module()))  # `training` and what torch keeps for itself


def extract(
    model: Network,
    records: Sequence[Record],
    device: torch.device | str | None = None,
    batch_size: int | None = None,
    flip: bool = False,
    autocast: bool = False,
    cache: Path | None = None,
    extras: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Compute the features of images on disk: `model.embed` of images of `model.input_size`.

    Args:
        model: its training mode is put back.
        records: the images.
        device: the model is moved there, and stays; None: where it is.
        batch_size: None: 256 on a GPU, 64 on a CPU, where more takes memory and gains nothing.
        flip: take the mean of the features of each image and of its mirror image.
        autocast: bfloat16 or float16, whichever is fast here; float32, and a warning, where that is found to be wrong.
        cache: folder that keeps the features for the next call with the same network, images and options.
        extras: what the network takes beside the images (see `Network.extras`): (N, ...) each.

    Returns:
        The features (N, d), float32 on the CPU, in the order of the records.

    Raises:
        DataError: there are no images, or one cannot be read.
        DeviceError: the device is not there.
        FeatureError: `batch_size` is no number of images.
    """
    batch_size = None if batch_size is None else whole("batch_size", batch_size, 1, FeatureError)
    if len(records) == 0:
        raise DataError("There are no images to embed: the query or gallery list is empty, so check the data.")
    where = _place(model, device)
    if cache is not None:
        return _cached(Path(cache), model, records, batch_size, flip, autocast, extras or {})
    batch_size = batch_size or (64 if where.type == "cpu" else 256)
    store = image_store(records, model.input_size, where)
    used = _precision(model, next(_batches(store, batch_size))) if autocast else "float32"
    return embed(model, _batches(store, batch_size), flip, used, extras)


def embed(
    model: Network,
    batches: Iterable[Tensor],
    flip: bool = False,
    used: str = "float32",
    extras: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Compute the features of batches of images, in evaluation mode and without gradients.

    Args:
        model: its training mode is put back.
        batches: normalized images (B, 3, H, W) each, on any device.
        flip: take the mean of the features of each image and of its mirror image.
        used: the precision, "float32", "bf16" or "float16".
        extras: what the network takes beside the images: (N, ...) each.

    Returns:
        The features (N, d), float32 on the CPU.
    """
    device, done = _place(model), 0
    told = {name: values.to(device) for name, values in (extras or {}).items()}
    features: list[Tensor] = []  # on the device until the end: a copy per batch would make the GPU wait
    with (
        evaluating(model),
        torch.inference_mode(),
        exact_float32(),  # what is not in a fast precision is float32, also on a GPU that would take TF32 for it
        precision.autocast(device, used),
    ):
        for batch in batches:
            images = batch.to(device)
            rows = {name: values[done : done + len(images)] for name, values in told.items()}
            found = model.embed(images, **rows).float()
            if flip:
                found = (found + model.embed(images.flip(3), **rows).float()) / 2
            done += len(images)
            features.append(found)
    return torch.cat(features).cpu()


def _place(model: Network, device: torch.device | str | None = None) -> torch.device:
    """Where the model is, having moved to ``device`` if one is given."""
    if device is not None:
        model.to(find_device(device))
    return next(model.parameters()).device


def _batches(store: ImageStore, batch_size: int) -> Iterator[Tensor]:
    with bar(total=len(store), description="features", unit="image") as shown:
        for indices in torch.arange(len(store)).split(batch_size):
            yield normalize(store.batch(indices)).contiguous(memory_format=torch.channels_last)
            shown.update(len(indices))


def _cached(
    folder: Path,
    model: Network,
    records: Sequence[Record],
    batch_size: int | None,
    flip: bool,
    autocast: bool,
    extras: Mapping[str, Tensor],
) -> Tensor:
    """The features that the folder keeps of this network, these images and options; else new ones, which it keeps."""
    file = folder / f"features-{_digest(model, records, flip, autocast, extras)}.safetensors"
    if (features := _kept(file, len(records))) is None:
        _keep(file, features := extract(model, records, None, batch_size, flip, autocast, extras=extras))
    return features


def _kept(file: Path, count: int) -> Tensor | None:
    """The features (count, d) that a file keeps; None where there is no such file, or one that is damaged."""
    try:
        features = load_file(file)["features"]
    except (OSError, SafetensorError, KeyError):
        return None
    fits = features.ndim == 2 and len(features) == count and features.dtype == torch.float32
    return features if fits else None


def _keep(file: Path, features: Tensor) -> None:
    """Keep features for the next call. No result depends on it, so where it fails, that is only logged."""
    try:
        write_whole(file, lambda temporary: temporary.write_bytes(save({"features": features})))
    except (CheckpointError, MemoryError) as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        logging.getLogger("reid_lab").warning(
            "The features were not kept in %s for the next time (%s); the result is not touched by that.",
            file.parent,
            reason,
        )


def _precision(model: Network, images: Tensor) -> str:
    """The fast precision of the images' device, or "float32" where that embeds them wrongly, which is logged."""
    fast = fast_precision(images.device)
    fast = "bf16" if fast == "float32" else fast  # slow, but asked for
    check = precision.check_output(model, images, model.embed, fast)
    if check.fault:
        logging.getLogger("reid_lab").warning("%s. So the features are computed in float32.", check.fault)
        return "float32"
    return fast


def _digest(model: Network, records: Sequence[Record], flip: bool, autocast: bool, extras: Mapping[str, Tensor]) -> str:
    """Of all that decides features: modules and their settings, weights, images, size, options, kind of device."""
    where = kind(next(model.parameters()).device)
    digest = hashlib.sha256(repr((model.input_size, flip, autocast, where)).encode())
    for name, module in model.named_modules():
        settings = [(key, value) for key, value in sorted(vars(module).items()) if _is_setting(key, value)]
        digest.update(repr((name, type(module), settings)).encode())
    for name, values in [*model.state_dict().items(), *sorted(extras.items())]:
        digest.update(name.encode() + values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    for record in records:
        try:
            status = record.path.stat()
            known = (str(record.path), status.st_size, status.st_mtime_ns)
        except OSError:  # whoever opens the image names it and says why
            known = (str(record.path), -1, -1)
        digest.update(repr((*known, record.greys)).encode())
    return digest.hexdigest()[:16]


def _is_setting(key: str, value: object) -> bool:
    """Whether a module's attribute may decide what it computes: a plain value that is not every module's own."""
    if isinstance(value, tuple):
        return all(_is_setting(key, part) for part in value)
    return key not in EVERY_MODULES and isinstance(value, (str, int, float, bool, type(None)))
