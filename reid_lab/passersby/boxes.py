"""Bounding boxes as a detector draws them: moved, cut off, or around the wrong thing."""

from __future__ import annotations

from reid_lab.passersby.rng import Draw

Box = tuple[float, float, float, float]  # left, top, width, height in scene pixels


def tight(feet: tuple[float, float], height: float, scale: float) -> Box:
    """The box that a careful person would draw.

    Args:
        feet: The point between the feet, in scene pixels.
        height: Of the person, in meters.
        scale: Scene pixels per meter.
    """
    x, y = feet
    tall = (height + 0.17) * scale
    return x - tall / 4, y + 0.09 * scale - tall, tall / 2, tall


def jittered(draw: Draw, box: Box, jitter: float) -> Box:
    """The box moved and scaled by random amounts; ``jitter`` is the largest, as a share of the box."""
    left, top, width, height = box
    taller = height * (1.02 + draw.triangular(jitter) + 0.25 * jitter)
    wider = taller / 2 * (1.0 + draw.triangular(0.6 * jitter))
    x = left + width / 2 + draw.triangular(1.1 * jitter) * width
    y = top + height / 2 + draw.triangular(0.8 * jitter) * height
    return x - wider / 2, y - taller / 2, wider, taller


def truncated(draw: Draw, box: Box) -> Box:
    """The box without the legs, one side or the head."""
    left, top, width, height = box
    cut = draw.weighted({"legs": 3, "side": 2, "head": 1})
    if cut == "legs":
        part = draw.between(0.62, 0.85)
        return left + width * (1 - part) / 2, top, width * part, height * part
    if cut == "head":
        part = draw.between(0.06, 0.14)
        return left, top + height * part, width, height * (1 - part)
    return left + width * draw.between(0.22, 0.36) * (-1.0 if draw.bernoulli(0.5) else 1.0), top, width, height


def error(box: Box, ideal: Box) -> float:
    """1 - intersection over union, in [0, 1]."""
    wide = min(box[0] + box[2], ideal[0] + ideal[2]) - max(box[0], ideal[0])
    tall = min(box[1] + box[3], ideal[1] + ideal[3]) - max(box[1], ideal[1])
    both = max(wide, 0.0) * max(tall, 0.0)
    return 1.0 - both / (box[2] * box[3] + ideal[2] * ideal[3] - both)


def spoiled(draw: Draw, box: Box, kind: str) -> Box:
    """A box that a detector should not have given: half a body, or somebody small in a large box."""
    left, top, width, height = box
    if kind == "small":
        more = draw.between(1.5, 1.9)
        return (
            left - width * (more - 1) * draw.uniform(),
            top - height * (more - 1) * draw.uniform(),
            width * more,
            height * more,
        )
    part = draw.between(0.42, 0.58)
    down = draw.choice((0.0, 1.0 - part, draw.uniform() * (1.0 - part)))
    return (
        left + width * (1 - part) / 2 + draw.triangular(0.25) * width,
        top + height * down,
        width * part,
        height * part,
    )
