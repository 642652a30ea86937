"""Vision transformers in a ResNet's place: timm's own tokens, as maps."""

import sys

import pytest
import torch
from seen import normed, seen
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F

from reid_lab import methods, models, pretraining
from reid_lab.analysis import gradcam
from reid_lab.runtime.errors import RecipeError, WeightsError


@pytest.fixture(scope="module")
def slim():
    torch.manual_seed(0)
    return models.transformer("vit_slim").eval()


def test_the_maps_are_timms_tokens_patch_by_patch(slim):
    images = torch.randn(2, 3, 128, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        middle, last = slim(images)
        tokens = slim.tokens.forward_features(images)[:, 1:]  # the first is the class token
        begun = slim.tokens.blocks[:2](slim.tokens._pos_embed(slim.tokens.patch_embed(images)))
    assert middle.shape == last.shape == (2, 192, 16, 8) and slim.channels == (192, 192)
    torch.testing.assert_close(last, tokens.transpose(1, 2).unflatten(2, (16, 8)))
    torch.testing.assert_close(middle[:, :, 3, 5], slim.tokens.norm(begun)[:, 1 + 8 * 3 + 5])


def test_images_of_half_the_size_have_a_quarter_of_the_positions(slim):
    assert [tuple(each.shape) for each in slim(torch.zeros(1, 3, 64, 32))] == [(1, 192, 8, 4)] * 2


def test_the_large_one_is_timms_vit_small_without_its_classifier():
    with torch.device("meta"):
        ours = models.transformer("vit_small")
        theirs = VisionTransformer(img_size=(256, 128), patch_size=16, embed_dim=384, depth=12, num_heads=6)
    shapes = {name.removeprefix("tokens."): value.shape for name, value in ours.state_dict().items()}
    assert shapes == {name: v.shape for name, v in theirs.state_dict().items() if not name.startswith("head")}


def test_the_methods_network_is_the_plain_baseline_on_another_backbone():
    torch.manual_seed(0)
    network = methods.vision_transformer("smoke").network(5).eval()
    images = torch.randn(3, 3, 64, 48)
    outputs = network(images)
    last = network.backbone(images)[1]
    torch.testing.assert_close(outputs.pooled, last.mean(dim=(2, 3)))
    assert outputs.logits.shape == (3, 5) and network.features(images).shape == (3, 192)
    assert methods.vision_transformer("paper").backbone == "vit_small"


def test_features_and_logits_are_those_after_the_bnneck_of_a_trained_one():
    torch.manual_seed(0)
    network = seen(methods.vision_transformer("smoke").network(5))
    images = torch.randn(3, 3, 64, 48)
    outputs, neck = network(images), normed(network.backbone(images)[1].mean(dim=(2, 3)), network.neck)
    torch.testing.assert_close(outputs.neck, neck, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.embed(images), F.normalize(neck), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outputs.logits, neck @ network.classifier.weight.T, rtol=1e-4, atol=1e-5)
    assert network.classifier.bias is None


def test_grad_cam_finds_the_last_map_alone():
    torch.manual_seed(0)
    network = methods.vision_transformer("smoke").network(5).eval()
    images = torch.randint(0, 256, (2, 3, 64, 48), dtype=torch.uint8)
    heat = gradcam.grad_cam(network, images, classes=[0, 1])
    assert heat.shape == (2, 64, 48) and heat.max() > 0.99
    with pytest.raises(RecipeError, match="no layer3 on the way"):
        gradcam.grad_cam(network, images, layer="layer3", classes=[0, 1])


def test_what_a_transformer_cannot_be_is_said():
    with pytest.raises(RecipeError, match="last_stride"):
        methods.vision_transformer("smoke", last_stride=2)
    with pytest.raises(RecipeError, match="multiples of 8, not 60 x 48"):
        methods.vision_transformer("smoke", crop=(60, 48))
    with pytest.raises(RecipeError, match="half of which .* multiples of 16, not 64 x 40"):
        methods.vision_transformer("smoke", crop=(64, 40), half_size_epochs=1)
    with pytest.raises(RecipeError, match="vit_small"):
        methods.vision_transformer("smoke", backbone="resnet50")
    with pytest.raises(RecipeError, match="backbone"):
        methods.pcb("smoke", backbone="vit_slim")  # whose stripes are a ResNet's
    with pytest.raises(WeightsError, match="ImageNet weights for vit_slim"):
        models.transformer("vit_slim", "imagenet")


def test_without_timm_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm.models.vision_transformer", None)
    with pytest.raises(RecipeError, match="pip install timm"):
        models.transformer("vit_slim")


def test_its_start_is_trained_by_its_own_method():
    recipe = pretraining.recipe("vit_slim")
    assert recipe.method == "vision_transformer" and recipe.weights is None and recipe.half_size_epochs < recipe.epochs
    assert pretraining.recipe("vit_slim", "smoke") == methods.vision_transformer("smoke")
