"""What a network is asked when its images are changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import rgb_to_hsv
from PIL import Image
from torch import nn

from reid_lab import data, passersby, retrieval
from reid_lab.data import Record
from reid_lab.errors import DataError
from reid_lab.experiments import backgrounds


class Corner(nn.Module):
    """A network that looks at the upper corners only, where hardly anybody is."""

    input_size = (128, 64)

    def __init__(self):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def describe(self, images):
        return torch.cat([images[:, :, :6, :6].mean((2, 3)), images[:, :, :6, -6:].mean((2, 3))], 1) + self.nothing


def test_a_network_that_sees_the_background_is_found_out(smoke):
    table = backgrounds.background_shortcut(Corner(), smoke, identities=None, donors=60)
    loose = table["rank-1, own camera too"]
    assert list(table.index) == ["plain", "same camera", "other camera", "flat", "background alone", "chance"]
    assert loose["plain"] > 3 * loose["chance"] and loose["plain"] > 3 * loose["other camera"]
    assert loose["background alone"] == pytest.approx(loose["plain"], abs=5)
    assert loose["flat"] < loose["plain"] / 3
    own = table["errors from own camera"]
    assert own["plain"] > 60 and own["same camera"] > 60 > 40 > own["other camera"]


def test_plain_images_are_described_as_retrieval_describes_them(smoke):
    from reid_lab.training import recipes

    torch.manual_seed(0)
    model = recipes.residual_pooling("smoke").build(18)  # smaller images than Passersby's: they are resized
    table = backgrounds.background_shortcut(model, smoke, identities=None, donors=40)
    result = retrieval.evaluate(model, smoke)
    assert table.loc["plain", ["mAP", "rank-1"]].tolist() == pytest.approx([100 * result.mAP, 100 * result.rank(1)])
    part = smoke.query[:8]
    described = backgrounds._describe(model, backgrounds._pixels(part))
    assert torch.allclose(described, retrieval.extract(model, part), atol=1e-5)


def test_a_sample_keeps_people_whole_and_a_share_of_the_nobodies(smoke):
    small = backgrounds._sample(smoke, 5, seed=0)
    pids = {record.pid for record in small.query}
    assert len(pids) == 5
    for mine, all_of_them in ((small.query, smoke.query), (small.gallery, smoke.gallery)):
        assert [r for r in mine if r.pid > 0] == [r for r in all_of_them if r.pid in pids]
    nobodies = sum(record.pid <= 0 for record in small.gallery)
    assert 0 < nobodies < sum(record.pid <= 0 for record in smoke.gallery)
    assert backgrounds._sample(smoke, 5, seed=0).gallery == small.gallery
    assert {record.pid for record in backgrounds._sample(smoke, 5, seed=1).query} != pids


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"donors": 1}, "None of the 1 donors is of camera .*: give more than donors=1"),
        ({"donors": -1}, "None of the 0 donors is of camera"),
        ({"identities": 0}, "none would be left with identities=0"),
        ({"identities": -1}, "none would be left with identities=-1"),
    ],
)
def test_a_camera_without_a_donor_and_nobody_at_all_are_refused(smoke, given, said):
    with pytest.raises(DataError, match=said):
        backgrounds.background_shortcut(Corner(), smoke, **given)


def test_backgrounds_are_drawn_among_those_allowed():
    random = np.random.default_rng(0)
    allowed = random.random((500, 9)) < 0.3
    allowed[:, 4] |= ~allowed.any(1)
    drawn = backgrounds._draw(random, allowed)
    assert allowed[np.arange(500), drawn].all()
    assert set(drawn) == set(range(9))
    assert 0 <= backgrounds._draw(random, np.zeros((1, 9), bool))[0] < 9


def test_removing_the_person_bridges_the_hole_and_touches_nothing_else():
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None] * 3, (128, 64, 3)).copy()
    images, masks = ramp[None].copy(), np.zeros((1, 128, 64), bool)
    masks[0, 20:90, 25:40] = True
    images[masks] = 255
    masks[0, 100] = True  # nothing to bridge from
    emptied = backgrounds._without(images, masks)
    assert np.array_equal(emptied[0], ramp)
    assert images[0, 50, 30, 0] == 255  # what was given is untouched


def test_histograms_count_the_colours_of_each_stripe(smoke):
    found = backgrounds.histogram_features(smoke.query[:3], stripes=4, bins=(6, 3, 2))
    assert found.shape == (3, 4 * 36)
    hsv = rgb_to_hsv(np.asarray(Image.open(smoke.query[1].path)) / 255)[32:64].reshape(-1, 3)
    expected, _ = np.histogramdd(hsv, bins=(6, 3, 2), range=[(0, 1)] * 3)
    assert found[1, 36:72].square().numpy() == pytest.approx(expected.ravel() / len(hsv), abs=1e-6)


def test_histograms_of_a_mask_count_its_pixels_only(tmp_path):
    pixels = np.zeros((128, 64, 3), np.uint8)
    pixels[:, :10] = (200, 10, 10)
    records = []
    for name, rest in (("one", (10, 200, 10)), ("two", (10, 10, 200))):
        pixels[:, 10:] = rest
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        records.append(Record(tmp_path / f"{name}.png", 1, 1))
    masks = np.zeros((2, 128, 64), bool)
    whole = backgrounds.histogram_features(records, masks=masks)  # empty masks: all pixels count
    masks[:, :, :10] = True
    one, two = backgrounds.histogram_features(records, masks=masks)
    assert torch.equal(one, two) and not torch.equal(*whole)
    assert torch.equal(whole, backgrounds.histogram_features(records))


def test_colours_are_worth_more_where_images_of_the_own_camera_count(smoke):
    table = backgrounds.colour_alone(smoke, person=True)
    assert (table["mAP, own camera too"] > table["mAP"]).all()
    assert table.loc["colours of the person", "mAP"] > 1.5 * table.loc["colours of the image", "mAP"]
    assert (table["mAP low"] <= table["mAP"]).all() and (table["mAP"] <= table["mAP high"]).all()


def test_backgrounds_need_masks_and_only_passersby_has_them(tmp_path, smoke):
    Image.new("RGB", (64, 128)).save(tmp_path / "0001_c1s1_000001_00.png")
    record = Record(tmp_path / "0001_c1s1_000001_00.png", 1, 1)
    other = replace(record, camid=2)
    strange = data.Benchmark("strange", [record, other], [record], [other])
    with pytest.raises(DataError, match="not in a Passersby folder"):
        backgrounds.background_shortcut(Corner(), strange)
    assert passersby.MARKER == "passersby.json"
