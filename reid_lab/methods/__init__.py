"""The methods: one file each, with the network, its loss and its recipe. They are made known here."""

from reid_lab.methods.alignment import Alignment, AlignmentOutputs, AlignmentRecipe
from reid_lab.methods.classification import Classification, ClassificationOutputs, ClassificationRecipe
from reid_lab.methods.coarse_to_fine import CoarseToFine, CoarseToFineOutputs, CoarseToFineRecipe
from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs, MultiTaskRecipe
from reid_lab.methods.part_aligned import PartAligned, PartAlignedOutputs, PartAlignedRecipe
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
coarse_to_fine = register(CoarseToFineRecipe).at  # pyramid of codes
alignment = register(AlignmentRecipe).at  # learned crops (PAN)
part_aligned = register(PartAlignedRecipe).at  # unsupervised part maps

__all__ = [
    "METHODS",
    "POOLINGS",
    "SIZES",
    "Alignment",
    "AlignmentOutputs",
    "AlignmentRecipe",
    "Classification",
    "ClassificationOutputs",
    "ClassificationRecipe",
    "CoarseToFine",
    "CoarseToFineOutputs",
    "CoarseToFineRecipe",
    "MultiTask",
    "MultiTaskOutputs",
    "MultiTaskRecipe",
    "PartAligned",
    "PartAlignedOutputs",
    "PartAlignedRecipe",
    "Recipe",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "ResidualPoolingRecipe",
    "Sampler",
    "Stage",
    "alignment",
    "classification",
    "coarse_to_fine",
    "default_size",
    "from_json",
    "multitask",
    "part_aligned",
    "register",
    "residual_pooling",
]
