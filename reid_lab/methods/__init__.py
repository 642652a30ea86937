"""The methods: one file each."""

from reid_lab.methods.multitask import MultiTask, MultiTaskOutputs
from reid_lab.methods.residual_pooling import POOLINGS, ResidualPool, ResidualPooling, ResidualPoolingOutputs

__all__ = ["POOLINGS", "MultiTask", "MultiTaskOutputs", "ResidualPool", "ResidualPooling", "ResidualPoolingOutputs"]
