"""Run the notebooks from top to bottom and save their outputs: ``python notebooks/run.py [NOTEBOOK ...]``.

Settings are those under which the tests compare outputs (``conftest.py``). Only source and outputs are kept, so that a
difference between two versions shows what changed.
"""

import sys
from pathlib import Path

import conftest  # noqa: F401 (sets the environment of the kernels)
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
KEPT = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def run(path: Path) -> None:
    """Execute one notebook in place; an error in a cell is raised and the file stays as it was."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, record_timing=False, resources={"metadata": {"path": str(HERE)}}).execute()
    notebook.metadata = nbformat.from_dict({**KEPT, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    nbformat.write(notebook, path)


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
        print(chosen.name, flush=True)
        run(chosen)
