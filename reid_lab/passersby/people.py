"""Who walks past: identities, their bodies and their limited wardrobe.

Identities come in blocks of four. In a share of the blocks the four look alike: they wear the same upper and lower
garments in the same colors, so that clothing color alone cannot tell them apart. All else is each one's own: height,
build, gait, skin, hair, hat, tights, shoes, bag and prints. Blocks are dealt to training and test in turn, at every
size and every seed: nobody trained on at one size is tested at another. Validation has blocks of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from reid_lab.passersby.rng import Draw
from reid_lab.passersby.town import Town, Wardrobe
from reid_lab.passersby.towns.city import CITY

BLOCK = 4  # consecutive identities that may look alike
LOOK_ALIKE_SHARE = 0.4  # of the blocks
PERSON_STREAM, WARDROBE_STREAM = 11, 12

Color = tuple[int, int, int]

SKINS: dict[str, Color] = {
    "pale": (224, 184, 160),
    "fair": (212, 168, 140),
    "tan": (190, 142, 112),
    "brown": (146, 102, 76),
    "dark": (98, 68, 52),
}
SKIN_WEIGHTS = {"pale": 3, "fair": 5, "tan": 4, "brown": 2, "dark": 2}
HAIRS: dict[str, Color] = {
    "black": (30, 27, 27),
    "dark brown": (50, 38, 32),
    "brown": (82, 60, 44),
    "blond": (168, 138, 92),
    "red": (122, 66, 40),
    "grey": (138, 136, 132),
}
HAIR_WEIGHTS = {"black": 8, "dark brown": 5, "brown": 3, "blond": 2, "red": 1, "grey": 2}
CLOTHS: dict[str, Color] = {
    "black": (38, 38, 42),
    "charcoal": (66, 67, 72),
    "grey": (122, 123, 126),
    "light grey": (172, 173, 174),
    "white": (222, 221, 217),
    "navy": (42, 50, 78),
    "denim": (72, 92, 124),
    "sky": (136, 160, 186),
    "beige": (184, 166, 138),
    "brown": (98, 76, 60),
    "olive": (92, 94, 66),
    "green": (62, 98, 78),
    "burgundy": (108, 44, 54),
    "pink": (204, 158, 164),
    "red": (172, 52, 50),
    "yellow": (204, 170, 82),
    "teal": (54, 112, 118),
    "orange": (200, 112, 58),
    "purple": (96, 72, 116),
    "cream": (226, 212, 186),
    "mustard": (186, 142, 54),
    "rust": (150, 80, 48),
    "moss": (74, 84, 54),
    "petrol": (38, 82, 96),
    "ice": (176, 198, 212),
}
HAIR_STYLES = {"short": 8, "bob": 3, "long": 4, "ponytail": 3, "bun": 2, "bald": 1, "crop": 4}
OPEN_FRONT = ("shirt", "jacket", "coat", "hoodie", "parka")
UNPRINTED = ("coat", "dress", "parka")  # no logo or print is drawn on these, nor a logo on an open front

ATTRIBUTES = (  # of a person, in the table of annotations
    *("height", "skin", "hair", "hair_style", "hat", "hat_colour"),
    *("upper", "upper_colour", "second_colour", "pattern", "sleeves", "open_front"),
    *("lower", "lower_colour", "tights", "shoes", "bag", "bag_colour"),
    *("front_logo", "back_print", "logo_colour"),
)


@dataclass(frozen=True)
class Person:
    """Everything about a person that no camera changes; lengths in meters, colors in RGB 0 .. 255."""

    height: float
    girth: float  # 1 is average
    shoulders: float  # 1 is average
    hips: float  # 1 is average
    gait: float  # swing of the thigh, turns
    skin: str
    hair: str
    hair_style: str
    hat: str
    hat_colour: str
    upper: str
    upper_colour: str
    second_colour: str
    pattern: str
    sleeves: str  # none, short, long
    open_front: bool
    lower: str
    lower_colour: str
    tights: bool
    shoes: str
    bag: str
    bag_colour: str
    bag_side: int  # -1 right, +1 left
    front_logo: str
    back_print: str
    logo_colour: str
    tint: tuple[float, float]  # how far this very garment is from the color's middle: upper, lower

    def attributes(self) -> dict[str, str | float | bool]:
        """What the table of annotations says about the identity."""
        return {name: getattr(self, name) for name in ATTRIBUTES}


def _other(draw: Draw, weights: dict[str, int], color: str) -> str:
    return draw.weighted({name: weight for name, weight in weights.items() if name != color})


def _clothes(draw: Draw, worn: Wardrobe) -> dict[str, object]:
    """The part of the wardrobe that a look-alike block shares."""
    upper = draw.weighted(worn.uppers)
    color = draw.weighted(worn.upper_colors)
    warm = upper in ("sweater", "hoodie", "jacket", "coat", "parka")
    lower = draw.weighted(worn.lowers)
    unlike = "" if draw.bernoulli(0.1) else color
    if upper == "dress":
        lower = "long skirt" if draw.bernoulli(0.25) else "skirt"
    if upper in ("coat", "parka") and lower == "shorts":
        lower = "trousers"
    return {
        "upper": upper,
        "upper_colour": color,
        "second_colour": _other(draw, worn.upper_colors, color),
        "pattern": draw.weighted(worn.patterns) if upper not in ("coat", "jacket", "parka") else "plain",
        "sleeves": "long" if warm or (upper == "shirt" and draw.bernoulli(0.6)) else
                   "none" if upper == "vest top" or (upper == "dress" and draw.bernoulli(0.5)) else "short",
        "open_front": upper in OPEN_FRONT and draw.bernoulli(worn.open_front),
        "lower": lower,
        "lower_colour": color if upper == "dress" else _other(draw, worn.lower_colors, unlike),
        "tint": (draw.triangular(14.0), draw.triangular(12.0)),
    }  # fmt: skip


def _make(body: Draw, wardrobe: Draw, worn: Wardrobe) -> Person:
    """A person from two streams: their own, and the wardrobe (shared in a look-alike block)."""
    clothes = _clothes(wardrobe, worn)
    long_hair = body.bernoulli(0.5)
    styles = {k: w for k, w in HAIR_STYLES.items() if (k in ("bob", "long", "ponytail", "bun")) == long_hair}
    slight = long_hair and body.bernoulli(0.8)
    return Person(
        height=round(body.between(1.54, 1.74) if slight else body.between(1.62, 1.90), 3),
        girth=1.0 + body.triangular(0.16) - (0.06 if slight else 0.0),
        shoulders=1.0 + body.triangular(0.08) - (0.07 if slight else 0.0),
        hips=1.0 + body.triangular(0.08) + (0.07 if slight else 0.0),
        gait=body.between(0.046, 0.066),
        skin=body.weighted(SKIN_WEIGHTS),
        hair=body.weighted(HAIR_WEIGHTS),
        hair_style=body.weighted(styles),
        hat=body.weighted(worn.hats),
        hat_colour=body.weighted(worn.hat_colors),
        tights=body.bernoulli(worn.tights) and clothes["lower"] == "skirt",
        shoes=body.weighted(worn.shoe_colors),
        bag=body.weighted(worn.bags),
        bag_colour=body.weighted(worn.bag_colors),
        bag_side=1 if body.bernoulli(0.5) else -1,
        front_logo=body.weighted(worn.logos),
        back_print=body.weighted(worn.logos),
        logo_colour=_other(body, worn.upper_colors, str(clothes["upper_colour"])),
        **clothes,  # type: ignore[arg-type]
    )


def block_of(pid: int) -> int:
    """The block an identity (pid >= 1) belongs to; even blocks train, odd blocks test, late blocks validate."""
    return (pid - 1) // BLOCK


def look_alike(seed: int, pid: int, town: Town = CITY) -> bool:
    """Whether this identity shares its clothes with the rest of its block."""
    return Draw(town.first_seed + seed, WARDROBE_STREAM, block_of(pid), 0).bernoulli(LOOK_ALIKE_SHARE)


def person(seed: int, pid: int, town: Town = CITY) -> Person:
    """Make an identity.

    Args:
        seed: The seed of the data set.
        pid: The identity, from 1.
        town: Where the person lives.
    """
    owner = block_of(pid) if look_alike(seed, pid, town) else 1_000_000 + pid
    number = town.first_seed + seed
    return _make(Draw(number, PERSON_STREAM, pid), Draw(number, WARDROBE_STREAM, owner, 1), town.wardrobe)


def stranger(draw: Draw, town: Town = CITY) -> Person:
    """Make somebody without an identity: a distractor, or another person in the box."""
    return _make(draw, draw, town.wardrobe)


def cloth(name: str, tint: float = 0.0) -> tuple[float, float, float]:
    """RGB of a cloth color, lightened or darkened by `tint`."""
    red, green, blue = CLOTHS[name]
    return red + tint, green + tint, blue + tint
