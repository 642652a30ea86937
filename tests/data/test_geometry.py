"""Points move with the pixels: what is drawn into an image is found where the geometry says."""

import pytest
import torch

from reid_lab.data import Augment, Part, RandomErasing
from reid_lab.data.augment import IMAGENET_MEAN, IMAGENET_STD

SIZE, BATCH = (40, 24), 12


def drawn(points):
    """Black images of 44 x 30 with one white pixel at each image's point."""
    images = torch.zeros(len(points), 3, 44, 30, dtype=torch.uint8)
    for image, (x, y) in zip(images, points.tolist(), strict=True):
        image[:, int(y), int(x)] = 255
    return images


def some_points():
    """The middle of a pixel of each image."""
    random = torch.Generator().manual_seed(0)
    x, y = (torch.randint(high, (BATCH,), generator=random) for high in (30, 44))
    return torch.stack([x, y], dim=1) + 0.5


def bright(images):
    """x and y of the middle of each image's white pixel; None where it was cropped away."""
    unit = images * torch.tensor(IMAGENET_STD).view(3, 1, 1) + torch.tensor(IMAGENET_MEAN).view(3, 1, 1)
    found = [(image.mean(0) > 0.9).nonzero().tolist() for image in unit]
    return [(places[0][1] + 0.5, places[0][0] + 0.5) if places else None for places in found]


def inside(point):
    return 0 <= point[0] < SIZE[1] and 0 <= point[1] < SIZE[0]


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pad", [0, 6])
def test_a_point_is_where_its_pixel_is(flip, pad):
    augment, points, seen = Augment(SIZE, pad=pad, flip=flip), some_points(), 0
    images = drawn(points)
    for seed in range(8):
        moved = augment.geometry(images, seed).move(points).tolist()
        for found, point in zip(bright(augment(images, seed)), moved, strict=True):
            assert (found is not None) == inside(point)
            seen += found is not None and found == tuple(point)
            assert found is None or found == tuple(point)
    assert seen > 40


def test_erasing_and_shrinking_come_after_the_crop():
    points = some_points()
    images = drawn(points)
    plain = Augment(SIZE, pad=6).geometry(images, 3).move(points)
    erased = Augment(SIZE, pad=6, erasing=RandomErasing(1.0)).geometry(images, 3).move(points)
    halved = Augment(SIZE, pad=6, shrink=2).geometry(images, 3).move(points)
    assert torch.equal(plain, erased) and torch.equal(plain / 2, halved)


def test_a_part_of_a_batch_moves_as_it_would_within_the_whole():
    points, augment = some_points(), Augment(SIZE, pad=6)
    images, indices = drawn(points), torch.tensor([1, 4, 5, 11])
    whole = augment.geometry(images, 7).move(points)
    part = augment.geometry(images[indices], 7, Part(indices, BATCH)).move(points[indices])
    assert torch.equal(part, whole[indices])


def test_several_points_of_an_image_move_together_and_missing_ones_stay_missing():
    geometry = Augment(SIZE, pad=6).geometry(torch.zeros(3, 3, 44, 30, dtype=torch.uint8), 1)
    points = torch.rand(3, 2, 4, 2) * 20
    points[1, 0, 2] = torch.nan
    moved = geometry.move(points)
    assert moved.shape == points.shape and moved[1, 0, 2].isnan().all() and moved.isnan().sum() == 2
    for i in range(2):
        for j in range(4):
            assert torch.equal(moved[:, i, j].nan_to_num(), geometry.move(points[:, i, j]).nan_to_num())
