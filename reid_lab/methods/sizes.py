"""The values of both papers' recipes at four sizes.

``paper`` holds the papers' numbers to the letter. ``full`` keeps the papers' networks, starts them from random
weights and shortens the schedule for one GPU; so paper A's backbone learns at the whole rate (``backbone_lr`` 1.0
instead of 0.1), and paper B's batch is 16 x 8 images instead of 8 x 4, at the same ``lr``. ``classroom`` and ``smoke``
use slim members of the same families on a CPU, and openly leave the papers' optimizer and lengths behind.
"""

from __future__ import annotations

from typing import Any

# Paper A, sections II.A, III.B and III.C.
_MULTITASK_PAPER: dict[str, Any] = dict(
    backbone="res2net50",
    weights="imagenet",  # II.A; the warm-up paragraph says "randomly initialized"
    last_stride=2,  # silent
    smoothing=0.0,
    resize=(288, 144),  # "resized to 256x128" (II.A), "randomly cropped to 256x128" (III.B)
    crop=(256, 128),
    pad=0,
    flip=0.5,  # silent
    erasing=0.5,  # III.C; Tables 2 and 3 agree with each other at 0.4
    erasing_fill="random",
    optimizer="sgd",
    lr=0.05,
    weight_decay=5e-4,  # silent
    backbone_lr=0.1,  # silent
    epochs=256,
    warmup="constant",  # "a learning rate of 0.1 times for the first five epochs"
    warmup_epochs=5,
    warmup_factor=0.1,
    schedule="steps",  # x 0.1 every 40 epochs
    milestones=(40, 80, 120, 160, 200, 240),
    evaluate_every=16,
)

# Paper B, sections 3 and 4.2.
_RESIDUAL_POOLING_PAPER: dict[str, Any] = dict(
    backbone="resnet50",
    weights="imagenet",
    last_stride=1,  # Table 4's 10.82 GFLOPs fit no other
    smoothing=0.1,  # "label smoothing", value silent
    resize=(288, 144),
    crop=(288, 144),
    pad=10,  # silent, like the flip
    flip=0.5,
    erasing=0.5,
    erasing_fill="mean",  # silent
    optimizer="sgd",
    lr=0.03,
    weight_decay=5e-4,
    epochs=220,
    warmup="linear",  # 0.003 -> 0.03 over 10 epochs; the paper contradicts itself
    warmup_epochs=10,
    warmup_factor=0.1,
    schedule="steps",
    milestones=(40, 110),  # "0.003, 0.0003, 0.0003 at 40, 110, 150"
    evaluate_every=20,
)

_SLIM = dict(weights=None, resize=(128, 64), crop=(128, 64), optimizer="adamw", schedule="cosine", milestones=())

MULTITASK: dict[str, dict[str, Any]] = {
    "paper": _MULTITASK_PAPER,
    "full": _MULTITASK_PAPER | dict(weights=None, backbone_lr=1.0, epochs=60, milestones=(30, 50), evaluate_every=10),
    "classroom": _MULTITASK_PAPER
    | _SLIM
    | dict(
        backbone="res2net_slim",
        smoothing=0.1,
        pad=5,
        erasing=0.0,  # at this length it slows learning more than it helps
        lr=3e-3,
        pairs=16,  # twice the steps of 32; with those, and 8e-3, one seed in two learned half as much
        backbone_lr=1.0,
        weight_decay=0.05,
        epochs=8,
        warmup="linear",
        warmup_epochs=2,
        embed_dim=512,
        embed_norm=True,  # without it f has no fixed scale, and which learning rate is stable depends on it
        positive=0.2,  # half positive pairs leave fewer identities in a batch: the experiment `heads` has both
        dropout_identification=0.0,
        dropout_verification=0.0,
        evaluate_every=2,
    ),
    "smoke": _MULTITASK_PAPER
    | _SLIM
    | dict(
        backbone="res2net_slim",
        resize=(72, 54),  # as paper B's below
        crop=(64, 48),
        lr=2e-3,
        backbone_lr=1.0,
        epochs=3,
        warmup_epochs=1,
        embed_dim=64,
        pairs=8,
        evaluate_every=1,
    ),
}

RESIDUAL_POOLING: dict[str, dict[str, Any]] = {
    "paper": _RESIDUAL_POOLING_PAPER,
    "full": _RESIDUAL_POOLING_PAPER
    | dict(weights=None, identities=16, images=8, epochs=60, milestones=(30, 50), evaluate_every=10),
    "classroom": _RESIDUAL_POOLING_PAPER
    | _SLIM
    | dict(
        backbone="resnet_slim",
        last_stride=2,
        pad=5,
        erasing=0.0,  # at this length it slows learning more than it helps
        lr=1.2e-2,
        weight_decay=0.05,
        epochs=18,
        warmup_epochs=2,
        identities=16,
        images=4,
        dim=256,
        evaluate_every=3,
    ),
    "smoke": _RESIDUAL_POOLING_PAPER
    | _SLIM
    | dict(
        backbone="resnet_slim",
        resize=(64, 48),  # three columns in layer4: of two, AMX makes wrong numbers in bf16
        crop=(64, 48),
        pad=4,
        lr=2e-3,
        epochs=3,
        warmup_epochs=1,
        identities=4,
        images=4,
        dim=32,
        evaluate_every=1,
    ),
}
