"""Figures of a notebook: each has a number and a sentence, which is also read to those who cannot see it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from reid_lab.runtime.errors import CourseError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(picture: Any, number: str, says: str) -> None:
    """Show a figure of a notebook, and below it its number and a sentence.

    The sentence is also the picture's alternative text. It is kept beside the picture's width, as ``alt``: nbconvert's
    classic pages and ``notebooks/slides.py`` read it, and ``notebooks/run.py`` repeats it where MyST-NB looks.
    JupyterLab gives pictures no alternative text: its readers have the sentence below the picture.

    Args:
        picture: A Matplotlib figure, or what has one, such as a grid of seaborn or axes. It is closed, so that it is
            shown once.
        number: The notebook and the figure's number in it, such as "04-3".
        says: One sentence that says what the figure shows, in Markdown.

    Raises:
        CourseError: ``picture`` has no figure, ``number`` is not of this form, or ``says`` is empty.
    """
    import matplotlib.pyplot as plt
    from IPython.display import Markdown, display

    check_number(number, "figure")
    drawn = figure_of(picture, number)
    if not says.strip():
        raise CourseError(f"Figure {number} says nothing: give one sentence that says what it shows.")
    display(drawn, metadata={"image/png": {"alt": _plain(says)}})
    plt.close(drawn)
    display(Markdown(f"**Figure {number}.** {says}"))


def figure_of(picture: Any, number: str) -> Figure:
    """Find the Matplotlib figure of a picture.

    Args:
        picture: A figure, or what has one as its ``figure``: a grid of seaborn, axes, a part of a figure.
        number: The number that an error names.

    Returns:
        The figure.

    Raises:
        CourseError: There is none.
    """
    from matplotlib.figure import Figure

    found = picture
    for _ in range(3):  # axes are in a part of a figure, which is in a figure
        if isinstance(found, Figure):
            return found
        found = getattr(found, "figure", None)
    raise CourseError(
        f"Figure {number} is a {type(picture).__name__}, which has no Matplotlib figure: "
        "give what plt.figure, plt.subplots or a function of reid_lab.plots returns."
    )


def check_number(number: str, what: str) -> None:
    """Refuse a number that does not name a notebook and a place in it.

    Args:
        number: What was given.
        what: What is numbered, such as "figure".

    Raises:
        CourseError: It is not of the form "04-3".
    """
    if not (isinstance(number, str) and re.fullmatch(r"\d\d-[1-9]\d*", number)):
        raise CourseError(
            f"The {what} has the number {number!r}: give the notebook's two digits, a hyphen and the {what}'s number "
            'in the notebook, such as "04-3".'
        )


def _plain(markdown: str) -> str:
    """Words without the marks of Markdown: links, code, emphasis."""
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"(\*\*|\*|`)(\S(?:.*?\S)?)\1", r"\2", words)
