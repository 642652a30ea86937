"""Solutions of the exercises of 07_erasing_ablation.ipynb, and what checks them."""

import math


def careful_rectangle(mask, most, area, random):
    """Draw a rectangle for random erasing that spares most of the person.

    The rectangle covers a random share of the image, uniform between the two of `area`. Its height / width is uniform
    between 0.3 and 3.33. It lies inside the image, and every position at which it fits is equally likely. A rectangle
    that does not fit, or that takes more than the share `most` of the person's pixels, is drawn again as a whole.

    Args:
        mask: Where the person is, a Boolean array (height, width).
        most: The largest share of the person that may be erased, from 0 to 1.
        area: The smallest and the largest share of the image, such as (0.02, 0.4).
        random: A NumPy generator, such as `np.random.default_rng(0)`.

    Returns:
        (top, left, height, width) in pixels; None if a hundred draws gave no such rectangle.
    """
    # solution
    rows, columns = mask.shape
    for _ in range(100):
        pixels = random.uniform(*area) * rows * columns
        aspect = random.uniform(0.3, 3.33)
        height, width = round(math.sqrt(pixels * aspect)), round(math.sqrt(pixels / aspect))
        if not (1 <= height <= rows and 1 <= width <= columns):
            continue
        top = int(random.integers(0, rows - height + 1))
        left = int(random.integers(0, columns - width + 1))
        taken = mask[top : top + height, left : left + width].sum()
        if taken <= most * mask.sum():
            return top, left, height, width
    return None
    # end


def check_careful_rectangle(answer):
    import numpy as np

    person = np.zeros((40, 20), bool)
    person[8:34, 6:14] = True
    random = np.random.default_rng(3)
    free = [answer(person, 1.0, (0.1, 0.3), random) for _ in range(600)]
    if not all(free):
        yield "with most = 1 every rectangle that fits is allowed, so a hundred draws find one; there was a None."
        return
    for top, left, height, width in free:
        if not (min(top, left) >= 0 and top + height <= 40 and left + width <= 20 and min(height, width) >= 1):
            yield f"the rectangle {(top, left, height, width)} leaves an image of 40 x 20; draw it again instead."
            return
    shares = [height * width / 800 for _, _, height, width in free]
    if not (min(shares) > 0.08 and max(shares) < 0.33 and 0.14 < sum(shares) / len(shares) < 0.24):
        yield (
            f"with the area (0.1, 0.3) the rectangles cover {min(shares):.0%} to {max(shares):.0%} of the image, on "
            f"average {sum(shares) / len(shares):.0%}. Height x width should be the share that was drawn."
        )
    aspects = [height / width for _, _, height, width in free]
    if not (min(aspects) < 0.7 and max(aspects) > 2.5):
        yield f"height / width goes from {min(aspects):.2f} to {max(aspects):.2f} only: draw it from 0.3 to 3.33."
    if not any(top + height == 40 for top, _, height, _ in free) or not any(top == 0 for top, *_ in free):
        yield "no rectangle touches the upper or the lower edge: every position at which it fits is equally likely."
    for room in ([t / (40 - h) for t, _, h, _ in free if h < 40], [x / (20 - w) for _, x, _, w in free if w < 20]):
        if not (0.42 < np.mean(room) < 0.58 and 0.2 < np.std(room) < 0.45):
            yield "the rectangles crowd at one side: every position at which one fits is equally likely, sideways too."
    careful = [answer(person, 0.2, (0.1, 0.3), random) for _ in range(300)]
    found = [box for box in careful if box]
    taken = [person[y : y + h, x : x + w].sum() / person.sum() for y, x, h, w in found]
    if not found or max(taken) > 0.2 + 1e-9:
        yield (
            f"with most = 0.2 a rectangle takes {max(taken, default=1):.0%} of the person. Compare the person's pixels "
            "inside it with all pixels of the person, and draw again where they are too many."
        )
    far = np.zeros((40, 20), bool)
    far[17:23, 7:13] = True
    boxes = [box for box in (answer(far, 0.2, (0.1, 0.3), random) for _ in range(300)) if box]
    taken_far = [far[y : y + h, x : x + w].sum() / far.sum() for y, x, h, w in boxes]
    if taken_far and max(taken_far) > 0.2 + 1e-9:
        yield (
            f"of a small person, 36 of 800 pixels, a rectangle takes {max(taken_far):.0%} with most = 0.2. The "
            "share is one of the person's pixels, not of the rectangle's."
        )
    if found and sum(taken) / len(taken) < 0.02:
        yield "with most = 0.2 the rectangles hardly touch the person; up to a fifth of the person is allowed."
    if answer(np.ones((40, 20), bool), 0.01, (0.1, 0.3), random) is not None:
        yield "if the person fills the whole image, no rectangle takes 1 % of it or less: return None."


def wrong_careful_rectangle_takes_what_comes(mask, most, area, random):
    """Does not look at the person."""
    return careful_rectangle(mask, 1.0, area, random)


def wrong_careful_rectangle_measures_the_rectangle(mask, most, area, random):
    """Compares the person's pixels with those of the rectangle."""
    for _ in range(100):
        box = careful_rectangle(mask, 1.0, area, random)
        top, left, height, width = box
        if mask[top : top + height, left : left + width].mean() <= most:
            return box
    return None


def wrong_careful_rectangle_is_cut_at_the_edge(mask, most, area, random):
    """Lets a rectangle begin anywhere, and cuts off what does not fit."""
    rows, columns = mask.shape
    for _ in range(100):
        _, _, height, width = careful_rectangle(mask, 1.0, area, random)
        top, left = int(random.integers(0, rows)), int(random.integers(0, columns))
        height, width = min(height, rows - top), min(width, columns - left)
        if mask[top : top + height, left : left + width].sum() <= most * mask.sum():
            return top, left, height, width
    return None


def wrong_careful_rectangle_is_square(mask, most, area, random):
    """Draws no aspect."""
    rows, columns = mask.shape
    for _ in range(100):
        side = round(math.sqrt(random.uniform(*area) * rows * columns))
        top, left = int(random.integers(0, rows - side + 1)), int(random.integers(0, columns - side + 1))
        if mask[top : top + side, left : left + side].sum() <= most * mask.sum():
            return top, left, side, side
    return None


def wrong_careful_rectangle_stays_at_the_left(mask, most, area, random):
    for _ in range(100):
        box = careful_rectangle(mask, 1.0, area, random)
        if box is not None:
            top, _, height, width = box
            if mask[top : top + height, :width].sum() <= most * mask.sum():
                return top, 0, height, width
    return None


def difference_of_differences(runs, first, second):
    """By how much one difference is larger than another, by the seeds that all four variants have.

    Args:
        runs: A data frame with the columns "variant", "seed" and "mAP", one row per run, in any order.
        first: Two labels (one, other). The first difference is the score of `one` minus that of `other`.
        second: The two labels of the second difference.

    Returns:
        (points, half_width, seeds): the first difference minus the second, on average over the seeds; half the width of
        its 95 % interval by these seeds alone; how many seeds there are.

    Raises:
        ValueError: The four variants have fewer than two seeds in common.
    """
    # solution
    from scipy import stats

    scores = runs.pivot(index="seed", columns="variant", values="mAP")
    scores = scores[[*first, *second]].dropna()
    seeds = len(scores)
    if seeds < 2:
        raise ValueError(f"The four variants have {seeds} seeds in common, and an interval takes two.")
    gaps = (scores.iloc[:, 0] - scores.iloc[:, 1]) - (scores.iloc[:, 2] - scores.iloc[:, 3])
    factor = stats.t.ppf(0.975, seeds - 1)
    return gaps.mean(), factor * gaps.std(ddof=1) / math.sqrt(seeds), seeds
    # end


def _runs():
    import pandas as pd

    scores = {"a": [30, 34, 38, 35], "b": [20, 26, 31, 30], "c": [45, 50, 54, 49], "d": [41, 45, 52, 46], "e": [9]}
    rows = [(name, seed, float(score)) for name, found in scores.items() for seed, score in enumerate(found)]
    rows += [("a", 8, 90.0), ("b", 8, 10.0), ("e", 1, 5.0)]
    return pd.DataFrame(rows, columns=["variant", "seed", "mAP"]).sample(frac=1, random_state=0)


def check_difference_of_differences(answer):
    import pandas as pd
    from scipy import stats

    runs = _runs()
    for first, second, each in (
        (("a", "b"), ("c", "d"), (6, 3, 5, 2)),
        (("d", "c"), ("b", "a"), (6, 3, 5, 2)),
        (("e", "a"), ("b", "e"), (-32, -50)),
    ):
        gaps = pd.Series(each, dtype=float)
        half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / math.sqrt(len(gaps))
        points, half_width, seeds = answer(runs.copy(), first, second)
        told = f"for {first} and {second} the seeds' differences of differences are {', '.join(map(str, each))}"
        if seeds != len(each):
            yield f"{told}: {len(each)} seeds, not {seeds}. Use a seed only if all four variants have it."
        elif abs(points - gaps.mean()) > 1e-6:
            yield f"{told}, on average {gaps.mean():g}, not {points:.3g}. Subtract within a seed, first minus second."
        elif abs(half_width - half) > 1e-6:
            yield (
                f"{told}, and the half width is {half:.2f}, not {half_width:.2f}. It is an interval of these "
                f"{len(each)} numbers, as on the page of notebook 06."
            )
    try:
        answer(runs[runs["seed"] == 0], ("a", "b"), ("c", "d"))
    except ValueError:
        return
    yield "one common seed gives no interval: raise a ValueError."


def wrong_difference_of_differences_of_the_means(runs, first, second):
    """Uses all runs of each variant, whether or not the others have the seed."""
    points, half_width, seeds = difference_of_differences(runs, first, second)
    means = runs.groupby("variant")["mAP"].mean()
    return means[first[0]] - means[first[1]] - means[second[0]] + means[second[1]], half_width, seeds


def wrong_difference_of_differences_as_if_unpaired(runs, first, second):
    """Adds the variances of the four variants."""
    from scipy import stats

    points, _, seeds = difference_of_differences(runs, first, second)
    scores = runs.pivot(index="seed", columns="variant", values="mAP")[[*first, *second]].dropna()
    return points, stats.t.ppf(0.975, seeds - 1) * math.sqrt(scores.var(ddof=1).sum() / seeds), seeds


def wrong_difference_of_differences_turned_round(runs, first, second):
    """Takes the second difference minus the first."""
    points, half_width, seeds = difference_of_differences(runs, first, second)
    return -points, half_width, seeds
