from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid_lab.data import PairSampler, PKSampler, ShuffleSampler
from reid_lab.runtime.errors import DataError, RecipeError

# P x K


@st.composite
def people(draw):
    """Pids of 3 to 9 people with 1 to 7 images each, in any order."""
    counts = draw(st.lists(st.integers(1, 7), min_size=3, max_size=9))
    return draw(st.permutations([pid * 10 for pid, count in enumerate(counts) for _ in range(count)]))


@settings(deadline=None)
@given(people(), st.integers(2, 3), st.integers(2, 5), st.integers(0, 3))
def test_every_batch_holds_p_identities_with_k_images_each(pids, identities, images, epoch):
    sampler = PKSampler(pids, identities, images, seed=1)
    batches = sampler.epoch(epoch)
    assert len(batches) == len(sampler) == max(1, len(pids) // (identities * images))
    own = Counter(pids)
    for batch in batches:
        groups = np.asarray(pids)[batch].reshape(identities, images)
        assert (groups == groups[:, :1]).all() and len(set(groups[:, 0])) == identities
        for pid, row in zip(groups[:, 0], batch.reshape(identities, images), strict=True):
            assert len(set(row)) == min(images, own[pid])  # repeats only where there are too few


def test_an_identity_of_few_images_repeats_them_evenly():
    (batch,) = PKSampler([1, 1, 2, 2, 2, 2], identities=2, images=4, seed=0).epoch(0)
    assert sorted(Counter(batch.tolist()).items()) == [(0, 2), (1, 2), (2, 1), (3, 1), (4, 1), (5, 1)]


def test_identities_and_their_images_take_turns():
    pids = np.repeat(np.arange(20), 8)
    batches = np.concatenate(PKSampler(pids, identities=5, images=4, seed=0).epoch(0))
    assert set(Counter(batches.tolist()).values()) == {1}  # 160 images, each once


# Pairs


@settings(deadline=None)
@given(people(), st.integers(1, 4), st.booleans(), st.integers(0, 3))
def test_anchors_are_all_different_and_partners_never_the_anchor(pids, pairs, cross_camera, epoch):
    pids = np.asarray(pids)
    if np.unique(pids, return_counts=True)[1].max() < 2:
        return
    sampler = PairSampler(pids, np.arange(len(pids)) % 3, pairs, cross_camera=cross_camera)
    batches = np.stack(sampler.epoch(epoch)).reshape(len(sampler), 2, pairs)
    anchors, partners = batches[:, 0].ravel(), batches[:, 1].ravel()
    assert len(set(anchors)) == len(anchors) and (anchors != partners).all()
    assert len(sampler) == len(pids) // pairs


def positives(sampler, pids, epoch=0):
    anchors, partners = np.stack(sampler.epoch(epoch)).reshape(len(sampler), 2, -1).transpose(1, 0, 2).reshape(2, -1)
    return anchors, partners, pids[anchors] == pids[partners]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_the_share_of_positives_is_the_one_asked_for(share):
    pids = np.repeat(np.arange(500), 8)
    same = positives(PairSampler(pids, pids * 0, 32, positive=share), pids)[2]
    assert same.mean() == share if share in (0, 1) else abs(same.mean() - share) < 0.03


def test_annealing_goes_from_one_half_to_one_fifth():
    pids = np.repeat(np.arange(500), 8)
    sampler = PairSampler(pids, pids * 0, 32, positive="annealed")
    assert [round(sampler.positive_at(epoch), 3) for epoch in (0, 1, 50, 93, 500)] == [
        0.5,
        0.495,
        0.304,
        0.2,
        0.2,
    ]
    assert abs(positives(sampler, pids, 200)[2].mean() - 0.2) < 0.03


def test_positives_and_negatives_are_drawn_from_all_that_qualify():
    pids, camids = np.array([1, 1, 1, 2, 2, 3]), np.array([1, 1, 2, 1, 1, 1])
    for cross_camera, partners_of in (
        (False, {0: {1, 2}, 1: {0, 2}, 2: {0, 1}, 3: {4}, 4: {3}, 5: set()}),
        (True, {0: {2}, 1: {2}, 2: {0, 1}, 3: {4}, 4: {3}, 5: set()}),  # 3 and 4 have one camera: it must do
    ):
        sampler = PairSampler(pids, camids, 1, positive=0.5, cross_camera=cross_camera)
        seen = {anchor: (set(), set()) for anchor in range(6)}
        for epoch in range(300):
            for anchor, partner in sampler.epoch(epoch):
                seen[anchor][int(pids[anchor] == pids[partner])].add(partner)
        for anchor, (negatives, same) in seen.items():
            assert same == partners_of[anchor]
            assert negatives == set(np.flatnonzero(pids != pids[anchor]))


def test_fewer_images_than_pairs_still_give_a_full_batch():
    (batch,) = PairSampler([1, 1, 2], [1, 2, 1], pairs=8).epoch(0)
    assert batch.shape == (16,) and set(batch[:8]) == {0, 1, 2}


# Both


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: PKSampler(np.repeat(range(10), 9), 3, 4, seed),
        lambda seed: PairSampler(np.repeat(range(10), 9), np.zeros(90), 6, seed=seed),
    ],
)
def test_an_epoch_is_a_function_of_seed_and_epoch_alone(make):
    used = make(1)
    used.epoch(0)
    assert np.array_equal(used.epoch(5), make(1).epoch(5))
    assert not np.array_equal(make(1).epoch(5), make(1).epoch(6))
    assert not np.array_equal(make(1).epoch(5), make(2).epoch(5))


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: PKSampler([1, 1, 2, 2], 2, 1, 0), RecipeError, r"K\b.*\b1\b"),
        (lambda: PKSampler([1, 1, 2, 2], 1, 2, 0), RecipeError, r"P\b.*\b1\b"),
        (
            lambda: PKSampler([1, 1, 2, 2], 3, 2, 0),
            DataError,
            "P = 3.* 2",
        ),
        (lambda: PKSampler([], 2, 2, 0), DataError, "P = 2.* 0"),
        (lambda: PKSampler([1, 1, 2, 2], 2, 2.5, 0), RecipeError, r"2\.5"),
        (lambda: PKSampler([1, 1, 2, 2], 2.5, 2, 0), RecipeError, r"2\.5"),
        (lambda: PKSampler([1, 1, 2, 2], 2, 2, -1), RecipeError, "seed.* -1"),
        (lambda: PKSampler([1, 1, 2, 2], 2, 2, 0).epoch(-1), RecipeError, "epoch.* -1"),
        (lambda: PKSampler([1, np.nan, 2, np.nan], 2, 2, 0), DataError, "2 of 4 .*NaN.* 1"),
        (lambda: PairSampler([1, 1, np.nan], [1, 2, 1], 1), DataError, "1 of 3 .*NaN"),
        (lambda: PairSampler([1, 1, 2], [1, 2, 1], 2.5), RecipeError, r"pairs is 2\.5"),
        (lambda: PairSampler([1, 1, 2], [1, 2, 1], 1, seed=0.5), RecipeError, r"seed.* 0\.5"),
        (lambda: PairSampler([1, 1, 2], [1, 2, 1], 1).epoch(-1), RecipeError, "epoch.* -1"),
        (lambda: PairSampler([1, 1], [1, 2], 1), DataError, r"\b1 identity"),
        (lambda: PairSampler([], [], 1), DataError, r"\b0 identity"),
        (lambda: PairSampler([1, 2], [1, 2], 1), DataError, "positive"),
        (lambda: PairSampler([1, 1, 2], [1, 2, 1], 0), RecipeError, "pairs is 0"),
        (lambda: PairSampler([1, 1, 2], [1, 2, 1], 1, positive=1.1), RecipeError, "1.1"),
        (lambda: PairSampler([1, 1, 2], [1, 2, 1], 1, positive="half"), RecipeError, "'half'"),
    ],
)
def test_impossible_batches_are_refused_with_a_sentence(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize(
    ("make", "taken"),
    [
        (lambda pids: PairSampler(pids, pids * 0, 4, seed=3), lambda batches: batches[0][:4]),  # its anchors
        (lambda pids: PKSampler(pids, 2, 2, seed=3), lambda batches: batches[0]),
        (lambda pids: PKSampler(pids, 2, 2, seed=3), lambda batches: batches[-1]),
    ],
    ids=["anchors", "P x K, first batch", "P x K, last batch"],
)
def test_over_the_epochs_every_image_has_the_same_chance_to_be_in_a_batch(make, taken):
    pids, epochs = np.repeat(np.arange(5), 4), 800
    sampler = make(pids)
    counts = Counter(int(place) for epoch in range(epochs) for place in taken(sampler.epoch(epoch)))
    expected = 4 * epochs / len(pids)
    assert set(counts) == set(range(len(pids)))
    assert max(abs(count - expected) for count in counts.values()) < 5.5 * expected**0.5


def test_negatives_are_drawn_from_all_other_images_alike():
    pids = np.array([0] * 2 + [1] * 3 + [2] * 5)
    sampler = PairSampler(pids, pids * 0, 10, positive=0.0)
    drawn = [dict(zip(*np.split(sampler.epoch(epoch)[0], 2), strict=True))[0] for epoch in range(800)]
    counts = Counter(map(int, drawn))
    assert set(counts) == set(range(2, 10))
    assert max(abs(count - 100) for count in counts.values()) < 55


def test_a_seed_and_an_epoch_are_two_numbers_not_their_sum():
    pids = np.repeat(range(10), 9)
    for make in (lambda seed: PKSampler(pids, 3, 4, seed), lambda seed: PairSampler(pids, pids * 0, 6, seed=seed)):
        assert not np.array_equal(make(1).epoch(2), make(2).epoch(1))
        assert not np.array_equal(make(0).epoch(3), make(3).epoch(0))


def test_shuffled_batches_show_each_image_once_an_epoch_in_another_order():
    sampler = ShuffleSampler([1, 1, 2, 2, 3, 3, 4], 3, seed=5)
    first, second = (np.concatenate(sampler.epoch(epoch)) for epoch in (0, 1))
    assert len(sampler) == len(sampler.epoch(0)) == 2
    assert len(set(first)) == 6 and set(first) <= set(range(7))
    assert first.tolist() != second.tolist() and first.tolist() == np.concatenate(sampler.epoch(0)).tolist()
    assert first.tolist() != np.concatenate(ShuffleSampler([1] * 7, 3, seed=6).epoch(0)).tolist()
    seen = {index for epoch in range(20) for index in np.concatenate(sampler.epoch(epoch)).tolist()}
    assert seen == set(range(7))  # whoever is left out changes


@pytest.mark.parametrize(
    ("images", "seed", "error"), [(0, 0, RecipeError), (2.5, 0, RecipeError), (8, 0, DataError), (2, -1, RecipeError)]
)
def test_impossible_shuffles_are_refused(images, seed, error):
    with pytest.raises(error):
        ShuffleSampler([1, 1, 2, 2, 3, 3, 4], images, seed)


def test_the_shuffles_of_one_seed_are_not_those_of_the_next_an_epoch_later():
    this, following = (ShuffleSampler(range(50), 10, seed) for seed in (5, 6))
    assert np.concatenate(this.epoch(1)).tolist() != np.concatenate(following.epoch(0)).tolist()
