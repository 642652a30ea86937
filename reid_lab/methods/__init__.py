"""The methods: one file each."""

from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs, MultiTaskRecipe
from reid_lab.methods.recipe import METHODS, SIZES, Recipe, Sampler, default_size, from_json, register
from reid_lab.methods.residual_pooling import (
    POOLINGS,
    ResidualPool,
    ResidualPooling,
    ResidualPoolingOutputs,
    ResidualPoolingRecipe,
)
from reid_lab.methods.stage import Stage

multitask = register(MultiTaskRecipe).at
residual_pooling = register(ResidualPoolingRecipe).at

__all__ = [
    "METHODS",
    "POOLINGS",
    "SIZES",
    "MultiTask",
    "MultiTaskOutputs",
    "MultiTaskRecipe",
    "Recipe",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "ResidualPoolingRecipe",
    "Stage",
    "Sampler",
    "default_size",
    "from_json",
    "multitask",
    "register",
    "residual_pooling",
]
