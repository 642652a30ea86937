"""The methods: one file each, with the network, its loss and its recipe. They are made known here."""

from reid_lab.methods.base import SIZES, default_size
from reid_lab.methods.bow import BagOfWords, BowRecipe
from reid_lab.methods.classification import Classification, ClassificationOutputs, ClassificationRecipe
from reid_lab.methods.closed_form import ClosedForm, Projected
from reid_lab.methods.lomo import Lomo, LomoRecipe
from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs, MultiTaskRecipe
from reid_lab.methods.recipe import METHODS, AnyRecipe, Recipe, Sampler, from_json, register, trained
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
bow = register(BowRecipe).at  # words and KISSME
lomo = register(LomoRecipe).at  # LOMO and XQDA

__all__ = [
    "METHODS",
    "POOLINGS",
    "SIZES",
    "AnyRecipe",
    "BagOfWords",
    "BowRecipe",
    "Classification",
    "ClassificationOutputs",
    "ClassificationRecipe",
    "ClosedForm",
    "Lomo",
    "LomoRecipe",
    "MultiTask",
    "MultiTaskOutputs",
    "MultiTaskRecipe",
    "Projected",
    "Recipe",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "ResidualPoolingRecipe",
    "Sampler",
    "Stage",
    "bow",
    "classification",
    "default_size",
    "from_json",
    "lomo",
    "multitask",
    "register",
    "residual_pooling",
    "trained",
]
