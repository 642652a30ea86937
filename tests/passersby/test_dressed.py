"""Anybody in anybody's clothes: exact, because everything else about the shot is drawn as it was."""

import shutil
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from reid_lab import data, passersby
from reid_lab.passersby import bodies, people, render
from reid_lab.passersby.annotations import made_from
from reid_lab.passersby.frames import compose
from reid_lab.runtime.errors import DataError

DRESSED = sys.modules["reid_lab.passersby.dressed"]
CLOTH = [bodies.UPPER, bodies.SECOND, bodies.SEAM, bodies.SLEEVE, bodies.INNER, bodies.LOGO, bodies.LOWER]
CLOTH += [bodies.TIGHTS, bodies.SHOES, bodies.SOLE]
UNCOVERED = [bodies.SKIN, bodies.BAG, bodies.STRAP]  # sleeves and skirts bare skin; bags hang on the garment


@pytest.fixture(scope="module")
def coast(own_home):
    return data.passersby("smoke", town="coast")


@pytest.fixture(scope="module")
def pairs(smoke):
    """A shot and an image of somebody else, of the same data set."""
    shots = [record for record in [*smoke.train, *smoke.query] if record.pid > 0][::9]
    return list(zip(shots, shots[5:] + shots[:5], strict=True))


def stored(record):
    with Image.open(record.path) as image:
        return np.asarray(image)


def shown(record):
    return compose(*made_from(record))


def test_people_in_their_own_clothes_are_the_images_of_the_data_set_byte_for_byte(smoke, coast):
    for bench in (smoke, coast):
        for record in [*bench.train, *bench.query, *bench.gallery][::4]:
            if shown(record).main:
                assert np.array_equal(passersby.dressed(record, record), stored(record)), record.path


def test_another_image_of_the_same_person_has_the_same_clothes(smoke):
    first, other = [record for record in smoke.train if record.pid == smoke.train[0].pid][:2]
    assert np.array_equal(passersby.dressed(first, other), stored(first))


def test_a_person_is_clothes_and_what_stays():
    """A new field of a person must be put on one of the two lists."""
    stays = {"height", "girth", "shoulders", "hips", "gait", "skin", "hair", "hair_style", "hat", "hat_colour"}
    stays |= {"bag", "bag_colour", "bag_side"}
    assert {field.name for field in fields(people.Person)} == stays | set(DRESSED.WORN)
    assert not stays & set(DRESSED.WORN) and len(set(DRESSED.WORN)) == len(DRESSED.WORN)
    who, owner = people.person(0, 1), people.person(0, 9)
    worn = DRESSED.in_clothes_of(who, owner)
    assert all(getattr(worn, name) == getattr(who, name) for name in stays)
    assert all(getattr(worn, name) == getattr(owner, name) for name in DRESSED.WORN)
    assert worn not in (who, owner)


def changed_by(shot, owner, materials, monkeypatch):
    """The pixels that show one of the materials of the person in the shot, in the owner's clothes.

    An oracle: the shot is drawn twice, with these materials black and dazzling, which a corner of a sample shows.
    """
    dyed, tones = [], (0.0, 9e3)
    worn, true_palette = DRESSED.in_clothes_of(shown(shot).main.who, shown(owner).main.who), bodies.palette
    for tone in tones:

        def palette(who, tone=tone):
            found = true_palette(who)
            if who == worn:
                found[materials] = tone
            return found

        with monkeypatch.context() as patch:
            patch.setattr(bodies, "palette", palette)
            dyed.append(passersby.dressed(shot, owner))
    return (dyed[0] != dyed[1]).any(2)


def test_nothing_but_the_person_changes_and_of_the_person_what_is_worn(pairs, monkeypatch):
    """Of hair and face little may change: the shade of a wider garment on hair that hangs behind it."""
    alone = [pair for pair in pairs if not shown(pair[0]).behind and not shown(pair[0]).before]  # nobody to be shaded
    assert len(alone) > 6
    for shot, owner in alone:
        changed = (stored(shot) != passersby.dressed(shot, owner)).any(2)
        person, worn = (
            changed_by(shot, shot, materials, monkeypatch) | changed_by(shot, owner, materials, monkeypatch)
            for materials in (slice(1, None), CLOTH + UNCOVERED)
        )
        assert not (changed & ~person).any(), shot.path
        assert (changed & ~worn).sum() <= 0.03 * person.sum(), shot.path
        assert changed.sum() > 0.5 * changed_by(shot, shot, CLOTH, monkeypatch).sum(), shot.path


def test_the_garments_are_the_owners(pairs):
    """In the owner's clothes, a person of the owner's body would be the owner."""
    for shot, owner in pairs[:6]:
        seed, key, town = made_from(shot)
        frame = compose(seed, key, town)
        before, who = passersby.dressed(shot, owner), frame.main.who
        kept = {field.name: getattr(who, field.name) for field in fields(who) if field.name not in DRESSED.WORN}
        frame.main.who = replace(shown(owner).main.who, **kept)
        drawn = render.draw_people(seed, frame, town)
        assert np.array_equal(before, render.paint(seed, frame, drawn, render.veil_before(seed, frame, drawn, town)))


def test_what_stands_before_a_person_stays_before_them_whatever_they_wear(smoke, monkeypatch):
    """A person far away is behind the scene's front layer, unless that would hide most of them.

    How much it hides depends on the clothes, so the person's own decide.
    """
    far = next(r for r in smoke.train if shown(r).far and render.person_mask(*made_from(r)).any())
    seed, key, town = made_from(far)
    frame = shown(far)
    if render.veil_before(seed, frame, render.draw_people(seed, frame, town), town) is None:
        pytest.skip("no veil")
    owner, asked, true = next(r for r in smoke.train if r.pid != far.pid), [], render.hidden_share
    expected = passersby.dressed(far, owner)

    def share(drawn, veil):
        """In other clothes, nearly all of the person would be hidden."""
        asked.append(drawn)
        return true(drawn, veil) if drawn.body.who == shown(far).main.who else 0.99

    monkeypatch.setattr(render, "hidden_share", share)
    assert np.array_equal(passersby.dressed(far, owner), expected) and asked


def test_clothes_of_another_town_can_be_worn(smoke, coast):
    shot = smoke.train[0]
    looks = {passersby.dressed(shot, record).tobytes() for record in coast.train[:20:6]}
    assert stored(shot).tobytes() not in looks and len(looks) > 1


def test_paths_do_as_well_as_records_and_nothing_is_random(smoke):
    shot, owner = smoke.train[0], smoke.train[-1]
    assert np.array_equal(passersby.dressed(shot, owner), passersby.dressed(str(shot.path), owner.path))
    assert passersby.dressed(shot, owner).dtype == np.uint8 and passersby.dressed(shot, owner).shape == (128, 64, 3)


def test_an_image_of_nobody_is_refused_as_shot_and_as_owner(smoke):
    nobody = next(record for record in smoke.gallery if record.pid <= 0 and not shown(record).main)
    for pair in ((nobody, smoke.train[0]), (smoke.train[0], nobody)):
        with pytest.raises(DataError, match=rf"{nobody.path.name}.*nobody"):
            passersby.dressed(*pair)


def test_an_image_that_is_not_passersbys_is_refused_with_the_cure(smoke, tmp_path):
    copy = shutil.copy(smoke.train[0].path, tmp_path)
    for pair in ((copy, smoke.train[0]), (smoke.train[0], copy)):
        with pytest.raises(DataError, match="not in a Passersby folder.*generate"):
            passersby.dressed(*pair)
