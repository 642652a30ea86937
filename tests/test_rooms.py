"""The rooms import one another in one direction only: the one that reid_lab/README.md draws."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "reid_lab"


def drawn():
    """The level of each room, from left to right; those between the same arrows are of one level."""
    page = (PACKAGE / "README.md").read_text(encoding="utf-8")
    drawing = next(part for part in page.split("\n\n") if " -> " in part)
    return {room: level for level, rooms in enumerate(drawing.split("->")) for room in re.findall(r"\w+", rooms)}


def room_of(path, package=PACKAGE):
    """A file's room: its folder in the package, or its own name."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imported(path):
    """The rooms that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.split(".")[1] for name in names if name.startswith("reid_lab."))


def against_the_arrows(levels, package=PACKAGE):
    """Imports of a room on the right of the file's own, or beside it, as (file, room)."""
    found = set()
    for path in package.rglob("*.py"):
        own = room_of(path, package)
        wrong = {room for room in imported(path) if room != own and levels.get(room, -1) >= levels.get(own, 99)}
        found |= {(path.relative_to(package).as_posix(), room) for room in wrong}
    return found


def test_no_import_runs_against_the_arrows():
    assert not against_the_arrows(drawn())


def test_every_room_is_drawn():
    assert {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"} == set(drawn())


@pytest.mark.parametrize(
    "line",
    ["import reid_lab.training", "from reid_lab import training", "def f():\n    from reid_lab.training import fit"],
)
def test_an_import_against_the_arrows_is_noticed(line, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bad.py").write_text(line)
    (tmp_path / "training.py").write_text("from reid_lab import data")
    assert against_the_arrows({"data": 0, "training": 1}, tmp_path) == {("data/bad.py", "training")}


def answers():
    """Each file that a question's answer names, with the functions and methods that it should hold."""
    page = (PACKAGE / "README.md").read_text(encoding="utf-8")
    table = page.split("## Three questions")[1].split("\n## ")[0]
    for text, target, rest in re.findall(r"\[([\w/]+\.py)\]\(([^)]+)\)([^\[]*)", table):
        assert text == target
        yield from ((target, name) for name in re.findall(r"`([\w.]+)`", rest))


def defined(path):
    """The functions, classes and methods of a file, as "name" or "Class.name"."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{child.name}" for child in node.body if isinstance(child, ast.FunctionDef))


def test_the_readers_questions_lead_to_what_is_there():
    found = list(answers())
    assert len(found) >= 8
    assert [(file, name) for file, name in found if name not in set(defined(PACKAGE / file))] == []
