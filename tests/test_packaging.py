import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = PROJECT["dependencies"] + EXTRAS["course"] + EXTRAS["dev"]


def name_of(requirement):
    return re.split(r"[=<>!~\[ ]", requirement)[0].lower().replace("_", "-")


def test_environment_yml_installs_what_pyproject_asks_for():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    listed = [line.strip()[2:] for line in text.split("- pip:")[1].splitlines() if line.strip().startswith("- ")]
    assert [line for line in listed if not line.startswith("--")] == DIRECT
    assert [line for line in listed if line.startswith("--")] == ["--constraint constraints.txt", "--editable ."]


def test_every_direct_dependency_has_a_tested_version():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name_of(line) for line in lines if "==" in line}
    assert {name_of(requirement) for requirement in DIRECT + sum(EXTRAS.values(), [])} <= pinned


def test_constraints_name_versions_only():
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"(#.*|[A-Za-z0-9_.-]+==[A-Za-z0-9.]+)?", line), line


def imported_by(statement):
    code = f"import sys; {statement}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "from reid_lab import data, figures, models, retrieval, training",
        "import reid_lab.__main__, reid_lab.demo, reid_lab.export",
    ],
)
def test_importing_the_package_imports_no_optional_library(statement):
    optional = {
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
    assert not imported_by(statement) & optional


def test_importing_the_bare_package_imports_nothing_else():
    assert not imported_by("import reid_lab") & {"torch", "numpy", "pandas"}


@pytest.mark.parametrize("slow", ["torchvision", "torch._dynamo"])
def test_importing_the_rooms_leaves_out_what_takes_seconds(slow):
    code = f"import sys; from reid_lab import data, figures, retrieval, training; print({slow!r} in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.strip() == "False"
