"""LOMO against plain loops and matplotlib's colours, and what its formula is to be disturbed by: nothing but little."""

import numpy as np
import pytest
import torch
from matplotlib.colors import rgb_to_hsv

from reid_lab import data, methods, retrieval
from reid_lab.methods import lomo as recipe_at
from reid_lab.methods.lomo import blur, grey, hsv_codes, maximal_occurrence, retinex, siltp
from reid_lab.retrieval.features import _digest
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import solving

AROUND = [(0, 1), (1, 0), (0, -1), (-1, 0)]


def pixels(count=2, size=(40, 44), seed=0):
    return torch.randint(0, 256, (count, 3, *size), generator=torch.Generator().manual_seed(seed)).float()


@pytest.fixture(scope="module")
def few(smoke):
    """Fewer people."""
    pids = sorted({record.pid for record in smoke.train})[:10]
    train = [record for record in smoke.train if record.pid in pids]
    return data.Benchmark("few", train, smoke.query[:12], smoke.gallery, root=smoke.root)


def solved(bench, **fields):
    return solving.solve(methods.lomo("smoke", **fields), bench)[0]


@pytest.mark.parametrize("width", [48, 64])
def test_at_paper_size_there_are_26960_numbers_whatever_the_width(width):
    network = recipe_at("paper", resize=(128, width)).network(751)
    assert network.length == 26_960
    assert network.describe(pixels(1, (128, width))).shape == (1, 26_960)
    assert methods.lomo("paper").resize == (128, 48)


@pytest.mark.parametrize("radius", [3, 5])
def test_the_texture_codes_are_those_of_loops_over_pixels_and_neighbours(radius):
    image = torch.rand(1, 1, 12, 9, generator=torch.Generator().manual_seed(0))
    found, values = siltp(image, radius)[0, 0], image[0, 0].tolist()
    for row in range(12):
        for column in range(9):
            centre, code = values[row][column], 0
            for place, (down, right) in enumerate(AROUND):
                y, x = (min(max(at + radius * step, 0), end) for at, step, end in ((row, down, 11), (column, right, 8)))
                code += 3**place * ((values[y][x] < 0.7 * centre) + 2 * (values[y][x] > 1.3 * centre))
            assert found[row, column] == code
    assert found.max() <= 80


def test_a_darker_image_has_the_same_texture_codes():
    image = torch.rand(3, 1, 30, 20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(siltp(image, 3), siltp(0.8 * image, 3))
    assert not torch.equal(siltp(image, 3), siltp(image.square(), 3))


def test_without_tolerance_darker_and_brighter_are_the_two_sides_of_a_local_binary_pattern(monkeypatch):
    monkeypatch.setitem(siltp.__globals__, "TAU", 0.0)
    image = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(2))
    inner = siltp(image, 3)[0, 0, 3:-3, 3:-3]
    centre, values = image[0, 0, 3:-3, 3:-3], image[0, 0]
    for place, (down, right) in enumerate(AROUND):
        y, x = 3 + 3 * down, 3 + 3 * right
        at_least = values[y : y + 14, x : x + 14] >= centre
        assert torch.equal(inner // 3**place % 3 == 1, ~at_least)


def test_the_colour_codes_are_matplotlibs_hue_saturation_and_value():
    images = torch.cat([pixels(4), torch.randint(0, 3, (2, 3, 40, 44)) * 127.0])  # few colours: ties, greys, black
    hsv = rgb_to_hsv(images.permute(0, 2, 3, 1).double().numpy() / 255)
    bins = 8 * hsv
    expected = np.floor(bins + 1e-9).clip(0, 7)  # rounding at the edge of a bin
    assert (abs(bins - bins.round()) < 1e-6).any()
    assert np.array_equal(hsv_codes(images)[:, 0], expected @ [1, 8, 64])
    assert (hsv_codes(torch.full((1, 3, 4, 4), 255.0)) == 7 * 64).all()


def test_luma_is_a_whole_number():
    image = pixels()
    expected = np.rint(np.einsum("nchw,c->nhw", image.long().numpy(), [299, 587, 114]) / 1000)
    assert np.array_equal(grey(image)[:, 0], expected)


def test_the_most_of_each_code_in_a_row_of_windows_is_that_of_bincount():
    codes = torch.randint(0, 9, (2, 1, 26, 31), generator=torch.Generator().manual_seed(3))
    found = maximal_occurrence(codes, 9).view(2, 4, 9)  # windows begin at rows 0, 5, 10, 15
    for image in range(2):
        for row in range(4):
            part = codes[image, 0, 5 * row : 5 * row + 10]
            windows = [np.bincount(part[:, left : left + 10].flatten(), minlength=9) for left in range(0, 22, 5)]
            assert np.array_equal(found[image, row], np.max(windows, axis=0))


def test_a_step_aside_changes_no_colour_count():
    image = torch.zeros(1, 3, 40, 60)
    patch = pixels(1, (40, 10))[0]
    image[0, :, :, 10:20] = patch
    moved = image.roll(20, dims=3)  # by whole steps of windows
    assert torch.equal(maximal_occurrence(hsv_codes(image), 512), maximal_occurrence(hsv_codes(moved), 512))


def test_three_blocks_of_three_scales_are_logarithms_of_counts_of_length_1():
    network = recipe_at("smoke", resize=(40, 44), retinex=False).network(3)
    image = pixels(1)
    parts, colours, greys = [[], [], []], hsv_codes(image).numpy()[0, 0], grey(image).numpy()[0, 0]
    for scale in range(3):
        if scale:
            height, width = (side // 2 for side in colours.shape)
            halves = (values[: 2 * height, : 2 * width].reshape(height, 2, width, 2) for values in (colours, greys))
            colours, greys = (part.astype(float).mean(axis=(1, 3)) for part in halves)
            colours = np.floor(colours)
        codes = [colours, *(siltp(torch.from_numpy(greys)[None, None].float(), radius)[0, 0] for radius in (3, 5))]
        for part, code, bins in zip(parts, codes, (512, 81, 81), strict=True):
            part.append(maximal_occurrence(torch.as_tensor(code).long()[None, None], bins)[0].double().numpy())
    expected = [np.log(1 + np.concatenate(part)) for part in parts]
    expected = np.concatenate([part / np.linalg.norm(part) for part in expected])
    np.testing.assert_allclose(network.describe(image)[0], expected, atol=1e-6)
    assert network.describe(image).norm() == pytest.approx(3**0.5, rel=1e-5)


def test_retinex_is_for_the_colours_and_texture_is_that_of_the_image_itself():
    with_it, without = (recipe_at("smoke", resize=(40, 44), retinex=on).network(3) for on in (True, False))
    image, colours = pixels(1), with_it.length * 512 // (512 + 2 * 81)
    found = with_it.describe(image)
    assert torch.equal(found[:, colours:], without.describe(image)[:, colours:])
    assert torch.equal(found[:, :colours], without.describe(retinex(image))[:, :colours])


def test_retinex_compares_each_pixel_with_its_blurred_surroundings():
    image = pixels(1, (20, 16))
    light, y, x = image[0].double().numpy() + 1, np.arange(20), np.arange(16)
    compared = np.zeros_like(light)
    for sigma in (5, 20):
        for row in y:
            for column in x:
                weights = np.exp(-((y[:, None] - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
                around = (light * weights).sum(axis=(1, 2)) / weights.sum()
                compared[:, row, column] += np.log(light[:, row, column] / around) / 2
    restored = compared * np.log(125 * light / light.sum(axis=0))
    share = (restored - restored.mean()) / (5 * restored.std()) + 0.5
    found = retinex(image)[0].numpy()
    assert np.array_equal(found, found.round()) and found.min() == 0 and found.max() == 255
    assert abs(found - 255 * share.clip(0, 1)).max() < 0.51


def test_retinex_takes_out_much_of_the_light():
    """A ramp of light from left to right, on the colours of a drawn scene."""
    scene = 20 + 0.4 * torch.nn.functional.interpolate(pixels(1, (8, 8)), size=(64, 48), mode="nearest")
    lit = (scene * torch.linspace(0.5, 2, 48)).round().clamp(0, 255)
    before, after = ((a - b).abs().mean() for a, b in ((scene, lit), (retinex(scene), retinex(lit))))
    assert after < 0.6 * before
    assert (retinex(torch.full((1, 3, 16, 16), 90.0)) - 127.5).abs().max() < 1  # nothing to see, and no division by 0


def test_the_weights_of_a_blur_sum_to_1():
    torch.testing.assert_close(blur(30, 5.0, torch.zeros(1)).sum(dim=1), torch.ones(30))


@pytest.mark.parametrize("basis", ["eigen", "svd"])
def test_a_metric_is_solved_for_with_as_many_dimensions_as_asked(few, basis):
    network, told = solving.solve(methods.lomo("smoke", basis=basis), few)
    assert 5 < told["dimensions"] == len(network.projection) < 20  # of ten people
    assert told["similar_pairs"] < told["different_pairs"]
    assert len(solved(few, basis=basis, dims=4).projection) <= 4
    assert network.metric == "euclidean"


@pytest.mark.parametrize(
    "fields",
    [dict(retinex=False), dict(basis="svd"), dict(pairs="all"), dict(ridge=0.1), dict(metric="none"), dict(dims=3)],
    ids=lambda fields: next(iter(fields)),
)
def test_every_field_changes_what_is_compared(few, fields):
    one, other = (retrieval.extract(solved(few, **changed), few.query[:5]) for changed in ({}, fields))
    assert one.shape != other.shape or not torch.allclose(torch.pdist(one), torch.pdist(other), rtol=1e-3)


def test_features_that_are_kept_are_not_those_of_another_formula(few):
    one, other = (solved(few, metric="none", retinex=on) for on in (True, False))
    assert _digest(one, few.query, False, False, {}) != _digest(other, few.query, False, False, {})


def test_the_metric_finds_more_than_the_formula_alone(smoke):
    alone, learned = (retrieval.evaluate(solved(smoke, metric=m), smoke, check=False).mAP for m in ("none", "xqda"))
    assert learned > alone + 0.02


def test_bfloat16_is_never_used(few):
    network, images = solved(few), data.normalize(data.image_store(few.query[:5], (64, 48)).batch(range(5)))
    with torch.autocast("cpu", torch.bfloat16):
        found = network.embed(images)
    assert torch.equal(found, network.embed(images))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (dict(resize=(128, 39)), "resize"),
        (dict(dims=0), "dims"),
        (dict(ridge=-1), "ridge"),
        (dict(basis="qr"), "basis"),
        (dict(pairs="halves"), "pairs"),
        (dict(lr=0.1), "lr"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(fields, named):
    with pytest.raises(RecipeError, match=rf"\b{named}\b"):
        methods.lomo("smoke", **fields)
