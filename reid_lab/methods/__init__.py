"""The methods: one file each, with the network, its loss and its recipe. They are made known here."""

from reid_lab.methods.classification import Classification, ClassificationOutputs, ClassificationRecipe
from reid_lab.methods.dgnet import DGNet, DGNetOutputs, DGNetRecipe
from reid_lab.methods.lsro import LSRO, LSROOutputs, LSRORecipe
from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs, MultiTaskRecipe
from reid_lab.methods.recipe import METHODS, SIZES, Recipe, Sampler, default_size, from_json, register
from reid_lab.methods.residual_pooling import (
    ResidualPool,
    ResidualPooling,
    ResidualPoolingOutputs,
    ResidualPoolingRecipe,
)
from reid_lab.methods.stage import Stage
from reid_lab.methods.variants import POOLINGS

multitask = register(MultiTaskRecipe).at  # paper A: methods.multitask("classroom", erasing=0.5) is a recipe
residual_pooling = register(ResidualPoolingRecipe).at  # paper B
classification = register(ClassificationRecipe).at  # the plain baseline
lsro = register(LSRORecipe).at  # unlabelled generated images
dgnet = register(DGNetRecipe).at  # other people's clothes

__all__ = [
    "LSRO",
    "METHODS",
    "POOLINGS",
    "SIZES",
    "Classification",
    "ClassificationOutputs",
    "ClassificationRecipe",
    "DGNet",
    "DGNetOutputs",
    "DGNetRecipe",
    "LSROOutputs",
    "LSRORecipe",
    "MultiTask",
    "MultiTaskOutputs",
    "MultiTaskRecipe",
    "Recipe",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "ResidualPoolingRecipe",
    "Sampler",
    "Stage",
    "classification",
    "default_size",
    "dgnet",
    "from_json",
    "lsro",
    "multitask",
    "register",
    "residual_pooling",
]
