"""Make the edition for students, or the one for instructors, from the notebooks: ``python notebooks/student.py [OUT]``.

    python notebooks/student.py                  # runs/student: notebooks with stubs, and checks without solutions
    python notebooks/student.py --instructor     # runs/instructor: a course for nbgrader, with solutions and keys

Students see no result before they have predicted it: what stands between a prediction and its outcome has no outputs.
Exercises carry the metadata of nbgrader. A code exercise is graded by its check, which raises an error for a wrong
answer; warm-up and open exercises get a cell for the answer, which is graded by hand.

The edition for students takes the place of ``notebooks/`` in the copy of the repository that is handed out, so that
links lead somewhere. The edition for instructors is a folder in which nbgrader works: every notebook is an assignment.
"""

import argparse
import ast
import inspect
import re
import sys
from pathlib import Path

import nbformat

from reid_lab import course
from reid_lab.runtime.errors import CourseError
from reid_lab.runtime.files import runs_folder, write_text

HERE = Path(__file__).resolve().parent
POINTS = {"Warm-up": 2, "Code": 5, "Open": 10}
STUB = "*Your answer here.*"
OPEN_IN = re.compile(r"^Open in \[Colab\].*\n\n", re.M)  # leads to this edition, with all results; see one_click.py
# An exercise begins with its kind, as in "2. *Code.* ..."; before it may stand a number, a bullet or a heading's mark.
ITEM = re.compile(r"^(?:#+ +)?(?:[-*] +)?(?:\*\*)?(?:\d+\.)?(?:\*\*)? *\*+(Warm-up|Code|Open)\b[^*\n]*\*", re.M)
ASKED, CAME = (re.compile(rf"course\.{name}\(\s*[\"'](\d\d-\d+)[\"']") for name in ("predict", "outcome"))
CONFIG = f"""c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "reid_lab"
c.ClearSolutions.code_stub = {{"python": 'raise NotImplementedError("your turn")'}}
c.ClearSolutions.text_stub = "{STUB}"
c.Execute.timeout = 1200  # seconds for a cell: some train
"""


def edition(name: str, instructor: bool = False) -> nbformat.NotebookNode:
    """One notebook for students or instructors; ``name`` is such as "02_metrics"."""
    notebook = nbformat.read(course.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    key, counts = (_key(name) if instructor else None), dict.fromkeys(POINTS, 0)
    stubs = {exercise: course.stub(name, exercise) for exercise in _exercises(name)}
    cells: list = []
    for cell in hidden(notebook.cells, name):
        if cell.cell_type == "markdown":
            cells += _with_answers(cell, name, counts, key)
        else:
            for exercise, stub in stubs.items():
                _exercise(cell, name, exercise, stub, instructor)
            cells.append(cell)
    cells[0].source = OPEN_IN.sub("", cells[0].source)
    notebook.cells = cells
    nbformat.validate(notebook)
    return notebook


def _exercises(name: str) -> list[str]:
    return course.exercises(name) if (course.NOTEBOOKS / "solutions" / f"{name}.py").is_file() else []


def hidden(cells: list, name: str) -> list:
    """The same cells, without outputs between a prediction and its outcome."""
    waiting: set[str] = set()
    for cell in cells:
        if cell.cell_type == "code":
            if waiting:
                _empty(cell)
            waiting = (waiting | set(ASKED.findall(cell.source))) - set(CAME.findall(cell.source))
    if waiting:
        raise CourseError(
            f"{name} asks for prediction {min(waiting)} and never says what came out: add course.outcome."
        )
    return cells


def _empty(cell) -> None:
    cell.outputs, cell.execution_count = [], None
    cell.metadata.pop("mystnb", None)


def _exercise(cell, name: str, exercise: str, stub: str, instructor: bool) -> None:
    """Make a code cell as nbgrader wants it, if it is the stub or the check of this exercise."""
    number, call = name[:2], f'course.check({exercise}, "{name}"'
    if cell.source == stub:
        cell.metadata["nbgrader"] = _graded(f"{number}-code-{exercise}", solution=True)
        cell.source = solved(name, exercise) if instructor else stub
        _empty(cell)
    elif f"{call})" in cell.source:
        cell.source = cell.source.replace(f"{call})", f"{call}, strict=True)")
        cell.metadata["nbgrader"] = _graded(f"{number}-check-{exercise}", points=POINTS["Code"], locked=True)
        cell.metadata |= {"editable": False, "deletable": False}
        _empty(cell)


def _graded(grade_id: str, points: int = 0, solution: bool = False, locked: bool = False) -> dict:
    told = {"grade_id": grade_id, "grade": bool(points), "solution": solution, "locked": locked, "task": False}
    return {**told, "schema_version": 3, **({"points": points} if points else {})}


def _with_answers(cell, name: str, counts: dict[str, int], key: dict[str, str] | None) -> list:
    """A Markdown cell in parts, with a cell for the answer behind every warm-up and open exercise in it.

    ``counts`` says how many exercises of each kind were before; with a ``key`` the cell holds it as the solution.
    """
    items = [*ITEM.finditer(cell.source)]
    parts, written = [], 0
    for place, match in enumerate(items, start=1):
        end = items[place].start() if place < len(items) else len(cell.source)
        counts[match[1]] += 1
        if match[1] == "Code":
            continue
        heading = re.compile(r"^#{1,2} ", re.M).search(cell.source, match.end(), end)
        end = heading.start() if heading else end
        kind = f"{match[1]} {counts[match[1]]}"
        grade_id = f"{name[:2]}-{kind.lower().replace(' ', '-')}"
        text = STUB
        if key is not None:
            text = f"### BEGIN SOLUTION\n{key.get(kind, 'There is no key for this exercise.')}\n### END SOLUTION"
        answer = nbformat.v4.new_markdown_cell(text, id=grade_id)
        answer.metadata["nbgrader"] = _graded(grade_id, points=POINTS[match[1]], solution=True)
        parts += [cell.source[written:end], answer]
        written = end
    parts.append(cell.source[written:])
    return _cells(cell, parts)


def _cells(cell, parts: list) -> list:
    """Texts as cells, the first of which is ``cell`` itself; empty texts are left out."""
    found: list = []
    for place, part in enumerate(parts):
        if not isinstance(part, str):
            found.append(part)
        elif place == 0:
            cell.source = part.strip("\n")
            found.append(cell)
        elif part.strip():
            found.append(nbformat.v4.new_markdown_cell(part.strip("\n"), id=f"{cell.id}-{place}"))
    return found


def _key(name: str) -> dict[str, str]:
    """The answers to warm-up and open exercises, by headings such as "Warm-up 1"."""
    path = course.NOTEBOOKS / "solutions" / f"{name}.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    parts = re.split(r"^## +((?:Warm-up|Open) \d+).*$", text, flags=re.M)
    return {heading: part.strip() for heading, part in zip(parts[1::2], parts[2::2], strict=True)}


def solved(name: str, exercise: str) -> str:
    """An exercise with its solution, between the lines that nbgrader looks for."""
    source = inspect.getsource(getattr(course.solutions(name), exercise)).rstrip()
    for ours, theirs in (("# solution", "### BEGIN SOLUTION"), ("# end", "### END SOLUTION")):
        source = re.sub(rf"^( *){ours}$", rf"\1{theirs}", source, flags=re.M)
    return source


def checks(name: str) -> str:
    """The checks of a notebook's exercises as Python source: no solutions, no wrong answers, nothing that is for these.

    Raises:
        CourseError: A check calls the solution of an exercise.
    """
    source = (course.NOTEBOOKS / "solutions" / f"{name}.py").read_text(encoding="utf-8")
    exercises = course.exercises(name)
    parts = {}  # the source of every statement, by its line
    for statement in ast.parse(source).body:
        exercise = getattr(statement, "name", None)
        lines = source.splitlines()[_first_line(statement) - 1 : statement.end_lineno]
        parts[statement.lineno] = course.stub(name, exercise) if exercise in exercises else "\n".join(lines)
    statements = {line: ast.parse(part).body[0] for line, part in parts.items()}
    kept = _reached(statements, {f"check_{exercise}" for exercise in exercises} | set(exercises))
    for exercise in exercises:
        for line in kept:
            if exercise not in _gives(statements[line]) and exercise in _uses(statements[line]):
                raise CourseError(
                    f"Line {line} of solutions/{name}.py calls the exercise {exercise}, but students get the checks "
                    "without solutions: let the check compute what it expects from code of its own."
                )
    imports = [line for line in kept if isinstance(statements[line], ast.Import | ast.ImportFrom)]
    return "".join(parts[line] + ("\n" if line in imports[:-1] else "\n\n\n") for line in kept).rstrip() + "\n"


def _first_line(statement: ast.stmt) -> int:
    return min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])


def _reached(statements: dict[int, ast.stmt], wanted: set[str]) -> list[int]:
    """The lines of the statements that define the wanted names and all that those use; the docstring is one of them."""
    kept: set[int] = {line for line, each in statements.items() if isinstance(each, ast.Expr)}
    found = True
    while found:
        found = {line for line, each in statements.items() if line not in kept and _gives(each) & wanted}
        kept |= found
        wanted = wanted.union(*(_uses(statements[line]) for line in found))
    return sorted(kept)


def _gives(statement: ast.stmt) -> set[str]:
    """The names that a statement at the top of a file defines."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(each.asname or each.name).split(".")[0] for each in statement.names}
    if hasattr(statement, "name"):
        return {statement.name}
    return {each.id for each in ast.walk(statement) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}


def _uses(statement: ast.stmt) -> set[str]:
    """The names that a statement takes from elsewhere."""
    names = [each for each in ast.walk(statement) if isinstance(each, ast.Name)]
    own = {each.id for each in names if isinstance(each.ctx, ast.Store)}
    own |= {each.arg for each in ast.walk(statement) if isinstance(each, ast.arg)}
    return {each.id for each in names} - own


def write(folder: Path, instructor: bool = False) -> list[Path]:
    """Write all notebooks and checks to a folder, and return the notebooks' paths.

    Raises:
        CourseError: The folder is the notebooks' own, or holds something else.
    """
    mark, kind = folder / "EDITION", "instructor" if instructor else "student"
    known = mark.read_text(encoding="utf-8").strip() if mark.is_file() else ""
    if known != kind and folder.is_dir() and any(folder.iterdir()):
        raise CourseError(f"{folder} holds {known or 'other'} files: give a new folder for the {kind} edition.")
    files = {mark: f"{kind}\n"} | ({folder / "nbgrader_config.py": CONFIG} if instructor else {})
    for source in sorted(course.NOTEBOOKS.glob("[0-9]*.ipynb")):
        name = source.stem
        home = folder / "source" / name if instructor else folder
        files[home / f"{name}.ipynb"] = nbformat.writes(edition(name, instructor)) + "\n"
        if _exercises(name):
            files[home / "checks" / f"{name}.py"] = checks(name)
    for path, text in files.items():  # none before all are made
        write_text(path, text)
    return [path for path in files if path.suffix == ".ipynb"]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Make the edition for students, or for instructors.")
    parser.add_argument("out", nargs="?", type=Path, help="default: runs/student or runs/instructor")
    parser.add_argument("--instructor", action="store_true", help="with solutions and keys, as a course for nbgrader")
    chosen = parser.parse_args()
    folder = chosen.out or runs_folder() / ("instructor" if chosen.instructor else "student")
    try:
        paths = write(folder, chosen.instructor)
    except CourseError as error:
        sys.exit(str(error))
    print(f"{len(paths)} notebooks are in {paths[0].parent if not chosen.instructor else folder}")


if __name__ == "__main__":
    main()
