"""How much a score depends on the machine: `python benchmarks/stability.py`, about an hour on two cores.

Both papers' methods are trained at `classroom` size with three seeds, under settings that imitate other machines. A
CPU's kernels are chosen by its vector instructions, and ONEDNN_MAX_CPU_ISA holds them back to those of an older one,
which has no bf16. The scores are those of validation people: a recipe is accepted or not, and nothing else is asked.
Vital signs are those of the last epoch. Written to `benchmarks/results/stability.csv`; what is there is not run again.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import pandas as pd  # noqa: E402
import torch  # noqa: E402
from _provenance import RESULTS, keep, show  # noqa: E402

from reid_lab import data, methods, training  # noqa: E402

SETTINGS = {  # by name: the variables that imitate another machine
    "this machine, one thread": {"OMP_NUM_THREADS": "1"},
    "this machine, two threads": {"OMP_NUM_THREADS": "2"},
    "AVX-512 without bf16, one thread": {"OMP_NUM_THREADS": "1", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX2, one thread": {"OMP_NUM_THREADS": "1", "ONEDNN_MAX_CPU_ISA": "AVX2"},
}
METHODS, SEEDS = ("residual_pooling", "multitask"), range(3)
SIGNS = ("paying", "same_position", "spread", "length", "gradient_norm", "accuracy")


def one(method, seed):
    """Train, or load, and return the score and the last epoch's signs."""
    benchmark = data.passersby("classroom", seed=seed).validation()
    threads = torch.get_num_threads()  # deterministic: with all of them, else the faster number is chosen
    run = training.fit(
        methods.METHODS[method].at("classroom"), benchmark, seed, device="cpu", deterministic=threads > 1
    )
    scores = {name: round(100 * run.result[name], 2) for name in ("rank-1", "mAP")}
    last = run.history.iloc[-1]
    about = {name: run.environment[name] for name in ("precision", "threads")}
    signs = {name: round(float(last[name]), 3) for name in SIGNS if name in last and pd.notna(last[name])}
    return scores | about | signs | {"unhealthy": "; ".join(training.unhealthy(run.history))}


def main():
    """Train under every setting in a process of its own, print the table, write the CSV."""
    runs, path = Path(os.environ.get("REID_LAB_RUNS", "runs")) / "stability", RESULTS / "stability.csv"
    done = set(pd.read_csv(path)["training"]) if path.exists() else set()
    for seed in SEEDS:
        for method in METHODS:
            for setting, variables in SETTINGS.items():
                name = f"{method}, seed {seed}, {setting}"
                if name in done:
                    continue
                variables = variables | {"REID_LAB_RUNS": str(runs / setting.replace(" ", "_").replace(",", ""))}
                command = [sys.executable, __file__, method, str(seed)]
                told = subprocess.run(
                    command, env=os.environ | variables, check=True, stdout=subprocess.PIPE, text=True
                )
                row = {"training": name, "method": method, "seed": seed, "setting": setting}
                rows = [row | json.loads(told.stdout.splitlines()[-1])]
                show(rows)
                keep("stability", rows)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(one(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
