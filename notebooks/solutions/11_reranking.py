"""Solutions of notebook 11, with the checks that the notebook calls and the answers that they must reject."""


def reciprocal_set(neighbors, i, k):
    """R(i, k): the images among the k nearest of i that have i among their own k nearest, and i itself, ascending.

    neighbors  list of lists: neighbors[j] has all images in order of nearness to j, j itself first
    """
    # solution
    return sorted(j for j in neighbors[i][: k + 1] if i in neighbors[j][: k + 1])
    # end


_LINE = [[0, 1, 2, 3], [1, 2, 0, 3], [2, 3, 1, 0], [3, 2, 1, 0]]  # four points on a line at 0, 2, 3.5, 4.5


def check_reciprocal_set(answer):
    for i, k, expected in ((1, 1, [1]), (2, 1, [2, 3]), (0, 2, [0, 1]), (2, 2, [1, 2, 3]), (0, 3, [0, 1, 2, 3])):
        given = answer([list(row) for row in _LINE], i, k)
        try:
            same = list(given) == expected
        except TypeError:
            same = False
        if not same:
            yield f"for points at 0, 2, 3.5 and 4.5 on a line, R({i}, {k}) is {expected}, but you return {given}."


def wrong_reciprocal_set(neighbors, i, k):
    return sorted(neighbors[i][: k + 1])  # nobody is asked back


def wrong_reciprocal_set_one_short(neighbors, i, k):
    return sorted(j for j in neighbors[i][:k] if i in neighbors[j][:k])  # the image itself fills a place


def wrong_reciprocal_set_without_itself(neighbors, i, k):
    return sorted(j for j in neighbors[i][1 : k + 1] if i in neighbors[j][1 : k + 1])


def wrong_reciprocal_set_either(neighbors, i, k):
    return sorted(j for j in range(len(neighbors)) if j in neighbors[i][: k + 1] or i in neighbors[j][: k + 1])


def jaccard_distance(one, other):
    """1 - (sum of the smaller weights) / (sum of the larger weights) over all images of both.

    one, other  dictionaries, image: weight above 0; an image that is missing weighs 0
    """
    # solution
    images = set(one) | set(other)
    smaller = sum(min(one.get(image, 0), other.get(image, 0)) for image in images)
    larger = sum(max(one.get(image, 0), other.get(image, 0)) for image in images)
    return 1 - smaller / larger
    # end


def check_jaccard_distance(answer):
    cases = (
        ({1: 0.5, 2: 0.5}, {1: 0.5, 2: 0.5}, 0.0),
        ({1: 1.0}, {2: 1.0}, 1.0),
        ({1: 0.75, 2: 0.25}, {1: 0.25, 3: 0.75}, 6 / 7),
        ({1: 2.0, 2: 1.0}, {1: 1.0, 2: 1.0}, 1 / 3),
    )
    for one, other, expected in cases:
        given = answer(dict(one), dict(other))
        if not isinstance(given, int | float) or abs(given - expected) > 1e-9:
            yield f"the distance of {one} and {other} is {expected:.4g}, but you return {given}."


def wrong_jaccard_distance(one, other):
    return 1 - len(set(one) & set(other)) / len(set(one) | set(other))  # of the sets, without weights


def wrong_jaccard_distance_similarity(one, other):
    return 1 - jaccard_distance(one, other)


def wrong_jaccard_distance_of_rows_that_sum_to_one(one, other):
    smaller = sum(min(one.get(image, 0), other.get(image, 0)) for image in one)
    return 1 - smaller / (2 - smaller)


def wrong_jaccard_distance_shared_only(one, other):
    shared = set(one) & set(other)
    if not shared:
        return 1.0
    return 1 - sum(min(one[i], other[i]) for i in shared) / sum(max(one[i], other[i]) for i in shared)


def added(own, circle):
    """What a candidate's circle R(j, k1 / 2) adds to R(i, k1): its members that are new, if more than 2/3 of the
    circle are in R(i, k1) already, else nothing.

    own, circle  sets of images; returns a set
    """
    # solution
    return circle - own if 3 * len(circle & own) > 2 * len(circle) else set()
    # end


def check_added(answer):
    cases = (
        ({0, 1, 2, 3}, {1, 2, 3, 9}, {9}),
        ({0, 1, 2}, {1, 2, 9}, set()),
        ({0, 1, 2, 3, 4}, {7, 8, 9}, set()),
        ({0, 1}, {0, 1}, set()),
        ({0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 8}, {8}),
        ({0, 1, 2, 3}, {0, 1, 2, 3, 7, 8}, set()),
    )
    for own, circle, expected in cases:
        given = answer(set(own), set(circle))
        if given != expected:
            inside = f"{len(own & circle)} of {len(circle)}"
            yield f"with R(i, k1) = {own}, the circle {circle} has {inside} inside and adds {expected}, not {given}."


def wrong_added(own, circle):
    return circle - own  # no rule


def wrong_added_at_least(own, circle):
    return circle - own if 3 * len(circle & own) >= 2 * len(circle) else set()  # "at least" for "more than"


def wrong_added_share_of_own(own, circle):
    return circle - own if 3 * len(circle & own) > 2 * len(own) else set()


def wrong_added_whole_circle(own, circle):
    return circle if 3 * len(circle & own) > 2 * len(circle) else set()
