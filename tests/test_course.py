"""Exercises: the notebooks show stubs of the very solutions that pass their checks, and wrong answers do not pass."""

import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from reid_lab import course
from reid_lab.course import borrowed
from reid_lab.runtime.errors import CourseError

NOTEBOOKS = sorted(path.stem for path in (course.NOTEBOOKS / "solutions").glob("[0-9]*.py"))
EXERCISES = [(notebook, name) for notebook in NOTEBOOKS for name in course.exercises(notebook)]


def cells(notebook):
    return json.loads((course.NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize(("notebook", "name"), EXERCISES)
def test_wrong_answers_are_told_what_is_wrong_with_them(notebook, name):
    wrong = list(course.wrong_answers(notebook, name))
    assert wrong, f"write a wrong_{name}, so that the check is known to be able to fail"
    for answer in wrong:
        answer.__name__ = name
        found = course.verdict(answer, notebook)
        assert found != [f"{name}: right."]
        assert all(line.startswith(f"{name}: not yet, ") and len(line.split()) > 5 for line in found), found


@pytest.mark.parametrize(("notebook", "name"), EXERCISES)
def test_the_notebook_shows_the_stub_of_the_solution_and_its_check(notebook, name):
    sources = ["".join(cell["source"]) for cell in cells(notebook) if cell["cell_type"] == "code"]
    stub = course.stub(notebook, name)
    assert stub in sources, f"the stub in the notebook must be\n{stub}"
    assert f'course.check({name}, "{notebook}")' in sources[sources.index(stub) + 1]
    module = {"__name__": "stub", "torch": torch, "nn": torch.nn}  # which a class is made of
    exec(compile(stub, name, "exec"), module)
    assert course.verdict(module[name], notebook) == [f"{name}: not done yet."]


@pytest.mark.parametrize(("notebook", "name"), EXERCISES)
def test_the_solution_is_right_as_a_cell_of_the_notebook(notebook, name):
    """Where what is called by the answer and what by its check can be told apart: it borrows nothing it may not."""
    module = course.solutions(notebook)
    answer = cell(inspect.getsource(getattr(module, name)), vars(module))[name]
    assert course.verdict(answer, notebook) == [f"{name}: right."]


def cell(source, names=()):
    """What a cell defines that is run after ``names`` were made."""
    module = {"__name__": "__main__", **dict(names)}
    exec(compile(source, "<cell>", "exec"), module)
    return module


IMPORTS = """
import torch
from torch import nn
from torch.nn import functional as F
from reid_lab import losses
from reid_lab.models import heads
from reid_lab.methods.residual_pooling import ResidualPool
"""


@pytest.mark.parametrize(
    ("notebook", "source", "borrowed"),
    [
        (
            "03_res2net_multitask",
            "def identification_loss(logits, pids, smoothing):\n"
            "    return F.cross_entropy(logits, pids, label_smoothing=smoothing)",
            "it calls torch.nn.functional.cross_entropy: write",
        ),
        (
            "03_res2net_multitask",
            "def verification_loss(logits, same, *rest):\n    return nn.CrossEntropyLoss()(logits, same.long())",
            "it calls torch.nn.functional.cross_entropy: write",
        ),
        (
            "04_residual_pooling",
            "def triplet_loss(features, pids, margin):\n    return losses.batch_hard_triplet(features, pids, margin)",
            "it calls reid_lab.losses.batch_hard_triplet: write",
        ),
        (
            "04_residual_pooling",
            "def pool_cells(maps, m, how):\n"
            "    return (nn.AdaptiveAvgPool2d if how == 'avg' else nn.AdaptiveMaxPool2d)(m)(maps)",
            "it calls torch.nn.functional._adaptive_max_pool2d: write",
        ),
        (
            "04_residual_pooling",
            "class ResidualModule(ResidualPool):\n    pass",
            "it inherits from reid_lab.methods.residual_pooling.ResidualPool: write",
        ),
        (
            "04_residual_pooling",
            "class Neck(nn.Module):\n"
            "    def __init__(self, dim, identities):\n"
            "        super().__init__()\n        self.norm = heads.BNNeck(dim)\n"
            "    def forward(self, features):\n        return self.norm(features)",
            "it calls reid_lab.models.heads.BNNeck: write",
        ),
    ],
)
def test_an_answer_that_hands_its_work_to_a_library_is_not_right(notebook, source, borrowed):
    name = source.split()[1].split("(")[0]
    found = course.verdict(cell(IMPORTS + source)[name], notebook)
    assert any(line.startswith(f"{name}: not yet, {borrowed}") for line in found), found


def test_what_a_check_gives_an_answer_to_call_is_not_borrowed_where_checks_lie_in_the_package():
    file = str(borrowed.PACKAGE / "notebooks" / "solutions" / "99_made_up.py")
    module = {}
    exec(compile("def given():\n    return 1\ndef check_f(answer):\n    answer(given)", file, "exec"), module)
    answer = cell("def f(given):\n    return given()")["f"]
    with borrowed.watched(module["check_f"]) as found:
        module["check_f"](answer)
    assert found == []


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_lesson_has_three_exercises_one_of_them_open(notebook):
    text = "\n".join("".join(cell["source"]) for cell in cells(notebook))
    assert text.count("*Warm-up.*") + text.count("*Code.*") + text.count("*Open.*") >= 3
    assert "*Open.*" in text and course.exercises(notebook)


@pytest.mark.parametrize(
    ("there", "environment", "device", "size"),
    [
        ("cpu", {}, "cpu", "classroom"),
        ("cuda", {}, "cuda", "full"),
        ("cuda", {"REID_LAB_DEVICE": "cpu"}, "cpu", "classroom"),
        ("cuda", {"REID_LAB_SIZE": "classroom"}, "cuda", "classroom"),
        ("cpu", {"REID_LAB_SIZE": "smoke", "REID_LAB_DEVICE": ""}, "cpu", "smoke"),
    ],
)
def test_the_notebooks_take_the_gpu_where_there_is_one(monkeypatch, there, environment, device, size):
    for name in ("REID_LAB_DEVICE", "REID_LAB_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("reid_lab.runtime.device.find_device", lambda name: torch.device(name or there))
    monkeypatch.setattr("reid_lab.methods.default_size", lambda on: "full" if on.type == "cuda" else "classroom")
    assert (course.device().type, course.size()) == (device, size)


def test_the_size_is_that_of_the_gpu_that_was_chosen(pretended, monkeypatch):
    monkeypatch.delenv("REID_LAB_SIZE", raising=False)
    monkeypatch.setenv("REID_LAB_DEVICE", "cuda:1")
    with pretended("cuda", count=2) as gpu:
        small = lambda device=None: (0, gpu.memory if torch.device(device or "cuda").index else 2**30)  # noqa: E731
        monkeypatch.setattr(torch.cuda, "mem_get_info", small)
        assert (str(course.device()), course.size()) == ("cuda:1", "full")
        monkeypatch.setenv("REID_LAB_DEVICE", "cuda:0")
        assert course.size() == "classroom"


def test_a_size_that_no_data_set_has_is_refused(monkeypatch):
    monkeypatch.setenv("REID_LAB_SIZE", "paper")
    with pytest.raises(CourseError, match="REID_LAB_SIZE is 'paper'.* smoke, classroom, full"):
        course.size()


def test_an_unknown_exercise_or_notebook_is_named(tmp_path, monkeypatch):
    with pytest.raises(CourseError, match="no exercises for '99_nothing'"):
        course.solutions("99_nothing")
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "01_x.py").write_text(
        "def double(x):\n    '''Twice x.'''\n    # solution\n    return 2 * x\n    # end\n\n\n"
        "def check_double(answer):\n    if answer(3) != 6:\n        yield 'twice 3 is 6'\n"
    )
    monkeypatch.setattr(course, "NOTEBOOKS", Path(tmp_path))
    with pytest.raises(CourseError, match="no exercise called triple; it has double"):
        course.verdict(_named("triple", lambda x: 3 * x), "01_x")
    assert course.verdict(_named("double", lambda x: x + x), "01_x") == ["double: right."]
    assert course.verdict(_named("double", lambda x: x * x), "01_x") == ["double: not yet, twice 3 is 6"]
    assert "it raised TypeError" in course.verdict(_named("double", lambda: 0), "01_x")[0]
    assert course.stub("01_x", "double").endswith('    raise NotImplementedError("your turn")')


def _named(name, function):
    function.__name__ = name
    return function


def test_what_a_check_found_before_an_answer_raised_is_kept(tmp_path, monkeypatch):
    def check(answer):
        yield "it must be even"
        raise TypeError("no number")

    monkeypatch.setattr(course, "solutions", lambda notebook: SimpleNamespace(check_double=check))
    answer = SimpleNamespace(__name__="double")
    assert course.verdict(answer, "01") == [
        "double: not yet, it must be even",
        "double: not yet, it raised TypeError: no number",
    ]


def test_a_class_is_emptied_method_by_method(tmp_path, monkeypatch):
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "01_x.py").write_text(
        "class Scale:\n    '''Multiplies.'''\n\n    def __init__(self, factor):\n        # solution\n"
        "        self.factor = factor\n        # end\n\n    def forward(self, x):\n        # solution\n"
        "        return self.factor * x\n        # end\n\n\n"
        "def check_Scale(answer):\n    if answer(2).forward(3) != 6:\n        yield 'twice 3 is 6'\n\n\n"
        "def open(x):\n    return x\n\n\ndef check_open(answer):\n    yield 'nothing to do'\n"
    )
    monkeypatch.setattr(course, "NOTEBOOKS", Path(tmp_path))
    stub = course.stub("01_x", "Scale")
    assert stub.count('raise NotImplementedError("your turn")') == 2 and "self.factor" not in stub
    assert "def forward(self, x):" in stub
    assert course.verdict(course.solutions("01_x").Scale, "01_x") == ["Scale: right."]
    with pytest.raises(CourseError, match="open of 01_x marks no solution"):
        course.stub("01_x", "open")
