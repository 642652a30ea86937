"""The methods: one file each, with the network, its loss and its recipe. They are made known here."""

from reid_lab.methods.classification import Classification, ClassificationOutputs, ClassificationRecipe
from reid_lab.methods.multi_loss import MultiLoss, MultiLossOutputs, MultiLossRecipe
from reid_lab.methods.multi_scale import MultiScale, MultiScaleOutputs, MultiScaleRecipe
from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs, MultiTaskRecipe
from reid_lab.methods.recipe import METHODS, SIZES, Recipe, Sampler, default_size, from_json, register
from reid_lab.methods.residual_pooling import (
    ResidualPool,
    ResidualPooling,
    ResidualPoolingOutputs,
    ResidualPoolingRecipe,
)
from reid_lab.methods.stage import Stage
from reid_lab.methods.svdnet import SVDNet, SVDNetOutputs, SVDNetRecipe
from reid_lab.methods.variants import POOLINGS

multitask = register(MultiTaskRecipe).at  # paper A: methods.multitask("classroom", erasing=0.5) is a recipe
residual_pooling = register(ResidualPoolingRecipe).at  # paper B
classification = register(ClassificationRecipe).at  # the plain baseline
svdnet = register(SVDNetRecipe).at  # orthogonal weight vectors
multi_scale = register(MultiScaleRecipe).at  # DPFL: several scales
multi_loss = register(MultiLossRecipe).at  # JLML: two branches

__all__ = [
    "METHODS",
    "POOLINGS",
    "SIZES",
    "Classification",
    "ClassificationOutputs",
    "ClassificationRecipe",
    "MultiLoss",
    "MultiLossOutputs",
    "MultiLossRecipe",
    "MultiScale",
    "MultiScaleOutputs",
    "MultiScaleRecipe",
    "MultiTask",
    "MultiTaskOutputs",
    "MultiTaskRecipe",
    "Recipe",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "ResidualPoolingRecipe",
    "SVDNet",
    "SVDNetOutputs",
    "SVDNetRecipe",
    "Sampler",
    "Stage",
    "classification",
    "default_size",
    "from_json",
    "multi_loss",
    "multi_scale",
    "multitask",
    "register",
    "residual_pooling",
    "svdnet",
]
