"""Batch feature erasing, against PyTorch's own functions."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional as F

from reid_lab import losses, methods
from reid_lab.methods.feature_erasing import RowErasing
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import RecipeError, TrainingError
from reid_lab.runtime.precision import check_training
from reid_lab.training import learning_rate
from reid_lab.training.engine import Engine
from reid_lab.training.guards import check_spread

PIDS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
ERASING = ("batch", "image", "scattered")
DROPS = (*ERASING, "none")


def network(**changes):
    torch.manual_seed(0)
    return methods.feature_erasing("smoke", **changes).network(5)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return torch.randn(8, 3, 64, 48, generator=seeded(0))


@pytest.fixture
def maps():
    return 1 + torch.rand(6, 5, 24, 8, generator=seeded(1))  # nowhere 0


def zero_rows(maps, drop, seed=0):
    """Which rows of each image became 0 throughout: (batch, h). The others must be as they were."""
    erasing = RowErasing(drop, 0.33, 24).train()
    erasing.draw(seeded(seed))
    erased = erasing(maps)
    zero = erased == 0
    assert torch.equal(zero, zero.all(dim=3, keepdim=True).all(dim=1, keepdim=True).expand_as(zero))
    assert torch.equal(erased[~zero], maps[~zero])
    return zero[:, 0, :, 0]


# The erasing


@pytest.mark.parametrize("seed", range(8))
def test_all_images_of_a_batch_lose_the_same_8_neighboring_rows_of_24(maps, seed):
    rows = zero_rows(maps, "batch", seed)
    assert (rows == rows[0]).all()
    assert np.ptp(np.flatnonzero(rows[0])) == 7 and rows[0].sum() == 8


def test_each_image_by_itself_loses_8_neighboring_rows_of_its_own(maps):
    rows = zero_rows(maps, "image")
    assert all(np.ptp(np.flatnonzero(row)) == 7 and row.sum() == 8 for row in rows)
    assert len({tuple(row.tolist()) for row in rows}) > 3


def test_scattered_rows_are_as_many_and_the_same_in_all_images(maps):
    found = [zero_rows(maps, "scattered", seed) for seed in range(8)]
    assert all((rows == rows[0]).all() and rows[0].sum() == 8 for rows in found)
    assert max(np.ptp(np.flatnonzero(rows[0])) for rows in found) > 15


def test_without_erasing_and_after_training_a_map_stays_what_it_was(maps):
    assert RowErasing("none", 0.33, 24).train()(maps) is maps
    for drop in DROPS:
        assert RowErasing(drop, 0.33, 24).eval()(maps) is maps


@pytest.mark.parametrize(("drop", "places"), [("batch", 17), ("image", 17), ("scattered", 24)])
def test_every_place_is_equally_likely(drop, places):
    """The first of neighboring rows is one of 0 ... 24 - 8, each row is among the scattered ones."""
    erasing, generator, counts = RowErasing(drop, 0.33, 24), seeded(3), np.zeros(24)
    for _ in range(1700):
        erasing.draw(generator)
        rows = erasing.chosen(2, 24)[-1, 0, :, 0]
        counts += rows.numpy() if drop == "scattered" else np.arange(24) == rows.float().argmax().item()
    assert (counts[places:] == 0).all() and stats.chisquare(counts[:places]).pvalue > 0.01


def test_the_largest_number_that_can_be_drawn_erases_the_lowest_rows():
    erasing = RowErasing("batch", 0.33, 24)
    for number in (1 - 2**-24, 1.0):
        erasing.drawn.fill_(number)
        assert erasing.chosen(1, 24).flatten().nonzero().flatten().tolist() == list(range(16, 24))


def test_one_row_is_always_left():
    erasing = RowErasing("batch", 0.9, 24)
    assert [erasing.chosen(1, h).sum().item() for h in (24, 3, 2, 1)] == [22, 2, 1, 0]


def test_the_rows_come_from_the_generator_alone_which_all_processes_share():
    found = []
    for seed in (1, 2):
        model = network()
        torch.manual_seed(seed)  # another in each process
        model.draw(seeded(7))
        found.append(model.erasing.drawn.clone())
    assert torch.equal(*found) and not torch.equal(found[0], network().erasing.drawn)


def test_erased_rows_have_no_gradient_and_the_others_have_all_of_it(maps):
    erasing = RowErasing("batch", 0.33, 24).train()
    erasing.draw(seeded(4))
    maps.requires_grad_()
    erasing(maps).sum().backward()
    gone = erasing.chosen(6, 24).expand_as(maps)
    assert (maps.grad[gone] == 0).all() and (maps.grad[~gone] == 1).all() and gone.any()


@pytest.mark.parametrize("drop", ERASING)
def test_a_compiled_network_is_not_compiled_again_for_other_rows(maps, drop):
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    torch._dynamo.reset()
    erasing = RowErasing(drop, 0.33, 24).train()
    fast = torch.compile(erasing, backend=backend)
    for seed in range(5):
        erasing.draw(seeded(seed))
        assert torch.equal(fast(maps), erasing(maps))
    assert len(compiled) == 1


@pytest.mark.parametrize("drop", ERASING)
def test_no_step_waits_for_a_gpu(pretended, drop):
    recipe = methods.feature_erasing("smoke", drop=drop, precision="float32")
    with pretended() as gpu:
        engine = Engine(recipe, 4, Processes(torch.device("cuda")))
        images = torch.randint(256, (16, 3, 64, 48), dtype=torch.uint8, generator=seeded(0)).cuda()
        pids = (torch.arange(16) // 4).cuda()
        gpu.waiting = "error"
        total = engine.step(images, pids, 1).total
        gpu.waiting = "allow"
        assert engine.model.erasing.drawn.is_cuda and total.isfinite().item()


@pytest.mark.parametrize("drop", ["image", "scattered"])
def test_bfloat16_agrees_with_float32_however_rows_are_erased(drop):
    images, pids = torch.randn(16, 3, 64, 48, generator=seeded(0)), torch.arange(16) // 4
    model = network(drop=drop).train()
    model.draw(seeded(0))
    found = check_training(model, images, lambda trial, outputs: trial.loss(outputs, pids).total, "bf16")
    assert not found.fault and found.worst < 0.05


# The network


def test_the_paper_size_has_the_parameters_and_sizes_of_the_authors_network():
    recipe = methods.feature_erasing("paper").replace(weights=None)
    with torch.device("meta"):
        model = recipe.network(751)
        outputs = model(torch.empty(4, 3, 384, 128))
    assert sum(p.numel() for p in model.parameters()) == 32_275_998
    assert outputs.erased.shape == (4, 2048, 24, 8) and recipe.rows == 24
    assert [tuple(vectors.shape) for vectors in outputs.features] == [(4, 512), (4, 1024)]
    assert [tuple(logits.shape) for logits in outputs.logits] == [(4, 751)] * 2


def test_features_and_logits_are_those_of_the_parts_by_hand(images):
    model = network().train()
    model(images)  # the norms have seen data
    model.eval()
    layer4 = model.backbone(images)[1]
    block = model.block
    inner = F.relu(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(layer4))))))
    second = F.relu(block.bn3(block.conv3(inner)) + layer4)
    outputs, features = model(images), []
    pooled = [F.adaptive_avg_pool2d(layer4, 1).flatten(1), F.adaptive_max_pool2d(second, 1).flatten(1)]
    for i, vector in enumerate(pooled):
        linear, norm = model.reductions[i]
        before = F.linear(vector, linear.weight, linear.bias)
        before = F.batch_norm(before, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        features.append(F.relu(before))
        logits = F.linear(features[i], model.classifiers[i].weight, model.classifiers[i].bias)
        torch.testing.assert_close(outputs.before[i], before)
        torch.testing.assert_close(outputs.features[i], features[i])
        torch.testing.assert_close(outputs.logits[i], logits)
    torch.testing.assert_close(model.embed(images), torch.cat(features, dim=1))
    torch.testing.assert_close(model.identity_logits(images), (outputs.logits[0] + outputs.logits[1]) / 2)


def test_in_training_only_the_second_branch_loses_rows(images):
    plain, model = network(drop="none"), network()
    model.draw(seeded(0))
    whole, outputs = plain(images), model(images)
    gone = model.erasing.chosen(8, 4)
    assert torch.equal(outputs.features[0], whole.features[0])
    assert torch.equal(outputs.erased, whole.erased.masked_fill(gone, 0)) and gone.sum() == 1
    torch.testing.assert_close(
        outputs.before[1], model.reductions[1](F.adaptive_max_pool2d(outputs.erased, 1).flatten(1))
    )
    assert not torch.equal(outputs.features[1], whole.features[1])


def test_the_controls_have_the_same_parameters_and_describe_images_alike(images):
    models = [network(drop=drop) for drop in DROPS]
    found = [model.embed(images) for model in models]
    assert all(torch.equal(found[0], features) for features in found[1:])
    states = [model.state_dict() for model in models]
    assert all(state.keys() == states[0].keys() for state in states) and "erasing.drawn" not in states[0]


def test_images_are_compared_by_the_euclidean_distance_of_features_of_any_length(images):
    model = network()
    assert model.metric == "euclidean" and model.embed(images).shape == (8, 16 + 32)
    assert model.embed(images).norm(dim=1).std() > 1e-3


# The loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_two_cross_entropies_and_two_soft_margins_of_torch(images, smoothing):
    model = network(smoothing=smoothing)
    outputs = model(images)
    expected = sum(F.cross_entropy(logits, PIDS, label_smoothing=smoothing) for logits in outputs.logits)
    same = PIDS[:, None] == PIDS
    for features in outputs.features:
        distances = torch.cdist(features, features)
        d_ap, d_an = distances.where(same, -1).amax(dim=1), distances.where(~same, torch.inf).amin(dim=1)
        expected = expected + nn.SoftMarginLoss()(d_an - d_ap, torch.ones(8))
    found = model.loss(outputs, PIDS)
    torch.testing.assert_close(found.total, expected)
    torch.testing.assert_close(found.terms["triplet"] + found.terms["identification"], expected.detach())


def test_the_hardest_images_are_those_of_all_processes(images):
    model = network()
    outputs, others = model(images), model(torch.randn(8, 3, 64, 48, generator=seeded(9)))
    own, theirs = [PIDS, *outputs.features], [PIDS.flip(0), *others.features]
    pids, *vectors = everybody = [torch.cat(two) for two in zip(own, theirs, strict=True)]

    def gather(rows):
        return next((both for both, part in zip(everybody, own, strict=True) if part is rows), rows)

    found = model.loss(outputs, PIDS, gather).terms["triplet"]
    expected = sum(losses.soft_margin_triplet(each, pids) for each in vectors)
    torch.testing.assert_close(found, expected.detach())
    assert found != model.loss(outputs, PIDS).terms["triplet"]


def test_a_margin_and_the_place_of_the_triplet_losses_are_fields(images):
    outputs = network()(images)
    for place, vectors in {"before ReLU": outputs.before, "after ReLU": outputs.features}.items():
        hard = network(margin=0.5, triplet_on=place).loss(outputs, PIDS).terms["triplet"]
        soft = network(triplet_on=place).loss(outputs, PIDS).terms["triplet"]
        torch.testing.assert_close(hard, sum(losses.batch_hard_triplet(v, PIDS, 0.5) for v in vectors).detach())
        torch.testing.assert_close(soft, sum(losses.soft_margin_triplet(v, PIDS) for v in vectors).detach())


def test_every_trainable_parameter_learns(images):
    model = network()
    model.draw(seeded(0))
    model.loss(model(images), PIDS).total.backward()
    assert all(p.grad.abs().max() > 0 for p in model.parameters())


@pytest.mark.parametrize("margin", ["soft", 0.3])
@pytest.mark.parametrize("shift", [-100.0, 100.0], ids=["all features are 0", "all features are alike"])
def test_features_that_died_or_collapsed_are_noticed(images, margin, shift):
    model = network(margin=margin)
    for _, norm in model.reductions:
        nn.init.constant_(norm.bias, shift)
        nn.init.constant_(norm.weight, 1e-4)
    found = model.loss(model(images), PIDS)
    means = {name: value.item() for name, value in found.report().items()}
    stands = math.log(2) if margin == "soft" else margin
    assert means["triplet"] == pytest.approx(2 * stands, abs=1e-2) and model.collapse_margin() == stands
    assert (means["length"] == 0) == (shift < 0)
    with pytest.raises(TrainingError, match="collapsed"):
        check_spread(means, model.collapse_margin(), 1, "a run")


# The recipe


def test_the_authors_cutout_is_random_erasing_of_a_square_of_64_pixels():
    augment = methods.feature_erasing("paper").augmentation()
    boxes = augment.erasing.boxes(400, augment.size, seeded(0))
    chosen = boxes[boxes[:, 2] > 0]
    assert (chosen[:, 2:] == 64).all() and 160 < len(chosen) < 240
    assert augment.erasing.fill == "mean" and augment.pad == 0


def test_the_rate_is_the_authors_after_as_many_steps():
    recipe = methods.feature_erasing("paper")
    rates = [learning_rate(recipe, epoch) for epoch in (0, 11, 45, 46, 68, 90)]
    assert rates == pytest.approx([1e-4, 1e-3, 1e-3, 1e-4, 1e-5, 1e-5])
    ours, theirs = 12_936 // recipe.batch, 751 * 4 // recipe.batch  # steps in an epoch of Market-1501
    ends = (recipe.warmup_epochs, *recipe.milestones, recipe.epochs)
    assert ends == tuple(round(epoch * theirs / ours) for epoch in (50, 200, 300, 400)) and (ours, theirs) == (101, 23)


def test_random_weights_bring_a_margin_before_the_relu():
    for recipe in (methods.feature_erasing("classroom", weights=None), methods.feature_erasing("full")):
        assert (recipe.margin, recipe.triplet_on) == (0.3, "before ReLU")
    assert methods.feature_erasing("classroom").margin == methods.feature_erasing("paper").margin == "soft"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("drop_height", 0.0),
        ("drop_height", 0.1),  # of 4 rows
        ("drop_height", 0.9),
        ("drop_height", 1.5),
        ("drop", "rows"),
        ("margin", -0.1),
        ("margin", "hard"),
        ("triplet_on", "logits"),
        ("global_dim", 0),
        ("identities", 1),
    ],
)
def test_an_impossible_value_is_refused_by_its_name_with_what_is_allowed(field, value):
    with pytest.raises(RecipeError, match=rf"\b{field} is {value!r}.*must be"):
        methods.feature_erasing("smoke", **{field: value})


def test_without_erasing_the_height_does_not_matter():
    assert methods.feature_erasing("smoke", drop="none", drop_height=0.0).drop_height == 0


@pytest.mark.parametrize("changes", [{}, {"resize": (72, 48), "crop": (72, 48)}, {"last_stride": 2}])
@pytest.mark.parametrize("size", ["paper", "classroom", "smoke"])
def test_the_recipe_knows_how_many_rows_layer4_has(size, changes):
    recipe = methods.feature_erasing(size).replace(weights=None, **changes)
    with torch.device("meta"):
        model = recipe.network(5)
        layer4 = model.backbone(torch.empty(1, 3, *recipe.crop))[1]
    assert layer4.shape[2] == recipe.rows and len(model.erasing.drawn) == max(recipe.rows, recipe.batch)


def test_batches_are_people_with_several_images_each():
    recipe = methods.feature_erasing("smoke", identities=2, images=3)
    people = recipe.sampler(np.arange(24) // 4, np.ones(24), 0).epoch(0)[0] // 4
    assert recipe.batch == 6 and (people == np.repeat(people[::3], 3)).all() and people[0] != people[3]
