"""Several processes on one batch: the loss, the gradients and the run of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reid_lab import methods
from reid_lab.runtime.distributed import Processes, assemble
from reid_lab.runtime.errors import DeviceError, RecipeError

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(smoke, tmp_path_factory):
    """What groups of 1, 2 and 4 processes made of the same work, each in a folder called so."""
    folder = tmp_path_factory.mktemp("processes")
    command = [sys.executable, str(Path(__file__).with_name("distributed_process.py")), str(folder), "1", "2", "4"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "training")])  # for `some`
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    environment["ACCELERATE_MIXED_PRECISION"] = "bf16"  # as `accelerate config` may have been told: the recipe decides
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def alone(folder):
    return folder / "1"


@pytest.fixture(scope="module", params=[2, 4])
def processes(request, folder):
    return folder / str(request.param)


@pytest.mark.parametrize("method", ["multitask", "residual_pooling"])
def test_loss_and_gradients_of_a_step_equal_those_of_one_process(alone, processes, method):
    """The triplets see the whole batch, and every image is cropped and erased as one process would."""
    ours, theirs = (load_file(folder / f"{method}.safetensors") for folder in (processes, alone))
    assert ours.keys() == theirs.keys() and len(ours) > 30
    assert ours.pop("loss").item() == pytest.approx(theirs.pop("loss").item(), rel=1e-6)
    for name in theirs:  # each sum in another order: a little more than the whole may differ by
        assert (ours[name] - theirs[name]).norm() < 5e-6 * theirs[name].norm() + 1e-8, name
    ours, theirs = (torch.cat([value.flatten() for value in values.values()]) for values in (ours, theirs))
    assert (ours - theirs).norm() < 1e-6 * theirs.norm()


def only_result(folder):
    (path,) = (folder / "runs").glob("*/result.json")
    return json.loads(path.read_text())


def test_a_run_ends_in_the_metrics_of_one_process(alone, processes):
    ours, theirs = only_result(processes), only_result(alone)
    assert {name: ours[name] for name in ours if name != "minutes"} == pytest.approx(
        {name: theirs[name] for name in theirs if name != "minutes"}, abs=1e-3
    )
    ours, theirs = (load_file(folder / "weights0.safetensors") for folder in (processes, alone))
    for name in theirs:
        assert torch.allclose(ours[name], theirs[name], atol=1e-5), name


def test_all_processes_end_with_the_same_weights(processes):
    files = sorted(processes.glob("weights*.safetensors"))
    first, *others = map(load_file, files)
    assert len(files) == int(processes.name)
    assert all(torch.equal(first[name], other[name]) for other in others for name in first)


def test_stages_that_freeze_and_thaw_end_in_the_weights_of_one_process(alone, processes):
    ours, others, theirs = (
        load_file(file) for file in (*sorted(processes.glob("staged*.safetensors"))[:2], alone / "staged0.safetensors")
    )
    for name in theirs:
        assert torch.equal(ours[name], others[name]) and torch.allclose(ours[name], theirs[name], atol=1e-5), name


def test_joints_that_travel_with_a_batch_are_shared_out_with_its_images(alone, processes):
    ours, theirs = (load_file(folder / "extras0.safetensors") for folder in (processes, alone))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)


def test_a_process_on_its_own_takes_the_whole_batch():
    processes = assemble("cpu")
    assert (processes.size, processes.main) == (1, True)
    assert processes.share(8).tolist() == list(range(8)) == processes.share(8, groups=2).tolist()


def test_pairs_stay_together_and_everybody_gets_an_equal_share():
    processes = Processes(CPU)
    processes.size = 2
    shares = []
    for processes.rank in range(2):
        shares.append(processes.share(8, groups=2).tolist())
    assert shares == [[0, 1, 4, 5], [2, 3, 6, 7]]  # anchors 0..3, their partners 4..7


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    processes = Processes(CPU)
    processes.size = 3
    with pytest.raises(RecipeError, match="32 pairs.* 3 processes"):
        processes.share(methods.multitask("paper").batch, groups=2)


def test_several_processes_without_accelerate_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(DeviceError, match="accelerate"):
        assemble("cpu")
