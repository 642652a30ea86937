"""A trained run for use outside this package: its network as an ONNX file, features as a NumPy file.

Both give features that are ready to be compared. Most networks' have length 1, so that the product of two of them is
their cosine similarity, by which retrieval ranks. Those of a network whose ``metric`` is "euclidean" stay as they are.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import reid_lab
from reid_lab import data, retrieval
from reid_lab.data.augment import IMAGENET_MEAN, IMAGENET_STD
from reid_lab.data.crops import crops
from reid_lab.data.files import existing_folder
from reid_lab.models import Network
from reid_lab.retrieval.distances import finite_features
from reid_lab.runtime.errors import CheckpointError, ReidLabError
from reid_lab.runtime.files import write_whole
from reid_lab.training import Run

TOLERANCE = 1e-4  # of one value of a feature vector, in units of the vector's length
OLDEST_OPSET = 18  # the oldest that PyTorch's exporter writes; to an older one it can only try to convert
BATCHES = (1, 3)  # an exported network is checked with one image, and with several


def to_npz(
    run: Run, folder: Path | str, path: Path | str, device: torch.device | str | None = None, force: bool = False
) -> tuple[int, int]:
    """Write the features of all images below a folder as a NumPy file, which is read without pickle.

    Its arrays: ``features`` (N, d), float32, see the head of this module; ``paths`` (N,), text, relative to ``folder``
    with forward slashes, sorted; ``run``, the run's name; ``recipe``, its recipe as JSON.

    Args:
        run: The run whose network is used.
        folder: The folder of crops, see ``data.crops``.
        path: The file to write.
        device: Where to compute. Default: where the network is.
        force: Replace the file if it exists.

    Returns:
        The shape of the features, (N, d).

    Raises:
        DataError: There are no images, or bad ones; the sentence names them.
        CheckpointError: The file exists or cannot be written.
        FeatureError: The network gives values that are not finite.
    """
    _must_be_free(path, force)
    records, root = crops(folder), existing_folder(folder)
    features = comparable(finite_features(retrieval.extract(run.model, records, device), "image"), run.model.metric)
    paths = np.array([record.path.relative_to(root).as_posix() for record in records])

    def save(temporary: Path) -> None:
        with open(temporary, "wb") as file:  # given a name, NumPy would put .npz behind it
            np.savez(file, features=features.numpy(), paths=paths, run=run.folder.name, recipe=run.recipe.to_json())

    write_whole(path, save)
    return len(features), features.shape[1]


def comparable(features: Tensor, metric: str) -> Tensor:
    """Bring features (N, d) to length 1 where they are compared by cosine similarity."""
    return F.normalize(features, dim=1) if metric == "cosine" else features


class Embedder(nn.Module):
    """What the ONNX file holds: normalization, the network's features, for cosine similarity their length 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Network) -> None:
        """Take a trained network."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Compute features.

        Args:
            images: RGB images (N, 3, H, W), float32 from 0 to 1.

        Returns:
            Features (N, d), see :func:`comparable`.
        """
        return comparable(self.network.features((images - self.mean) / self.deviation), self.network.metric)


def to_onnx(run: Run, path: Path | str, force: bool = False, opset: int | None = None) -> float:
    """Write the run's network as one ONNX file, after a check against PyTorch.

    Input ``images``: see :class:`Embedder`, with any N and the run's input size. Output ``features``: (N, d), see the
    head of this module. The file's metadata name the run, its recipe (JSON), the input size (JSON, height and width)
    and the metric. Its IR version is the lowest that the opset allows, so that older runtimes read it.

    Args:
        run: The run, which is left as it is.
        path: The file to write.
        force: Replace the file if it exists.
        opset: ONNX's version of the operators, from OLDEST_OPSET; older runtimes need a lower one. Default: PyTorch's.

    Returns:
        The largest difference from PyTorch in the check, over random images and drawn people, in units of the
        features' length.

    Raises:
        ReidLabError: A package of the extra ``export`` is missing.
        CheckpointError: The file exists, cannot be written, or not with that opset, or would differ from PyTorch.
    """
    _packages()
    _must_be_free(path, force)
    network = copy.deepcopy(run.model).cpu().to(memory_format=torch.contiguous_format).eval()
    program = _program(network, opset)
    program.model.metadata_props.update(
        run=run.folder.name,
        recipe=run.recipe.to_json(),
        input_size=json.dumps(network.input_size),
        metric=network.metric,
        reid_lab=reid_lab.__version__,
    )
    differences: list[float] = []

    def save_and_check(temporary: Path) -> None:
        program.save(temporary)
        differences.append(_difference(temporary, network))

    write_whole(path, save_and_check)  # the file gets its name only if the check passes
    return differences[0]


def versions(path: Path | str) -> tuple[int, int]:
    """Read the versions of an ONNX file.

    Args:
        path: The file.

    Returns:
        Its IR version and its opset.
    """
    import onnx

    file = onnx.load(path, load_external_data=False)
    return file.ir_version, max(used.version for used in file.opset_import if used.domain in ("", "ai.onnx"))


def _packages() -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        try:
            importlib.import_module(package)
        except Exception as error:  # one that was built for another machine may raise anything
            absent = isinstance(error, ModuleNotFoundError) and error.name in (None, package)
            trouble = "is not installed" if absent else f"does not load ({error})"
            raise ReidLabError(
                f"{package} {trouble}, but ONNX files are written with it: "
                "`pip install onnx onnxruntime onnxscript`, or reid_lab's extra `export`."
            ) from error


def _must_be_free(path: Path | str, force: bool) -> None:
    if Path(path).exists() and not force:
        raise CheckpointError(f"{path} exists already: give another name, or replace it with --force (force=True).")


def _program(network: Network, opset: int | None) -> Any:
    """The network as an ONNX program: weights inside, any number of images, the lowest IR version."""
    newest = importlib.import_module("onnx").defs.onnx_opset_version()
    if opset is not None and not OLDEST_OPSET <= opset <= newest:
        raise CheckpointError(
            f"ONNX files of opset {opset} cannot be written here: give --opset {OLDEST_OPSET} to {newest}."
        )
    try:
        with warnings.catch_warnings(), _quiet_exporter():
            warnings.simplefilter("ignore")  # PyTorch's exporter about PyTorch: nothing that a user can mend
            program = torch.onnx.export(
                Embedder(network).eval(),
                (torch.zeros(2, 3, *network.input_size),),
                dynamo=True,
                input_names=["images"],
                output_names=["features"],
                dynamic_shapes={"images": {0: "batch"}},
                external_data=False,
                verbose=False,
                opset_version=opset,
            )
            assert program is not None  # as it is with dynamo=True
            _lower(program.model, opset)
    except CheckpointError:
        raise
    except Exception as error:  # the exporter's own error, or whatever the packages below it raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"PyTorch {torch.__version__} cannot write the network as ONNX with opset {opset or 'of its choice'} "
            f"({reason}): try another opset or another version of PyTorch."
        ) from error
    return program


def _lower(model: Any, opset: int | None) -> None:
    """Give the model (of onnx_ir) the lowest IR version that its opsets allow, and take out what needs a newer one.

    That is the exporter's notes about where in PyTorch a node comes from, with paths of this machine.
    """
    import onnx

    used = dict(model.opset_imports)
    if opset is not None and used.get("", opset) != opset:
        raise CheckpointError(f"PyTorch {torch.__version__} writes opset {used['']} instead of {opset}: ask for that.")
    model.ir_version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid(*one) for one in used.items()])
    for graph in (model.graph, *model.functions.values()):
        nodes = list(graph)
        values = [value for node in nodes for value in node.outputs]
        values += [*graph.inputs, *getattr(graph, "initializers", {}).values()]
        for node in nodes:
            node.doc_string = None
        for part in (graph, *nodes, *values):
            part.metadata_props.clear()


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the log of the exporter's packages: what they say becomes one error here."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _difference(path: Path, network: Network) -> float:
    """The largest difference between the file's features and PyTorch's; an error if it is above TOLERANCE."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own, which have no common class
        raise CheckpointError(
            f"onnxruntime {onnxruntime.__version__} does not load the ONNX file ({error}), so it was not written: try "
            "a lower opset, or a newer onnxruntime."
        ) from error
    worst = 0.0
    for images in _test_images(network.input_size):  # uint8 (3, 3, H, W)
        with torch.inference_mode():
            expected = comparable(network.embed(data.normalize(images)), network.metric)
        length = float(expected.norm(dim=1).max()) or 1.0  # 1 for cosine similarity
        for size in BATCHES:
            (given,) = session.run(["features"], {"images": images[:size].float().div(255).numpy()})
            worst = max(worst, float((torch.from_numpy(given) - expected[:size]).abs().max()) / length)
    if not worst <= TOLERANCE:  # nor NaN
        raise CheckpointError(
            f"The ONNX file would differ from PyTorch by {worst:.2g}, more than {TOLERANCE:g}, so it was not written: "
            "try other versions of torch, onnxscript or onnxruntime."
        )
    return worst


def _test_images(size: tuple[int, int]) -> list[Tensor]:
    """Noise, and people of the smallest Passersby if they can be drawn: uint8 (3, 3, H, W) each."""
    count = max(BATCHES)
    noise = torch.randint(256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        people = data.image_store(data.passersby("smoke").query[:count], size)
    except (ReidLabError, OSError):  # there is no room for them in the cache: noise alone is a check, too
        return [noise]
    return [noise, people.batch(range(count))]
