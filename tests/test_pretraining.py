"""A start that was trained on another town: on nobody whom an experiment shows."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reid_lab import data, methods, pretraining, training
from reid_lab.models import weights
from reid_lab.passersby.people import person
from reid_lab.passersby.splits import SIZES, identities, list_images


def people(size, seed):
    return {person(seed, pid) for split in identities(SIZES[size]) for pid in split}


def test_nobody_of_the_town_is_in_an_experiment():
    town = people("full", pretraining.TOWN)
    assert len(town) == SIZES["full"].train_ids + SIZES["full"].test_ids  # no two are alike
    for seed in (*range(10), pretraining.OTHER_TOWN):
        assert not town & people("classroom", seed)
        assert seed != pretraining.TOWN


def test_no_image_of_the_town_is_drawn_from_the_numbers_of_an_experiment():
    """The same key gives another image in another town, whatever it shows."""
    from reid_lab.passersby.render import render

    for _, key in list_images(SIZES["smoke"], pretraining.TOWN)[::40]:
        assert (render(pretraining.TOWN, key)[0] != render(0, key)[0]).mean() > 0.5


def test_the_town_shows_all_its_people_in_training_and_those_of_a_second_town_in_the_test():
    town = pretraining.town("smoke")
    here, there = (data.passersby("smoke", seed=seed) for seed in (pretraining.TOWN, pretraining.OTHER_TOWN))
    shown = {record.path for records in here.splits.values() for record in records if record.pid > 0}
    assert {record.path for record in town.train} == shown
    assert len({record.pid for record in town.train}) == SIZES["smoke"].train_ids + SIZES["smoke"].test_ids
    assert town.query == there.query and town.gallery == there.gallery
    town.check()


def test_a_start_is_trained_written_and_loaded_and_a_second_call_trains_nothing(tmp_path):
    file = pretraining.pretrain("resnet_slim", "smoke", folder=tmp_path / "starts", runs=tmp_path / "runs")
    kept = weights.passersby_weights("resnet_slim", tmp_path / "starts")
    (run,) = (tmp_path / "runs").glob("classification-*")
    trained = load_file(run / "weights.safetensors")
    told = json.loads(file.with_suffix(".json").read_text())
    assert told["result"] == json.loads((run / "result.json").read_text()) and told["environment"]["seed"] == 0
    assert "data_root" not in told["environment"]
    assert {value.dtype for value in load_file(file).values()} == {torch.float16, torch.int64}
    before = load_file(file)
    pretraining.pretrain("resnet_slim", "smoke", folder=tmp_path / "starts", runs=tmp_path / "runs")
    assert all(torch.equal(value, before[name]) for name, value in load_file(file).items())
    for name, value in kept.items():
        assert torch.allclose(value.float(), trained[f"backbone.{name}"].float(), rtol=1e-3, atol=1e-6)  # of float16


def test_a_run_says_which_start_it_began_with(smoke, tmp_path):
    """A start in the cache may be made again, and then runs of one name would not be comparable."""
    told = []
    for weight in ("passersby", None):
        recipe = methods.classification("smoke", epochs=1, weights=weight)
        told.append(training.fit(recipe, smoke, device="cpu", runs=tmp_path).environment)
    about = json.loads((weights.STARTS / "resnet_slim.json").read_text(encoding="utf-8"))
    assert told[0]["start"] == about["sha256"] and "start" not in told[1]


def test_the_page_quotes_what_the_starts_score():
    page = (Path(__file__).parent.parent / "TRAINING.md").read_text(encoding="utf-8")
    for name, title in {"resnet_slim": "slim ResNet", "res2net_slim": "slim Res2Net", "vit_slim": "slim ViT"}.items():
        result = json.loads((weights.STARTS / f"{name}.json").read_text(encoding="utf-8"))["result"]
        assert f"| {title} | {100 * result['rank-1']:.1f} | {100 * result['mAP']:.1f} |" in page


@pytest.mark.parametrize("backbone", pretraining.BACKBONES)
def test_the_starts_of_the_package_were_made_by_the_recipe_that_makes_them_again(backbone, monkeypatch):
    asked = []
    monkeypatch.setattr(pretraining.training, "fit", lambda recipe, bench, **_: asked.append((recipe, bench)) or None)
    monkeypatch.setattr(pretraining, "town", lambda size: size)
    monkeypatch.setattr(pretraining, "write", lambda run, name, folder: (name, folder))
    assert pretraining.pretrain(backbone) == (backbone, weights.STARTS)
    [(recipe, size)] = asked
    told = json.loads((weights.STARTS / f"{backbone}.json").read_text())
    assert (json.loads(recipe.to_json()), size) == (told["recipe"], "full")
    assert told["environment"]["data"].startswith(f"Passersby full, seed {pretraining.TOWN}")


@pytest.mark.parametrize("backbone", pretraining.BACKBONES)
def test_a_start_is_small_and_tells_nothing_of_the_machine_that_made_it(backbone):
    tensors = load_file(weights.STARTS / f"{backbone}.safetensors").values()
    assert {value.dtype for value in tensors} - {torch.int64} == {torch.float16}  # batch norms count batches
    assert "data_root" not in json.loads((weights.STARTS / f"{backbone}.json").read_text())["environment"]


@pytest.mark.parametrize("backbone", pretraining.LARGE)
def test_the_start_of_a_large_network_goes_to_the_cache_not_into_the_package(backbone, monkeypatch, tmp_path):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path))
    for name, stand_in in {"town": lambda size: size, "write": lambda run, name, folder: folder}.items():
        monkeypatch.setattr(pretraining, name, stand_in)
    monkeypatch.setattr(pretraining.training, "fit", lambda recipe, bench, **_: recipe)
    assert pretraining.pretrain(backbone) == tmp_path / "starts"
    assert pretraining.recipe(backbone).backbone == backbone and pretraining.recipe(backbone).weights is None
