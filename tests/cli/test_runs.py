"""`reid-lab runs`: list, compare, delete."""

import io
import shutil
import sys

import pandas as pd
import pytest

from reid_lab import training
from reid_lab.cli import main
from reid_lab.runtime.errors import CheckpointError

A, B = "residual_pooling-smoke-a", "residual_pooling-smoke-b"


@pytest.fixture
def runs(smoke_run, tmp_path):
    """A folder of two runs, of which nothing but the beginning of the name is typed below."""
    for name in ("residual_pooling-smoke-aaaaaaaaaa", "residual_pooling-smoke-bbbbbbbbbb"):
        shutil.copytree(smoke_run.folder, tmp_path / "my runs" / name)
    return tmp_path / "my runs"


def test_runs_lists_every_run_and_says_what_to_do_with_a_damaged_one(runs, capsys):
    assert main(["runs", "--runs", str(runs)]) == 0
    listed = capsys.readouterr().out
    assert main(["runs", "list", "--runs", str(runs)]) == 0
    assert capsys.readouterr().out == listed
    assert A in listed and B in listed and "Passersby smoke, seed 0" in listed and "delete" not in listed
    (runs / "residual_pooling-smoke-aaaaaaaaaa" / "result.json").write_text("{")
    assert main(["runs", "--runs", str(runs), "list"]) == 0
    listed = capsys.readouterr().out
    assert "damaged: result.json" in listed and "delete its folder" in listed
    assert main(["runs", "--runs", str(runs / "none")]) == 0
    assert "No runs in" in capsys.readouterr().out


def test_runs_advises_nobody_to_delete_a_run_that_may_only_not_be_read(runs, monkeypatch, capsys):
    told = training.runs.table(runs).assign(state=["finished", "unreadable: result.json"])
    monkeypatch.setattr(training.runs, "table", lambda root: told)
    assert main(["runs", "--runs", str(runs)]) == 0
    listed = capsys.readouterr().out
    assert "ask its owner" in listed and "delete" not in listed


def test_runs_compare_takes_abbreviations_and_shows_what_differs(runs, smoke_run, capsys):
    other = runs / "residual_pooling-smoke-bbbbbbbbbb" / "recipe.json"
    other.write_text(smoke_run.recipe.replace(erasing=0.123).to_json())
    assert main(["runs", "compare", A, B, "--runs", str(runs)]) == 0
    printed = capsys.readouterr().out
    assert "erasing" in printed and "0.123" in printed and "mINP" in printed
    assert "weight_decay" not in printed
    assert main(["runs", "compare", A, "residual", "--runs", str(runs)]) == 2
    assert "residual" in capsys.readouterr().err


def test_runs_signs_tells_which_sign_is_unhealthy_and_draws_them(runs, capsys):
    path, picture = runs / "residual_pooling-smoke-aaaaaaaaaa" / "history.csv", runs.parent / "signs.png"
    history = pd.read_csv(path)
    history.assign(spread=0.04 * history["length"], paying=0.5, same_position=0.1, accuracy=0.9).to_csv(
        path, index=False
    )
    assert main(["runs", "--runs", str(runs), "signs", A, "--picture", str(picture)]) == 0
    printed = capsys.readouterr().out
    told = [line for line in printed.splitlines() if line.startswith("[warning]")]
    assert len(told) == 1 and "spread / length" in told[0] and "0.04" in told[0]
    assert "same position" in printed and picture.stat().st_size > 1000
    path.unlink()
    assert main(["runs", "signs", A, "--runs", str(runs)]) == 0
    assert "no vital signs yet" in capsys.readouterr().out
    assert main(["runs", "signs", A, "--runs", str(runs), "--picture", str(picture)]) == 2
    assert "aaaaaaaaaa" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "left", "status"), [("y\n", 1, 0), ("n\n", 2, 1), ("\n", 2, 1), ("", 2, 1)])
def test_a_run_is_deleted_only_after_a_yes(runs, monkeypatch, capsys, answer, left, status):
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["runs", "delete", A, "--runs", str(runs)]) == status
    printed = capsys.readouterr().out
    assert "Delete this run? [y/N]" in printed and str(runs / "residual_pooling-smoke-aaaaaaaaaa") in printed
    assert len(list(runs.iterdir())) == left


def test_without_a_terminal_nothing_is_deleted_but_with_yes(runs, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["runs", "delete", A, "--runs", str(runs)]) == 2
    assert "--yes" in capsys.readouterr().err
    assert len(list(runs.iterdir())) == 2
    assert main(["runs", "delete", A, B, A, "--runs", str(runs), "--yes"]) == 0
    assert capsys.readouterr().out.count("Deleted") == 2
    assert list(runs.iterdir()) == []


def test_if_one_of_several_cannot_be_deleted_none_is(runs, capsys):
    (runs / "residual_pooling-smoke-bbbbbbbbbb" / "recipe.json").unlink()
    assert main(["runs", "delete", A, B, "--runs", str(runs), "--yes"]) == 2
    assert B in capsys.readouterr().err
    assert len(list(runs.iterdir())) == 2


def test_evaluate_takes_an_abbreviation(smoke, runs, capsys):
    assert main(["evaluate", A, "--runs", str(runs), "--device", "cpu"]) == 0
    assert "rank-1" in capsys.readouterr().out


def test_a_damaged_history_is_no_reason_to_train_again(runs, capsys):
    folder = runs / "residual_pooling-smoke-aaaaaaaaaa"
    (folder / "history.csv").write_bytes(b"\xff\x00")
    with pytest.raises(CheckpointError, match="history.csv"):
        training.load(folder)
    assert main(["runs", "--runs", str(runs)]) == 0
    printed = capsys.readouterr().out
    assert "only history.csv is damaged" in printed and "train it again" not in printed
    (folder / "history.csv").unlink()
    assert training.load(folder).history.empty
