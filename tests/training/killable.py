"""A training in a process of its own, which test_resuming.py kills.

The processes are forked from one that has imported all this, which saves each of them some seconds.
"""

import multiprocessing
import os
import sys

from reid_lab import data, methods, training

RECIPE = methods.residual_pooling("smoke", epochs=4, evaluate_every=2, precision="float32")
OPTIONS = dict(seed=2, device="cpu", deterministic=True)


def train(runs, errors):
    """All of it, with a checkpoint after every step; ``errors`` is the file to complain to."""
    sys.stderr = open(errors, "w", encoding="utf-8")  # noqa: SIM115 (Python writes to it at the end)
    training.fit(RECIPE, data.passersby("smoke"), runs=runs, checkpoint_seconds=0, **OPTIONS)


def start(runs):
    """The process, which writes its runs to ``runs`` and its errors to the file ``errors`` beside it."""
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    context.set_forkserver_preload(["reid_lab.training", "torchvision", "torch._inductor"])  # the last two come late
    child = context.Process(target=train, args=(runs, runs.with_name("errors")), daemon=True)
    child.start()
    return child
