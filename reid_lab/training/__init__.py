"""Training: recipes as data, a loop to read, runs that survive a kill."""

from reid_lab.training import recipes
from reid_lab.training.loop import fit
from reid_lab.training.machine import pick_device
from reid_lab.training.recipes import Recipe
from reid_lab.training.runs import Run, load
from reid_lab.training.schedule import learning_rate

__all__ = ["Recipe", "Run", "fit", "learning_rate", "load", "pick_device", "recipes"]
