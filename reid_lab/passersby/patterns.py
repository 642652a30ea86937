"""What is on a garment: stripes, checks, openings, prints, straps, as material numbers per sample."""

from __future__ import annotations

import numpy as np

from reid_lab.passersby import bodies as b
from reid_lab.passersby.bodies import Body, Wrap
from reid_lab.passersby.people import OPEN_FRONT, UNPRINTED, Person
from reid_lab.passersby.raster import Texture, f32


def upper_texture(body: Body, wrap: Wrap, length: float) -> Texture:
    """Pattern, opening, prints and straps of the garment on the trunk; `length` in meters."""
    who = body.who
    faces_us = body.cos > -0.35
    backs_us = body.cos < 0.35

    def texture(across: np.ndarray, toward: np.ndarray, along: np.ndarray) -> np.ndarray:
        left, front = wrap(across, toward)
        meters = along * f32(length)
        material = _pattern(who, left, meters, across.shape)
        fore = front > 0
        if faces_us:
            _front(who, material, left, fore, meters)
        if backs_us and who.back_print != "none" and who.upper not in UNPRINTED:
            _print(who.back_print, material, left, ~fore, meters, 0.15, 0.42)
        if faces_us and who.bag == "backpack":
            side = np.abs(left)
            material[fore & (side > f32(0.50)) & (side < f32(0.68)) & (meters > f32(0.03)) & (meters < f32(0.36))] = (
                b.STRAP
            )
        if who.bag == "shoulder bag":
            slant = left * f32(who.bag_side) - (meters - f32(0.26)) * f32(3.0)
            material[(np.abs(slant) < f32(0.12)) & (np.abs(front) > f32(0.35))] = b.STRAP
        return material

    return texture


def _pattern(who: Person, left: np.ndarray, meters: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    material = np.full(shape, b.UPPER, np.uint8)
    if who.pattern == "stripes":
        stripe = meters * f32(1 / 0.09)
        material[stripe - np.floor(stripe) < f32(0.45)] = b.SECOND
    elif who.pattern == "check":
        down, over = meters * f32(1 / 0.10), left * f32(2.6) + f32(8.0)
        lines = (down - np.floor(down) < f32(0.26)) | (over - np.floor(over) < f32(0.22))
        material[lines] = b.SEAM
    elif who.pattern == "block":
        material[meters < f32(0.27)] = b.SECOND
    if who.upper == "parka":  # quilted
        quilt = meters * f32(1 / 0.13)
        material[quilt - np.floor(quilt) < f32(0.16)] = b.SEAM
    return material


def _front(who: Person, material: np.ndarray, left: np.ndarray, fore: np.ndarray, meters: np.ndarray) -> None:
    """What only the front shows: the neck opening, an open jacket or a row of buttons, a logo."""
    side = np.abs(left)
    if who.open_front:
        material[fore & (side < f32(0.26))] = b.INNER
        material[fore & (side >= f32(0.26)) & (side < f32(0.32))] = b.SEAM
    elif who.upper in OPEN_FRONT:
        material[fore & (side < f32(0.045))] = b.SEAM
        material[fore & (side + meters * f32(3.6) < f32(0.42))] = b.SKIN if who.upper == "shirt" else b.INNER
    else:
        material[fore & (side + meters * f32(4.0) < f32(0.42))] = b.SKIN
    if not who.open_front and who.front_logo != "none" and who.upper not in UNPRINTED:
        _print(who.front_logo, material, left, fore, meters, 0.14, 0.34)


def _print(
    kind: str, material: np.ndarray, left: np.ndarray, where: np.ndarray, meters: np.ndarray, top: float, bottom: float
) -> None:
    side, middle = np.abs(left), (top + bottom) / 2
    if kind == "disc":
        away = meters - f32(middle)
        material[where & (side * side + away * away * f32(40.0) < f32(0.22))] = b.LOGO
    elif kind == "bar":
        material[where & (side < f32(0.85)) & (meters > f32(middle - 0.045)) & (meters < f32(middle + 0.045))] = b.LOGO
    elif kind == "panel":
        material[where & (side < f32(0.45)) & (meters > f32(top)) & (meters < f32(bottom))] = b.LOGO
    elif kind == "letters":
        rows = meters * f32(1 / 0.09)
        letters = left * f32(5.0) + f32(8.0)
        drawn = (rows - np.floor(rows) < f32(0.55)) & (letters - np.floor(letters) < f32(0.72))
        material[where & drawn & (side < f32(0.6)) & (meters > f32(top)) & (meters < f32(bottom - 0.06))] = b.LOGO


def sleeve_texture(who: Person, length: float) -> Texture | None:
    """Stripes and checks go on over the sleeves; `length` of the cylinder in meters."""
    if who.pattern not in ("stripes", "check"):
        return None

    def texture(across: np.ndarray, toward: np.ndarray, along: np.ndarray) -> np.ndarray:
        down = along * f32(length / (0.09 if who.pattern == "stripes" else 0.10))
        marked = down - np.floor(down) < f32(0.45 if who.pattern == "stripes" else 0.26)
        return np.where(marked, np.uint8(b.SECOND if who.pattern == "stripes" else b.SEAM), np.uint8(b.SLEEVE))

    return texture
