"""The methods: one file each, with the network, its loss and its recipe. They are made known here."""

from reid_lab.methods.alignment import Alignment, AlignmentOutputs, AlignmentRecipe
from reid_lab.methods.attributes import Attributes, AttributesOutputs, AttributesRecipe
from reid_lab.methods.base import SIZES, default_size
from reid_lab.methods.bow import BagOfWords, BowRecipe
from reid_lab.methods.classification import Classification, ClassificationOutputs, ClassificationRecipe
from reid_lab.methods.closed_form import ClosedForm, Projected
from reid_lab.methods.coarse_to_fine import CoarseToFine, CoarseToFineOutputs, CoarseToFineRecipe
from reid_lab.methods.dgnet import DGNet, DGNetOutputs, DGNetRecipe
from reid_lab.methods.feature_erasing import FeatureErasing, FeatureErasingOutputs, FeatureErasingRecipe
from reid_lab.methods.glad import GLAD, GLADOutputs, GLADRecipe
from reid_lab.methods.lomo import Lomo, LomoRecipe
from reid_lab.methods.lsro import LSRO, LSROOutputs, LSRORecipe
from reid_lab.methods.multi_loss import MultiLoss, MultiLossOutputs, MultiLossRecipe
from reid_lab.methods.multi_scale import MultiScale, MultiScaleOutputs, MultiScaleRecipe
from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs, MultiTaskRecipe
from reid_lab.methods.part_aligned import PartAligned, PartAlignedOutputs, PartAlignedRecipe
from reid_lab.methods.pcb import PCB, PCBOutputs, PCBRecipe
from reid_lab.methods.recipe import METHODS, AnyRecipe, Recipe, Sampler, from_json, register, trained
from reid_lab.methods.residual_pooling import (
    ResidualPool,
    ResidualPooling,
    ResidualPoolingOutputs,
    ResidualPoolingRecipe,
)
from reid_lab.methods.rpp import RPP, RPPRecipe
from reid_lab.methods.stage import Stage
from reid_lab.methods.strong_baseline import StrongBaseline, StrongBaselineRecipe
from reid_lab.methods.svdnet import SVDNet, SVDNetOutputs, SVDNetRecipe
from reid_lab.methods.variants import POOLINGS
from reid_lab.methods.vision_transformer import VisionTransformer, VisionTransformerRecipe

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
coarse_to_fine = register(CoarseToFineRecipe).at  # pyramid of codes
alignment = register(AlignmentRecipe).at  # learned crops (PAN)
part_aligned = register(PartAlignedRecipe).at  # unsupervised part maps
bow = register(BowRecipe).at  # words and KISSME
lomo = register(LomoRecipe).at  # LOMO and XQDA
svdnet = register(SVDNetRecipe).at  # orthogonal weight vectors
multi_scale = register(MultiScaleRecipe).at  # DPFL: several scales
multi_loss = register(MultiLossRecipe).at  # JLML: two branches
vision_transformer = register(VisionTransformerRecipe).at  # the plain baseline on a ViT

__all__ = [
    "Alignment",
    "AlignmentOutputs",
    "AlignmentRecipe",
    "AnyRecipe",
    "Attributes",
    "AttributesOutputs",
    "AttributesRecipe",
    "BagOfWords",
    "BowRecipe",
    "Classification",
    "ClassificationOutputs",
    "ClassificationRecipe",
    "ClosedForm",
    "CoarseToFine",
    "CoarseToFineOutputs",
    "CoarseToFineRecipe",
    "DGNet",
    "DGNetOutputs",
    "DGNetRecipe",
    "FeatureErasing",
    "FeatureErasingOutputs",
    "FeatureErasingRecipe",
    "GLAD",
    "GLADOutputs",
    "GLADRecipe",
    "LSRO",
    "LSROOutputs",
    "LSRORecipe",
    "Lomo",
    "LomoRecipe",
    "METHODS",
    "MultiLoss",
    "MultiLossOutputs",
    "MultiLossRecipe",
    "MultiScale",
    "MultiScaleOutputs",
    "MultiScaleRecipe",
    "MultiTask",
    "MultiTaskOutputs",
    "MultiTaskRecipe",
    "PCB",
    "PCBOutputs",
    "PCBRecipe",
    "POOLINGS",
    "PartAligned",
    "PartAlignedOutputs",
    "PartAlignedRecipe",
    "Projected",
    "RPP",
    "RPPRecipe",
    "Recipe",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "ResidualPoolingRecipe",
    "SIZES",
    "SVDNet",
    "SVDNetOutputs",
    "SVDNetRecipe",
    "Sampler",
    "Stage",
    "StrongBaseline",
    "StrongBaselineRecipe",
    "VisionTransformer",
    "VisionTransformerRecipe",
    "alignment",
    "attributes",
    "bow",
    "classification",
    "coarse_to_fine",
    "default_size",
    "dgnet",
    "feature_erasing",
    "from_json",
    "glad",
    "lomo",
    "lsro",
    "multi_loss",
    "multi_scale",
    "multitask",
    "part_aligned",
    "pcb",
    "register",
    "residual_pooling",
    "rpp",
    "strong_baseline",
    "svdnet",
    "trained",
    "vision_transformer",
]
