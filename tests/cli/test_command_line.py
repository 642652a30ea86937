"""The help, the commands that the pages quote, mistakes, interruptions, terminals."""

import functools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer

from reid_lab import data, demo
from reid_lab.cli import main
from reid_lab.cli import runs as runs_command
from reid_lab.cli.app import app

ROOT = Path(__file__).parents[2]


COMMANDS = [
    *("demo", "pretrain", "doctor", "passersby", "check", "train", "evaluate", "runs", "ablate"),
    *("embed", "search", "export", "app"),
    "handout",
    "leaderboard",
]


@pytest.mark.parametrize("command", [*COMMANDS, "runs list", "runs compare", "runs signs", "runs delete"])
def test_every_command_and_option_is_explained_and_the_help_ends_with_an_example(command, capsys):
    assert main([*command.split(), "--help"]) == 0
    page = capsys.readouterr().out
    assert f"Example:\n    reid-lab {command}" in page
    parts = re.findall(r"^  ((?:-h, )?--[\w-]+|[A-Z]+)( .*?)??(?:  +|\n +)(.*)", page, re.M)
    assert parts and all(re.match(r"[A-Z]", sentence) for *_, sentence in parts), parts


def test_the_help_lists_every_command_in_groups_with_a_whole_sentence(capsys):
    for words in ([], ["--help"]):
        assert main(words) == 0
        listed = capsys.readouterr().out.split("To begin with:")[1]
        sentences = dict(re.findall(r"^  (\w+)  +((?:.+\n(?: {6,}.+\n)*))", listed, re.M))
        assert list(sentences) == COMMANDS and "..." not in listed
        assert all(sentence.rstrip().endswith(".") for sentence in sentences.values())


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
        assert (
            main(shlex.split(line.replace("NAME", "pooling").replace("SIZE", "smoke").replace("SECRET", "4242"))) == 0
        ), capsys.readouterr().err


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
    assert "'cuda'" in capsys.readouterr().err


# The command line with the arguments that follow, where torch is not installed: a second instead of four.
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
LIGHT = "import runpy, sys; sys.modules['torch'] = None; runpy.run_module('reid_lab', run_name='__main__')"


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


@pytest.mark.parametrize(
    ("command", "output", "status"), [("doctor", "/dev/full", 2), ("-h", "/dev/full", 2), ("doctor", "&-", 1)]
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_what_cannot_be_printed_leaves_no_traceback(command, output, status):
    line = f'"{sys.executable}" -c "{LIGHT}" {command} >{output}'
    run = subprocess.run(["sh", "-c", line], stderr=subprocess.PIPE, text=True, cwd=ROOT, env=BUFFERED)
    assert run.returncode == status
    assert ("No space left on device" in run.stderr) == (status == 2) and run.stderr.count("\n") == (status == 2)


def test_help_comes_without_loading_pytorch():
    code = """
import sys
from reid_lab.cli import main
for words in (["--help"], ["runs", "compare", "-h"], ["train", "--size"]):
    main(words)
print("loaded:", {"torch", "numpy", "pandas", "matplotlib", "rich"} & set(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert "Usage: reid-lab runs compare" in run.stdout and "loaded: set()" in run.stdout


def test_a_file_that_the_system_refuses_is_named_without_a_traceback(monkeypatch, capsys):
    def refusing(path, cameras=None):
        raise PermissionError(13, "Permission denied", "/secret")

    monkeypatch.setattr(data, "recognize", refusing)
    assert main(["check", "own"]) == 2
    assert re.search("/secret .*Permission denied", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("command", "told", "said"),
    [
        ("demo --size smoke", [], "goes on"),  # what it has done is kept
        ("demo --size smoke", ["Stopped in epoch 2."], "Stopped in epoch 2."),
        ("check own", [], "again.\n"),
    ],
)
def test_an_interruption_says_what_is_kept(monkeypatch, capsys, command, told, said):
    def interrupted(*_, **__):
        raise KeyboardInterrupt(*told)

    monkeypatch.setattr(data, "recognize", interrupted)
    monkeypatch.setattr(demo, "demo", interrupted)
    assert main(command.split()) == 130
    assert said in capsys.readouterr().err
