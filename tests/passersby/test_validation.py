"""Passersby's validation split: people, images and a folder of its own beside a data set that stays as it is."""

import hashlib
import json
import shutil
from collections import Counter, defaultdict

import pytest

from reid_lab import data, methods, passersby, retrieval, training
from reid_lab.passersby import SIZES
from reid_lab.passersby.frames import DISTRACTOR, JUNK, Key
from reid_lab.passersby.people import block_of
from reid_lab.passersby.splits import GALLERY, QUERY, identities, list_images, list_validation_images
from reid_lab.runtime.errors import DataError

PEOPLE = {"smoke": 20, "classroom": 100, "full": 200}
NAMES = {  # sha256 of all images' names, before there was a validation split
    ("smoke", 0): "700f8dfd7ea93ea0bb32e577d7006a8777e146b7969c5d9a84f4ad7e0a38e88f",
    ("smoke", 1): "7c7ac1d25fd63a28e6a3543159c53212f158ce202ae2d6818f6f9c2ab5399a9f",
    ("classroom", 0): "580bb8b0ba2a803b1f524aef1b739fe63a128131b1e0899bcbad07649d46f22b",
    ("full", 1): "365062e34717912fd9f70fe0828989d3e63c6654e555bae114672b1cf271aac9",
}
CHOSEN_ON = {  # sha256 of the names of the validation images on which the recipes of the start were chosen
    "smoke": "01022ab492f061442fa11b3fc3ebed3092e200e521dc1faace6caecd8484e642",
    "classroom": "8beae51002bfa70695759813f935c7b34c25478feb0e2dcd1748e588c4c90c38",
}


@pytest.fixture(scope="module")
def split(smoke):
    return smoke.validation()


@pytest.fixture(scope="module", params=SIZES)
def planned(request):
    size = SIZES[request.param]
    return request.param, size, list_images(size, 0), list_validation_images(size, 0)


@pytest.mark.parametrize(("size", "seed"), NAMES)
def test_the_images_of_the_data_sets_are_those_they_were(size, seed):
    names = "\n".join(f"{folder}/{key.name}" for folder, key in list_images(SIZES[size], seed))
    assert hashlib.sha256(names.encode()).hexdigest() == NAMES[size, seed]


@pytest.mark.parametrize("size", CHOSEN_ON)
def test_the_validation_images_are_those_on_which_recipes_were_chosen(size):
    names = "\n".join(f"{folder}/{key.name}" for folder, key in list_validation_images(SIZES[size], 0))
    assert hashlib.sha256(names.encode()).hexdigest() == CHOSEN_ON[size]


def test_validation_has_whole_blocks_of_look_alikes(planned):
    people = {key.pid for _, key in planned[-1] if key.pid > 0}
    assert set(Counter(map(block_of, people)).values()) == {4}


def test_a_data_set_is_not_touched_by_its_validation_split(tmp_path, monkeypatch):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path))
    bench = data.passersby("smoke")

    def contents():
        return {path: path.read_bytes() for path in bench.root.rglob("*") if path.is_file()}

    before, digest = contents(), bench.digest
    bench.validation()
    assert contents() == before
    assert data.passersby("smoke").digest == digest
    assert set(json.loads((bench.root / passersby.MARKER).read_text())) == {
        *("kind", "size", "seed", "generator", "counts", "digest")
    }


def test_nobody_and_no_block_of_look_alikes_is_on_two_sides_at_any_size():
    sides = [{block_of(pid) for size in SIZES.values() for pid in identities(size)[side]} for side in (0, 1)]
    sides.append({block_of(k.pid) for s in SIZES.values() for _, k in list_validation_images(s, 0) if k.pid > 0})
    assert len(set().union(*sides)) == sum(map(len, sides))


def test_counts_are_those_of_the_test_in_proportion(planned):
    name, size, _, images = planned
    people = {key.pid for _, key in images if key.pid > 0}
    counts = Counter((folder, min(key.pid, 1)) for folder, key in images)
    assert len(people) == PEOPLE[name]
    expected = {
        (QUERY, 1): size.queries,
        (GALLERY, 1): size.gallery,
        (GALLERY, DISTRACTOR): size.distractors,
        (GALLERY, JUNK): size.junk,
    }
    for kind, count in expected.items():
        assert counts[kind] == pytest.approx(count * len(people) / size.test_ids, abs=0.5)
    assert set(counts) == set(expected)


def test_protocol_cameras_and_hours_are_those_of_the_test(planned):
    _, size, test, images = planned
    cameras = defaultdict(set)
    for folder, key in images:
        if key.pid > 0 and folder == GALLERY:
            cameras[key.pid].add(key.camid)
    queries = Counter((key.pid, key.camid) for folder, key in images if folder == QUERY)
    assert set(queries) == {(pid, camid) for pid, seen in cameras.items() for camid in seen}
    assert set(queries.values()) == {1}
    assert all(size.cameras[0] <= len(seen) <= size.cameras[1] for seen in cameras.values())
    for part in ("camid", "sequence"):
        assert {getattr(k, part) for _, k in images} == {getattr(k, part) for f, k in test if f in (QUERY, GALLERY)}


def test_no_image_is_also_one_of_the_data_sets_and_every_name_can_be_read_back(planned):
    *_, test, images = planned
    assert not {key for _, key in test} & {key for _, key in images}
    assert len({key for _, key in images}) == len(images)
    assert all(Key.parse(f"anywhere/{key.name}.png") == key for _, key in images)


def test_the_training_images_stay_and_query_and_gallery_show_others(smoke, split):
    assert split.train == smoke.train
    assert (split.name, split.root) == ("Passersby smoke, seed 0, validation", smoke.root)
    pids = [{r.pid for r in records} - {0} for records in (smoke.train, [*smoke.query, *smoke.gallery], split.query)]
    assert len(set().union(*pids)) == sum(map(len, pids)) == 18 + 20 + 20
    old = {hashlib.sha256(path.read_bytes()).digest() for path in smoke.root.glob("*/*.png")}
    assert not old & {hashlib.sha256(r.path.read_bytes()).digest() for r in [*split.query, *split.gallery]}
    split.check(read_images=True)
    assert [finding for finding in split.findings() if finding.level != "note"] == []


def test_annotations_know_every_image_and_nobody_of_the_test(smoke, split):
    shown = [split.relative(record) for records in split.splits.values() for record in records]
    assert set(shown) <= set(split.annotations.index)
    assert split.annotations.index.is_unique
    assert not set(split.annotations["pid"]) & {record.pid for record in smoke.query}
    assert (split.annotations.loc[shown, "pid"] == [r.pid for rs in split.splits.values() for r in rs]).all()
    assert split.annotations.dtypes.equals(smoke.annotations.dtypes)
    assert passersby.mask(split.query[0]).any()


def test_junk_is_treated_as_in_the_benchmark_that_it_is_of(smoke, split):
    assert not [r for r in split.gallery if r.pid == JUNK]
    masked = data.passersby("smoke", junk="mask").validation()
    assert len([r for r in masked.gallery if r.pid == JUNK]) == SIZES["smoke"].junk


def test_the_place_of_set_and_cache_changes_nothing(smoke, split, tmp_path, monkeypatch):
    copy = data.market1501(shutil.copytree(smoke.root, tmp_path / "elsewhere" / "my copy"))
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "home"))
    again = copy.validation()
    assert all(tmp_path in record.path.parents for records in again.splits.values() for record in records)
    assert not [path for path in (tmp_path / "elsewhere").iterdir() if path != copy.root]
    assert again.digest == split.digest != smoke.digest
    next(iter(again.query)).path.unlink()
    assert copy.validation().digest == split.digest, "what was lost is made again"


def test_another_seed_gives_other_people(split):
    keys = [list_validation_images(SIZES["smoke"], seed) for seed in (0, 1)]
    assert keys[0] == list_validation_images(SIZES["smoke"], 0) != keys[1]
    assert [f"{folder}/{key.name}.png" for folder, key in keys[0] if folder == QUERY] == sorted(
        (split.relative(record) for record in split.query), key=[f"{f}/{k.name}.png" for f, k in keys[0]].index
    )


@pytest.mark.parametrize(
    ("change", "culprit"),
    [({"generator": 2}, r"\b2\b"), ({"size": "tiny"}, "'tiny'"), ({"seed": None}, passersby.MARKER)],
)
def test_a_set_whose_marker_cannot_tell_the_people_is_refused(smoke, tmp_path, change, culprit):
    marker = json.loads((smoke.root / passersby.MARKER).read_text())
    (tmp_path / passersby.MARKER).write_text(json.dumps(marker | change))
    bench = data.Benchmark("copy", smoke.train, smoke.query, smoke.gallery, root=tmp_path)
    with pytest.raises(DataError, match=culprit):
        bench.validation()


def test_the_folder_alone_can_be_evaluated_on_and_has_no_validation_split_itself(split):
    alone = data.market1501(split.drawn_root)
    assert (alone.name, alone.train) == (split.name, [])
    assert (alone.query, alone.gallery) == (split.query, split.gallery)
    with pytest.raises(DataError, match="validation"):
        alone.validation()


def test_fit_and_evaluate_take_it_and_the_run_has_a_folder_of_its_own(smoke, smoke_run, split, tmp_path):
    run = training.fit(methods.residual_pooling("smoke"), split, seed=0, device="cpu", runs=tmp_path)
    assert run.folder.name != smoke_run.folder.name
    assert run.environment["data"] == split.name
    result = retrieval.evaluate(run.model, split, device="cpu")
    assert result.mAP == pytest.approx(run.result["mAP"])
    assert {record.pid for record in result.query} == {record.pid for record in split.query}


def test_what_is_known_of_a_copy_is_said_of_its_validation_split_too(smoke, tmp_path):
    copy = shutil.copytree(smoke.root, tmp_path / "copy")
    (copy / passersby.TABLE).unlink()
    bench = data.market1501(copy)
    told, again = ([note for note in one.notes if note.subject == "copy"] for one in (bench, bench.validation()))
    assert again == told and len(told) == 1
