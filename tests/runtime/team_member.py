"""Teams of processes, for test_team.py: a step of each method, and a whole smoke run; batch norms are frozen.

python team_member.py FOLDER 2 4 1

Each team writes to a folder of its own in FOLDER. It is launched as torchrun launches one, by PyTorch's elastic agent,
but its processes are forked, where that can be done, from this one, which has imported everything.
"""

import sys
import uuid
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

torch.set_num_threads(1)

import accelerate  # noqa: E402, F401 (before the fork)
from some import few_of  # noqa: E402

from reid_lab import data, training  # noqa: E402
from reid_lab.runtime.distributed import assemble  # noqa: E402
from reid_lab.training import recipes  # noqa: E402
from reid_lab.training.engine import Engine  # noqa: E402

RECIPES = {
    "multitask": recipes.multitask("smoke", precision="float32", dropout_identification=0.0, dropout_verification=0.0),
    "residual_pooling": recipes.residual_pooling("smoke", precision="float32", erasing_fill="random"),
}


def save(tensors, path):
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)


def freeze(module, mode=True):
    """PyTorch synchronizes batch statistics on GPUs only; frozen, they are the same on any number of processes."""
    return nn.Module.train(module, False)


def one_step(recipe, bench, team):
    """The loss of a batch, and every gradient."""
    torch.manual_seed(0)
    pids = torch.tensor([record.pid for record in bench.train]).unique(return_inverse=True)[1]
    engine = Engine(recipe, int(pids.max()) + 1, team)
    store = data.image_store(bench.train, recipe.resize)
    camids = [record.camid for record in bench.train]
    batch = torch.from_numpy(recipe.sampler(pids.numpy(), camids, 0).epoch(0)[0])[engine.places]
    engine.model.train()
    losses = engine.losses(engine.prepare(store.batch(batch), 7), pids[batch])
    losses.total.backward()
    gradients = {name: p.grad for name, p in engine.model.named_parameters() if p.grad is not None}
    return team.mean(losses.total.detach()), gradients


def member(folder):
    """What each process of a team does."""
    folder.mkdir(exist_ok=True)
    nn.modules.batchnorm._BatchNorm.train = freeze
    team = assemble("cpu")
    bench = few_of(data.passersby("smoke"))
    for name, recipe in RECIPES.items():
        loss, gradients = one_step(recipe, bench, team)
        if team.main:
            save({"loss": loss} | gradients, folder / f"{name}.safetensors")
    recipe = RECIPES["residual_pooling"].replace(epochs=2, optimizer="sgd", lr=1e-3, erasing=0.0)
    run = training.fit(recipe, bench, device="cpu", runs=folder / "runs")
    assert run.environment["processes"] == team.size
    assert run.history["loss"].iloc[1] < run.history["loss"].iloc[0]
    save(run.model.state_dict(), folder / f"weights{team.rank}.safetensors")


def launch(processes, folder):
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork" if sys.platform == "linux" else "spawn",
    )
    elastic_launch(config, member)(folder)


if __name__ == "__main__":
    torch.use_deterministic_algorithms(False)  # imports what training would import in each process
    for processes in sys.argv[2:]:
        launch(int(processes), Path(sys.argv[1], processes))
