"""A trained run for use outside this package: its network as an ONNX file, descriptors as a NumPy file.

Both give descriptors of length 1, so that the product of two is their cosine similarity, by which retrieval ranks.
"""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import reid_lab
from reid_lab import data, retrieval
from reid_lab.data.augment import IMAGENET_MEAN, IMAGENET_STD
from reid_lab.data.files import existing_folder, image_files
from reid_lab.errors import CheckpointError, DataError, ReidLabError
from reid_lab.home import write_whole
from reid_lab.models import Network
from reid_lab.retrieval import checks
from reid_lab.training import Run

TOLERANCE = 1e-4  # of a value of a descriptor of length 1
BATCHES = (1, 3)  # sizes that an exported network is checked with: alone, and together


class Describer(nn.Module):
    """What the ONNX file holds: normalisation, the network's descriptor, division by its length."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """RGB images (N, 3, H, W), float32 from 0 to 1, to descriptors (N, d) of length 1."""
        return F.normalize(self.network.descriptor((images - self.mean) / self.deviation), dim=1)


def to_onnx(run: Run, path: Path | str, force: bool = False) -> float:
    """Write the run's network as one ONNX file, after a check against PyTorch.

    Input ``images``: float32 RGB from 0 to 1, (N, 3, H, W) with any N and the run's input size; normalisation is part
    of the file. Output ``descriptor``: (N, d), rows of length 1. The file's metadata name the run, its recipe (JSON)
    and the input size (JSON, height and width).

    Args:
        run: from ``training.fit`` or ``training.load``; it is left as it is.
        path: the file to write.
        force: replace the file where there is one.

    Returns:
        The largest difference from PyTorch that the check found, over random images and drawn people.

    Raises:
        ReidLabError: a package of the extra ``export`` is missing.
        CheckpointError: the file exists, cannot be written, or what would be in it differs from PyTorch.
    """
    _packages()
    _must_be_free(path, force)
    network = copy.deepcopy(run.model).cpu().to(memory_format=torch.contiguous_format).eval()
    program = _program(network)
    program.model.metadata_props.update(
        run=run.folder.name,
        recipe=run.recipe.to_json(),
        input_size=json.dumps(network.input_size),
        reid_lab=reid_lab.__version__,
    )
    differences: list[float] = []

    def save_and_check(temporary: Path) -> None:
        program.save(temporary)
        differences.append(_difference(temporary, network))

    write_whole(path, save_and_check)  # it gets its name only if the check passes
    return differences[0]


def to_npz(
    run: Run, folder: Path | str, path: Path | str, device: torch.device | str | None = None, force: bool = False
) -> tuple[int, int]:
    """Write the descriptors of all images below ``folder`` as a NumPy file; no pickle is needed to read it.

    Its arrays: ``features`` (N, d), float32, rows of length 1; ``paths`` (N,), text, relative to ``folder`` with
    forward slashes, sorted; ``run``, the run's name; ``recipe``, its recipe as JSON.

    Args:
        run: the network that describes.
        folder: see :func:`crops`.
        path: the file to write.
        device: where to compute; None: where the network is.
        force: replace the file where there is one.

    Returns:
        (N, d).

    Raises:
        DataError: no images, or bad ones, which are named.
        CheckpointError: the file exists or cannot be written.
        FeatureError: the network gives values that are not finite.
    """
    _must_be_free(path, force)
    root, records = existing_folder(folder), crops(folder)
    features = checks.features(retrieval.extract(run.model, records, device), "image")
    features = F.normalize(features, dim=1)
    paths = np.array([record.path.relative_to(root).as_posix() for record in records])

    def save(temporary: Path) -> None:
        with open(temporary, "wb") as file:  # given a name, NumPy would put .npz behind it
            np.savez(file, features=features.numpy(), paths=paths, run=run.folder.name, recipe=run.recipe.to_json())

    write_whole(path, save)
    return len(features), features.shape[1]


def crops(folder: Path | str) -> list[data.Record]:
    """The images below ``folder``, of nobody in particular, sorted by path; hidden files and folders are passed over.

    Raises:
        DataError: no such folder, or no image in it.
    """
    root = existing_folder(folder)
    paths = [path for path in image_files(root, recursive=True) if not path.is_dir()]
    seen = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(root).parts)]
    if not seen:
        raise DataError(f"There is no image below {root}: give a folder with JPEG, PNG, BMP, WebP or TIFF files.")
    return [data.Record(path, pid=data.DISTRACTOR) for path in seen]


def _packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ReidLabError(
            f"{error.name} is not installed, but writing ONNX files needs it: "
            "`pip install onnx onnxruntime onnxscript`, or reid_lab's extra `export`."
        ) from error


def _must_be_free(path: Path | str, force: bool) -> None:
    if Path(path).exists() and not force:
        raise CheckpointError(f"{path} exists already: give another name, or replace it with --force (force=True).")


def _program(network: Network) -> Any:
    """The network as an ONNX program: weights inside, any number of images."""
    images = torch.zeros(2, 3, *network.input_size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's exporter about PyTorch: nothing that a user can mend
            program = torch.onnx.export(
                Describer(network).eval(),
                (images,),
                dynamo=True,
                input_names=["images"],
                output_names=["descriptor"],
                dynamic_shapes={"images": {0: "batch"}},
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"This PyTorch ({torch.__version__}) cannot write the network as ONNX ({reason}): try another version."
        ) from error
    assert program is not None  # as it is with dynamo=True
    return program


def _difference(path: Path, network: Network) -> float:
    """The largest difference between the file's descriptors and PyTorch's. Raises CheckpointError if it is large."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for images in _test_images(network.input_size):  # uint8 (3, 3, H, W)
        with torch.inference_mode():
            expected = F.normalize(network.describe(data.normalise(images)), dim=1)
        for size in BATCHES:
            unit = images[:size].float().div(255).numpy()
            (given,) = session.run(["descriptor"], {"images": unit})
            worst = max(worst, float((torch.from_numpy(given) - expected[:size]).abs().max()))
    if not worst <= TOLERANCE:  # nor NaN
        raise CheckpointError(
            f"The ONNX file would differ from PyTorch by {worst:.2g}, more than {TOLERANCE:g}, so it was not written: "
            "try other versions of torch, onnxscript or onnxruntime."
        )
    return worst


def _test_images(size: tuple[int, int]) -> list[Tensor]:
    """Noise, and people of the smallest Passersby: uint8 (3, 3, H, W) each."""
    count = max(BATCHES)
    noise = torch.randint(256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    people = data.image_store(data.passersby("smoke").query[:count], size)
    return [noise, people.batch(range(count))]
