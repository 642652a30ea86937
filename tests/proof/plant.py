"""Plant bugs in a copy of the package and see who notices: ``python tests/proof/plant.py [--again] [BUG ...]``.

For each bug of ``bugs.py`` the notebooks' regression runs on the copy, one notebook after another until one fails,
then the unit tests of the bug's file. Before a notebook or a test file is believed, it must pass without any bug.
Writes ``results.csv`` beside this file after each bug; what stands there is not done again without ``--again``.
"""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import pandas as pd
from bugs import BUGS, Bug

from reid_lab.errors import ReidLabError
from reid_lab.home import runs_folder, write_text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.csv"
NOBODY, TIMEOUT = "nobody", 900  # seconds for one notebook or test file
SCRAP = shutil.ignore_patterns(".git", ".venv", "runs", "__pycache__", ".*_cache", "*.egg-info", ".ipynb_checkpoints")


class Copy:
    """A copy of the checkout and of its finished runs, in which one bug at a time is planted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT, root, ignore=SCRAP, dirs_exist_ok=True)
        for result in runs_folder().glob("*/result.json"):
            shutil.copytree(result.parent, root / "runs" / result.parent.name)
        self.environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment |= {"REID_LAB_RUNS": str(root / "runs"), "OMP_NUM_THREADS": "1"}
        self.passed: set[str] = set()

    @contextlib.contextmanager
    def planted(self, bug: Bug):
        """With ``bug`` in the package; afterwards it is whole again, and what was trained with the bug is gone."""
        path, runs = self.root / "reid_lab" / bug.file, set((self.root / "runs").glob("*"))
        whole = path.read_text(encoding="utf-8")
        path.write_text(with_bug(bug, whole), encoding="utf-8")
        try:
            yield
        finally:
            path.write_text(whole, encoding="utf-8")
            for new in set((self.root / "runs").glob("*")) - runs:
                shutil.rmtree(new, ignore_errors=True)

    def failure(self, *asked: str) -> str | None:
        """The first that fails of what pytest is asked, by its name; None if all pass."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *asked]
        try:
            run = subprocess.run(
                command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            return f"no end after {TIMEOUT} s"
        if run.returncode == 0:
            return None
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", run.stdout, flags=re.M)
        return failed[1] if failed else f"pytest ended with status {run.returncode}"

    def must_pass(self, *asked: str) -> None:
        """Raises ReidLabError if ``asked`` fails without a bug; then its failures would prove nothing."""
        name = asked[-1]
        if name not in self.passed and (failed := self.failure(*asked)):
            raise ReidLabError(f"{name} fails without any bug ({failed}), so it cannot prove anything: mend it first.")
        self.passed.add(name)


def with_bug(bug: Bug, text: str) -> str:
    """The file's text with the bug. Raises ReidLabError if what it replaces is not there exactly once."""
    found = text.count(bug.was)
    if found != 1:
        raise ReidLabError(
            f"The bug {bug.name!r} cannot be planted any more: {bug.was!r} stands {found} times in {bug.file}, not "
            "once. Bring tests/proof/bugs.py up to date with the package."
        )
    return text.replace(bug.was, bug.becomes)


def caught(bug: Bug, copy: Copy) -> dict[str, object]:
    """Who notices ``bug``: a row of the table."""
    files = {path.stem[:2]: f"notebooks/{path.name}" for path in sorted((copy.root / "notebooks").glob("[0-9]*.ipynb"))}
    first = [files[number] for number in bug.notebooks if number in files]
    order, tests = [*first, *(file for file in files.values() if file not in first)], f"tests/{bug.tests}"
    start, notebook, cell = time.perf_counter(), NOBODY, ""
    for file in order:
        copy.must_pass("--nbval", file)
        with copy.planted(bug):
            failed = copy.failure("--nbval", file)
        if failed:
            place = re.search(r"Cell (\d+)", failed)
            notebook, cell = Path(file).stem, f"[{int(place[1]) + 1}]" if place else failed
            break
    copy.must_pass(tests)
    with copy.planted(bug):
        test = copy.failure(tests) or NOBODY
    seconds = round(time.perf_counter() - start)
    noticed = {"notebook": notebook, "cell": cell, "test": test.removeprefix("tests/"), "seconds": seconds}
    return {"bug": bug.name, "file": bug.file, **noticed, "note": bug.note, "date": date.today().isoformat()}


def keep(row: dict[str, object]) -> pd.DataFrame:
    """Write the row to the table, in the place of an older one of the same bug; bugs stand in their own order."""
    table = pd.DataFrame([row])
    if RESULTS.exists():
        before = pd.read_csv(RESULTS, keep_default_na=False)
        table = pd.concat([before[before["bug"] != row["bug"]], table])
    names = [bug.name for bug in BUGS]
    table = table[table["bug"].isin(names)].sort_values("bug", key=lambda column: column.map(names.index))
    write_text(RESULTS, table.to_csv(index=False))
    return table


def main() -> int:
    """0 if somebody noticed every bug, 1 if not, or if something kept us from trying."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bugs", nargs="*", help="words from the bugs' names (default: all)")
    parser.add_argument("--again", action="store_true", help="also those that the table has")
    options = parser.parse_args()
    done = set(pd.read_csv(RESULTS)["bug"]) if RESULTS.exists() and not options.again else set()
    chosen = [bug for bug in BUGS if not options.bugs or any(word in bug.name for word in options.bugs)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            copy = Copy(Path(folder))
            for bug in (bug for bug in chosen if bug.name not in done):
                row = caught(bug, copy)
                keep(row)
                print(f"{bug.name}: {row['notebook']} {row['cell']}; {row['test']} ({row['seconds']} s)", flush=True)
        except ReidLabError as error:
            print(error)
            return 1
    table = pd.read_csv(RESULTS, keep_default_na=False)
    by_notebook, by_test = table["notebook"] != NOBODY, table["test"] != NOBODY
    print(f"{len(table)} bugs: notebooks notice {by_notebook.sum()}, unit tests {by_test.sum()}, ", end="")
    print(f"one or the other {(by_notebook | by_test).sum()}.")
    return int(not (by_notebook | by_test).all())


if __name__ == "__main__":
    sys.exit(main())
