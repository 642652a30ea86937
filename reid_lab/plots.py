"""One function per picture, each returning a matplotlib ``Figure``: show it in a notebook, or ``savefig`` it.

Matches and misses differ by color, line style and sign at once (paper A draws green and red frames, Figs. 5 and 6;
paper B solid and dashed ones, Fig. 4), so that nobody depends on color.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

import reid_lab
from reid_lab import data
from reid_lab.analysis import gradcam
from reid_lab.data import UNKNOWN_CAMERA, Benchmark, Record
from reid_lab.data.augment import generator, to_unit
from reid_lab.data.decoding import decode
from reid_lab.retrieval import Found, Result, Roc
from reid_lab.retrieval.checks import whole_number
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.files import write_whole
from reid_lab.sheets import CELLS, INK, PLACES, ROWS, grid, left_out, most
from reid_lab.training import Run

MATCH, MISS = "#009E73", "#D55E00"  # Okabe and Ito's color-blind safe green and vermilion
NEUTRAL = "#777777"
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def gallery(result: Result, queries: int | Sequence[int] = 5, top: int = 10) -> Figure:
    """Each query and the ``top`` gallery images ranked first (paper A, Figs. 5 and 6; paper B, Fig. 4).

    Above an image stand its rank and, where it is known, its camera; "own cam" is the query's. Of more than a figure
    can hold the first ones are drawn, and the figure says so (see :func:`left_out`).

    Args:
        result: from ``retrieval.evaluate``, which knows the images.
        queries: how many queries, spread evenly from the best to the worst average precision, or which (indices).
        top: how many gallery images.

    Raises:
        DataError: the result knows no images, or not those queries.
        FeatureError: a number of images that is none.
    """
    if result.query is None or result.gallery is None:
        raise DataError("This result knows no images; a gallery needs one from retrieval.evaluate(model, benchmark).")
    top = min(whole_number("top", top, 1), result.matches.indices.shape[1])
    if isinstance(queries, Iterable):
        chosen = list(queries)
    else:
        chosen = _spread(result.ap, most(whole_number("queries", queries, 1), top)[0])
    if not chosen or not set(chosen) <= set(range(len(result.query))):
        raise DataError(f"queries is {queries!r}, but the result's queries are numbered 0 to {len(result.query) - 1}.")
    rows, columns = most(len(chosen), top)
    cells = grid(rows, columns + 1, note=left_out(len(chosen), top, ROWS))
    for axes, query in zip(cells, chosen, strict=False):
        record = result.query[query]
        _picture(axes[0], record, f"query{_camera(record, ', ')}\nAP {100 * result.ap[query]:.0f} %")
        for rank in range(columns):
            index = int(result.matches.indices[query, rank])
            if index < 0:  # fewer valid gallery images than places
                axes[rank + 1].axis("off")
                continue
            correct = bool(result.matches.correct[query, rank])
            image = result.gallery[index]
            own = image.camid == record.camid != UNKNOWN_CAMERA
            _picture(axes[rank + 1], image, f"{rank + 1}{' own cam' if own else _camera(image)}", correct)
    return cells[0, 0].figure


def _camera(record: Record, before: str = " ") -> str:
    return "" if record.camid == UNKNOWN_CAMERA else f"{before}cam {record.camid}"


def found(found: Found, query: Sequence[Record], gallery: Sequence[Record], queries: int = 20) -> Figure:
    """Each query and the gallery images that a search found, nearest first, with their scores and file names.

    All frames are alike, because nobody knows who is right: there is always a first image, also for a person of whom
    the gallery has none. Of more than a figure can hold the first ones are drawn, and the figure says so (see
    :func:`left_out`).

    Args:
        found: from ``retrieval.search``, (q, k).
        query: the q images that were looked for.
        gallery: the images that were searched.
        queries: how many of them are drawn at most, the first ones.
    """
    queries, top = whole_number("queries", queries, 1), found.indices.shape[1]
    count, columns = most(min(queries, len(found.indices)), top)
    note = left_out(len(found.indices), top, queries)
    cells = grid(count, columns + 1, note=f"rank and {found.measure}" + (f"; {note}" if note else ""))
    for axes, record, places, scores in zip(cells, query, found.indices, found.scores, strict=False):
        _picture(axes[0], record, "query")
        _caption(axes[0], record)
        for rank, (cell, place, score) in enumerate(zip(axes[1:], places, scores, strict=False), 1):
            if place < 0:  # there are no more, or an approximate index found no more
                cell.axis("off")
                continue
            _picture(cell, gallery[place], f"{rank}   {score:.2f}")
            _caption(cell, gallery[place])
            for side in cell.spines.values():
                side.set(color=NEUTRAL, linewidth=1.5)
    return cells[0, 0].figure


def cmc(results: Mapping[str, Result], ranks: int = 20) -> Figure:
    """Cumulative matching characteristic of several results (paper A, eq. 7): share of queries matched by rank k."""
    figure, axes = axes_of("rank k", "queries with a match among the first k, %")
    for i, (name, result) in enumerate(results.items()):
        shown = min(ranks, len(result.cmc))
        axes.plot(
            np.arange(1, shown + 1),
            100 * result.cmc[:shown],
            label=f"{name} (mAP {100 * result.mAP:.1f} %)",
            color=COLORS[i % len(COLORS)],
            linestyle=LINES[i % len(LINES)],
            marker="o",
            markersize=4,
        )
    axes.set_ylim(0, 102)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="best")
    return figure


def thresholds(rocs: Mapping[str, Roc | None], false_match_rate: float = 0.01) -> Figure:
    """Above which score is it the same person? Receiver operating characteristics on one figure.

    Args:
        rocs: by name, from ``retrieval.evaluate(..., roc=True).roc``, or from ``retrieval.verification`` (paper A's
            verification head, eq. 4, beside the cosine similarity of the same pairs).
        false_match_rate: share of impostor pairs that may be accepted; the threshold for it is marked and named.

    Raises:
        DataError: a result has no ROC.
        FeatureError: the rate does not lie in 0..1.
    """
    figure, axes = axes_of("impostor pairs accepted, %", "genuine pairs accepted, %")
    for i, (name, roc) in enumerate(rocs.items()):
        if roc is None:
            raise DataError(
                f"{name!r} has no ROC: evaluate with roc=True, or leave it out, if its gallery shows no other people."
            )
        point, sign = roc.at(false_match_rate), "≥" if roc.higher_is_nearer else "≤"
        label = f"{name}: EER {100 * roc.eer:.1f} %, threshold {sign} {point.threshold:.3g} marked"
        color = COLORS[i % len(COLORS)]
        shown = roc.false_match_rates > 0
        x, y = 100 * roc.false_match_rates[shown], 100 * roc.true_match_rates[shown]
        axes.plot(x, y, color=color, linestyle=LINES[i % len(LINES)], label=label)
        axes.plot(100 * point.false_match_rate, 100 * point.true_match_rate, "o", color=color)
    axes.set_xscale("log")
    axes.set_ylim(0, 102)
    axes.axvline(100 * false_match_rate, color=INK, linewidth=0.8, linestyle=":")
    axes.legend(loc="best", fontsize=8)
    return figure


def curves(runs: Mapping[str, Run | pd.DataFrame]) -> Figure:
    """Loss, identification accuracy in training, and the mAP of the test set, epoch by epoch (paper B, Fig. 5)."""
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    panels = figure.subplots(1, 3)
    columns = (("loss", "loss", 1), ("accuracy", "training accuracy, %", 100), ("mAP", "mAP on the test set, %", 100))
    for axes, (column, label, scale) in zip(panels, columns, strict=True):
        dress(axes, "epoch", label)
        for i, (name, run) in enumerate(runs.items()):
            history = (run if isinstance(run, pd.DataFrame) else run.history).dropna(subset=[column])
            axes.plot(
                history["epoch"],
                scale * history[column],
                label=name,
                color=COLORS[i % len(COLORS)],
                linestyle=LINES[i % len(LINES)],
                marker="o" if len(history) < 25 else None,
                markersize=3,
            )
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].legend()
    return figure


def contact_sheet(benchmark: Benchmark, identities: int = 12, per_camera: int = 2) -> Figure:
    """Some training identities (rows) as the cameras (columns) see them, as many as a figure can hold.

    Raises DataError where there are none.
    """
    identities, per_camera = whole_number("identities", identities, 1), whole_number("per_camera", per_camera, 1)
    records = [record for record in benchmark.train if record.pid > 0]
    if not records:
        raise DataError(f"{benchmark.name} has no training people to show: check its training folder.")
    cameras = sorted({record.camid for record in records})
    known = sorted({record.pid for record in records})
    seen = defaultdict(list)
    for record in records:
        seen[record.pid, record.camid].append(record)
    across = min(per_camera, PLACES, max(map(len, seen.values())))
    drawn = cameras[: max(1, PLACES // across)]
    rows = min(identities, len(known), ROWS, max(1, CELLS // (len(drawn) * across)))
    note = f"the first {len(drawn)} of {len(cameras):,} cameras" if len(drawn) < len(cameras) else ""
    cells = grid(rows, len(drawn) * across, note, cell=(0.62, 1.2), gap=(0.03, 0.03), head=0.2)
    for i, (row, which) in enumerate(zip(cells, np.linspace(0, len(known) - 1, rows).astype(int), strict=True)):
        for column, cell in enumerate(row):
            camera, k = drawn[column // across], column % across
            here = seen[known[which], camera]
            cell.axis("off")
            if k < len(here):
                cell.imshow(_pixels(here[k]), aspect="auto")
            if i == 0 and k == 0:
                name = "camera unknown" if camera == UNKNOWN_CAMERA else f"camera {camera}"
                cell.set_title(name, fontsize=8, loc="left", color=INK)
    return cells[0, 0].figure


def erasing_grid(benchmark: Benchmark, erasing: data.RandomErasing, count: int = 5, seed: int = 0) -> Figure:
    """Training images above, the same after random erasing below (paper A, Fig. 4), PLACES of them at most."""
    count = min(whole_number("count", count, 1), PLACES, len(benchmark.train))
    chosen = [benchmark.train[i] for i in np.linspace(0, len(benchmark.train) - 1, count).astype(int)]
    before = data.image_store(chosen, size=(256, 128)).batch(range(count))  # (count, 3, height, width), uint8
    after = erasing(to_unit(before), generator(seed))  # float in [0, 1]
    figure = Figure(figsize=(1.5 * count, 6), layout="constrained")
    grid = figure.subplots(2, count, squeeze=False)
    for axes, images, name in zip(grid, (before, after), ("before", "after erasing"), strict=True):
        for cell, image in zip(axes, images, strict=True):
            cell.imshow(np.asarray(image.permute(1, 2, 0)))
            cell.set_xticks([])
            cell.set_yticks([])
            cell.spines[:].set_visible(False)
        axes[0].set_ylabel(name, color=INK)
    return figure


def conditions(
    tables: Mapping[str, pd.DataFrame], score: str = "mAP", x: str | None = None, y: str | None = None
) -> Figure:
    """One score with its intervals, bin by bin, for several methods; beneath each bin, how many it counts.

    Args:
        tables: by name of the method, all of one benchmark, from `by`, `by_occlusion`, `by_angle` or
            `background_shortcut`.
        score: a column that has "low" and "high" beside it.
        x, y: labels of the axes; by default the table's own.
    """
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    first = next(iter(tables.values()))
    for i, (name, table) in enumerate(tables.items()):
        table = table.reindex(first.index)
        place = np.arange(len(table)) + (i + 0.5) / len(tables) / 2 - 0.25  # side by side within a bin
        below, above = table[score] - table[f"{score} low"], table[f"{score} high"] - table[score]
        color, sign = COLORS[i % len(COLORS)], "osD^v<>"[i % 7]
        axes.errorbar(place, table[score], [below, above], label=name, color=color, fmt=sign, capsize=3)
    counts = first.iloc[:, 0]
    axes.set_xticks(range(len(first)), [f"{bin}\n({count:,})" for bin, count in counts.items()])
    axes.set(xlim=(-0.6, len(first) - 0.4), ylabel=y or f"{score}, %")
    axes.set_xlabel(f"{x or first.index.name} (number of {counts.name})")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend()
    return figure


def save(figure: Figure, path: Path | str) -> None:
    """Write a figure as PNG, whole or not at all; the file says that reid_lab drew it.

    Raises CheckpointError where it cannot be written.
    """
    about = {"Software": f"reid_lab {reid_lab.__version__}"}
    write_whole(path, lambda temporary: figure.savefig(temporary, dpi=130, format="png", metadata=about))


def _spread(ap: np.ndarray, count: int) -> list[int]:
    """``count`` queries from the best to the worst average precision; queries without a match (NaN) left out."""
    order = [int(i) for i in np.argsort(-ap, kind="stable") if np.isfinite(ap[i])]
    return [order[i] for i in np.linspace(0, len(order) - 1, min(count, len(order))).astype(int)]


def _picture(axes: Axes, record: Record, title: str, correct: bool | None = None) -> None:
    axes.imshow(_pixels(record))
    axes.set_xticks([])
    axes.set_yticks([])
    color = INK if correct is None else MATCH if correct else MISS
    sign = "" if correct is None else " ✓" if correct else " ✗"
    axes.set_title(title + sign, fontsize=9, color=color)
    dashes = (0, (3, 2)) if correct is False else "solid"
    for side in axes.spines.values():
        side.set(color=color, linewidth=3, linestyle=dashes, capstyle="butt")


def _caption(axes: Axes, record: Record, letters: int = 20) -> None:
    """The file's name below its picture; of a long one the beginning and the end."""
    name, half = record.path.stem.encode(errors="replace").decode(), letters // 2  # Linux allows any bytes in a name
    shown = name if len(name) <= letters else f"{name[: half - 1]}…{name[-half:]}"
    axes.set_xlabel(shown, fontsize=6, color=INK, parse_math=False)


def _pixels(record: Record) -> np.ndarray:
    return decode(record.path, (128, 64))


def axes_of(x: str, y: str) -> tuple[Figure, Axes]:
    """A figure with one pair of axes in the course's look, and their labels."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    dress(axes, x, y)
    return figure, axes


def dress(axes: Axes, x: str, y: str) -> None:
    """The course's look: labels, a faint grid, no frame above and on the right."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


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
    figure = Figure(figsize=(1.3 * (1 + len(heats)) + 0.7, 2.5 * len(records)), layout="constrained")
    grid = figure.subplots(len(records), 1 + len(heats), squeeze=False)
    shares = {} if masks is None else {name: gradcam.heat_share(maps, masks) for name, maps in heats.items()}
    for i, (row, record) in enumerate(zip(grid, records, strict=True)):
        outline = None if masks is None else masks[i]
        _overlay(row[0], record, None, outline)
        if masks is not None:
            row[0].set_xlabel(_share(gradcam.area_share(masks[i : i + 1])[0], "area", "nobody"), fontsize=8, color=INK)
        for axes, (name, maps) in zip(row[1:], heats.items(), strict=True):
            drawn = _overlay(axes, record, maps[i], outline)
            if masks is not None:
                axes.set_xlabel(
                    _share(shares[name][i], "heat", "nobody" if maps[i].any() else "no heat"), fontsize=8, color=INK
                )
    for axes, title in zip(grid[0], ("image", *heats), strict=True):
        axes.set_title(title, fontsize=9, color=INK)
    bar = figure.colorbar(drawn, ax=grid, shrink=min(1, 1.6 / len(records)), aspect=25, ticks=[0, 1])
    bar.ax.set_yticklabels(["least", "most\nheat"], fontsize=8)
    return figure


def _must_match(count: int, heats: Mapping[str, np.ndarray], masks: Sequence[np.ndarray] | None) -> None:
    if not count or not heats:
        raise DataError("There are no images or no heat maps to show: pass records and maps of at least one network.")
    if count > ROWS or count * (1 + len(heats)) > CELLS // 2:
        raise DataError(
            f"There are {count} images and maps of {len(heats)} networks: a figure can hold {ROWS} images, and "
            f"{CELLS // 2} pictures in all, so pass fewer at a time."
        )
    numbers = {name: len(maps) for name, maps in heats.items()} | ({} if masks is None else {"masks": len(masks)})
    wrong = [f"{number} of {name!r}" for name, number in numbers.items() if number != count]
    if wrong:
        raise DataError(f"There are {count} images but {', '.join(wrong)}: pass one map or mask for each image.")


def _overlay(axes: Axes, record: Record, heat: np.ndarray | None, outline: np.ndarray | None) -> AxesImage:
    """The image or, where there is heat, its grey shades below the heat's colors."""
    pixels = _pixels(record)
    extent = (0, 1, 0, 2)  # image, heat and mask may have different sizes
    shown = axes.imshow(pixels if heat is None else pixels.mean(axis=2), cmap="gray", extent=extent)
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
