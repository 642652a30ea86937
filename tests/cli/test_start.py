"""`reid-lab demo` and `reid-lab doctor`."""

import dataclasses
import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from reid_lab import demo, doctor, methods, plots, retrieval, training
from reid_lab.cli import main
from reid_lab.runtime.errors import CheckpointError
from reid_lab.training import fitting

ROOT = Path(__file__).parents[2]


def test_the_demonstration_writes_its_table_and_pictures_and_then_reuses_its_runs(
    smoke, smoke_run, tmp_path, capsys, monkeypatch
):

    from reid_lab import plots

    shutil.copytree(smoke_run.folder, tmp_path / smoke_run.folder.name)  # so that only paper A's network is trained
    command = ["demo", "--size", "smoke", "--runs", str(tmp_path), "--device", "cpu"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "demo"
    assert {path.name for path in out.iterdir()} == {"table.csv", "curves.png", "gallery.png", "passersby.png"}
    assert all(str(path) in printed for path in out.iterdir())
    table = pd.read_csv(out / "table.csv", index_col=0)
    assert len(table) == 4
    assert {"rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP", "seed", "device", "torch"} <= set(table)
    first = next(tmp_path.glob("multitask-*")) / "environment.json"
    first.write_text(json.dumps(json.loads(first.read_text()) | {"device": "a machine of its own"}))
    monkeypatch.setattr(fitting, "Trainer", None)  # a second training would raise
    monkeypatch.setattr(plots, "save", lambda figure, path: None)  # drawn above
    assert main(command) == 0
    table = pd.read_csv(out / "table.csv", index_col=0)
    assert list(table["device"] == "a machine of its own") == [False, True, False, False]
    assert list(table["run"].str.split("-").str[0]) == ["residual_pooling", "multitask", *["residual_pooling"] * 2]


def test_the_demonstration_shows_what_a_start_alone_can_do(smoke, smoke_run):
    """The start is no worse before the training than random weights are, and no network of that recipe was trained."""
    begun = dataclasses.replace(smoke_run, recipe=smoke_run.recipe.replace(weights="passersby"))
    results = demo._evaluate(smoke, {"A": smoke_run, "B": begun}, 0, "cpu")
    assert list(results) == ["untrained network", demo.START, "A", "B", "B, re-ranked"]
    alone = methods.classification("smoke", weights="passersby").network(2).eval()
    assert results[demo.START].mAP == retrieval.evaluate(alone, smoke).mAP > results["untrained network"].mAP + 0.1


def full(figure, path):
    raise CheckpointError(f"Could not write {path}.")


def test_the_demonstrations_table_comes_before_pictures_that_may_fail(smoke_run, smoke, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(training, "fit", lambda *_, **__: smoke_run)
    for name in ("contact_sheet", "curves", "gallery"):
        monkeypatch.setattr(plots, name, lambda *_: None)
    monkeypatch.setattr(plots, "save", full)
    with pytest.raises(CheckpointError):
        demo.demo("smoke", device="cpu", runs=tmp_path, say=said.append)
    assert "rank-1" in said[-1] and (tmp_path / "demo" / "table.csv").is_file()


def test_the_doctor_names_what_is_missing_and_its_cure(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "COURSE", ("pandas",))
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "[problem]" not in printed and f"torch: {torch.__version__.split('+')[0]}" in printed
    monkeypatch.setattr(doctor, "COURSE", ("pandas", "no_such_library"))
    assert main(["doctor"]) == 1
    assert "no_such_library" in capsys.readouterr().out


def test_the_doctor_needs_none_of_what_it_looks_for():
    code = """
import sys
from reid_lab import doctor
for package in doctor.NEEDED:
    sys.modules[package] = None
    print(package, "|", doctor.examine()[1], "|", doctor.details()["python"])
    del sys.modules[package]
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    lines = [line.split(" | ") for line in run.stdout.splitlines()]
    assert [package for package, *_ in lines] == list(doctor.NEEDED)
    assert all("[problem]" in found and f"issing: {package};" in found for package, found, _ in lines)


def test_the_doctor_bears_a_package_without_a_version(monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", nowhere)
    assert doctor.details()["torchvision"] == "unknown"


def test_the_doctor_bears_a_check_that_fails_and_looks_at_both_folders(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REID_LAB_RUNS", str(tmp_path / "file" / "runs"))

    def broken(*_):
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(doctor, "_computes", broken)
    monkeypatch.setattr(doctor, "details", broken)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "[ok] Python is" in printed
    assert "libcudart.so" in printed and "REID_LAB_RUNS" in printed and printed.count("[problem]") == 2
