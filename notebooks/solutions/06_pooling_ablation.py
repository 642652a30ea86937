"""Solutions of the exercises of 06_pooling_ablation.ipynb, and what checks them."""


def seeds_needed(gap, deviation):
    """How many seeds each of two variants needs until a difference of `gap` points is as large as the half width.

    The interval's half width is 2 x `deviation` x sqrt(2 / seeds), `deviation` being that of one run. At least 2.
    """
    # solution
    import math

    return max(2, math.ceil(2 * (2 * deviation / gap) ** 2))
    # end


def check_seeds_needed(answer):
    cases = {(5.0, 3.0): 3, (3.0, 3.0): 8, (1.0, 3.0): 72, (20.0, 1.0): 2}
    for (gap, deviation), expected in cases.items():
        found = answer(gap, deviation)
        if found != expected:
            yield (
                f"for a gap of {gap:g} points and a deviation of {deviation:g} it takes {expected} seeds, not {found}: "
                "solve 2 x deviation x sqrt(2 / seeds) = gap for the seeds, round up, and take 2 where it is fewer."
            )


def wrong_seeds_needed_rounds_down(gap, deviation):
    return int(2 * (2 * deviation / gap) ** 2)


def wrong_seeds_needed_forgets_the_second_variant(gap, deviation):
    import math

    return max(2, math.ceil((2 * deviation / gap) ** 2))


def reversed_share(one, other):
    """The share of pairs (a run of `one`, a run of `other`) in which the run of the LOWER mean scores higher.

    `one` and `other` are lists of scores, one per seed.
    """
    # solution
    low, high = sorted([one, other], key=lambda scores: sum(scores) / len(scores))
    return sum(a > b for a in low for b in high) / (len(low) * len(high))
    # end


def check_reversed_share(answer):
    if abs(answer([1, 2, 3], [4, 5, 6])) > 1e-9:
        yield "where every run of one variant beats every run of the other, no pair is in the wrong order: 0."
    if abs(answer([1, 5], [2, 6]) - 0.25) > 1e-9:
        yield "of the 4 pairs of [1, 5] and [2, 6] one is in the wrong order (5 > 2): 0.25. Every run meets every run."
    for pair in (([40, 50], [45, 47]), ([45, 47], [40, 50])):
        if abs(answer(*pair) - 0.5) > 1e-9:
            yield f"for {pair[0]} and {pair[1]} 2 of the 4 pairs are in the wrong order: 0.5, not {answer(*pair):g}."
    if abs(answer([10, 20, 60], [25, 30, 32]) - 6 / 9) > 1e-9:
        yield "[10, 20, 60] has the higher mean, and loses six of its nine pairs with [25, 30, 32]: 0.667."


def wrong_reversed_share_depends_on_the_arguments(one, other):
    return sum(a > b for a in one for b in other) / (len(one) * len(other))


def wrong_reversed_share_by_seed(one, other):
    low, high = sorted([one, other], key=sum)
    return sum(a > b for a, b in zip(low, high, strict=True)) / len(low)
