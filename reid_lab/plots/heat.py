"""Heat maps on images: where networks look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from reid_lab.analysis import gradcam
from reid_lab.data import Record
from reid_lab.data.decoding import decode
from reid_lab.plots import sheets
from reid_lab.plots.style import INK
from reid_lab.runtime.errors import DataError


def heat_maps(
    records: Sequence[Record],
    heats: Mapping[str, np.ndarray],
    masks: Sequence[np.ndarray] | None = None,
) -> Figure:
    """Images and, beside each, where several networks look (paper B, Fig. 6).

    Each map goes from 0 to 1 by itself, so that heat can be compared within a picture, not between pictures.

    Args:
        records: the images, one row each.
        heats: by the network's name, maps (N, H, W) in [0, 1] from ``gradcam.grad_cam``.
        masks: of each image, (h, w) bool, from ``passersby.mask``: the person is outlined, and below each map stands
            the share of the heat that lies on it, below the image the share of even heat.

    Raises:
        DataError: no images, more than a figure can hold, or another number of maps or masks.
    """
    _must_match(len(records), heats, masks)
    figure = Figure(figsize=(max(7, 1.15 * (1 + len(heats)) + 0.7), 2.25 * len(records)), layout="constrained")
    grid = figure.subplots(len(records), 1 + len(heats), squeeze=False)
    shares = {} if masks is None else {name: gradcam.heat_share(maps, masks) for name, maps in heats.items()}
    for i, (row, record) in enumerate(zip(grid, records, strict=True)):
        outline = None if masks is None else masks[i]
        _overlay(row[0], record, None, outline)
        if masks is not None:
            row[0].set_xlabel(_share(gradcam.area_share(masks[i : i + 1])[0], "area", "nobody"), fontsize=10, color=INK)
        for axes, (name, maps) in zip(row[1:], heats.items(), strict=True):
            drawn = _overlay(axes, record, maps[i], outline)
            if masks is not None:
                axes.set_xlabel(
                    _share(shares[name][i], "heat", "nobody" if maps[i].any() else "no heat"), fontsize=10, color=INK
                )
    for axes, title in zip(grid[0], ("image", *heats), strict=True):
        axes.set_title(title, fontsize=11, color=INK)
    bar = figure.colorbar(drawn, ax=grid, shrink=min(1, 1.6 / len(records)), aspect=25, ticks=[0, 1])
    bar.ax.set_yticklabels(["least", "most\nheat"], fontsize=10)
    return figure


def _must_match(count: int, heats: Mapping[str, np.ndarray], masks: Sequence[np.ndarray] | None) -> None:
    if not count or not heats:
        raise DataError("There are no images or no heat maps to show: pass records and maps of at least one network.")
    if count > sheets.ROWS or count * (1 + len(heats)) > sheets.CELLS // 2:
        raise DataError(
            f"There are {count} images and maps of {len(heats)} networks: a figure can hold {sheets.ROWS} images, and "
            f"{sheets.CELLS // 2} pictures in all, so pass fewer at a time."
        )
    numbers = {name: len(maps) for name, maps in heats.items()} | ({} if masks is None else {"masks": len(masks)})
    wrong = [f"{number} of {name!r}" for name, number in numbers.items() if number != count]
    if wrong:
        raise DataError(f"There are {count} images but {', '.join(wrong)}: pass one map or mask for each image.")


def _overlay(axes: Axes, record: Record, heat: np.ndarray | None, outline: np.ndarray | None) -> AxesImage:
    """The image or, where there is heat, its grey shades below the heat's colors."""
    pixels = decode(record.path, (128, 64))
    extent = (0, 1, 0, 2)  # image, heat and mask may have different sizes
    below = pixels if heat is None else pixels.mean(axis=2)
    shown = axes.imshow(below, cmap="gray", extent=extent)
    if heat is not None:
        shown = axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.6, interpolation="bilinear", extent=extent)
    if outline is not None and outline.any() and not outline.all():
        axes.contour(outline, levels=[0.5], colors="white", linewidths=1, extent=extent, origin="upper")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return shown


def _share(share: float, what: str, otherwise: str) -> str:
    return otherwise if np.isnan(share) else f"{100 * share:.0f} % of {what}"
