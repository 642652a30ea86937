"""How far each code of a cascade looks: thresholds from pairs of images whose people are known.

Source: Wang, Gong, Cheng and Hou, "Faster Person Re-identification" (ECCV 2020), who call this distance threshold
optimization. Two things differ from the authors' code. It takes the labels of query and gallery, which are the answers
of the test; here the images are training or validation ones. And its second Gaussian is fitted to all pairs; here it is
fitted to the pairs of different people.

One thing is a choice, `prior`. In the paper's formula as many pairs match as do not. In a search hardly one pair in a
hundred matches, and with that share the same beta gives far smaller thresholds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from reid_lab.retrieval.codes import Codes, differing, words
from reid_lab.runtime.errors import DataError, FeatureError
from reid_lab.runtime.validation import number, one_of

PRIORS = ("balanced", "true")


def fit_thresholds(codes: Codes, pids: Any, camids: Any, beta: float = 2.0, prior: str = "balanced") -> dict[int, int]:
    """Find for each length the distance within which most matches lie and few others.

    Distances of matching pairs and of other pairs are each taken for a Gaussian (a, b: mean and standard deviation),
    so that the share within t is Phi((t - a) / b). The threshold has the largest F-score (see :func:`f_score`).

    Args:
        codes: of images with known identities, by bits: training images, or validation ones.
        pids: (N,) their identities.
        camids: (N,) their cameras. Pairs from two cameras count, as in the search.
        beta: how much more recall counts than precision.
        prior: of "balanced" pairs as many match as do not, which is what the paper's formula says; "true" takes the
            numbers of pairs as they are.

    Returns:
        The thresholds, whole numbers of bits, by length.

    Raises:
        FeatureError: codes or arguments cannot be used.
        DataError: there are no two matching pairs from two cameras, or no two others.
    """
    one_of("prior", prior, PRIORS, FeatureError)
    beta = number("beta", beta, 0.01, None, FeatureError)
    found = {}
    for length, packed in codes.items():
        matching, others = pair_histograms(packed, pids, camids)
        ratio = others.sum() / matching.sum() if prior == "true" else 1.0
        t = np.arange(length + 1)
        recall, false = (ndtr((t - mean) / deviation) for mean, deviation in map(_gaussian, (matching, others)))
        found[length] = int(f_score(recall, false, beta, ratio).argmax())
    return found


def f_score(recall: Any, false: Any, beta: float, ratio: float = 1.0) -> Any:
    """Compute F_beta of the rule "near pairs match".

    The precision is recall / (recall + ratio x false), hence
    F = (1 + beta^2) recall / (beta^2 + recall + ratio x false).

    Args:
        recall: the share of matching pairs that are near; a number or an array.
        false: the share of other pairs that are near.
        beta: how much more recall counts than precision.
        ratio: how many other pairs there are for a matching one.
    """
    return (1 + beta**2) * recall / (beta**2 + recall + ratio * false)


def pair_histograms(codes: np.ndarray, pids: Any, camids: Any) -> tuple[np.ndarray, np.ndarray]:
    """Count pairs of images from two cameras by their distance.

    Args:
        codes: (N, bits / 8), packed.
        pids: (N,) identities.
        camids: (N,) cameras.

    Returns:
        The numbers of matching pairs and of other pairs at each distance, (bits + 1,) int64 each.

    Raises:
        DataError: there are fewer than two of either, or not one label for each image.
    """
    images, pids, camids = words(codes, "image"), np.asarray(pids), np.asarray(camids)
    if not pids.shape == camids.shape == (len(images),):
        shapes = f"There are {len(images)} codes, but the pids are {pids.shape} and the camids {camids.shape}"
        raise DataError(f"{shapes}: pass one of each for each code.")
    bits = 8 * codes.shape[1]
    counts = np.zeros((2, bits + 1), np.int64)
    for i in range(len(images) - 1):
        later = slice(i + 1, None)
        elsewhere = camids[later] != camids[i]
        distances, same = differing(images[i], images[later])[elsewhere], (pids[later] == pids[i])[elsewhere]
        counts[0] += np.bincount(distances[same], minlength=bits + 1)
        counts[1] += np.bincount(distances[~same], minlength=bits + 1)
    if counts.sum(1).min() < 2:
        raise DataError(
            f"Images from two cameras make {counts[0].sum()} matching pairs and {counts[1].sum()} others, and a "
            "threshold takes two of each: give more images."
        )
    return counts[0], counts[1]


def _gaussian(counts: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of distances, given how many there are of each from 0 on."""
    distances = np.arange(len(counts))
    mean = float(np.average(distances, weights=counts))
    return mean, max(float(np.average((distances - mean) ** 2, weights=counts)) ** 0.5, 1e-6)
