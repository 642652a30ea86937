"""A run that is killed, wherever and however, ends in the weights of one that was not."""

import json
import os
import signal
import threading
import time

import killable
import pandas as pd
import pytest
import torch

from reid_lab import methods, training
from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError
from reid_lab.training import trainer
from reid_lab.training.engine import Engine
from reid_lab.training.run import finished, run_folder

ALWAYS = dict(device="cpu", checkpoint_seconds=0)  # a checkpoint after every step
QUICK = dict(epochs=1, evaluate_every=0, precision="float32")


def same_weights(one, other):
    one, other = one.model.state_dict(), other.model.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class StopError(Exception):
    pass


def stop_after(monkeypatch, steps):
    """The step after so many never happens."""
    done, update = [], Engine.update

    def counted(self, *batch):
        if len(done) == steps:
            raise StopError
        done.append(1)
        return update(self, *batch)

    monkeypatch.setattr(Engine, "update", counted)


@pytest.mark.parametrize(
    ("method", "optimizer", "epochs"),
    [
        (methods.multitask, "adamw", 0.5),
        (methods.multitask, "sgd", 1.0),  # between an epoch's last step and its end
        (methods.residual_pooling, "adamw", 1.0),
        (methods.residual_pooling, "sgd", 1.5),
    ],
)
def test_an_interrupted_run_ends_in_the_same_bits(few, tmp_path, monkeypatch, method, optimizer, epochs):
    recipe = method("smoke", optimizer=optimizer, lr=0.002, **QUICK | {"epochs": 2})
    options = dict(seed=1, deterministic=True)
    whole = training.fit(recipe, few, device="cpu", runs=tmp_path / "whole", **options)
    steps = len(few.train) // (recipe.batch // recipe.groups)
    with monkeypatch.context() as patch, pytest.raises(StopError):
        stop_after(patch, int(epochs * steps))
        training.fit(recipe, few, runs=tmp_path / "broken", **ALWAYS, **options)
    resumed = training.fit(recipe, few, runs=tmp_path / "broken", **ALWAYS, **options)
    assert same_weights(whole, resumed)
    columns = [name for name in whole.history.columns if name != "images_per_second"]
    pd.testing.assert_frame_equal(whole.history[columns], resumed.history[columns], check_exact=True)


@pytest.fixture(scope="module")
def undisturbed(smoke, tmp_path_factory):
    """What the child trains, when nobody kills it."""
    return training.fit(killable.RECIPE, smoke, runs=tmp_path_factory.mktemp("undisturbed"), **killable.OPTIONS)


def wait_for(happened, child, seconds=120):
    limit = time.monotonic() + seconds
    while not happened():
        assert child.is_alive(), "the child ended before it could be killed"
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_a_process_killed_at_several_points_also_while_saving_ends_in_the_same_bits(smoke, undisturbed, tmp_path):
    """Killed early in an epoch, later, while a checkpoint is being written, and again: always resumed."""
    folder = run_folder(killable.RECIPE, smoke, 2, tmp_path / "killed")

    path = folder / "checkpoint.safetensors"

    def step():
        """The note alone, which is quick to read again and again; none yet where the file is replaced meanwhile."""
        try:
            with checkpoint.opened(path) as file:
                return json.loads(file.metadata()["about"])
        except (OSError, RuntimeError):
            return {"history": [], "step": 0}

    def saving():
        return list(folder.glob(".checkpoint.safetensors.*.part"))

    points = [
        lambda: step()["step"] >= 2,
        saving,
        lambda: len(step()["history"]) >= 2,
        saving,
    ]
    seen = []
    for point in points:
        child = killable.start(tmp_path / "killed")
        wait_for(point, child)
        child.kill()
        child.join()
        assert not finished(folder)
        assert child.exitcode == -signal.SIGKILL if os.name == "posix" else child.exitcode != 0
        about = checkpoint.read(path)[1]  # whole
        seen.append((len(about["history"]), about["step"]))
    assert seen == sorted(seen) and seen[0] >= (0, 2) and seen[-1] >= (2, 0)
    resumed = training.fit(killable.RECIPE, smoke, runs=tmp_path / "killed", **killable.OPTIONS)
    assert same_weights(undisturbed, resumed)
    assert not list(folder.glob(".*")), "what killed saves left is cleared away"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no polite kill")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_process_says_so_and_loses_nothing(smoke, undisturbed, tmp_path, number):
    """Ctrl-C, or the kill of a scheduler, which may come in the middle of a step."""
    folder = run_folder(killable.RECIPE, smoke, 2, tmp_path / "stopped")
    child = killable.start(tmp_path / "stopped")
    wait_for((folder / "checkpoint.safetensors").is_file, child)
    os.kill(child.pid, number)
    child.join(60)
    assert f"All is kept in {folder}" in (tmp_path / "errors").read_text(encoding="utf-8")
    resumed = training.fit(killable.RECIPE, smoke, runs=tmp_path / "stopped", **killable.OPTIONS)
    assert same_weights(undisturbed, resumed)


def test_an_interruption_within_a_step_waits_for_its_end(smoke, tmp_path, monkeypatch):
    update, done, handler = Engine.update, [], signal.getsignal(signal.SIGINT)

    def interrupted(self, *batch):
        if len(done) == 3:
            signal.raise_signal(signal.SIGINT)  # as Ctrl-C would, before the weights are updated
        done.append(1)
        return update(self, *batch)

    recipe = methods.residual_pooling("smoke", **QUICK)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="epoch 1 of 1, after 4 of"):
        patch.setattr(Engine, "update", interrupted)
        training.fit(recipe, smoke, device="cpu", runs=tmp_path)
    assert len(done) == 4
    folder = run_folder(recipe, smoke, 0, tmp_path)
    assert checkpoint.read(folder / "checkpoint.safetensors")[1]["step"] == 4
    assert signal.getsignal(signal.SIGINT) is handler


def test_training_in_a_thread_leaves_signals_alone(few, tmp_path):
    recipe, handler = methods.multitask("smoke", **QUICK), signal.getsignal(signal.SIGTERM)
    done = []
    thread = threading.Thread(
        target=lambda: done.append(training.fit(recipe, few, device="cpu", runs=tmp_path)), daemon=True
    )
    thread.start()
    thread.join(60)
    assert done and signal.getsignal(signal.SIGTERM) is handler


def test_a_full_disk_leaves_the_last_checkpoint_and_says_so(few, tmp_path, monkeypatch):
    recipe = methods.residual_pooling("smoke", **QUICK)
    written = []

    def full_disk(tensors, metadata):
        if written:
            raise OSError(28, "No space left on device")
        written.append(1)
        return from_torch(tensors, metadata)

    from_torch = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", full_disk)
    with pytest.raises(CheckpointError, match="checkpoint.safetensors: No space left"):
        training.fit(recipe, few, runs=tmp_path, **ALWAYS)
    folder = run_folder(recipe, few, 0, tmp_path)
    _, about = checkpoint.read(folder / "checkpoint.safetensors")
    assert about["step"] == 1
    assert not list(folder.glob(".*part"))
    monkeypatch.setattr(checkpoint, "save", from_torch)
    assert len(training.fit(recipe, few, device="cpu", runs=tmp_path).history) == 1


def unfinished(recipe, few, runs_folder, monkeypatch):
    """The folder of a run that stopped after its last epoch, before its end."""
    with monkeypatch.context() as patch, pytest.raises(StopError):
        patch.setattr(trainer.Trainer, "_finish", lambda self: (_ for _ in ()).throw(StopError))
        training.fit(recipe, few, runs=runs_folder, deterministic=True, **ALWAYS)
    return run_folder(recipe, few, 0, runs_folder)


def test_a_resumed_run_writes_a_lost_history_again(few, tmp_path, monkeypatch):
    recipe = methods.multitask("smoke", **QUICK | {"epochs": 2})
    folder = unfinished(recipe, few, tmp_path, monkeypatch)
    before = pd.read_csv(folder / "history.csv")
    (folder / "history.csv").unlink()
    run = training.fit(recipe, few, device="cpu", runs=tmp_path)
    assert len(before) == len(run.history) == 2
    same = ["epoch", "lr", "loss", "accuracy"]
    pd.testing.assert_frame_equal(run.history[same], before[same], check_exact=True)


def test_a_resumed_run_keeps_its_number_of_threads(few, tmp_path, monkeypatch):
    """Another number would sum in another order, and end in other bits."""
    recipe, ours = methods.multitask("smoke", **QUICK), torch.get_num_threads()
    folder = unfinished(recipe, few, tmp_path, monkeypatch)
    tensors, about = checkpoint.read(folder / "checkpoint.safetensors")
    assert about["threads"] == ours
    checkpoint.write(folder / "checkpoint.safetensors", tensors, about | {"threads": ours + 1})
    run = training.fit(recipe, few, device="cpu", runs=tmp_path)
    assert run.environment["threads"] == ours + 1
    assert torch.get_num_threads() == ours, "the caller's own number comes back"


def test_what_a_killed_save_left_is_cleared_away(few, tmp_path):
    recipe = methods.multitask("smoke", **QUICK)
    folder = run_folder(recipe, few, 0, tmp_path)
    folder.mkdir()
    (folder / ".checkpoint.safetensors.0123.part").write_bytes(b"half a checkp")
    training.fit(recipe, few, device="cpu", runs=tmp_path)
    assert not list(folder.glob(".*"))


def test_a_damaged_checkpoint_is_refused_when_resuming(smoke, tmp_path):
    recipe = methods.multitask("smoke")
    folder = run_folder(recipe, smoke, 0, tmp_path)
    folder.mkdir()
    (folder / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="checkpoint.safetensors"):
        training.fit(recipe, smoke, device="cpu", runs=tmp_path)


def test_a_checkpoint_of_another_recipe_is_refused(smoke, tmp_path):
    recipe = methods.multitask("smoke")
    folder = run_folder(recipe, smoke, 0, tmp_path)
    about = {"recipe": json.loads(recipe.replace(lr=0.5).to_json())}
    checkpoint.write(folder / "checkpoint.safetensors", {"model.x": torch.zeros(1)}, about)
    with pytest.raises(CheckpointError, match="checkpoint.safetensors"):
        training.fit(recipe, smoke, device="cpu", runs=tmp_path)


def test_a_half_trained_run_of_version_0_1_0_goes_on_with_its_optimizers_memory(few, tmp_path, monkeypatch):
    recipe = methods.residual_pooling("smoke", **QUICK)
    training.fit(recipe, few, runs=tmp_path / "whole", deterministic=True, **ALWAYS)
    folder = run_folder(recipe, few, 0, tmp_path / "old")
    with monkeypatch.context() as patch, pytest.raises(StopError):
        stop_after(patch, 2)
        training.fit(recipe, few, runs=tmp_path / "old", deterministic=True, **ALWAYS)
    path = folder / "checkpoint.safetensors"
    tensors, about = checkpoint.read(path)
    about["recipe"]["optimiser"] = about["recipe"].pop("optimizer")
    checkpoint.write(path, {name.replace("optimizer.", "optimiser."): x for name, x in tensors.items()}, about)
    run = training.fit(recipe, few, runs=tmp_path / "old", deterministic=True, **ALWAYS)
    assert same_weights(run, training.load(run_folder(recipe, few, 0, tmp_path / "whole")))


def test_a_second_process_waits_for_the_first_and_says_so(smoke, tmp_path, caplog, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE")  # which also silences this sentence, in notebooks under regression, say
    folder = run_folder(killable.RECIPE, smoke, 2, tmp_path / "runs")
    child = killable.start(tmp_path / "runs")
    wait_for((folder / "checkpoint.safetensors").is_file, child)
    run = training.fit(killable.RECIPE, smoke, runs=tmp_path / "runs", **killable.OPTIONS)
    child.join(10)
    assert child.exitcode == 0, "the first process trained it, undisturbed"
    assert f"Another process is training {folder.name}: waiting" in caplog.text
    assert len(run.history) == 4
