"""Kill a training at random, start it again, twenty times: `python benchmarks/soak.py`.

Every kill is a SIGKILL at a random moment, start-up, saving and evaluation included. The weights at the end must be,
bit for bit, those of a training that nobody disturbed. Printed, and written to `benchmarks/results/soak.csv`; some 3
minutes on 2 cores.
"""

import argparse
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _provenance import keep, show  # noqa: E402

from reid_lab import data, methods, training  # noqa: E402
from reid_lab.runtime import checkpoint  # noqa: E402
from reid_lab.runtime.errors import CheckpointError  # noqa: E402
from reid_lab.training.run import finished, run_folder  # noqa: E402

LONGEST = 4.0  # seconds between a process's start and its end

CHILD = """
import sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from reid_lab import data, training
print("ready", flush=True)
training.fit(methods.from_json(sys.argv[3]), data.passersby("smoke"), seed=5, device=sys.argv[4],
             runs=sys.argv[2], checkpoint_seconds=0, deterministic=True)
"""


def start(folder, recipe, device):
    """A process that trains, once it has imported all it needs."""
    root = str(Path(__file__).resolve().parent.parent)
    command = [sys.executable, "-c", CHILD, root, str(folder), recipe.to_json(), device]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    child.stdout.readline()
    return child


def position(folder):
    """Epochs and steps done, as the last checkpoint has them."""
    try:
        about = checkpoint.read(folder / "checkpoint.safetensors")[1]
    except CheckpointError as error:
        if "no file" in str(error):
            return 0, 0
        raise
    return len(about["history"]), about["step"]


def main():
    """Kill, count, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--device", help="default: the GPU where there is one")
    chosen = parser.parse_args()
    device, moments = training.find_device(chosen.device), random.Random(chosen.seed)
    recipe = methods.residual_pooling("smoke", epochs=60, evaluate_every=2, erasing_fill="random")
    bench, rows = data.passersby("smoke"), []
    with tempfile.TemporaryDirectory() as home:
        folder = run_folder(recipe, bench, 5, Path(home) / "killed")
        while len(rows) < chosen.kills and not finished(folder):
            child, moment = start(Path(home) / "killed", recipe, device.type), moments.uniform(0, LONGEST)
            try:
                child.wait(moment)
            except subprocess.TimeoutExpired:
                child.kill()
            child.communicate()
            epochs, step = position(folder)
            saving = len(list(folder.glob(".checkpoint*.part")))  # what a kill in the middle of a save leaves
            row = {"kill": len(rows) + 1, "after_s": round(moment, 3), "epochs": epochs, "step": step}
            rows.append(row | {"while_saving": bool(saving)})
            show(rows[-1:])
        torch.set_num_threads(1)
        ends = [
            training.fit(
                recipe, bench, seed=5, device=device, runs=Path(home) / where, deterministic=True
            ).model.state_dict()
            for where in ("killed", "undisturbed")
        ]
    equal = all(torch.equal(ends[0][name], ends[1][name]) for name in ends[1])
    show(keep("soak", [row | {"same_bits_at_the_end": equal} for row in rows], device))
    sys.exit(0 if equal else "The weights differ: resuming is broken.")


if __name__ == "__main__":
    main()
