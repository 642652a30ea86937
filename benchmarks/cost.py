"""Paper B's Table 4 on the machine at hand: `python benchmarks/cost.py`.

Parameters, operations and the time for one image, for the networks of both papers at their own sizes, with 751
identities. Latencies are medians of many calls, in every way that works here: eager, as a CUDA graph, compiled (only
with `--compile`: minutes on a CPU). Printed, and written to `benchmarks/results/cost.csv`.
"""

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _provenance import keep, show  # noqa: E402

from reid_lab import (
    methods,  # noqa: E402
    training,  # noqa: E402
)
from reid_lab.analysis import cost  # noqa: E402

IDENTITIES = 751  # Market-1501's, as in the paper


def networks():
    """By name, untrained: the time does not depend on the weights."""
    b, a = methods.residual_pooling("paper", weights=None), methods.multitask("paper", weights=None)
    found = {f"B: {pooling}": b.replace(pooling=pooling) for pooling in ("baseline", "avg", "max", "residual")}
    found["B: residual, last stride 2"] = b.replace(last_stride=2)
    for backbone in ("resnet50", "res2net50", "resnet101", "res2net101"):
        found[f"A: {backbone}"] = a.replace(backbone=backbone)
    return {name: recipe.network(IDENTITIES) for name, recipe in found.items()}


def main():
    """Measure every network, print the table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="default: the GPU where there is one")
    parser.add_argument("--repeats", type=int, help="calls that are timed (default 200 on a GPU, 30 on a CPU)")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    chosen = parser.parse_args()
    device = training.find_device(chosen.device)
    on_gpu, rows = device.type == "cuda", []
    ways = ["eager"] + ["graph"] * on_gpu + ["compiled"] * chosen.compile
    for precision, folded in (("float32", False), ("bf16", False), ("bf16", True)) if on_gpu else (("float32", False),):
        for name, network in networks().items():
            table = cost.table(
                {name: network}, device, ways, precision, folded, chosen.repeats or (200 if on_gpu else 30)
            )
            label = f"{name}, {precision}" + (", batch norms folded" if folded else "")
            row = {"network": label} | table.iloc[0].round(3).to_dict()
            if not on_gpu:
                row["threads"] = torch.get_num_threads()
            show([row])
            rows.append(row)
    show(keep("cost", rows, device))


if __name__ == "__main__":
    main()
