"""Predictions: what students expect before they see a result, what came out, and what a whole class expected.

A prediction is kept in ``predictions.json`` in the folder of runs, so that it outlives the kernel. Where nobody can
click, with ``REID_LAB_STATIC`` set or outside a notebook, the question is printed. Saved outputs are made like this:
they are those of a reader who predicts nothing.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reid_lab.course.figures import check_number
from reid_lab.runtime.errors import CourseError, ReidLabError
from reid_lab.runtime.files import lock, runs_folder, write_text

Kept = dict[str, dict[str, Any]]  # by the prediction's name: question, options, mine, and came, once it has come out

_asked: Kept = {}  # in this kernel


def predict(name: str, question: str, options: Sequence[str], mine: str | None = None) -> None:
    """Ask for a prediction before its result is seen, and keep it for :func:`outcome`.

    In a notebook the options are buttons, and a click is kept at once. Elsewhere they are printed, and ``mine`` says
    which is chosen.

    Args:
        name: The notebook and the prediction's number in it, such as "04-2".
        question: What is predicted.
        options: The answers to choose from, two or more.
        mine: One of ``options``, to choose without a click.

    Raises:
        CourseError: ``name`` is not of this form, there are fewer than two different options, or ``mine`` is none.
        CheckpointError: The folder of runs cannot be written to.
    """
    check_number(name, "prediction")
    choices = list(options)
    if isinstance(options, str) or len(set(choices)) != len(choices) or len(choices) < 2:
        raise CourseError(f"Prediction {name} has the options {options!r}: give two or more that differ, as a list.")
    _asked[name] = {"question": question, "options": choices}
    if mine is not None:
        _check_option(name, mine)
        _keep(name, mine)
    elif _can_click():
        _show_buttons(name)
        return
    print(question, *(f"  {chr(ord('a') + i)}) {option}" for i, option in enumerate(choices)), sep="\n")
    if mine is not None:
        print(f"Your prediction: {mine}.")
    elif not _static():
        print(f'To keep a prediction, add an option to the call, such as mine="{choices[0]}", and run the cell again.')


def outcome(name: str, answer: str, *, says: str = "What came out") -> None:
    """Say what came out, and whether it was predicted.

    Args:
        name: As in :func:`predict`.
        answer: The option that came out.
        says: The words before the answer, where nothing was measured: such as "The answer".

    Raises:
        CourseError: ``answer`` is none of the options that :func:`predict` gave.
        CheckpointError: The folder of runs cannot be written to.
    """
    check_number(name, "prediction")
    known = _prediction(name)
    if "options" in known:
        _check_option(name, answer)
    mine = known.get("mine")
    if mine is not None:
        _change(name, {**known, "came": answer})
        print(f"You predicted: {mine}.")
    elif not _static():
        print(f"You predicted nothing: run the cell of prediction {name} and choose, before you look.")
    judged = {True: " That is what you predicted.", False: " That is not what you predicted."}
    print(f"{says}: {answer}." + ("" if mine is None else judged[mine == answer]))


def kept_in(path: Path) -> Kept | None:
    """Read a file of predictions.

    Args:
        path: The file.

    Returns:
        The predictions by name; None if it is no such file, or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for prediction in found.values():
            if not isinstance(prediction["question"], str) or prediction["mine"] not in prediction["options"]:
                return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found


def _static() -> bool:
    return bool(os.environ.get("REID_LAB_STATIC"))


def _can_click() -> bool:
    """Whether this is a notebook that somebody has before them."""
    if _static() or "IPython" not in sys.modules or find_spec("ipywidgets") is None:
        return False
    from IPython import get_ipython

    return hasattr(get_ipython(), "kernel")


def _check_option(name: str, answer: str) -> None:
    options = _prediction(name)["options"]
    if answer not in options:
        raise CourseError(f"Prediction {name} has no option {answer!r}: choose one of {', '.join(map(repr, options))}.")


def _prediction(name: str) -> dict[str, Any]:
    """What is known of a prediction: from this kernel, and from the file if the question is still the same."""
    here = _asked.get(name, {})
    before = {} if _static() else (kept_in(_file()) or {}).get(name, {})
    same = not here or here["options"] == before.get("options")
    return {**(before if same else {}), **here}


def _file() -> Path:
    return runs_folder() / "predictions.json"


def _keep(name: str, mine: str) -> None:
    _asked[name]["mine"] = mine
    _change(name, _asked[name])


def _change(name: str, prediction: dict[str, Any]) -> None:
    """Write one prediction among those that are kept; a damaged file is set aside."""
    path = _file()
    with lock(path):
        kept = kept_in(path)
        if kept is None and path.exists():
            aside = _free(path)
            os.replace(path, aside)
            logging.getLogger("reid_lab").warning("%s could not be read: it is kept as %s.", path.name, aside.name)
        kept = {**(kept or {}), name: prediction}
        write_text(path, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def _free(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside


def _show_buttons(name: str) -> None:
    """The options as buttons; the one that was chosen before is marked."""
    import ipywidgets
    from IPython.display import Markdown, display

    known = _prediction(name)
    wide = ipywidgets.Layout(width="max-content")
    buttons = ipywidgets.RadioButtons(options=known["options"], value=known.get("mine"), layout=wide)
    said = ipywidgets.Label(f"Kept: {buttons.value}." if buttons.value else "Choose before you run on.")

    def keep(change: dict[str, Any]) -> None:
        if change["new"] is None:
            return
        try:
            _keep(name, change["new"])
            said.value = f"Kept: {change['new']}."
        except ReidLabError as error:  # an error in a callback would be seen by nobody
            said.value = str(error)

    buttons.observe(keep, names="value")
    display(Markdown(f"**{known['question']}**"))
    display(ipywidgets.VBox([buttons, said]))
