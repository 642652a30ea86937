"""The rules of the second edition let a sound lesson pass and name every fault that is planted in one."""

import re

import pytest
from lesson_rules import RULES, alternatives, booleans, figures, foot, keys, links, load, mentions, predictions

from .conftest import code, drawing, printed, text


def test_a_sound_lesson_keeps_to_all_rules(lesson):
    assert {rule.__name__: list(rule(lesson)) for rule in RULES} == {rule.__name__: [] for rule in RULES}


def add(old, new, place=0):
    """A change of the cells: words of one cell are replaced."""

    def change(cells):
        assert old in cells[place].source
        cells[place].source = cells[place].source.replace(old, new)

    return change


def also(*more):
    """A change of the cells: others are put before the last one."""

    def change(cells):
        cells[-1:-1] = more

    return change


def resize(cells):
    cells[7].outputs[0].metadata["image/png"]["width"] = 589


def without_width(cells):
    cells[7].outputs[0].metadata.clear()
    cells[7].outputs[0].data["image/png"] = drawing(width=500)


def without_words(cells):
    del cells[7].outputs[0].metadata["image/png"]["alt"]


FIGURE = 'course.figure(\n    figure,\n    "{}",\n    "Another.",\n)'
FAULTS = [
    (load, also(*[text(f"{i}") for i in range(29)]), "46 cells are more than 45"),
    (load, add("One thought", "One thought " * 1000), "words of Markdown are more than 1800"),
    (booleans, also(code("print(True)", printed("holds: True, False\nholds: False\n"))), "3 printed Booleans are more"),
    (mentions, add("double a number", "double a number, as in notebook 89"), "'notebook 89' is no link"),
    (mentions, add("[notebook 89](89_before.ipynb)", "notebooks [89](89_before.ipynb) and 91"), "and 91' is no link"),
    (mentions, add("(89_before", "(91_after"), r"\[notebook 89\] leads to 91_after.ipynb"),
    (
        foot,
        add(" · next: [after](91_after.ipynb)", "", place=-1),
        "the last cell must be previous: .* next: .*91_after",
    ),
    (foot, add("89_before", "90_small", place=-1), "the last cell must be"),
    (foot, lambda cells: cells.pop(), "the last cell must be"),
    (predictions, lambda cells: cells.pop(8), "prediction 90-1 has the steps predict"),
    (predictions, lambda cells: cells.insert(2, cells.pop(8)), "prediction 90-1 has the steps outcome, predict"),
    (predictions, add("90-1", "90-2", place=4), "predictions are numbered 90-2"),
    (predictions, add("90-1", "90-2", place=8), "prediction 90-2 has the steps outcome"),
    (figures, add("90-1", "90-2", place=7), "figures are numbered 90-2"),
    (figures, add("90-1", "89-1", place=7), "figures are numbered 89-1"),
    (figures, also(code(FIGURE.format("90-3"))), "figures are numbered 90-1, 90-3"),
    (figures, also(code("%matplotlib inline\n" + FIGURE.format("90-1"))), "figures are numbered 90-1, 90-1"),
    (figures, resize, "a figure is 589 pixels wide"),
    (figures, without_width, "a figure is 500 pixels wide"),
    (alternatives, without_words, "the picture of cell 7 has no alternative text"),
    (keys, also(text("5. *Open.* Once more?")), "90_small.md has no key for Open 2"),
    (keys, add("1. *Warm-up.*", "1. *Warm-up.* First?\n2. *Warm-up.*", place=9), "no key for Warm-up 2"),
    (keys, add("4. *Open.*", "4.", place=-2), "a key for Open 1, which the notebook does not have"),
    (links, add("89_before", "88_nothing"), "88_nothing.ipynb leads nowhere"),
    (links, add("#exercises", "#nothing", place=-2), "#nothing: 90_small.ipynb has no such heading"),
    (links, add("double a number", "use [`x`](solutions/90_small.py#L9000)"), "no such heading or line"),
    (links, add("double a number", 'see <img src="no.png">'), "no.png leads nowhere"),
]


@pytest.mark.parametrize(("rule", "fault", "said"), FAULTS, ids=[f"{rule.__name__}-{s[:25]}" for rule, _, s in FAULTS])
def test_a_planted_fault_is_named(changed, rule, fault, said):
    found = list(rule(changed(fault)))
    assert any(re.search(said, sentence) for sentence in found), found


def test_a_key_that_is_empty_is_no_key(lesson):
    page = lesson.parent / "solutions" / "90_small.md"
    page.write_text(page.read_text().replace("8, because 4 and 4 are 8.", ""))
    assert list(keys(lesson)) == ["solutions/90_small.md has no key for Warm-up 1"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (add("double a number", "read `notebook 89` in code, and see [it](#set-up)"), "code is no mention"),
        (add("double a number", "use [`x`](solutions/90_small.py#L3)"), "the line is there"),
        (add("double a number", "see [a page](https://example.org/x#y), formula $[a](b)$"), "the web and formulas"),
        (add("double a number", "train 20 networks in this notebook, 12 of them twice"), "numbers of other things"),
        (also(code("course.source(x)")), "a name of the package"),
    ],
)
def test_what_is_no_fault_passes(changed, change, why):
    path = changed(change)
    assert [sentence for rule in RULES for sentence in rule(path)] == [], why


def test_the_first_notebook_leads_to_the_next_one_only(lesson):
    (lesson.parent / "89_before.ipynb").unlink()
    assert list(foot(lesson)) == ["the last cell must be next: [..](91_after.ipynb)"]
