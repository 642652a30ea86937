"""Plant faults that only a GPU would show, and see which test on a pretended GPU notices.

``python tests/proof/plant_devices.py [--again] [BUG ...]``, as ``plant.py``; writes ``device_results.csv``.
"""

import argparse
import contextlib
import importlib
import multiprocessing
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

import pandas as pd
import pytest
from bugs import Bug
from device_bugs import DEVICE_BUGS
from plant import HERE, NOBODY, Copy

from reid_lab.runtime.files import write_text

RESULTS = HERE / "device_results.csv"
SLOW = ("torch._dynamo", "torchvision", "pytorch_grad_cam", "reid_lab.analysis.backgrounds", "reid_lab.export")


class First:
    """The first test that fails: a plugin for pytest."""

    failed: str | None = None

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_collectreport(self, report):
        self.pytest_runtest_logreport(report)


class Forked(Copy):
    """The same, but pytest runs in forks of this process, which has imported what takes seconds."""

    def failure(self, *asked):
        answers = multiprocessing.get_context("fork").SimpleQueue()
        child = multiprocessing.get_context("fork").Process(target=self._ask, args=(asked, answers))
        child.start()
        child.join()
        return f"ended by {child.exitcode}" if answers.empty() else answers.get()

    def _ask(self, asked, answers):
        os.environ |= self.environment
        os.chdir(self.root)
        sys.path.insert(0, str(self.root))
        for name in [name for name in sys.modules if name.split(".")[0] == "reid_lab"]:
            del sys.modules[name]  # the copy's own is imported
        first = First()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *asked], plugins=[first])
        ours = sys.modules["reid_lab"].__file__ or ""
        assert ours.startswith(str(self.root)), f"the tests were of {ours}"
        answers.put(first.failed or (f"pytest ended with status {status}" if status else None))


def caught(bug: Bug, copy: Copy) -> dict[str, object]:
    """Who notices ``bug``: a row of the table. The tests must pass without it."""
    tests = [f"tests/{name}" for name in bug.tests.split()]
    for name in tests:
        copy.must_pass(name)
    copy.seconds = 0.0
    noticed = (copy.failure_with(bug, *tests) or NOBODY).removeprefix("tests/")
    row = {"bug": bug.name, "file": bug.file, "test": noticed}
    return row | {"seconds": round(copy.seconds), "date": f"{date.today()}"}


def main() -> int:
    """0 if every fault was noticed, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bugs", nargs="*", help="words from the bugs' names (default: all)")
    parser.add_argument("--again", action="store_true", help="also those that the table has")
    options = parser.parse_args()
    names = [bug.name for bug in DEVICE_BUGS]
    known = pd.read_csv(RESULTS).to_dict("records") if RESULTS.exists() else []
    rows = {row["bug"]: row for row in known if row["bug"] in names}
    chosen = [bug for bug in DEVICE_BUGS if not options.bugs or any(word in bug.name for word in options.bugs)]
    for name in SLOW:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Forked(Path(folder))
        for bug in (bug for bug in chosen if options.again or bug.name not in rows):
            rows[bug.name] = caught(bug, copy)
            print(f"{bug.name}: {rows[bug.name]['test']} ({rows[bug.name]['seconds']} s)", flush=True)
            write_text(RESULTS, pd.DataFrame([rows[name] for name in names if name in rows]).to_csv(index=False))
    missed = [name for name, row in rows.items() if row["test"] == NOBODY]
    print(f"{len(rows)} device faults in the table; nobody notices {len(missed)}. {'; '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
