"""Plain, slow versions of what the package computes fast: definitions written down one query at a time, in
float64."""

import numpy as np


def evaluate(distances, query_pids, gallery_pids, query_camids, gallery_camids):
    """CMC, mAP, trapezoid mAP and mINP as common toolkits compute them: sort, drop junk, walk down the
    list."""
    order = np.argsort(distances, axis=1, kind="stable")
    accuracies, aps, trapezoids, inps = [], [], [], []
    for i in range(len(distances)):
        pids, camids = gallery_pids[order[i]], gallery_camids[order[i]]
        same_camera = (pids == query_pids[i]) & (camids == query_camids[i]) & (query_camids[i] != -1)
        correct = (pids == query_pids[i])[~same_camera & (pids != -1)]
        if not correct.any():
            continue
        # Equation 7 of paper A: 1 if the top k hold the query's identity.
        accuracies.append([float(correct[: k + 1].any()) for k in range(min(50, len(correct)))])
        aps.append(step_ap(correct))
        trapezoids.append(trapezoid_ap(correct))
        inps.append(correct.sum() / (1 + np.flatnonzero(correct)[-1]))
    width = max(map(len, accuracies))
    cmc = np.mean([row + [1.0] * (width - len(row)) for row in accuracies], axis=0)
    return (
        cmc,
        sum(aps) / len(aps),
        sum(trapezoids) / len(trapezoids),
        sum(inps) / len(inps),
    )  # equation 6 of paper A


def step_ap(correct):
    """Mean, over the matches, of the precision at each."""
    found, total = 0, 0.0
    for place, is_match in enumerate(correct):
        if is_match:
            found += 1
            total += found / (place + 1)
    return total / found


def trapezoid_ap(correct):
    """Area under precision over recall, by trapezoids: the Oxford buildings' and Market-1501's own
    evaluation."""
    matches = correct.sum()
    old_recall, old_precision, area, found = 0.0, 1.0, 0.0, 0
    for place, is_match in enumerate(correct):
        found += is_match
        recall, precision = found / matches, found / (place + 1)
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


def pairwise_squared(features, others):
    """Squared Euclidean distances in float64, difference by difference."""
    return np.stack([((others - row) ** 2).sum(1) for row in np.asarray(features, dtype=np.float64)])


def rerank(squared, queries, k1=20, k2=6, lam=0.3, dtype=np.float64):
    """The published k-reciprocal re-ranking, dense, with a stable sort.

    squared  (N, N) squared Euclidean distances, the first `queries` rows and columns being the queries
    """
    count = len(squared)
    original = (squared / squared.max(axis=0)).T.astype(dtype)
    encodings = np.zeros((count, count), dtype)
    ranking = np.argsort(original, axis=1, kind="stable")
    for i in range(count):
        own = _reciprocal(ranking, i, k1)
        expanded = own
        for candidate in own:
            theirs = _reciprocal(ranking, candidate, int(np.around(k1 / 2)))
            if len(np.intersect1d(theirs, own)) > 2 / 3 * len(theirs):
                expanded = np.append(expanded, theirs)
        expanded = np.unique(expanded)
        weights = np.exp(-original[i, expanded])
        encodings[i, expanded] = weights / weights.sum()
    if k2 != 1:
        encodings = np.stack([encodings[ranking[i, :k2]].mean(axis=0) for i in range(count)])

    jaccard = np.zeros((queries, count), dtype)
    having = [np.flatnonzero(encodings[:, i]) for i in range(count)]
    for i in range(queries):
        minima = np.zeros(count, dtype)
        for k in np.flatnonzero(encodings[i]):
            minima[having[k]] += np.minimum(encodings[i, k], encodings[having[k], k])
        jaccard[i] = 1 - minima / (2 - minima)
    return ((1 - lam) * jaccard + lam * original[:queries])[:, queries:]


def _reciprocal(ranking, i, k):
    forward = ranking[i, : k + 1]
    backward = ranking[forward, : k + 1]
    return forward[np.where(backward == i)[0]]
