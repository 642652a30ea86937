"""Solutions of the exercises of 07_erasing_ablation.ipynb, and what checks them."""


def could_be_best(means, half_width):
    """The variants that these runs cannot tell from the best one: a list, in the order of `means`.

    means       {name: mean score}, such as {0.0: 30.1, 0.5: 28.4}
    half_width  of the interval of a difference of two means, in the same unit

    A variant is told from the best where its mean lies more than `half_width` below the highest.
    """
    # solution
    best = max(means.values())
    return [name for name, mean in means.items() if best - mean <= half_width]
    # end


def check_could_be_best(answer):
    means = {0.0: 28.0, 0.2: 30.0, 0.5: 33.0, 1.0: 20.0}
    for half_width, expected in ((0.0, [0.5]), (3.0, [0.2, 0.5]), (5.0, [0.0, 0.2, 0.5]), (50.0, [0.0, 0.2, 0.5, 1.0])):
        found = answer(means, half_width)
        if list(found) != expected:
            yield (
                f"of {means} with a half width of {half_width:g} these could be the best: {expected}, not {found}. "
                "Compare every mean with the highest, which could itself be the best."
            )
    if list(answer({1.0: 5.0, 0.0: 5.0}, 1.0)) != [1.0, 0.0]:
        yield "of {1.0: 5.0, 0.0: 5.0} both could be the best, in this order: [1.0, 0.0]. Keep the order of `means`."


def wrong_could_be_best_neighbors(means, half_width):
    from itertools import pairwise

    names = list(means)
    return [b for a, b in pairwise(names) if abs(means[a] - means[b]) <= half_width]


def wrong_could_be_best_only_one(means, half_width):
    return [max(means, key=means.get)]


def wrong_could_be_best_leaves_out_the_best(means, half_width):
    best = max(means.values())
    return [name for name, mean in means.items() if 0 < best - mean <= half_width]


def narrowing(before, after):
    """By how much a gap narrowed from `before` to `after`: the mean over the seeds, and the deviation of that mean.

    before, after  arrays (2, seeds): scores without erasing in row 0, with erasing in row 1; a column is a seed

    A seed's gap is its score without erasing less its score with it. The deviation of a mean of n numbers is
    s / sqrt(n), where s is their deviation with n - 1 as divisor.
    """
    # solution
    narrowed = (before[0] - before[1]) - (after[0] - after[1])
    return narrowed.mean(), narrowed.std(ddof=1) / len(narrowed) ** 0.5
    # end


def check_narrowing(answer):
    import numpy as np

    before = np.array([[30.0, 34.0, 38.0, 35.0], [20.0, 26.0, 31.0, 30.0]])  # gaps 10, 8, 7, 5
    after = np.array([[45.0, 50.0, 54.0, 49.0], [41.0, 45.0, 52.0, 46.0]])  # gaps 4, 5, 2, 3
    for seeds, told in ((3, "6, 3 and 5"), (4, "6, 3, 5 and 2")):
        each = np.array([6.0, 3.0, 5.0, 2.0])[:seeds]
        expected = each.mean(), each.std(ddof=1) / seeds**0.5
        mean, deviation = map(float, answer(before[:, :seeds].copy(), after[:, :seeds].copy()))
        if abs(mean - expected[0]) > 1e-6:
            yield (
                f"the gaps of {seeds} seeds narrow by {told}, on average by {expected[0]:.3f}, not {mean:.3f}. "
                "Take what each seed's gap was before, less what it is after."
            )
        elif abs(deviation - expected[1]) > 1e-6:
            yield (
                f"the gaps of {seeds} seeds narrow by {told}; the deviation of their mean is {expected[1]:.3f}, not "
                f"{deviation:.3f}. Take the deviation of these {seeds} numbers alone, with {seeds - 1} as divisor, "
                f"and divide it by the root of {seeds}."
            )


def wrong_narrowing_widens(before, after):
    mean, deviation = narrowing(before, after)
    return -mean, deviation


def wrong_narrowing_as_if_unpaired(before, after):
    squares = sum(scores.var(ddof=1) for scores in (*before, *after))
    return narrowing(before, after)[0], (squares / before.shape[1]) ** 0.5


def wrong_narrowing_of_one_seed(before, after):
    mean, deviation = narrowing(before, after)
    return mean, deviation * before.shape[1] ** 0.5


def wrong_narrowing_of_all_there_is(before, after):
    narrowed = (before[0] - before[1]) - (after[0] - after[1])
    return narrowed.mean(), narrowed.std() / len(narrowed) ** 0.5
