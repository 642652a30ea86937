"""How much of a heat map, and of an image, is the person."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reid_lab.runtime.errors import DataError


def heat_share(heats: np.ndarray, masks: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The share of each map's heat that lies on the person, (N,); NaN where there is no heat or no person.

    Args:
        heats: (N, H, W), 0 or more.
        masks: N masks (h, w), bool; of another size they are resized by nearest neighbor.

    Raises:
        DataError: shapes or numbers do not match, or heat is below 0 or NaN.
    """
    heats = np.asarray(heats, dtype=np.float64)
    if heats.ndim != 3 or len(heats) != len(masks):
        raise DataError(
            f"There are heat maps of shape {heats.shape} and {len(masks)} masks: pass (N, H, W) and one mask for each."
        )
    if not (heats >= 0).all():
        raise DataError("Some heat is below 0 or NaN, of which there are no shares: pass maps as grad_cam gives them.")
    fitted = fit_masks(masks, heats.shape[1:])
    total, on_person = heats.sum(axis=(1, 2)), (heats * fitted).sum(axis=(1, 2))
    known = (total > 0) & fitted.any(axis=(1, 2))
    return np.divide(on_person, total, out=np.full(len(heats), np.nan), where=known)


def area_share(masks: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """The share of each image that is person, (N,): even heat's share on the person; NaN where there is no person."""
    shares = np.array([np.asarray(mask, dtype=bool).mean() for mask in masks])
    return np.where(shares > 0, shares, np.nan)


def fit_masks(masks: Sequence[np.ndarray] | np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Masks (h, w), bool, resized to ``size`` = (height, width) by nearest neighbor: (N, height, width).

    Raises DataError for a mask that is no (h, w).
    """
    fitted = np.empty((len(masks), *size), dtype=bool)
    for i, mask in enumerate(masks):
        mask = np.asarray(mask, dtype=bool)
        if mask.ndim != 2 or 0 in mask.shape:
            raise DataError(f"Mask {i} has shape {mask.shape}, but (height, width) is needed: pass one mask per image.")
        rows, columns = (_nearest(count, wanted) for count, wanted in zip(mask.shape, size, strict=True))
        fitted[i] = mask[rows[:, None], columns]
    return fitted


def _nearest(count: int, wanted: int) -> np.ndarray:
    """Which of ``count`` pixels lies under the middle of each of ``wanted``."""
    return ((2 * np.arange(wanted) + 1) * count) // (2 * wanted)
