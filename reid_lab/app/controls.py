"""The page's parts, each with a sentence that explains it. What they do when they are clicked on is in ``page``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from reid_lab.app import cards
from reid_lab.app.rules import Rules

NONE = ""  # no second run
HEAD = """# reid_lab: search for a person
Click on a query. Each trained network ranks all images of the gallery by how similar it finds them.
A ranking always has a first image, also for somebody who is in none of them: **a rank is no identification.**"""
WHERE = [("the data that run A was trained on", "run"), ("another data set", "data"), ("a folder of crops", "crops")]
CSS = """
footer { display: none !important; }
.gradio-container { max-width: 1400px !important; margin: auto; }
:root { --block-info-text-color: #52525b; --block-label-text-color: #27272a; --block-title-text-color: #27272a; }
.dark { --block-info-text-color: #c4c4cc; --block-label-text-color: #f4f4f5; --block-title-text-color: #f4f4f5; }
"""
FONTS = ("system-ui", "sans-serif"), ("ui-monospace", "monospace")  # the machine's own


@dataclass(frozen=True)
class Choice:
    """What is searched, and with what: two runs, images, and the button that opens them."""

    run: gr.Dropdown
    other: gr.Dropdown
    source: gr.Radio
    path: gr.Textbox
    open: gr.Button
    part: gr.Accordion
    notice: gr.HTML


@dataclass(frozen=True)
class Asking:
    """For whom: a strip of queries to click on, and the one that was chosen."""

    strip: gr.HTML
    pages: gr.Slider
    asked: gr.HTML


@dataclass(frozen=True)
class Picture:
    """A place for a picture from outside."""

    file: gr.File
    notice: gr.HTML


@dataclass(frozen=True)
class Controls:
    """The rules: how it is ranked, who is accepted, what is shown."""

    same_camera: gr.Checkbox
    rerank: gr.Checkbox
    parameters: gr.Group
    k1: gr.Slider
    k2: gr.Slider
    lam: gr.Slider
    rate: gr.Slider
    top: gr.Slider
    heat: gr.Checkbox

    @property
    def values(self) -> list:
        """Those that decide about a ranking, in the order in which ``Page`` reads them."""
        return [self.same_camera, self.rerank, self.k1, self.k2, self.lam, self.rate, self.top]


@dataclass(frozen=True)
class Side:
    """What one run finds."""

    column: gr.Column
    head: gr.HTML
    cards: gr.HTML
    heat: gr.HTML

    @property
    def parts(self) -> list:
        """What a new ranking changes."""
        return [self.column, self.head, self.cards]


def choice(source: str, path: str) -> Choice:
    """Make the part that is opened first; the runs come when the page is loaded."""
    with gr.Accordion("What is searched, and by which run", open=True) as part:
        with gr.Row():
            run = gr.Dropdown([], label="Run A", info="A trained network. The line shows its method, size and seed.")
            other = gr.Dropdown(
                [("none", NONE)], value=NONE, label="Run B, to compare", info="Ranks the same gallery beside run A."
            )
        with gr.Row():
            told = "Queries and gallery of a benchmark, or one folder of pictures of people whom nobody has named."
            kind = gr.Radio(WHERE, value=source, label="Images", info=told)
            typed = gr.Textbox(
                path,
                label="Path of the data set or folder",
                info="On the computer on which this page runs, for example data/Market-1501.",
                visible=source != "run",
            )
        opened = gr.Button("Open", variant="primary", elem_id="open")
    return Choice(run, other, kind, typed, opened, part, gr.HTML(css_template=cards.STYLE, elem_id="opened"))


def asking() -> Asking:
    """Make the strip of queries."""
    gr.Markdown("## Who is looked for")
    first = cards.said("Press Open first.")
    strip = gr.HTML(first, js_on_load=cards.CLICKED, css_template=cards.STYLE, elem_id="queries")
    pages = gr.Slider(1, 2, 1, step=1, label="More queries", visible=False)
    return Asking(strip, pages, gr.HTML(css_template=cards.STYLE, elem_id="asked"))


def picture() -> Picture:
    """Make the place for a picture from outside."""
    file = gr.File(label="Or a picture of your own, of one person", height=170)
    return Picture(file, gr.HTML(css_template=cards.STYLE, elem_id="wrong-file"))


def controls() -> Controls:
    """Make the rules."""
    usual = Rules()
    gr.Markdown("## How it is ranked, and who is accepted")
    same = gr.Checkbox(
        usual.same_camera,
        label="Same-camera rule",
        info="Images of the person from the query's own camera are junk: they do not count, because to find them is "
        "too easy. Without the rule they are matches.",
    )
    rate = gr.Slider(
        0,
        10,
        100 * usual.false_match_rate,
        step=0.1,
        label="False-match rate, %",
        info="Sets the threshold: of all pairs of two people, so many are taken for one person. A search makes one "
        "pair with each image of the gallery, so even 1 % is many wrong images.",
    )
    rerank = gr.Checkbox(
        usual.rerank,
        label="Re-ranking",
        info="Images that have the same nearest neighbours come nearer to each other. The first time takes a while, "
        "because all images are compared with all.",
    )
    with gr.Group(visible=usual.rerank) as parameters:
        k1 = gr.Slider(1, 50, usual.k1, step=1, label="k1", info="How many neighbours are looked at.")
        k2 = gr.Slider(1, 20, usual.k2, step=1, label="k2", info="How many neighbours are averaged; 1: none.")
        lam = gr.Slider(0, 1, usual.lam, step=0.05, label="λ", info="Weight of the original distance.")
    top = gr.Slider(5, 50, 10, step=5, label="Images shown", info="The nearest ones; junk comes in addition.")
    heat = gr.Checkbox(
        False,
        label="Heat map (Grad-CAM)",
        info="Shows which places raise the similarity of query and image. Click on an image to choose it.",
    )
    return Controls(same, rerank, parameters, k1, k2, lam, rate, top, heat)


def side(letter: str) -> Side:
    """Make the column of one run."""
    with gr.Column(min_width=300, visible=letter == "A", elem_id=f"side-{letter}") as column:
        head = gr.HTML(css_template=cards.STYLE)
        found = gr.HTML(js_on_load=cards.CLICKED, css_template=cards.STYLE, elem_id=f"found-{letter}")
        heat = gr.HTML(css_template=cards.STYLE, elem_id=f"heat-{letter}")
    return Side(column, head, found, heat)


def first_of(path: Path | None) -> tuple[str, str]:
    """What the page begins with: the source of the images, and their path."""
    return ("run", "") if path is None else ("data", str(path))
