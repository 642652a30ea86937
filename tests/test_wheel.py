"""The package as an index gives it: built without a network from what git tracks, and used far from the checkout."""

import email
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import reid_lab

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REPOSITORY = PROJECT["urls"]["Repository"]

pytestmark = pytest.mark.skipif(
    not (importlib.util.find_spec("pip") and shutil.which("git")), reason="pip and git are needed"
)


def run(*command, **settings):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The wheel and the source distribution of a copy of the tracked files."""
    copy, out = tmp_path_factory.mktemp("tracked"), tmp_path_factory.mktemp("dist")
    for name in run("git", "ls-files", "-z", cwd=ROOT).split("\0")[:-1]:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    build = f"from setuptools import build_meta as b; b.build_sdist({str(out)!r})"
    run(sys.executable, "-c", build, cwd=copy)
    source = next(out.glob("*.tar.gz"))
    # from the source distribution, as an installer does where there is no wheel: so it must hold what a wheel needs
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(out))
    run(sys.executable, "-m", "pip", "wheel", *options, str(source), cwd=out)
    return next(out.glob("*.whl")), source


@pytest.fixture(scope="module")
def names(built):
    return set(zipfile.ZipFile(built[0]).namelist())


@pytest.fixture(scope="module")
def metadata(built):
    with zipfile.ZipFile(built[0]) as wheel:
        name = next(each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(wheel.read(name))


def test_the_wheel_holds_the_whole_package_and_what_notebooks_read(names):
    tracked = run("git", "ls-files", "reid_lab", cwd=ROOT).splitlines()
    assert {name for name in tracked if not name.endswith(".md")} <= names
    assert "reid_lab/py.typed" in names and "reid_lab/models/starts/resnet_slim.safetensors" in names
    for pattern in ("figures/*.csv", "benchmarks/results/*.csv", "notebooks/solutions/*.py"):
        read = {f"reid_lab/course/files/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob(pattern)}
        assert read and read <= names
    assert any(re.fullmatch(r"reid_lab-[^/]*/licenses/LICENSE", name) for name in names)


def test_no_test_no_notebook_and_no_picture_is_in_wheel_or_source(names, built):
    with tarfile.open(built[1]) as source:
        listed = names | {name.split("/", 1)[-1] for name in source.getnames()}
    assert not [name for name in listed if name.endswith((".ipynb", ".png", ".jpg", ".pyc"))]
    assert not [name for name in listed if re.match(r"tests?/|(.*/)?test_", name)]
    assert {name.split("/")[0] for name in names} == {"reid_lab", f"reid_lab-{reid_lab.__version__}.dist-info"}


def test_the_version_comes_from_one_place(metadata):
    assert metadata["Version"] == reid_lab.__version__
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    cited = dict(re.findall(r"^([a-z-]+): (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.M))
    heading = re.search(r"^## (\S+) \((\S+)\)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)
    assert (cited["version"], cited["date-released"]) == heading.groups()
    assert cited["version"] == reid_lab.__version__


def test_the_metadata_say_what_pyproject_says(metadata):
    asked = {line.split(";")[0].strip() for line in metadata.get_all("Requires-Dist")}
    assert asked >= set(PROJECT["dependencies"])
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("MIT", PROJECT["requires-python"])
    assert f"Repository, {REPOSITORY}" in metadata.get_all("Project-URL")


def test_the_description_is_the_readme_with_links_that_lead_somewhere(metadata):
    page = metadata.get_payload(decode=True).decode()
    assert metadata["Description-Content-Type"] == "text/markdown"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert page.splitlines()[0] == readme.splitlines()[0]
    targets = re.findall(r"\]\(([^)]+)\)", page)
    assert len(targets) == len(re.findall(r"\]\(([^)]+)\)", readme))
    assert not [target for target in targets if not re.match(r"https://|#", target)]
    here = [target.removeprefix(REPOSITORY) for target in targets if target.startswith(f"{REPOSITORY}/")]
    kinds = {target.split("/")[1] for target in here}
    assert kinds == {"raw", "blob"} and all(
        (ROOT / target.split("/main/")[1].partition("#")[0]).exists() for target in here
    )
    pictures = re.findall(rf"!\[[^]]*\]\({re.escape(REPOSITORY)}/(\w+)/", page)
    assert pictures and set(pictures) == {"raw"}


USED = """
from pathlib import Path
import reid_lab
from reid_lab import course
from reid_lab.ablations import claims, tables

home = Path(reid_lab.__file__).parents[1]
assert home.name == "installed", home
assert len(course.exercises("02_metrics")) >= 2
assert len(tables.read("pooling")) and len(claims.verdicts("classroom"))
assert (tables.figures_folder().parent / "benchmarks/results/training.csv").is_file()
assert tables.own_folder() == Path.cwd() / "figures"
assert reid_lab.models.weights.passersby_weights("resnet_slim")
from importlib.metadata import distribution
command, = distribution("reid_lab").entry_points
assert (command.name, command.load()) == ("reid-lab", __import__("reid_lab.cli", fromlist="main").main)
"""


def test_the_installed_package_needs_no_checkout(built, tmp_path):
    target = tmp_path / "installed"
    options = ("--no-deps", "--no-index", "--quiet", "--target", str(target))
    run(sys.executable, "-m", "pip", "install", *options, str(built[0]))
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(target)}
    run(sys.executable, "-c", USED, cwd=tmp_path / "empty", env=environment)
    assert "demo" in run(sys.executable, "-m", "reid_lab", "--help", cwd=tmp_path / "empty", env=environment)
