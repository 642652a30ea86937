import dataclasses
import hashlib
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reid_lab import methods
from reid_lab.models.weights import passersby_weights
from reid_lab.runtime.errors import RecipeError

BOTH = [methods.multitask, methods.residual_pooling]


@pytest.mark.parametrize("size", methods.SIZES)
@pytest.mark.parametrize("method", BOTH)
def test_every_recipe_survives_a_round_trip_through_json(method, size):
    recipe = method(size)
    assert methods.from_json(recipe.to_json()) == recipe


@given(erasing=st.floats(0, 1), epochs=st.integers(1, 500), lr=st.floats(1e-6, 1))
def test_changed_recipes_survive_a_round_trip_to_the_last_bit(erasing, epochs, lr):
    recipe = methods.multitask("paper", erasing=erasing, epochs=epochs, lr=lr)
    assert methods.from_json(recipe.to_json()) == recipe


def test_paper_a_recipe_holds_the_numbers_of_paper_a():
    a = methods.multitask("paper")
    assert (a.crop, a.epochs, a.lr, a.decay, a.milestones[:3]) == ((256, 128), 256, 0.05, 0.1, (40, 80, 120))
    assert (a.warmup, a.warmup_epochs, a.warmup_factor) == ("constant", 5, 0.1)
    assert (a.identification, a.verification, a.embed_dim, a.erasing) == (0.5, 1.0, 4096, 0.5)


def test_paper_b_recipe_holds_the_numbers_of_paper_b():
    b = methods.residual_pooling("paper")
    assert (b.crop, b.epochs, b.lr, b.weight_decay) == ((288, 144), 220, 0.03, 5e-4)
    assert b.identities * b.images == 32
    assert (b.milestones, b.erasing, b.last_stride, b.dim) == ((40, 110), 0.5, 1, 640)


def test_a_misspelt_field_is_refused_with_the_field_that_was_meant():
    with pytest.raises(RecipeError, match="'poolings'.*'pooling'"):
        methods.residual_pooling("smoke", poolings="avg")
    with pytest.raises(RecipeError, match="'erasng'.*'erasing'"):
        methods.multitask("smoke").replace(erasng=0.5)


def test_a_misspelt_field_in_a_file_is_refused():
    text = methods.multitask("smoke").to_json().replace('"epochs"', '"epoch"')
    with pytest.raises(RecipeError, match="'epoch'.*'epochs'"):
        methods.from_json(text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"method": "transformer"}', '{"method": ["multitask"]}', '{"method": "multitask"}']
)
def test_a_file_that_is_no_recipe_is_refused(text):
    with pytest.raises(RecipeError):
        methods.from_json(text)


IMPOSSIBLE = [
    (methods.multitask, {"erasing": 1.5}),
    (methods.multitask, {"lr": 0}),
    (methods.multitask, {"lr": "fast"}),
    (methods.multitask, {"epochs": 0}),
    (methods.multitask, {"epochs": 2.5}),
    (methods.multitask, {"backbone": "resnet121"}),
    (methods.multitask, {"pairs": 0}),
    (methods.multitask, {"positive": "often"}),
    (methods.multitask, {"crop": (400, 128)}),
    (methods.multitask, {"crop": 128}),
    (methods.multitask, {"erasing_area": (0.4, 0.02)}),
    (methods.multitask, {"milestones": (40, 30)}),
    (methods.multitask, {"half_size_epochs": 3, "epochs": 2}),
    (methods.multitask, {"dropout_verification": 1.0}),
    (methods.residual_pooling, {"images": 1}),
    (methods.residual_pooling, {"identities": 1}),
    (methods.residual_pooling, {"pooling": "median"}),
    (methods.residual_pooling, {"sign": "plus"}),
    (methods.residual_pooling, {"classifiers": 2}),
    (methods.residual_pooling, {"margin": -0.1}),
    (methods.residual_pooling, {"precision": "int8"}),
]


@pytest.mark.parametrize(
    ("method", "fields"), IMPOSSIBLE, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_an_impossible_value_is_refused_with_a_sentence_that_names_it(method, fields):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(fields))}\b"):
        method("smoke", **fields)


def test_a_size_that_does_not_exist_is_refused():
    with pytest.raises(RecipeError, match="'huge'"):
        methods.multitask("huge")


@pytest.mark.parametrize(
    "wrong",
    [
        {"milestones": "abc"},
        {"milestones": 5},
        {"milestones": ["a"]},
        {"milestones": [1.5]},
        {"milestones": [3, 2]},
        {"lr": float("inf")},
        {"lr": float("nan")},
        {"lr": 10**400},
        {"resize": [64.5, 32]},
        {"crop": None},
        {"classifiers": True},
        {"triplet_scales": False},
        {"last_stride": 1.0},
        {"epochs": True},
        {"erasing": False},
        {"momentum": 0, "optimizer": "nesterov"},
        {"fusion": "sum", "pooling": "raw avg"},
        {"backbone": ["resnet50"]},
        {"nonlinear": 2},
        {"shared_convolutions": "maybe"},
        {"identities": 1},
        {"images": 1},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_value_of_the_wrong_kind_is_refused_by_the_name_of_its_field(wrong):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(wrong))}\b"):
        methods.residual_pooling("smoke", **wrong)


def test_a_wrong_size_in_the_environment_is_traced_to_its_variable(monkeypatch):
    monkeypatch.setenv("REID_LAB_SIZE", "big")
    with pytest.raises(RecipeError, match="REID_LAB_SIZE.*'big'"):
        methods.multitask()


def test_the_fields_that_a_recipe_lacks_are_named():
    with pytest.raises(RecipeError, match=r"\blr\b"):
        methods.from_json('{"method": "multitask"}')


def test_a_sweep_over_numbers_of_numpy_gives_the_recipes_of_plain_ones():
    fields = {"epochs": 3, "lr": 0.1, "nonlinear": False, "milestones": (1, 2), "crop": (64, 32), "pooling": "avg"}
    arrays = {name: np.array(value) for name, value in fields.items()}
    swept = {name: array if array.ndim else array[()] for name, array in arrays.items()}
    plain, numpys = (methods.residual_pooling("smoke", **these) for these in (fields, swept))
    assert numpys == plain and numpys.to_json() == plain.to_json()
    assert {name: type(getattr(numpys, name)) for name in fields} == {name: type(fields[name]) for name in fields}
    assert isinstance(methods.multitask("smoke").replace(lr=np.float32(0.5)).lr, float)


def test_a_number_stays_as_it_was_given_because_folders_are_named_by_the_json():
    assert '"erasing": 1,' in methods.multitask("smoke", erasing=1).to_json()
    assert '"erasing": 1.0,' in methods.multitask("smoke", erasing=1.0).to_json()


@pytest.mark.parametrize(
    ("method", "size", "digest"),
    [
        (methods.multitask, "smoke", "6eafc4ca5c6a"),
        (methods.multitask, "paper", "e04224ee18ee"),
        (methods.residual_pooling, "smoke", "b4106f7ca7fe"),
        (methods.residual_pooling, "paper", "836b4c235953"),
    ],
)
def test_the_json_is_that_of_earlier_versions_byte_by_byte(method, size, digest):
    assert hashlib.sha256(method(size).to_json().encode()).hexdigest()[:12] == digest


def test_a_file_of_the_first_edition_is_read():
    recipe = methods.residual_pooling("smoke")
    assert methods.from_json(recipe.to_json().replace('"optimizer"', '"optimiser"')) == recipe


def test_what_a_file_lacks_is_not_taken_from_the_paper_but_from_what_all_methods_share():
    fields = json.loads(methods.residual_pooling("smoke").to_json())
    del fields["erasing_fill"], fields["margin"]
    read = methods.from_json(json.dumps(fields))
    assert (read.erasing_fill, read.margin) == ("random", 0.3)
    del fields["pad"]
    with pytest.raises(RecipeError, match=r"\bpad\b"):
        methods.from_json(json.dumps(fields))


def test_a_recipe_never_changes():
    recipe = methods.multitask("smoke")
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.lr = 1.0
    assert dataclasses.replace(recipe, lr=1.0) == recipe.replace(lr=1.0) != recipe
    with pytest.raises(RecipeError, match=r"\blr\b"):
        dataclasses.replace(recipe, lr=-1.0)


def test_a_field_that_came_later_is_in_the_json_where_it_changes_something():
    """Else two trainings would share a folder."""
    recipe = methods.multitask("smoke", epochs=2)
    assert "half_size_epochs" not in recipe.to_json()
    for epochs in (1, 2):  # all of them at half the size is possible, too
        half = recipe.replace(half_size_epochs=epochs)
        assert methods.from_json(half.to_json()) == half != recipe


def test_as_many_epochs_as_the_recipe_says_are_at_half_the_size():
    recipe = methods.multitask("smoke", epochs=3, half_size_epochs=2)
    assert [recipe.augmentation(epoch).shrink for epoch in range(3)] == [2, 2, 1]


STARTED = [*BOTH, methods.classification]


@pytest.mark.parametrize("method", STARTED)
def test_random_weights_bring_a_longer_schedule_at_classroom_alone_and_what_is_asked_for_wins(method):
    started, random = method("classroom"), method("classroom", weights=None)
    assert started.weights == "passersby" and random.epochs > started.epochs
    assert random == started.replace(weights=None, **method.__self__.from_random)
    assert method("smoke", weights="passersby") == method("smoke").replace(weights="passersby")
    asked = method("classroom", weights=None, lr=0.7, epochs=9)
    assert asked == random.replace(lr=0.7, epochs=9)


@pytest.mark.parametrize("method", STARTED)
def test_the_backbone_of_a_network_begins_where_its_recipe_says(method):
    recipe = method("smoke", weights="passersby")
    start = passersby_weights(recipe.backbone)
    begun, random = (one.network(5).backbone.state_dict() for one in (recipe, recipe.replace(weights=None)))
    assert all(torch.equal(begun[name], value) for name, value in start.items())
    assert not torch.equal(random["conv1.weight"], start["conv1.weight"])
