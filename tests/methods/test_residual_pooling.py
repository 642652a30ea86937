"""Paper B's network."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reid_lab import losses, methods
from reid_lab.methods import variants
from reid_lab.methods.residual_pooling import Pooling, ResidualPool, ResidualPooling
from reid_lab.methods.variants import VariantPool
from reid_lab.runtime.errors import RecipeError

PIDS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
NINE = ["Pavg1", "Pmax1", "Pavg2", "Pmax2", "Pavg3", "Pmax3", "Pcont1", "Pcont2", "Pcont3"]


def small(pooling="residual", **fields):
    torch.manual_seed(0)
    model = methods.residual_pooling("smoke", pooling=pooling, dim=16, **fields).network(5)
    for classifier in model.classifiers:
        nn.init.normal_(classifier.weight)  # trained ones are not as near to zero as new ones
    return model


def millions(network):
    return sum(p.numel() for p in network.parameters()) / 1e6


@pytest.fixture
def images():
    return torch.randn(8, 3, 64, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pools():
    generator = torch.Generator().manual_seed(1)
    p_avg = torch.rand(6, 12, 2, 2, generator=generator)
    return p_avg, p_avg + torch.rand(6, 12, 2, 2, generator=generator)


# Section 3.1 and Table 4


def test_the_paper_size_has_the_papers_nine_features_and_30_55_million_parameters():
    with torch.device("meta"):
        model = methods.residual_pooling("paper", weights=None).network(751)
        outputs = model(torch.empty(4, 3, 288, 144))
    features = outputs.pooled | outputs.contrast
    assert list(features) == NINE
    sizes = [(1024, 1, 1)] * 2 + [(2048, 1, 1)] * 2 + [(2048, 2, 2)] * 2 + [(640,)] * 3
    assert [tuple(f.shape[1:]) for f in features.values()] == sizes
    assert round(millions(model), 2) == 30.55
    assert [tuple(logits.shape) for logits in outputs.logits] == [(4, 751)] * 3


def test_the_six_basic_features_are_averages_and_maxima_of_the_two_maps(images):
    model = small().eval()
    layer3, layer4 = model.backbone(images)
    pooled = model(images).pooled
    expected = {
        "Pavg1": F.adaptive_avg_pool2d(layer3, 1),
        "Pmax1": F.adaptive_max_pool2d(layer3, 1),
        "Pavg2": F.adaptive_avg_pool2d(layer4, 1),
        "Pmax2": F.adaptive_max_pool2d(layer4, 1),
        "Pavg3": F.adaptive_avg_pool2d(layer4, 2),
        "Pmax3": F.adaptive_max_pool2d(layer4, 2),
    }
    for name, value in expected.items():
        torch.testing.assert_close(pooled[name], value)


def test_the_controls_have_the_parameters_and_the_descriptor_of_residual_pooling(images):
    residual = small("residual")
    for pooling in ("avg+avg", "max+max", "max+avg"):
        control = small(pooling)
        assert millions(control) == millions(residual)
        assert control.embed(images).shape == residual.embed(images).shape == (8, 48)


# Equation 1


def test_residual_pooling_is_equation_1_with_its_sign(pools):
    p_avg, p_max = pools
    pool = ResidualPool(12, 5).eval()
    torch.testing.assert_close(pool(p_avg, p_max), pool.first(p_max) + pool.second(p_avg - p_max))
    other = VariantPool(12, 5, "max-avg").eval()
    torch.testing.assert_close(other(p_avg, p_max), other.first(p_max) + other.second(p_max - p_avg))


@pytest.mark.parametrize(
    "pooling, expected",
    [
        ("avg-max", lambda d1, d2, avg, top: d1(top) + d2(avg - top)),
        ("avg", lambda d1, d2, avg, top: d1(avg)),
        ("max", lambda d1, d2, avg, top: d1(top)),
        ("avg+avg", lambda d1, d2, avg, top: d1(avg) + d2(avg)),
        ("max+max", lambda d1, d2, avg, top: d1(top) + d2(top)),
        ("max+avg", lambda d1, d2, avg, top: d1(top) + d2(avg)),
    ],
)
def test_each_variant_is_its_formula(pools, pooling, expected):
    p_avg, p_max = pools
    pool = VariantPool(12, 5, pooling).eval()
    torch.testing.assert_close(pool(p_avg, p_max), expected(pool.first, pool.second, p_avg, p_max))
    assert (pool.second is None) == (pooling in ("avg", "max"))


def test_with_one_shared_linear_convolution_equation_1_collapses_to_average_pooling(pools):
    p_avg, p_max = pools
    pool = VariantPool(12, 5, "avg-max", shared=True, nonlinear=False)
    assert isinstance(pool.first, nn.Conv2d) and pool.first.bias is None and pool.second is None
    torch.testing.assert_close(pool(p_avg, p_max), pool.first(p_avg))


def test_with_the_texts_sign_the_collapse_is_to_twice_the_maximum_less_the_average(pools):
    p_avg, p_max = pools
    pool = VariantPool(12, 5, "max-avg", shared=True, nonlinear=False)
    torch.testing.assert_close(pool(p_avg, p_max), 2 * pool.first(p_max) - pool.first(p_avg))


@pytest.mark.parametrize("shared, nonlinear", [(False, False), (True, True)])
def test_two_convolutions_or_a_nonlinearity_prevent_the_collapse(pools, shared, nonlinear):
    p_avg, p_max = pools
    pool = VariantPool(12, 5, "avg-max", shared, nonlinear)
    assert (pool(p_avg, p_max) - pool.first(p_avg)).abs().max() > 0.1


# The head's fields


def test_the_2x2_features_pass_as_a_map_and_are_averaged_or_are_flattened_first(images):
    as_map, flattened = small().eval(), small(third="flatten").eval()
    outputs = as_map(images)
    maps = as_map.pools[2](outputs.pooled["Pavg3"], outputs.pooled["Pmax3"])
    torch.testing.assert_close(outputs.contrast["Pcont3"], maps.mean((2, 3)))
    assert flattened.pools[2].first[0].in_channels == 4 * as_map.pools[2].first[0].in_channels
    assert flattened(images).contrast["Pcont3"].shape == (8, 16)
    assert flattened.embed(images).shape == (8, 48)


def test_one_classifier_is_shared_by_the_three_branches_or_each_has_its_own(images):
    shared, own = small(), small(classifiers=3)
    assert len(shared.classifiers) == 1 and len(own.classifiers) == 3
    outputs = own.eval()(images)
    for neck, logits, classifier in zip(outputs.necks, outputs.logits, own.classifiers, strict=True):
        torch.testing.assert_close(logits, classifier(neck))
    outputs = shared.eval()(images)
    for neck, logits in zip(outputs.necks, outputs.logits, strict=True):
        torch.testing.assert_close(logits, shared.classifiers[0](neck))


def test_the_descriptor_is_the_necks_side_by_side_or_summed_and_has_length_1(images):
    for fusion, fuse in [("concat", lambda necks: torch.cat(necks, 1)), ("sum", lambda necks: sum(necks))]:
        model = small(fusion=fusion)
        described = model.embed(images)
        expected = fuse(model.eval()(images).necks)
        torch.testing.assert_close(described, expected / expected.norm(dim=1, keepdim=True))


def test_the_baseline_is_layer4s_average_through_one_bnneck(images):
    model = small("baseline").eval()
    outputs = model(images)
    assert list(outputs.pooled) == ["Pavg2"] and list(outputs.contrast) == ["Pcont1"]
    assert torch.equal(outputs.contrast["Pcont1"], outputs.pooled["Pavg2"].flatten(1))
    (neck,) = outputs.necks
    torch.testing.assert_close(neck, model.necks[0](model.backbone(images)[1].mean((2, 3))))
    torch.testing.assert_close(outputs.logits[0], model.classifiers[0](neck))


@pytest.mark.parametrize("pooling", ["residul", "baseline", ["avg"]])
def test_a_pooling_module_that_is_none_is_refused(pooling):
    with pytest.raises(RecipeError, match="pooling"):
        VariantPool(12, 5, pooling)


def test_the_papers_reading_is_the_papers_class_and_every_field_of_it_makes_a_variant():
    assert type(small()) is type(small(margin=0.1)) is ResidualPooling
    others = [("sign", "max-avg"), ("third", "flatten"), ("classifiers", 3), ("fusion", "sum"), ("triplet_scales", 1)]
    for name, value in [*others, ("shared_convolutions", True), ("nonlinear", False)]:
        assert isinstance(small(**{name: value}), variants.Variant)
    assert set(methods.POOLINGS) == set(get_args(Pooling))


def test_the_variant_that_reads_as_the_paper_does_is_the_papers_network_bit_for_bit(images):
    paper = small()
    torch.manual_seed(0)
    variant = variants.Variant(paper.recipe, 5)
    assert list(variant.state_dict()) == list(paper.state_dict())
    variant.load_state_dict(paper.state_dict())
    assert torch.equal(variant.embed(images), paper.embed(images))
    totals = [network.loss(network(images), PIDS).total for network in (variant, paper)]
    assert torch.equal(*totals)


@pytest.mark.parametrize("pooling", ["residual", "max+avg", "raw max", "baseline"])
def test_grad_cams_logits_are_the_mean_of_the_branches(images, pooling):
    model = small(pooling).eval()
    torch.testing.assert_close(model.identity_logits(images), sum(model(images).logits) / len(model.necks))
    long = model.unnormalized_features(images)
    torch.testing.assert_close(model.embed(images), long / long.norm(dim=1, keepdim=True))


def test_without_triplet_losses_there_is_no_margin_to_stand_still_at():
    assert small(margin=0.4).collapse_margin() == small("avg", margin=0.4).collapse_margin() == 0.4
    assert small(triplet_scales=0, margin=0.4).collapse_margin() == 0


# Equation 2


@pytest.mark.parametrize(
    "pooling, used",
    [
        ("residual", NINE[:6]),
        ("max+avg", NINE[:6]),
        ("avg", ["Pavg1", "Pavg2", "Pavg3"]),
        ("avg+avg", ["Pavg1", "Pavg2", "Pavg3"]),
        ("max", ["Pmax1", "Pmax2", "Pmax3"]),
        ("max+max", ["Pmax1", "Pmax2", "Pmax3"]),
        ("baseline", ["Pavg2"]),
    ],
)
def test_the_loss_is_equation_2_over_the_features_in_use(images, pooling, used):
    model = small(pooling)
    outputs = model(images)
    triplets = [losses.batch_hard_triplet(outputs.pooled[name].flatten(1), PIDS, 0.3) for name in used]
    entropies = [F.cross_entropy(logits, PIDS, label_smoothing=0.1) for logits in outputs.logits]
    got = model.loss(outputs, PIDS)
    weight = {6: 1 / 6, 3: 1 / 3, 1: 1}[len(used)]
    expected = weight * sum(triplets) + (1 if pooling == "baseline" else 1 / 3) * sum(entropies)
    torch.testing.assert_close(got.total, expected)
    torch.testing.assert_close(got.terms["triplet"] + got.terms["identification"], expected.detach())


def test_margin_and_smoothing_are_fields(images):
    outputs = small()(images)
    loose, tight = small(margin=0.0, smoothing=0.0), small(margin=5.0, smoothing=0.0)
    assert tight.loss(outputs, PIDS).terms["triplet"] > loose.loss(outputs, PIDS).terms["triplet"]
    plain = sum(F.cross_entropy(logits, PIDS) for logits in outputs.logits) / 3
    torch.testing.assert_close(loose.loss(outputs, PIDS).terms["identification"], plain.detach())


@pytest.mark.parametrize("pooling", methods.POOLINGS)
def test_every_trainable_parameter_learns(images, pooling):
    model = small(pooling)
    model.loss(model(images), PIDS).total.backward()
    assert all(p.grad.abs().max() > 0 for p in sum(model.groups().values(), []))


@pytest.mark.parametrize("third", ["map", "flatten"])
def test_raw_pooling_goes_on_as_it_is(images, third):
    model = small("raw max", third=third).eval()
    outputs = model(images)
    c3, c4 = model.backbone.channels
    sizes = [c3, c4, 4 * c4 if third == "flatten" else c4]
    assert [neck.shape[1] for neck in outputs.necks] == sizes
    assert torch.equal(outputs.contrast["Pcont1"], outputs.pooled["Pmax1"].flatten(1))
    assert len(model.classifiers) == 3 and model.embed(images).shape[1] == sum(sizes)
    assert not model.pools
    with pytest.raises(RecipeError, match="fusion"):
        small("raw max", fusion="sum")


@pytest.mark.parametrize(("scales", "names"), [(3, NINE[:6]), (1, ["Pavg2", "Pmax2"]), (0, [])])
def test_triplet_losses_stand_at_the_places_asked_for(images, scales, names):
    model = small(triplet_scales=scales)
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    basic = [losses.batch_hard_triplet(outputs.pooled[name], PIDS, model.recipe.margin) for name in names]
    expected = torch.stack(basic).mean() if basic else torch.zeros(())
    assert torch.allclose(found.terms["triplet"], expected, atol=1e-6)
    assert torch.allclose(found.total, expected + found.terms["identification"])
