"""Processes that train together, for test_distributed.py: a step of each method, a smoke run, a run of stages.

Batch norms are frozen. Usage:

python distributed_process.py FOLDER 2 4 1

Each number of processes writes to a folder of its own in FOLDER. They are launched as torchrun launches them, by
PyTorch's elastic agent, but forked, where that can be done, from this process, which has imported everything.
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
from toy import ToyRecipe  # noqa: E402

from reid_lab import data, methods, training  # noqa: E402
from reid_lab.runtime.distributed import assemble  # noqa: E402
from reid_lab.training.engine import Engine  # noqa: E402

RECIPES = {
    "multitask": methods.multitask("smoke", precision="float32", dropout_identification=0.0, dropout_verification=0.0),
    "residual_pooling": methods.residual_pooling("smoke", precision="float32", erasing_fill="random"),
}


def save(tensors, path):
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path)


def freeze(module, mode=True):
    """PyTorch synchronizes batch statistics on GPUs only; frozen, they are the same on any number of processes."""
    return nn.Module.train(module, False)


def one_step(recipe, bench, processes):
    """The loss of a noisy batch, and every gradient: in flat backgrounds, rounding chooses among equal maxima."""
    torch.manual_seed(0)
    pids = torch.tensor([record.pid for record in bench.train]).unique(return_inverse=True)[1]
    engine = Engine(recipe, int(pids.max()) + 1, processes)
    store = data.image_store(bench.train, recipe.resize)
    camids = [record.camid for record in bench.train]
    batch = torch.from_numpy(recipe.sampler(pids.numpy(), camids, 0).epoch(0)[0])[engine.places]
    engine.model.train()
    noise = torch.randint(128, (recipe.batch, 3, *recipe.resize), generator=torch.Generator().manual_seed(0))
    images = store.batch(batch) // 2 + noise[engine.places].byte()
    losses = engine.losses(engine.prepare(images, 7), pids[batch])
    losses.total.backward()
    gradients = {name: p.grad for name, p in engine.model.named_parameters() if p.grad is not None}
    return processes.mean(losses.total.detach()), gradients


def process(folder):
    """What each process does."""
    folder.mkdir(exist_ok=True)
    nn.modules.batchnorm._BatchNorm.train = freeze
    processes = assemble("cpu")
    bench = few_of(data.passersby("smoke"))
    for name, recipe in RECIPES.items():
        loss, gradients = one_step(recipe, bench, processes)
        if processes.main:
            save({"loss": loss} | gradients, folder / f"{name}.safetensors")
    recipe = RECIPES["residual_pooling"].replace(epochs=2, optimizer="sgd", lr=1e-3, erasing=0.0)
    run = training.fit(recipe, bench, device="cpu", runs=folder / "runs")
    assert run.environment["processes"] == processes.size
    assert run.history["loss"].iloc[1] < run.history["loss"].iloc[0]
    save(run.model.state_dict(), folder / f"weights{processes.rank}.safetensors")
    fields = dict(optimizer="sgd", lr=0.03, epochs=1, warmup="none", warmup_epochs=0, evaluate_every=0)
    recipe = methods.glad("smoke", precision="float32", **fields)
    run = training.fit(recipe, bench, device="cpu", runs=folder / "extras")
    save(run.model.state_dict(), folder / f"extras{processes.rank}.safetensors")
    methods.METHODS["toy"] = ToyRecipe
    run = training.fit(ToyRecipe.at("smoke", optimizer="sgd", lr=1e-3), bench, device="cpu", runs=folder / "staged")
    save(run.model.state_dict(), folder / f"staged{processes.rank}.safetensors")


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
    elastic_launch(config, process)(folder)


if __name__ == "__main__":
    torch.use_deterministic_algorithms(False)  # imports what training would import in each process
    for processes in sys.argv[2:]:
        launch(int(processes), Path(sys.argv[1], processes))
