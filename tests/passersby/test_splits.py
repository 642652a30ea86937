from collections import Counter, defaultdict

import pytest

from reid_lab.passersby import SIZES
from reid_lab.passersby.frames import DISTRACTOR, JUNK, Key, track
from reid_lab.passersby.people import block_of
from reid_lab.passersby.splits import GALLERY, QUERY, TRAIN, identities, list_images
from reid_lab.runtime.errors import DataError


@pytest.fixture(scope="module", params=SIZES)
def planned(request):
    return SIZES[request.param], list_images(SIZES[request.param], 0)


def test_the_full_size_has_the_counts_of_market_1501():
    images = list_images(SIZES["full"], 0)
    splits = Counter(split for split, _ in images)
    junk = sum(key.pid == JUNK for _, key in images)
    assert (splits[TRAIN], splits[QUERY], splits[GALLERY] - junk, junk) == (12936, 3368, 15913, 3819)
    assert len({key.pid for split, key in images if split == TRAIN}) == 751
    assert len({key.pid for split, key in images if split == QUERY}) == 750


def test_classroom_trains_on_two_images_in_four_of_six_cameras():
    cameras = defaultdict(Counter)
    for split, key in list_images(SIZES["classroom"], 0):
        if split == TRAIN:
            cameras[key.pid][key.camid] += 1
    assert len(cameras) == 256
    assert all(list(seen.values()) == [2] * 4 for seen in cameras.values())
    assert {camid for seen in cameras.values() for camid in seen} == {1, 2, 3, 4, 5, 6}


def test_counts_are_those_of_the_size(planned):
    size, images = planned
    splits = Counter(split for split, _ in images)
    assert splits[TRAIN] == size.train_images
    assert splits[QUERY] == size.queries
    assert splits[GALLERY] == size.gallery + size.distractors + size.junk
    assert Counter(key.pid for _, key in images)[DISTRACTOR] == size.distractors


def test_every_query_has_a_match_in_another_camera_and_one_in_its_own(planned):
    _, images = planned
    cameras = defaultdict(set)
    for split, key in images:
        if split == GALLERY and key.pid > 0:
            cameras[key.pid].add(key.camid)
    for split, key in images:
        if split == QUERY:
            assert key.camid in cameras[key.pid]
            assert len(cameras[key.pid]) >= 2


def test_no_name_is_given_twice_and_every_name_can_be_read_back(planned):
    _, images = planned
    assert len({key for _, key in images}) == len(images)
    assert all(Key.parse(f"anywhere/{key.name}.png") == key for _, key in images)


def test_nobody_trained_on_at_one_size_is_tested_at_another():
    trained = {pid for size in SIZES.values() for pid in identities(size)[0]}
    tested = {pid for size in SIZES.values() for pid in identities(size)[1]}
    assert not {block_of(pid) for pid in trained} & {block_of(pid) for pid in tested}


def test_training_and_test_were_filmed_at_other_hours(planned):
    _, images = planned
    hours = {split: {key.sequence for s, key in images if s == split} for split in (TRAIN, QUERY)}
    assert not hours[TRAIN] & hours[QUERY]


def test_the_images_of_a_tracklet_are_frames_of_one_walk(planned):
    _, images = planned
    for _, key in images[:50]:
        assert (key.frame - track(0, key.pid, key.camid).start) % 12 == 0


@pytest.mark.parametrize(
    "name", ["0001_c7s1_000351_00.png", "0001_c0s1_000351_00.png", "me.png", "0001_c1s1_000351.png"]
)
def test_a_foreign_name_is_refused(name):
    with pytest.raises(DataError, match=name):
        Key.parse(name)
