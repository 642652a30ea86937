"""The kernels of the notebook tests: no port that two could pick, and nothing left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PROGRAM = """
import conftest, nbval.kernel
conftest.pytest_configure()
kernel = nbval.kernel.RunningKernel("python3", startup_timeout=120)
print(kernel.km.transport)
kernel.stop()
"""


@pytest.mark.skipif(os.name != "posix", reason="needs named sockets")
def test_kernels_talk_over_files_that_are_gone_afterwards(tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=NOTEBOOKS, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["ipc"]
    assert not list(tmp_path.glob("reid_lab-kernel-*"))
