import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import reid_lab

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = PROJECT["dependencies"] + EXTRAS["course"] + EXTRAS["dev"]


def test_the_command_is_that_of_the_module():
    module, function = PROJECT["scripts"]["reid-lab"].split(":")
    assert getattr(importlib.import_module(module), function) is importlib.import_module("reid_lab.__main__").main


def name_of(requirement):
    return re.split(r"[=<>!~\[ ]", requirement)[0].lower().replace("_", "-")


def test_environment_yml_installs_what_pyproject_asks_for():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    listed = [line.strip()[2:] for line in text.split("- pip:")[1].splitlines() if line.strip().startswith("- ")]
    assert [line for line in listed if not line.startswith("--")] == DIRECT
    assert [line for line in listed if line.startswith("--")] == ["--constraint constraints.txt", "--editable ."]


def test_binder_has_torch_for_cpus_and_the_package_beside_it():
    text = (ROOT / "binder" / "environment.yml").read_text(encoding="utf-8")
    asked = {name_of(line): line for line in DIRECT}
    listed = {name_of(line): line for line in re.findall(r"^  - (\S+>=\S+)$", text, flags=re.M)}
    bound = listed.pop("pytorch-cpu").removeprefix("pytorch-cpu")
    assert asked["torch"] == f"torch{bound}"
    assert set(listed) == {"torchvision", "jupyterlab", "ipywidgets"}
    assert listed == {name: asked[name] for name in listed}
    script = ROOT / "binder" / "postBuild"
    assert ".[notebooks]" in script.read_text(encoding="utf-8") and "notebooks" in EXTRAS
    assert os.name != "posix" or os.access(script, os.X_OK)


def test_every_direct_dependency_has_a_tested_version():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name_of(line) for line in lines if "==" in line}
    assert {name_of(requirement) for requirement in DIRECT + sum(EXTRAS.values(), [])} <= pinned


def test_constraints_name_versions_only():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"(#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9.]+)?", line), line


OPTIONAL = {
    "numba",
    "seaborn",
    "pytorch_grad_cam",
    "accelerate",
    "faiss",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "tensorboard",
    "timm",
    "sklearn",
    "cv2",
    "IPython",
    "pytest",
}
SLOW = {"torchvision", "torch._dynamo"}
STATEMENTS = {  # one after another, in one process; what none of them may import
    "import reid_lab; dir(reid_lab), hasattr(reid_lab, 'nothing')": {"torch", "numpy", "pandas"},
    "from reid_lab import data, plots, retrieval, training": OPTIONAL | SLOW,
    "from reid_lab import models": OPTIONAL,
    "import reid_lab.__main__, reid_lab.demo, reid_lab.export": OPTIONAL,
}


@pytest.fixture(scope="module")
def imported():
    """What has been imported after each statement."""
    code = "".join(f"{statement}; print(*sys.modules)\n" for statement in STATEMENTS)
    run = subprocess.run([sys.executable, "-c", f"import sys\n{code}"], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return dict(zip(STATEMENTS, map(set, map(str.split, run.stdout.splitlines())), strict=True))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_importing_imports_no_optional_library_and_nothing_slow(imported, statement):
    assert "reid_lab" in imported[statement]
    assert not imported[statement] & STATEMENTS[statement]


def test_every_room_of_the_list_is_imported_when_it_is_used():
    code = "import reid_lab; print(*(getattr(reid_lab, name).__name__ for name in reid_lab.__all__))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert run.stdout.split() == [f"reid_lab.{name}" for name in reid_lab.__all__], run.stderr
    assert set(reid_lab.__all__) <= set(dir(reid_lab))


def test_a_room_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="cellar"):
        reid_lab.cellar  # noqa: B018
