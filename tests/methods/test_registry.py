"""A method that the package has never heard of: one file, one line, and everything works."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from reid_lab import export, methods, retrieval, training
from reid_lab.analysis import gradcam
from reid_lab.cli import main
from reid_lab.runtime.errors import RecipeError
from reid_lab.training.engine import Engine


@pytest.fixture
def toy(monkeypatch):
    """The toy method, known while a test runs."""
    spec = importlib.util.spec_from_file_location("toy_method", Path(__file__).with_name("toy.py"))
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "toy_method", module)
    spec.loader.exec_module(module)
    monkeypatch.setitem(methods.METHODS, "toy", None)  # afterwards, it is taken back
    return methods.register(module.ToyRecipe)


class KilledError(Exception):
    pass


def test_a_new_method_trains_resumes_and_is_evaluated(toy, smoke, tmp_path, monkeypatch):
    recipe, options = toy.at("smoke"), dict(seed=1, device="cpu", deterministic=True, checkpoint_seconds=0)
    whole = training.fit(recipe, smoke, runs=tmp_path / "whole", **options)
    done, update = [], Engine.update

    def killed(self, *batch):
        done.append(1)
        if len(done) == 5:
            raise KilledError
        return update(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "update", killed)
        with pytest.raises(KilledError):
            training.fit(recipe, smoke, runs=tmp_path / "killed", **options)
    resumed = training.fit(recipe, smoke, runs=tmp_path / "killed", **options)
    state, other = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert training.load(whole.folder).recipe == recipe == methods.from_json(recipe.to_json())
    euclidean, cosine = (retrieval.evaluate(whole.model, smoke, **how) for how in ({}, {"metric": "cosine"}))
    assert euclidean.mAP == retrieval.evaluate(whole.model, smoke, metric="euclidean").mAP != cosine.mAP


def test_a_new_method_is_exported_explained_and_listed(toy, smoke, tmp_path, capsys):
    run = training.fit(toy.at("smoke", epochs=1), smoke, device="cpu", runs=tmp_path)
    pytest.importorskip("onnxruntime")
    export.to_onnx(run, tmp_path / "toy.onnx")
    assert (tmp_path / "toy.onnx").is_file()
    pytest.importorskip("pytorch_grad_cam")
    heats = gradcam.grad_cam(run.model, smoke.query[:2])
    assert np.isfinite(heats).all() and heats.shape == (2, *run.model.input_size)
    assert main(["runs", "list", "--runs", str(tmp_path)]) == 0
    assert "toy-smoke-" in capsys.readouterr().out
    assert main(["train", "toi", "--runs", str(tmp_path)]) != 0
    assert "toy" in capsys.readouterr().err


def test_a_class_that_pydantic_does_not_check_is_no_method():
    class Unchecked(methods.Recipe):
        method = "unchecked"

    with pytest.raises(RecipeError, match="Unchecked"):
        methods.register(Unchecked)
    assert "unchecked" not in methods.METHODS


def test_a_size_that_a_method_does_not_have_is_refused_by_its_name(toy):
    with pytest.raises(RecipeError, match="toy has no size 'full'"):
        methods.METHODS["toy"].at("full")


@pytest.mark.parametrize("part", ["network", "sampler", "batch"])
def test_a_method_that_lacks_a_part_is_told_which(toy, part, monkeypatch):
    recipe = methods.METHODS["toy"].at("smoke")
    monkeypatch.delattr(type(recipe), part)
    with pytest.raises(RecipeError, match=f"does not define {part}"):
        value = getattr(recipe, part)  # ``batch`` is a property
        value(*([0] * (1 if part == "network" else 3)))
