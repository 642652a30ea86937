"""Loading weights: what fits, what does not, and a machine without a network."""

import json
import shutil

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from reid_lab import methods, models
from reid_lab.models import weights
from reid_lab.models.weights import STARTS
from reid_lab.runtime.errors import RecipeError, WeightsError

DOWNLOAD = "torchvision.models._api.load_state_dict_from_url"


def test_weights_that_fit_are_loaded():
    torch.manual_seed(0)
    a, b = models.resnet_slim(width=8), models.resnet_slim(width=8)
    models.load_weights(b, a.state_dict())
    loaded = b.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in a.state_dict().items())


def test_weights_of_another_architecture_are_refused_in_one_sentence_and_nothing_is_lost():
    model = models.resnet_slim(width=8)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    foreign = models.res2net_slim(width=8).state_dict()
    with pytest.raises(WeightsError) as caught:
        models.load_weights(model, foreign)
    message = str(caught.value)
    assert "missing (layer1.0.bn2.bias, " in message
    assert "unexpected (layer1.0.bns.0.bias, " in message
    assert "of another shape (layer1.0.bn1.bias (12,) for (8,)" in message
    assert "\n" not in message
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_weights_of_another_number_of_identities_name_the_classifier():
    a = methods.residual_pooling("smoke", dim=8).network(10)
    b = methods.residual_pooling("smoke", dim=8).network(12)
    with pytest.raises(WeightsError) as caught:
        models.load_weights(b, a.state_dict())
    assert "1 of another shape (classifiers.0.weight (10, 8) for (12, 8))" in str(caught.value)


def test_imagenet_weights_are_loaded_without_their_classifier(monkeypatch):
    oracle = torchvision.models.resnet50()
    monkeypatch.setattr(DOWNLOAD, lambda *_, **__: oracle.state_dict())
    ours = models.resnet50(last_stride=1, weights="imagenet")
    assert torch.equal(ours.layer4[2].conv3.weight, oracle.layer4[2].conv3.weight)


def test_torchvisions_files_are_checked_and_never_unpickled(monkeypatch):
    asked = {}
    monkeypatch.setattr(DOWNLOAD, lambda url, **told: asked.update(told))
    weights.torchvision_weights("resnet50")
    assert asked["weights_only"] and asked["check_hash"]


def no_network(*_, **__):
    raise ConnectionError("network is unreachable\nand more")


@pytest.mark.parametrize("name", ["resnet50", "res2net50"])
def test_without_a_network_a_sentence_says_what_to_do(monkeypatch, name):
    monkeypatch.setattr(DOWNLOAD, no_network)
    monkeypatch.setattr("timm.create_model", no_network)
    with pytest.raises(WeightsError, match="network is unreachable") as caught:
        models.backbone(name, weights="imagenet")
    assert "weights=None" in str(caught.value) and "\n" not in str(caught.value)


def test_slim_networks_have_no_imagenet_weights():
    with pytest.raises(WeightsError, match="resnet_slim"):
        models.resnet_slim(weights="imagenet")


def test_a_misspelt_source_of_weights_is_refused():
    with pytest.raises(RecipeError, match="imagnet"):
        weights.start(nn.Linear(1, 1), "resnet_slim", "imagnet", dict)


@pytest.mark.parametrize("name", ["resnet_slim", "res2net_slim"])
def test_a_start_on_another_town_is_in_the_package_and_its_note_tells_of_it(name):
    start = models.backbone(name, last_stride=1, weights="passersby").state_dict()
    file, told = STARTS / f"{name}.safetensors", json.loads((STARTS / f"{name}.json").read_text())
    kept = load_file(file)
    assert kept.keys() == start.keys()
    assert all(torch.equal(start[key], kept[key].to(start[key].dtype)) for key in start)
    assert told["recipe"]["backbone"] == name and told["recipe"]["weights"] is None
    assert told["parameters"] == sum(value.numel() for value in models.backbone(name).parameters())
    assert file.stat().st_size < 6e6
    assert torch.equal(models.backbone(name, 2, "passersby").conv1.weight, start["conv1.weight"])  # whatever the stride


@pytest.mark.parametrize("name", ["res2net50", "res2net101"])
def test_timm_is_asked_for_the_authors_network_by_its_own_name(name, monkeypatch):
    asked = []
    monkeypatch.setattr("timm.create_model", lambda name, **options: asked.append((name, options)) or torch.nn.ReLU())
    assert weights.timm_weights(name) == {}
    assert asked == [(f"{name}_26w_4s", {"pretrained": True})]


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "res2net50", "res2net101"])
def test_large_networks_have_a_start_on_another_town_only_where_it_was_made(name, tmp_path, monkeypatch):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=f"resnet_slim.*reid-lab pretrain {name}\\.$"):
        models.backbone(name, weights="passersby")


def test_a_start_that_was_made_here_is_found_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path))
    weights.own_starts().mkdir()
    for end in ("safetensors", "json"):
        shutil.copy(STARTS / f"resnet_slim.{end}", weights.own_starts() / f"resnet50.{end}")
    assert weights.passersby_weights("resnet50")["conv1.weight"].dtype == torch.float32
    (weights.own_starts() / "resnet50.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="make them again: reid-lab pretrain resnet50"):
        weights.passersby_weights("resnet50")


@pytest.mark.parametrize("damage", ["cut", "altered", "no note", "another note"])
def test_a_damaged_start_is_refused(damage, tmp_path):
    for end in ("safetensors", "json"):
        shutil.copy(STARTS / f"resnet_slim.{end}", tmp_path)
    file, note = tmp_path / "resnet_slim.safetensors", tmp_path / "resnet_slim.json"
    content = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(content[:-1000])
    if damage == "altered":
        content[-1000] ^= 1
        file.write_bytes(content)
    if damage == "no note":
        note.unlink()
    if damage == "another note":
        note.write_text(json.dumps({"sha256": "0" * 64}))
    with pytest.raises(WeightsError, match="resnet_slim"):
        weights.passersby_weights("resnet_slim", tmp_path)
