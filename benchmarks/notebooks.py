"""What each notebook of the course takes: ``python benchmarks/notebooks.py [NOTEBOOK ...]``.

Minutes from the first cell to the last, and the most memory that its kernel held, on one thread and with the networks
that notebooks train trained already. Copies are run, so the saved outputs stay as they are.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from _provenance import keep, show

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))
from run import run  # noqa: E402


def measure(notebook):
    """Minutes and memory of one notebook, as a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        minutes, peak = run(Path(shutil.copy(notebook, folder)))
    return {"notebook": notebook.stem, "minutes": round(minutes, 1), "memory, GiB": round(peak, 1)}


if __name__ == "__main__":
    chosen = [Path(name) for name in sys.argv[1:]] or sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    rows = []
    for notebook in chosen:
        rows.append(measure(notebook))
        show(rows[-1:])
    keep("notebooks", rows)
