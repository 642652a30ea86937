"""A figure is shown once, with its number, and with a sentence that is also its alternative text."""

import re

import matplotlib.pyplot as plt
import pytest
import seaborn
from IPython.utils.capture import capture_output
from matplotlib.figure import Figure

from reid_lab import course
from reid_lab.runtime.errors import CourseError


@pytest.fixture
def shell():
    """A shell as in a kernel, with pictures as the notebooks set them."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.pylabtools import select_figure_formats

    shell = InteractiveShell.instance()
    select_figure_formats(shell, {"retina"})
    yield shell
    InteractiveShell.clear_instance()
    plt.close("all")


def shown(*call):
    """What a cell shows, as (data, metadata)."""
    with capture_output() as seen:
        course.figure(*call)
    return [(output.data, output.metadata) for output in seen.outputs]


def test_the_sentence_stands_below_the_figure_and_is_its_alternative_text(shell):
    drawn, axes = plt.subplots(figsize=(7, 3))
    axes.plot([1, 2, 3])
    (picture, told), (caption, _) = shown(drawn, "04-3", "The *line* rises, see [`plots`](../reid_lab/plots).")
    assert picture["image/png"] and "text/plain" in picture
    assert told["image/png"]["alt"] == "The line rises, see plots."
    assert told["image/png"]["width"] > 300  # of a picture that has twice as many pixels
    assert caption["text/markdown"] == "**Figure 04-3.** The *line* rises, see [`plots`](../reid_lab/plots)."
    assert not plt.get_fignums()


def test_a_grid_axes_and_a_part_of_a_figure_are_shown_as_their_figure(shell):
    grid = seaborn.displot([1, 2, 2, 3])
    part = plt.figure().subfigures(1, 2)[0]
    for picture in (grid, plt.subplots()[1], part, part.subplots()):
        (data, _), _ = shown(picture, "04-3", "A picture.")
        assert "image/png" in data
    assert not plt.get_fignums()


@pytest.mark.parametrize("picture", [None, [1, 2], "picture.png", plt])
def test_what_is_no_figure_is_named(picture):
    with pytest.raises(CourseError, match=f"Figure 04-3 is a {type(picture).__name__}, .* give what plt.figure"):
        course.figure(picture, "04-3", "A picture.")


@pytest.mark.parametrize("number", ["3", "4-3", "04-0", "04-3.", "04_3", 3, None])
def test_a_number_of_another_form_is_refused(number):
    with pytest.raises(CourseError, match=re.escape(f"The figure has the number {number!r}") + '.*"04-3"'):
        course.figure(Figure(), number, "A picture.")


def test_a_figure_that_says_nothing_is_refused():
    with pytest.raises(CourseError, match="Figure 04-3 says nothing"):
        course.figure(Figure(), "04-3", " ")
