import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reid_lab.__main__ import main

COMMANDS = ["demo", "check", "train", "evaluate", "passersby"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"example: python -m reid_lab {command}" in capsys.readouterr().out.replace("\n", " ")


def test_check_of_a_good_folder_ends_with_status_0(smoke, capsys):
    assert main(["check", str(smoke.root)]) == 0
    printed = capsys.readouterr().out
    assert "passersby" in printed.splitlines()[0].lower()
    assert "Ready to use." in printed


def test_check_of_a_broken_folder_ends_with_status_1(smoke, tmp_path, capsys):
    copy = shutil.copytree(smoke.root, tmp_path / "copy")
    culprit = next((copy / "query").glob("*.png"))
    culprit.write_bytes(b"")
    assert main(["check", str(copy)]) == 1
    printed = capsys.readouterr().out
    assert "[error]" in printed and culprit.name in printed


def test_train_then_evaluate_gives_the_recorded_scores(smoke, tmp_path, capsys):
    runs = ["--runs", str(tmp_path), "--device", "cpu"]
    assert (
        main(["train", "residual_pooling", "--size", "smoke", "--set", "pooling=max", "--set", "epochs=1", *runs]) == 0
    )
    printed = capsys.readouterr().out
    folder = Path(printed.strip().splitlines()[-1])
    assert '"pooling": "max"' in (folder / "recipe.json").read_text()
    assert main(["evaluate", str(folder), "--device", "cpu", "--gallery", str(tmp_path / "gallery.png")]) == 0
    score = capsys.readouterr().out.splitlines()[1].split()
    assert f"rank-1 {float(score[0]):.1f} %" in printed
    assert (tmp_path / "gallery.png").read_bytes()[:4] == b"\x89PNG"


def test_the_demonstration_writes_its_table_and_pictures_and_then_reuses_its_runs(smoke, tmp_path, capsys, monkeypatch):
    import pandas as pd

    from reid_lab.training import loop

    command = ["demo", "--size", "smoke", "--runs", str(tmp_path), "--device", "cpu"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    out = tmp_path / "demo"
    assert {path.name for path in out.iterdir()} == {"table.csv", "curves.png", "gallery.png", "passersby.png"}
    assert all(str(path) in printed for path in out.iterdir())
    table = pd.read_csv(out / "table.csv", index_col=0)
    assert len(table) == 4
    assert {"rank-1", "rank-5", "rank-10", "mAP", "mAP_trapezoid", "mINP", "seed", "device", "torch"} <= set(table)
    monkeypatch.setattr(loop, "_Training", None)  # a second training would raise
    assert main(command) == 0


MISTAKES = [
    (["check", "no/such/folder"], "no/such/folder"),
    (["evaluate", "no/such/run"], "no/such/run"),
    (["train", "multitask", "--size", "smoke", "--set", "erasng=0.5"], "did you mean 'erasing'"),
    (["train", "multitask", "--size", "smoke", "--set", "erasing"], "FIELD=VALUE"),
    (["train", "multitask", "--size", "smoke", "--device", "quantum"], "quantum"),
    (["train", "multitask", "--size", "smoke", "--data", "no/such/folder"], "no/such/folder"),
    (["train", "multitask", "--size", "paper"], "--data"),
]


@pytest.mark.parametrize(("command", "named"), MISTAKES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistake_is_answered_with_one_sentence_and_a_status(command, named, capsys):
    assert main(command) == 2
    said = capsys.readouterr().err
    assert named.replace("/", os.sep) in said or named in said
    assert said.count("\n") == 1 and "Traceback" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_asked_for_and_absent_is_a_sentence_in_a_real_shell(own_home):
    command = [sys.executable, "-m", "reid_lab", "demo", "--size", "smoke", "--device", "cuda"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    assert run.returncode == 2
    assert "PyTorch sees 0 GPUs" in run.stderr and "Traceback" not in run.stderr


def test_an_interruption_is_told_how_to_go_on(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("reid_lab.demo.demo", interrupted)
    assert main(["demo", "--size", "smoke"]) == 130
    assert "goes on where it stopped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "named"),
    [("milestones=abc", "milestones"), ("resize=[64.5,32]", "resize"), ("size=full", "--size full"), ("=3", "''")],
)
def test_a_setting_of_the_wrong_kind_is_answered_with_a_sentence(setting, named, capsys):
    assert main(["train", "residual_pooling", "--size", "smoke", "--set", setting]) == 2
    said = capsys.readouterr().err
    assert named in said and said.count("\n") == 1


def relative_csv(smoke, folder):
    """A table beside copies of the images."""
    shutil.copytree(smoke.root, folder / "images")
    lines = ["path,pid,camid,split"]
    for split, records in smoke.splits.items():
        lines += [f"images/{smoke.relative(r)},{r.pid},{r.camid},{split}" for r in records]
    (folder / "my people.csv").write_text("\n".join(lines))


def test_a_run_on_ones_own_table_is_evaluated_from_anywhere_until_the_data_goes(smoke, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    relative_csv(smoke, tmp_path)
    train = ["train", "multitask", "--size", "smoke", "--set", "epochs=1", "--data", "my people.csv"]
    assert main([*train, "--runs", "é runs", "--device", "cpu"]) == 0
    folder = tmp_path / capsys.readouterr().out.strip().splitlines()[-1]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0

    table = tmp_path / "my people.csv"
    table.write_text(table.read_text().rsplit("\n", 1)[0])  # one image less
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 2
    assert "is not what this run was trained on" in capsys.readouterr().err
    assert main(["evaluate", str(folder), "--device", "cpu", "--data", str(table)]) == 0


def test_a_run_whose_data_is_gone_says_where_it_was(smoke, smoke_run, tmp_path, capsys):
    folder = shutil.copytree(smoke_run.folder, tmp_path / "run")
    told = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(told | {"data": "mine", "data_root": str(tmp_path / "gone")}))
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "gone") in said and "--data PATH" in said


def test_passersby_is_made_again_for_a_run_when_the_cache_was_cleared(smoke, smoke_run, tmp_path, monkeypatch, capsys):
    folder = shutil.copytree(smoke_run.folder, tmp_path / "run")
    told = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(told | {"data_root": str(tmp_path / "cleared")}))
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "home"))
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0
    score = capsys.readouterr().out.splitlines()[1].split()
    assert float(score[0]) == pytest.approx(100 * smoke_run.result["rank-1"], abs=0.01)


def test_a_reader_that_closes_the_pipe_gets_no_traceback(smoke):
    code = "import sys; from reid_lab.__main__ import main; input(); sys.exit(main(sys.argv[1:]))"
    with subprocess.Popen(
        [sys.executable, "-c", code, "check", str(smoke.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
        text=True,
    ) as run:
        run.stdout.close()  # before it prints
        run.stdin.write("\n")
        run.stdin.close()
        assert run.stderr.read() == ""
