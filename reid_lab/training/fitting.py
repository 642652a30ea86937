"""``training.fit``: load a run, resume it, or train it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import torch

from reid_lab import data
from reid_lab.methods import AnyRecipe, ClosedForm
from reid_lab.runtime import environment
from reid_lab.runtime.distributed import assemble
from reid_lab.runtime.errors import CheckpointError, RecipeError
from reid_lab.runtime.files import lock, shared_folder
from reid_lab.runtime.folders import write_folder
from reid_lab.runtime.validation import is_whole
from reid_lab.training import guards, solving
from reid_lab.training.run import Run, finished, load, run_folder
from reid_lab.training.runs import FILES
from reid_lab.training.tensorboard import tensorboard_writer
from reid_lab.training.trainer import Options, Trainer


def fit(
    recipe: AnyRecipe,
    benchmark: data.Benchmark,
    seed: int = 0,
    *,
    device: str | torch.device | None = None,
    runs: Path | str | None = None,
    deterministic: bool = False,
    compile: bool = False,
    tensorboard: bool = False,
    checkpoint_seconds: float = 60.0,
) -> Run:
    """Train ``recipe`` on ``benchmark``; load it if it was trained before, resume it if it was interrupted.

    A recipe that names a teacher has its run made first, with the same data, seed and options. A closed form is
    solved instead: it has no steps to compile or to go on from.

    Args:
        recipe: what to train; one of a method's recipes.
        benchmark: from :mod:`reid_lab.data`; it is checked before any work.
        seed: of the weights, the samplers, the augmentation and dropout.
        device: "cpu", "cuda", "mps", "xpu"; default the GPU where there is one.
        runs: folder of the runs' folders; default: see :func:`reid_lab.runtime.files.runs_folder`. A run that is not
            there is copied from :func:`reid_lab.runtime.files.shared_folder`, if it was trained there.
        deterministic: the same bits each time on the same machine, with the same number of threads. A GPU is slower.
        compile: use torch.compile: a minute or more of warm-up, then faster steps on a GPU, and other bits.
        tensorboard: also write the history for TensorBoard, to the run's folder.
        checkpoint_seconds: between two checkpoints, which is what a kill may cost.

    Raises:
        DataError, RecipeError, DeviceError: what was asked for cannot be trained, or not in the recipe's precision.
        CheckpointError: the run's folder is damaged or cannot be written; the last good checkpoint stays.
        WeightsError: the recipe's ImageNet weights could not be had, or a checkpoint's belong to another network.
        TrainingError: a loss is no longer finite, the embedding has collapsed, or the GPU's memory is too small.
    """
    if not is_whole(seed, 0) or seed >= 2**63:
        raise RecipeError(f"The seed of training is {seed!r}; it must be a whole number from 0 to 2**63 - 1.")
    options = Options(deterministic, compile, tensorboard, checkpoint_seconds)
    return _fit(recipe, benchmark, int(seed), device, runs, options)


def _fit(
    recipe: AnyRecipe,
    benchmark: data.Benchmark,
    seed: int,
    device: str | torch.device | None,
    runs: Path | str | None,
    options: Options,
) -> Run:
    """Load or train. Of several processes the main one holds the run's folder."""
    if options.tensorboard:
        tensorboard_writer()  # now, rather than after an epoch
    processes = assemble(device)
    benchmark.check(read_images=False)
    folder = run_folder(recipe, benchmark, seed, runs)
    if processes.main:
        _take_shared(folder)
    held = processes.main and not finished(folder)  # what is finished may be read-only
    with lock(folder, waiting=f"training {folder.name}") if held else contextlib.nullcontext():
        if not processes.broadcast(finished(folder)):
            reproducible = environment.reproducible(seed, processes.device, options.deterministic)
            if isinstance(recipe, ClosedForm):
                with reproducible:
                    solving.run(recipe, benchmark, seed, processes, folder, options.tensorboard)
            else:  # a teacher is a run of its own, which other recipes may have made
                teacher = _fit(recipe.teacher, benchmark, seed, device, runs, options).model if recipe.teacher else None
                with reproducible, guards.memory_told(recipe, folder):
                    trainer = Trainer(recipe, benchmark, seed, processes, folder, options)
                    if teacher:
                        trainer.engine.model.learn_from(teacher)
                    trainer.run()
        elif processes.main:
            environment.note_other(folder, processes.device)
        run = load(folder)
    if run.recipe != recipe:
        raise CheckpointError(f"{folder} holds a run of another recipe. Move that folder away and start again.")
    run.model.to(processes.device)
    return run


def _take_shared(folder: Path) -> None:
    """Copy a run that somebody has trained for everybody, unless there is one here: it is then like an own one."""
    shared = shared_folder()
    source = shared / "runs" / folder.name if shared else None
    if source is None or not finished(source):
        return

    def fill(partial: Path) -> None:
        for name in FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, partial / name)  # without the rights of a folder that is only read

    try:
        write_folder(folder, fill, Path.exists)  # whatever is there by now is the student's own, finished or not
    except OSError as error:
        raise CheckpointError(
            f"The run {source} could not be copied to {folder}: {error.strerror or error}. Free some space, or ask its "
            "owner for the right to read it."
        ) from error
