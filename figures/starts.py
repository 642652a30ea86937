"""What the package's starts can do before any training: ``python figures/starts.py`` writes ``starts.csv``.

The slim ResNet and the slim Res2Net were trained on another town of Passersby. Their averaged layer4 ranks the people
of the same tests as the trained networks of ``heads.csv`` and ``backbone.csv``. So does paper A's network before its
training, whose projection has random weights. Whoever trains from a start has to lie above it. It takes minutes.
"""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

import reid_lab
from reid_lab import data, methods, retrieval
from reid_lab.ablations.measures import RANKS
from reid_lab.analysis import cost
from reid_lab.runtime.device import device_name
from reid_lab.runtime.files import write_text

SIZE, SEEDS = "classroom", (0, 1, 2)
STARTS = {"start of slim ResNet": "resnet_slim", "start of slim Res2Net": "res2net_slim"}
UNTRAINED = "paper A's network before training"


def start(label):
    """The start's averaged layer4."""
    return methods.classification(SIZE, backbone=STARTS[label], weights="passersby").network(2)


def untrained(benchmark, seed):
    """Paper A's network as the training of that seed finds it."""
    torch.manual_seed(seed)
    return methods.multitask(SIZE).network(len({record.pid for record in benchmark.train}))


def row(label, seed):
    """One network on the test of one seed, with the columns of the experiments' tables."""
    benchmark = data.passersby(SIZE, seed=seed)
    network = untrained(benchmark, seed) if label == UNTRAINED else start(label)
    result = retrieval.evaluate(network, benchmark, device="cpu")
    scores = {f"rank-{k}": 100 * result.rank(k) for k in RANKS}
    scores |= {name: 100 * getattr(result, name) for name in ("mAP", "mAP_trapezoid", "mINP")}
    size = network.recipe.embed_dim if label == UNTRAINED else network.backbone.channels[1]
    about = {"descriptor": size, "parameters": cost.parameters(network.backbone)}
    about = {"variant": label, "size": SIZE, "seed": seed, "epochs": 0} | about
    made = {"data": f"Passersby {SIZE}, seed {seed}", "device": device_name(torch.device("cpu"))}
    made |= {"torch": torch.__version__, "reid_lab": reid_lab.__version__}
    return about | {name: round(value, 3) for name, value in scores.items()} | made


if __name__ == "__main__":
    rows = [row(label, seed) for label in (*STARTS, UNTRAINED) for seed in SEEDS]
    table = pd.DataFrame(rows).assign(date=datetime.now(UTC).isoformat(timespec="seconds"))
    write_text(Path(__file__).with_name("starts.csv"), table.to_csv(index=False))
    print(table[["variant", "seed", "rank-1", "mAP"]].round(1).to_string(index=False))
