"""A trained run for use outside this package: its network as an ONNX file, descriptors as a NumPy file.

Both give descriptors of length 1, so that the product of two is their cosine similarity, by which retrieval ranks.
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
from reid_lab.data import finding
from reid_lab.data.augment import IMAGENET_MEAN, IMAGENET_STD
from reid_lab.data.files import Seen, existing_folder, look
from reid_lab.models import Network
from reid_lab.retrieval import checks
from reid_lab.runtime.errors import CheckpointError, DataError, ReidLabError
from reid_lab.runtime.files import write_whole
from reid_lab.training import Run

TOLERANCE = 1e-4  # of a value of a descriptor of length 1
OLDEST_OPSET = 18  # that PyTorch's exporter writes; what is older it only tries to convert to
BATCHES = (1, 3)  # sizes that an exported network is checked with: alone, and together


class Embedder(nn.Module):
    """What the ONNX file holds: normalization, the network's descriptor, division by its length."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """RGB images (N, 3, H, W), float32 from 0 to 1, to descriptors (N, d) of length 1."""
        return F.normalize(self.network.features((images - self.mean) / self.deviation), dim=1)


def to_onnx(run: Run, path: Path | str, force: bool = False, opset: int | None = None) -> float:
    """Write the run's network as one ONNX file, after a check against PyTorch.

    Input ``images``: float32 RGB from 0 to 1, (N, 3, H, W) with any N and the run's input size; normalization is part
    of the file. Output ``descriptor``: (N, d), rows of length 1. The file's metadata name the run, its recipe (JSON)
    and the input size (JSON, height and width). Its IR version is the lowest that the opset allows, so that runtimes
    read it that are older than the packages it was written with.

    Args:
        run: from ``training.fit`` or ``training.load``; it is left as it is.
        path: the file to write.
        force: replace the file where there is one.
        opset: ONNX's version of the operators, from OLDEST_OPSET; a lower one is read by older runtimes. Default:
            PyTorch's own choice.

    Returns:
        The largest difference from PyTorch that the check found, over random images and drawn people.

    Raises:
        ReidLabError: a package of the extra ``export`` is missing.
        CheckpointError: the file exists, cannot be written, or not with that opset, or what would be in it differs
            from PyTorch.
    """
    _packages()
    _must_be_free(path, force)
    network = copy.deepcopy(run.model).cpu().to(memory_format=torch.contiguous_format).eval()
    program = _program(network, opset)
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


def versions(path: Path | str) -> tuple[int, int]:
    """The IR version of an ONNX file, and its opset."""
    import onnx

    file = onnx.load(path, load_external_data=False)
    return file.ir_version, max(used.version for used in file.opset_import if used.domain in ("", "ai.onnx"))


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
    records, root = crops(folder), existing_folder(folder)
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
    path = Path(folder).expanduser()
    if path.exists() and not path.is_dir():
        raise DataError(f"{folder} is a file, and a folder of crops is needed: give the folder that it lies in.")
    if not path.exists():
        raise DataError(f"The folder {folder} does not exist: give the folder that holds the crops.")
    root = existing_folder(folder)
    seen = look(root)
    if not seen.images:
        raise DataError(f"There is no image below {root}, {_instead(seen)}.")
    return [data.Record(path, pid=data.DISTRACTOR) for path in seen.images]


def _instead(seen: Seen) -> str:
    """What a folder without images holds, and the cure."""
    others = [path.name for paths in seen.passed.values() for path in paths] + seen.others
    if not others:
        return "nor any other file: give the folder that holds the crops"
    names = ", ".join(sorted(others)[:3]) + (", ..." if len(others) > 3 else "")
    return (
        f"but {len(others):,} files that are not read ({names}): give a folder with JPEG, PNG or other pictures, or "
        "save these as such"
    )


def passed_over(folder: Path | str) -> list[str]:
    """Sentences about pictures below ``folder`` that :func:`crops` did not take; none where there are none."""
    root = existing_folder(folder)
    return [found.sentence for found in finding.passed_over(look(root).passed, root)]


def _packages() -> None:
    for package in ("onnx", "onnxruntime", "onnxscript"):
        try:
            importlib.import_module(package)
        except Exception as error:  # one that was built for another machine may raise anything
            absent = isinstance(error, ModuleNotFoundError) and error.name in (None, package)
            trouble = "is not installed" if absent else f"does not load ({error})"
            raise ReidLabError(
                f"{package} {trouble}, but writing ONNX files needs it: "
                "`pip install onnx onnxruntime onnxscript`, or reid_lab's extra `export`."
            ) from error


def _must_be_free(path: Path | str, force: bool) -> None:
    if Path(path).exists() and not force:
        raise CheckpointError(f"{path} exists already: give another name, or replace it with --force (force=True).")


def _program(network: Network, opset: int | None = None) -> Any:
    """The network as an ONNX program: weights inside, any number of images, the lowest IR version."""
    if opset is not None and opset < OLDEST_OPSET:
        raise CheckpointError(
            f"ONNX files of opset {opset} cannot be written: PyTorch writes {OLDEST_OPSET} and newer, so give at least "
            f"--opset {OLDEST_OPSET} (opset={OLDEST_OPSET})."
        )
    newest = importlib.import_module("onnx").defs.onnx_opset_version()
    if opset is not None and opset > newest:
        raise CheckpointError(
            f"ONNX files of opset {opset} cannot be written: the package onnx here knows those up to {newest}, so give "
            f"--opset {OLDEST_OPSET} to {newest}."
        )
    images = torch.zeros(2, 3, *network.input_size)
    try:
        with warnings.catch_warnings(), _quiet_exporter():
            warnings.simplefilter("ignore")  # PyTorch's exporter about PyTorch: nothing that a user can mend
            program = torch.onnx.export(
                Embedder(network).eval(),
                (images,),
                dynamo=True,
                input_names=["images"],
                output_names=["descriptor"],
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
        cure = "another opset, or another version of PyTorch" if opset else "another version of PyTorch"
        raise CheckpointError(
            f"This PyTorch ({torch.__version__}) cannot write the network as ONNX{_of(opset)} ({reason}): try {cure}."
        ) from error
    return program


def _lower(model: Any, opset: int | None) -> None:
    """Give the model (of onnx_ir) the lowest IR version that its opsets allow, and take out what needs a newer one.

    That is the exporter's notes about where in PyTorch a node comes from, paths of this machine included.

    Raises:
        CheckpointError: the exporter has written another opset than the one that was asked for.
    """
    import onnx

    used = dict(model.opset_imports)
    if opset is not None and used.get("", opset) != opset:
        raise CheckpointError(f"PyTorch {torch.__version__} writes opset {used['']} instead of {opset}: ask for that.")
    model.ir_version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid(*one) for one in used.items()])
    for graph in (model.graph, *model.functions.values()):
        graph.metadata_props.clear()
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
        for value in (*graph.inputs, *getattr(graph, "initializers", {}).values()):
            value.metadata_props.clear()


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """No warnings and tracebacks of the exporter's packages on stderr: what becomes an error here is told once."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _of(opset: int | None) -> str:
    return "" if opset is None else f" of opset {opset}"


def _difference(path: Path, network: Network) -> float:
    """The largest difference between the file's descriptors and PyTorch's. Raises CheckpointError if it is large."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own, which have no base of their own
        raise CheckpointError(
            f"onnxruntime {onnxruntime.__version__} does not load the ONNX file ({error}), so it was not written: try "
            "a lower opset, or a newer onnxruntime."
        ) from error
    worst = 0.0
    for images in _test_images(network.input_size):  # uint8 (3, 3, H, W)
        with torch.inference_mode():
            expected = F.normalize(network.embed(data.normalize(images)), dim=1)
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
    """Noise, and people of the smallest Passersby, where they can be drawn: uint8 (3, 3, H, W) each."""
    count = max(BATCHES)
    noise = torch.randint(256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    try:
        people = data.image_store(data.passersby("smoke").query[:count], size)
    except (ReidLabError, OSError):  # no room for them in the cache: noise alone is a check, too
        return [noise]
    return [noise, people.batch(range(count))]
