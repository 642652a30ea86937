"""That every device fault of the proof can still be planted; ``make proof`` plants them."""

import ast
import sys
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE))

from device_bugs import DEVICE_BUGS  # noqa: E402


@pytest.mark.parametrize("bug", DEVICE_BUGS, ids=lambda bug: bug.name)
def test_a_fault_stands_for_text_that_is_there_once_and_leaves_a_module_that_python_reads(bug):
    text = (ROOT / "reid_lab" / bug.file).read_text(encoding="utf-8")
    assert text.count(bug.was) == 1, f"bring tests/proof/device_bugs.py up to date: {bug.was!r} in {bug.file}"
    assert ast.dump(ast.parse(text.replace(bug.was, bug.becomes))) != ast.dump(ast.parse(text))
    assert all((ROOT / "tests" / name).is_file() for name in bug.tests.split())


def test_somebody_noticed_each_fault():
    table = pd.read_csv(HERE / "device_results.csv")
    assert list(table["bug"]) == [bug.name for bug in DEVICE_BUGS] and len(DEVICE_BUGS) >= 10
    assert not (table["test"] == "nobody").any()
