"""Plant faults that only a GPU would show, and see which test on a pretended GPU notices.

``python tests/proof/plant_devices.py [--again] [BUG ...]``, as ``plant.py``; writes ``device_results.csv``.
"""

import argparse
import sys
import tempfile
from datetime import date
from pathlib import Path

import pandas as pd
from bugs import Bug
from device_bugs import DEVICE_BUGS
from plant import HERE, NOBODY, Copy

from reid_lab.home import write_text

RESULTS = HERE / "device_results.csv"


def caught(bug: Bug, copy: Copy) -> dict[str, object]:
    """Who notices ``bug``: a row of the table. The tests must pass without it."""
    tests = [f"tests/{name}" for name in bug.tests.split()]
    for name in tests:
        copy.must_pass(name)
    copy.seconds = 0.0
    noticed = (copy.failure_with(bug, *tests) or NOBODY).removeprefix("tests/")
    return {
        "bug": bug.name,
        "file": bug.file,
        "test": noticed,
        "seconds": round(copy.seconds),
        "date": f"{date.today()}",
    }


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
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Copy(Path(folder))
        for bug in chosen:
            if bug.name in rows and not options.again:
                continue
            rows[bug.name] = caught(bug, copy)
            print(f"{bug.name}: {rows[bug.name]['test']} ({rows[bug.name]['seconds']} s)", flush=True)
            table = pd.DataFrame([rows[name] for name in names if name in rows])
            write_text(RESULTS, table.to_csv(index=False))
    missed = [name for name, row in rows.items() if row["test"] == NOBODY]
    print(f"{len(rows)} device faults in the table; nobody notices {len(missed)}. {'; '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
