"""A class on one server: the lecturer has made data and runs for everybody, and every student writes to own folders."""

import shutil
import sys

import pytest

from reid_lab import data, doctor, retrieval, training
from reid_lab.models import weights
from reid_lab.passersby.generate import is_made
from reid_lab.runtime.errors import CheckpointError
from reid_lab.training import runs


@pytest.fixture
def shared(smoke, smoke_run, tmp_path):
    """What the lecturer has made; nobody may write there (root may: so the tests also compare what is there)."""
    folder = tmp_path / "lecturer"
    shutil.copytree(smoke.root, folder / "passersby" / smoke.root.name)
    shutil.copytree(smoke_run.folder, folder / "runs" / smoke_run.folder.name)
    (folder / "runs" / smoke_run.folder.name / "features-0123456789abcdef.safetensors").write_bytes(b"of the lecturer")
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = there(folder)
    yield folder
    assert there(folder) == before
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)


def there(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_mode) for path in [folder, *folder.rglob("*")]}


@pytest.fixture
def student(shared, tmp_path, monkeypatch):
    """Logs a student in."""
    monkeypatch.setenv("REID_LAB_SHARED", str(shared))

    def login(name):
        monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / name / "cache"))
        monkeypatch.setenv("REID_LAB_RUNS", str(tmp_path / name / "runs"))
        return tmp_path / name

    return login


def refuse(*_, **__):
    raise AssertionError("trained or drawn, although it is there")


def test_two_students_read_the_data_where_they_are_and_have_a_run_of_their_own(student, shared, smoke_run, monkeypatch):
    monkeypatch.setattr("reid_lab.training.fitting.Trainer", refuse)
    monkeypatch.setattr(sys.modules["reid_lab.passersby.generate"], "_write", refuse)
    for name in ("anna", "ben"):
        home = student(name)
        bench = data.passersby("smoke")
        assert bench.root.is_relative_to(shared) and is_made("smoke")
        run = training.fit(smoke_run.recipe, bench, seed=0, device="cpu")
        assert run.folder == home / "runs" / smoke_run.folder.name and run.result == smoke_run.result
        assert not list(run.folder.glob("features-*"))  # those of other paths
        retrieval.extract(run.model, bench.query[:4], cache=run.folder)
        assert len(list(run.folder.glob("features-*"))) == 1
        assert runs.find(run.folder.name[:-2]) == run.folder
        assert not (home / "cache").exists()  # nothing was copied there
        runs.delete(run.folder)
        assert training.fit(smoke_run.recipe, bench, seed=0, device="cpu").folder == run.folder


def test_what_is_not_shared_is_made_in_the_own_folders(student, shared, smoke_run, few):
    home = student("anna")
    town = data.passersby("smoke", seed=1)
    assert town.root.is_relative_to(home / "cache")
    run = training.fit(smoke_run.recipe.replace(epochs=1), few, seed=7, device="cpu")
    assert run.folder.is_relative_to(home / "runs")


def test_what_a_student_has_begun_is_not_replaced(student, shared, smoke_run):
    folder = student("anna") / "runs" / smoke_run.folder.name
    folder.mkdir(parents=True)
    (folder / "note.txt").write_text("mine")
    run = training.fit(smoke_run.recipe, data.passersby("smoke"), seed=0, device="cpu")
    assert (folder / "note.txt").read_text() == "mine" and run.folder == folder


def test_an_unfinished_or_damaged_run_of_the_lecturer_is_no_run(student, shared, smoke_run, tmp_path, monkeypatch):
    home, other = student("anna"), tmp_path / "other"
    shutil.copytree(shared / "runs", other / "runs")
    result = other / "runs" / smoke_run.folder.name / "result.json"
    result.parent.chmod(0o755)
    result.unlink()
    monkeypatch.setenv("REID_LAB_SHARED", str(other))
    monkeypatch.setattr("reid_lab.training.fitting.Trainer", refuse)
    with pytest.raises(AssertionError, match="trained"):
        training.fit(smoke_run.recipe, data.passersby("smoke"), seed=0, device="cpu")
    assert not list((home / "runs").glob("*-smoke-*/weights.safetensors"))


def test_a_run_that_may_not_be_read_is_named(student, smoke_run, smoke, monkeypatch):
    student("anna")

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("reid_lab.training.fitting.shutil.copyfile", denied)
    with pytest.raises(CheckpointError, match="lecturer.*Permission denied"):
        training.fit(smoke_run.recipe, smoke, seed=0, device="cpu")


def test_a_finished_run_in_a_folder_that_is_only_read_is_loaded_without_a_lock(smoke, smoke_run, monkeypatch):
    monkeypatch.setattr("reid_lab.training.fitting.lock", refuse)
    assert training.fit(smoke_run.recipe, smoke, seed=0, device="cpu").folder == smoke_run.folder


def test_a_start_that_the_lecturer_has_made_is_found(student, tmp_path, monkeypatch):
    student("anna")
    (tmp_path / "other" / "starts").mkdir(parents=True)
    for end in ("json", "safetensors"):
        source = weights.STARTS / f"resnet_slim.{end}"
        shutil.copy(source, tmp_path / "other" / "starts" / f"resnet50.{end}")
    monkeypatch.setenv("REID_LAB_SHARED", str(tmp_path / "other"))
    assert weights.passersby_weights("resnet50").keys() == weights.passersby_weights("resnet_slim").keys()


def test_the_doctor_looks_at_the_shared_folder(student, tmp_path, monkeypatch):
    student("anna")
    assert doctor._shared() == ["[ok] REID_LAB_SHARED can be read"]
    monkeypatch.setenv("REID_LAB_SHARED", str(tmp_path / "nowhere"))
    assert "[problem]" in doctor._shared()[0] and "nowhere" in doctor._shared()[0]
    monkeypatch.delenv("REID_LAB_SHARED")
    assert doctor._shared() == []
