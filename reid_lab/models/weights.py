"""Where ready-made weights come from, and how weights are loaded without surprises."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError, WeightsError
from reid_lab.runtime.files import cache_folder, shared_folder
from reid_lab.runtime.validation import one_of

SOURCES = ("imagenet", "passersby", None)
STARTS = Path(__file__).with_name("starts")  # backbones that were trained on another town of Passersby


def load_weights(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Load a state dict that fits the model exactly.

    Raises:
        WeightsError: A parameter is missing, unknown or of another shape. The model is untouched.
    """
    own = model.state_dict()
    missing = own.keys() - state_dict.keys()
    unexpected = state_dict.keys() - own.keys()
    differing = [
        f"{name} {tuple(state_dict[name].shape)} for {tuple(own[name].shape)}"
        for name in own.keys() & state_dict.keys()
        if state_dict[name].shape != own[name].shape
    ]
    findings = [
        f"{len(found)} {what} ({_first_few(found)})"
        for what, found in [("missing", missing), ("unexpected", unexpected), ("of another shape", differing)]
        if found
    ]
    if findings:
        raise WeightsError(
            f"These weights do not belong to this {type(model).__name__}: of its {len(own)} tensors "
            f"{', '.join(findings)}; build the model with the recipe that the weights were trained with."
        )
    model.load_state_dict(state_dict)


def _first_few(names: Iterable[str], few: int = 3) -> str:
    names = sorted(names)
    return ", ".join(names[:few]) + (", ..." if len(names) > few else "")


def start(network: nn.Module, name: str, weights: str | None, imagenet: Callable[[str], Mapping[str, Tensor]]) -> None:
    """Load ready-made weights into a backbone, without their classifier.

    Args:
        network: The backbone.
        name: What the backbone is called where its weights come from.
        weights: "imagenet", "passersby", or None for leaving the backbone as it is.
        imagenet: Brings ImageNet's weights for ``name``.

    Raises:
        RecipeError: ``weights`` is something else.
        WeightsError: The weights could not be had, or do not fit.
    """
    if one_of("The backbone's weights", weights, SOURCES) is None:
        return
    found = passersby_weights(name) if weights == "passersby" else imagenet(name)
    load_weights(network, {name: value for name, value in found.items() if not name.startswith("fc.")})


def own_starts() -> Path:
    """The folder of the starts that were made here, because they are too large for the package."""
    return cache_folder() / "starts"


def passersby_weights(name: str, folder: Path | None = None) -> Mapping[str, Tensor]:
    """Read a backbone that :mod:`reid_lab.pretraining` trained on another town, and check it.

    Args:
        name: The backbone, such as "resnet_slim".
        folder: Where the weights lie, in float16, each beside a JSON file that says where they come from. Default: the
            package's own starts, then :func:`own_starts`, then the shared ones.

    Returns:
        The weights in float32, by name.

    Raises:
        WeightsError: There are none of that name, or the file is damaged.
    """
    path = _start(name, folder)
    try:
        told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        intact = hashlib.sha256(path.read_bytes()).hexdigest() == told["sha256"]
        tensors, _ = checkpoint.read(path)
    except (OSError, ValueError, KeyError, TypeError, CheckpointError) as error:
        raise WeightsError(f"The weights {path} are damaged ({error}): {_again(path)}.") from error
    if not intact:
        raise WeightsError(f"The weights {path} are not those that {name}.json speaks of: {_again(path)}.")
    return {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}


def start_digest(name: str) -> str:
    """The SHA-256 digest of the file that ``weights="passersby"`` loads: a start in the cache may be made again.

    Raises:
        WeightsError: There is no start of that name.
    """
    return hashlib.sha256(_start(name).read_bytes()).hexdigest()


def _start(name: str, folder: Path | None = None) -> Path:
    shared = [shared / "starts"] if (shared := shared_folder()) else []
    places = [folder] if folder else [*shared, own_starts(), STARTS]  # the last one counts
    known = {path.stem: path for each in places for path in _starts(each)}
    if name not in known:
        raise WeightsError(
            f"No {name} was trained on Passersby here, only {', '.join(sorted(known)) or 'nothing'}: use weights=None, "
            f'or weights="imagenet" for a network of 50 or 101 layers, or make the start: reid-lab pretrain {name}.'
        )
    return known[name]


def _again(path: Path) -> str:
    return "install the package again" if path.parent == STARTS else f"make them again: reid-lab pretrain {path.stem}"


def _starts(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def torchvision_weights(name: str) -> Mapping[str, Tensor]:
    """Fetch torchvision's first ImageNet weights, V1: both papers' authors could have had them."""
    from torchvision.models import get_model_weights

    source = get_model_weights(name)["IMAGENET1K_V1"]
    place = Path(torch.hub.get_dir()) / "checkpoints"
    cure = f"download {source.url} on a machine that has one and put it into {place}"
    try:
        return source.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, weights_only=True)
    except Exception as error:  # no network, no disk space, a damaged file in the cache
        raise _unavailable(name, error, cure) from error


def timm_weights(name: str) -> Mapping[str, Tensor]:
    """Fetch the Res2Net authors' ImageNet weights, as timm keeps them.

    Read their licence before commercial use: the authors' own code is CC BY-NC-SA.
    """
    return _of_timm(name, f"{name}_26w_4s")


def timm_vit_weights(name: str) -> Mapping[str, Tensor]:
    """Fetch a vision transformer's ImageNet weights, as timm keeps them, for images of 256 x 128."""
    found = _of_timm(name, f"{name}_patch16_224", img_size=(256, 128), num_classes=0)
    return {f"tokens.{name}": value for name, value in found.items()}


def _of_timm(name: str, model: str, **arguments: Any) -> Mapping[str, Tensor]:
    cure = "copy the cache that timm fills (the folder HF_HOME) from a machine that has one"
    try:
        import timm
    except ImportError as error:
        raise _unavailable(name, error, "install timm with `pip install timm`") from error
    try:
        return timm.create_model(model, pretrained=True, **arguments).state_dict()
    except Exception as error:  # no network, no disk space, a damaged file in the cache
        raise _unavailable(name, error, cure) from error


def no_weights(name: str) -> Mapping[str, Tensor]:
    """Raise WeightsError: nobody has trained the slim networks on ImageNet."""
    raise WeightsError(f"There are no ImageNet weights for {name}: use weights=None, or the network of 50 layers.")


def _unavailable(name: str, error: Exception, cure: str) -> WeightsError:
    reason = str(error).strip().splitlines()
    return WeightsError(
        f"The ImageNet weights of {name} could not be had ({type(error).__name__}: {(reason or [''])[0]}); "
        f"without a network, {cure}, or start from random weights with weights=None."
    )
