"""Solutions of the exercises of 17_reading_a_paper.ipynb, and what checks them."""

import pandas as pd


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


def undominated(table):
    """The rows that no other row beats.

    table  a pandas frame of scores, one row for each method; higher is better in every column

    A row is beaten if another row is at least as high in every column and higher in one. Rows with equal scores do not
    beat each other. Missing scores (NaN) beat nothing and count as lowest.

    Returns the list of the rows' labels, in the table's order.
    """
    # solution
    filled = table.fillna(float("-inf"))
    kept = []
    for label, row in filled.iterrows():
        at_least, above = (filled >= row).all(axis=1), (filled > row).any(axis=1)
        if not (at_least & above).any():
            kept.append(label)
    return kept
    # end


def check_undominated(answer):
    table = pd.DataFrame(
        {"rank-1": [80, 90, 85, 90, 70], "mAP": [70, 60, 65, 60, None]}, index=["a", "b", "c", "d", "e"]
    )
    found, expected = list(answer(table)), ["a", "b", "c", "d"]
    if found != expected:
        yield (
            f"of rank-1 80, 90, 85, 90, 70 and mAP 70, 60, 65, 60, none the rows {', '.join(expected)} should stay "
            f"(b and d are equal), but {', '.join(map(str, found)) or 'none'} do."
        )
    partly = pd.DataFrame({"rank-1": [90.0, 80.0], "rank-5": [None, 95.0]}, index=["a", "b"])
    if list(answer(partly)) != ["a", "b"]:
        yield "a row with a missing score is not beaten by a row whose other scores are lower: keep it."
    chain = pd.DataFrame({"rank-1": [1, 2, 3], "mAP": [1, 2, 3]}, index=["a", "b", "c"])
    if list(answer(chain)) != ["c"]:
        yield f"of three rows, each above the one before in both columns, only c should stay, not {answer(chain)}."


def wrong_undominated_best_of_a_column(table):
    return sorted({table[column].idxmax() for column in table})


def wrong_undominated_equal_rows_beat_each_other(table):
    filled = table.fillna(float("-inf"))
    return [label for label, row in filled.iterrows() if (filled >= row).all(axis=1).sum() == 1]


def wrong_undominated_without_gaps(table):
    return undominated(table.dropna())
