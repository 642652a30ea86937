"""Training: a loop to read, runs that survive a kill."""

import os

from reid_lab.methods import Recipe
from reid_lab.runtime.device import find_device
from reid_lab.training import runs
from reid_lab.training.fitting import fit
from reid_lab.training.run import Run, load
from reid_lab.training.schedule import learning_rate
from reid_lab.training.signs import unhealthy, vital_signs

# Deterministic products on a GPU need it, and PyTorch before 2.15 reads it once, at its first product.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

__all__ = ["Recipe", "Run", "find_device", "fit", "learning_rate", "load", "runs", "unhealthy", "vital_signs"]
