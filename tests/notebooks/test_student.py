"""Students see no result before they predict it and no solution at all; instructors see everything; nbgrader grades."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from reid_lab import course
from reid_lab.runtime.errors import CourseError

REAL = sorted(path.stem for path in (course.NOTEBOOKS / "solutions").glob("[0-9]*.py"))


@pytest.fixture(scope="session")
def student(script):
    return script("student")


@pytest.fixture
def small(lesson, monkeypatch):
    """The small lesson in the place of all notebooks."""
    monkeypatch.setattr(course, "NOTEBOOKS", lesson.parent)
    return lesson


def graded(notebook):
    return {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}


def test_what_stands_between_a_prediction_and_its_outcome_has_no_outputs(student, small):
    before = [c for c in nbformat.read(small, as_version=4).cells if c.cell_type == "code"]
    after = [c for c in student.edition("90_small").cells if c.cell_type == "code"]
    emptied = [bool(old.outputs) and not new.outputs for old, new in zip(before, after, strict=True)]
    assert emptied == [False, False, True, True, True, True, False, True, False, True]
    assert [c.execution_count for c in after] == [1, 2, None, None, None, None, None, None, None, None]
    assert after[1].outputs == before[1].outputs


def test_a_prediction_without_an_outcome_is_named(student, small, changed, monkeypatch):
    changed(lambda cells: cells.pop(8))
    with pytest.raises(CourseError, match="90_small asks for prediction 90-1 and never says what came out"):
        student.edition("90_small")


def test_exercises_carry_what_nbgrader_reads(student, small):
    cells = graded(student.edition("90_small"))
    assert list(cells) == [
        "90-warm-up-1",
        "90-code-double",
        "90-check-double",
        "90-code-Triple",
        "90-check-Triple",
        "90-open-1",
    ]
    kinds = {name: (c.cell_type, c.metadata.nbgrader) for name, c in cells.items()}
    rows = {name: (kind, m.grade, m.solution, m.locked, m.task, m.get("points")) for name, (kind, m) in kinds.items()}
    assert rows["90-warm-up-1"] == ("markdown", True, True, False, False, 2)
    assert rows["90-open-1"] == ("markdown", True, True, False, False, 10)
    assert rows["90-code-double"] == ("code", False, True, False, False, None)
    assert rows["90-check-double"] == ("code", True, False, True, False, 5)
    assert all(m.schema_version == 3 for _, m in kinds.values())
    assert cells["90-check-double"].source == 'course.check(double, "90_small", strict=True)'
    assert cells["90-code-Triple"].source == course.stub("90_small", "Triple")


def test_the_cell_for_an_answer_stands_behind_its_question(student, small):
    sources = [c.source for c in student.edition("90_small").cells]
    place = sources.index(student.STUB)
    assert sources[place - 1].endswith("1. *Warm-up.* What is twice 4?")
    assert sources[place + 1] == "2. *Code.* Double a number."
    place = sources.index(student.STUB, place + 1)
    assert sources[place - 1] == "4. *Open.* What else can be doubled? Ask somebody."
    assert sources[place + 1].startswith("## References")


@pytest.mark.parametrize(
    "line",
    ["*Warm-up.* Why?", "3. *Warm-up.* Why?", "- *Warm-up.* Why?", "**3.** *Warm-up.* Why?", "### *Warm-up 1.* Why?",
     "**Warm-up.** Why?", "3. **Warm-up (five minutes).** Why?"],
)  # fmt: skip
def test_an_exercise_is_found_however_it_is_numbered(student, line):
    assert student.ITEM.search(f"Words.\n\n{line}\n")[1] == "Warm-up"
    assert not student.ITEM.search(f"The kinds are {line}")


def test_students_get_no_solution_and_no_key(student, small, tmp_path):
    student.write(tmp_path / "out")
    text = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out").rglob("*.*"))
    for secret in ("add(number", "mul", "3 * number", "wrong_", "SECRET", "# solution", "because 4", "Two points"):
        assert secret not in text, secret
    assert {path.name for path in (tmp_path / "out").rglob("*.*")} == {
        "89_before.ipynb", "90_small.ipynb", "91_after.ipynb", "90_small.py"
    }  # fmt: skip


def test_checks_judge_without_the_solutions(student, small, tmp_path, monkeypatch):
    student.write(tmp_path / "out")
    right, wrong = course.solutions("90_small"), list(course.wrong_answers("90_small", "double"))
    monkeypatch.setattr(course, "NOTEBOOKS", tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path / "out")
    assert "out/checks/90_small.py" in course.solutions("90_small").__file__.replace(os.sep, "/")
    assert course.verdict(right.double, "90_small") == ["double: right."]
    assert course.verdict(right.Triple, "90_small") == ["Triple: right."]
    wrong[0].__name__ = "double"
    assert "not yet" in course.verdict(wrong[0], "90_small")[0]
    assert course.verdict(course.solutions("90_small").double, "90_small") == ["double: not done yet."]
    with pytest.raises(CourseError, match="double: not yet, for 1 the double is 2"):
        course.check(wrong[0], "90_small", strict=True)
    with pytest.raises(CourseError, match="Triple: not done yet"):
        course.check(course.solutions("90_small").Triple, "90_small", strict=True)
    course.check(right.double, "90_small", strict=True)


@pytest.mark.parametrize("notebook", REAL)
def test_the_checks_of_every_notebook_judge_without_the_solutions(student, notebook, tmp_path, monkeypatch):
    text = student.checks(notebook)
    assert "# solution" not in text and not re.search(r"^def wrong_", text, flags=re.M)
    names = course.exercises(notebook)
    right = {name: getattr(course.solutions(notebook), name) for name in names}
    wrong = {name: list(course.wrong_answers(notebook, name)) for name in names}
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / f"{notebook}.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(course, "NOTEBOOKS", tmp_path)
    assert course.exercises(notebook) == names
    for name in names:
        assert course.verdict(right[name], notebook) == [f"{name}: right."]
        for answer in wrong[name]:
            answer.__name__ = name
            assert course.verdict(answer, notebook) != [f"{name}: right."]


@pytest.mark.parametrize("notebook", REAL)
def test_every_exercise_of_every_notebook_is_graded(student, notebook):
    text = "\n".join(c.source for c in nbformat.read(course.NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells)
    found = graded(student.edition(notebook))
    for kind in ("Warm-up", "Open"):
        ids = [name for name in found if name.startswith(f"{notebook[:2]}-{kind.lower()}-")]
        assert len(ids) == len(re.findall(rf"\*{kind}\.\*", text))
    for name in course.exercises(notebook):
        assert {f"{notebook[:2]}-code-{name}", f"{notebook[:2]}-check-{name}"} <= set(found)


def test_a_check_that_calls_the_solution_is_named(student, small):
    path = small.parent / "solutions" / "90_small.py"
    path.write_text(path.read_text().replace("answer(number)) != twice", "answer(number)) != double(number)"))
    with pytest.raises(CourseError, match=r"Line \d+ of solutions/90_small.py calls the exercise double"):
        student.checks("90_small")


def test_instructors_see_solutions_and_keys(student, small, tmp_path):
    student.write(tmp_path / "out", instructor=True)
    home = tmp_path / "out" / "source" / "90_small"
    cells = graded(nbformat.read(home / "90_small.ipynb", as_version=4))
    assert (
        "    ### BEGIN SOLUTION\n    return add(number, number)\n    ### END SOLUTION" in cells["90-code-double"].source
    )
    assert cells["90-warm-up-1"].source == "### BEGIN SOLUTION\n8, because 4 and 4 are 8.\n### END SOLUTION"
    assert "eight for a person who was asked" in cells["90-open-1"].source
    assert (home / "checks" / "90_small.py").is_file() and (tmp_path / "out" / "nbgrader_config.py").is_file()
    (small.parent / "solutions" / "90_small.md").unlink()
    assert "There is no key" in graded(student.edition("90_small", instructor=True))["90-open-1"].source


def test_an_edition_never_overwrites_what_is_no_such_edition(student, small, tmp_path):
    student.write(tmp_path / "out")
    student.write(tmp_path / "out")  # again
    with pytest.raises(CourseError, match="out holds student files: give a new folder for the instructor edition"):
        student.write(tmp_path / "out", instructor=True)
    with pytest.raises(CourseError, match="holds other files"):
        student.write(small.parent)


def run(*command, cwd, expected=0):
    environment = {**os.environ, "PYTHONPATH": str(course.NOTEBOOKS.parent), "JUPYTER_CONFIG_DIR": str(cwd)}
    environment |= {"IPYTHONDIR": str(cwd / "ipython"), "REID_LAB_RUNS": str(cwd / "runs")}
    command = [sys.executable, "-m", "nbgrader", *command]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout + done.stderr


def submit(notebook, folder, answers, how=lambda cells: None):
    """Save a student's notebook with answers in its cells, as (grade id, text)."""
    notebook = nbformat.from_dict(notebook)
    for grade_id, answer in answers.items():
        graded(notebook)[grade_id].source = answer
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / "90_small.ipynb")


ANSWERS = {
    "90-code-double": "def double(number):\n    return 2 * number",
    "90-code-Triple": "class Triple:\n    def __call__(self, number):\n        return number + number + number",
    "90-warm-up-1": "8.",
}


@pytest.fixture
def graders(student, small, tmp_path, monkeypatch):
    """Both editions of the small lesson, as folders; the lesson's own folder is no longer looked into."""
    student.write(tmp_path / "student")
    student.write(tmp_path / "course", instructor=True)
    monkeypatch.undo()
    here = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", here)  # nbgrader starts alembic by its name
    return SimpleNamespace(student=tmp_path / "student", course=tmp_path / "course")


@pytest.mark.skipif(find_spec("nbgrader") is None, reason="nbgrader is not installed (pip install -e '.[teach]')")
def test_nbgrader_validates_a_right_notebook_and_no_other(graders):
    empty = nbformat.read(graders.student / "90_small.ipynb", as_version=4)
    assert "not done yet" in run("validate", "90_small.ipynb", cwd=graders.student)
    submit(empty, graders.student / "mine", ANSWERS)
    shutil.copytree(graders.student / "checks", graders.student / "mine" / "checks")
    assert "Success" in run("validate", "90_small.ipynb", cwd=graders.student / "mine")


@pytest.mark.skipif(find_spec("nbgrader") is None, reason="nbgrader is not installed (pip install -e '.[teach]')")
def test_nbgrader_gives_points_for_what_is_right(graders):
    run("generate_assignment", "90_small", cwd=graders.course)
    release = graders.course / "release" / "90_small"
    ours = nbformat.read(graders.student / "90_small.ipynb", as_version=4)
    theirs = nbformat.read(release / "90_small.ipynb", as_version=4)
    assert {k: c.source for k, c in graded(ours).items()} == {k: c.source for k, c in graded(theirs).items()}
    assert [c.source for c in ours.cells] == [c.source for c in theirs.cells]
    wrong = {**ANSWERS, "90-code-double": "def double(number):\n    return number * number"}
    for name, answers in {"right": ANSWERS, "wrong": wrong, "nobody": {}}.items():
        submit(ours, graders.course / "submitted" / name / "90_small", answers)
    run("autograde", "90_small", "--create", cwd=graders.course)

    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{graders.course / 'gradebook.db'}") as book:
        scores = {s.student.id: s.score for s in book.assignment_submissions("90_small")}
        manual = {s.student.id: s.needs_manual_grade for s in book.assignment_submissions("90_small")}
        assert book.find_assignment("90_small").max_score == 2 + 5 + 5 + 10
    assert scores == {"right": 10, "wrong": 5, "nobody": 0}
    assert manual == {"right": True, "wrong": True, "nobody": False}
