"""Solutions of notebook 10, with the checks that the notebook calls and the answers that they must reject."""

import numpy as np


def own_camera_share(correct, first_camids, query_camids):
    """Of the wrong first answers, the share (0..1) that come from the query's own camera; None if none is wrong.

    correct       (q,) bool: is the first answer a match
    first_camids  (q,) camera of the first answer
    query_camids  (q,) camera of the query
    """
    # solution
    wrong = ~np.asarray(correct)
    if not wrong.any():
        return None
    return float((np.asarray(first_camids) == np.asarray(query_camids))[wrong].mean())
    # end


def check_own_camera_share(answer):
    cases = (
        ([False, False, True, False], [1, 2, 3, 4], [1, 2, 4, 1], 2 / 3),
        ([True, False], [1, 2], [2, 3], 0.0),
        ([False, True, True], [5, 1, 2], [5, 1, 3], 1.0),
        ([True, True], [1, 2], [3, 4], None),
    )
    for correct, first, query, expected in cases:
        given = answer(np.array(correct), np.array(first), np.array(query))
        same = given is None if expected is None else given is not None and abs(float(given) - expected) < 1e-9
        if not same:
            wrong = [place for place, right in enumerate(correct) if not right]
            own = sum(first[place] == query[place] for place in wrong)
            yield (
                f"for correct {correct}, cameras of the first answers {first} and of the queries {query}: of "
                f"{len(wrong)} wrong first answers {own} come from the query's own camera, so "
                f"{expected if expected is None else round(expected, 3)} is expected, but you return {given}."
            )


def wrong_own_camera_share(correct, first_camids, query_camids):
    return float((first_camids == query_camids).mean())  # of all answers


def wrong_own_camera_share_of_all_queries(correct, first_camids, query_camids):
    return float(((first_camids == query_camids) & ~correct).mean()) if (~correct).any() else None


def wrong_own_camera_share_nothing_wrong(correct, first_camids, query_camids):
    wrong = ~correct
    return float(((first_camids == query_camids) & wrong).sum() / max(wrong.sum(), 1))  # 0 for None


def kept_by_safe_threshold(scores, correct):
    """Of the right first answers, the share (0..1) that are more similar than every wrong first answer.

    scores   (q,) similarity of the first answer, larger is nearer
    correct  (q,) bool; at least one is True
    """
    # solution
    scores, correct = np.asarray(scores), np.asarray(correct)
    surest_mistake = scores[~correct].max(initial=-np.inf)
    return float((scores[correct] > surest_mistake).mean())
    # end


def check_kept_by_safe_threshold(answer):
    cases = (
        ([0.9, 0.8, 0.7, 0.6], [True, False, True, True], 1 / 3),
        ([0.9, 0.8], [False, True], 0.0),
        ([0.5, 0.4], [True, True], 1.0),
        ([0.7, 0.7, 0.9, 0.2], [True, False, True, False], 0.5),
        ([-0.1, -0.5, -0.3], [True, True, False], 0.5),
    )
    for scores, correct, expected in cases:
        given = answer(np.array(scores), np.array(correct))
        if given is None or not abs(float(given) - expected) < 1e-9:
            yield (
                f"for similarities {scores}, of which {correct} are right, {expected:.3g} of the right ones "
                f"are more similar than every wrong one, but you return {given}."
            )


def wrong_kept_by_safe_threshold(scores, correct):
    mistakes = scores[~correct]
    return float((scores[correct] >= mistakes.max(initial=-np.inf)).mean())  # the mistake itself passes, too


def wrong_kept_by_safe_threshold_of_all(scores, correct):
    return float((correct & (scores > scores[~correct].max(initial=-np.inf))).mean())


def wrong_kept_by_safe_threshold_lowest_mistake(scores, correct):
    return float((scores[correct] > scores[~correct].min(initial=np.inf)).mean())


def wrong_kept_by_safe_threshold_starting_at_zero(scores, correct):
    return float((scores[correct] > scores[~correct].max(initial=0)).mean())
