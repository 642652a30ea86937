"""No field of a recipe is decoration: another value makes another network, other batches, other steps or other rates.

What each value does is tested where it is done; here only that it gets there.
"""

import dataclasses
import functools

import numpy as np
import pytest
import torch

from reid_lab import methods, models
from reid_lab.models import backbones
from reid_lab.runtime.distributed import Processes
from reid_lab.training import learning_rate
from reid_lab.training.engine import Engine

LABELS = np.arange(48) // 4
CAMIDS = 1 + np.arange(48) % 4 // 2
BASE = dict(
    **dict(weights=None, last_stride=2, smoothing=0.1, resize=(36, 20), crop=(32, 16), pad=2, flip=0.5, epochs=6),
    **dict(
        erasing=1.0, erasing_area=(0.02, 0.4), erasing_aspect=(0.3, 3.33), erasing_attempts=9, erasing_fill="random"
    ),
    **dict(optimizer="sgd", lr=0.01, momentum=0.9, weight_decay=0.1, backbone_lr=0.5, precision="float32"),
    **dict(
        warmup="linear",
        warmup_epochs=2,
        warmup_factor=0.1,
        schedule="steps",
        milestones=(3,),
        decay=0.5,
        half_size_epochs=1,
    ),
)
OTHER = dict(
    **dict(last_stride=1, smoothing=0.2, resize=(40, 24), crop=(32, 20), pad=3, flip=0.0, erasing=0.0),
    **dict(erasing_area=(0.3, 0.4), erasing_aspect=(0.3, 0.4), erasing_attempts=1, erasing_fill="mean"),
    **dict(optimizer="adamw", lr=0.02, momentum=0.5, weight_decay=0.2, backbone_lr=1.0, precision="bf16"),
    **dict(
        warmup="constant",
        warmup_epochs=3,
        warmup_factor=0.2,
        schedule="cosine",
        milestones=(4,),
        decay=0.1,
        half_size_epochs=0,
    ),
)
A = dict(backbone="res2net_slim", pairs=4, embed_dim=8, identification=0.5, verification=1.0)
OTHER_A = dict(
    **dict(backbone="resnet_slim", pairs=5, positive=0.9, cross_camera=True, embed_dim=0, embed_norm=True),
    **dict(identification=1.0, verification=0.5, dropout_identification=0.1, dropout_verification=0.1),
)
B = dict(backbone="resnet_slim", identities=3, images=2, pooling="residual", dim=8, margin=0.3)
OTHER_B = dict(
    **dict(backbone="res2net_slim", identities=2, images=3, pooling="max+avg", dim=9, shared_convolutions=True),
    **dict(nonlinear=False, sign="max-avg", third="flatten", classifiers=3, triplet_scales=1, margin=0.5),
    **dict(fusion="sum"),
)
NOT_HERE = {"size", "weights", "epochs", "evaluate_every"}  # a name; below; the last two in test_what_a_step_gets.py
CASES = [(methods.multitask, A, name, value) for name, value in (OTHER | OTHER_A).items()]
CASES += [(methods.residual_pooling, B, name, value) for name, value in OTHER_B.items()]


@pytest.fixture(autouse=True, scope="module")
def narrow():
    """Backbones of few channels, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, make in (("resnet_slim", models.resnet_slim), ("res2net_slim", models.res2net_slim)):
            patch.setitem(backbones.BACKBONES, name, functools.partial(make, width=8))
        yield


def trace(recipe):
    """Numbers of what the recipe decides: the batches, the rates, the weights and descriptors after two steps."""
    torch.manual_seed(0)
    engine = Engine(recipe, 12, Processes(torch.device("cpu")))
    batches = np.stack(recipe.sampler(LABELS, CAMIDS, 0).epoch(0))
    random = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (48, 3, *recipe.resize), dtype=torch.uint8, generator=random)
    found = [batches, [learning_rate(recipe, progress) for progress in (0, 1.5, 2.5, 3.5, 5.5)]]
    for key, batch in enumerate(batches[:2]):
        engine.set_lr(2.0)
        losses = engine.step(pixels[batch], torch.from_numpy(LABELS[batch]), key)
        found.append([value.item() for value in losses.report().values()])
    found += [[p.double().abs().sum().item() for p in engine.model.parameters()]]
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        found += [engine.model.embed(torch.randn(2, 3, *recipe.crop, generator=random)).numpy()]
    return [np.asarray(part, dtype=float) for part in found]


@functools.cache
def base(method):
    return trace(method("smoke", **BASE | (A if method is methods.multitask else B)))


def same(one, other):
    return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-7, atol=1e-9) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("method", "own", "name", "value"), CASES, ids=[case[2] for case in CASES])
def test_another_value_of_a_field_makes_another_training(method, own, name, value):
    recipe = method("smoke", **BASE | own)
    assert getattr(recipe, name) != value
    assert not same(base(method), trace(recipe.replace(**{name: value})))


@pytest.mark.parametrize("method", [methods.multitask, methods.residual_pooling])
def test_the_same_fields_make_the_same_training(method):
    assert same(base(method), trace(method("smoke", **BASE | (A if method is methods.multitask else B))))


def test_no_field_is_left_out_here():
    for recipe, own in ((methods.MultiTaskRecipe, OTHER_A), (methods.ResidualPoolingRecipe, OTHER_B)):
        assert {field.name for field in dataclasses.fields(recipe)} == set(OTHER) | set(own) | NOT_HERE


@pytest.mark.parametrize(
    ("method", "backbone", "source"),
    [(methods.multitask, "res2net50", "timm_weights"), (methods.residual_pooling, "resnet50", "torchvision_weights")],
)
def test_weights_of_imagenet_are_asked_for_where_the_recipe_says_so(method, backbone, source, monkeypatch):
    asked = []

    def fetch(name):
        asked.append(name)
        with torch.device("meta"):
            return models.backbone(backbone).state_dict()

    monkeypatch.setattr(backbones, source, fetch)
    monkeypatch.setattr(models.weights, "load_weights", lambda model, state: None)
    with torch.device("meta"):
        method("smoke", backbone=backbone, weights=None).network(5)
        assert asked == []
        method("smoke", backbone=backbone, weights="imagenet").network(5)
    assert len(asked) == 1
