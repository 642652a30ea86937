"""Batches with made images: which stand beside which, and how often each comes."""

import numpy as np
import pytest

from reid_lab.data import MixedSampler, ShuffleSampler, VersionSampler
from reid_lab.runtime.errors import DataError, RecipeError

LABELS = np.array([-1, 0, 1, -1, 2, 0, 1, 2, -1, 0, -1, 1, -1])  # 8 people's images and 5 of nobody


def test_a_mixed_batch_has_so_many_images_of_people_and_so_many_of_nobody():
    sampler = MixedSampler(LABELS, 4, 3, seed=0)
    assert len(sampler) == 2
    for epoch in range(4):
        batches = sampler.epoch(epoch)
        assert [(LABELS[batch] >= 0).sum() for batch in batches] == [4, 4]
        assert [(LABELS[batch] < 0).sum() for batch in batches] == [3, 3]


def test_each_image_of_a_person_comes_once_and_those_of_nobody_return_only_when_all_were_seen():
    batches = np.concatenate(MixedSampler(LABELS, 4, 4, seed=1).epoch(0))
    people, nobody = batches[LABELS[batches] >= 0], batches[LABELS[batches] < 0]
    assert sorted(people) == sorted(np.flatnonzero(LABELS >= 0))
    assert {np.count_nonzero(nobody == image) for image in np.flatnonzero(LABELS < 0)} == {1, 2} and len(nobody) == 8


def test_those_of_nobody_stand_evenly_among_the_others():
    """So that processes that share a batch have alike parts: each half, and each third."""
    labels = np.repeat([3, -1], [40, 40])
    for batch in MixedSampler(labels, 8, 4, seed=0).epoch(0):
        assert [(labels[part] < 0).sum() for part in np.split(batch, 2)] == [2, 2]
        assert [(labels[part] < 0).sum() for part in np.split(batch, 4)] == [1, 1, 1, 1]


def test_without_images_of_nobody_it_is_the_plain_shuffling():
    known = LABELS[LABELS >= 0]
    for epoch in range(3):
        expected = ShuffleSampler(known, 3, seed=5).epoch(epoch)
        assert np.array_equal(MixedSampler(known, 3, 0, seed=5).epoch(epoch), expected)


@pytest.mark.parametrize(
    "make", [lambda seed: MixedSampler(LABELS, 4, 3, seed), lambda seed: VersionSampler(24, 2, 4, seed)]
)
def test_an_epoch_is_a_function_of_seed_and_epoch(make):
    assert np.array_equal(make(3).epoch(2), make(3).epoch(2))
    assert not np.array_equal(make(3).epoch(2), make(3).epoch(1))
    assert not np.array_equal(make(3).epoch(2), make(4).epoch(2))


def test_what_a_mixed_batch_cannot_be_made_of_is_refused():
    with pytest.raises(DataError, match="3 unlabelled images, and there are none"):
        MixedSampler([0, 1, 0, 1], 2, 3, seed=0)
    with pytest.raises(DataError, match="images"):
        MixedSampler(LABELS, 9, 1, seed=0)
    with pytest.raises(RecipeError, match="unlabelled"):
        MixedSampler(LABELS, 4, -1, seed=0)


def test_each_original_stands_beside_a_version_of_itself():
    sampler, seen = VersionSampler(24, 2, 4, seed=0), set()
    assert len(sampler) == 2
    for epoch in range(20):
        batches = sampler.epoch(epoch)
        originals = np.concatenate([batch[:4] for batch in batches])
        versions = np.concatenate([batch[4:] for batch in batches])
        assert sorted(originals) == list(range(8)) and np.array_equal(versions % 8, originals)
        seen |= set(versions.tolist())
    assert seen == set(range(8, 24))  # every version comes, and no original in its place


def test_with_no_versions_each_image_stands_beside_itself():
    for batch in VersionSampler(8, 0, 4, seed=0).epoch(0):
        assert np.array_equal(batch[:4], batch[4:])


def test_missing_versions_are_refused():
    with pytest.raises(DataError, match="25 images.*2 versions"):
        VersionSampler(25, 2, 4, seed=0)
    with pytest.raises(RecipeError, match="versions"):
        VersionSampler(25, -1, 4, seed=0)
