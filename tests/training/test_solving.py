"""A closed form is a run like any other: one folder, one row of history, and everything that a run is good for."""

import json

import pytest
import torch

from reid_lab import methods, retrieval, training
from reid_lab.analysis import cost, gradcam
from reid_lab.cli import main
from reid_lab.methods.closed_form import ClosedForm
from reid_lab.runtime.errors import CheckpointError, RecipeError, WeightsError
from reid_lab.training import run as runs_of
from reid_lab.training import solving
from reid_lab.training.stages import total_epochs

CLOSED = [methods.bow, methods.lomo]


@pytest.fixture(scope="module", params=CLOSED, ids=["bow", "lomo"])
def run(request, few, tmp_path_factory):
    recipe = request.param("smoke")
    return training.fit(recipe, few, seed=3, device="cpu", runs=tmp_path_factory.mktemp("runs"))


def state(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_the_folder_is_that_of_any_run(run, few):
    names = sorted(path.name for path in run.folder.iterdir())
    assert names == ["environment.json", "history.csv", "recipe.json", "result.json", "weights.safetensors"]
    assert run.folder == runs_of.run_folder(run.recipe, few, 3, run.folder.parent)
    assert run.environment["precision"] == "float32" and run.environment["data"] == few.name
    assert len(run.history) == total_epochs(run.recipe) == 1 and run.history["mAP"][0] == run.result["mAP"]
    assert run.history["dimensions"][0] == len(run.model.projection) > 1
    assert not training.unhealthy(run.history)


def test_it_is_loaded_as_it_was_and_scores_what_its_result_says(run, few):
    loaded = training.load(run.folder)
    assert loaded.recipe == run.recipe == methods.from_json(run.recipe.to_json())
    assert all(torch.equal(tensor, loaded.model.state_dict()[name]) for name, tensor in state(run.model).items())
    assert not loaded.model.training and not any(p.requires_grad for p in loaded.model.parameters())
    assert retrieval.evaluate(loaded.model, few, check=False).mAP == pytest.approx(run.result["mAP"])


def test_the_plain_solution_is_that_of_fit_bit_for_bit(run, few):
    plain, told = solving.solve(run.recipe, few, seed=3)
    expected = run.model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in state(plain).items())
    assert told["dimensions"] == len(plain.projection)


def test_it_is_solved_once(run, few, monkeypatch):
    monkeypatch.setattr(solving, "run", None)
    again = training.fit(run.recipe, few, seed=3, device="cpu", runs=run.folder.parent)
    assert again.result == run.result


def test_without_a_metric_it_is_loaded_too(few, tmp_path):
    made = training.fit(methods.bow("smoke", metric="none"), few, device="cpu", runs=tmp_path)
    assert len(made.model.projection) == 0
    assert torch.equal(training.load(made.folder).model.mean, made.model.mean)


def test_weights_of_another_shape_are_refused(run, tmp_path):
    folder = tmp_path / run.folder.name
    folder.mkdir()
    for path in run.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    from reid_lab.runtime import checkpoint

    tensors, about = checkpoint.read(folder / "weights.safetensors")
    del tensors["projection"]
    checkpoint.write(folder / "weights.safetensors", tensors, about)
    with pytest.raises(WeightsError, match="projection"):
        training.load(folder)


@pytest.mark.parametrize("failing", ["solve", "evaluate"])
def test_what_fails_leaves_an_unfinished_run_that_is_begun_anew(few, tmp_path, monkeypatch, failing):
    recipe = methods.bow("smoke")
    owner = solving if failing == "solve" else retrieval

    def fails(*given, **named):
        raise OverflowError("no number is that large")

    with monkeypatch.context() as patch, pytest.raises(OverflowError):
        patch.setattr(owner, failing, fails)
        training.fit(recipe, few, device="cpu", runs=tmp_path)
    assert training.runs.table(tmp_path)["state"].tolist() == ["epoch 0 of 1"]
    with pytest.raises(CheckpointError, match="not finished"):
        training.load(next(tmp_path.glob("bow*")))
    training.fit(recipe, few, device="cpu", runs=tmp_path)
    assert training.runs.table(tmp_path)["state"].tolist() == ["finished"]


def test_an_interruption_says_that_nothing_is_kept(few, tmp_path, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(solving, "solve", interrupted)
    with pytest.raises(KeyboardInterrupt, match="begins anew"):
        training.fit(methods.lomo("smoke"), few, device="cpu", runs=tmp_path)


def test_of_several_processes_the_main_one_solves_alone(few, tmp_path):
    class Other(solving.Processes):
        main = False

    solving.run(methods.bow("smoke"), few, 0, Other(torch.device("cpu")), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_line_trains_lists_and_searches(smoke, tmp_path, capsys):
    runs = ["--runs", str(tmp_path)]
    command = ["train", "bow", "--size", "smoke", "--set", "pca=8", "--device", "cpu", *runs]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "similar_pairs" in told and "Run(bow, smoke" in told and "[warning]" not in told
    assert main(["runs", "list", *runs]) == 0
    assert "bow-smoke-" in capsys.readouterr().out
    crop = smoke.query[0].path
    (tmp_path / "crops").mkdir()
    for record in smoke.gallery[:5]:
        (tmp_path / "crops" / record.path.name).write_bytes(record.path.read_bytes())
    assert main(["search", "bow", "--query", str(crop), "--gallery", str(tmp_path / "crops"), *runs]) == 0
    assert "Euclidean distance" in capsys.readouterr().out
    assert main(["train", "bow", "--set", "epochs=3", *runs]) != 0
    assert "epochs" in capsys.readouterr().err


def test_what_a_closed_form_cannot_do_is_said_in_a_sentence(run, few):
    with pytest.raises(RecipeError, match="has no layer4"):
        gradcam.grad_cam(run.model, few.query[:2])
    with pytest.raises(RecipeError, match="solved, not trained"):
        run.model.loss(None, None)
    with pytest.raises(RecipeError, match="does not define network"):
        ClosedForm(size="smoke", resize=(64, 32)).network(3)


def test_nothing_of_it_is_trained_and_its_cost_is_counted(run):
    row = cost.table({"closed": run.model}, ways=["eager"], repeats=1, warmup=0).iloc[0]
    assert row["parameters, M"] == row["backbone, M"] == 0 < row["eager, ms"]
    assert run.recipe.method not in methods.trained() and "classification" in methods.trained()


def test_a_file_that_lacks_what_closed_forms_share_is_refused():
    fields = json.loads(methods.bow("smoke").to_json())
    del fields["resize"]
    with pytest.raises(RecipeError, match=r"lacks resize"):
        methods.from_json(json.dumps(fields))


@pytest.mark.parametrize("size", methods.SIZES)
@pytest.mark.parametrize("method", CLOSED)
def test_every_recipe_survives_a_round_trip_through_json(method, size):
    assert methods.from_json(method(size).to_json()) == method(size)


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("method", CLOSED)
def test_a_gpu_describes_the_images_and_finds_the_same(few, tmp_path, method):
    found, expected = (
        training.fit(method("smoke"), few, device=device, runs=tmp_path / device, deterministic=True)
        for device in ("cuda", "cpu")
    )
    assert found.model.projection.device.type == "cuda"
    assert found.result["mAP"] == pytest.approx(expected.result["mAP"], abs=0.02)
