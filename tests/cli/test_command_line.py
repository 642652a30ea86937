import functools
import importlib.metadata
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer

from reid_lab import doctor, training
from reid_lab.cli import main
from reid_lab.cli import runs as runs_command
from reid_lab.cli.app import app

ROOT = Path(__file__).parents[2]
COMMANDS = ["demo", "doctor", "passersby", "check", "train", "evaluate", "runs", "ablate", "embed", "search", "export"]


@pytest.mark.parametrize("command", [*COMMANDS, "runs list", "runs compare", "runs delete"])
def test_every_command_and_option_is_explained_and_the_help_ends_with_an_example(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    page = capsys.readouterr().out
    assert f"Example:\n    reid-lab {command}" in page
    parts = re.findall(r"^  (--[\w-]+|[A-Z]+)( .*?)??(?:  +|\n +)(.*)", page, re.M)
    assert parts and all(re.match(r"[A-Z]", sentence) for *_, sentence in parts), parts


def test_the_help_lists_every_command_in_groups_with_a_whole_sentence(capsys):
    for words in ([], ["--help"]):
        assert main(words) == 0
        listed = capsys.readouterr().out.split("To begin with:")[1]
        sentences = dict(re.findall(r"^  (\w+)  +((?:.+\n(?: {6,}.+\n)*))", listed, re.M))
        assert list(sentences) == COMMANDS and "..." not in listed
        assert all(sentence.rstrip().endswith(".") for sentence in sentences.values())


def test_the_doctor_names_what_is_missing_and_its_cure(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "COURSE", ("pandas",))
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "[problem]" not in printed and f"torch: {torch.__version__.split('+')[0]}" in printed
    monkeypatch.setattr(doctor, "COURSE", ("pandas", "no_such_library"))
    assert main(["doctor"]) == 1
    assert "Missing: no_such_library; install with: pip install" in capsys.readouterr().out


@pytest.mark.parametrize("package", doctor.NEEDED)
def test_the_doctor_needs_none_of_what_it_looks_for(package):
    code = "import sys; sys.modules[sys.argv[1]] = None; from reid_lab.cli import main; sys.exit(main(['doctor']))"
    run = subprocess.run([sys.executable, "-c", code, package], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 1 and run.stderr == ""
    assert f"Missing: {package}; install with: pip install" in run.stdout and "python: 3" in run.stdout


def test_the_doctor_bears_a_package_without_a_version(monkeypatch):
    def nowhere(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", nowhere)
    assert doctor.details()["torchvision"] == "unknown"


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


def test_the_demonstration_writes_its_table_and_pictures_and_then_reuses_its_runs(
    smoke, smoke_run, tmp_path, capsys, monkeypatch
):
    import pandas as pd

    from reid_lab import plots
    from reid_lab.training import fitting

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


PAGES = [*ROOT.glob("*.md"), *(ROOT / folder / "README.md" for folder in ("reid_lab", "notebooks", "figures"))]
NOTEBOOKS = [*(ROOT / "notebooks").glob("*.ipynb")]
TEXTS = [path.read_text(encoding="utf-8") for path in PAGES] + [
    "".join(cell["source"]) for path in NOTEBOOKS for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
]
QUOTED = r"(?:reid-lab|-m reid_lab) ([a-z]+(?:(?!  )[^`#\n\\;])*)"


def test_every_quoted_command_is_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in app.registered_commands + runs_command.part.registered_commands:  # parse only, do nothing
        monkeypatch.setattr(command, "callback", functools.wraps(command.callback)(lambda **given: 0))
    commands = [found for text in TEXTS for found in re.findall(QUOTED, text) if "..." not in found]
    whole = [line for line in (found.strip().rstrip("\"'.)") for found in commands) if " " in line]
    assert len(whole) > 25
    for line in whole:
        assert main(shlex.split(line.replace("NAME", "pooling").replace("SIZE", "smoke"))) == 0, capsys.readouterr().err


def test_every_option_is_shown_in_a_page_or_in_the_example_of_a_help():
    def parts(command):
        return [command, *(part for inner in getattr(command, "commands", {}).values() for part in parts(inner))]

    commands = parts(typer.main.get_command(app))
    shown = set(re.findall(r"--[a-z-]+", " ".join([*TEXTS, *(command.epilog or "" for command in commands)])))
    options = {name for command in commands for option in command.params for name in option.opts if name[:2] == "--"}
    assert len(options) > 25 and options - shown == {"--show-completion"}


MISTAKES = {  # what is typed, where FILE is a file: what the sentence must name
    "trian multitask": ["'trian'", "'train'"],
    "train": ["'METHOD'"],
    "train alchemy": ["'alchemy'", "multitask", "residual_pooling"],
    "train multitask --sizze smoke": ["--sizze", "--size"],
    "train multitask --size huge": ["--size", "'huge'", "'classroom'"],
    "train multitask --size": ["--size"],
    "train multitask --seed x": ["--seed", "'x'"],
    "train multitask again": ["again"],
    "train multitask --size smoke --set erasng=0.5": ["erasng", "'erasing'"],
    "train multitask --size smoke --set erasing": ["FIELD=VALUE"],
    "train multitask --size smoke --set =3": ["''"],
    "train multitask --size smoke --set size=full": ["--size full"],
    "train residual_pooling --size smoke --set milestones=abc": ["milestones"],
    "train residual_pooling --size smoke --set resize=[64.5,32]": ["resize"],
    "train multitask --size smoke --device quantum": ["quantum"],
    "train multitask --size smoke --data no/such/folder": ["no/such/folder"],
    "train multitask --size smoke --cameras none": ["--cameras", "--data"],
    "train multitask --size paper": ["--data"],
    "evaluate no/such/run": ["no/such/run"],
    "check no/such/folder": ["no/such/folder"],
    "export no/such/run --onnx x.onnx": ["no/such/run"],
    "export run": ["--onnx"],
    "export run --onnx FILE/deep/x.onnx": ["FILE is a file"],
    "export run --onnx .": ["--onnx", ". is a folder"],
    "embed nobody --images . --out x.npz": ["'nobody'"],
    "embed run --images . --out FILE/x.npz": ["FILE is a file"],
    f"embed run --images . --out {'n' * 300}": ["--out", "n" * 300],
    "search nobody --query x.png --gallery .": ["'nobody'"],
    "search run --query a --gallery . --top 0": ["--top", "0"],
    "search run --query a --gallery . --picture x.pdf": ["--picture", "x.pdf"],
    f"search run --query a --gallery . --top {'9' * 5000}": ["--top"],
    "evaluate run --gallery x.pdf": ["--gallery", "x.pdf"],
    "passersby --sheet .": ["--sheet", ". is a folder"],
    "passersby --sheet FILE": ["--sheet", ".png"],
    "runs compare": ["'RUN'"],
    "runs compare nobody no/such/run": ["'nobody'"],
    "runs delete no/such/run --yes": ["no/such/run"],
    "runs sell": ["'sell'"],
    "ablate alchemy": ["'alchemy'", "pooling"],
    "ablate losses --seeds 0": ["--seeds", "0"],
    "ablate losses --seeds abc": ["--seeds", "'abc'"],
    "ablate losses --seeds 1000000000": ["--seeds", "1000000000"],
    "ablate losses --workers 100000": ["--workers", "100000"],
    **{f"ablate losses --minutes {text}": ["--minutes", f"'{text}'"] for text in ("0", "-1", "nan", "abc")},
    "ablate losses --dry-run --shard 9": ["'9'"],
    "ablate losses --dry-run --merge nowhere": ["--dry-run", "--merge"],
    "ablate losses --draw --out OUT --merge nowhere": ["losses.csv"],
}


@pytest.mark.parametrize("typed", MISTAKES, ids=lambda typed: typed[:60])
def test_a_mistake_is_answered_with_one_sentence_that_names_it_and_status_2(typed, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    places = {"FILE": str(tmp_path / "file"), "OUT": str(tmp_path / "out")}

    def placed(text):
        return re.sub("FILE|OUT", lambda found: places[found[0]], text) if "=" not in text else text

    assert main([placed(word) for word in typed.split()]) == 2
    said = capsys.readouterr().err
    assert all(placed(named).replace("/", os.sep) in said or placed(named) in said for named in MISTAKES[typed])
    assert said.startswith("reid-lab: ") and said.count("\n") == 1 and said.endswith((".\n", "?\n"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_asked_for_and_absent_is_a_sentence(smoke, capsys):
    assert main(["demo", "--size", "smoke", "--device", "cuda"]) == 2
    assert "PyTorch sees 0 GPUs" in capsys.readouterr().err


# The command line with the arguments that follow, where torch is not installed: a second instead of four.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
LIGHT = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module('reid_lab', run_name='__main__')"


@pytest.mark.parametrize(("told", "said"), [([], "goes on where it stopped"), (["Stopped in epoch 2."], "in epoch 2.")])
def test_an_interruption_is_told_how_to_go_on(monkeypatch, capsys, told, said):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt(*told)

    monkeypatch.setattr("reid_lab.demo.demo", interrupted)
    assert main(["demo", "--size", "smoke"]) == 130
    assert said in capsys.readouterr().err


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


def test_a_reader_that_closes_the_pipe_gets_no_traceback():
    with subprocess.Popen(
        [sys.executable, "-c", f"input(); {LIGHT}", "doctor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=BUFFERED,
        text=True,
    ) as run:
        run.stdout.close()  # before it prints
        run.stdin.write("\n")
        run.stdin.close()
        assert run.stderr.read() == ""


@pytest.mark.parametrize(("output", "status"), [("/dev/full", 2), ("&-", 1)])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_what_cannot_be_printed_leaves_no_traceback(output, status):
    command = f'"{sys.executable}" -c "{LIGHT}" doctor >{output}'
    run = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, cwd=ROOT, env=BUFFERED)
    assert run.returncode == status
    assert ("No space left on device" in run.stderr) == (status == 2) and run.stderr.count("\n") == (status == 2)


def test_help_comes_without_loading_pytorch():
    code = """
import sys
from reid_lab.cli import main
for words in (["--help"], ["runs", "compare", "--help"]):
    main(words)
print("loaded:", {"torch", "numpy", "pandas", "matplotlib", "rich"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "Usage: reid-lab runs compare" in run.stdout and "loaded: set()" in run.stdout


@pytest.fixture
def runs(smoke_run, tmp_path):
    """A folder of two runs, of which nothing but the beginning of the name is typed below."""
    for name in ("residual_pooling-smoke-aaaaaaaaaa", "residual_pooling-smoke-bbbbbbbbbb"):
        shutil.copytree(smoke_run.folder, tmp_path / "my runs" / name)
    return tmp_path / "my runs"


A, B = "residual_pooling-smoke-a", "residual_pooling-smoke-b"


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
    assert "2 runs in" in capsys.readouterr().err


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
    assert "add --yes" in capsys.readouterr().err
    assert len(list(runs.iterdir())) == 2
    assert main(["runs", "delete", A, B, A, "--runs", str(runs), "--yes"]) == 0
    assert capsys.readouterr().out.count("Deleted") == 2
    assert list(runs.iterdir()) == []


def test_if_one_of_several_cannot_be_deleted_none_is(runs, capsys):
    (runs / "residual_pooling-smoke-bbbbbbbbbb" / "recipe.json").unlink()
    assert main(["runs", "delete", A, B, "--runs", str(runs), "--yes"]) == 2
    assert "not a run's folder" in capsys.readouterr().err
    assert len(list(runs.iterdir())) == 2


def test_evaluate_takes_an_abbreviation(smoke, runs, capsys):
    assert main(["evaluate", A, "--runs", str(runs), "--device", "cpu"]) == 0
    assert "rank-1" in capsys.readouterr().out


def test_describe_writes_what_it_says(runs, smoke, tmp_path, capsys):
    import numpy as np

    images, out = smoke.query[0].path.parent, tmp_path / "features.npz"
    command = ["embed", A, "--runs", str(runs), "--images", str(images), "--out", str(out), "--device", "cpu"]
    assert main(command) == 0
    assert f"{len(smoke.query)} feature vectors of 96 values" in capsys.readouterr().out
    assert len(np.load(out)["paths"]) == len(smoke.query)
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0


def gallery_of(smoke, folder):
    (folder / "one").mkdir(parents=True)
    for record in smoke.gallery[:12]:
        shutil.copy(record.path, folder / "one" / record.path.name)
    return shutil.copy(smoke.query[0].path, folder / "the query itself.PNG")


def test_search_ranks_a_folder_shows_it_and_warns(smoke, runs, tmp_path, capsys, monkeypatch):
    from reid_lab.retrieval import features

    query = gallery_of(smoke, tmp_path / "crops")
    command = [
        "search",
        A,
        "--runs",
        str(runs),
        "--query",
        str(query),
        "--query",
        str(smoke.query[1].path),
        "--device",
        "cpu",
    ]
    command += ["--gallery", str(tmp_path / "crops"), "--top", "5", "--picture", str(tmp_path / "found.png")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert f"query {query}" in printed and f"query {smoke.query[1].path}" in printed
    assert f"query {query} (left out: the query itself, the query itself.PNG)\n" in printed
    assert sum(line.split()[:1] == ["5"] for line in printed.splitlines()) == 2
    assert "always a rank 1" in printed
    assert (tmp_path / "found.png").read_bytes()[:4] == b"\x89PNG"

    described, from_network = [], features._describe
    monkeypatch.setattr(features, "_describe", lambda *rest: described.append(len(rest[1])) or from_network(*rest))
    assert main(command) == 0
    assert described == [2]  # the queries; the gallery was kept


def test_search_in_fewer_images_than_asked_for_shows_all_of_them(smoke, runs, tmp_path, capsys):
    query = gallery_of(smoke, tmp_path / "crops")
    command = ["search", A, "--runs", str(runs), "--query", str(query), "--gallery", str(tmp_path / "crops")]
    assert main([*command, "--top", "99", "--device", "cpu"]) == 0
    ranks = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:5].strip().isdigit()]
    assert ranks == [str(rank) for rank in range(1, 13)]  # all but the query itself
