import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reid_lab.runtime import pool
from reid_lab.runtime.errors import WorkerError

ROOT = str(Path(pool.__file__).parents[2])


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_jobs(workers):
    assert list(pool.ordered_map(math.sqrt, range(20), workers)) == [math.sqrt(n) for n in range(20)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_raised_with_its_own_message(workers):
    with pytest.raises(ValueError, match="math domain error|nonnegative"):
        list(pool.ordered_map(math.sqrt, [1, 2, -1, 3], workers))


def test_a_worker_that_ends_early_is_an_error_of_the_package():
    with pytest.raises(WorkerError):
        list(pool.ordered_map(os._exit, [3, 3, 3], 2))


def test_a_worker_computes_with_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert set(pool.ordered_map(os.getenv, ["OMP_NUM_THREADS", "MKL_NUM_THREADS"], 2)) == {"1"}


def test_a_pool_that_is_left_early_ends_its_workers():
    results = pool.ordered_map(time.sleep, [0, 60, 60, 60], 2)
    next(results)
    before = time.monotonic()
    results.close()
    assert time.monotonic() - before < 20


@pytest.mark.skipif(os.name != "posix", reason="needs process groups")
def test_ctrl_c_ends_the_workers_at_once():
    code = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & ignores Ctrl-C
        "from reid_lab.runtime.pool import ordered_map\n"
        "try:\n    for _ in ordered_map(time.sleep, [0, 0, 600, 600, 600], 2): print('one', flush=True)\n"
        "except KeyboardInterrupt: print('interrupted')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
        start_new_session=True,
    )
    assert process.stdout.readline() == "one\n"
    assert process.stdout.readline() == "one\n"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, _ = process.communicate(timeout=120)  # returns when the last of them, workers too, has ended
    assert out == "interrupted\n"
