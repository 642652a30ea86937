"""Passersby: a synthetic data set for person re-identification that knows the truth about its images.

`generate(size, seed)` makes it in Market-1501's layout; `mask` and `keypoints` give back, exactly, what was
drawn. Scores on it say nothing about real people or about deployment.
"""

from reid_lab.passersby.annotations import MARKER, TRUTH, VERSION, keypoints, mask, truth
from reid_lab.passersby.generate import generate
from reid_lab.passersby.splits import SIZES

__all__ = ["MARKER", "SIZES", "TRUTH", "VERSION", "generate", "keypoints", "mask", "truth"]
