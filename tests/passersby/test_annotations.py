import json
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reid_lab import data, passersby
from reid_lab.passersby import bodies, render
from reid_lab.passersby.frames import Key, compose
from reid_lab.passersby.towns import CITY, COAST
from reid_lab.runtime.errors import DataError


@pytest.fixture(scope="module", params=[CITY, COAST], ids=["city", "coast"])
def town(request):
    return request.param


@pytest.fixture(scope="module")
def folder(own_home, town):
    return data.passersby("smoke", town=town.name).root


@pytest.fixture(scope="module")
def table(folder):
    return passersby.annotations(folder)


def dyed(town, key, tone, monkeypatch, materials=slice(1, None)):
    """The image with its main person, or some of their materials, all in one brightness."""
    main, true_palette = compose(0, key, town).main.who, bodies.palette

    def palette(who):
        found = true_palette(who)
        if who == main:
            found[materials] = tone
        return found

    with monkeypatch.context() as patch:
        patch.setattr(bodies, "palette", palette)
        return render.render(0, key, town)[0].astype(int)


def test_the_mask_is_where_recoloring_the_person_changes_the_image(town, folder, table, monkeypatch):
    """An oracle: draw the image twice, with a black and with a white person; the rest must not differ."""
    for path in table.index[table["pid"] > 0][::12]:
        key = Key.parse(path)
        difference = np.abs(dyed(town, key, 400.0, monkeypatch) - dyed(town, key, 0.0, monkeypatch))
        changed, mask = difference.max(2) > 95, passersby.mask(folder / path)
        assert (mask & changed).sum() > 0.88 * (mask | changed).sum()


def test_the_hidden_share_is_what_the_mask_lacks_of_the_person_drawn_alone(town, folder, table, monkeypatch):
    """An oracle: the same frame without whoever walks before the person, and without the place's front layer."""

    def alone(seed, key, town):
        frame = compose(seed, key, town)
        frame.before, frame.far = [], False
        return frame

    known = table[(table["pid"] > 0)].sort_values("occluded")
    found, half_hidden, veiled = [], 0, 0
    for path, row in pd.concat([known.iloc[::25], known.iloc[-12:]]).iterrows():
        key = Key.parse(path)
        with monkeypatch.context() as patch:
            patch.setattr(render, "compose", alone)
            whole = render.person_mask(0, key, town)
        mask = passersby.mask(folder / path)
        assert not (mask & ~whole).any()
        found.append((1 - mask.sum() / whole.sum(), row["occluded"]))
        half_hidden += row["occluded"] > 0.25
        veiled += row["occluded"] > 0.02 and not compose(0, key, town).before
    ours, told = np.array(found).T
    assert np.abs(ours - told).max() < 0.06 and half_hidden >= 5 and veiled >= 3


def test_a_keypoint_is_hidden_where_another_body_or_thing_is_drawn(folder, table):
    """Seen are those on the person's mask, hidden the others within the image; the person alone hides none."""
    kinds = {1: 0, 2: 0}
    for path in table.index[(table["pid"] > 0) & (table["occluded"] > 0.2)][:15]:
        mask = passersby.mask(folder / path)
        for _, (x, y, visibility) in passersby.keypoints(folder / path).iterrows():
            if visibility:
                assert visibility == (2 if mask[int(y), int(x)] else 1)
                kinds[int(visibility)] += 1
    assert min(kinds.values()) > 20


def test_a_pixel_is_the_persons_if_two_of_its_four_samples_are(monkeypatch):
    materials = np.zeros((256, 128), np.uint8)
    person = np.uint8(render.MAIN * bodies.PALETTE + 3)
    materials[0, 0] = person  # one of four
    materials[0:2, 2] = person  # two
    materials[2:4, 0:2] = person  # four
    materials[2, 2] = np.uint8(bodies.PALETTE * (render.MAIN + 1))  # somebody else
    drawn = SimpleNamespace(canvas=SimpleNamespace(material=materials))
    shown = render.visible_main(drawn, None)
    assert shown.shape == (128, 64) and np.argwhere(shown).tolist() == [[0, 1], [1, 0]]
    veil = np.zeros((128, 64), np.float32)
    veil[1, 0] = 200.0
    assert np.argwhere(render.visible_main(drawn, veil)).tolist() == [[0, 1]]


def test_the_truth_of_an_image_is_drawn_with_its_own_folders_seed_and_town(town, folder, table, tmp_path):
    key = Key.parse(table.index[table["pid"] > 0][0])
    (tmp_path / "query").mkdir()
    marker = json.loads((folder / passersby.MARKER).read_text()) | {"seed": 7}
    (tmp_path / passersby.MARKER).write_text(json.dumps(marker))
    path = tmp_path / "query" / f"{key.name}.png"
    assert np.array_equal(passersby.mask(path), render.person_mask(7, key, town))
    assert not np.array_equal(passersby.mask(path), render.person_mask(0, key, town))
    points = pd.DataFrame(render.person_keypoints(7, key, town)).set_index(0)
    assert passersby.keypoints(path).to_numpy().tolist() == points.to_numpy().tolist()


def test_keypoints_that_are_seen_lie_on_the_person(folder, table):
    seen = 0
    for path in table.index[table["pid"] > 0][::6]:
        mask, points = passersby.mask(folder / path), passersby.keypoints(folder / path)
        for _, (x, y, visibility) in points.iterrows():
            inside = 0 <= x < 64 and 0 <= y < 128
            assert (visibility > 0) == inside
            if visibility == 2:
                assert mask[int(y), int(x)]
                seen += 1
    assert seen > 250


def test_the_head_keypoint_is_in_the_middle_of_the_hair(town, table, folder, monkeypatch):
    """An oracle: dye the hair and see where the image changes."""
    short = table["hair_style"].isin(["short", "crop"]) & (table["hat"] == "none")
    apart = []
    for path in table.index[(table["pid"] > 0) & short & (table["occluded"] == 0)][:25]:
        key = Key.parse(path)
        bright, dark = (dyed(town, key, tone, monkeypatch, [bodies.HAIR]) for tone in (400.0, 0.0))
        difference = bright - dark
        rows, columns = np.nonzero(difference.max(2) > 95)
        x, y, visibility = passersby.keypoints(folder / path).loc["head"]
        if visibility == 2 and y > 12:
            apart.append((x - columns.mean(), y - rows.min()))
    across, down = np.array(apart).T
    assert len(across) > 10
    assert abs(across.mean()) < 1.5
    assert np.abs(across).max() < 5
    assert 4 < down.mean() < 12


def test_heads_are_above_ankles_and_left_is_right_of_right_when_somebody_faces_us(folder, table):
    angle = table["view_angle"].replace("", np.nan).astype(float)
    facing = table.index[(table["pid"] > 0) & ((angle < 20) | (angle > 340))]
    assert len(facing) > 3
    for path in facing:
        points = passersby.keypoints(folder / path)
        assert points.loc["head", "y"] < points.loc["neck", "y"] < points.loc["left_knee", "y"]
        assert points.loc["left_shoulder", "x"] > points.loc["right_shoulder", "x"]


def test_a_false_alarm_has_an_empty_mask_and_no_keypoints(folder, table):
    alarms = table.index[table["shows"] == "background"]
    assert len(alarms)
    for path in alarms:
        assert not passersby.mask(folder / path).any()
        assert (passersby.keypoints(folder / path)["visibility"] == 0).all()


def test_people_fill_a_plausible_share_of_their_box(folder, table):
    shares = [passersby.mask(folder / path).mean() for path in table.index[table["pid"] > 0][::5]]
    assert 0.15 < np.median(shares) < 0.40


def test_hidden_people_have_smaller_masks(folder, table):
    known = table[table["pid"] > 0]
    hidden = [passersby.mask(folder / p).mean() for p in known.index[known["occluded"] > 0.3]]
    free = [passersby.mask(folder / p).mean() for p in known.index[known["occluded"] == 0]]
    assert np.mean(hidden) < 0.8 * np.mean(free)


def test_a_record_serves_as_well_as_its_path(folder, table):
    path = folder / table.index[0]
    assert np.array_equal(passersby.mask(SimpleNamespace(path=path)), passersby.mask(str(path)))


def test_an_image_of_another_data_set_has_no_truth(tmp_path):
    with pytest.raises(DataError, match=passersby.MARKER):
        passersby.mask(tmp_path / "query" / "0001_c1s1_000351_00.png")


def test_a_damaged_marker_is_a_sentence(tmp_path):
    (tmp_path / passersby.MARKER).write_text("[]")
    with pytest.raises(DataError, match=passersby.MARKER):
        passersby.mask(tmp_path / "query" / "0001_c1s1_000351_00.png")


@pytest.mark.parametrize("text", [None, "", "pid\n1\n"])
def test_a_folder_without_a_table_of_truth_is_a_sentence(tmp_path, text):
    if text is not None:
        (tmp_path / passersby.TABLE).write_text(text)
    with pytest.raises(DataError, match=passersby.TABLE):
        passersby.annotations(tmp_path)


def test_an_image_of_a_town_that_is_not_known_has_no_truth(tmp_path):
    (tmp_path / "query").mkdir()
    marker = {"kind": "Passersby", "seed": 0, "generator": passersby.VERSION, "town": "moon"}
    (tmp_path / passersby.MARKER).write_text(json.dumps(marker))
    with pytest.raises(DataError, match=r"'moon'.*city, coast"):
        passersby.mask(tmp_path / "query" / "0001_c1s1_000351_00.png")


def test_an_image_of_another_generator_has_no_truth(tmp_path):
    (tmp_path / "query").mkdir()
    (tmp_path / passersby.MARKER).write_text('{"kind": "Passersby", "seed": 0, "generator": 0}')
    with pytest.raises(DataError, match=r"\b0\b"):
        passersby.keypoints(tmp_path / "query" / "0001_c1s1_000351_00.png")


def test_a_table_as_long_as_the_largest_is_read_in_one_piece_without_a_warning(smoke, tmp_path, recwarn):
    """People come first and nobody last, so that pandas, which reads in pieces, would see columns of two types."""
    head, *lines = (smoke.root / passersby.TABLE).read_text().splitlines()
    people, nobody = (
        [line for line in lines if ("/0000_" in line or "/-1_" in line) == none] for none in (False, True)
    )
    long = shutil.copytree(smoke.root, tmp_path / "long")
    (long / passersby.TABLE).write_text("\n".join([head, *150 * people, *100 * nobody, ""]))
    for table, short in (
        (passersby.annotations(long), passersby.annotations(smoke.root)),
        (data.market1501(long).annotations, smoke.annotations),
    ):
        assert len(table) == 150 * len(people) + 100 * len(nobody)
        assert table.dtypes.equals(short.dtypes)
    assert [str(warning.message) for warning in recwarn] == []
