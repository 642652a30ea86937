"""What comes in from outside becomes float32 tensors and whole numbers, or a sentence says why not."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reid_lab.data.benchmark import Benchmark
from reid_lab.retrieval.protocol import Protocol, no_match
from reid_lab.runtime.errors import FeatureError, NoMatchError
from reid_lab.runtime.validation import whole


def features(values: Any, name: str, device: torch.device | None = None) -> Tensor:
    """Return features as a float32 tensor.

    Args:
        values: (N, d), numpy or torch, of any real type.
        name: whose they are, for the error: "query", "gallery".
        device: where they are wanted; None: where they are.

    Raises:
        FeatureError: they are no real numbers, their shape is not (N, d), N or d is 0, or a row holds NaN, infinity or
            what float32 cannot hold.
    """
    given = real_numbers(values, f"{name} features")
    if given.ndim != 2 or 0 in given.shape:
        raise FeatureError(
            f"{name} features have shape {tuple(given.shape)}, but (images, dimension) is needed, at least "
            f"one of each: check what was extracted."
        )
    tensor = given.to(device=device, dtype=torch.float32)
    if not tensor.sum(1).isfinite().all():  # cheaper than looking at each value; large finite sums may overflow
        bad = ~torch.cat([rows.isfinite().all(1) for rows in tensor.split(4096)])
        if bad.any():
            if given[bad.to(given.device)].isfinite().all():
                raise FeatureError(
                    f"{rows_named(bad, name)} of the features hold numbers beyond float32, in which they are compared: "
                    f"divide query and gallery features by one number, say their largest."
                )
            raise FeatureError(
                f"{rows_named(bad, name)} of the features hold NaN or infinity: the network has probably "
                f"diverged, so look at its loss or load another checkpoint."
            )
    return tensor


def real_numbers(values: Any, name: str) -> Tensor:
    """Return numpy, torch or nested lists as a tensor of their type, or of float64 where torch lacks it.

    Raises:
        FeatureError: they are complex numbers, rows of different lengths, or no numbers.
    """
    try:
        if not isinstance(values, Tensor):
            array = np.asarray(values)
            known = np.float64 if array.dtype.type is np.longdouble else array.dtype.newbyteorder("=")
            values = torch.from_numpy(np.ascontiguousarray(array, known))
    except (TypeError, ValueError, RuntimeError) as error:
        raise FeatureError(
            f"{name} are not rows of real numbers, all of one length: pass an array of floats."
        ) from error
    if values.is_complex():
        raise FeatureError(f"{name} are complex numbers: pass their real part or their absolute value.")
    return values.detach()


def whole_number(name: str, value: Any, low: int) -> int:
    """Return ``value``, of Python's or numpy's integers.

    Raises:
        FeatureError: it is not a whole number from ``low``.
    """
    return whole(name, value, low, FeatureError)


def rows_named(bad: Tensor, name: str) -> str:
    """Name the culprits in a sentence: "2 of 8 query rows (first: 2, 5)", from ``bad`` (N,) bool."""
    found = bad.nonzero().flatten().tolist()
    first = ", ".join(str(row) for row in found[:5]) + (", ..." if len(found) > 5 else "")
    return f"{len(found)} of {len(bad)} {name} rows (first: {first})"


_sound: weakref.WeakSet[Benchmark] = weakref.WeakSet()


def benchmark(bench: Benchmark) -> None:
    """Ask the data's own check, once for each benchmark; no image is decoded for it.

    Raises:
        DataError: the check finds an error.
        NoMatchError: no query has a match.
    """
    if bench in _sound:
        return
    try:
        bench.check(read_images=False)
    except NoMatchError as error:  # of which the protocol knows the likely cause
        raise no_match(Protocol.of(bench.query, bench.gallery)) from error
    _sound.add(bench)
