"""The proof itself takes 40 minutes and is not run here; that every bug can still be planted is."""

import runpy
from pathlib import Path

import pytest

import reid_lab

PACKAGE = Path(reid_lab.__file__).parent
TESTS = Path(__file__).parent.parent
BUGS = runpy.run_path(str(Path(__file__).with_name("bugs.py")))["BUGS"]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_in_one_place_and_is_looked_for_in_a_test_file(bug):
    assert (PACKAGE / bug.file).read_text(encoding="utf-8").count(bug.was) == 1
    assert bug.was != bug.becomes and (TESTS / bug.tests).is_file()
