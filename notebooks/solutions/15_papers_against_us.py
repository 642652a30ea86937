"""Solutions of the exercises of 15_papers_against_us.ipynb, and what checks them."""


def error_removed(before, after):
    """The share of the errors that is gone when a score in percent goes from `before` to `after`; negative if it falls.

    From 80 to 90 % half of the errors are gone. A score of 100 % has none to lose: 0.
    """
    # solution
    return (after - before) / (100 - before) if before < 100 else 0.0
    # end


def check_error_removed(answer):
    for (before, after), expected in {(80, 90): 0.5, (90.0, 92.5): 0.25, (50, 25): -0.5, (98, 99): 0.5}.items():
        if abs(answer(before, after) - expected) > 1e-9:
            yield f"from {before} to {after} % the share of errors gone is {expected:g}, not {answer(before, after):g}."
    try:
        if answer(100, 100) != 0:
            yield "from 100 to 100 % there is no error to remove: 0."
    except ZeroDivisionError:
        yield "a score of 100 % leaves no errors, and dividing by them is an error of its own: return 0."


def wrong_error_removed_relative_gain(before, after):
    return (after - before) / before


def wrong_error_removed_of_what_is_left(before, after):
    return (after - before) / (100 - after) if after < 100 else 0.0


def left_open(settings):
    """How many recipe fields a paper states, and how many it does not: (stated, silent or contradictory).

    `settings` is a frame as `papers.settings("A")` gives it, with a column "status".
    """
    # solution
    stated = int((settings["status"] == "stated").sum())
    return stated, len(settings) - stated
    # end


def check_left_open(answer):
    import pandas as pd

    frame = pd.DataFrame({"status": ["stated", "silent", "contradicts itself", "silent"]})
    found = tuple(answer(frame))
    if found != (1, 3):
        yield f"of stated, silent, contradicts itself, silent one is stated and three are open: (1, 3), not {found}."
    if tuple(answer(frame[:1])) != (1, 0):
        yield "one stated field: (1, 0)."


def wrong_left_open_counts_silence_only(settings):
    return int((settings["status"] == "stated").sum()), int((settings["status"] == "silent").sum())


def wrong_left_open_all(settings):
    return len(settings), len(settings)
