"""The two papers' networks, and the backbones they stand on."""

from reid_lab.models.backbones import (
    BACKBONES,
    Backbone,
    Bottleneck,
    backbone,
    res2net50,
    res2net101,
    res2net_slim,
    resnet50,
    resnet101,
    resnet_slim,
)
from reid_lab.models.heads import BNNeck
from reid_lab.models.multitask import MultiTask, MultiTaskOutputs
from reid_lab.models.network import Network
from reid_lab.models.res2net import Res2NetBlock
from reid_lab.models.residual_pooling import POOLINGS, ResidualPool, ResidualPooling, ResidualPoolingOutputs
from reid_lab.models.weights import load_weights

__all__ = [
    "BACKBONES",
    "POOLINGS",
    "BNNeck",
    "Backbone",
    "Bottleneck",
    "MultiTask",
    "MultiTaskOutputs",
    "Network",
    "Res2NetBlock",
    "ResidualPool",
    "ResidualPooling",
    "ResidualPoolingOutputs",
    "backbone",
    "load_weights",
    "res2net50",
    "res2net101",
    "res2net_slim",
    "resnet50",
    "resnet101",
    "resnet_slim",
]
