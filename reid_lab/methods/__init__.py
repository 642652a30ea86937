"""The methods: one file each, with the network, its loss and its recipe. They are made known here."""

from reid_lab.methods.attributes import Attributes, AttributesOutputs, AttributesRecipe
from reid_lab.methods.classification import Classification, ClassificationOutputs, ClassificationRecipe
from reid_lab.methods.dgnet import DGNet, DGNetOutputs, DGNetRecipe
from reid_lab.methods.feature_erasing import FeatureErasing, FeatureErasingOutputs, FeatureErasingRecipe
from reid_lab.methods.glad import GLAD, GLADOutputs, GLADRecipe
from reid_lab.methods.lsro import LSRO, LSROOutputs, LSRORecipe
from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs, MultiTaskRecipe
from reid_lab.methods.pcb import PCB, PCBOutputs, PCBRecipe
from reid_lab.methods.recipe import METHODS, SIZES, Recipe, Sampler, default_size, from_json, register
from reid_lab.methods.residual_pooling import (
    ResidualPool,
    ResidualPooling,
    ResidualPoolingOutputs,
    ResidualPoolingRecipe,
)
from reid_lab.methods.rpp import RPP, RPPRecipe
from reid_lab.methods.stage import Stage
from reid_lab.methods.strong_baseline import StrongBaseline, StrongBaselineRecipe
from reid_lab.methods.variants import POOLINGS

multitask = register(MultiTaskRecipe).at  # paper A: methods.multitask("classroom", erasing=0.5) is a recipe
residual_pooling = register(ResidualPoolingRecipe).at  # paper B
classification = register(ClassificationRecipe).at  # the plain baseline
pcb = register(PCBRecipe).at  # parts: horizontal stripes
rpp = register(RPPRecipe).at  # PCB, parts refined
feature_erasing = register(FeatureErasingRecipe).at  # BEF, Batch DropBlock
strong_baseline = register(StrongBaselineRecipe).at  # bag of tricks
attributes = register(AttributesRecipe).at  # identity and attributes
glad = register(GLADRecipe).at  # parts at joints

lsro = register(LSRORecipe).at  # unlabelled generated images
dgnet = register(DGNetRecipe).at  # other people's clothes

__all__ = [
    "GLAD",
    "LSRO",
    "METHODS",
    "PCB",
    "POOLINGS",
    "RPP",
    "SIZES",
    "Attributes",
    "AttributesOutputs",
    "AttributesRecipe",
    "Classification",
    "ClassificationOutputs",
    "ClassificationRecipe",
    "FeatureErasing",
    "FeatureErasingOutputs",
    "FeatureErasingRecipe",
    "GLADOutputs",
    "GLADRecipe",
    "DGNet",
    "DGNetOutputs",
    "DGNetRecipe",
    "LSROOutputs",
    "LSRORecipe",
    "MultiTask",
    "MultiTaskOutputs",
    "MultiTaskRecipe",
    "PCBOutputs",
    "PCBRecipe",
    "RPPRecipe",
    "Recipe",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "ResidualPoolingRecipe",
    "Sampler",
    "Stage",
    "StrongBaseline",
    "StrongBaselineRecipe",
    "attributes",
    "classification",
    "default_size",
    "feature_erasing",
    "from_json",
    "glad",
    "dgnet",
    "lsro",
    "multitask",
    "pcb",
    "register",
    "residual_pooling",
    "rpp",
    "strong_baseline",
]
