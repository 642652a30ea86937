import numpy as np
import pytest
from PIL import Image

from reid_lab import data
from reid_lab.data import ImageStore, Record
from reid_lab.data.decoding import decode

RAMP = np.tile(np.linspace(20, 230, 64), (32, 1))


def saved(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ((RAMP * 256).astype(np.uint16), 20, 230),  # 16 bits
        ((RAMP * 64).astype(np.uint16), 20, 230),  # 14 of 16 used
        ((RAMP * 16).astype(np.uint16), 20, 230),
        ((RAMP * 4).astype(np.uint16), 20, 230),
        (RAMP.astype(np.uint16), 20, 230),
        ((RAMP * 4 + 28000).astype(np.uint16), 0, 255),  # thermal: a narrow range
        (RAMP.astype(np.int32), 20, 230),
        ((RAMP * 1e6).astype(np.int32), 0, 255),
        ((RAMP / 255).astype(np.float32), 20, 230),
        (RAMP.astype(np.float32), 20, 230),
        ((RAMP - 100).astype(np.float32), 0, 255),  # below zero
    ],
)
def test_deep_grey_pictures_keep_their_grey_levels(tmp_path, values, low, high):
    grey = decode(saved(tmp_path / "x.tif", values))[..., 0]
    assert abs(int(grey.min()) - low) <= 1 and abs(int(grey.max()) - high) <= 1
    assert (np.diff(grey[0].astype(int)) >= 0).all() and len(np.unique(grey)) >= 60


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scale", [1 / 255, 1, 1e30])
def test_values_that_are_none_do_not_touch_the_others(tmp_path, hole, scale):
    whole = (RAMP * scale).astype(np.float32)
    holed = whole.copy()
    holed[0, 0] = hole
    expected, grey = (decode(saved(tmp_path / f"{i}.tif", values)) for i, values in enumerate((whole, holed)))
    assert np.array_equal(grey[1:], expected[1:])
    (record,) = ImageStore([Record(tmp_path / "1.tif", 1)], (32, 64)).pixels.permute(0, 2, 3, 1).numpy()
    assert np.array_equal(record, grey)
    assert not decode(saved(tmp_path / "none.tif", np.full((8, 4), hole, np.float32))).any() or hole == np.inf


def test_bytes_in_another_order_are_the_same_picture(tmp_path):
    deep = (RAMP * 16).astype(np.uint16)
    Image.frombytes("I;16B", (64, 32), deep.astype(">u2").tobytes()).save(tmp_path / "big.tif")
    assert np.array_equal(decode(tmp_path / "big.tif"), decode(saved(tmp_path / "little.tif", deep)))


def people(root, scales, suffix="png"):
    """A folder of eight people, whose pictures have these scales in turn, in 16 bits."""
    for person in range(1, 9):
        for camera in (1, 2):
            values = RAMP * scales[person % len(scales)] + np.random.default_rng([person, camera]).random(RAMP.shape)
            saved(root / f"{person:03d}" / f"cam{camera}.{suffix}", values.astype(np.uint16))
    return data.folder(root)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_the_whole_set_decides_so_that_the_dark_stay_dark(tmp_path, suffix):
    bench = people(tmp_path, (16, 2), suffix)
    for records in bench.splits.values():
        for record in records:
            bright = 230 if int(record.path.parent.name) % 2 == 0 else 230 // 8
            assert abs(int(ImageStore([record], (32, 64)).pixels.max()) - bright) <= 1


def test_a_store_of_any_records_scales_them_alike(tmp_path):
    paths = [saved(tmp_path / f"{scale}.png", (RAMP * scale).astype(np.uint16)) for scale in (16, 1)]
    bright, dark = ImageStore([Record(path, 1) for path in paths], (32, 64)).pixels.amax((1, 2, 3)).tolist()
    assert bright == 230 and dark == 230 // 16


def greys(bench):
    return [finding.sentence for finding in bench.findings() if finding.subject == "greys"]


def test_the_check_tells_pictures_in_which_reading_left_nothing(tmp_path):
    assert not greys(people(tmp_path / "sound", (16, 8)))
    (found,) = greys(people(tmp_path / "dark", (250, 1)))
    assert "8 images show next to nothing, fewer than 8 grey levels" in found and "57" in found
    for camera in (1, 2):
        saved(tmp_path / "black" / "001" / f"cam{camera}.png", np.full((8, 4), camera, np.uint8))
        saved(tmp_path / "black" / "002" / f"cam{camera}.png", (RAMP + camera).astype(np.uint8))
    (found,) = greys(data.folder(tmp_path / "black"))
    assert "2 images show next to nothing" in found and "remove them if they show nobody" in found
