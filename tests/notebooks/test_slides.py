"""Slides show headings, pictures, predictions and the summary, and nothing is fetched to make them."""

import re
import socket

import nbformat
import pytest

from .conftest import code, text


@pytest.fixture(scope="session")
def slides(script):
    return script("slides")


def shown(slides, notebook):
    """Every cell of the slides: its slide type, and its heading or what it shows."""
    for cell in slides.reduced(notebook).cells:
        first = cell.source.split("\n")[0] if cell.cell_type == "markdown" else cell.outputs[0].output_type
        yield cell.metadata.slideshow.slide_type, first


def test_a_lesson_becomes_headings_pictures_predictions_and_a_summary(slides, lesson):
    notebook = nbformat.read(lesson, as_version=4)
    assert list(shown(slides, notebook)) == [
        ("slide", "# Small"),
        ("slide", "## Doubling"),
        ("-", "stream"),  # the question
        ("subslide", "display_data"),
        ("fragment", "stream"),  # what came out
        ("slide", "## Summary"),
    ]
    cells = slides.reduced(notebook).cells
    assert cells[0].source == "# Small\n\n- double a number." and "Doubling adds" in cells[-1].source
    nbformat.validate(slides.reduced(notebook))


def test_a_cell_with_the_tag_is_shown_whole_and_a_bare_heading_is_not(slides, changed):
    def change(cells):
        tagged = text("### A remark\n\nThat matters.")
        tagged.metadata["tags"] = ["slide"]
        cells[5:5] = [text("## Empty\n\nWords."), text("## Full\n\nWords."), code("1"), tagged]

    notebook = nbformat.read(changed(change), as_version=4)
    found = list(shown(slides, notebook))
    assert ("subslide", "### A remark") in found and ("slide", "## Empty") not in found
    assert "That matters." in [cell.source.split("\n\n")[-1] for cell in slides.reduced(notebook).cells]


def test_an_outcome_that_brings_its_picture_has_a_slide_of_its_own(slides, changed):
    def change(cells):
        cells[8].outputs += cells[7].outputs

    found = list(shown(slides, nbformat.read(changed(change), as_version=4)))
    assert found[2:5] == [("-", "stream"), ("subslide", "display_data"), ("subslide", "stream")]


def test_the_page_is_made_without_the_network_and_shows_no_code(slides, lesson, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    page = slides.exported(nbformat.read(lesson, as_version=4), "90_small", local="copies")
    assert 'alt="The number grows."' in page and 'width="700"' in page
    assert "Twice 3?" in page and "course.predict" not in page and "raise NotImplementedError" not in page
    assert len(re.findall(r"<section>\s*<section>", page)) == 3
    assert (
        'class="fragment' in page and "copies/reveal.js/dist/reveal" in page and "copies/requirejs/require.js" in page
    )
