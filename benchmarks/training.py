"""The training loop beside its own limit and the plain way: `python benchmarks/training.py`.

Three ways to take the same steps, one after another in the same process, several rounds, the best of each:

- `loop`: an epoch of the package's own loop, data path and all;
- `bare step`: network, losses and optimizer alone, on one prepared batch over and over: the limit;
- `plain`: PIL decoding and torchvision's transforms in a DataLoader with workers, float32, the loss read every step.

On a GPU the papers' networks at their sizes, on a CPU the classroom's. Printed, and written to
`benchmarks/results/training.csv`: some 4 minutes on 2 cores, 5 on a GPU. `--rounds 1 --steps 5` is a quick look,
which is not written; `--compile` adds rows with torch.compile.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from _provenance import keep, show  # noqa: E402

from reid_lab import data, methods, training  # noqa: E402
from reid_lab.runtime import environment  # noqa: E402
from reid_lab.runtime.device import synchronize  # noqa: E402
from reid_lab.runtime.distributed import Processes  # noqa: E402
from reid_lab.runtime.progress import bar  # noqa: E402
from reid_lab.training.trainer import Options, Trainer  # noqa: E402

GIB = 2**30


class Images(Dataset):
    """The plain way: every image opened and transformed each time it is wanted."""

    def __init__(self, records, labels, recipe):
        from torchvision import transforms

        steps = [transforms.Resize(recipe.resize), transforms.RandomHorizontalFlip(recipe.flip)]
        steps += [transforms.Pad(recipe.pad)] if recipe.pad else []
        steps += [transforms.RandomCrop(recipe.crop), transforms.ToTensor()]
        steps += [transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
        steps += [transforms.RandomErasing(recipe.erasing, value="random")] if recipe.erasing else []
        self.records, self.labels, self.transform = records, labels, transforms.Compose(steps)

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        with Image.open(self.records[index].path) as image:
            return self.transform(image.convert("RGB")), self.labels[index]


class First:
    """So many of a sampler's batches, as an epoch of their own."""

    def __init__(self, sampler, steps):
        self.sampler, self.steps = sampler, steps

    def __len__(self):
        return self.steps

    def epoch(self, epoch):
        """The first of its batches."""
        return self.sampler.epoch(epoch)[: self.steps]


def ours(run, store, epoch):
    """Seconds for an epoch of our loop."""
    synchronize(run.device)
    began = time.perf_counter()
    with bar(total=len(run.sampler)) as shown:
        run.epoch(epoch, store, shown)
    synchronize(run.device)
    return time.perf_counter() - began


def bare(run, store, steps):
    """Seconds for so many steps on one batch that is ready."""
    indices = torch.from_numpy(run.sampler.epoch(0)[0]).to(run.device)
    images, pids = run.engine.prepare(store.batch(indices), 0), run.labels[indices]
    run.engine.model.train()
    synchronize(run.device)
    began = time.perf_counter()
    for _ in range(steps):
        run.engine.update(images, pids)
    synchronize(run.device)
    return time.perf_counter() - began


def plain(run, steps, workers):
    """Seconds for so many steps as most code takes them."""
    recipe, device = run.recipe, run.device
    model = recipe.network(run.identities).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    labels = run.labels.cpu().numpy()
    batches = [batch.tolist() for batch in run.sampler.epoch(0)[:steps]]
    loader = DataLoader(
        Images(run.benchmark.train, labels, recipe), batch_sampler=batches, num_workers=workers, pin_memory=True
    )
    feed, seen = iter(loader), 0  # workers start here, before the clock
    first = next(feed)
    synchronize(device)
    began = time.perf_counter()
    for images, pids in [first, *feed] if steps == 1 else feed:
        images, pids = images.to(device), pids.to(device)
        losses = model.loss(model(images), pids)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        losses.total.item()
        seen += 1
    synchronize(device)
    return (time.perf_counter() - began) * steps / max(1, seen)


def matmul_rate(device):
    """Floating-point operations per second of a large bf16 matrix product: what the chip can do."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(5):
        synchronize(device)
        began = time.perf_counter()
        for _ in range(5):
            a @ b
        synchronize(device)
        best = max(best, 5 * 2 * size**3 / (time.perf_counter() - began))
    return best


def operations(run, store):
    """Floating-point operations of one step, forward and backward, a multiply-add counted as two."""
    indices = torch.from_numpy(run.sampler.epoch(0)[0]).to(run.device)
    images, pids = run.engine.prepare(store.batch(indices), 0), run.labels[indices]
    with FlopCounterMode(display=False) as counter:
        run.engine.losses(images, pids).total.backward()
    return counter.get_total_flops()


def time_all(run, store, chosen):
    """Seconds of all rounds of each way, and the GiB of memory that ours took at most."""
    device, steps, seconds = run.device, len(run.sampler), {"loop": [], "bare": [], "plain": []}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ours(run, store, 0), bare(run, store, steps)  # algorithms are tried and chosen here
    peak = torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else peak_of_process()
    for turn in range(chosen.rounds):
        seconds["loop"].append(ours(run, store, turn + 1))
        seconds["bare"].append(bare(run, store, steps))
        if not run.options.compile:
            threads = torch.get_num_threads()
            seconds["plain"].append(plain(run, steps, os.cpu_count()))
            torch.set_num_threads(threads)
    return seconds, peak


def measure(name, recipe, bench, device, chosen, compiled=False):
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder, environment.reproducible(0, device, False):
        recipe = recipe.replace(epochs=1000, evaluate_every=0, schedule="steps", milestones=(), lr=1e-4)
        options = Options(compile=compiled, checkpoint_seconds=1e9)
        run = Trainer(recipe, bench, 0, Processes(device), Path(folder), options)
        store = data.image_store(bench.train, recipe.resize, device)
        flops, warm_up = operations(run, store), run.warm_up(store)
        steps = min(chosen.steps, len(run.sampler))
        run.sampler = First(run.sampler, steps)
        seconds, peak = time_all(run, store, chosen)
    images = steps * recipe.batch
    rate = {way: images / min(times) for way, times in seconds.items() if times}
    of_step = rate["loop"] / rate["bare"]
    row = {
        "network": name + (", compiled" if compiled else ""),
        "batch": recipe.batch,
        "input": "{} x {}".format(*recipe.crop),
        "loop_images_per_s": round(rate["loop"]),
        "bare_images_per_s": round(rate["bare"]),
        "plain_images_per_s": round(rate["plain"]) if "plain" in rate else None,
        "loop_of_bare": round(of_step, 3),
        "loop_over_plain": round(rate["loop"] / rate["plain"], 2) if "plain" in rate else None,
        "data_path_share": round(max(0.0, 1 - of_step), 3),
        "tflops": round(flops / recipe.batch * rate["loop"] / 1e12, 2),
        "of_matmul_rate": round(flops / recipe.batch * rate["loop"] / matmul_rate(device), 3),
        "peak_gib": round(peak, 2),
        "warm_up_seconds": warm_up,
        "threads": torch.get_num_threads() if device.type == "cpu" else None,
        "precision": run.engine.precision,
    }
    show([row])
    return row


def peak_of_process():
    """GiB of memory that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / GIB


def main():
    """Measure every network, print the table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", help="default: the GPU where there is one")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="steps in a round (default 40)")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    chosen = parser.parse_args()
    device = training.find_device(chosen.device)
    if device.type == "cuda":
        bench = data.passersby("full")
        work = {
            "B: ResNet-50": methods.residual_pooling("full"),
            "A: Res2Net-50": methods.multitask("full"),
        }
    else:
        bench = data.passersby("classroom")
        work = {
            "B: slim ResNet": methods.residual_pooling("classroom"),
            "A: slim Res2Net": methods.multitask("classroom"),
        }
    rows = []
    for compiled in (False, True) if chosen.compile else (False,):
        rows += [measure(name, recipe, bench, device, chosen, compiled) for name, recipe in work.items()]
    if chosen.rounds >= 3 and chosen.steps >= 20:
        show(keep("training", rows, device))


if __name__ == "__main__":
    main()
