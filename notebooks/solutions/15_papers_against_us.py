"""Solutions of the exercises of 15_papers_against_us.ipynb, and what checks them."""

import math


def corrected(p_values):
    """Holm's correction of a list of p-values, in the given order.

    With m values, the smallest is multiplied by m, the second smallest by m - 1, and so on. A corrected value is at
    most 1. It is never below the corrected value of a smaller p-value.
    """
    # solution
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, p_values[i] * (len(p_values) - rank))
        found[i] = min(1.0, largest)
    return found
    # end


def check_corrected(answer):
    cases = {
        (0.01,): [0.01],
        (0.04, 0.01): [0.04, 0.02],
        (0.02, 0.02, 0.5): [0.06, 0.06, 0.5],
        (0.9, 0.8): [1.0, 1.0],
        (0.03, 0.031, 0.001): [0.06, 0.06, 0.003],
    }
    for given, expected in cases.items():
        found = [float(value) for value in answer(list(given))]
        if len(found) != len(expected):
            yield f"of {len(given)} p-values it should give as many, but gives {len(found)}."
        elif any(abs(one - other) > 1e-9 for one, other in zip(found, expected, strict=True)):
            told = ", ".join(f"{value:g}" for value in found)
            yield f"of {given} it should give {', '.join(f'{value:g}' for value in expected)}, but gives {told}."


def wrong_corrected_bonferroni(p_values):
    return [min(1.0, len(p_values) * p) for p in p_values]


def wrong_corrected_may_fall(p_values):
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found = [0.0] * len(p_values)
    for rank, i in enumerate(order):
        found[i] = min(1.0, p_values[i] * (len(p_values) - rank))
    return found


def seeds_needed(difference, deviation, confidence=0.95):
    """The smallest number of seeds whose interval is expected to leave out 0: half its width is below the difference.

    difference  of two variants, in points; its sign does not matter
    deviation   of one run, in points, when what all variants share is taken away
    confidence  of the interval, 0.95 for a 95 % interval

    The mean of n seeds' differences has the standard error deviation * sqrt(2 / n). The interval is Student's t of
    these to both sides, with n - 1 degrees of freedom (notebook 06). At least 2 seeds are needed. Raises ValueError for
    a difference of 0.
    """
    # solution
    from scipy import stats

    if difference == 0:
        raise ValueError("no number of seeds can tell a difference of 0")
    n = 2
    while stats.t.ppf((1 + confidence) / 2, n - 1) * deviation * math.sqrt(2 / n) >= abs(difference):
        n += 1
    return n
    # end


def check_seeds_needed(answer):
    cases = {(10, 1): 3, (1.0, 1.0): 11, (-1.0, 1.0): 11, (0.5, 0.4): 8, (2, 1.1): 5}
    for (difference, deviation), expected in cases.items():
        found = answer(difference, deviation)
        if found != expected:
            yield (
                f"a difference of {difference:g} at a deviation of {deviation:g} takes {expected} seeds, not {found}. "
                "With few seeds the factor is Student's t."
            )
    if answer(1.0, 1.0, confidence=0.99) != 18:
        yield "at 99 % a difference of 1 at a deviation of 1 takes 18 seeds: use the given confidence."
    try:
        answer(0, 1.0)
        yield "for a difference of 0 it should raise a ValueError: no number of seeds can tell it."
    except ValueError:
        pass


def wrong_seeds_needed_one_sample(difference, deviation, confidence=0.95):
    if difference == 0:
        raise ValueError
    return seeds_needed(difference, deviation / math.sqrt(2), confidence)


def wrong_seeds_needed_with_sign(difference, deviation, confidence=0.95):
    if difference <= 0:
        raise ValueError("the difference must be above 0")
    return seeds_needed(difference, deviation, confidence)


def wrong_seeds_needed_factor_of_two(difference, deviation, confidence=0.95):
    """Takes a factor of 1.96, however few seeds there are."""
    if difference == 0:
        raise ValueError
    return max(2, math.floor(2 * (1.96 * deviation / difference) ** 2) + 1)
