"""Augmentation against plain code that treats one image at a time."""

import random

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp
from torchvision.transforms.v2 import functional as tv

from reid_lab.data import Augment, RandomErasing, normalize
from reid_lab.data.augment import generator, to_unit
from reid_lab.runtime.errors import DataError, RecipeError

SIZE = (128, 64)


def noise(batch=16, size=SIZE, seed=0):
    return torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8, generator=generator(seed))


def plain_box(rng, size=SIZE, low=0.02, high=0.4, narrow=0.3, wide=3.33, attempts=100):
    """Algorithm 1 of the random erasing paper for one image, as its authors wrote it."""
    for _ in range(attempts):
        area = rng.uniform(low, high) * size[0] * size[1]
        aspect = rng.uniform(narrow, wide)
        height, width = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if width < size[1] and height < size[0]:
            return rng.randint(0, size[0] - height), rng.randint(0, size[1] - width), height, width
    return 0, 0, 0, 0


# Random erasing


@pytest.mark.parametrize("size", [SIZE, (40, 100), (256, 128)])
def test_erased_boxes_are_distributed_as_in_the_authors_code(size):
    count, rng = 6000, random.Random(1)
    ours = RandomErasing(1.0).boxes(count, size, generator(1)).double().numpy()
    plain = np.array([plain_box(rng, size) for _ in range(count)], float)
    for quantity in (
        lambda box: box[:, 2] * box[:, 3],  # area
        lambda box: box[:, 2] / box[:, 3],  # aspect
        lambda box: box[:, 0] / (size[0] - box[:, 2]),  # place
        lambda box: box[:, 1] / (size[1] - box[:, 3]),
    ):
        assert ks_2samp(quantity(ours), quantity(plain)).pvalue > 1e-3


def test_boxes_lie_strictly_inside_and_reach_every_border():
    boxes = RandomErasing(1.0).boxes(20_000, SIZE, generator(0))
    top, left, height, width = boxes.unbind(1)
    assert (height < SIZE[0]).all() and (width < SIZE[1]).all() and (height > 0).all() and (width > 0).all()
    assert top.min() == left.min() == 0
    assert (top + height).max() == SIZE[0] and (left + width).max() == SIZE[1]
    area = (height * width) / (SIZE[0] * SIZE[1])
    assert 0.018 < area.min() < 0.03 and 0.38 < area.max() < 0.41


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_the_probability_is_the_share_of_images_erased(probability):
    boxes = RandomErasing(probability).boxes(20_000, SIZE, generator(2))
    share = (boxes[:, 2] > 0).double().mean().item()
    assert share == probability if probability in (0, 1) else abs(share - probability) < 0.015


def test_where_no_attempt_fits_the_image_stays_whole():
    tall = RandomErasing(1.0, area=(0.4, 0.4), aspect=(3.3, 3.3))
    assert not tall.boxes(50, (20, 200), generator(0)).any()
    images = torch.rand(5, 3, 20, 200)
    assert torch.equal(tall(images.clone(), generator(0)), images)


def test_only_the_box_changes_and_each_of_its_pixels_is_drawn_anew():
    images = torch.full((32, 3, *SIZE), 2.0)
    boxes = RandomErasing(0.7).boxes(32, SIZE, generator(5))
    erased = RandomErasing(0.7)(images.clone(), generator(5))
    for image, (top, left, height, width) in zip(erased, boxes.tolist(), strict=True):
        box = image[:, top : top + height, left : left + width]
        assert (image == 2).sum() == image.numel() - box.numel()
        assert ((box >= 0) & (box < 1)).all() and len(box.unique()) >= 0.99 * box.numel()
    fill = erased[erased < 1]
    assert abs(fill.mean() - 0.5) < 0.005 and abs(fill.std() - 12**-0.5) < 0.005


def test_the_mean_fill_is_zero_after_normalization():
    out = Augment(SIZE, flip=0, erasing=RandomErasing(1.0, fill="mean"))(noise(), seed=3)
    boxes = RandomErasing(1.0).boxes  # the same generator has made the crop and flip decisions before
    random_state = generator(3)
    Augment(SIZE, flip=0).crop_and_flip(noise(), random_state)
    for image, (top, left, height, width) in zip(out, boxes(16, SIZE, random_state).tolist(), strict=True):
        assert image[:, top : top + height, left : left + width].abs().max() < 1e-6


@pytest.mark.parametrize(
    "wrong",
    [
        {"probability": 1.5}, {"probability": float("nan")}, {"area": (0.5, 0.2)}, {"area": (0.1, 2)},
        {"aspect": (0, 1)}, {"aspect": (3, 1)}, {"attempts": 0}, {"fill": "black"},
        {"attempts": 1.5}, {"aspect": (0.3, float("inf"))}, {"area": (1, 1)}, {"area": (0, 0)},
    ],
)  # fmt: skip
def test_impossible_erasing_is_refused(wrong):
    with pytest.raises(RecipeError):
        RandomErasing(**wrong)


# Crop, flip, normalize


def test_normalize_is_torchvisions():
    images = noise()
    expected = tv.normalize(images.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    assert torch.allclose(normalize(images), expected, atol=1e-6)
    unit = to_unit(images)
    assert torch.allclose(normalize(unit), expected, atol=1e-6)
    assert torch.equal(unit, to_unit(images))  # the caller's floats are left alone


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.bool])
def test_images_of_another_type_are_refused(dtype):
    with pytest.raises(DataError, match=str(dtype)):
        normalize(noise().to(dtype))


def test_nothing_asked_for_is_normalization_alone():
    assert torch.equal(Augment(SIZE, flip=0)(noise(), seed=1), normalize(noise()))
    assert torch.equal(Augment(SIZE, flip=1)(noise(), seed=1), normalize(noise().flip(3)))


@pytest.mark.parametrize(("source", "pad"), [((12, 7), 0), ((10, 6), 2), ((10, 6), 0), ((12, 9), 3)])
def test_each_image_is_some_padded_crop_flipped_or_not(source, pad):
    size, images = (10, 6), noise(300, source)
    out = Augment(size, pad=pad).crop_and_flip(images, generator(0))
    padded = torch.nn.functional.pad(images, (pad,) * 4)
    windows = padded.unfold(2, size[0], 1).unfold(3, size[1], 1)  # (B, 3, tops, lefts, h, w)
    seen = set()
    for i, image in enumerate(out):
        for flipped, candidate in ((0, image), (1, image.flip(2))):
            same = (windows[i] == candidate[:, None, None]).flatten(3).all(3).all(0)
            seen |= {(flipped, *place) for place in same.nonzero().tolist()}
            if same.any():
                break
        else:
            pytest.fail(f"image {i} is no crop of its source")
    assert len(seen) == 2 * windows.shape[2] * windows.shape[3] or len(seen) > 100  # every place occurs


def test_half_of_the_images_are_flipped():
    images = noise(2000, (4, 4))
    flipped = (Augment((4, 4)).crop_and_flip(images, generator(0)) != images).flatten(1).any(1)
    assert 0.46 < flipped.double().mean() < 0.54


def test_the_seed_alone_decides_and_large_seeds_differ():
    augment = Augment(SIZE, pad=10, erasing=RandomErasing())
    images = noise()
    state = torch.get_rng_state()
    assert torch.equal(augment(images, seed=7), augment(images, seed=7))
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's chance is touched
    outputs = [augment(images, seed=seed) for seed in (7, 8, 7 + 2**32, 7 + 2**80)]
    assert all(not torch.equal(a, b) for i, a in enumerate(outputs) for b in outputs[:i])


def test_the_images_given_are_left_alone():
    images = noise()
    kept = images.clone()
    Augment(SIZE, flip=0, erasing=RandomErasing(1.0))(images, seed=0)
    assert torch.equal(images, kept)


def test_a_crop_larger_than_the_image_and_impossible_values_are_refused():
    with pytest.raises(RecipeError, match=r"100 x 50 .*\b2\b.*128 x 64"):
        Augment(SIZE, pad=2)(noise(2, (100, 50)), seed=0)
    for wrong in ({"pad": -1}, {"pad": 1.5}, {"flip": 2}, {"size": (0, 0)}, {"size": (64.0, 32)}, {"size": 64}):
        with pytest.raises(RecipeError):
            Augment(**{"size": SIZE} | wrong)


def test_an_empty_batch_stays_empty():
    augment = Augment(SIZE, pad=4, erasing=RandomErasing(1.0))
    assert augment(noise(0), seed=0).shape == (0, 3, *SIZE)


@pytest.mark.usefixtures("a_gpu")
def test_a_gpu_crops_flips_and_erases_where_the_cpu_does():
    augment = Augment(SIZE, pad=10, erasing=RandomErasing(fill="mean"))
    assert torch.allclose(augment(noise().cuda(), seed=1).cpu(), augment(noise(), seed=1), atol=1e-5)
    augment = Augment(SIZE, pad=10, erasing=RandomErasing())
    assert torch.equal(augment(noise().cuda(), seed=1), augment(noise().cuda(), seed=1))


def test_shrinking_takes_the_mean_of_each_square_at_the_very_end():
    images, erase = noise(8, (12, 8)), RandomErasing(1.0)
    whole = Augment((12, 8), pad=1, erasing=erase)(images, seed=5)
    half = Augment((12, 8), pad=1, erasing=erase, shrink=2)(images, seed=5)
    assert half.shape == (8, 3, 6, 4)
    assert torch.allclose(half[3, 1, 2, 3], whole[3, 1, 4:6, 6:8].mean())
    assert torch.allclose(half, whole.unflatten(2, (6, 2)).unflatten(4, (4, 2)).mean((3, 5)), atol=1e-6)
    with pytest.raises(RecipeError):
        Augment((12, 8), shrink=0)
