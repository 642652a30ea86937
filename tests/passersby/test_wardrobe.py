"""Dressed images of many people: whose clothes, which files, and what a killed process leaves."""

import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from reid_lab import data, passersby
from reid_lab.runtime.errors import DataError


@pytest.fixture(scope="module")
def shots(smoke):
    return list(smoke.train[::6])


@pytest.fixture(scope="module")
def made(shots):
    return passersby.wardrobe(shots, each=2)


def test_each_round_has_every_shot_in_its_order_in_the_clothes_of_somebody_else(shots, made):
    assert [one.shot for one in made] == 2 * list(range(len(shots)))
    assert all(shots[one.owner].pid != shots[one.shot].pid for one in made)
    rounds = [[shots[one.owner].pid for one in made[i * len(shots) :][: len(shots)]] for i in range(2)]
    assert rounds[0] != rounds[1]


def test_files_are_what_dressed_draws(shots, made):
    for one in made[::7]:
        assert np.array_equal(np.asarray(Image.open(one.path)), passersby.dressed(shots[one.shot], shots[one.owner]))


def test_everybody_lends_clothes(smoke):
    """Of 108 draws among 17 others, nobody is drawn very often or never."""
    lent = Counter(smoke.train[one.owner].pid for one in passersby.wardrobe(smoke.train))
    assert lent.keys() == {record.pid for record in smoke.train} and max(lent.values()) < 16


def test_a_second_call_draws_nothing_and_a_lost_file_is_drawn_again(shots, made):
    before = [one.path.stat().st_mtime_ns for one in made]
    assert passersby.wardrobe(shots, each=2) == made
    assert [one.path.stat().st_mtime_ns for one in made] == before
    kept = made[3].path.read_bytes()
    made[3].path.unlink()
    partial = made[0].path.parent.with_name(f".{made[0].path.parent.name}.killed.partial")
    partial.mkdir()
    passersby.wardrobe(shots, each=2)
    assert made[3].path.read_bytes() == kept and not partial.exists()


def test_several_processes_write_the_same_bytes(shots, made, monkeypatch, tmp_path):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path))
    others = passersby.wardrobe(shots, each=2, workers=2)
    assert [one.path.read_bytes() for one in others] == [one.path.read_bytes() for one in made]
    assert others[0].path.is_relative_to(tmp_path)


def test_what_is_asked_for_decides_the_folder(shots, made):
    folders = {passersby.wardrobe(some, each)[0].path.parent for some, each in ((shots, 2), (shots, 1), (shots[:6], 2))}
    assert len(folders) == 3 and made[0].path.parent in folders


def test_what_cannot_be_dressed_is_refused(smoke, shots, tmp_path):
    with pytest.raises(DataError, match="one person"):
        passersby.wardrobe([record for record in shots if record.pid == shots[0].pid])
    with pytest.raises(DataError, match="clothes.*0"):
        passersby.wardrobe(shots, each=0)
    with pytest.raises(DataError, match="several data sets or of none"):
        passersby.wardrobe([])
    coast = data.passersby("smoke", town="coast")
    with pytest.raises(DataError, match="several data sets"):
        passersby.wardrobe([*shots, coast.train[0]])
    with pytest.raises(DataError, match="not in a Passersby folder"):
        passersby.wardrobe([shutil.copy(record.path, tmp_path) for record in shots])
    nobody = next(record for record in smoke.gallery if record.pid <= 0)
    with pytest.raises(DataError, match=rf"{nobody.path.name}.*nobody in particular"):
        passersby.wardrobe([*shots, nobody])
