"""Is the background a shortcut? Is color enough? Tests that change what a trained network sees.

Passersby knows which pixels are the person's, so backgrounds can be exchanged or taken away. Scores on Passersby say
nothing about real people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from matplotlib.colors import rgb_to_hsv
from PIL import Image
from torch import Tensor

from reid_lab import passersby, retrieval
from reid_lab.analysis.conditions import interval
from reid_lab.data import DISTRACTOR, JUNK, Benchmark, Record, normalize
from reid_lab.data.decoding import decode
from reid_lab.models.network import Network
from reid_lab.retrieval.features import embed
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import DataError
from reid_lab.runtime.progress import bar

IMAGES = {  # the rows of `background_shortcut`
    "plain": "the images as they are",
    "same camera": "each person cut out and put into a training image of the same camera that was emptied",
    "other camera": "the same with another camera; the cutting and the light of other hours cost as much as above",
    "flat": "the person on the mean color",
    "background alone": "the image, its person removed: every row of pixels bridges the hole (shadows stay)",
    "chance": "random features",
}


def background_shortcut(
    model: Network, bench: Benchmark, identities: int | None = 60, donors: int = 120, seed: int = 0
) -> pd.DataFrame:
    """Rank again when every image gets another background, no background, or nobody in it (see :data:`IMAGES`).

    Args:
        model: the network, where it is.
        bench: a Passersby benchmark.
        identities: how many people, drawn at random, and that share of distractors and junk; None: all.
        donors: training images, drawn at random, whose backgrounds are used.
        seed: of all that is drawn.

    Returns:
        In percent: `queries`; mAP with its interval, and rank-1; both when images of the query's own camera count,
        too; and the share of wrong first answers that come from the query's own camera.

    Raises:
        DataError: the images are not Passersby's, nobody is left, or a camera has no donor.
    """
    small = _sample(bench, identities, seed)
    records = [*small.query, *small.gallery]
    random = np.random.default_rng(seed)
    given = [bench.train[place] for place in random.permutation(len(bench.train))[: max(donors, 0)]]
    lonely = {record.camid for record in records} - {record.camid for record in given}
    if lonely:
        raise DataError(f"None of the {len(given)} donors is of camera {min(lonely)}: give more than donors={donors}.")
    images, masks = _pixels(records), _masks(records)
    emptied = _without(_pixels(given), _masks(given))
    cameras, places = (np.array([record.camid for record in part]) for part in (records, given))

    def on(background: np.ndarray) -> Tensor:
        return _embed(model, np.where(masks[..., None], images, background))

    rows = {"plain": _embed(model, images)}
    rows["same camera"] = on(emptied[_draw(random, cameras[:, None] == places)])
    rows["other camera"] = on(emptied[_draw(random, cameras[:, None] != places)])
    rows["flat"] = on(images.mean((0, 1, 2)).astype(np.uint8))
    rows["background alone"] = _embed(model, _without(images, masks))
    rows["chance"] = torch.from_numpy(random.standard_normal((len(records), 64)))
    return pd.concat([_scores(name, features, small) for name, features in rows.items()])


def color_alone(bench: Benchmark, person: bool = False, stripes: int = 6) -> pd.DataFrame:
    """Rank by :func:`histogram_features` alone, with and without the same-camera rule.

    Args:
        bench: any benchmark; with ``person`` Passersby's.
        person: also by the colors of the person's own pixels, which only the truth knows.
        stripes: of the histograms.

    Returns:
        Columns as :func:`background_shortcut` has them.
    """
    records = [*bench.query, *bench.gallery]
    rows = [_scores("colors of the image", histogram_features(records, stripes), bench)]
    if person:
        rows += [_scores("colors of the person", histogram_features(records, stripes, _masks(records)), bench)]
    return pd.concat(rows)


def histogram_features(
    records: Sequence[Record],
    stripes: int = 6,
    masks: np.ndarray | None = None,
    bins: tuple[int, int, int] = (8, 4, 4),
) -> Tensor:
    """Compute the colors of horizontal stripes: roots of HSV histograms.

    So the cosine similarity of two images is the mean Bhattacharyya coefficient of their stripes; with masks only where
    each stripe of both has a pixel that counts, as the others are zero.

    Args:
        records: N images.
        stripes: how many, from head to foot.
        masks: (N, 128, 64) bool, which pixels count; an image in which none does counts whole.
        bins: of hue, saturation and value.

    Returns:
        (N, stripes * product of bins), float32.
    """
    images = _pixels(records)
    features = np.zeros((len(images), stripes * int(np.prod(bins))), np.float32)
    stripe = (np.arange(images.shape[1]) * stripes // images.shape[1])[:, None]  # of each row of pixels
    for i, image in enumerate(images):
        hsv = np.minimum((rgb_to_hsv(image / 255.0) * bins).astype(int), np.array(bins) - 1)
        cells = stripe * np.prod(bins) + np.ravel_multi_index(tuple(np.moveaxis(hsv, 2, 0)), bins)
        cells = cells[masks[i]] if masks is not None and masks[i].any() else cells.ravel()
        features[i] = np.bincount(cells, minlength=features.shape[1])
    totals = features.reshape(len(images), stripes, -1).sum(2).repeat(features.shape[1] // stripes, 1)
    return torch.from_numpy(np.sqrt(features / np.maximum(totals, 1)))


def _scores(name: str, features: Tensor, bench: Benchmark) -> pd.DataFrame:
    labels = Protocol.of(bench.query, bench.gallery)
    parts = features[: len(bench.query)], features[len(bench.query) :]
    result = retrieval.rank(*parts, **labels.arrays())
    free = retrieval.rank(*parts, query_pids=labels.query_pids, gallery_pids=labels.gallery_pids)
    matched = np.isfinite(result.ap)
    wrong = matched & ~result.matches.correct[:, 0]
    own = result.matches.camids[wrong, 0] == result.query_camids[wrong]
    low, high = interval(result.ap[matched], result.query_pids[matched])
    row = {"mAP": result.mAP, "mAP low": low, "mAP high": high, "rank-1": result.rank(1)}
    row |= {"mAP, own camera too": free.mAP, "rank-1, own camera too": free.rank(1)}
    row |= {"errors from own camera": own.mean() if len(own) else np.nan}
    table = 100.0 * pd.DataFrame(row, index=pd.Index([name], name="images"))
    table.insert(0, "queries", int(matched.sum()))
    return table


def _sample(bench: Benchmark, identities: int | None, seed: int) -> Benchmark:
    """Some people with all their images, and the same share of distractors and junk."""
    random, pids = np.random.default_rng(seed), np.unique([record.pid for record in bench.query])
    if identities is not None and identities < 1:
        raise DataError(f"Of {len(pids)} people none would be left with identities={identities}: give 1 or more.")
    if identities is None or identities >= len(pids):
        return bench
    kept = set(random.permutation(pids)[:identities].tolist())
    share = identities / len(pids)

    def stays(record: Record) -> bool:
        return random.random() < share if record.pid in (JUNK, DISTRACTOR) else record.pid in kept

    query, gallery = ([record for record in part if stays(record)] for part in (bench.query, bench.gallery))
    return replace(bench, query=query, gallery=gallery)


def _draw(random: np.random.Generator, allowed: np.ndarray) -> np.ndarray:
    """For each row of allowed (n, m) bool, one of its places at random; where it has none, any place."""
    return np.where(allowed, random.random(allowed.shape), -random.random(allowed.shape)).argmax(1)


def _pixels(records: Sequence[Record]) -> np.ndarray:
    """(N, 128, 64, 3) uint8."""
    return np.stack([decode(record.path, (128, 64)) for record in records])


def _masks(records: Sequence[Record]) -> np.ndarray:
    """(N, 128, 64) bool, drawn again."""
    return np.stack([passersby.mask(record) for record in bar(records, len(records), "masks", "image")])


def _without(images: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The images with their person removed: every row of pixels goes straight on from one side to the other."""
    emptied, columns = images.copy(), np.arange(images.shape[2])
    for image, row in zip(*np.nonzero(masks.any(2)), strict=True):
        hole = masks[image, row]
        known = columns[~hole] if not hole.all() else columns
        for channel in emptied[image, row].T:  # views
            channel[hole] = np.interp(columns[hole], known, channel[known])
    return emptied


def _embed(model: Network, images: np.ndarray, batch_size: int = 64) -> Tensor:
    """Features (N, d) of images (N, H, W, 3) uint8, resized as `retrieval.extract` does."""
    device, (height, width) = next(model.parameters()).device, model.input_size
    if images.shape[1:3] != (height, width):
        resized = [Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR) for image in images]
        images = np.stack([np.asarray(image) for image in resized])
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).split(batch_size)
    return embed(model, (normalize(batch.to(device)) for batch in batches))
