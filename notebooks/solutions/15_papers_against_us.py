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


def seeds_needed(difference, deviation, z=1.96):
    """The smallest number of seeds whose interval is narrower than the difference.

    difference  of two variants, in points; its sign does not matter
    deviation   of one run, in points, when what all variants share is taken away

    The mean of n seeds' differences has the standard error deviation * sqrt(2 / n). The interval is z of these to both
    sides. At least 2 seeds are needed. Raises ValueError for a difference of 0.
    """
    # solution
    if difference == 0:
        raise ValueError("no number of seeds can tell a difference of 0")
    n = 2
    while z * deviation * math.sqrt(2 / n) >= abs(difference):
        n += 1
    return n
    # end


def check_seeds_needed(answer):
    cases = {(10, 1): 2, (1.0, 1.0): 8, (-1.0, 1.0): 8, (0.5, 0.4): 5, (2, 1.1): 3}
    for (difference, deviation), expected in cases.items():
        found = answer(difference, deviation)
        if found != expected:
            yield f"a difference of {difference:g} at a deviation of {deviation:g} takes {expected} seeds, not {found}."
    if answer(1.0, 1.0, z=2.58) != 14:
        yield "with z = 2.58 (99 %) a difference of 1 at a deviation of 1 takes 14 seeds: use the given z."
    try:
        answer(0, 1.0)
        yield "for a difference of 0 it should raise a ValueError: no number of seeds can tell it."
    except ValueError:
        pass


def wrong_seeds_needed_one_sample(difference, deviation, z=1.96):
    if difference == 0:
        raise ValueError
    return max(2, math.floor((z * deviation / abs(difference)) ** 2) + 1)


def wrong_seeds_needed_with_sign(difference, deviation, z=1.96):
    if difference <= 0:
        raise ValueError("the difference must be above 0")
    return max(2, math.floor(2 * (z * deviation / difference) ** 2) + 1)
