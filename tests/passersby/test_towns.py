"""The towns of Passersby: two places that share nothing but the way in which people are drawn."""

import hashlib
import json
import shutil
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from reid_lab import data, passersby
from reid_lab.cli import main
from reid_lab.cli.data_of_run import data_of
from reid_lab.passersby import cameras, people
from reid_lab.passersby.render import render
from reid_lab.passersby.splits import SIZES, list_images
from reid_lab.passersby.towns import CITY, COAST, TOWNS


@pytest.fixture(scope="module")
def coast(own_home):
    return data.passersby("smoke", town="coast")


def pixels(bench):
    """Of each camera, the pixels that show nobody: {camid: (n, 3)}."""
    found = {}
    for record in [*bench.train, *bench.query]:
        image = np.asarray(Image.open(record.path)).astype(float)
        found.setdefault(record.camid, []).append(image[~passersby.mask(record)])
    return {camid: np.concatenate(parts) for camid, parts in found.items()}


def test_a_town_has_six_cameras_with_scenes_of_their_own():
    painters = [camera.paint for town in TOWNS.values() for camera in town.cameras]
    assert {len(town.cameras) for town in TOWNS.values()} == {cameras.CAMERAS}
    assert len(set(painters)) == len({camera.scene for town in TOWNS.values() for camera in town.cameras}) == 12


@pytest.mark.parametrize("town", TOWNS.values(), ids=TOWNS)
def test_a_wardrobe_has_only_clothes_and_colors_that_can_be_drawn(town):
    from reid_lab.passersby.clothing import GARMENTS, LEG_RADII

    worn = town.wardrobe
    colors = (worn.upper_colors, worn.lower_colors, worn.shoe_colors, worn.bag_colors, worn.hat_colors)
    assert set().union(*colors) <= set(people.CLOTHS)
    assert set(worn.uppers) <= set(GARMENTS) and set(worn.lowers) <= set(LEG_RADII)
    for pid in range(1, 200):
        people.person(0, pid, town)


def test_the_coast_is_drawn_again_bit_for_bit_and_in_any_order():
    keys = [key for _, key in list_images(SIZES["smoke"], 0, COAST)][::25]
    forward = [render(0, key, COAST)[0].tobytes() for key in keys]
    assert [render(0, key, COAST)[0].tobytes() for key in reversed(keys)] == forward[::-1]


def test_the_towns_share_no_image_no_name_of_a_walk_and_nobody(smoke, coast):
    digests = [{hashlib.sha256(p.read_bytes()).digest() for p in b.root.glob("*/*.png")} for b in (smoke, coast)]
    assert not digests[0] & digests[1]
    walks = [{record.path.name for record in bench.train} for bench in (smoke, coast)]
    assert len(walks[0] & walks[1]) < 3
    assert not [pid for pid in range(1, 200) if asdict(people.person(0, pid)) == asdict(people.person(0, pid, COAST))]
    assert sum(people.look_alike(0, 4 * k + 1) != people.look_alike(0, 4 * k + 1, COAST) for k in range(50)) > 10


def test_the_same_numbers_draw_another_image_in_another_town():
    for _, key in list_images(SIZES["smoke"], 0)[::40]:
        assert (render(0, key, CITY)[0] != render(0, key, COAST)[0]).mean() > 0.9


def test_the_backgrounds_of_the_towns_differ_in_color_light_and_contrast(smoke, coast):
    """The coast is colder, and no camera of it has the mean color of a camera of the city."""
    here, there = pixels(smoke), pixels(coast)
    means = [np.array([part.mean(0) for _, part in sorted(found.items())]) for found in (here, there)]
    blue = [(mean[:, 2] - mean[:, 0]).mean() for mean in means]
    assert blue[1] - blue[0] > 8
    apart = np.abs(means[0][:, None] - means[1][None]).max(2)
    assert apart.min() > 3
    contrast = [np.array([part.mean(1).std() for _, part in sorted(found.items())]) for found in (here, there)]
    assert np.abs(contrast[0] - contrast[1]).mean() > 3


def test_people_of_the_coast_dress_warmly():
    worn = [people.person(0, pid, COAST) for pid in range(1, 400)]
    assert not [who for who in worn if who.lower == "shorts" or who.upper in ("t-shirt", "vest top")]
    assert sum(who.upper in ("parka", "coat", "jacket") for who in worn) > 0.45 * len(worn)
    assert not [pid for pid in range(1, 400) if people.person(0, pid).upper == "parka"]


def test_folder_marker_and_name_tell_the_town_and_the_citys_stay_as_they_were(smoke, coast):
    assert (smoke.root.name, coast.root.name) == ("smoke-seed0-v3", "coast-smoke-seed0-v3")
    markers = [json.loads((bench.root / passersby.MARKER).read_text()) for bench in (smoke, coast)]
    assert "town" not in markers[0] and markers[1].pop("town") == "coast"
    assert list(markers[0]) == list(markers[1])
    assert (smoke.name, coast.name) == ("Passersby smoke, seed 0", "Passersby coast smoke, seed 0")
    assert coast.digest != smoke.digest
    assert coast.annotations.dtypes.equals(smoke.annotations.dtypes)
    assert [finding for finding in coast.findings() if finding.level != "note"] == []


def test_what_one_town_left_half_made_is_not_another_towns(tmp_path):
    left_over = tmp_path / "passersby" / ".smoke-seed0-v3.1.partial"
    left_over.mkdir(parents=True)
    passersby.generate("smoke", home=tmp_path, town="coast")
    assert left_over.exists()


def test_the_validation_people_of_a_town_live_there(coast, tmp_path):
    split = coast.validation()
    assert (split.name, split.root) == ("Passersby coast smoke, seed 0, validation", coast.root)
    assert split.drawn_root.name == "coast-smoke-seed0-validation-v3"
    assert json.loads((split.drawn_root / passersby.MARKER).read_text())["town"] == "coast"
    copy = data.market1501(shutil.copytree(coast.root, tmp_path / "copy"))
    assert copy.validation().digest == split.digest


@pytest.mark.parametrize("ending", ["", ", validation"])
@pytest.mark.parametrize(("town", "begins"), [("city", "Passersby smoke"), ("coast", "Passersby coast smoke")])
def test_the_data_of_a_run_are_made_again_in_its_own_town(town, begins, ending, tmp_path):
    told = {"data": f"{begins}, seed 0{ending}", "data_root": str(tmp_path / "cleared")}
    bench = data_of(SimpleNamespace(environment=told, folder=tmp_path))
    assert bench.name == told["data"]
    assert bench.query[0].path.parts[-3].startswith("coast-") == (town == "coast")


def test_the_command_line_makes_a_town_and_names_the_towns_where_one_is_not_known(coast, capsys):
    assert main(["passersby", "--size", "smoke", "--town", "coast"]) == 0
    assert str(coast.root) in capsys.readouterr().out
    assert main(["passersby", "--size", "smoke", "--town", "moon"]) == 2
    said = capsys.readouterr().err
    assert "--town" in said and all(name in said for name in ("moon", *TOWNS))
