"""Solutions of notebook 10, with the checks that the notebook calls and the answers that they must reject."""

import numpy as np


def choose_rows(ap, count, how, seed=0):
    """Choose the queries that a gallery shows: a list of indices.

    ap     (q,) numpy array, average precision of each query, 0..1; NaN: the query has no match, and
           is never shown
    count  how many; where there are fewer with an AP, all of them
    how    "best": the highest AP first; "worst": the lowest first; "spread": evenly over the
           ranking of queries, from the best to the worst, both included; "lot": drawn at random,
           nobody twice, the same ones for the same seed
    seed   of the drawing

    Of queries with the same AP the one with the lower index comes first. Any other `how` is a
    ValueError.
    """
    # solution
    known = np.flatnonzero(~np.isnan(ap))
    count = min(count, len(known))
    from_best = known[np.argsort(-ap[known], kind="stable")]
    if how == "best":
        return from_best[:count].tolist()
    if how == "worst":
        return known[np.argsort(ap[known], kind="stable")][:count].tolist()
    if how == "spread":
        return from_best[np.linspace(0, len(known) - 1, count).astype(int)].tolist()
    if how == "lot":
        return np.random.default_rng(seed).choice(known, count, replace=False).tolist()
    raise ValueError(f"how is {how!r}: choose best, worst, spread or lot")
    # end


def check_choose_rows(answer):
    ap = np.array([0.5, np.nan, 0.9, 0.1, 0.9, 0.7])
    cases = (
        ("best", 2, [2, 4]),
        ("best", 3, [2, 4, 5]),
        ("worst", 2, [3, 0]),
        ("worst", 4, [3, 0, 5, 2]),
        ("spread", 3, [2, 5, 3]),
        ("spread", 2, [2, 3]),
        ("best", 9, [2, 4, 5, 0, 3]),
    )
    for how, count, expected in cases:
        given = [int(i) for i in answer(ap.copy(), count, how)]
        if given != expected:
            yield f"of the APs {ap.tolist()} the {count} rows for {how!r} are {expected}, but you return {given}."
    yield from _wrong_lots(answer, ap)
    try:
        answer(ap.copy(), 2, "nicest")
    except ValueError:
        return
    yield "a word that is not one of the four, such as 'nicest', must raise a ValueError."


def _wrong_lots(answer, ap):
    many = np.linspace(0, 1, 200)
    one, again, other = (list(answer(many, 20, "lot", seed)) for seed in (0, 0, 1))
    if one != again:
        yield "the same seed must draw the same rows: use a generator of your own, made from the seed."
    if one == other:
        yield "seeds 0 and 1 draw the same rows: the seed is not used."
    ten = [sorted(int(i) for i in answer(many, 20, "lot", seed)) for seed in range(10)]
    if sum(max(rows) - min(rows) < 100 for rows in ten) > 5:
        yield "the rows of a lot always stand close together: draw them from all queries."
    if {int(i) for i in answer(many, 4, "spread")} & {0, 199} != {0, 199}:
        yield "spread evenly over 200 queries, 4 rows include the best and the worst of them."
    if any(len(set(answer(many, 20, "lot", seed))) != 20 for seed in range(10)):
        yield "drawn by lot, nobody may come twice, but some of the 20 rows that were asked for are the same."
    if any(np.isnan(ap[int(i)]) for seed in range(20) for i in answer(ap.copy(), 3, "lot", seed)):
        yield "a query without a match (its AP is NaN) was drawn: leave such queries out first."


def wrong_choose_rows_nan_first(ap, count, how, seed=0):
    order = np.argsort(ap)  # NaN stands at the end, and so comes first when turned round
    rows = {"best": order[::-1][:count], "worst": order[:count]}
    rows["spread"] = order[::-1][np.linspace(0, len(order) - 1, count).astype(int)]
    rows["lot"] = np.random.default_rng(seed).choice(len(ap), count, replace=False)
    return rows[how].tolist()


def wrong_choose_rows_always_the_same_lot(ap, count, how, seed=0):
    return choose_rows(ap, count, how, 0)


def wrong_choose_rows_with_replacement(ap, count, how, seed=0):
    if how == "lot":
        return np.random.default_rng(seed).choice(np.flatnonzero(~np.isnan(ap)), count).tolist()
    return choose_rows(ap, count, how, seed)


def wrong_choose_rows_any_word(ap, count, how, seed=0):
    return choose_rows(ap, count, how if how in ("worst", "spread", "lot") else "best", seed)


def wrong_choose_rows_neighbours(ap, count, how, seed=0):
    """A lot that is a run of neighbouring queries."""
    if how != "lot":
        return choose_rows(ap, count, how, seed)
    known = np.flatnonzero(~np.isnan(ap))
    first = np.random.default_rng(seed).integers(len(known))
    return [int(known[(first + place) % len(known)]) for place in range(min(count, len(known)))]


def wrong_choose_rows_never_the_worst(ap, count, how, seed=0):
    """Evenly spread from the best query on, in whole steps that need not reach the worst one."""
    if how != "spread":
        return choose_rows(ap, count, how, seed)
    ordered = choose_rows(ap, len(ap), "best")
    return ordered[:: max(1, len(ordered) // max(count, 1))][:count]


def errors_against_chance(query, gallery, query_pids, gallery_pids, first):
    """How often wrong first answers share an attribute with their query, and random images do.

    query, gallery            (q,) and (g,) numpy arrays, the attribute, say a jacket's colour
    query_pids, gallery_pids  (q,) and (g,) numpy arrays, the identities
    first                     (q,) numpy array, index in the gallery of each query's first answer

    Two numbers, 0..1. Both are means over the queries whose first answer is wrong; a random image is
    any one of the gallery that does not show the query's person. (None, None) if no first answer is
    wrong.
    """
    # solution
    wrong = np.flatnonzero(gallery_pids[first] != query_pids)
    if len(wrong) == 0:
        return None, None
    shared = query[wrong] == gallery[first[wrong]]
    chances = []
    for i in wrong:
        others = gallery_pids != query_pids[i]
        chances.append((gallery[others] == query[i]).mean())
    return float(shared.mean()), float(np.mean(chances))
    # end


def check_errors_against_chance(answer):
    query, query_pids = np.array(["red", "blue", "red"]), np.array([1, 2, 3])
    gallery = np.array(["red", "red", "blue", "green", "red"])
    gallery_pids = np.array([1, 3, 2, 4, 4])
    cases = (
        (
            [1, 0, 1],
            (0.5, (2 / 4 + 0) / 2),
            "queries 0 and 1 are answered wrongly, one of them in its colour",
        ),
        ([4, 2, 1], (1.0, 2 / 4), "query 0 alone is answered wrongly, by an image in its colour"),
        (
            [0, 3, 0],
            (0.5, (0 + 2 / 4) / 2),
            "queries 1 and 2 are answered wrongly, one of them in its colour",
        ),
    )
    for first, expected, why in cases:
        arrays = [values.copy() for values in (query, gallery, query_pids, gallery_pids)]
        given = answer(*arrays, np.array(first))
        try:
            near = len(given) == 2 and np.allclose(np.array(given, float), expected, atol=1e-9)
        except (TypeError, ValueError):
            near = False
        if not near:
            yield (
                f"{why}; images of other people share it with a chance of {expected[1]:.3g}, so the answer is "
                f"{tuple(round(value, 3) for value in expected)}, but you return {given}."
            )
    given = answer(query, gallery, query_pids, gallery_pids, np.array([0, 2, 1]))
    if given is None or tuple(given) != (None, None):
        yield f"where no first answer is wrong there is nothing to explain: (None, None), not {given}."


def wrong_errors_against_chance_whole_gallery(query, gallery, query_pids, gallery_pids, first):
    wrong = gallery_pids[first] != query_pids
    if not wrong.any():
        return None, None
    chance = (query[wrong, None] == gallery).mean()  # the person's own images are counted, too
    return float((query == gallery[first])[wrong].mean()), float(chance)


def wrong_errors_against_chance_all_queries(query, gallery, query_pids, gallery_pids, first):
    others = gallery_pids != query_pids[:, None]
    chance = ((query[:, None] == gallery) & others).sum(1) / others.sum(1)
    return float((query == gallery[first]).mean()), float(chance.mean())


def wrong_errors_against_chance_nothing_wrong(query, gallery, query_pids, gallery_pids, first):
    shared, chance = errors_against_chance(query, gallery, query_pids, gallery_pids, first)
    return (0.0, 0.0) if shared is None else (shared, chance)


def strictest_threshold(scores, correct, rate):
    """The lowest threshold that at most the share `rate` of the wrong answers pass, and its price.

    scores   (q,) numpy array, similarity of each first answer, larger is nearer; an answer passes if
             its score is the threshold or more
    correct  (q,) numpy array of bool; at least one is True and at least one is False
    rate     0..1

    Returns two numbers: the threshold, which is one of the scores, or infinity if none of them is
    strict enough; and the share of the right first answers that pass.
    """
    # solution
    best = np.inf
    for threshold in np.unique(scores)[::-1]:  # from the strictest to the loosest
        if (scores[~correct] >= threshold).mean() > rate:
            break
        best = threshold
    return float(best), float((scores[correct] >= best).mean())
    # end


def check_strictest_threshold(answer):
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    correct = np.array([True, False, True, False, True, False])
    cases = (
        (scores, correct, 0.0, (0.9, 1 / 3)),
        (scores, correct, 0.34, (0.7, 2 / 3)),
        (scores, correct, 0.3, (0.9, 1 / 3)),
        (scores, correct, 1.0, (0.4, 1.0)),
        (np.array([0.7, 0.7, 0.9, 0.2]), np.array([True, False, True, False]), 0.0, (0.9, 0.5)),
        (np.array([0.7, 0.7, 0.9, 0.2]), np.array([True, False, True, False]), 0.5, (0.7, 1.0)),
        (np.array([0.5, 0.9]), np.array([True, False]), 0.2, (np.inf, 0.0)),
        (np.array([-0.1, -0.5, -0.3]), np.array([True, True, False]), 0.0, (-0.1, 0.5)),
    )
    for some, right, rate, expected in cases:
        given = answer(some.copy(), right.copy(), rate)
        try:
            near = len(given) == 2 and np.allclose(np.array(given, float), expected, atol=1e-9)
        except (TypeError, ValueError):
            near = False
        if not near:
            yield (
                f"for similarities {some.tolist()}, of which {right.tolist()} are right, and a rate of {rate:g} the "
                f"threshold is {expected[0]:g}, and {expected[1]:.3g} of the right answers pass; you return {given}."
            )


def wrong_strictest_threshold_strictly_above(scores, correct, rate):
    best = np.inf
    for threshold in np.unique(scores)[::-1]:
        if (scores[~correct] > threshold).mean() > rate:  # the mistake at the threshold passes, too
            break
        best = threshold
    return float(best), float((scores[correct] >= best).mean())


def wrong_strictest_threshold_of_all(scores, correct, rate):
    best = np.inf
    for threshold in np.unique(scores)[::-1]:
        if ((scores >= threshold) & ~correct).mean() > rate:  # a share of all first answers
            break
        best = threshold
    return float(best), float((scores[correct] >= best).mean())


def wrong_strictest_threshold_of_no_score(scores, correct, rate):
    best = float(np.quantile(scores[~correct], 1 - rate))
    return best, float((scores[correct] >= best).mean())
