"""A small lesson that lacks nothing, in a folder of its own: what tests of the course's machinery start from."""

import base64
import importlib.util
from io import BytesIO
from pathlib import Path

import nbformat
import pytest
from PIL import Image, ImageDraw

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"

START = """# Small

One thought, from its beginning to its end.

**After this notebook you will be able to**

- double a number.

**Needs**: [notebook 89](89_before.ipynb). **Time**: 15 minutes."""
EXERCISES = """Twice 3 is 6, because 3 is added to 3.

## Summary

- Doubling adds a number to itself.

## Exercises

1. *Warm-up.* What is twice 4?

2. *Code.* Double a number."""
END = """4. *Open.* What else can be doubled? Ask somebody.

## References

- Nobody, *Nothing*, 2020. [The check](#exercises) of this notebook says more."""
DOUBLE = '''def double(number):
    """Twice a number."""
    raise NotImplementedError("your turn")'''
TRIPLE = '''class Triple:
    """Three times a number, when it is called."""

    def __call__(self, number):
        raise NotImplementedError("your turn")'''
SOLUTIONS = '''"""Exercises of notebook 90."""

from collections.abc import Iterator
from operator import add, mul
from typing import Any

EXPECTED = {1: 2, 5: 10}
SECRET = "the twofold"


def double(number):
    """Twice a number."""
    # solution
    return add(number, number)
    # end


def check_double(answer: Any) -> Iterator[str]:
    """What is wrong with an answer."""
    for number, twice in EXPECTED.items():
        if (given := answer(number)) != twice:
            yield f"for {number} the double is {twice}, not {given}."


def wrong_double(number):
    """The square."""
    return mul(number, number), SECRET


class Triple:
    """Three times a number, when it is called."""

    def __call__(self, number):
        # solution
        return 3 * number
        # end


def check_Triple(answer):
    if _called(answer, 4) != 12:
        yield "three times 4 is 12, and you give something else."


def _called(answer, number):
    return answer()(number)


class wrong_Triple:
    def __call__(self, number):
        return number
'''
KEY = """# Key of notebook 90

## Warm-up 1

8, because 4 and 4 are 8.

## Open 1

Two points for a number, eight for a person who was asked.
"""


def drawing(width=1400, height=600):
    """A picture in which there is something to see, as base64."""
    picture, file = Image.new("RGB", (width, height), "white"), BytesIO()
    ImageDraw.Draw(picture).rectangle((0, 0, width // 2, height // 2), fill="navy")
    picture.save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def code(source, *outputs, tags=()):
    metadata = {"tags": list(tags)} if tags else {}
    return nbformat.v4.new_code_cell(source, outputs=list(outputs), metadata=metadata)


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def printed(words):
    return nbformat.v4.new_output("stream", text=words, name="stdout")


def cells_of_a_lesson():
    told = {"image/png": {"width": 700, "height": 300, "alt": "The number grows."}}
    shown = nbformat.v4.new_output("display_data", {"image/png": drawing(), "text/plain": "<Figure>"}, metadata=told)
    options = '["5", "6"]'
    return [
        text(START),
        text("## Set-up"),
        code("from reid_lab import course"),
        text("## Doubling\n\n> **Predict first.** What is twice 3?"),
        code(f'course.predict("90-1", "Twice 3?", {options})', printed("Twice 3?\n"), tags=["predict"]),
        code("print(2 * 3)", printed("6\n")),
        code('number = 3\nprint("the number:", number)', printed("the number: 3\n")),
        code('figure = None\nif figure:\n    course.figure(figure, "90-1", "The number grows.")', shown),
        code('course.outcome("90-1", "6")', printed("What came out: 6.\n"), tags=["nbval-ignore-output"]),
        text(EXERCISES),
        code(DOUBLE),
        code('course.check(double, "90_small")', printed("double: not done yet.\n")),
        text("3. *Code.* Three times a number."),
        code(TRIPLE),
        code('course.check(Triple, "90_small")', printed("Triple: not done yet.\n")),
        text(END),
        text("previous: [before](89_before.ipynb) · next: [after](91_after.ipynb)"),
    ]


def save(notebook, path):
    for count, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(notebook, path)


@pytest.fixture
def lesson(tmp_path):
    """The path of the small lesson 90; its neighbours, solutions and key are beside it."""
    folder = tmp_path / "notebooks"
    (folder / "solutions").mkdir(parents=True)
    (folder / "solutions" / "90_small.py").write_text(SOLUTIONS, encoding="utf-8")
    (folder / "solutions" / "90_small.md").write_text(KEY, encoding="utf-8")
    for name in ("89_before", "91_after"):
        save(nbformat.v4.new_notebook(cells=[text(f"# {name}")]), folder / f"{name}.ipynb")
    save(nbformat.v4.new_notebook(cells=cells_of_a_lesson()), folder / "90_small.ipynb")
    return folder / "90_small.ipynb"


@pytest.fixture
def changed(lesson):
    """A function that changes the cells of the small lesson with another function, and returns its path."""

    def change(how):
        notebook = nbformat.read(lesson, as_version=4)
        how(notebook.cells)
        save(notebook, lesson)
        return lesson

    return change


@pytest.fixture(scope="session")
def script():
    """A function that loads a script of notebooks/ by its name."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name, NOTEBOOKS / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
