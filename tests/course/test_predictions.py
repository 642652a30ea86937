"""A prediction is kept as soon as it is made, and its outcome stands beside it; a class's predictions are drawn."""

import json
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from reid_lab import course
from reid_lab.course import predictions
from reid_lab.runtime.errors import CourseError

OPTIONS = ["half", "two thirds", "nine tenths"]


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """An empty folder of runs, and a kernel in which nothing has been asked."""
    monkeypatch.setenv("REID_LAB_RUNS", str(tmp_path))
    monkeypatch.delenv("REID_LAB_STATIC", raising=False)
    monkeypatch.setattr(predictions, "_asked", {})
    return tmp_path


def restart():
    predictions._asked.clear()


def kept(runs):
    return json.loads((runs / "predictions.json").read_text(encoding="utf-8"))


def test_without_a_click_the_question_is_printed_with_its_options(capsys):
    course.predict("04-2", "Which share?", OPTIONS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["Which share?", "  a) half", "  b) two thirds", "  c) nine tenths"]
    assert lines[4].startswith("To keep a prediction") and 'mine="half"' in lines[4]


def test_saved_outputs_are_those_of_a_reader_who_predicts_nothing(runs, capsys, monkeypatch):
    course.predict("04-2", "Which share?", OPTIONS, mine="half")
    restart()
    monkeypatch.setenv("REID_LAB_STATIC", "1")
    capsys.readouterr()
    course.predict("04-2", "Which share?", OPTIONS)
    course.outcome("04-2", "two thirds")
    assert capsys.readouterr().out.splitlines() == [
        "Which share?",
        "  a) half",
        "  b) two thirds",
        "  c) nine tenths",
        "What came out: two thirds.",
    ]
    assert "came" not in kept(runs)["04-2"]


def test_a_prediction_outlives_the_kernel_and_stands_beside_its_outcome(runs, capsys):
    course.predict("04-2", "Which share?", OPTIONS, mine="half")
    assert capsys.readouterr().out.endswith("Your prediction: half.\n")
    assert kept(runs) == {"04-2": {"question": "Which share?", "options": OPTIONS, "mine": "half"}}
    restart()
    course.predict("04-2", "Which share?", OPTIONS)
    capsys.readouterr()
    course.outcome("04-2", "two thirds")
    told = "You predicted: half.\nWhat came out: two thirds. That is not what you predicted.\n"
    assert capsys.readouterr().out == told
    assert kept(runs)["04-2"]["came"] == "two thirds"
    restart()  # and even where the question was not asked again
    course.outcome("04-2", "half")
    assert capsys.readouterr().out == "You predicted: half.\nWhat came out: half. That is what you predicted.\n"


def test_an_answer_that_was_not_measured_is_not_said_to_have_come_out(runs, capsys):
    course.predict("04-2", "Which share?", OPTIONS, mine="half")
    capsys.readouterr()
    course.outcome("04-2", "half", says="The answer")
    assert capsys.readouterr().out == "You predicted: half.\nThe answer: half. That is what you predicted.\n"


def test_who_predicts_nothing_is_told_how(runs, capsys):
    course.predict("04-2", "Which share?", OPTIONS)
    capsys.readouterr()
    course.outcome("04-2", "half")
    assert capsys.readouterr().out.splitlines()[0].startswith("You predicted nothing: run the cell of prediction 04-2")
    assert not (runs / "predictions.json").exists()


def test_a_question_that_changed_is_asked_anew(capsys):
    course.predict("04-2", "Which share?", OPTIONS, mine="half")
    restart()
    course.predict("04-2", "Which share?", ["half", "all"])
    capsys.readouterr()
    course.outcome("04-2", "all")
    assert "You predicted nothing" in capsys.readouterr().out


def test_other_predictions_stay(runs):
    course.predict("04-2", "Which share?", OPTIONS, mine="half")
    course.predict("04-3", "How many?", ["one", "two"], mine="two")
    course.predict("04-2", "Which share?", OPTIONS, mine="nine tenths")
    assert {name: each["mine"] for name, each in kept(runs).items()} == {"04-2": "nine tenths", "04-3": "two"}


@pytest.mark.parametrize("text", ["{", "[1]", '{"04-1": {"mine": "a"}}', '{"04-1": 3}', b"\xff\xfe"])
def test_a_damaged_file_is_set_aside_and_not_lost(runs, text, caplog):
    path = runs / "predictions.json"
    for number in (1, 2):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        before = path.read_bytes()
        course.predict("04-2", "Which share?", OPTIONS, mine="half")
        assert (runs / f"predictions.json.damaged-{number}").read_bytes() == before
        assert kept(runs)["04-2"]["mine"] == "half"
    assert "it is kept as predictions.json.damaged-2" in caplog.text


def test_an_unknown_option_is_named():
    with pytest.raises(CourseError, match="Prediction 04-2 has no option 'a third': choose one of 'half', 'two"):
        course.predict("04-2", "Which share?", OPTIONS, mine="a third")
    course.predict("04-2", "Which share?", OPTIONS)
    with pytest.raises(CourseError, match="Prediction 04-2 has no option 'a third'"):
        course.outcome("04-2", "a third")


@pytest.mark.parametrize("options", [["half"], ["half", "half"], [], "half"])
def test_there_must_be_something_to_choose_from(options):
    with pytest.raises(CourseError, match=re.escape(f"Prediction 04-2 has the options {options!r}: give two or more")):
        course.predict("04-2", "Which share?", options)


def test_a_name_of_another_form_is_refused():
    for call in (lambda: course.predict("2", "Which?", OPTIONS), lambda: course.outcome("2", "half")):
        with pytest.raises(CourseError, match="The prediction has the number '2'"):
            call()


def test_a_click_is_kept_at_once(runs, monkeypatch):
    import ipywidgets

    monkeypatch.setattr(predictions, "_can_click", lambda: True)
    seen = []
    monkeypatch.setattr("IPython.display.display", seen.append)
    course.predict("04-2", "Which share?", OPTIONS)
    buttons, said = seen[1].children
    assert isinstance(buttons, ipywidgets.RadioButtons) and buttons.value is None
    assert seen[0].data == "**Which share?**" and not (runs / "predictions.json").exists()
    buttons.value = "two thirds"
    assert kept(runs)["04-2"]["mine"] == "two thirds" and said.value == "Kept: two thirds."
    restart()
    course.predict("04-2", "Which share?", OPTIONS)
    assert seen[3].children[0].value == "two thirds"  # marked again


def test_a_click_that_cannot_be_kept_says_so(runs, monkeypatch):
    monkeypatch.setattr(predictions, "_can_click", lambda: True)
    seen = []
    monkeypatch.setattr("IPython.display.display", seen.append)
    course.predict("04-2", "Which share?", OPTIONS)
    (runs / "predictions.json").mkdir()
    monkeypatch.setattr(predictions, "_free", lambda path: path)  # a folder is in the way
    buttons, said = seen[1].children
    buttons.value = "half"
    assert "it is a folder" in said.value


def test_outside_a_notebook_nobody_can_click(monkeypatch):
    assert not predictions._can_click()
    code = "from reid_lab import course; course.predict('04-2', 'Which?', ['a', 'b']); import sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("Which?\n  a) a\n  b) b\n") and not {"IPython", "ipywidgets"} & set(said.split())


def test_a_class_is_drawn_with_what_came_out(runs, tmp_path):
    folder = tmp_path / "class"
    for student, mine in {"ada": "half", "ben": "half", "cleo": "two thirds"}.items():
        course.predict("04-2", "Which share of the maxima lies on the person?", OPTIONS, mine=mine)
        if student == "cleo":
            course.outcome("04-2", "two thirds")
        (folder / student).mkdir(parents=True)
        (runs / "predictions.json").rename(folder / student / "predictions.json")
    (folder / "ada.json").write_text("{")
    figure = course.histogram(folder)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [2, 1, 0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["half", "two thirds (came out)", "nine tenths"]
    assert axes.get_title(loc="left").startswith("04-2: Which share") and "of 3" in axes.get_xlabel()
    assert figure.get_suptitle() == "1 more file could not be read"
    plt.close(figure)


def test_a_class_without_predictions_is_named(tmp_path):
    with pytest.raises(CourseError, match="holds no predictions"):
        course.histogram(tmp_path / "nobody")
    course.predict("04-2", "Which share?", OPTIONS, mine="half")
    with pytest.raises(CourseError, match="Nobody has made prediction 05-1; there are 04-2"):
        course.histogram(tmp_path, "05-1")
    plt.close("all")
