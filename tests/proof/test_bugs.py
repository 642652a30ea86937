"""That every bug of the proof can still be planted; ``make proof`` plants them, and takes 40 minutes."""

import ast
import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
BUGS = runpy.run_path(str(HERE / "bugs.py"))["BUGS"]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_stands_for_text_that_is_there_once_and_leaves_a_module_that_python_reads(bug):
    text = (ROOT / "reid_lab" / bug.file).read_text(encoding="utf-8")
    assert text.count(bug.was) == 1, f"bring tests/proof/bugs.py up to date: {bug.was!r} in {bug.file}"
    assert ast.dump(ast.parse(text.replace(bug.was, bug.becomes))) != ast.dump(ast.parse(text))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_those_who_should_notice_a_bug_exist(bug):
    assert (ROOT / "tests" / bug.tests).is_file()
    for number in bug.notebooks:
        assert list((ROOT / "notebooks").glob(f"{number}_*.ipynb")), number


def test_no_two_bugs_have_one_name():
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 14
