"""Solutions of the exercises of 06_pooling_ablation.ipynb, and what checks them."""

import math


def paired_interval(one, other):
    """Compare two variants by the seeds that both have, and by nothing else.

    Args:
        one: The scores of a variant, {seed: score}.
        other: The scores of another variant; it may have been trained with other seeds, too.

    Returns:
        (points, half_width): how far `one` lies above `other` on average, and half the width of the 95 % interval.
        With a single common seed the half width is `math.inf`.

    Raises:
        ValueError: The two have no seed in common.
    """
    # solution
    from scipy import stats

    common = sorted(set(one) & set(other))
    if not common:
        raise ValueError("The two variants have no seed in common.")
    differences = [one[seed] - other[seed] for seed in common]
    count = len(differences)
    points = sum(differences) / count
    if count == 1:
        return points, math.inf
    squares = sum((difference - points) ** 2 for difference in differences)
    deviation = math.sqrt(squares / (count - 1))
    factor = stats.t.ppf(0.975, count - 1)
    return points, factor * deviation / math.sqrt(count)
    # end


def check_paired_interval(answer):
    from scipy import stats

    one = {0: 30.0, 1: 34.0, 2: 41.0, 5: 36.0}
    other = {5: 33.0, 2: 39.0, 1: 33.0, 0: 25.0, 7: 90.0}
    for seeds in ((0, 1), (0, 1, 2), (0, 1, 2, 5)):
        some = {seed: one[seed] for seed in seeds}
        told = stats.ttest_rel(list(some.values()), [other[seed] for seed in seeds]).confidence_interval()
        points, half_width = map(float, answer(dict(some), dict(other)))
        differences = [some[seed] - other[seed] for seed in seeds]
        if abs(points - sum(differences) / len(seeds)) > 1e-6:
            yield (
                f"of the differences {differences}, seed by seed, the mean is {sum(differences) / len(seeds):.3f}, not "
                f"{points:.3f}. Pair the scores by their seed, and leave out a seed that only one of the two has."
            )
        elif abs(half_width - (told.high - told.low) / 2) > 1e-6:
            yield (
                f"the differences {differences} have a half width of {(told.high - told.low) / 2:.3f}, not "
                f"{half_width:.3f}. Look at steps 2 and 3 of the page: divisor n - 1, root of n, Student's t."
            )
    if tuple(map(float, answer({3: 5.0, 4: 7.0}, {4: 6.0}))) != (1.0, math.inf):
        yield "with one common seed the points are its difference, and the half width is math.inf: nobody knows s."
    try:
        answer({0: 1.0}, {1: 1.0})
    except ValueError:
        return
    yield "without a common seed there is nothing to compare: raise a ValueError."


def wrong_paired_interval_by_place(one, other):
    """Pairs the scores as they stand in the two dictionaries."""
    pairs = dict(enumerate(zip(one.values(), other.values(), strict=False)))
    return paired_interval({i: a for i, (a, _) in pairs.items()}, {i: b for i, (_, b) in pairs.items()})


def wrong_paired_interval_two_deviations(one, other):
    """Takes the factor 2, however few seeds there are."""
    from scipy import stats

    points, half_width = paired_interval(one, other)
    count = len(set(one) & set(other))
    return points, half_width / stats.t.ppf(0.975, count - 1) * 2 if count > 1 else math.inf


def wrong_paired_interval_without_the_root(one, other):
    """Gives the interval of one difference instead of that of their mean."""
    points, half_width = paired_interval(one, other)
    return points, half_width * math.sqrt(len(set(one) & set(other)))


def share_separated(gap, deviation, seeds, random):
    """Simulate how often an experiment finds a difference that is really there.

    An experiment has two variants and `seeds` common seeds. A run scores what its variant and its seed are worth, plus
    chance: a normal random number with the standard deviation `deviation`, of its own in every run. One variant is
    truly `gap` points better. The experiment finds the difference where the 95 % interval of the seeds' own
    differences leaves out 0.

    Args:
        gap: The true difference, in points.
        deviation: The standard deviation of a run, in points.
        seeds: How many seeds an experiment has, 2 or more.
        random: A NumPy generator, such as `np.random.default_rng(0)`.

    Returns:
        The share of 4,000 simulated experiments that find the difference, from 0 to 1.
    """
    # solution
    from scipy import stats

    experiments = 4000
    one = gap + random.normal(0, deviation, (experiments, seeds))
    other = random.normal(0, deviation, (experiments, seeds))
    differences = one - other  # what a seed is worth would cancel here
    points = differences.mean(axis=1)
    spread = differences.std(axis=1, ddof=1)
    half_widths = stats.t.ppf(0.975, seeds - 1) * spread / math.sqrt(seeds)
    return float((abs(points) > half_widths).mean())
    # end


def check_share_separated(answer):
    import numpy as np
    from scipy import stats

    wrong_way = np.mean([float(answer(-2, 1, 5, np.random.default_rng(seed))) for seed in range(3)])
    if wrong_way < 0.5:
        yield "an interval that lies below 0 leaves out 0, too: count both sides."
    for gap, deviation, seeds in ((0, 2, 3), (2, 2, 3), (1, 1, 8), (2, 2, 8), (3, 1, 5)):
        shift, factor = gap / deviation * math.sqrt(seeds / 2), stats.t.ppf(0.975, seeds - 1)
        exact = 1 - stats.nct.cdf(factor, seeds - 1, shift) + stats.nct.cdf(-factor, seeds - 1, shift)
        found = float(answer(gap, deviation, seeds, np.random.default_rng(1)))
        if abs(found - exact) > 0.04:
            yield (
                f"with a gap of {gap}, a deviation of {deviation} and {seeds} seeds, {exact:.0%} of all experiments "
                f"find the difference, not {found:.0%}. Both variants' runs have chance, and the factor is Student's t."
            )
    if answer(1.0, 1.0, 4, np.random.default_rng(1)) == answer(1.0, 1.0, 4, np.random.default_rng(2)):
        yield "two generators gave the same share: draw every random number from `random`, and 4,000 experiments."


def wrong_share_separated_one_variant_is_fixed(gap, deviation, seeds, random):
    """Draws chance for one of the two variants only."""
    return share_separated(gap, deviation / math.sqrt(2), seeds, random)


def wrong_share_separated_with_a_factor_of_two(gap, deviation, seeds, random):
    """Takes two deviations instead of Student's t."""
    differences = random.normal(gap, deviation * math.sqrt(2), (4000, seeds))
    half_widths = 2 * differences.std(axis=1, ddof=1) / math.sqrt(seeds)
    return float((abs(differences.mean(axis=1)) > half_widths).mean())


def wrong_share_separated_always_the_same(gap, deviation, seeds, random):
    """Makes a generator of its own."""
    import numpy as np

    return share_separated(gap, deviation, seeds, np.random.default_rng(7))


def wrong_share_separated_in_favour_only(gap, deviation, seeds, random):
    from scipy import stats

    one, other = random.normal(0, deviation, (2, 4000, seeds))
    found = gap + one - other
    half = stats.t.ppf(0.975, seeds - 1) * found.std(axis=1, ddof=1) / math.sqrt(seeds)
    return float((found.mean(axis=1) > half).mean())
