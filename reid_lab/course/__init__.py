"""What the notebooks need: a device and a size, source on the page, figures, predictions, exercises that are checked.

Exercises are in ``notebooks/solutions/NN_name.py``. Each has a function or a class with its solution between the lines
``# solution`` and ``# end`` (in a class several times), a ``check_...`` that yields a sentence for everything that is
wrong with an answer, and one or more ``wrong_...`` that the check must reject. The stub in the notebook is made from
the same source. Students who are graded get ``checks`` in place of ``solutions``: the same without solutions and wrong
answers, made by ``notebooks/student.py``.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from reid_lab.course import borrowed
from reid_lab.course.borrowed import forbids as forbids
from reid_lab.course.borrowed import permits as permits
from reid_lab.course.classes import histogram as histogram
from reid_lab.course.figures import figure as figure
from reid_lab.course.predictions import outcome as outcome
from reid_lab.course.predictions import predict as predict
from reid_lab.runtime.errors import CourseError
from reid_lab.runtime.files import NOTEBOOKS, PACKED

if TYPE_CHECKING:
    import torch

SIZES = ("smoke", "classroom", "full")  # of data set and recipes alike
_SOLUTION = re.compile(r"^(\s*)# solution\n.*?^\s*# end\n", re.M | re.S)


def device() -> torch.device:
    """The device on which the notebooks train: the GPU where there is one, else the CPU.

    The environment variable ``REID_LAB_DEVICE`` overrides it.

    Returns:
        The device.

    Raises:
        DeviceError: ``REID_LAB_DEVICE`` names no device of this machine.
    """
    from reid_lab.runtime.device import find_device

    return find_device(os.environ.get("REID_LAB_DEVICE") or None)


def size() -> str:
    """The size at which the notebooks train: "full" on a GPU that has room, else "classroom".

    The environment variable ``REID_LAB_SIZE`` overrides it.

    Returns:
        One of SIZES.

    Raises:
        CourseError: ``REID_LAB_SIZE`` is not one of SIZES.
    """
    from reid_lab.methods import default_size

    asked = os.environ.get("REID_LAB_SIZE")
    if asked and asked not in SIZES:
        raise CourseError(
            f"The environment variable REID_LAB_SIZE is {asked!r}; the notebooks have the sizes {', '.join(SIZES)}. "
            "Set it to one of them, or unset it, and start Jupyter again."
        )
    return asked or default_size(device())


def source(*objects: Any) -> Any:
    """Show the package's own source, for the last line of a cell.

    Args:
        *objects: Functions and classes.

    Returns:
        What IPython shows as highlighted code.
    """
    from IPython.display import Code

    return Code("\n\n".join(inspect.getsource(each).rstrip() for each in objects), language="python")


def check(answer: Callable[..., Any], notebook: str, strict: bool = False) -> None:
    """Print whether an answer solves the exercise of its name, and if not, what is wrong with it.

    Args:
        answer: The student's function or class.
        notebook: The notebook's name, such as "02_metrics".
        strict: Raise an error for an answer that is not right, as automatic grading needs it.

    Raises:
        CourseError: There is no such notebook or exercise; or ``strict``, and the answer is not right.
    """
    lines = verdict(answer, notebook)
    if strict and not lines[-1].endswith(": right."):
        raise CourseError("\n".join(lines))
    print(*lines, sep="\n")


def verdict(answer: Callable[..., Any], notebook: str) -> list[str]:
    """Judge an answer, see :func:`check`.

    Args:
        answer: The student's function or class.
        notebook: The notebook's name.

    Returns:
        One line that says that it is right or not done yet, or one line for each finding.

    Raises:
        CourseError: There is no such notebook or exercise.
    """
    name = getattr(answer, "__name__", type(answer).__name__)
    checker = getattr(solutions(notebook), f"check_{name}", None)
    if checker is None:
        there = ", ".join(exercises(notebook))
        raise CourseError(f"Notebook {notebook} has no exercise called {name}; it has {there}. Keep the stub's name.")
    findings: list[str] = []
    with borrowed.watched(checker) as calls:
        try:
            for finding in checker(answer):  # what is found before an answer raises is kept
                findings.append(finding)
        except NotImplementedError:
            return [f"{name}: not done yet."]
        except Exception as error:  # an answer may raise anything
            findings.append(f"it raised {type(error).__name__}: {error}")
    findings += [f"it inherits from {other}: write its lines yourself" for other in borrowed.inherited(answer, checker)]
    findings += [f"it calls {other}: write what you need of it yourself" for other in calls]
    return [f"{name}: not yet, {finding}" for finding in findings] or [f"{name}: right."]


def exercises(notebook: str) -> list[str]:
    """List the exercises of a notebook that are functions or classes.

    Args:
        notebook: The notebook's name.

    Returns:
        Their names, in order.

    Raises:
        CourseError: There is no such notebook.
    """
    return [name for name in vars(solutions(notebook)) if f"check_{name}" in vars(solutions(notebook))]


def stub(notebook: str, name: str) -> str:
    """Make the exercise as the notebook shows it: signatures and docstrings, without the solution.

    Args:
        notebook: The notebook's name.
        name: The exercise's name.

    Returns:
        Python source.

    Raises:
        CourseError: There is no such notebook, or the exercise marks no solution.
    """
    whole = inspect.getsource(getattr(solutions(notebook), name))
    emptied, count = _SOLUTION.subn(r'\1raise NotImplementedError("your turn")' + "\n", whole)
    if not count:  # a class may have several, one in each method
        raise CourseError(f"{name} of {notebook} marks no solution: it stands between '# solution' and '# end'.")
    return emptied.rstrip()


def solutions(notebook: str) -> ModuleType:
    """Load the solutions and checks of a notebook; of a student, who has no solutions, the checks alone.

    Args:
        notebook: The notebook's name.

    Returns:
        The module ``NOTEBOOK.py`` in ``notebooks/solutions``, else in ``notebooks/checks``, else in ``checks`` beside
        the notebook that is open, else in the installed package.

    Raises:
        CourseError: There is no such file.
    """
    folders = (NOTEBOOKS / "solutions", NOTEBOOKS / "checks", Path.cwd() / "checks", PACKED / "notebooks" / "solutions")
    path = next((folder / f"{notebook}.py" for folder in folders if (folder / f"{notebook}.py").is_file()), None)
    if path is None:
        raise CourseError(
            f"There are no exercises for {notebook!r} in notebooks/solutions, notebooks/checks or checks: give a name "
            "such as 02_metrics, and keep the folder checks beside the notebook."
        )
    spec = importlib.util.spec_from_file_location(f"solutions_{notebook}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where the source of a class is looked for
    spec.loader.exec_module(module)
    return module


def wrong_answers(notebook: str, name: str) -> Iterator[Callable[..., Any]]:
    """Give the answers that the exercise's check must reject.

    Args:
        notebook: The notebook's name.
        name: The exercise's name.

    Yields:
        One function after another.

    Raises:
        CourseError: There is no such notebook.
    """
    module = solutions(notebook)
    for other, function in vars(module).items():
        if re.fullmatch(rf"wrong(_\w+)?_{name}|wrong_{name}(_\w+)?", other):
            yield function
