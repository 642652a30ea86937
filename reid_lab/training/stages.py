"""Stages: several trainings in a row. A recipe of one stage needs nothing of this."""

from __future__ import annotations

import torch
from torch import nn

from reid_lab.methods import AnyRecipe, Recipe, Stage
from reid_lab.models import Network
from reid_lab.runtime.errors import RecipeError


def total_epochs(recipe: AnyRecipe) -> int:
    """Count the epochs of all stages together."""
    return sum(stage.epochs for stage in recipe.stages)


def stage_at(recipe: Recipe, progress: float) -> tuple[int, int]:
    """Find the stage that lasts after ``progress`` epochs; after the end it is the last one.

    Returns:
        Its index, and the epoch at which it begins.
    """
    begins = 0
    for index, stage in enumerate(recipe.stages[:-1]):
        if progress < begins + stage.epochs:
            return index, begins
        begins += stage.epochs
    return len(recipe.stages) - 1, begins


def begin(stage: Stage, network: Network, optimizer: torch.optim.Optimizer, key: int) -> None:
    """Tell the network that a stage begins, and clear what the optimizer remembers of the stage before.

    Args:
        stage: which one.
        network: whose :meth:`~reid_lab.models.Network.enter` is called.
        optimizer: loses its momentum and its moments.
        key: decides everything random in what the network does.
    """
    torch.manual_seed(key)
    network.enter(stage.name)
    optimizer.state.clear()


def freeze(stage: Stage, optimizer: torch.optim.Optimizer) -> bool:
    """Let only the groups that ``stage`` trains have gradients.

    Returns:
        Whether that changed anything.

    Raises:
        RecipeError: the network has no group of a name that the stage gives.
    """
    groups, changed = {group["name"]: group["params"] for group in optimizer.param_groups}, False
    for name in stage.train:
        if name not in groups:
            raise RecipeError(f"The stage {stage.name!r} trains {name!r}, but the network has only {list(groups)}.")
    for name, parameters in groups.items():
        trained = not stage.train or name in stage.train
        for parameter in parameters:
            changed |= parameter.requires_grad != trained
            parameter.requires_grad_(trained)
    return changed


def set_training_mode(stage: Stage, network: nn.Module) -> None:
    """Set training mode; batch norms of frozen groups use and keep their running statistics, if the stage says so."""
    network.train()
    if stage.freeze_statistics:
        for module in network.modules():
            own = list(module.parameters(recurse=False))
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and own and not any(p.requires_grad for p in own):
                module.eval()
