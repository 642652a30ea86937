"""Every option of a command reaches the function that it is for, with another value than its default."""

from types import SimpleNamespace

import pytest

from reid_lab import demo, retrieval, training
from reid_lab.ablations import claims, grids, run
from reid_lab.cli import main


class Reached(BaseException):
    """Goes through whatever a command catches."""


@pytest.fixture
def reached(monkeypatch):
    """Replaces a function by one that ends the command; gives what the function was given by name."""

    def reached(owner, name, *command):
        def function(*given, **named):
            raise Reached(given, named)

        monkeypatch.setattr(owner, name, function)
        with pytest.raises(Reached) as caught:
            main(list(map(str, command)))
        return caught.value.args

    return reached


def test_the_options_of_train(reached, smoke, tmp_path):
    switches = ["--compile", "--deterministic", "--tensorboard"]
    fixed = ["train", "multitask", "--size", "smoke", "--set", "lr=0.125", "--set", "positive=annealed"]
    fixed += ["--seed", 7, "--runs", tmp_path / "mine", "--device", "cpu"]
    for switch in (None, *switches):
        (recipe, bench, seed), named = reached(training, "fit", *fixed, *filter(None, [switch]))
        assert (recipe.method, recipe.size, recipe.lr, recipe.positive) == ("multitask", "smoke", 0.125, "annealed")
        assert (bench.digest, seed) == (smoke.digest, 7)
        expected = {"device": "cpu", "runs": tmp_path / "mine"}
        assert named == expected | {name.removeprefix("--"): name == switch for name in switches}


def test_the_options_of_demo(reached, tmp_path):
    command = ["demo", "--size", "smoke", "--seed", 9, "--device", "cpu", "--runs", tmp_path]
    assert reached(demo, "demo", *command)[0] == ("smoke", 9, "cpu", tmp_path)


@pytest.mark.parametrize("rerank", [False, True])
def test_the_options_of_evaluate(reached, smoke_run, smoke, rerank):
    command = ["evaluate", smoke_run.folder, "--device", "cpu", *["--rerank"] * rerank]
    (model, bench), named = reached(retrieval, "evaluate", *command)
    assert model.input_size == smoke_run.model.input_size and bench.digest == smoke.digest
    assert named["rerank"] == rerank and named["device"].type == "cpu"


def test_the_options_of_ablate(reached, tmp_path):
    command = ["ablate", "losses", "--size", "smoke", "--out", tmp_path / "out", "--runs", tmp_path / "runs"]
    (jobs,), named = reached(
        run, "run", *command, "--seeds", 2, "--minutes", 1.5, "--workers", 3, "--device", "cpu", "--shard", "2/3"
    )
    assert [(job.variant, job.seed) for job in jobs] == [
        (job.variant, job.seed) for job in run.jobs(grids.GRIDS["losses"], "smoke", range(2))[1::3]
    ]
    del named["say"]
    places = {"folder": tmp_path / "out", "runs": tmp_path / "runs"}
    assert named == places | {"device": "cpu", "minutes": 1.5, "workers": 3}


def test_ablate_judges_the_size_and_the_folder_that_were_asked_for(reached, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "run", lambda jobs, **named: 0)
    command = ["ablate", "losses", "--size", "smoke", "--out", tmp_path]
    assert reached(claims, "write", *command) == (("smoke", tmp_path), {})


def test_the_options_of_search(reached, smoke_run, smoke, monkeypatch):
    monkeypatch.setattr(retrieval, "extract", lambda model, records, *device, **cache: (records, device, cache))
    command = ["search", smoke_run.folder, "--query", smoke.query[0].path, "--gallery", smoke.query[0].path.parent]
    ((queries, device, _), (images, _, cache), k), named = reached(
        retrieval, "search", *command, "--top", 4, "--device", "cpu"
    )
    assert [record.path for record in queries] == [smoke.query[0].path] and len(images) == len(smoke.query)
    assert device[0].type == "cpu" and cache == {"cache": smoke_run.folder} and k == 4
    assert [images[place].path for place in named["leave_out"][0]] == [smoke.query[0].path]


def test_the_options_of_export_and_embed(reached, smoke_run, tmp_path):
    from reid_lab import export

    for force, opset in ((False, None), (True, 20)):
        more = ["--force"] * force + (["--opset", opset] if opset else [])
        (run, *given), _ = reached(export, "to_onnx", "export", smoke_run.folder, "--onnx", tmp_path / "x.onnx", *more)
        assert run.folder == smoke_run.folder and given == [tmp_path / "x.onnx", force, opset]
        command = ["embed", smoke_run.folder, "--images", tmp_path, "--out", tmp_path / "x.npz", "--device", "cpu"]
        (run, *given), _ = reached(export, "to_npz", *command, *["--force"] * force)
        assert given == [tmp_path, tmp_path / "x.npz", training.find_device("cpu"), force]


def test_a_gallery_of_fewer_images_than_were_asked_for_is_shown_whole(reached, smoke_run, smoke, monkeypatch):
    monkeypatch.setattr(retrieval, "extract", lambda model, records, *device, **cache: SimpleNamespace())
    command = ["search", smoke_run.folder, "--query", smoke.query[0].path, "--gallery", smoke.query[0].path.parent]
    (_, _, k), _ = reached(retrieval, "search", *command, "--top", 999, "--device", "cpu")
    assert k == len(smoke.query)
