"""The hyper-parameters the papers state, contradict or leave open, and our reading of each."""

from __future__ import annotations

import ast

import pandas as pd

from reid_lab.runtime.errors import DataError

STATUSES = ("stated", "contradicts itself", "silent")

# field of the recipe | our reading | status | what the paper says, and where
_A = """
backbone               | 'res2net50' | stated             | Res2Net-50 and a "Res2Net-121", which is 101 (II.A, Table 3)
weights                | 'imagenet'  | contradicts itself | ImageNet's (II.A); random at the start (III.C, warm-up)
last_stride            | 2           | silent             | nothing; 2 is the original network's
smoothing              | 0.0         | stated             | targets of 0 and 1 (eq. 2)
resize                 | (288, 144)  | contradicts itself | resized to 256 x 128 (II.A) and cropped to 256 x 128 (III.B)
crop                   | (256, 128)  | stated             | a random 256 x 128 crop; 256 x 128 at test time (III.B)
pad                    | 0           | silent             | nothing
flip                   | 0.5         | silent             | nothing
erasing                | 0.5         | contradicts itself | 0.5 (III.C), but Tables 2 and 3 agree at 0.4
erasing_area           | (0.02, 0.4) | silent             | cites random erasing's authors, whose values these are
erasing_aspect         | (0.3, 3.33) | silent             | the same
erasing_attempts       | 100         | silent             | the same
erasing_fill           | 'random'    | stated             | random values (III.C)
optimizer              | 'sgd'       | stated             | SGD in mini-batches (III.B)
lr                     | 0.05        | stated             | 0.05 at first (III.B)
momentum               | 0.9         | silent             | nothing
weight_decay           | 5e-4        | silent             | nothing
backbone_lr            | 0.1         | silent             | nothing; slower where it starts from ImageNet weights
epochs                 | 256         | stated             | 256 (III.B)
warmup                 | 'constant'  | stated             | one tenth of the rate, no ramp (III.C)
warmup_epochs          | 5           | stated             | the first five (III.C)
warmup_factor          | 0.1         | stated             | 0.1 (III.C)
schedule               | 'steps'     | stated             | in steps (III.B)
milestones             | (40, 80, 120, 160, 200, 240) | stated | every 40 epochs (III.B); from 160 on hardly a change
decay                  | 0.1         | stated             | 0.1 (III.B)
pairs                  | 32          | silent             | no batch size
positive               | 0.5         | silent             | partners of the same or another class, shares open
cross_camera           | False       | silent             | nothing
embed_dim              | 4096        | stated             | f is 1 x 1 x 4096 (II.C); Res2Net has 2048: projected
embed_norm             | False       | silent             | nothing
identification         | 0.5         | stated             | 0.5 for each of the two images (III.B)
verification           | 1.0         | stated             | 1 (III.B)
dropout_identification | 0.5         | silent             | nothing
dropout_verification   | 0.5         | silent             | nothing
"""

_B = """
backbone               | 'resnet50'  | stated             | ResNet-50 without its classifier (3.1)
weights                | 'imagenet'  | silent             | nothing; usual with ResNet-50
last_stride            | 1           | silent             | nothing; Table 4's 10.82 GFLOPs fit no other
smoothing              | 0.1         | silent             | label smoothing is used (4), how much is open
resize                 | (288, 144)  | stated             | 288 x 144 (4.2)
crop                   | (288, 144)  | stated             | 288 x 144 (4.2)
pad                    | 10          | silent             | nothing
flip                   | 0.5         | silent             | nothing
erasing                | 0.5         | stated             | probability 0.5 (4)
erasing_area           | (0.02, 0.4) | silent             | nothing
erasing_aspect         | (0.3, 3.33) | silent             | nothing
erasing_attempts       | 100         | silent             | nothing
erasing_fill           | 'mean'      | silent             | nothing
optimizer              | 'sgd'       | stated             | SGD (4.2)
lr                     | 0.03        | stated             | 0.03 (4.2)
momentum               | 0.9         | silent             | nothing
weight_decay           | 5e-4        | stated             | 0.0005 (4.2)
backbone_lr            | 1.0         | silent             | nothing
epochs                 | 220         | stated             | 220 "iterations", which can only be epochs (4.2)
warmup                 | 'linear'    | contradicts itself | a gradual rise (4.2), to 0.003: below the rate of 0.03
warmup_epochs          | 10          | silent             | warm-up is used (4), how long is open
warmup_factor          | 0.1         | contradicts itself | 0.003 is the end of the rise and the first step down (4.2)
schedule               | 'steps'     | stated             | in steps (4.2)
milestones             | (40, 110)   | contradicts itself | steps at 40, 110 and 150, but the last changes nothing (4.2)
decay                  | 0.1         | stated             | 0.003, then 0.0003 (4.2)
identities             | 8           | silent             | a batch of 32 (4.2), of how many people is open
images                 | 4           | silent             | a batch of 32 (4.2), of how many images each is open
pooling                | 'residual'  | stated             | residual pooling (3.2)
dim                    | 640         | silent             | "unified" (3.1), no number; 640 gives Table 4's 30.55 M
shared_convolutions    | False       | silent             | one symbol (eq. 1); sharing a bare one leaves mean pooling
nonlinear              | True        | silent             | nothing; batch normalization and ReLU after each convolution
sign                   | 'avg-max'   | contradicts itself | mean minus maximum (eq. 1); the reverse in the text of 3.2
third                  | 'map'       | silent             | 2 x 2 x 2048 (3.1), what becomes of the four cells is open
classifiers            | 1           | silent             | "the classifier" (3.1); three losses (eq. 2)
fusion                 | 'concat'    | silent             | fused (3.1), how is open
triplet_scales         | 3           | stated             | on all six pooled features (eq. 2)
margin                 | 0.3         | silent             | a triplet loss (3.3), no margin
"""

SETTINGS = {"A": _A, "B": _B}


def settings(paper: str) -> pd.DataFrame:
    """What a paper says about each field of its recipe: columns "paper says", "reading" and "status".

    The index holds names of fields of `methods.multitask` (A) or `residual_pooling` (B); "reading" is
    their value at size "paper". The status is one of STATUSES; where it is "silent", the value is ours.

    Args:
        paper: "A" or "B".

    Raises:
        DataError: there is no such paper.
    """
    if paper not in SETTINGS:
        raise DataError(f"There is no paper {paper!r}; choose one of {', '.join(SETTINGS)}.")
    rows = [[cell.strip() for cell in line.split("|", 3)] for line in SETTINGS[paper].strip().splitlines()]
    return pd.DataFrame(
        {
            "paper says": [says for _, _, _, says in rows],
            "reading": pd.Series([ast.literal_eval(reading) for _, reading, _, _ in rows], dtype=object),
            "status": [status for _, _, status, _ in rows],
        }
    ).set_index(pd.Index([field for field, *_ in rows], name="field"))
