"""Run the notebooks from top to bottom and save their outputs: ``python notebooks/run.py [NOTEBOOK ...]``.

Settings are those under which the tests compare outputs (``conftest.py``). Only source and outputs are kept, so that a
difference between two versions shows what changed.
"""

import sys
import time
from pathlib import Path

import conftest  # noqa: F401 (sets the environment of the kernels)
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
KEPT = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def run(path: Path) -> tuple[float, float]:
    """Execute one notebook in place; an error in a cell is raised and the file stays as it was.

    Returns the minutes that it took, and the most GiB that its kernel held (nan where the system does not say).
    """
    notebook, began = nbformat.read(path, as_version=4), time.perf_counter()
    client = NotebookClient(notebook, timeout=1200, record_timing=False, resources={"metadata": {"path": str(HERE)}})
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        peak = _peak(client)
    notebook.metadata = nbformat.from_dict({**KEPT, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
            for output in cell.outputs:  # a control lives in its kernel alone; its text and picture stay
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)
    return (time.perf_counter() - began) / 60, peak


def _peak(client: NotebookClient) -> float:
    unit = 30 if sys.platform == "darwin" else 20
    code = f"import resource; resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**{unit}"
    client.nb.cells.append(nbformat.v4.new_code_cell(code))
    try:
        told = client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
        return float(told.outputs[-1]["data"]["text/plain"])
    except Exception:  # no such module on Windows
        return float("nan")
    finally:
        client.nb.cells.pop()


def _joined(outputs: list) -> list:
    """Consecutive prints as one output, however they happened to arrive."""
    joined: list = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and output.output_type == last.output_type == "stream" and output.name == last.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


if __name__ == "__main__":
    for chosen in map(Path, sys.argv[1:]) if sys.argv[1:] else sorted(HERE.glob("[0-9]*.ipynb")):
        minutes, peak = run(chosen)
        print(f"{chosen.name}: {minutes:.1f} minutes, {peak:.1f} GiB", flush=True)
