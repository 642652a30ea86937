"""What a network is asked when its images are changed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.colors import rgb_to_hsv
from PIL import Image
from torch import nn

from reid_lab import data, passersby, retrieval
from reid_lab.analysis import backgrounds
from reid_lab.analysis.conditions import interval
from reid_lab.data import Record
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import DataError


class Corner(nn.Module):
    """A network that looks at the upper corners only, where hardly anybody is."""

    input_size = (128, 64)

    def __init__(self):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def embed(self, images):
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
    from reid_lab import methods

    torch.manual_seed(0)
    model = methods.residual_pooling("smoke").network(18)  # smaller images than Passersby's: they are resized
    table = backgrounds.background_shortcut(model, smoke, identities=None, donors=40)
    result = retrieval.evaluate(model, smoke)
    assert table.loc["plain", ["mAP", "rank-1"]].tolist() == pytest.approx([100 * result.mAP, 100 * result.rank(1)])
    part = smoke.query[:8]
    described = backgrounds._embed(model, backgrounds._pixels(part))
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
        ({"donors": 1}, "donors=1"),
        ({"donors": -1}, "donors=-1"),
        ({"identities": 0}, "identities=0"),
        ({"identities": -1}, "identities=-1"),
    ],
)
def test_a_camera_without_a_donor_and_nobody_at_all_are_refused(smoke, given, said):
    with pytest.raises(DataError, match=said):
        backgrounds.background_shortcut(Corner(), smoke, **given)


def hole(record):
    """Where its person is said to be: a block of columns, another one for each camera and person."""
    mask = np.zeros((128, 64), bool)
    mask[20:110, 8 + 5 * (record.camid % 3) : 30 + 5 * (record.camid % 3) + record.pid % 7] = True
    return mask


@pytest.fixture
def drawn(smoke, monkeypatch):
    """Runs `background_shortcut` with such masks; gives its table, its records, and the images that were described."""

    def run(**options):
        seen = []
        with monkeypatch.context() as patch:
            patch.setattr(backgrounds, "_masks", lambda records: np.stack([hole(record) for record in records]))
            patch.setattr(
                backgrounds, "_embed", lambda model, images: seen.append(images) or torch.rand(len(images), 8)
            )
            table = backgrounds.background_shortcut(Corner(), smoke, **options)
        small = backgrounds._sample(smoke, options.get("identities"), options.get("seed", 0))
        return table, [*small.query, *small.gallery], dict(zip(table.index, seen, strict=False))

    return run


def test_everybody_stands_before_an_emptied_training_image_of_the_camera_that_the_row_names(smoke, drawn):
    table, records, images = drawn(identities=4, donors=24, seed=2)
    plain, masks = images["plain"], np.stack([hole(record) for record in records])
    assert table["queries"].eq(sum(record in records for record in smoke.query)).all()
    donors = {}  # emptied, by what is left of them where nobody of ours stands
    for record in smoke.train:
        pixels = backgrounds._pixels([record])
        donors[backgrounds._without(pixels, hole(record)[None])[0, :, :5].tobytes()] = record
    cameras = {"same camera": True, "other camera": False}
    used = set()
    for name, same in cameras.items():
        for image, record, own, mask in zip(images[name], records, plain, masks, strict=True):
            donor = donors[image[:, :5].tobytes()]
            emptied = backgrounds._without(backgrounds._pixels([donor]), hole(donor)[None])[0]
            assert (donor.camid == record.camid) == same
            assert np.array_equal(image, np.where(mask[..., None], own, emptied))
            used.add(donor)
    assert 12 < len(used) <= 24
    mean = plain.mean((0, 1, 2)).astype(np.uint8)
    assert np.array_equal(images["flat"], np.where(masks[..., None], plain, mean))
    assert np.array_equal(images["background alone"], backgrounds._without(plain, masks))


def test_the_people_and_the_donors_follow_from_the_seed(drawn, monkeypatch):
    (_, one, first), (_, again, second), (_, other, _) = (
        drawn(identities=4, donors=40, seed=seed) for seed in (2, 2, 3)
    )
    assert one == again != other
    assert np.array_equal(first["same camera"], second["same camera"])
    sample = backgrounds._sample
    monkeypatch.setattr(backgrounds, "_sample", lambda bench, identities, seed: sample(bench, identities, 2))
    third = drawn(identities=4, donors=40, seed=3)[2]
    assert np.array_equal(third["plain"], first["plain"])
    assert not np.array_equal(third["same camera"], first["same camera"])


def test_scores_are_of_the_queries_that_have_a_match_with_and_without_their_own_camera(smoke):
    """Chance features; the interval is that of the mean average precision, person by person."""
    lonely = smoke.query[0].pid
    bench = replace(smoke, gallery=[record for record in smoke.gallery if record.pid != lonely])
    features = torch.rand(len(bench.query) + len(bench.gallery), 8, generator=torch.Generator().manual_seed(1))
    labels = Protocol.of(bench.query, bench.gallery)
    parts = features[: len(bench.query)], features[len(bench.query) :]
    pids = {"query_pids": labels.query_pids, "gallery_pids": labels.gallery_pids}
    result, free = retrieval.rank(*parts, **labels.arrays()), retrieval.rank(*parts, **pids)
    row = backgrounds._scores("chance", features, bench).loc["chance"]
    matched = np.isfinite(result.ap)
    assert row["queries"] == matched.sum() < len(bench.query)
    low, high = interval(result.ap[matched], labels.query_pids[matched])
    names = ["mAP", "mAP low", "mAP high", "rank-1", "mAP, own camera too", "rank-1, own camera too"]
    shares = [result.mAP, low, high, result.rank(1), free.mAP, free.rank(1)]
    assert row[names].tolist() == pytest.approx([100 * share for share in shares], nan_ok=True)


def test_colors_are_of_as_many_stripes_as_asked_for(smoke, monkeypatch):
    asked, features = [], backgrounds.histogram_features

    def watched(records, stripes=6, masks=None):
        asked.append((stripes, masks is not None))
        return features(records[:1], 1).repeat(len(records), 1) + torch.rand(len(records), 1)

    monkeypatch.setattr(backgrounds, "histogram_features", watched)
    monkeypatch.setattr(backgrounds, "_masks", lambda records: np.ones((len(records), 128, 64), bool))
    backgrounds.color_alone(smoke, person=True, stripes=3)
    assert asked == [(3, False), (3, True)]


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


def test_histograms_count_the_colors_of_each_stripe(smoke):
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


def test_colors_are_worth_more_where_images_of_the_own_camera_count(smoke):
    table = backgrounds.color_alone(smoke, person=True)
    assert (table["mAP, own camera too"] > table["mAP"]).all()
    assert table.loc["colors of the person", "mAP"] > 1.5 * table.loc["colors of the image", "mAP"]
    assert (table["mAP low"] <= table["mAP"]).all() and (table["mAP"] <= table["mAP high"]).all()


def test_backgrounds_need_masks_and_only_passersby_has_them(tmp_path, smoke):
    Image.new("RGB", (64, 128)).save(tmp_path / "0001_c1s1_000001_00.png")
    record = Record(tmp_path / "0001_c1s1_000001_00.png", 1, 1)
    other = replace(record, camid=2)
    strange = data.Benchmark("strange", [record, other], [record], [other])
    with pytest.raises(DataError, match="Passersby"):
        backgrounds.background_shortcut(Corner(), strange)
    assert passersby.MARKER == "passersby.json"
