"""Solutions of the exercises of 09_grad_cam.ipynb, and what checks them."""


def position_by_position(activations, gradients):
    """A heat map (h, w) of one image from a layer's activations and a score's gradients, both (channels, h, w).

    Every activation is weighted by its own gradient, the channels are added, and what lies below 0 in the sum is cut
    off. No stretching, no resizing.
    """
    # solution
    return (activations * gradients).sum(dim=0).clamp(min=0)
    # end


def check_position_by_position(answer):
    import torch

    activations = torch.tensor([[[1.0, 2.0], [0.0, 4.0]], [[3.0, 0.0], [1.0, 1.0]]])
    gradients = torch.stack([torch.full((2, 2), 0.5), torch.tensor([[-2.0, 0.0], [0.0, -1.0]])])
    expected = torch.tensor([[0.0, 1.0], [0.0, 1.0]])  # at the last position 0.5 x 4 - 1 x 1
    averaged = torch.tensor([[0.0, 1.0], [0.0, 1.25]])  # Grad-CAM: weights 0.5 and -0.75
    found = answer(activations, gradients)
    if tuple(found.shape) != (2, 2):
        yield f"two channels of 2 x 2 positions should give one map of 2 x 2, not {tuple(found.shape)}."
    elif (found < 0).any():
        yield "positions that lower the score must be 0: cut off what is negative."
    elif torch.allclose(found, averaged):
        yield "this is Grad-CAM itself: weight each position by its own gradient, not by the channel's mean."
    elif not torch.allclose(found, expected):
        yield (
            f"activations {activations.tolist()} with gradients {gradients.tolist()} should give "
            f"{expected.tolist()}, not {found.tolist()}: add the channels first, then cut off."
        )


def wrong_position_by_position_without_relu(activations, gradients):
    return (gradients * activations).sum(dim=0)


def wrong_position_by_position_mean(activations, gradients):
    return (gradients.mean(dim=(1, 2))[:, None, None] * activations).sum(dim=0).clamp(min=0)


def wrong_position_by_position_keeps_channels(activations, gradients):
    return (gradients * activations).clamp(min=0)


def wrong_position_by_position_cuts_first(activations, gradients):
    return (gradients * activations).clamp(min=0).sum(dim=0)


def heat_on_person(heat, mask):
    """The share of a heat map that lies where the mask is true, a float; nan if there is no heat.

    heat  (H, W) numpy array, 0 or more
    mask  (H, W) numpy array of bool
    """
    # solution
    total = heat.sum()
    return float(heat[mask].sum() / total) if total > 0 else float("nan")
    # end


def check_heat_on_person(answer):
    import math

    import numpy as np

    heat, mask = np.array([[1.0, 3.0], [0.0, 4.0]]), np.array([[False, True], [False, False]])
    found = answer(heat, mask)
    if abs(found - 3 / 8) > 1e-6:
        yield f"3 of a total heat of 8 lie on the person, so the share is 0.375, not {found:g}."
    if not math.isnan(answer(np.zeros((2, 2)), mask)):
        yield "where there is no heat at all there is no share: nan, not a number that would spoil the mean."


def wrong_heat_on_person_mean(heat, mask):
    return float(heat[mask].mean())


def wrong_heat_on_person_counts(heat, mask):
    return float((heat[mask] > 0).sum() / max(1, (heat > 0).sum()))
