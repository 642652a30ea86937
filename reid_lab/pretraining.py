"""A start for slim networks: a backbone trained once on another town, as large ones are trained on ImageNet.

ImageNet's weights cannot be had without a network, and nobody has trained our slim networks on it. So they are trained
here on people of Passersby whom no experiment shows, in the city of another seed (``TOWN``), with the plain baseline
(:mod:`reid_lab.methods.classification`), which favors neither paper. The package holds the weights in float16;
``weights="passersby"`` in a recipe loads them. ``reid-lab pretrain`` makes them again.

The papers' own networks, of 50 and 101 layers, can be given such a start, too. It is too large for the package, so
whoever wants one makes it: ``reid-lab pretrain resnet50`` writes it to the cache, where ``weights="passersby"`` finds
it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from reid_lab import data, methods, models, training
from reid_lab.methods import ClassificationRecipe
from reid_lab.models.weights import STARTS, own_starts
from reid_lab.runtime import checkpoint
from reid_lab.runtime.files import write_text
from reid_lab.training import Run

TOWN, OTHER_TOWN = 100, 101  # seeds of the city: to learn from, and to see what was learned; experiments use 0, 1, ...
NEW_NUMBERS = 100_000  # added to the town's identities, which are nobody of the other town
BACKBONES = ("resnet_slim", "res2net_slim", "vit_slim")  # whose starts the package has
LARGE = ("resnet50", "res2net50", "resnet101", "res2net101")


def town(size: str = "full") -> data.Benchmark:
    """All people of one town to learn from, those of its test, too; queries and gallery of a second town.

    Args:
        size: of the town to learn from; the second one is "classroom", or "smoke" beside "smoke".
    """
    here = data.passersby(size, seed=TOWN)
    there = data.passersby("smoke" if size == "smoke" else "classroom", seed=OTHER_TOWN)
    people = [record for split in here.splits.values() for record in split if record.pid > data.DISTRACTOR]
    train = [replace(record, pid=record.pid + NEW_NUMBERS) for record in people]
    root = here.root.parent if here.root else None  # of both
    return data.Benchmark(
        f"{here.name}, all people; test of seed {OTHER_TOWN}", train, there.query, there.gallery, root=root
    )


def recipe(backbone: str, size: str = "full") -> ClassificationRecipe:
    """The recipe of the package's starts: eight epochs at half the size, two at the whole; at "smoke" a short one.

    A large network has five epochs at half the size, so that a CPU can train it.
    """
    method = methods.vision_transformer if backbone in models.TRANSFORMERS else methods.classification
    if size == "smoke":
        return method("smoke", backbone=backbone)
    if backbone in models.TRANSFORMERS:
        return method("classroom", backbone=backbone, weights=None, epochs=20, half_size_epochs=16, warmup_epochs=2)
    if backbone in LARGE:
        short = dict(weights=None, epochs=5, half_size_epochs=5, warmup_epochs=1)
        return methods.classification("classroom", backbone=backbone, **short)
    at_random = dict(weights=None, epochs=10, half_size_epochs=8, warmup_epochs=1)
    return methods.classification("classroom", backbone=backbone, **at_random)


def pretrain(
    backbone: str, size: str = "full", *, folder: Path | str | None = None, runs: Path | str | None = None
) -> Path:
    """Train a backbone on the town, or load it or go on where it was interrupted, and write it as a start.

    Args:
        backbone: one of BACKBONES or LARGE.
        size: of the town and the recipe: "full", or "smoke" for a try.
        folder: where to write NAME.safetensors and NAME.json; default: the package's own folder, for a large network
            the cache.
        runs: as in ``training.fit``.

    Returns:
        The file of weights.
    """
    run = training.fit(recipe(backbone, size), town(size), seed=0, runs=runs)
    default = own_starts() if backbone in LARGE else STARTS
    return write(run, backbone, Path(folder) if folder is not None else default)


def write(run: Run, backbone: str, folder: Path) -> Path:
    """Write a run's backbone in float16, and beside it how it was made and the file's digest."""
    state = run.model.backbone.state_dict()
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    path = folder / f"{backbone}.safetensors"
    checkpoint.write(path, tensors, {"backbone": backbone})
    about = {
        "backbone": backbone,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "parameters": sum(parameter.numel() for parameter in run.model.backbone.parameters()),
        "recipe": json.loads(run.recipe.to_json()),
        "result": run.result,
        "environment": {name: value for name, value in run.environment.items() if name != "data_root"},
    }
    write_text(path.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
    return path
