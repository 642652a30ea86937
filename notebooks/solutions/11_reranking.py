"""Solutions of notebook 11, with the checks that the notebook calls and the answers that they must reject."""

import numpy as np


def reciprocal_sets(distances, k):
    """The k-reciprocal neighbours of all images: a list of N sets, the i-th one is R(i, k).

    distances  (N, N) numpy array; distances[i, j] is small where images i and j are near

    N(i, k) holds image i itself and its k nearest; of equally near images the one with the lower
    index is nearer. Mind that another image can have the distance 0, too. R(i, k) holds those members
    j of N(i, k) that have i in their own N(j, k).
    """
    # solution
    images = len(distances)
    neighbours = []
    for i in range(images):
        order = np.argsort(distances[i], kind="stable")
        others = order[order != i]
        neighbours.append({i, *others[:k].tolist()})
    return [{j for j in neighbours[i] if i in neighbours[j]} for i in range(images)]
    # end


def _line(*points):
    at = np.array(points, float)
    return np.abs(at[:, None] - at)


def _same_sets(given, expected):
    try:
        return [{int(image) for image in some} for some in given] == expected
    except TypeError:
        return False


def check_reciprocal_sets(answer):
    cases = (
        ((0, 2, 3.5, 4.5), 1, [{0}, {1}, {2, 3}, {2, 3}]),
        ((0, 2, 3.5, 4.5), 2, [{0, 1}, {0, 1, 2}, {1, 2, 3}, {2, 3}]),
        ((0, 2, 3.5, 4.5), 3, [{0, 1, 2, 3}] * 4),
        ((5, 5, 5, 9), 1, [{0, 1}, {0, 1}, {2}, {3}]),
    )
    for points, k, expected in cases:
        given = answer(_line(*points), k)
        if not _same_sets(given, expected):
            yield f"for points at {points} on a line, the sets R(i, {k}) are {expected}, but you return {given}."


def wrong_reciprocal_sets_nobody_asked_back(distances, k):
    return [set(row[: k + 1].tolist()) for row in np.argsort(distances, axis=1, kind="stable")]


def wrong_reciprocal_sets_one_short(distances, k):
    return reciprocal_sets(distances, k - 1)  # the image itself fills one of the k


def wrong_reciprocal_sets_without_itself(distances, k):
    return [some - {i} for i, some in enumerate(reciprocal_sets(distances, k))]


def wrong_reciprocal_sets_first_is_itself(distances, k):
    rows = [set(row[: k + 1].tolist()) for row in np.argsort(distances, axis=1, kind="stable")]
    return [{j for j in rows[i] if i in rows[j]} for i in range(len(rows))]  # wrong where two images are alike


def expanded_sets(large, small):
    """The expanded sets R*(i) of all images: a list of N sets.

    large  list of N sets, R(i, k1)
    small  list of N sets, R(i, k1 / 2)

    Each candidate j in R(i, k1) brings R(j, k1 / 2). All of it is let in if more than 2/3 of it lies
    in R(i, k1). The sets that you are given stay as they are.
    """
    # solution
    expanded = []
    for own in large:
        found = set(own)
        for candidate in own:
            circle = small[candidate]
            if 3 * len(circle & own) > 2 * len(circle):
                found |= circle
        expanded.append(found)
    return expanded
    # end


def check_expanded_sets(answer):
    four = [{0, 1, 2, 3}, {1}, {2}, {3}, {4}]
    cases = (
        (four, [{0}, {1, 2, 3, 4}, {2}, {3}, {4}], {0, 1, 2, 3, 4}, "3 of 4 lie inside, which is more than 2/3"),
        (four, [{0}, {1, 2, 4}, {2}, {3}, {4}], {0, 1, 2, 3}, "2 of 3 lie inside, which is not more than 2/3"),
        (four, [{0}, {1}, {2}, {3}, {0, 1, 2, 3, 4}], {0, 1, 2, 3}, "image 4 is no candidate, so its set is not asked"),
        (
            [{0, 1, 2, 3}, {1}, {2}, {3}, {4}, {5}],
            [{0}, {1, 2, 3, 4}, {1, 2, 4, 5}, {3}, {4}, {5}],
            {0, 1, 2, 3, 4},
            "the set of 1 is let in, that of 2 is not: 4 lies in R*(0) by now, but not in R(0, k1), which decides",
        ),
        (
            [{0, 1}, {0, 1}, {2}, {3}],
            [{0, 1}, {0, 1, 2, 3}, {2}, {3}],
            {0, 1},
            "2 of 4 lie inside; that they are all of R(0, k1) does not count",
        ),
    )
    for large, small, expected, why in cases:
        given = answer([set(some) for some in large], [set(some) for some in small])
        if not _same_sets(given[:1], [expected]):
            yield f"with R(0, k1) = {large[0]} and the smaller sets {small}, R*(0) is {expected}: {why}, not {given}."
    large, small = [{0, 1, 2, 3}, {1}, {2}, {3}, {4}], [{0}, {1, 2, 3, 4}, {2}, {3}, {4}]
    before = [set(some) for some in large]
    answer(large, small)
    if large != before:
        yield "the sets R(i, k1) that were given have changed: make a copy before you add to a set."


def wrong_expanded_sets_no_rule(large, small):
    return [own.union(*(small[j] for j in own)) for own in large]


def wrong_expanded_sets_at_least(large, small):
    enough = [[small[j] for j in own if 3 * len(small[j] & own) >= 2 * len(small[j])] for own in large]
    return [own.union(*circles) for own, circles in zip(large, enough, strict=True)]


def wrong_expanded_sets_share_of_own(large, small):
    enough = [[small[j] for j in own if 3 * len(small[j] & own) > 2 * len(own)] for own in large]
    return [own.union(*circles) for own, circles in zip(large, enough, strict=True)]


def wrong_expanded_sets_growing(large, small):
    expanded = [set(own) for own in large]
    for i, own in enumerate(large):
        for j in sorted(own):
            if 3 * len(small[j] & expanded[i]) > 2 * len(small[j]):
                expanded[i] |= small[j]
    return expanded


def wrong_expanded_sets_in_place(large, small):
    for own in large:
        for j in sorted(own):
            if 3 * len(small[j] & own) > 2 * len(small[j]):
                own |= small[j]
    return large


def jaccard_distances(one, other):
    """The Jaccard distance of each row of `one` to each row of `other`: (n, m) numpy array, 0 to 1.

    one    (n, N) numpy array, encodings, 0 or more; each row has an entry above 0
    other  (m, N) numpy array, the same

    J = 1 - (sum of the smaller entries) / (sum of the larger entries). The rows of real encodings
    sum to 1, but these may have any sum.
    """
    # solution
    found = np.empty((len(one), len(other)))
    for i, row in enumerate(one):
        smaller = np.minimum(row, other).sum(axis=1)
        larger = np.maximum(row, other).sum(axis=1)
        found[i] = 1 - smaller / larger
    return found
    # end


def check_jaccard_distances(answer):
    one = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [2.0, 1.0, 0.0]])
    other = np.array([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
    expected = 1 - np.array([[1 / 1, 0.25 / 1.75], [0.5 / 1.5, 0 / 2], [1 / 3, 0.25 / 3.75]])
    given = np.asarray(answer(one.copy(), other.copy()), float)
    if given.shape != (3, 2):
        yield f"three rows against two rows have 3 x 2 distances, but yours have the shape {given.shape}."
        return
    for i, j in np.argwhere(~np.isclose(given, expected, atol=1e-9)):
        yield (
            f"the distance of {one[i].tolist()} and {other[j].tolist()} is {expected[i, j]:.4g}, "
            f"but you return {given[i, j]:.4g}."
        )


def wrong_jaccard_distances_of_sets(one, other):
    a, b = one[:, None] > 0, other > 0
    return 1 - (a & b).sum(2) / (a | b).sum(2)


def wrong_jaccard_distances_similarity(one, other):
    return 1 - jaccard_distances(one, other)


def wrong_jaccard_distances_of_rows_that_sum_to_one(one, other):
    smaller = np.minimum(one[:, None], other).sum(2)
    return 1 - smaller / (2 - smaller)


def wrong_jaccard_distances_transposed(one, other):
    return jaccard_distances(one, other).T
