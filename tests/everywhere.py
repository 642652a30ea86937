"""Unit tests and notebooks as other processors would run them: ``make everywhere``, which takes hours.

On a CPU, PyTorch leaves convolutions to oneDNN, which chooses among its kernels by the processor; ONEDNN_MAX_CPU_ISA
holds it back to those of an older one. Each setting has a home and runs of its own, so that its networks are trained
under it. What passed is kept in ``runs/everywhere/`` and not run again; delete that folder to start afresh.
"""

import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import torch

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "runs" / "everywhere"
SETTINGS = [(isa, threads) for isa in ("AVX2", "AVX512_CORE_BF16", "unset") for threads in (1, 2)]
WORK = {"tests": ["-p", "no:nbval", "tests"], "cells": ["--nbval", "notebooks"]}
KEYS, COUNTS = ["ONEDNN_MAX_CPU_ISA", "threads", "work"], ["passed", "failed", "skipped"]


def processor():
    """The name of this machine's processor, and the vector instructions that PyTorch sees."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    amx = ", AMX" if getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)() else ""
    return f"{name} ({torch.backends.cpu.get_cpu_capability()}{amx}, {os.cpu_count()} cores)"


def environment(isa, threads, home):
    """The variables of one setting."""
    given = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    given["OMP_WAIT_POLICY"] = "passive"  # who waits leaves the core to who works: the same numbers, sooner
    given |= {"REID_LAB_THREADS": str(threads), "REID_LAB_HOME": str(home), "REID_LAB_RUNS": str(home / "runs")}
    return given if isa == "unset" else given | {"ONEDNN_MAX_CPU_ISA": isa}


def run(isa, threads, work):
    """Run the tests, or the notebooks' cells, under one setting: how many passed, failed and were skipped."""
    home = FOLDER / f"{isa}-{threads}"
    home.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(home / "runs", ignore_errors=True)  # of a call that failed or was stopped: train again
    report, workers = home / f"{work}.xml", max(1, min(4, (os.cpu_count() or 1) // threads))
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    began = time.monotonic()
    with open(home / f"{work}.log", "w", encoding="utf-8") as log:
        done = subprocess.run(
            [*command, f"--junitxml={report}", *WORK[work]],
            cwd=ROOT,
            env=environment(isa, threads, home),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    counts = counted(report) if report.is_file() else dict.fromkeys(COUNTS, 0)
    if done.returncode and not counts["failed"]:
        counts["failed"] = 1  # pytest itself: the log tells
    minutes = round((time.monotonic() - began) / 60, 1)
    return dict(zip(KEYS, (isa, threads, work), strict=True)) | counts | {"minutes": minutes, "CPU": processor()}


def counted(report):
    """Passed, failed and skipped, of pytest's report in JUnit's form."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    found = [{name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")} for suite in suites]
    total = {name: sum(suite[name] for suite in found) for name in found[0]}
    failed = total["failures"] + total["errors"]
    return {"passed": total["tests"] - failed - total["skipped"], "failed": failed, "skipped": total["skipped"]}


def table(rows):
    """One line per setting: tests passed, failed and skipped, their minutes, then the same of the notebooks' cells."""
    wide = rows.pivot(index=KEYS[:2], columns="work", values=[*COUNTS, "minutes"]).swaplevel(axis=1)
    columns = [(work, name) for work in WORK for name in (*COUNTS, "minutes") if (work, name) in wide]
    return wide[columns].astype({column: "Int64" for column in columns if column[1] in COUNTS}).to_string(na_rep="")


def main():
    """Run what has not passed yet, print the table, and return how many settings failed."""
    path = FOLDER / "results.csv"
    rows = pd.read_csv(path) if path.is_file() else pd.DataFrame(columns=[*KEYS, *COUNTS, "minutes", "CPU"])
    print(processor(), flush=True)
    for setting in [(isa, threads, work) for isa, threads in SETTINGS for work in WORK]:
        same = (rows[KEYS] == list(setting)).all(axis=1)
        if (rows[same]["failed"] == 0).any():
            continue
        print(*setting, end=": ", flush=True)
        rows = pd.DataFrame([*rows[~same].to_dict("records"), run(*setting)])
        rows.to_csv(path, index=False)
        print(*(f"{rows.iloc[-1][name]} {name}," for name in COUNTS), rows.iloc[-1]["minutes"], "minutes", flush=True)
    failed = int((rows["failed"] > 0).sum())
    print(f"\n{table(rows)}\n\n{failed} of {len(rows)} failed; logs and results are in {FOLDER}")
    return failed


if __name__ == "__main__":
    sys.exit(min(main(), 1))
