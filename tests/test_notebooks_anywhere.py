"""The notebooks that train run at another size, and where their networks lie on a GPU: no image stays behind."""

import os
import subprocess
import sys
from pathlib import Path

import pretended_gpu
import pytest

ROOT = Path(__file__).parent.parent
TRAINING = ("03", "04", "05", "06", "08", "09", "10")  # 00 and 07 train at the smallest size only, in more steps


@pytest.mark.skipif(bool(pretended_gpu.unusable()), reason=str(pretended_gpu.unusable()))
def test_every_cell_runs_on_a_gpu_at_the_smallest_size():
    notebooks = [str(next(ROOT.glob(f"notebooks/{number}_*.ipynb"))) for number in TRAINING]
    command = [sys.executable, "notebooks/run.py", "--check", "--size", "smoke", "--pretended-gpu", *notebooks]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("every cell runs") == len(TRAINING)
