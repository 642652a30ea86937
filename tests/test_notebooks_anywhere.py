"""Notebooks that handle images and networks themselves run at another size, and with the networks on a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import pretended_gpu
import pytest

ROOT = Path(__file__).parent.parent
CHOSEN = ("03", "04", "05", "09")  # the others leave that to the package; `notebooks/run.py --check` runs them all


@pytest.mark.skipif(bool(pretended_gpu.unusable()), reason=str(pretended_gpu.unusable()))
def test_every_cell_runs_on_a_gpu_at_the_smallest_size():
    notebooks = [str(next(ROOT.glob(f"notebooks/{number}_*.ipynb"))) for number in CHOSEN]
    command = [sys.executable, "notebooks/run.py", "--check", "--size", "smoke", "--pretended-gpu", *notebooks]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("every cell runs") == len(CHOSEN)
