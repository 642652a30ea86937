"""The losses, each against an outside oracle or its formula."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner
from pytorch_metric_learning.reducers import MeanReducer
from torch.nn import functional as F

from reid_lab import losses
from reid_lab.runtime.errors import TrainingError


def random_batch(seed: int, identities: int = 4, batch: int = 16, d: int = 8):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(batch, d, generator=generator, requires_grad=True)
    return features, torch.randint(identities, (batch,), generator=generator)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_identification_is_torchs_cross_entropy_with_label_smoothing(smoothing):
    logits, pids = random_batch(0, identities=8)
    ours = losses.identification(logits, pids, smoothing)
    torch.testing.assert_close(ours, F.cross_entropy(logits, pids, label_smoothing=smoothing))


def test_identification_of_one_image_is_minus_the_log_of_its_probability():
    logits = torch.tensor([[0.0, math.log(3.0)]])  # probabilities 1/4 and 3/4
    assert losses.identification(logits, torch.tensor([1])).item() == pytest.approx(-math.log(0.75))


def test_the_square_layer_squares_the_difference():
    f1, f2 = torch.tensor([[1.0, -2.0]]), torch.tensor([[4.0, 1.0]])
    assert losses.square_layer(f1, f2).tolist() == [[9.0, 9.0]]


def test_verification_calls_class_0_same_and_class_1_different():
    pair_logits = torch.tensor([[5.0, -1.0], [0.5, 2.0]])
    ours = losses.verification(pair_logits, torch.tensor([True, False]))
    torch.testing.assert_close(ours, F.cross_entropy(pair_logits, torch.tensor([0, 1])))
    assert ours < losses.verification(pair_logits, torch.tensor([False, True]))


def metric_learning_triplet(features, pids, margin):
    distance = LpDistance(normalize_embeddings=False, p=2)
    oracle = TripletMarginLoss(margin=margin, distance=distance, reducer=MeanReducer())
    return oracle(features, pids, BatchHardMiner(distance=distance)(features, pids))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), identities=st.integers(2, 6), margin=st.sampled_from([0.0, 0.3, 2.0]))
def test_batch_hard_triplet_and_its_gradient_are_pytorch_metric_learnings(seed, identities, margin):
    features, pids = random_batch(seed, identities)
    ours = losses.batch_hard_triplet(features, pids, margin)
    theirs = metric_learning_triplet(features, pids, margin)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(ours, features)[0], torch.autograd.grad(theirs, features)[0], rtol=1e-4, atol=1e-5
    )


def test_batch_hard_triplet_of_points_on_a_line_is_what_a_pencil_says():
    features = torch.tensor([[0.0], [1.0], [3.0], [3.5]])
    pids = torch.tensor([0, 0, 0, 1])
    # The last anchor has no positive. The others: farthest positive - nearest negative + 1.
    expected = (max(3 - 3.5 + 1, 0) + max(2 - 2.5 + 1, 0) + max(3 - 0.5 + 1, 0)) / 3
    assert losses.batch_hard_triplet(features, pids, margin=1.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("pids", [[0, 0, 0, 0], [0, 1, 2, 3]])
def test_a_batch_without_triplets_costs_nothing_and_gives_zero_gradients(pids):
    features, _ = random_batch(1, batch=4)
    loss = losses.batch_hard_triplet(features, torch.tensor(pids), margin=0.3)
    loss.backward()
    assert loss.item() == 0
    assert features.grad.abs().max() == 0


def test_identical_images_give_a_finite_gradient():
    features = torch.ones(4, 8, requires_grad=True)
    loss = losses.batch_hard_triplet(features, torch.tensor([0, 0, 1, 1]), margin=0.3)
    loss.backward()
    assert loss.item() == pytest.approx(0.3, abs=1e-5)
    assert features.grad.isfinite().all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), identities=st.integers(2, 6), scale=st.sampled_from([0.1, 1.0, 20.0]))
def test_the_soft_margin_and_its_gradient_are_torchs_on_the_hardest_distances(seed, identities, scale):
    features, _ = random_batch(seed)
    features, pids = (scale * features).detach().requires_grad_(), torch.arange(16) % identities
    same, exact = pids[:, None] == pids, features.double()  # in float32, torch's own overflows from 89 on
    distances = (exact[:, None] - exact).square().sum(dim=2).clamp(min=1e-12).sqrt()
    d_ap = distances.where(same, -torch.inf).amax(dim=1)
    d_an = distances.where(~same, torch.inf).amin(dim=1)
    theirs = torch.nn.SoftMarginLoss()(d_an - d_ap, torch.ones(16)).float()
    ours = losses.soft_margin_triplet(features, pids)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(ours, features)[0], torch.autograd.grad(theirs, features)[0], rtol=1e-4, atol=1e-5
    )


def test_the_soft_margin_counts_the_anchors_that_have_a_positive_and_a_negative():
    features, pids = torch.tensor([[0.0], [1.0], [3.0], [3.5]], requires_grad=True), torch.tensor([0, 0, 0, 1])
    loss = losses.soft_margin_triplet(features, pids)  # the last has no positive
    assert loss.item() == pytest.approx(sum(math.log1p(math.exp(d)) for d in (3 - 3.5, 2 - 2.5, 3 - 0.5)) / 3)
    none = losses.soft_margin_triplet(features, torch.tensor([0, 1, 2, 3]))
    none.backward()
    assert none.item() == 0 and features.grad.abs().max() == 0


def test_the_soft_margin_of_features_far_apart_is_as_large_as_the_gap_and_no_more():
    features = torch.tensor([[0.0], [1000.0], [1.0], [1001.0]], requires_grad=True)
    loss = losses.soft_margin_triplet(features, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == 999 and features.grad.isfinite().all()


def test_the_soft_margin_of_features_that_are_all_alike_is_ln_2_with_a_finite_gradient():
    features = torch.ones(4, 8, requires_grad=True)
    loss = losses.soft_margin_triplet(features, torch.tensor([0, 0, 1, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6) and features.grad.isfinite().all()


def test_the_triplet_loss_of_a_2x2_map_is_that_of_the_flattened_map():
    maps, pids = torch.randn(8, 3, 2, 2), torch.arange(8) // 2
    flat = losses.batch_hard_triplet(maps.flatten(1), pids, 0.3)
    torch.testing.assert_close(losses.batch_hard_triplet(maps, pids, 0.3), flat)


def test_small_distances_between_long_descriptors_survive_autocast():
    generator = torch.Generator().manual_seed(0)
    features = 10 + 0.1 * torch.randn(32, 16, generator=generator)
    pids = torch.arange(32) // 4
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = losses.batch_hard_triplet(features, pids, margin=0.3)
    exact = metric_learning_triplet(features.double(), pids, margin=0.3).float()
    torch.testing.assert_close(ours, exact, rtol=0, atol=1e-4)


def test_losses_of_bfloat16_tensors_are_computed_in_float32():
    features, pids = random_batch(0)
    features = features.detach().bfloat16()
    for loss in (
        lambda f: losses.identification(f, pids, 0.1),
        lambda f: losses.verification(f[:, :2], pids > 1),
        lambda f: losses.batch_hard_triplet(f, pids, 0.3),
        lambda f: losses.soft_margin_triplet(f, pids),
        lambda f: losses.square_layer(f, f.roll(1, 0)),
    ):
        torch.testing.assert_close(loss(features), loss(features.float()), rtol=0, atol=0)


def test_accuracy_is_the_share_of_right_identities():
    logits = torch.eye(4, requires_grad=True)
    accuracy = losses.accuracy(logits, torch.tensor([0, 1, 2, 0]))
    assert accuracy.item() == 0.75
    assert not accuracy.requires_grad


PIDS = torch.tensor([0, 1, 1, 0])
LABELS = {
    "a column": PIDS[:, None],
    "one for all": PIDS[:1],
    "too few": PIDS[:3],
    "fractions": PIDS + 0.9,
}


@pytest.mark.parametrize("pids", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize(
    "loss",
    [
        losses.identification,
        losses.verification,
        losses.accuracy,
        lambda rows, pids: losses.batch_hard_triplet(rows, pids, 0.3),
        losses.soft_margin_triplet,
    ],
)
def test_labels_that_are_not_one_whole_number_for_each_row_are_refused(loss, pids):
    with pytest.raises(TrainingError, match=r"\(4, 2\)"):
        loss(torch.randn(4, 2), pids)


@pytest.mark.parametrize(
    ("loss", "rows"),
    [
        (losses.identification, torch.randn(4, 5, 2)),
        (losses.verification, torch.randn(4, 1)),
        (losses.accuracy, torch.randn(4, 5, 4)),
        (lambda rows, pids: losses.batch_hard_triplet(rows, pids, 0.3), torch.randn(4)),
        (losses.soft_margin_triplet, torch.randn(4)),
    ],
)
def test_rows_of_another_shape_than_a_loss_takes_are_refused(loss, rows):
    with pytest.raises(TrainingError, match="shape"):
        loss(rows, PIDS)


def test_an_empty_batch_and_an_impossible_smoothing_are_refused():
    with pytest.raises(TrainingError, match="logits"):
        losses.identification(torch.randn(0, 5), PIDS[:0])
    with pytest.raises(TrainingError, match="smoothing is 2"):
        losses.identification(torch.randn(4, 5), PIDS, smoothing=2)


def test_how_many_of_four_points_on_a_line_pay_follows_from_the_margin():
    features, pids = torch.tensor([[0.0], [1.0], [3.0], [9.0]], requires_grad=True), torch.tensor([0, 0, 1, 1])
    # Farthest positive - nearest negative + 0.5: 1 - 3, 1 - 2, 6 - 2, 6 - 8, each + 0.5. Only the third is above 0.
    loss, paying = losses.paying_triplet(features, pids, margin=0.5)
    assert (loss.item(), paying.item()) == (pytest.approx(4.5 / 4), 0.25)
    # + 1.5 and + 2.5: the second pays, too; then, all of them.
    assert [losses.paying_triplet(features, pids, margin)[1].item() for margin in (1.5, 2.5)] == [0.5, 1.0]
    assert loss.requires_grad and not paying.requires_grad and paying.dtype == torch.float32


def test_anchors_without_a_positive_or_a_negative_neither_pay_nor_count():
    features = torch.tensor([[0.0], [1.0], [3.0], [3.5]])
    # The last has no positive. Farthest positive - nearest negative of the others: 3 - 3.5, 2 - 2.5, 3 - 0.5: one pays.
    assert losses.paying_triplet(features, torch.tensor([0, 0, 0, 1]), 0.1)[1].item() == pytest.approx(1 / 3)
    assert losses.paying_triplet(features, torch.tensor([0, 1, 2, 3]), 0.1)[1].item() == 0


def planted(shape, *places):
    """Noise below 1, and in each channel of the one image a 2 at its place."""
    maps = torch.rand(1, len(places), *shape, generator=torch.Generator().manual_seed(0))
    for channel, (row, column) in enumerate(places):
        maps[0, channel, row, column] = 2.0
    return maps


def test_the_position_of_most_maxima_has_its_share_of_them():
    maps = planted((4, 2), (0, 0), (3, 1), (3, 1), (2, 0), (3, 1))
    assert losses.same_position(maps).item() == pytest.approx(3 / 5)
    corner, spread = planted((4, 2), *[(3, 1)] * 8), planted((4, 2), *[(i // 2, i % 2) for i in range(8)])
    assert losses.same_position(corner).item() == 1
    assert losses.same_position(spread).item() == pytest.approx(1 / 8)
    assert losses.same_position(torch.cat([corner, spread])).item() == pytest.approx(9 / 16)
    assert losses.same_position(maps.to(torch.bfloat16, memory_format=torch.channels_last)).item() == pytest.approx(0.6)


def test_equal_maxima_share_their_vote_and_a_channel_without_a_maximum_has_none():
    """Behind a ReLU many channels are 0 everywhere: they do not look at the first corner."""
    maps = torch.zeros(1, 4, 2, 2)
    maps[0, 0, 0, 0] = maps[0, 0, 1, 1] = 1.0  # half a vote each
    maps[0, 1, 1, 1] = 1.0
    assert losses.same_position(maps).item() == pytest.approx(1.5 / 2)
    assert losses.same_position(torch.ones(2, 3, 4, 2)).item() == 0


def test_the_maxima_of_all_processes_are_counted_before_the_largest_share_is_taken():
    """Each of two processes finds all of its own maxima at one position; together they are at two."""
    one, other = planted((4, 2), (0, 0), (0, 0)), planted((4, 2), (3, 1), (3, 1))
    votes = []
    losses.same_position(other, lambda rows: votes.append(rows) or rows)
    assert losses.same_position(one, lambda rows: torch.cat([rows, *votes])).item() == pytest.approx(0.5)


def test_a_report_is_in_float32_whatever_the_training_computes_in():
    """Sums of many steps in bfloat16 would stand still at 256."""
    half = torch.tensor(0.5, dtype=torch.bfloat16, requires_grad=True)
    told = losses.Losses(half, {"term": half}, half, {"spread": half}).report()
    assert told.keys() == {"loss", "term", "accuracy", "spread"}
    assert all(value.dtype == torch.float32 and not value.requires_grad for value in told.values())


def test_soft_cross_entropy_and_its_gradient_are_torchs_and_those_of_the_formula():
    logits, pids = random_batch(3, identities=8)
    target = torch.randn(16, 8, generator=torch.Generator().manual_seed(4)).softmax(dim=1).requires_grad_()
    ours = losses.soft_cross_entropy(logits, target)
    torch.testing.assert_close(ours, F.cross_entropy(logits, target))
    pupil, teacher = torch.autograd.grad(ours, [logits, target])
    torch.testing.assert_close(pupil, (logits.softmax(dim=1) - target) / 16, rtol=0, atol=2e-8)
    torch.testing.assert_close(teacher, -logits.log_softmax(dim=1) / 16, rtol=0, atol=1e-7)
    certain = F.one_hot(pids, 8)
    torch.testing.assert_close(losses.soft_cross_entropy(logits, certain), losses.identification(logits, pids))


@pytest.mark.parametrize(("logits", "target"), [((4, 3), (4, 2)), ((4, 3), (4,)), ((0, 3), (0, 3)), ((3,), (3,))])
def test_soft_cross_entropy_refuses_shapes_that_do_not_fit(logits, target):
    with pytest.raises(TrainingError, match="targets"):
        losses.soft_cross_entropy(torch.zeros(logits), torch.zeros(target))
