import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from reid_lab import data, methods, training
from reid_lab.runtime import checkpoint, environment
from reid_lab.runtime.errors import CheckpointError, DataError, DeviceError, RecipeError, ReidLabError
from reid_lab.training import fitting, runs, trainer
from reid_lab.training.run import run_folder

QUICK = dict(epochs=1, evaluate_every=0, precision="float32")
METHODS = [methods.multitask, methods.residual_pooling]


def same_weights(one, other):
    one, other = one.model.state_dict(), other.model.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_keeps_all_that_it_should(smoke_run):
    names = {path.name for path in smoke_run.folder.iterdir() if not path.name.startswith("features-")}  # a cache
    assert names == {"recipe.json", "environment.json", "history.csv", "weights.safetensors", "result.json"}
    assert {"seed", "torch", "device", "threads", "precision", "data_digest"} <= smoke_run.environment.keys()
    assert list(smoke_run.history["epoch"]) == [1, 2, 3]
    assert {"rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP", "minutes"} == smoke_run.result.keys()


@pytest.mark.parametrize("method", METHODS)
def test_training_lowers_the_loss(few, method, tmp_path):
    recipe = method("smoke", erasing=0, **QUICK | {"epochs": 8})
    run = training.fit(recipe, few, device="cpu", runs=tmp_path)
    assert run.history["loss"].iloc[-1] < 0.9 * run.history["loss"].iloc[0]


def test_only_the_last_evaluation_is_in_float32_whatever_the_precision_of_training(smoke, tmp_path, monkeypatch):
    """On the way half the bits, and half the minutes, are enough; what a run is worth is not rounded."""
    evaluate, seen = trainer.retrieval.evaluate, []

    def watched(model, bench, **options):
        exact = evaluate(model, bench, **options | {"autocast": False}).mAP
        seen.append((options["autocast"], evaluate(model, bench, **options).mAP, exact))
        return evaluate(model, bench, **options)

    monkeypatch.setattr(trainer.retrieval, "evaluate", watched)
    recipe = methods.residual_pooling("smoke", precision="bf16", epochs=2, evaluate_every=1)
    run = training.fit(recipe, smoke, device="cpu", runs=tmp_path)
    assert [autocast for autocast, *_ in seen] == [True, False]
    assert seen[0][1] != seen[0][2] and seen[0][1] == pytest.approx(seen[0][2], abs=0.02)
    assert run.result["mAP"] == seen[1][2]
    training.fit(recipe.replace(precision="float32"), smoke, device="cpu", runs=tmp_path)
    assert [autocast for autocast, *_ in seen[2:]] == [False, False]


def test_a_trained_run_is_loaded_not_trained_again(smoke, smoke_run, monkeypatch):
    monkeypatch.setattr(fitting, "Trainer", None)  # would raise if training began
    again = training.fit(smoke_run.recipe, smoke, seed=0, device="cpu")
    assert same_weights(smoke_run, again)
    pd.testing.assert_frame_equal(smoke_run.history, again.history)


def test_recipe_data_and_seed_each_make_another_run(smoke):
    recipe = methods.multitask("smoke")
    other = data.Benchmark("fewer", smoke.train[:-1], smoke.query, smoke.gallery, root=smoke.root)
    folders = {
        run_folder(recipe, smoke, 0),
        run_folder(recipe, smoke, 1),
        run_folder(recipe.replace(erasing=0.3), smoke, 0),
        run_folder(recipe, other, 0),
    }
    assert len(folders) == 4


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(few, tmp_path):
    recipe = methods.residual_pooling("smoke", **QUICK)
    options = dict(device="cpu", deterministic=True)
    one = training.fit(recipe, few, seed=3, runs=tmp_path / "one", **options)
    torch.manual_seed(99)  # what the caller does with torch's generator does not matter
    two = training.fit(recipe, few, seed=3, runs=tmp_path / "two", **options)
    other = training.fit(recipe, few, seed=4, runs=tmp_path / "two", **options)
    assert same_weights(one, two)
    assert not same_weights(one, other)


def test_training_leaves_the_callers_random_numbers_alone(few, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    training.fit(methods.multitask("smoke", **QUICK), few, device="cpu", runs=tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_runs_folder_that_cannot_be_made_is_named(smoke, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="file"):
        training.fit(methods.multitask("smoke"), smoke, device="cpu", runs=tmp_path / "file")


def copy_of(run, tmp_path):
    return shutil.copytree(run.folder, tmp_path / run.folder.name)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damaged_weights_are_refused(smoke_run, tmp_path, damage):
    folder = copy_of(smoke_run, tmp_path)
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-100] ^= 1
    path.write_bytes({"cut": content[: len(content) // 2], "flip": content, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match="weights.safetensors"):
        training.load(folder)


def test_weights_of_another_architecture_are_refused(smoke_run, tmp_path):
    folder = copy_of(smoke_run, tmp_path)
    (folder / "recipe.json").write_text(methods.multitask("smoke").to_json())
    with pytest.raises(ReidLabError, match="weights|architecture"):
        training.load(folder)


@pytest.mark.parametrize("name", ["multitask-smoke-acf887574d", "residual_pooling-smoke-645272fee2"])
def test_runs_of_version_0_1_0_are_found_under_their_names(smoke, name):
    method, size, _ = name.split("-")
    assert run_folder(methods.METHODS[method].at(size), smoke, 0).name == name


def test_a_tilde_is_the_home_folder(smoke, smoke_run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # on Windows
    assert run_folder(smoke_run.recipe, smoke, 0, "~/runs").parent == tmp_path / "runs"
    folder = copy_of(smoke_run, tmp_path)
    assert training.load(f"~/{folder.name}").folder == folder
    assert list(runs.table("~").index) == [folder.name] and runs.find(folder.name, "~") == folder


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=tmp_path.name):
        training.load(tmp_path)


def test_an_unfinished_run_is_not_loaded(smoke_run, tmp_path):
    folder = copy_of(smoke_run, tmp_path)
    (folder / "result.json").unlink()
    with pytest.raises(CheckpointError, match=folder.name):
        training.load(folder)


def test_a_gpu_that_is_not_there_is_named(smoke, tmp_path):
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(DeviceError, match=missing):
        training.fit(methods.multitask("smoke"), smoke, device=missing, runs=tmp_path)
    with pytest.raises(DeviceError, match="gpu"):
        training.find_device("gpu")


def test_a_benchmark_that_cannot_be_evaluated_is_refused_before_training(smoke, tmp_path):
    broken = data.Benchmark("no gallery", smoke.train, smoke.query, [], root=smoke.root)
    with pytest.raises(DataError, match="gallery"):
        training.fit(methods.multitask("smoke"), broken, device="cpu", runs=tmp_path)
    assert not list(tmp_path.iterdir())


def test_too_few_identities_for_the_batch_are_refused(smoke, tmp_path):
    recipe = methods.residual_pooling("smoke", identities=500)
    with pytest.raises(DataError, match="500"):
        training.fit(recipe, smoke, device="cpu", runs=tmp_path)


def test_the_backbone_learns_at_its_own_rate(few, tmp_path):
    """With a tiny factor the backbone stands still while the head moves."""
    recipe = methods.residual_pooling("smoke", backbone_lr=1e-9, weight_decay=0.0, **QUICK)
    torch.manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        before = recipe.network(len({r.pid for r in few.train})).state_dict()
    after = training.fit(recipe, few, seed=0, device="cpu", runs=tmp_path).model.state_dict()
    moved = {name: (after[name] - before[name]).abs().max().item() for name in before if name.endswith("weight")}
    backbone = [moved[name] for name in moved if name.startswith("backbone.")]
    head = [moved[name] for name in moved if not name.startswith("backbone.")]
    assert backbone and max(backbone) < 1e-6 < np.median(head)


def test_a_recipe_changed_by_hand_after_training_is_refused(smoke, smoke_run, tmp_path):
    folder = copy_of(smoke_run, tmp_path)
    (folder / "recipe.json").write_text(smoke_run.recipe.replace(lr=0.5).to_json())
    with pytest.raises(CheckpointError, match="recipe.json"):
        training.load(folder)
    with pytest.raises(CheckpointError, match="recipe.json"):
        training.fit(smoke_run.recipe, smoke, device="cpu", runs=tmp_path)


def test_a_run_of_another_recipe_in_the_folder_is_refused(smoke, smoke_run, tmp_path):
    recipe = methods.multitask("smoke")
    shutil.copytree(smoke_run.folder, run_folder(recipe, smoke, 0, tmp_path))
    with pytest.raises(CheckpointError, match=f"{recipe.method}-{recipe.size}"):
        training.fit(recipe, smoke, device="cpu", runs=tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("recipe.json", b"{"),
        ("recipe.json", b"\xff\xfe"),
        ("recipe.json", b'{"method": "multitask"}'),
        ("history.csv", b""),
        ("history.csv", b"\x00\xff"),
        ("environment.json", b"[1]"),
        ("result.json", b"{"),
        ("result.json", b"{}"),
        ("environment.json", b"{}"),
    ],
)
def test_a_damaged_file_of_a_run_is_named(smoke_run, tmp_path, name, content):
    folder = copy_of(smoke_run, tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        training.load(folder)


def test_other_tensors_in_the_place_of_the_weights_are_refused(smoke_run, tmp_path):
    folder = copy_of(smoke_run, tmp_path)
    checkpoint.write(folder / "weights.safetensors", {"x": torch.zeros(1)}, {})
    with pytest.raises(CheckpointError, match="weights.safetensors"):
        training.load(folder)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "0"])
def test_a_seed_that_is_none_is_refused(smoke, tmp_path, seed):
    with pytest.raises(RecipeError, match=repr(seed)):
        training.fit(methods.multitask("smoke"), smoke, seed, device="cpu", runs=tmp_path)


@pytest.mark.parametrize("device", ["hpu", "meta"])
def test_a_kind_of_device_that_training_does_not_use_is_refused(device):
    with pytest.raises(DeviceError, match=device):
        training.find_device(device)


def test_the_faster_number_of_threads_is_taken_and_large_work_is_left_alone(monkeypatch):
    def takes(seconds):  # by number of threads
        monkeypatch.setattr(environment, "_seconds", lambda work: seconds[torch.get_num_threads()])
        return environment.fastest_threads(lambda: None)

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert takes({1: 0.2, 2: 0.1}) == 2
        assert takes({1: 0.2, 2: 1.5}) == 1
        assert takes({1: 9.0, 2: 20.0}) == 2  # not even tried
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("deterministic", [False, True])
def test_where_the_same_bits_are_wanted_no_race_decides_the_number_of_threads(
    few, tmp_path, monkeypatch, deterministic
):
    races = []
    monkeypatch.setattr(environment, "fastest_threads", lambda work: races.append(work) or 1)
    recipe = methods.multitask("smoke", **QUICK)
    training.fit(recipe, few, device="cpu", runs=tmp_path, deterministic=deterministic)
    assert len(races) == (0 if deterministic else 1)


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_callers_own_determinism_comes_back_warnings_included(deterministic):
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with environment.reproducible(0, torch.device("cpu"), deterministic):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled() != deterministic
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_run_that_is_older_than_a_field_of_the_recipe_still_loads(smoke_run, tmp_path):
    folder = copy_of(smoke_run, tmp_path)
    tensors, about = checkpoint.read(folder / "weights.safetensors")
    del about["recipe"]["triplet_scales"]
    checkpoint.write(folder / "weights.safetensors", tensors, about)
    (folder / "recipe.json").write_text(json.dumps(about["recipe"]))
    assert training.load(folder).recipe == smoke_run.recipe


def test_logs_for_tensorboard_hold_every_number_of_every_epoch(few, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    recipe = methods.multitask("smoke", **QUICK | {"epochs": 2})
    run = training.fit(recipe, few, device="cpu", runs=tmp_path, tensorboard=True)
    logs = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert set(run.history.columns) == set(logs.Tags()["scalars"])
    told = [(event.step, event.value) for event in logs.Scalars("loss")]
    assert told == [(epoch, pytest.approx(loss)) for epoch, loss in run.history[["epoch", "loss"]].to_numpy()]


def test_logs_without_tensorboard_are_refused_with_the_cure(smoke, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(DeviceError, match="tensorboard"):
        training.fit(methods.multitask("smoke", **QUICK), smoke, device="cpu", runs=tmp_path, tensorboard=True)
