"""What the methods' networks are built of: backbones, heads, and the contract of all networks."""

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
from reid_lab.models.network import Network
from reid_lab.models.res2net import Res2NetBlock
from reid_lab.models.transformers import TRANSFORMERS, TransformerBackbone, transformer
from reid_lab.models.weights import load_weights

__all__ = [
    "BACKBONES",
    "BNNeck",
    "Backbone",
    "Bottleneck",
    "Network",
    "Res2NetBlock",
    "TRANSFORMERS",
    "TransformerBackbone",
    "backbone",
    "load_weights",
    "res2net50",
    "res2net101",
    "res2net_slim",
    "resnet50",
    "resnet101",
    "resnet_slim",
    "transformer",
]
