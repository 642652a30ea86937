import sys

import numpy as np
import pytest
import torch
from scipy import ndimage
from seen import normed, seen
from torch import nn
from torch.nn import functional as F

from reid_lab import methods, models, passersby, retrieval
from reid_lab.analysis import gradcam
from reid_lab.data import image_store, normalize
from reid_lab.data.records import Record
from reid_lab.runtime.errors import DataError, FeatureError, RecipeError, ReidLabError

SIZE = (64, 32)


@pytest.fixture(autouse=True)
def library(request):
    """Heat maps need pytorch-grad-cam; the tests that do not draw any run without it."""
    if "without_the_library" not in request.node.name:
        pytest.importorskip("pytorch_grad_cam")


def network(kind, **fields):
    torch.manual_seed(0)
    if kind.startswith("multitask"):
        fields |= {"embed_norm": kind.endswith("normed")}
        model = methods.multitask("smoke", embed_dim=16, crop=SIZE, **fields).network(5)
    else:
        model = methods.residual_pooling("smoke", pooling=kind, dim=16, crop=SIZE, **fields).network(5)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight)  # trained classifiers are not as near to zero as new ones
    return seen(model)


@pytest.fixture
def images():
    return torch.randn(5, 3, *SIZE, generator=torch.Generator().manual_seed(1))


# The oracle: Grad-CAM by hand


def by_hand(model, layer, images, score):
    """Grad-CAM of Selvaraju et al., one image at a time; ``score`` takes the model and one image."""
    heats = []
    for i in range(len(images)):
        kept = []
        hook = getattr(model.backbone, layer).register_forward_hook(
            lambda module, given, maps, kept=kept: kept.append(maps)
        )
        value = score(model, images[i : i + 1], i)
        hook.remove()
        (gradient,) = torch.autograd.grad(value, kept[-1])
        weights = gradient.mean(dim=(2, 3), keepdim=True)  # alpha_k, eq. 1 there
        heat = F.relu((weights * kept[-1]).sum(dim=1, keepdim=True))  # eq. 2 there
        heat = heat[0, 0].detach() - heat.min().item()
        heat = (heat / heat.max() if heat.max() > 0 else heat).numpy()
        places = np.stack(
            np.meshgrid(*(np.arange(n) * m / n for n, m in zip(SIZE, heat.shape, strict=True)), indexing="ij")
        )
        heats.append(ndimage.map_coordinates(heat, places, order=1, mode="nearest"))
    return np.stack(heats)


def identity_a(model, image, i):
    return F.linear(model.features(image), model.identity_classifier.weight, model.identity_classifier.bias).max()


def identity_b(model, image, i):
    return sum(model(image).logits).max() / 3


def given_class(model, image, i):
    return (sum(model(image).logits) / 3)[0, [4, 3, 2, 1, 0][i]]


def similarity(model, image, i):
    reference = model.embed(torch.ones(1, 3, *SIZE)).detach()
    return (F.normalize(model.embed(image)) @ F.normalize(reference).T).squeeze()


def length_a(model, image, i):
    return model.features(image).square().sum().sqrt()


def length_b(model, image, i):
    """Of the three features after their BNNecks, which a fresh one would leave nearly as they were before."""
    contrast = model(image).contrast.values()
    necks = [normed(vector, neck) for vector, neck in zip(contrast, model.necks, strict=True)]
    return torch.cat(necks).square().sum().sqrt()


def length_of_a_normed_descriptor(model, image, i):
    pooled = model.backbone(image)[1].mean((2, 3))
    return normed(model.projection(pooled), model.norm).square().sum().sqrt()


REFERENCE = torch.ones(1, 3, *SIZE)


@pytest.mark.parametrize("layer", gradcam.LAYERS[:2])
@pytest.mark.parametrize(
    ("kind", "arguments", "score"),
    [
        ("multitask", {}, identity_a),
        ("multitask", {"target": "similarity", "references": REFERENCE}, similarity),
        ("multitask", {"target": "similarity"}, length_a),
        ("multitask, normed", {}, identity_a),
        ("multitask, normed", {"target": "similarity"}, length_of_a_normed_descriptor),
        ("residual", {}, identity_b),
        ("residual", {"classes": [4, 3, 2, 1, 0]}, given_class),
        ("residual", {"target": "similarity", "references": REFERENCE}, similarity),
        ("residual", {"target": "similarity"}, length_b),
        ("max", {"target": "similarity", "references": REFERENCE}, similarity),
    ],
)
def test_heat_maps_are_those_of_grad_cam_by_hand(kind, arguments, score, layer, images):
    model = network(kind)
    heats = gradcam.grad_cam(model, images, layer, batch_size=2, **arguments)
    expected = by_hand(model, layer, images, score)
    assert heats.dtype == np.float32 and heats.shape == (5, *SIZE)
    assert heats.min() >= 0 and heats.max() <= 1 and expected.max() > 0.99
    np.testing.assert_allclose(heats, expected, atol=1e-3)


def test_the_sum_of_the_branches_has_a_length_too(images):
    model = network("avg", fusion="sum")
    heats = gradcam.grad_cam(model, images, target="similarity")
    expected = by_hand(model, "layer4", images, lambda m, image, i: sum(m(image).necks).square().sum().sqrt())
    np.testing.assert_allclose(heats, expected, atol=1e-3)


class SeesRed(models.Network):
    """Its layer4 is the picture itself, 16 times coarser; its descriptor and its logits know only red."""

    def __init__(self):
        super().__init__(models.resnet_slim(), 2, SIZE)
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
            setattr(self.backbone, name, nn.Identity())
        self.backbone.layer4 = nn.AvgPool2d(16)
        self.anything = nn.Parameter(torch.zeros(1))  # its device is the network's

    def features(self, images):
        return self.backbone(images)[1].mean(dim=(2, 3))[:, :1]

    def identity_logits(self, images):
        red = self.features(images)
        return torch.cat([red, -red], dim=1)

    forward = features

    def loss(self, outputs, pids, gather=None):
        raise NotImplementedError


@pytest.mark.parametrize("target", gradcam.TARGETS)
def test_a_network_that_sees_only_red_puts_its_heat_on_the_red_square(target):
    model = SeesRed()
    image = torch.zeros(1, 3, *SIZE)
    image[0, 0, 16:32, 0:16] = 1  # red
    image[0, 1, 48:64, 16:32] = 1  # green
    heat = gradcam.grad_cam(model, image, target=target)[0]
    assert heat[16:32, :16].max() > 0.999 and heat[40:].max() == 0 and heat[56, 24] == 0
    red, green = np.zeros((2, 1, *SIZE), bool)
    red[0, 16:32, 0:16], green[0, 48:64, 16:32] = True, True
    assert gradcam.heat_share(heat[None], red)[0] > 0.4 and gradcam.heat_share(heat[None], green)[0] == 0


@pytest.mark.parametrize(("backbone", "layer"), [("resnet_slim", "layer2"), ("res2net_slim", "layer4")])
def test_a_heat_map_puts_a_position_where_it_looks(backbone, layer):
    """The pixels that move one position of a layer have their middle where a map of that position alone is hottest."""
    torch.manual_seed(0)
    model = methods.classification("smoke", backbone=backbone, last_stride=1, crop=(128, 64), resize=(128, 64)).network(
        3
    )
    image, kept = torch.randn(1, 3, 128, 64, requires_grad=True), []
    hook = getattr(model.eval().backbone, layer).register_forward_hook(lambda module, given, maps: kept.append(maps))
    model(image)
    hook.remove()
    rows, columns = kept[0].shape[2:]
    row, column = rows // 2, columns // 2
    sums = [
        torch.autograd.grad(one, image, retain_graph=True)[0].abs().sum((0, 1)) for one in kept[0][0, :8, row, column]
    ]
    moved = torch.stack(sums).sum(0)
    looks_at = [float((moved.sum(1 - i) * torch.arange(moved.shape[i])).sum() / moved.sum()) for i in (0, 1)]
    alone = np.zeros((1, rows, columns))
    alone[0, row, column] = 1
    hottest = np.unravel_index(gradcam._stretched(alone, (128, 64))[0].argmax(), (128, 64))
    assert (
        looks_at == pytest.approx(hottest, abs=1.5) and 128 // rows > 7
    )  # in the middle of its square it would be 3.5 off


def test_of_a_width_that_the_stride_does_not_divide_the_last_position_is_where_it_looks():
    """Of 48 columns at stride 32, position 1 looks around column 32."""
    alone = np.array([[[0.0, 1.0]]])
    assert gradcam._stretched(alone, (8, 48))[0, 0].tolist() == [min(1, column / 32) for column in range(48)]


def test_where_nothing_raises_the_score_there_is_no_heat():
    model = SeesRed()
    model.anything = nn.Parameter(torch.zeros(1))
    assert gradcam.grad_cam(model, torch.zeros(2, 3, *SIZE)).tolist() == np.zeros((2, *SIZE)).tolist()


def test_grad_cam_cannot_see_residual_poolings_second_convolution_at_layer4(images):
    residual, control = network("residual"), network("max+avg")
    control.load_state_dict(residual.state_dict())
    before = [gradcam.grad_cam(model, images, classes=[1] * 5) for model in (residual, control)]
    logits = residual(images).logits[0]
    for model in (residual, control):
        torch.manual_seed(3)
        for pool in model.pools[1:]:  # those that stand on layer4
            nn.init.normal_(pool.second[0].weight)
    assert (residual(images).logits[1] - logits).abs().max() > 0.1  # the network has become another one
    after = [gradcam.grad_cam(model, images, classes=[1] * 5) for model in (residual, control)]
    np.testing.assert_allclose(after[0], before[0], atol=1e-4)
    assert np.abs(after[1] - before[1]).max() > 0.1  # a sum of maximum and average does see it


# What may be passed


def test_one_reference_for_all_or_one_for_each_as_images_or_as_descriptors(images):
    model = network("residual")
    others = torch.randn(5, 3, *SIZE, generator=torch.Generator().manual_seed(2))
    for references in (others, others[:1]):
        expected = gradcam.grad_cam(model, images, target="similarity", references=references)
        with torch.inference_mode():
            features = model.embed(references)
        heats = gradcam.grad_cam(model, images, target="similarity", references=features)
        np.testing.assert_allclose(heats, expected, atol=1e-4)
    own = [
        gradcam.grad_cam(model, images[i : i + 1], target="similarity", references=others[i : i + 1]) for i in (0, 4)
    ]
    each = gradcam.grad_cam(model, images, target="similarity", references=others, batch_size=3)
    np.testing.assert_allclose(each[[0, 4]], np.concatenate(own), atol=1e-4)


def test_records_and_their_pixels_and_normalized_images_are_one(smoke, smoke_run):
    model, records = smoke_run.model, smoke.query[:3]
    pixels = image_store(records, model.input_size).batch([0, 1, 2])
    heats = gradcam.grad_cam(model, records)
    assert heats.shape == (3, *model.input_size)
    assert np.array_equal(heats, gradcam.grad_cam(model, pixels))
    assert np.array_equal(heats, gradcam.grad_cam(model, normalize(pixels)))


def test_the_model_is_left_as_it_was(images):
    model = network("residual").train()
    model.backbone.layer1.eval()
    model.backbone.layer2.requires_grad_(False)
    model.backbone.conv1.weight.grad = torch.ones_like(model.backbone.conv1.weight)
    modes = [module.training for module in model.modules()]
    flags = [parameter.requires_grad for parameter in model.parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pristine = images.clone()
    for call in ({}, {"target": "similarity", "references": REFERENCE}, {"classes": [9] * 5}):
        try:
            gradcam.grad_cam(model, images, **call)
        except DataError:
            assert "classes" in call
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    gradients = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert gradients == ["backbone.conv1.weight"] and model.backbone.conv1.weight.grad.min() == 1
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert torch.equal(images, pristine) and not images.requires_grad


def test_hooks_are_removed_when_something_goes_wrong(images):
    model = network("residual")
    with pytest.raises(DataError, match="Image 0") as caught:
        gradcam.grad_cam(model, images, target="similarity", references=images)
    assert caught.traceback  # whose frames keep everything alive that would tidy up when it goes
    assert not any(module._forward_hooks for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.groups()["backbone"])


def test_a_caller_without_gradients_or_with_autocast_gets_the_same_maps(images):
    model = network("residual")
    expected = gradcam.grad_cam(model, images)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(gradcam.grad_cam(model, images), expected)


def test_wrong_requests_are_sentences_without_the_library(images):
    model = network("residual")

    def refused(error, match, given=images, **arguments):
        with pytest.raises(error, match=match):
            gradcam.grad_cam(model, given, **arguments)

    refused(RecipeError, "'layer9'.*'layer4'", layer="layer9")
    refused(RecipeError, "'person'", target="person")
    refused(DataError, "[Nn]o ", given=[])
    refused(DataError, "[Nn]o ", target="similarity", references=[])
    refused(DataError, r"\(5, 3, 32, 32\).*\(N, 3, 64, 32\)", given=images[:, :, :32])
    refused(DataError, r"\(5, 3, 32, 32\)", target="similarity", references=images[:, :, :32])
    refused(DataError, "2 references.* 5 ", target="similarity", references=images[:2])
    refused(DataError, "2 numbers.* 5 ", classes=[0, 1])
    refused(DataError, "0 to 5.* 0 to 4", classes=[0, 1, 2, 3, 5])
    refused(DataError, "classes.* 3", classes=3)
    refused(DataError, r"\[1.9, 1, 1, 1, 1\]", classes=[1.9, 1, 1, 1, 1])
    refused(DataError, "torch.int64", given=images.long())
    refused(DataError, "ndarray", given=images.numpy())
    refused(DataError, "ndarray", target="similarity", references=np.zeros((5, 48)))
    refused(FeatureError, "batch_size.* 0", batch_size=0)
    refused(FeatureError, "batch_size.* -1", batch_size=-1)
    refused(DataError, "References.*classes", references=images)
    refused(DataError, "References.*classes", target="similarity", classes=[0] * 5)


def test_references_of_another_network_are_refused(images):
    with pytest.raises(FeatureError, match="8 dimensions, .* 48"):
        gradcam.grad_cam(network("residual"), images, target="similarity", references=torch.randn(5, 8))


@pytest.mark.parametrize("spoilt", ["image", "reference"])
def test_a_map_that_is_not_a_number_is_refused_with_its_place(images, spoilt):
    references = torch.ones(5, 48)
    (images if spoilt == "image" else references)[3] = torch.nan
    with pytest.raises(FeatureError, match="image 3"):
        gradcam.grad_cam(network("residual"), images, target="similarity", references=references, batch_size=2)


def test_a_map_of_one_place_is_0_whatever_it_does_to_the_score():
    model = methods.residual_pooling("smoke", dim=16, last_stride=2, crop=(32, 16)).network(5)
    assert gradcam.grad_cam(model, torch.randn(3, 3, 32, 16)).max() == 0


def test_a_missing_library_is_named_without_the_library(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    with pytest.raises(ReidLabError, match="pip install grad-cam"):
        gradcam.grad_cam(network("residual"), images)


# Heat on the person


def test_shares_of_a_hand_made_map_without_the_library():
    heats = np.zeros((4, 4, 2), np.float32)
    heats[0, 0, 0], heats[0, 3, 1] = 3, 1
    heats[1:3] = 1
    masks = np.zeros((4, 4, 2), bool)
    masks[:2, :2] = True  # upper half; nobody on the third, no heat in the fourth
    masks[3] = True
    with np.errstate(all="raise"):
        shares = gradcam.heat_share(heats, masks)
    np.testing.assert_array_equal(shares, [0.75, 0.5, np.nan, np.nan])
    np.testing.assert_array_equal(gradcam.area_share(masks), [0.5, 0.5, np.nan, 1])


def test_even_heat_gives_the_share_of_the_area_without_the_library(smoke):
    masks = [passersby.mask(record) for record in smoke.query[:4]]
    areas = gradcam.area_share(masks)
    assert ((areas > 0.05) & (areas < 0.9)).all()
    np.testing.assert_allclose(gradcam.heat_share(np.full((4, 128, 64), 0.3), masks), areas)
    np.testing.assert_allclose(gradcam.heat_share(np.full((4, 288, 144), 0.3), masks), areas, rtol=0.02)


def test_masks_are_resized_as_torch_does_by_nearest_exact_without_the_library(smoke):
    masks = np.stack([passersby.mask(record) for record in smoke.query[:3]])
    for size in ((288, 144), (256, 128), (64, 32), (128, 64), (50, 33)):
        expected = F.interpolate(torch.from_numpy(masks)[None].float(), size=size, mode="nearest-exact")[0].bool()
        assert np.array_equal(gradcam.fit_masks(masks, size), expected.numpy())


def test_masks_that_do_not_match_are_refused_without_the_library():
    heats = np.ones((2, 4, 2))
    with pytest.raises(DataError, match=r"\(2, 4, 2\)"):
        gradcam.heat_share(heats, np.ones((1, 4, 2), bool))
    with pytest.raises(DataError, match=r"\(4, 2\)"):
        gradcam.heat_share(heats[0], np.ones((1, 4, 2), bool))
    for heat in (-1, np.nan):
        with pytest.raises(DataError):
            gradcam.heat_share(heat * heats, np.ones((2, 4, 2), bool))
    with pytest.raises(DataError, match="Mask 1"):
        gradcam.heat_share(heats, [np.ones((4, 2), bool), np.ones(8, bool)])


def test_the_table_has_a_row_per_image_with_the_shares(smoke, smoke_run):
    model, records = smoke_run.model, smoke.query[:4]
    features = retrieval.extract(model, smoke.gallery[:1])
    table = gradcam.on_the_person(model, records, "layer3", "similarity", references=features, batch_size=3)
    heats = gradcam.grad_cam(model, records, "layer3", "similarity", references=features)
    masks = [passersby.mask(record) for record in records]
    assert list(table["path"]) == [str(record.path) for record in records]
    np.testing.assert_allclose(table["heat"], gradcam.heat_share(heats, masks), rtol=1e-4)
    np.testing.assert_allclose(table["area"], gradcam.area_share(gradcam.fit_masks(masks, heats.shape[1:])))
    np.testing.assert_allclose(table["ratio"], table["heat"] / table["area"])


def test_images_of_another_data_set_have_no_mask(tmp_path, smoke_run):
    with pytest.raises(DataError, match="Passersby"):
        gradcam.on_the_person(smoke_run.model, [Record(tmp_path / "0001_c1s1_000001_00.jpg", 1, 1)])


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("target", gradcam.TARGETS)
def test_a_gpu_draws_the_same_maps(target, images):
    model = network("residual")
    expected = gradcam.grad_cam(model, images, target=target)
    heats = gradcam.grad_cam(model.cuda(), images, target=target)
    assert np.abs(heats - expected).mean() < 0.02  # TF32 in the convolutions
