"""Passersby: a synthetic data set for person re-identification that is annotated exactly.

``generate(size, seed)`` makes it, or its validation split, in Market-1501's layout. ``annotations(folder)`` is a table
of what each image shows; ``mask(image)`` and ``keypoints(image)`` are drawn again from the image's name. Scores on
Passersby say nothing about real people or about deployment.
"""

from reid_lab.passersby.annotations import MARKER, TABLE, VERSION, annotations, keypoints, mask
from reid_lab.passersby.generate import generate
from reid_lab.passersby.people import ATTRIBUTES
from reid_lab.passersby.splits import SIZES

__all__ = ["ATTRIBUTES", "MARKER", "SIZES", "TABLE", "VERSION", "annotations", "generate", "keypoints", "mask"]
