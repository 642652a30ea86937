"""What is found, as HTML: frames, signs, scores and heat maps, in the colors and lines of :mod:`reid_lab.plots`."""

from __future__ import annotations

import base64
import functools
import io
from html import escape
from pathlib import Path

from PIL import Image

from reid_lab.app.rules import JUNK, MATCH, MISS, UNKNOWN, Answer, Images, Query, record_of, stamp
from reid_lab.data import UNKNOWN_CAMERA, Record
from reid_lab.data.decoding import decode
from reid_lab.plots import Figure, style

TALLEST = 256  # pixels of an image on the page
STRIP = 24  # queries that are shown at a time
SIGNS = {MATCH: "✓", MISS: "✗", JUNK: "junk", UNKNOWN: ""}
WORDS = {MATCH: "match", MISS: "somebody else", JUNK: "does not count", UNKNOWN: "nobody knows who"}
FRAMES = {MATCH: f"4px solid {style.MATCH}", MISS: f"4px dashed {style.MISS}", JUNK: f"4px dotted {style.NEUTRAL}"}
FRAMES |= {UNKNOWN: f"2px solid {style.NEUTRAL}"}
STYLE = (
    """
.cards { display: flex; flex-wrap: wrap; gap: 10px; align-items: flex-start; }
.cards button { padding: 0; border: 0; background: none; cursor: pointer; width: 84px; text-align: center;
  font-weight: normal; font-size: 13px; line-height: 1.3; color: inherit; border-radius: 4px; }
.cards.strip { display: grid; grid-auto-flow: column; grid-auto-columns: 60px; overflow-x: auto; padding: 6px;
  width: 0; min-width: 100%; box-sizing: border-box; }
.cards.strip button { width: 60px; }
.cards img { display: block; width: 100%; aspect-ratio: 1 / 2; object-fit: fill; box-sizing: border-box; }
.cards .framed { display: block; box-sizing: border-box; }
.cards button.refused .framed { opacity: 0.35; }
.cards button:focus-visible, .cards button[aria-pressed=true] { outline: 3px solid #0072B2; outline-offset: 2px; }
.cards .limit { align-self: stretch; border-left: 3px solid currentColor; padding-left: 4px; width: 62px;
  font-size: 12px; line-height: 1.25; }
.said { margin: 0 0 8px; }
.notice { border-left: 5px solid #D55E00; padding: 8px 12px; background: #D55E0018; }
.key span { display: inline-block; padding: 1px 6px; margin: 2px 8px 2px 0; }
.heat img { max-width: 100%; background: white; }
"""
    + "".join(
        f".cards .{kind} {{ border: {frame}; }}\n.key .{kind} {{ border: {frame}; }}\n"
        for kind, frame in FRAMES.items()
    )
    + f".sign-{MATCH} {{ color: {style.MATCH}; font-weight: bold; }}\n"
    + f".sign-{MISS} {{ color: {style.MISS}; font-weight: bold; }}\n"
)
# A click, or Enter, on a card tells the page which image it shows.
CLICKED = """element.addEventListener('click', event => {
  const card = event.target.closest('button[data-index]');
  if (!card) return;
  element.querySelectorAll('button').forEach(one => one.setAttribute('aria-pressed', one === card));
  trigger('select', {index: Number(card.dataset.index)});
});"""


def notice(sentence: str) -> str:
    """A sentence about what cannot be done; "" for none."""
    return f'<p class="notice" role="alert">{escape(sentence)}</p>' if sentence else ""


def said(sentence: str) -> str:
    """A plain sentence."""
    return f'<p class="said">{escape(sentence).replace(" %", "&nbsp;%")}</p>' if sentence else ""


def key(rates: bool = True) -> str:
    """What the frames mean.

    Args:
        rates: whether there is a threshold.
    """
    frames = "".join(f'<span class="{kind}">{SIGNS[kind]} {escape(word)}</span>' for kind, word in WORDS.items())
    faded = "Pale images are refused by the threshold." if rates else ""
    return f'<p class="key said">{frames}{faded}</p>'


def strip(images: Images, first: int, chosen: Query | None) -> str:
    """Queries to click on.

    Args:
        images: whose queries.
        first: the index of the first one that is shown; STRIP are.
        chosen: the one that is pressed.
    """
    cards = [
        f'<button type="button" data-index="{index}" aria-pressed="{str(index == chosen).lower()}" '
        f'aria-label="query {index + 1}{_camera(images.query[index])}">{_image(images.query[index])}</button>'
        for index in range(first, min(first + STRIP, len(images.query)))
    ]
    return f'<div class="cards strip">{"".join(cards)}</div>'


def asked(images: Images, query: Query) -> str:
    """The query that was chosen, and what is known about it."""
    record = record_of(images, query)
    number = f"query {query + 1} of {len(images.query):,}" if isinstance(query, int) else "your own picture"
    who = f"person {record.pid}" if record.pid > 0 else "nobody knows who this is"
    return (
        f'<div class="cards"><button type="button" tabindex="-1">{_image(record)}</button>'
        f"<div><b>Looking for {number}</b><br>{escape(who)}{_camera(record)}<br>{escape(record.path.name)}</div></div>"
    )


def gallery(answer: Answer, images: Images, query: Query, chosen: int | None = None) -> str:
    """The images that were found, nearest first, each in its frame, with rank, sign, score and camera.

    Args:
        answer: what was found.
        images: where.
        query: for whom.
        chosen: the gallery image that is pressed.
    """
    if not len(answer.indices):
        return said("The gallery holds nothing but the query's own picture.")
    own, cards, line = record_of(images, query).camid, list[str](), answer.point is not None
    for index, rank, kind, score, accepted in zip(
        answer.indices, answer.ranks, answer.kinds, answer.scores, answer.accepted, strict=True
    ):
        if line and not accepted:
            cards.append('<div class="limit">threshold:<br>what follows is refused</div>')
            line = False
        cards.append(
            _card(images.gallery[index], int(index), int(rank), str(kind), float(score), own, (accepted, chosen))
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def sentences(answer: Answer, images: Images, reranked: bool) -> str:
    """What the threshold accepts, and how all queries fare under the same rules."""
    if answer.result is None:
        return said("Nobody knows who is on these crops, so nothing is right or wrong, and no threshold can be set.")
    lines = []
    if answer.point is not None:
        passed, wrong = answer.of_gallery
        known = MATCH in answer.kinds or MISS in answer.kinds
        side = "above" if answer.result.roc is not None and answer.result.roc.higher_is_nearer else "below"
        right = f": {passed - wrong} right, {wrong} wrong" if known else ""
        lines.append(
            f"Threshold: {answer.measure} {side} {answer.point.threshold:.3f}. It accepts {passed:,} of the gallery's "
            f"{len(images.gallery):,} images for this query{right}. Of all pairs, it accepts "
            f"{100 * answer.point.false_match_rate:.2g} % of two people and "
            f"{100 * answer.point.true_match_rate:.0f} % of one person."
        )
    again = ", re-ranked" if reranked else ""
    scores = f"rank-1 {100 * answer.result.rank(1):.1f} %, mAP {100 * answer.result.mAP:.1f} %"
    return "".join(map(said, [*lines, f"All {len(images.query):,} queries under these rules{again}: {scores}."]))


def figure(drawn: Figure, name: str) -> str:
    """A drawn figure as an image of the page."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, dpi=80, format="png")
    text = f"Where {name} looks: the query above, the image that was clicked on below."
    return f'<div class="heat"><img alt="{escape(text)}" src="{_uri("png", buffer.getvalue())}"></div>'


def _card(
    record: Record, index: int, rank: int, kind: str, score: float, own: int, state: tuple[bool, int | None]
) -> str:
    accepted, chosen = state
    camera = "own camera" if record.camid == own != UNKNOWN_CAMERA else _camera(record).removeprefix(", ")
    place = str(rank or "")
    word = f"{JUNK}, {WORDS[JUNK]}" if kind == JUNK else WORDS[kind]
    label = f"{f'rank {rank}, ' if rank else ''}{word}, {score:.3f}, {camera}"
    label += "" if accepted else ", refused by the threshold"
    return (
        f'<button type="button" data-index="{index}" class="{"" if accepted else "refused"}" title="{escape(label)}: '
        f'{escape(record.path.name)}" aria-label="{escape(label)}" aria-pressed="{str(index == chosen).lower()}">'
        f'<span class="framed {kind}">{_image(record)}</span>{place} <span class="sign-{kind}">{SIGNS[kind]}</span> '
        f"{score:.3f}<br>{escape(camera) or '&nbsp;'}</button>"
    )


def _camera(record: Record) -> str:
    return "" if record.camid == UNKNOWN_CAMERA else f", camera {record.camid}"


def _image(record: Record) -> str:
    return f'<img alt="" src="{_thumbnail(record.path, stamp(record.path), record.greys)}">'


@functools.lru_cache(maxsize=2000)
def _thumbnail(path: Path, stamp: tuple[int, int], greys: tuple[float, float] | None) -> str:
    """An image for the page; its file's stamp is a part of the key, so that another picture is read anew."""
    image = Image.fromarray(decode(path, span=greys))
    image.thumbnail((TALLEST, TALLEST))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return _uri("jpeg", buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
