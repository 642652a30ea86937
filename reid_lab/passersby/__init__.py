"""Passersby: a synthetic data set for person re-identification that is annotated exactly.

``generate(size, seed)`` makes it, or its validation split, in Market-1501's layout. There are two towns (``towns/``),
with other scenes, light and clothes, for questions about a change of domain. ``annotations(folder)`` is a table
of what each image shows; ``mask(image)`` and ``keypoints(image)`` are drawn again from the image's name;
``joint_table(folder)`` writes the joints of all images. ``dressed(image, clothes)`` draws the image itself again, its
person in another one's clothes; ``wardrobe(images)`` does so for many and keeps them. Scores on Passersby say nothing
about real people or about deployment.
"""

from reid_lab.passersby.annotations import MARKER, TABLE, VERSION, annotations, keypoints, mask
from reid_lab.passersby.dressed import dressed
from reid_lab.passersby.generate import generate
from reid_lab.passersby.joints import joint_table
from reid_lab.passersby.people import ATTRIBUTES
from reid_lab.passersby.splits import SIZES
from reid_lab.passersby.towns import CITY, TOWNS
from reid_lab.passersby.wardrobe import Dressed, wardrobe

DEFAULT_TOWN = CITY.name

__all__ = [
    "ATTRIBUTES",
    "DEFAULT_TOWN",
    "Dressed",
    "MARKER",
    "SIZES",
    "TABLE",
    "TOWNS",
    "VERSION",
    "annotations",
    "dressed",
    "generate",
    "joint_table",
    "keypoints",
    "mask",
    "wardrobe",
]
