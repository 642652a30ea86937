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


def wrong_could_be_best_neighbours(means, half_width):
    from itertools import pairwise

    names = list(means)
    return [b for a, b in pairwise(names) if abs(means[a] - means[b]) <= half_width]


def wrong_could_be_best_only_one(means, half_width):
    return [max(means, key=means.get)]


def wrong_could_be_best_leaves_out_the_best(means, half_width):
    best = max(means.values())
    return [name for name, mean in means.items() if 0 < best - mean <= half_width]


def taken_of_person(mask, box):
    """The share of a person's pixels, 0..1, that a rectangle covers.

    mask  (height, width), bool: True where the person is
    box   top, left, height, width of the rectangle, in pixels
    """
    # solution
    top, left, height, width = box
    return mask[top : top + height, left : left + width].sum() / mask.sum()
    # end


def check_taken_of_person(answer):
    import numpy as np

    mask = np.zeros((8, 6), dtype=bool)
    mask[2:8, 1:3] = True  # 12 pixels of person
    cases = {
        (0, 0, 8, 6): (1.0, "the rectangle covers the whole image, so the whole person"),
        (0, 0, 2, 6): (0.0, "the rectangle lies above the person"),
        (2, 1, 3, 2): (0.5, "the rectangle covers the upper 6 of the person's 12 pixels"),
        (5, 2, 3, 4): (0.25, "the rectangle covers 12 pixels, 3 of them among the person's 12"),
    }
    for box, (expected, why) in cases.items():
        found = answer(mask, box)
        if abs(float(found) - expected) > 1e-9:
            yield f"for the box {box}: {why}. Expected {expected:g}, not {float(found):.3g}."


def wrong_taken_of_person_of_the_rectangle(mask, box):
    top, left, height, width = box
    return mask[top : top + height, left : left + width].mean()


def wrong_taken_of_person_of_the_image(mask, box):
    top, left, height, width = box
    return mask[top : top + height, left : left + width].sum() / mask.size


def wrong_taken_of_person_takes_corners(mask, box):
    top, left, bottom, right = box
    return mask[top:bottom, left:right].sum() / mask.sum()
