"""The bench: what all systems of the papers' tables have in common at the sizes "classroom" and "smoke".

Each system was published with a schedule, a start and an input of its own, so that its number says as much about
these as about its idea. On the bench all are equal: the backbone and its start, the images, label smoothing, the
optimizer, no random erasing, and the epochs of all stages together where the idea does not need more. A system's file
says what it changes. The learning rate is the best of several on validation people, of each system's own
(``figures/tuning_systems.csv``).
"""

from typing import Any

from reid_lab.methods.recipe import SLIM

CLASSROOM: dict[str, Any] = SLIM | dict(
    backbone="resnet_slim",
    weights="passersby",
    last_stride=1,
    smoothing=0.1,
    pad=5,
    erasing=0.0,
    lr=1e-3,
    weight_decay=0.05,
    epochs=6,
    warmup="linear",
    warmup_epochs=1,
    warmup_factor=0.01,
)
FROM_RANDOM: dict[str, Any] = dict(lr=3e-3, epochs=18, warmup_epochs=2)  # a longer schedule, for random weights
SMOKE: dict[str, Any] = SLIM | dict(
    backbone="resnet_slim",
    resize=(64, 48),
    crop=(64, 48),
    pad=4,
    lr=2e-3,
    epochs=3,
    warmup="linear",
    warmup_epochs=1,
    warmup_factor=0.01,
    evaluate_every=1,
)
