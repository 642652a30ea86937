import multiprocessing
import sys
import time
from pathlib import Path

import pytest

from reid_lab.runtime.errors import CheckpointError
from reid_lab.runtime.files import ROOT, cache_folder, lock, project_folder, runs_folder, write_text, write_whole


def test_the_cache_moves_with_its_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("REID_LAB_HOME")
    assert cache_folder().name == "reid_lab"


@pytest.mark.skipif(sys.platform != "linux", reason="each platform has a place of its own")
def test_the_cache_lies_where_linux_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.delenv("REID_LAB_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "reid_lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "reid_lab"


def test_results_go_to_the_checkout_where_there_is_one(monkeypatch, tmp_path):
    monkeypatch.delenv("REID_LAB_RUNS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert (ROOT / "reid_lab" / "runtime" / "files.py").is_file()
    assert runs_folder() == Path(__file__).parents[2] / "runs"
    monkeypatch.setattr("reid_lab.runtime.files.NOTEBOOKS", tmp_path / "none")
    assert project_folder() == tmp_path


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "old")

    def half_then_full(temporary: Path):
        temporary.write_text("half of the new")
        raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left on device"):
        write_whole(path, half_then_full)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_not_written_over(tmp_path):
    with pytest.raises(CheckpointError, match=tmp_path.name):
        write_text(tmp_path, "new")


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "old")

    def interrupted(temporary: Path):
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, interrupted)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def _hold(folder, ready, done):
    with lock(folder):
        ready.set()
        done.wait(30)


def test_a_second_process_is_told_that_the_folder_is_taken(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=_hold, args=(tmp_path / "run", ready, done))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(CheckpointError, match="run"), lock(tmp_path / "run", seconds=0.1):
        pass
    done.set()
    holder.join(30)
    began = time.monotonic()
    with lock(tmp_path / "run", seconds=5):
        assert time.monotonic() - began < 5
