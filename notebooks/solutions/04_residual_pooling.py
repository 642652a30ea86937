"""Solutions of notebook 04: eq. 1 as matrix products, the cells of adaptive pooling, the hardest triplet."""

import torch


def contrast(p_avg, p_max, w1, w2):
    """Paper B, eq. 1, with two bias-free linear convolutions.

    p_avg and p_max are (batch, channels), the weights w1 (of the maximum) and w2 (of the difference) are
    (dim, channels). Returns (batch, dim). No loop is needed.
    """
    # solution
    return p_max @ w1.T + (p_avg - p_max) @ w2.T
    # end


def check_contrast(answer):
    p_avg, p_max = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 5.0]])
    one, two = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 10.0]])
    found = answer(p_avg, p_max, one, two)
    if not isinstance(found, torch.Tensor) or tuple(found.shape) != (1, 1):
        yield "for one image and weights (1, 2) a tensor of shape (1, 1) is expected, (batch, dim)"
        return
    if found.item() == 33:
        yield "the difference has the sign of section 3.2's words; eq. 1 takes average minus maximum"
    elif found.item() != -27:
        yield (
            "Pavg (1, 2), Pmax (3, 5), w1 (1, 0) and w2 (0, 10) should give 3 + 10 * (2 - 5) = -27, "
            f"but gave {found.item():g}"
        )
    more = answer(torch.ones(4, 3), torch.ones(4, 3), torch.ones(2, 3), torch.ones(2, 3))
    if tuple(more.shape) != (4, 2):
        yield f"four images and weights (2, 3) should give (batch, dim) = (4, 2), but gave {tuple(more.shape)}"
    elif not torch.equal(more, torch.full((4, 2), 3.0)):
        yield "where average and maximum are equal, only w1 counts: four images of three ones and w1 of ones give 3"


def wrong_contrast_sign(p_avg, p_max, w1, w2):
    return p_max @ w1.T + (p_max - p_avg) @ w2.T


def wrong_contrast_shared(p_avg, p_max, w1, w2):
    return p_max @ w1.T + (p_avg - p_max) @ w1.T


def wrong_contrast_transposed(p_avg, p_max, w1, w2):
    return w1 @ p_max.T + w2 @ (p_avg - p_max).T


def cells_of(size, m):
    """The m cells of a side of ``size`` positions: a list of m pairs (first, last + 1).

    Cell i goes from i * size / m, rounded down, to (i + 1) * size / m, rounded up: cells_of(9, 2) is
    [(0, 5), (4, 9)]. Use whole numbers only.
    """
    # solution
    return [(i * size // m, -(-(i + 1) * size // m)) for i in range(m)]
    # end


def check_cells_of(answer):
    expected = {
        (8, 2): [(0, 4), (4, 8)],
        (9, 2): [(0, 5), (4, 9)],
        (7, 3): [(0, 3), (2, 5), (4, 7)],
        (5, 1): [(0, 5)],
    }
    for (size, m), cells in expected.items():
        found = [tuple(cell) for cell in answer(size, m)]
        if found != cells:
            yield f"{size} positions in {m} cells should be {cells}, but the answer is {found}"


def wrong_cells_of_cut(size, m):
    return [(i * size // m, (i + 1) * size // m) for i in range(m)]


def wrong_cells_of_one_more(size, m):
    return [(i * size // m, (i + 1) * size // m + 1) for i in range(m)]


def hardest(distances, pids, anchor):
    """The batch-hard triplet of one anchor: (its farthest positive, its nearest negative), as two ints.

    distances is (batch, batch), pids (batch,), anchor an index. A positive has the anchor's identity and is not the
    anchor; a negative has another identity.
    """
    # solution
    same = pids == pids[anchor]
    positives = same.clone()
    positives[anchor] = False
    farthest = distances[anchor].masked_fill(~positives, -torch.inf).argmax()
    nearest = distances[anchor].masked_fill(same, torch.inf).argmin()
    return int(farthest), int(nearest)
    # end


def check_hardest(answer):
    pids = torch.tensor([7, 7, 7, 3, 3])
    line = torch.tensor([0.0, 1.0, 4.0, 2.0, 9.0])  # where the five images lie on a line
    distances = (line[:, None] - line[None, :]).abs()
    where = "five images at 0, 1, 4 (identity 7) and 2, 9 (identity 3) on a line"
    for anchor, expected in {0: (2, 3), 1: (2, 3), 2: (0, 3), 3: (4, 1), 4: (3, 2)}.items():
        found = tuple(int(index) for index in answer(distances, pids, anchor))
        if found != expected:
            yield f"of {where}, anchor {anchor} should get {expected} (positive, negative), but the answer is {found}"
            return
    found = tuple(int(index) for index in answer(torch.zeros(3, 3), torch.tensor([1, 1, 2]), 0))
    if found != (1, 2):
        yield (
            "where all distances are 0, image 0 of identities (1, 1, 2) should get (1, 2), "
            f"but the answer is {found}: is the anchor its own positive?"
        )


def wrong_hardest_easiest(distances, pids, anchor):
    same = pids == pids[anchor]
    row = distances[anchor]
    return int(row.masked_fill(~same, torch.inf).argmin()), int(row.masked_fill(same, -torch.inf).argmax())


def wrong_hardest_own_positive(distances, pids, anchor):
    same = pids == pids[anchor]
    row = distances[anchor]
    return int(row.masked_fill(~same, -torch.inf).argmax()), int(row.masked_fill(same, torch.inf).argmin())


def wrong_hardest_without_identities(distances, pids, anchor):
    order = distances[anchor].argsort()
    return int(order[-1]), int(order[1])
