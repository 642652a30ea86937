"""A validation split of a set of one's own: some of the training identities are held out."""

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shots import shot

from reid_lab import data, methods
from reid_lab.data import Benchmark, Record
from reid_lab.data.validation import without_match
from reid_lab.runtime.errors import DataError
from reid_lab.training.run import run_folder


def pids_of(*splits):
    return {record.pid for records in splits for record in records}


def seen(people, cameras=(1, 1, 2, 2)):
    """Records without files: each of these people, an image in each of these cameras."""
    return [Record(Path(f"{pid}_{k}_c{camid}.png"), pid, camid) for pid in people for k, camid in enumerate(cameras)]


def bench_of(train):
    return Benchmark("mine", train, [], [])


@pytest.fixture
def own(tmp_path):
    """Ten people to train on and two to test, each with two images from two cameras."""
    for pid in range(1, 13):
        for split in ("train",) if pid < 11 else ("query", "gallery"):
            for camid in (1, 2):
                for take in (0, 1):
                    shot(
                        tmp_path / "crops" / split / f"{pid:02d}" / f"c{camid}_{split}{take}.png",
                        pid,
                        10 * take + camid + 3 * (split == "query"),
                    )
    return data.folder(tmp_path / "crops")


def test_nobody_is_on_two_sides_of_train_validation_and_test(own):
    split = own.validation(share=0.3)
    train, validation, test = pids_of(split.train), pids_of(split.query, split.gallery), pids_of(own.query, own.gallery)
    assert (len(train), len(validation), len(test)) == (7, 3, 2)
    assert train | validation == pids_of(own.train)
    assert not test & pids_of(own.train)


def test_every_training_image_is_in_one_split_and_the_check_is_content(own):
    split = own.validation()
    assert Counter(record for records in split.splits.values() for record in records) == Counter(own.train)
    assert (split.name, split.root) == (f"{own.name}, validation", own.root)
    split.check()


def test_each_camera_gives_one_query_and_the_rest_is_gallery():
    split = bench_of(seen(range(1, 11))).validation(share=0.4)
    assert Counter((r.pid, r.camid) for r in split.query) == {(p, c): 1 for p in pids_of(split.query) for c in (1, 2)}
    assert (len(split.train), len(split.query), len(split.gallery)) == (24, 8, 8)


def test_the_seed_alone_decides_the_split(own):
    assert own.validation(seed=3).digest == own.validation(seed=3).digest
    held = [frozenset(pids_of(own.validation(seed=seed).query)) for seed in range(60)]
    assert set().union(*held) == set(range(1, 11)), "whoever is seen by two cameras can be held out"
    assert {len(pids) for pids in held} == {2}


crops = st.lists(st.tuples(st.integers(-1, 8), st.integers(-1, 3)), max_size=60)


@settings(deadline=None)
@given(crops, st.sampled_from([0.1, 0.3, 0.6]), st.integers(0, 3), st.randoms(use_true_random=False))
def test_any_set_is_split_without_loss_whatever_its_order_or_refused(labels, share, seed, order):
    records = [Record(Path(f"{i:02d}.jpg"), pid, camid) for i, (pid, camid) in enumerate(labels)]
    try:
        split = bench_of(records).validation(share, seed)
    except DataError:
        cameras = defaultdict(list)
        for record in records:
            cameras[record.pid].append(record.camid)
        people = cameras.keys() - {-1, 0}
        able = sum(len(set(cameras[pid])) > 1 or (len(cameras[pid]) > 1 and cameras[pid][0] == -1) for pid in people)
        assert min(able, len(people) - 2) < max(2, round(share * len(people)))
        return
    assert Counter(r for records in split.splits.values() for r in records) == Counter(records)
    assert not pids_of(split.train) & pids_of(split.query, split.gallery)
    assert pids_of(split.query) == pids_of(split.gallery), "each of the held out gives a query"
    assert without_match(split.query, split.gallery) == []
    order.shuffle(records)
    again = bench_of(records).validation(share, seed)
    assert (again.query, again.gallery) == (split.query, split.gallery)
    assert again.train == [record for record in records if record in split.train]


def test_only_people_whom_two_cameras_saw_are_held_out_and_too_few_of_them_are_refused():
    bench = bench_of(seen(range(1, 4)) + seen(range(4, 11), cameras=(1, 1, 1)))
    for seed in range(8):
        assert pids_of(bench.validation(0.3, seed).query) == {1, 2, 3}
    with pytest.raises(DataError, match=r"\b3 of the 10\b.*\b4\b"):
        bench.validation(0.4)


def test_where_cameras_are_unknown_one_image_of_each_is_the_query():
    bench = bench_of(seen(range(1, 6), cameras=(-1, -1, -1)) + seen([6], cameras=(-1,)))
    for seed in range(8):
        split = bench.validation(0.5, seed)
        assert (len(split.query), len(split.gallery)) == (3, 6)
        assert 6 not in pids_of(split.query)


def test_two_people_are_held_out_at_least_and_two_have_to_stay():
    split = bench_of(seen([1, 2, 3, 4])).validation(share=0.01)
    assert (len(pids_of(split.train)), len(pids_of(split.query))) == (2, 2)
    for people, share in (([], 0.2), ([1, 2, 3], 0.2), (range(1, 11), 0.9)):
        with pytest.raises(DataError, match=f"'mine'.*{share}"):
            bench_of(seen(people)).validation(share)


def test_nobody_stays_in_training_where_the_check_refuses_it():
    bench = bench_of(seen([-1, 0, 1, 2, 3, 4]))
    assert all({-1, 0} <= pids_of(bench.validation(0.5, seed).train) for seed in range(8))


@pytest.mark.parametrize("share", [0, 1, 0.0, 1.0, -0.2, 1.5, float("nan"), True, "0.2", None])
def test_a_share_that_leaves_one_side_empty_is_refused(smoke, share):
    for bench in (bench_of(seen(range(1, 11))), smoke):
        with pytest.raises(DataError, match=str(share)):
            bench.validation(share)


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_an_impossible_seed_of_the_split_is_refused(seed):
    with pytest.raises(DataError, match=f"seed.*{seed}"):
        bench_of(seen(range(1, 11))).validation(seed=seed)


def test_a_validation_split_has_none_itself(own, smoke):
    for bench in (own, smoke):
        with pytest.raises(DataError, match=f"{bench.name}, validation"):
            bench.validation().validation()


def test_a_validation_split_has_a_digest_and_a_runs_folder_of_its_own(own):
    recipe = methods.multitask("smoke")
    benches = [own, own.validation(), own.validation(seed=1), own.validation(share=0.5)]
    assert len({bench.digest for bench in benches}) == 4
    assert len({run_folder(recipe, bench, 0) for bench in benches}) == 4


def test_copies_of_a_full_published_set_stay_warnings(own, monkeypatch):
    note = data.Finding("note", "This is a full copy.", "copy")
    train = [*own.train, Record(own.train[0].path.with_name("again.png"), own.train[0].pid, own.train[0].camid)]
    train[-1].path.write_bytes(train[0].path.read_bytes())
    published = Benchmark("published", train, own.query, own.gallery, root=own.root, notes=(note,))
    for bench in (published, published.validation()):
        assert not [one for one in bench.findings() if one.level == "error"]
