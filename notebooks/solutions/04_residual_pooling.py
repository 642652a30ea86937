"""Solutions of notebook 04: pooling in cells, residual pooling, the batch-hard triplet loss, the BNNeck."""

import torch
from torch import nn
from torch.nn import functional as F

from reid_lab import course, losses, methods


def pool_cells(maps, m, how):
    """Paper B's Avg(m) and Max(m): one number for each of m x m cells of every map.

    Cut each side into m equal parts. A cell covers every position that its part touches, so two
    cells share a position where a cut goes through it. Write it without torch's adaptive pooling.

    Args:
        maps: (batch, channels, h, w).
        m: the number of cells on a side.
        how: "avg" or "max".

    Returns:
        (batch, channels, m, m).
    """
    # solution
    h, w = maps.shape[2:]
    rows = []
    for i in range(m):
        top, bottom = i * h // m, -(-(i + 1) * h // m)
        cells = []
        for j in range(m):
            left, right = j * w // m, -(-(j + 1) * w // m)
            cell = maps[:, :, top:bottom, left:right]
            cells.append(cell.mean(dim=(2, 3)) if how == "avg" else cell.amax(dim=(2, 3)))
        rows.append(torch.stack(cells, dim=-1))
    return torch.stack(rows, dim=-2)
    # end


@course.forbids(F.adaptive_avg_pool2d, F._adaptive_max_pool2d)  # the latter without _ shares its code with others
def check_pool_cells(answer):
    torch.manual_seed(0)
    oracles = {"avg": F.adaptive_avg_pool2d, "max": F.adaptive_max_pool2d}
    for h, w, m in ((4, 3, 1), (8, 4, 2), (18, 9, 2), (7, 5, 3)):
        maps = torch.randn(2, 3, h, w)
        for how, oracle in oracles.items():
            found, expected = answer(maps, m, how), oracle(maps, m)
            if tuple(found.shape) != (2, 3, m, m):
                yield f"maps (2, 3, {h}, {w}) in {m} x {m} cells give (2, 3, {m}, {m}), not {tuple(found.shape)}"
                return
            if not torch.allclose(found, expected, atol=1e-5):
                i, j = ((found - expected).abs().amax(dim=(0, 1)) > 1e-5).nonzero()[0].tolist()
                where = f"the cell in row {i}, column {j}"
                yield f'{m} x {m} cells of {h} x {w} positions, "{how}": the number of {where} is wrong'
                return


def wrong_pool_cells_no_overlap(maps, m, how):
    h, w = (side // m for side in maps.shape[2:])
    cut = maps[:, :, : h * m, : w * m].unflatten(3, (m, w)).unflatten(2, (m, h))
    return cut.mean(dim=(3, 5)) if how == "avg" else cut.amax(dim=(3, 5))


def wrong_pool_cells_transposed(maps, m, how):
    return pool_cells(maps, m, how).transpose(2, 3)


def wrong_pool_cells_always_average(maps, m, how):
    return pool_cells(maps, m, "avg")


class ResidualModule(nn.Module):
    """Residual pooling: paper B, eq. 1, with two separate convolutions.

    Name them first (of the maximum) and second (of the difference). Each is an nn.Sequential of a
    1 x 1 convolution without bias, a batch norm and a ReLU.

    Args:
        channels: of the pooled maps.
        dim: of the combined feature.
    """

    def __init__(self, channels, dim):
        super().__init__()
        # solution
        self.first = self._delta(channels, dim)
        self.second = self._delta(channels, dim)

    @staticmethod
    def _delta(channels, dim):
        convolution = nn.Conv2d(channels, dim, kernel_size=1, bias=False)
        return nn.Sequential(convolution, nn.BatchNorm2d(dim), nn.ReLU())
        # end

    def forward(self, p_avg, p_max):
        """Map two pooled maps (batch, channels, m, m) to P_cont, (batch, dim, m, m)."""
        # solution
        return self.first(p_max) + self.second(p_avg - p_max)
        # end


def check_ResidualModule(answer):  # noqa: N802
    torch.manual_seed(0)
    package, module = methods.ResidualPool(6, 4), answer(6, 4)
    p_avg = torch.rand(5, 6, 2, 2)
    p_max = p_avg + torch.rand(5, 6, 2, 2)
    package(p_avg, p_max)  # moves the batch norms' statistics
    wanted, found = package.state_dict(), module.state_dict()
    shapes = {name: tuple(value.shape) for name, value in wanted.items()}
    if {name: tuple(value.shape) for name, value in found.items()} != shapes:
        different = sorted(name for name in wanted.keys() | found.keys() if name not in wanted or name not in found)
        yield (
            "first and second are each a 1 x 1 convolution without bias, a batch norm and a ReLU; "
            f"{len(wanted)} tensors are expected and {len(found)} found, and these differ: {different[:4] or 'shapes'}"
        )
        return
    module.load_state_dict(wanted)
    with torch.no_grad():
        expected, y = package.eval()(p_avg, p_max), module.eval()(p_avg, p_max)
        turned = package.first(p_max) + package.second(p_max - p_avg)
    if y.shape != expected.shape:
        yield f"pooled maps (5, 6, 2, 2) and dim = 4 give (5, 4, 2, 2), not {tuple(y.shape)}"
    elif torch.allclose(y, turned, atol=1e-5):
        yield "the difference has the sign of section 3.2's words: look at eq. 1 again"
    elif not torch.allclose(y, expected, atol=1e-5):
        yield f"with the package's weights P_cont is off by up to {(y - expected).abs().max():.2f}"


def wrong_ResidualModule_sign(channels, dim):  # noqa: N802
    module = ResidualModule(channels, dim)
    module.forward = lambda p_avg, p_max: module.first(p_max) + module.second(p_max - p_avg)
    return module


def wrong_ResidualModule_shared(channels, dim):  # noqa: N802
    module = ResidualModule(channels, dim)
    del module.second
    module.forward = lambda p_avg, p_max: module.first(p_max) + module.first(p_avg - p_max)
    return module


def wrong_ResidualModule_plain_sum(channels, dim):  # noqa: N802
    module = ResidualModule(channels, dim)
    module.forward = lambda p_avg, p_max: module.first(p_max) + module.second(p_avg)
    return module


def triplet_loss(features, pids, margin):
    """Batch-hard triplet loss, the L_Triplet of paper B's eq. 2, with Euclidean distances.

    An anchor counts only where the batch holds a positive for it: another image of its person. A
    batch shows two people at least.

    Args:
        features: (batch, ...); flatten what comes after the batch.
        pids: (batch,) identities.
        margin: how much farther the nearest negative should be than the farthest positive.

    Returns:
        The mean over the anchors that count, a scalar tensor.
    """
    # solution
    features = features.flatten(1)
    distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    same = pids[:, None] == pids[None, :]
    positives = same & ~torch.eye(len(pids), dtype=torch.bool, device=pids.device)
    farthest = distances.masked_fill(~positives, -torch.inf).amax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).amin(dim=1)
    counts = positives.any(dim=1) & (~same).any(dim=1)
    hinge = (farthest - nearest + margin).clamp(min=0)
    return hinge[counts].mean()
    # end


def check_triplet_loss(answer):
    line, people = torch.tensor([[0.0], [1.0], [4.0], [2.0], [9.0]]), torch.tensor([7, 7, 7, 3, 3])
    found = answer(line, people, 0.5)  # farthest positives 4, 3, 4, 7, 7; nearest negatives 2, 1, 2, 1, 5
    if found.shape != ():
        yield f"the loss of a batch is one number, but the answer has the shape {tuple(found.shape)}"
        return
    if abs(found - 3.3) > 1e-4:
        yield (
            "five images at 0, 1, 4 (identity 7) and 2, 9 (identity 3) on a line and a margin of 0.5 cost 2.5, 2.5, "
            f"2.5, 6.5 and 2.5, which is 3.3 on average, but the answer is {found:.3f}"
        )
        return
    far = answer(torch.tensor([[0.0], [1.0], [50.0], [52.0]]), torch.tensor([1, 1, 2, 2]), 0.5)
    if far != 0:
        yield f"where all negatives are far away no anchor pays anything, but the answer is {far:.3f}"
    torch.manual_seed(0)
    maps, pids = torch.randn(12, 4, 2, 2), torch.arange(12) // 3
    pids[0] = 9  # alone
    expected, found = losses.batch_hard_triplet(maps, pids, 0.3), answer(maps, pids, 0.3)
    if abs(found - expected) > 1e-4:
        yield (
            f"of twelve maps (4, 2, 2), one of which is alone with its identity, the package makes {expected:.4f}, the "
            f"answer {found:.4f}: an anchor without a positive does not count"
        )
    equal = torch.ones(4, 3, requires_grad=True)
    answer(equal, torch.tensor([1, 1, 2, 2]), 0.3).backward()
    if equal.grad is None or not equal.grad.isfinite().all():
        yield "where two images have equal features the gradient should be finite: what is the derivative of sqrt at 0?"


def wrong_triplet_loss_easiest(features, pids, margin):
    f = features.flatten(1)
    d, same = torch.cdist(f, f), pids[:, None] == pids
    nearest = d.masked_fill(~same | torch.eye(len(pids)).bool(), torch.inf).amin(dim=1)
    return (nearest - d.masked_fill(same, -torch.inf).amax(dim=1) + margin).clamp(min=0).mean()


def wrong_triplet_loss_no_hinge(features, pids, margin):
    f = features.flatten(1)
    d, same = torch.cdist(f, f), pids[:, None] == pids
    return (d.masked_fill(~same, 0).amax(dim=1) - d.masked_fill(same, torch.inf).amin(dim=1) + margin).mean()


def wrong_triplet_loss_lonely_anchors_count(features, pids, margin):
    f = features.flatten(1)
    d, same = torch.cdist(f, f), pids[:, None] == pids
    hardest = d.masked_fill(~same, 0).amax(dim=1) - d.masked_fill(same, torch.inf).amin(dim=1)
    return (hardest + margin).clamp(min=0).mean()


class Neck(nn.Module):
    """The BNNeck and the classifier behind it: paper B, section 4.

    The neck normalizes each component over the batch and has a trained scale. It moves nothing:
    its bias is 0 and stays 0. The classifier has no bias, and weights drawn with a standard
    deviation of 0.001.

    Args:
        dim: of the features.
        identities: the number of people in training.
    """

    def __init__(self, dim, identities):
        super().__init__()
        # solution
        self.norm = nn.BatchNorm1d(dim)
        self.norm.bias.requires_grad_(False)
        self.classifier = nn.Linear(dim, identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)
        # end

    def forward(self, features):
        """Map (batch, dim) to normalized features (batch, dim) and logits (batch, identities)."""
        # solution
        after = self.norm(features)
        return after, self.classifier(after)
        # end


def check_Neck(answer):  # noqa: N802
    torch.manual_seed(0)
    neck, features = answer(20, 500), 3 * torch.randn(64, 20) + 5
    trained = sorted(tuple(p.shape) for p in neck.parameters() if p.requires_grad)
    if trained != [(20,), (500, 20)]:
        yield (
            "for 20 components and 500 people two things are trained, the neck's scale (20,) and the classifier's "
            f"weights (500, 20), but here it is {trained}: freeze the neck's bias, give the classifier none"
        )
        return
    after, logits = neck.train()(features)
    if (after.shape, logits.shape) != ((64, 20), (64, 500)):
        yield f"64 features should give (64, 20) and (64, 500), but give {tuple(after.shape)}, {tuple(logits.shape)}"
        return
    mean, deviation = after.mean(dim=0).abs().max().item(), after.std(dim=0, correction=0).mean().item()
    if mean > 1e-4 or abs(deviation - 1) > 0.01:
        yield (
            "in training every component should have mean 0 and deviation 1 over the batch, but a mean is "
            f"{mean:.2f} and the mean deviation {deviation:.2f}"
        )
    weights = next(p for p in neck.parameters() if p.ndim == 2)
    if not 0.0009 < weights.std() < 0.0011:
        yield f"the classifier's weights should have a standard deviation of 0.001, but it is {weights.std():.4f}"
    if not torch.allclose(logits, after @ weights.T, atol=1e-6):
        yield "the classifier should see what comes out of the neck"
    neck.eval()
    if not torch.allclose(neck(features[:1])[0], neck(features)[0][:1], atol=1e-5):
        yield "in evaluation the features of an image should not depend on the other images of the batch"


def wrong_Neck_bias_is_trained(dim, identities):  # noqa: N802
    neck = Neck(dim, identities)
    neck.norm.bias.requires_grad_(True)
    return neck


def wrong_Neck_bypassed(dim, identities):  # noqa: N802
    neck = Neck(dim, identities)
    neck.forward = lambda features: (neck.norm(features), neck.classifier(features))
    return neck


def wrong_Neck_large_weights(dim, identities):  # noqa: N802
    neck = Neck(dim, identities)
    nn.init.normal_(neck.classifier.weight, std=0.1)
    return neck
