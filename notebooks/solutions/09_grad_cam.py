"""Solutions of the exercises of 09_grad_cam.ipynb, and what checks them."""

import numpy as np


def grad_cam(activations, gradients):
    """Grad-CAM's maps of n images, stretched so that each goes from 0 to 1: (n, h, w).

    activations  (n, channels, h, w) torch tensor, the layer's maps of each image
    gradients    the same shape, the gradient of each image's score

    A map that is the same everywhere, in particular one without any heat, becomes 0 everywhere.
    """
    # solution
    weights = gradients.mean(dim=(2, 3), keepdim=True)  # one for each channel
    heat = (weights * activations).sum(dim=1).clamp(min=0)
    coolest = heat.amin(dim=(1, 2), keepdim=True)
    hottest = heat.amax(dim=(1, 2), keepdim=True)
    spread = hottest - coolest
    spread[spread == 0] = 1
    return (heat - coolest) / spread
    # end


def check_grad_cam(answer):
    import torch

    activations = torch.tensor([[[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 1.0]]]])
    gradients = torch.stack([torch.full((2, 2), 0.5), torch.tensor([[-2.0, 0.0], [0.0, -1.0]])])[None]
    expected = torch.tensor([[[0.0, 0.8], [0.0, 1.0]]])  # weights 0.5 and -0.75; heat 0, 1, 0, 1.25
    found = answer(activations.clone(), gradients.clone())
    if tuple(found.shape) != (1, 2, 2):
        yield f"one image with two channels of 2 x 2 positions gives maps of shape (1, 2, 2), not {tuple(found.shape)}."
        return
    if not torch.allclose(found, expected, atol=1e-6):
        yield _what_is_wrong(found, activations, gradients, expected)
        return
    both = answer(torch.cat([activations, 10 * activations]), torch.cat([gradients, gradients]))
    if not torch.allclose(both, expected.expand(2, 2, 2), atol=1e-6):
        yield "each map is stretched by itself: an image with ten times the heat must not cool the other image."
    cold = answer(activations.clone(), -gradients.abs())
    if not torch.equal(cold, torch.zeros(1, 2, 2)):
        yield f"where nothing raises the score the map is 0 everywhere, not {cold.flatten().tolist()}."
    even = answer(torch.ones(1, 2, 2, 2), torch.ones(1, 2, 2, 2))
    if not torch.equal(even, torch.zeros(1, 2, 2)):
        yield f"a map that is the same everywhere becomes 0 everywhere, not {even.flatten().tolist()}."


def _what_is_wrong(found, activations, gradients, expected):
    import torch

    own = (activations * gradients).sum(dim=1).clamp(min=0)
    if (found < 0).any():
        return "positions that lower the score must have no heat: cut off what is below 0."
    if torch.allclose(found, own / own.max(), atol=1e-6):
        return "each position was weighted by its own gradient: Grad-CAM weights a channel by the mean over positions."
    if torch.allclose(found, torch.tensor([[[0.0, 1.0], [0.0, 1.25]]]), atol=1e-6):
        return "the heat is right, but not stretched: the hottest position of each map must be 1."
    return (
        f"activations {activations.tolist()} with gradients {gradients.tolist()} give {expected.tolist()}, "
        f"not {found.tolist()}: add the weighted channels first, then cut off what is below 0, then stretch."
    )


def wrong_grad_cam_position_by_position(activations, gradients):
    heat = (gradients * activations).sum(dim=1).clamp(min=0)
    return heat / heat.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def wrong_grad_cam_without_relu(activations, gradients):
    return (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1)


def wrong_grad_cam_not_stretched(activations, gradients):
    return (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1).clamp(min=0)


def wrong_grad_cam_keeps_channels(activations, gradients):
    return (gradients.mean(dim=(2, 3), keepdim=True) * activations).clamp(min=0)


def wrong_grad_cam_stretched_together(activations, gradients):
    heat = (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1).clamp(min=0)
    return (heat - heat.min()) / (heat.max() - heat.min()).clamp(min=1e-12)


def wrong_grad_cam_nan(activations, gradients):
    heat = (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1).clamp(min=0)
    heat = heat - heat.amin(dim=(1, 2), keepdim=True)
    return heat / heat.amax(dim=(1, 2), keepdim=True)  # 0 / 0 without heat


def heat_ratio(heats, masks):
    """How many times as much heat lies on the person as even heat would put there: (n,).

    heats  (n, H, W) numpy array, 0 or more
    masks  (n, H, W) numpy array of bool, True on the person

    2.0: the person has twice the share of the heat that it has of the area. NaN where an image has
    no heat or no person.
    """
    # solution
    total = heats.sum(axis=(1, 2))
    on_person = (heats * masks).sum(axis=(1, 2))
    area = masks.mean(axis=(1, 2))
    ratios = np.full(len(heats), np.nan)
    known = (total > 0) & (area > 0)
    ratios[known] = on_person[known] / total[known] / area[known]
    return ratios
    # end


def check_heat_ratio(answer):
    import warnings

    heats = np.array([[[1.0, 3.0], [0.0, 4.0]], [[2.0, 2.0], [2.0, 2.0]], [[1.0, 1.0], [0.0, 0.0]]])
    masks = np.array([[[0, 1], [0, 0]], [[1, 1], [0, 1]], [[0, 0], [1, 1]]], dtype=bool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = np.asarray(answer(heats.copy(), masks.copy()), float)
        empty = np.asarray(answer(heats * 0, masks.copy()), float)
        nobody = np.asarray(answer(heats.copy(), masks & False), float)
    if found.shape != (3,):
        yield f"three images have three ratios, but yours have the shape {found.shape}."
        return
    if abs(found[0] - 1.5) > 1e-6:
        yield (
            f"in the first image 3 of a total heat of 8 lie on the person, who fills 1 of 4 pixels: "
            f"(3 / 8) / (1 / 4) is 1.5, not {found[0]:g}."
        )
    if abs(found[1] - 1) > 1e-6:
        yield f"heat that is even has the ratio 1 whatever the area of the person, not {found[1]:g}."
    if abs(found[2]) > 1e-6:
        yield f"an image whose heat lies beside the person has the ratio 0, not {found[2]:g}."
    if not np.isnan(empty).all():
        yield "where there is no heat at all there is no ratio: NaN, not a number that would spoil the mean."
    if not np.isnan(nobody).all():
        yield "where there is no person there is no ratio: NaN, not a number that would spoil the mean."


def wrong_heat_ratio_share_only(heats, masks):
    return (heats * masks).sum(axis=(1, 2)) / np.maximum(heats.sum(axis=(1, 2)), 1e-12)


def wrong_heat_ratio_hot_pixels(heats, masks):
    return ((heats > 0) & masks).sum(axis=(1, 2)) / np.maximum((heats > 0).sum(axis=(1, 2)), 1)


def wrong_heat_ratio_zero_without_heat(heats, masks):
    share = (heats * masks).sum(axis=(1, 2)) / np.maximum(heats.sum(axis=(1, 2)), 1e-12)
    return share / np.maximum(masks.mean(axis=(1, 2)), 1e-12)


def wrong_heat_ratio_beside(heats, masks):
    return heat_ratio(heats, ~masks)


def pointing(heats, masks, tolerance):
    """The pointing game: the share (0..1) of images whose hottest pixel lies on the person.

    heats      (n, H, W) numpy array, 0 or more
    masks      (n, H, W) numpy array of bool, True on the person
    tolerance  a pixel counts, too, if it is at most so many pixels away from a pixel of the person,
               both sideways and up or down; 0: on the person only

    Images without heat are left out; of several hottest pixels the first one counts, row by row. NaN
    if all are left out.
    """
    # solution
    hits = []
    for heat, mask in zip(heats, masks, strict=True):
        if heat.max() == 0:
            continue
        row, column = np.unravel_index(heat.argmax(), heat.shape)
        top, left = max(row - tolerance, 0), max(column - tolerance, 0)
        around = mask[top : row + tolerance + 1, left : column + tolerance + 1]
        hits.append(around.any())
    return float(np.mean(hits)) if hits else float("nan")
    # end


def check_pointing(answer):
    heats, masks = np.zeros((4, 4, 3)), np.zeros((4, 4, 3), bool)
    masks[:, 1:3, 1] = True
    heats[0, 1, 1] = 5  # on the person
    heats[1, 0, 0] = 2  # one pixel away, at the corner
    heats[1, 2, 1] = 1
    heats[2, 3, 2] = heats[2, 1, 1] = 3  # two hottest pixels; the first is on the person
    cases = (
        ([0], 0, 1.0, "the hottest pixel lies on the person"),
        ([1], 0, 0.0, "the hottest pixel lies at the corner of the image, beside the person"),
        ([1], 1, 1.0, "the hottest pixel is one pixel away from the person, sideways and upwards"),
        ([2], 0, 1.0, "of two hottest pixels the first, row by row, lies on the person"),
        ([0, 1, 2], 0, 2 / 3, "two of three hottest pixels lie on the person"),
        ([0, 1, 3], 0, 1 / 2, "the third image has no heat and is left out, so one of two"),
    )
    for which, tolerance, expected, why in cases:
        given = answer(heats[which].copy(), masks[which].copy(), tolerance)
        if not isinstance(given, float | np.floating | int) or not abs(float(given) - expected) < 1e-9:
            yield f"with a tolerance of {tolerance}, {why}: {expected:.3g}, but you return {given}."
    wide, person = np.zeros((1, 9, 9)), np.zeros((1, 9, 9), bool)
    wide[0, 0, 8], person[0, 3, 5] = 1, True
    for tolerance, expected in ((2, 0.0), (3, 1.0)):
        given = answer(wide.copy(), person.copy(), tolerance)
        if abs(float(given) - expected) > 1e-9:
            yield f"three pixels away in both directions, a tolerance of {tolerance} gives {expected:g}, not {given:g}."
    if not np.isnan(answer(heats[[3]], masks[[3]], 0)):
        yield "if no image has any heat there is no share: NaN."


def wrong_pointing_by_value(heats, masks, tolerance):
    return float(np.mean([(heat[mask] > 0).any() for heat, mask in zip(heats, masks, strict=True)]))


def wrong_pointing_counts_no_heat(heats, masks, tolerance):
    hits = [mask.ravel()[heat.argmax()] for heat, mask in zip(heats, masks, strict=True)]
    return float(np.mean(hits))


def wrong_pointing_wraps_around(heats, masks, tolerance):
    hits = []
    for heat, mask in zip(heats, masks, strict=True):
        if heat.max() > 0:
            row, column = np.unravel_index(heat.argmax(), heat.shape)
            around = mask[row - tolerance : row + tolerance + 1, column - tolerance : column + tolerance + 1]
            hits.append(around.any())  # row - tolerance below 0 counts from the other end
    return float(np.mean(hits)) if hits else float("nan")


def wrong_pointing_one_pixel_at_most(heats, masks, tolerance):
    """Every tolerance above 0 counts as one pixel."""
    return pointing(heats, masks, min(tolerance, 1))
