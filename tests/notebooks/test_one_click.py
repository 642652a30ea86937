"""Every notebook opens in one click, from the one address in pyproject.toml, and installs what is missing."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

import reid_lab

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
ADDRESS = re.compile(r"\((https://(?:colab\.research\.google\.com/github|mybinder\.org/v2/gh)/[^)]*)\)")


@pytest.fixture(scope="session")
def one_click(script):
    return script("one_click")


def expected(path):
    repository = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    return [
        f"https://colab.research.google.com/github/{repository}/blob/main/{path}",
        f"https://mybinder.org/v2/gh/{repository}/main?urlpath=lab/tree/{path}",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_its_links_and_installs_what_is_missing(path, one_click):
    before = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(before, as_version=4)
    assert ADDRESS.findall(notebook.cells[0].source) == expected(f"notebooks/{path.name}")
    code = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert code.source.startswith(one_click.INSTALL) and code.source.count("%pip") == 1
    assert nbformat.writes(one_click.add(notebook, path.stem)) + "\n" == before, "run python notebooks/one_click.py"


def test_the_readme_leads_to_the_first_notebook():
    assert ADDRESS.findall((ROOT / "README.md").read_text(encoding="utf-8")) == expected("notebooks/00_welcome.ipynb")


def test_another_address_and_version_take_the_place_of_the_old_ones(one_click, monkeypatch, lesson):
    notebook = one_click.add(nbformat.read(lesson, as_version=4), "90_small")
    outputs = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    monkeypatch.setattr(one_click, "REPOSITORY", "somebody/elsewhere")
    monkeypatch.setattr(one_click, "INSTALL", one_click.INSTALL.replace(reid_lab.__version__, "9.9"))
    again = one_click.add(notebook, "90_small")
    text = "".join(cell.source for cell in again.cells)
    assert text.count("somebody/elsewhere") == 2 and PROJECT["urls"]["Repository"].split("/")[-2] not in text
    assert text.count("%pip") == 1 and "reid_lab[notebooks]>=9.9" in text
    assert [cell.outputs for cell in again.cells if cell.cell_type == "code"] == outputs


def test_a_notebook_without_a_heading_is_named(one_click):
    with pytest.raises(ValueError, match="90_small"):
        one_click.add(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")]), "90_small")


def test_students_are_not_led_to_the_results(script):
    assert not ADDRESS.findall(nbformat.writes(script("student").edition("02_metrics")))


SHELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell, asked = InteractiveShell(), []
shell.register_magic_function(asked.append, magic_name="pip")
if sys.argv[2] == "missing":
    from importlib import util
    found = util.find_spec
    util.find_spec = lambda name: None if name == "reid_lab" else found(name)
shell.run_cell(open(sys.argv[1], encoding="utf-8").read()).raise_error()
print("asked:", asked)
"""


@pytest.mark.parametrize("state", ["there", "missing"])
def test_the_lines_do_something_only_where_the_package_is_missing(one_click, tmp_path, state):
    (tmp_path / "cell.py").write_text(one_click.INSTALL, encoding="utf-8")
    command = [sys.executable, "-c", SHELL, str(tmp_path / "cell.py"), state]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = re.search(r"asked: (.*)", done.stdout)[1]
    if state == "there":
        assert asked == "[]"
        return
    from importlib.metadata import version

    assert f'"reid_lab[notebooks]>={reid_lab.__version__}"' in asked
    for name in ("torch", "torchvision"):  # as they are, whatever an index has
        assert f" {name}=={version(name)}" in asked


def test_what_is_installed_is_part_of_the_course():
    extras = PROJECT["optional-dependencies"]
    left = [each for each in extras["course"] if each not in extras["notebooks"]]
    assert set(extras["notebooks"]) < set(extras["course"])
    assert [re.match(r"\w+", each)[0] for each in left] == ["jupyterlab", "ipywidgets"]  # a service has its own
