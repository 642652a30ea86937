"""Run the notebooks from top to bottom and save their outputs: ``python notebooks/run.py [NOTEBOOK ...]``.

Settings are those under which the tests compare outputs (``conftest.py``). Only source and outputs are kept, so that a
difference between two versions shows what changed. Pictures are shrunk before they are saved (``pictures.py``).

    python notebooks/run.py --check --size smoke                    # does every cell run at this size?
    python notebooks/run.py --check --size smoke --pretended-gpu    # ... and where the networks lie on a GPU?
    python notebooks/run.py --check --size full --device cuda       # ... and on a real one?

``--check`` saves nothing: neither outputs nor what was trained.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import conftest  # noqa: F401 (sets the environment of the kernels)
import nbformat
import one_click
import pictures
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
PRETENDED = f"import sys; sys.path.insert(0, {str(TESTS)!r}); import pretended_gpu; pretended_gpu.pretend('cuda')"
KEPT = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def run(path: Path) -> tuple[float, float]:
    """Execute one notebook in place; an error in a cell is raised and the file stays as it was.

    Returns the minutes that it took, and the most GiB that its kernel held (nan where the system does not say).
    """
    notebook, began = one_click.add(nbformat.read(path, as_version=4), path.stem), time.perf_counter()
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
            pictures.shrink(cell)
            pictures.describe(cell)
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


def check(paths: list[Path], before: str = "") -> dict[str, str]:
    """Run every cell of copies, all notebooks in one kernel, from an empty folder of runs; ``before`` is run first.

    Returns the first error of each notebook by its name, "" where there is none.
    """
    found = {}
    with tempfile.TemporaryDirectory() as runs:
        first = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(before)])
        client = NotebookClient(first, timeout=None, record_timing=False, resources={"metadata": {"path": str(HERE)}})
        with client.setup_kernel(env={**os.environ, "REID_LAB_RUNS": runs}):
            client.execute_cell(first.cells[0], 0)
            for path in paths:
                began = time.perf_counter()
                client.nb = nbformat.read(path, as_version=4)
                client.nb.cells.insert(0, nbformat.v4.new_code_cell("%reset -f\nimport gc; gc.collect()"))
                found[path.stem] = _first_error(client)
                seconds = time.perf_counter() - began
                print(f"{path.name}: {found[path.stem] or 'every cell runs'}, {seconds:.0f} s", flush=True)
    return found


def _first_error(client: NotebookClient) -> str:
    for index, cell in enumerate(client.nb.cells):
        try:
            client.execute_cell(cell, index)
        except CellExecutionError as error:
            return f"cell {index - 1}: {error.ename}: {error.evalue}"
        except DeadKernelError:
            return f"cell {index - 1}: the kernel died"
    return ""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run the notebooks and save their outputs, or check that they run.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    parser.add_argument("--check", action="store_true", help="only see whether every cell runs; save nothing")
    parser.add_argument("--size", default="classroom", help="with --check: smoke, classroom or full")
    parser.add_argument("--device", default="cpu", help="with --check: cpu, cuda, ...")
    parser.add_argument("--pretended-gpu", action="store_true", help="with --check: the GPU of tests/pretended_gpu.py")
    chosen = parser.parse_args()
    paths = chosen.notebooks or sorted(HERE.glob("[0-9]*.ipynb"))
    if not chosen.check:
        if (chosen.size, chosen.device, chosen.pretended_gpu) != ("classroom", "cpu", False):
            parser.error("saved outputs are those of the CPU at classroom size: use other settings with --check")
        for path in paths:
            minutes, peak = run(path)
            print(f"{path.name}: {minutes:.1f} minutes, {peak:.1f} GiB", flush=True)
        return
    if chosen.device != "cpu":
        os.environ.pop("CUDA_VISIBLE_DEVICES")  # conftest.py hides all GPUs
    device = "cuda" if chosen.pretended_gpu else chosen.device
    os.environ |= {"REID_LAB_SIZE": chosen.size, "REID_LAB_DEVICE": device}
    sys.exit(any(check(paths, PRETENDED if chosen.pretended_gpu else "").values()))


if __name__ == "__main__":
    main()
