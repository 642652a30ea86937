"""Anybody in anybody else's clothes: the same shot, drawn again with other garments, exact to the pixel.

A generator of images that makes no mistakes. Pose, view, light, camera, place and company are the shot's; so are the
person's body, skin, hair, hat and bag. Garments, their colors, patterns and prints, tights and shoes are another
person's.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reid_lab.passersby import render
from reid_lab.passersby.annotations import made_from
from reid_lab.passersby.frames import Figure, Frame, compose
from reid_lab.passersby.people import Person
from reid_lab.passersby.town import Town
from reid_lab.runtime.errors import DataError

WORN = (  # the fields of a person that are clothes
    *("upper", "upper_colour", "second_colour", "pattern", "sleeves", "open_front"),
    *("lower", "lower_colour", "tights", "shoes", "front_logo", "back_print", "logo_colour", "tint"),
)


def dressed(image: object, clothes: object) -> np.ndarray:
    """Draw an image again, its person in the clothes of another image's person.

    The two may be of different data sets or towns. In their own clothes, people look as their image does, byte for
    byte.

    Args:
        image: The shot: a path in a Passersby folder, or a record with such a ``path``.
        clothes: An image of the person whose clothes are put on, given in the same way.

    Returns:
        The image, uint8 (128, 64, 3).

    Raises:
        DataError: An image is not Passersby's, was made by another version of the generator, or shows nobody.
    """
    seed, town, frame = _shot(image)
    figure = _person(image, frame)
    owner = _person(clothes, _shot(clothes)[2]).who
    # Wider clothes must not move the person before or behind the scene's front layer: their own decide.
    veil = render.veil_before(seed, frame, render.draw_people(seed, frame, town), town) if frame.far else None
    figure.who = in_clothes_of(figure.who, owner)
    return render.paint(seed, frame, render.draw_people(seed, frame, town), veil, town)


def in_clothes_of(who: Person, owner: Person) -> Person:
    """Give ``who`` the clothes of ``owner``; body, skin, hair, hat and bag stay."""
    return replace(who, **{name: getattr(owner, name) for name in WORN})


def _shot(image: object) -> tuple[int, Town, Frame]:
    seed, key, town = made_from(image)
    return seed, town, compose(seed, key, town)


def _person(image: object, frame: Frame) -> Figure:
    if frame.main is None:
        path = getattr(image, "path", image)
        raise DataError(f"{path} shows nobody, so that there are no clothes to change: give an image of a person.")
    return frame.main
