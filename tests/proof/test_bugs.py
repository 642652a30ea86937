"""That every bug of the proof can still be planted; ``make proof`` plants them, and takes two hours."""

import ast
import sys
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from bugs import BUGS  # noqa: E402
from quiet_bugs import QUIET_BUGS  # noqa: E402

ALL = BUGS + QUIET_BUGS


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_a_bug_stands_for_text_that_is_there_once_and_leaves_a_module_that_python_reads(bug):
    text = (ROOT / "reid_lab" / bug.file).read_text(encoding="utf-8")
    assert text.count(bug.was) == 1, f"bring tests/proof up to date: {bug.was!r} in {bug.file}"
    assert ast.dump(ast.parse(text.replace(bug.was, bug.becomes))) != ast.dump(ast.parse(text))


@pytest.mark.parametrize("bug", ALL, ids=lambda bug: bug.name)
def test_those_who_should_notice_a_bug_exist(bug):
    assert (ROOT / "tests" / bug.tests).is_file()
    for number in bug.notebooks:
        assert list((ROOT / "notebooks").glob(f"{number}_*.ipynb")), number


def test_no_two_bugs_have_one_name():
    assert len({bug.name for bug in ALL}) == len(ALL) >= 80


def test_the_table_has_every_bug_and_somebody_noticed_each():
    table = pd.read_csv(HERE / "results.csv", keep_default_na=False)
    assert table["bug"].tolist() == [bug.name for bug in ALL]
    assert ((table["test"] != "nobody") | ~table["notebook"].isin(["nobody", "not asked"])).all()
    assert table.loc[table["notebook"] == "not asked", "bug"].tolist() == [bug.name for bug in QUIET_BUGS]
