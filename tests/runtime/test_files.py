import multiprocessing
import time
from pathlib import Path

import pytest

from reid_lab.runtime.errors import CheckpointError
from reid_lab.runtime.files import home, lock, write_text, write_whole


def test_the_cache_moves_with_its_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "elsewhere"))
    assert home() == tmp_path / "elsewhere"
    monkeypatch.delenv("REID_LAB_HOME")
    assert home().name == "reid_lab"


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
    with pytest.raises(CheckpointError, match=f"{tmp_path.name}: it is a folder. Give the name of a file"):
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
    with pytest.raises(CheckpointError, match="Another process is working on"), lock(tmp_path / "run", seconds=0.1):
        pass
    done.set()
    holder.join(30)
    began = time.monotonic()
    with lock(tmp_path / "run", seconds=5):
        assert time.monotonic() - began < 5
