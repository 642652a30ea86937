"""Plant bugs in a copy of the package and see who notices: ``python tests/proof/plant.py [--again] [BUG ...]``.

For each bug of ``bugs.py`` the notebooks' regression runs on the copy, one notebook after another until one fails,
then the unit tests of the bug's file; of those of ``quiet_bugs.py`` the unit tests alone. Before a notebook or a test
file is believed, it must pass without any bug.
Writes ``results.csv`` beside this file after each bug; what stands there is not done again without ``--again``.
"""

import argparse
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
from quiet_bugs import QUIET_BUGS

from reid_lab.runtime.errors import ReidLabError
from reid_lab.runtime.files import runs_folder, write_text

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.csv"
NOBODY, NOT_ASKED = "nobody", "not asked"
TIMEOUT = 900  # seconds for one notebook or test file
COLUMNS = ["bug", "file", "notebook", "cell", "test", "seconds", "note", "date"]
SCRAP = shutil.ignore_patterns(".git", ".venv", "runs", ".*_cache", "*.egg-info", ".ipynb_checkpoints")


class Copy:
    """A copy of the checkout and of its finished runs, in which one bug at a time is planted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT, root, ignore=SCRAP, dirs_exist_ok=True)
        for result in runs_folder().glob("*/result.json"):
            shutil.copytree(result.parent, root / "runs" / result.parent.name)
        self.environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment |= {"REID_LAB_RUNS": str(root / "runs"), "OMP_NUM_THREADS": "1"}
        self.seconds = 0.0  # with a bug planted
        self.without_bug: dict[str, str | None] = {}

    def failure_with(self, bug: Bug, *asked: str) -> str | None:
        """The same with ``bug`` planted; afterwards the package is whole again, and what was trained with it gone."""
        path, runs, start = self.root / "reid_lab" / bug.file, self._runs(), time.perf_counter()
        whole = path.read_text(encoding="utf-8")
        path.write_text(with_bug(bug, whole), encoding="utf-8")
        try:
            return self.failure(*asked)
        finally:
            path.write_text(whole, encoding="utf-8")
            for new in self._runs() - runs:
                shutil.rmtree(new, ignore_errors=True)
            self.seconds += time.perf_counter() - start

    def _runs(self) -> set[Path]:
        return set((self.root / "runs").glob("*"))

    def failure(self, *asked: str) -> str | None:
        """The first that fails of what pytest is asked, or None. Raises ReidLabError if it was killed."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *asked]
        try:
            run = subprocess.run(
                command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT
            )
        except subprocess.TimeoutExpired:
            return f"no end after {TIMEOUT} s"
        if run.returncode < 0:
            raise ReidLabError(f"pytest {asked[-1]} was killed by signal {-run.returncode}: start again.")
        if run.returncode == 0:
            return None
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", run.stdout, flags=re.M)
        return failed[1] if failed else f"pytest ended with status {run.returncode}"

    def must_pass(self, *asked: str) -> None:
        """Raises ReidLabError if ``asked`` fails without a bug; then its failures would prove nothing."""
        name = asked[-1]
        if name not in self.without_bug:
            self.without_bug[name] = self.failure(*asked)
        if failed := self.without_bug[name]:
            raise ReidLabError(f"{name} fails without any bug ({failed}), so it cannot prove anything: mend it first.")


def with_bug(bug: Bug, text: str) -> str:
    """The file's text with the bug. Raises ReidLabError if what it replaces is not there exactly once."""
    found = text.count(bug.was)
    if found != 1:
        raise ReidLabError(
            f"The bug {bug.name!r} cannot be planted any more: {bug.was!r} stands {found} times in {bug.file}, not "
            "once. Bring tests/proof/bugs.py up to date with the package."
        )
    return text.replace(bug.was, bug.becomes)


def first_notebook(bug: Bug, copy: Copy) -> tuple[str, str, str]:
    """The first notebook that notices ``bug``, its cell, and a note about those that could not be asked."""
    if not bug.notebooks:
        return NOT_ASKED, "", ""
    files = {path.stem[:2]: f"notebooks/{path.name}" for path in sorted((copy.root / "notebooks").glob("[0-9]*.ipynb"))}
    first, unasked = [files[number] for number in bug.notebooks if number in files], []
    for file in [*first, *(file for file in files.values() if file not in first)]:
        try:
            copy.must_pass("--nbval", file)
        except ReidLabError:
            if file in first:
                raise
            unasked.append(Path(file).stem)
            continue
        if failed := copy.failure_with(bug, "--nbval", file):
            place = re.search(r"Cell (\d+)", failed)
            return Path(file).stem, f"[{int(place[1]) + 1}]" if place else failed, ""
    return NOBODY, "", f"not asked, for they fail without any bug: {', '.join(unasked)}" if unasked else ""


def caught(bug: Bug, copy: Copy) -> dict[str, object]:
    """Who notices ``bug``: a row of the table. The seconds are those with the bug planted."""
    copy.seconds = 0.0
    notebook, cell, unasked = first_notebook(bug, copy)
    tests = f"tests/{bug.tests}"
    copy.must_pass(tests)
    test = (copy.failure_with(bug, tests) or NOBODY).removeprefix("tests/")
    note = "; ".join(filter(None, [bug.note, unasked]))
    row = bug.name, bug.file, notebook, cell, test, round(copy.seconds), note, date.today().isoformat()
    return dict(zip(COLUMNS, row, strict=True))


def keep(row: dict[str, object]) -> dict[str, object]:
    """Write the row to the table, in the place of an older one of the same bug; bugs stand in their own order."""
    table = pd.DataFrame([row])
    if RESULTS.exists():
        before = pd.read_csv(RESULTS, keep_default_na=False)
        table = pd.concat([before[before["bug"] != row["bug"]], table])
    names = [bug.name for bug in BUGS + QUIET_BUGS]
    table = table[table["bug"].isin(names)].sort_values("bug", key=lambda column: column.map(names.index))
    write_text(RESULTS, table.to_csv(index=False))
    return row


def main() -> int:
    """0 if somebody noticed every bug, 1 if not, or if something kept us from trying."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bugs", nargs="*", help="words from the bugs' names (default: all)")
    parser.add_argument("--again", action="store_true", help="also those that the table has")
    options = parser.parse_args()
    done = set(pd.read_csv(RESULTS)["bug"]) if RESULTS.exists() and not options.again else set()
    chosen = [bug for bug in BUGS + QUIET_BUGS if not options.bugs or any(word in bug.name for word in options.bugs)]
    untried = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Copy(Path(folder))
        for bug in (bug for bug in chosen if bug.name not in done):
            try:
                row = keep(caught(bug, copy))
                print(f"{bug.name}: {row['notebook']} {row['cell']}; {row['test']} ({row['seconds']} s)", flush=True)
            except ReidLabError as error:
                untried += 1
                print(f"{bug.name}: not tried. {error}", flush=True)
    return int(not everybody_noticed() or untried > 0)


def everybody_noticed() -> bool:
    """Print a summary of the table; returns whether each of its bugs was noticed by a notebook or a unit test."""
    table = pd.read_csv(RESULTS, keep_default_na=False) if RESULTS.exists() else pd.DataFrame(columns=COLUMNS)
    asked, by_test = table["notebook"] != NOT_ASKED, table["test"] != NOBODY
    by_notebook = asked & (table["notebook"] != NOBODY)
    either = by_notebook | by_test
    print(
        f"{len(table)} bugs in the table: notebooks notice {by_notebook.sum()} of the {asked.sum()} that they are ",
        end="",
    )
    print(f"asked about, unit tests {by_test.sum()}, one or the other {either.sum()}.")
    return bool(either.all())


if __name__ == "__main__":
    sys.exit(main())
