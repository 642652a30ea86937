"""The losses of both papers, as functions of plain tensors.

Each model's ``loss(outputs, pids)`` adds them up as its paper does. Everything here is computed in float32,
also under autocast: a distance between two similar features does not survive bfloat16's three digits.

A function that takes labels raises TrainingError where shapes or types do not fit. It looks at no value, for which a
GPU would have to wait: labels out of range are for the caller to avoid.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from reid_lab.runtime.distributed import Gather, no_gather
from reid_lab.runtime.errors import TrainingError
from reid_lab.runtime.validation import number


@dataclass(frozen=True)
class Losses:
    """What ``model.loss(outputs, pids)`` returns. All are scalars.

    Attributes:
        total: What to minimize. It carries gradients.
        terms: Its parts by name, unweighted and detached, for the history.
        accuracy: The share of images whose identity was classified rightly.
        signs: What shows whether the training is alive, by name, without gradients. A method gives those that it has:
            "spread", how far apart features of the batch lie, and "length", how long they are (see :func:`spread`; the
            method says which features); "paying" (see :func:`paying_triplet`); "same_position". The training adds
            "gradient_norm", the length of all gradients of the step.
    """

    total: Tensor
    terms: dict[str, Tensor]
    accuracy: Tensor
    signs: dict[str, Tensor]

    def report(self) -> dict[str, Tensor]:
        """Collect what the history keeps, by name: float32 scalars without gradient."""
        told = {"loss": self.total, **self.terms, "accuracy": self.accuracy, **self.signs}
        return {name: value.detach().float() for name, value in told.items()}


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """Make a context without autocast on the tensor's device: features deserve more than bfloat16's 3 digits."""
    device = tensor.device.type
    known = torch.amp.is_autocast_available(device)  # the meta device, which counts operations, has none
    return torch.autocast(device, enabled=False) if known else nullcontext()


def identification(logits: Tensor, pids: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross-entropy over the training identities: paper A, eqs. 1 and 2; paper B, L_CE of eq. 2.

    Args:
        logits: (batch, identities).
        pids: (batch,) identities, counted from 0.
        smoothing: The share of the target, from 0 to 1, that label smoothing spreads evenly over all identities.

    Returns:
        The mean over the batch, a scalar.

    Raises:
        TrainingError: Shapes or types do not fit, or ``smoothing`` is out of its range.
    """
    _check("logits", logits, pids, logits.ndim == 2, "(batch, identities)")
    number("smoothing", smoothing, 0, 1, TrainingError)
    identities = logits.shape[1]
    p = F.one_hot(pids.long(), identities).float()  # (batch, identities): p_t = 1, all other p_i = 0
    p = (1 - smoothing) * p + smoothing / identities
    log_p_hat = F.log_softmax(logits.float(), dim=1)  # A eq. 1: p^ = softmax(theta_I o f)
    return -(p * log_p_hat).sum(dim=1).mean()  # A eq. 2: sum_i -p_i log p^_i


def square_layer(f1: Tensor, f2: Tensor) -> Tensor:
    """Element-wise squared difference of two feature vectors, (batch, d) each: paper A, eq. 3."""
    return (f1.float() - f2.float()) ** 2  # A eq. 3: f_s = (f_1 - f_2)^2


def verification(pair_logits: Tensor, same: Tensor) -> Tensor:
    """Cross-entropy over {same, different}: paper A, eqs. 4 and 5.

    Args:
        pair_logits: (pairs, 2). Class 0 is "same" (q_1), class 1 is "different" (q_2).
        same: (pairs,), true where both images show one person.

    Returns:
        The mean over the pairs, a scalar.

    Raises:
        TrainingError: Shapes or types do not fit.
    """
    _check("pair logits", pair_logits, same, pair_logits.shape[1:] == (2,), "(pairs, 2)")
    same = same.bool()
    q = torch.stack([same, ~same], dim=1).float()  # (pairs, 2): same q = (1, 0), different q = (0, 1)
    log_q_hat = F.log_softmax(pair_logits.float(), dim=1)  # A eq. 4: q^ = softmax(theta_s o f_s)
    return -(q * log_q_hat).sum(dim=1).mean()  # A eq. 5: sum_i -q_i log q^_i


def batch_hard_triplet(features: Tensor, pids: Tensor, margin: float) -> Tensor:
    """Triplet loss on each anchor's farthest positive and nearest negative: paper B, L_Triplet of eq. 2.

    The distance is Euclidean. The batch-hard choice is that of Hermans, Beyer and Leibe, "In Defense of the Triplet
    Loss for Person Re-Identification" (2017).

    Args:
        features: (batch, d), or any map (batch, ...), which is flattened.
        pids: (batch,) identities.
        margin: How much farther the nearest negative should be than the farthest positive.

    Returns:
        The mean over the anchors that have a positive and a negative in the batch, a scalar. The others are left
        out. A batch without any gives 0, with zero gradients.

    Raises:
        TrainingError: Shapes or types do not fit.
    """
    return paying_triplet(features, pids, margin)[0]


def paying_triplet(features: Tensor, pids: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Compute :func:`batch_hard_triplet`, and how many of its anchors still pay.

    An anchor pays where its hinge is above 0: its nearest negative is not yet farther than its farthest positive by the
    margin. The others teach the network nothing.

    Returns:
        Two scalars: the loss; and the share of anchors that pay among those that have a positive and a negative,
        without gradient, 0 where there are none.
    """
    _check("features", features, pids, features.ndim > 1, "(batch, d)")
    features = features.flatten(1).float()  # (batch, d)
    hardest_positive, hardest_negative, usable = _hardest(features.detach(), pids)
    d_positive = _distance(features, features[hardest_positive])  # (batch,)
    d_negative = _distance(features, features[hardest_negative])  # (batch,)
    hinge = F.relu(d_positive - d_negative + margin)
    anchors = usable.sum().clamp(min=1)
    paying = (hinge.detach() > 0) & usable  # (batch,)
    return (hinge * usable).sum() / anchors, paying.sum() / anchors


def soft_margin_triplet(features: Tensor, pids: Tensor) -> Tensor:
    """Batch-hard triplet loss without a margin: each anchor pays log(1 + exp(d_positive - d_negative)).

    The distances are those of :func:`batch_hard_triplet`. The loss has no end: an anchor whose nearest negative is far
    away still pays a little. Where all features are alike, the loss is ln 2.

    Source: Hermans, Beyer and Leibe, "In Defense of the Triplet Loss for Person Re-Identification" (2017), who call it
    the soft margin.

    Args:
        features: (batch, d), or any map (batch, ...), which is flattened.
        pids: (batch,) identities.

    Returns:
        The mean over the anchors that have a positive and a negative in the batch, a scalar; 0 where there are none.

    Raises:
        TrainingError: Shapes or types do not fit.
    """
    _check("features", features, pids, features.ndim > 1, "(batch, d)")
    features = features.flatten(1).float()  # (batch, d)
    hardest_positive, hardest_negative, usable = _hardest(features.detach(), pids)
    d_positive = _distance(features, features[hardest_positive])  # (batch,)
    d_negative = _distance(features, features[hardest_negative])  # (batch,)
    return (F.softplus(d_positive - d_negative) * usable).sum() / usable.sum().clamp(min=1)


def _hardest(features: Tensor, pids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Per anchor the index of its farthest positive and nearest negative, and whether it has both."""
    same = pids[:, None] == pids[None, :]  # (batch, batch)
    positive = same & ~torch.eye(len(pids), dtype=torch.bool, device=pids.device)
    distances = torch.cdist(features, features)  # (batch, batch), float32 also under autocast
    farthest = distances.masked_fill(~positive, -torch.inf).argmax(dim=1)
    nearest = distances.masked_fill(same, torch.inf).argmin(dim=1)
    return farthest, nearest, positive.any(dim=1) & (~same).any(dim=1)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distance row by row. The clamp gives two equal rows the gradient 0 instead of 0/0."""
    return ((a - b) ** 2).sum(dim=1).clamp(min=1e-12).sqrt()


def accuracy(logits: Tensor, pids: Tensor) -> Tensor:
    """Take the share of images whose largest logit is their own identity.

    Args:
        logits: (batch, identities).
        pids: (batch,) identities, counted from 0.

    Returns:
        A scalar without gradient.

    Raises:
        TrainingError: Shapes or types do not fit.
    """
    _check("logits", logits, pids, logits.ndim == 2, "(batch, identities)")
    return (logits.detach().argmax(dim=1) == pids).float().mean()


def _check(name: str, rows: Tensor, labels: Tensor, fits: bool, wanted: str) -> None:
    """Raise TrainingError unless the rows fit, are at least one, and have a whole number or a truth value each."""
    whole = not (labels.is_floating_point() or labels.is_complex())
    if not fits or labels.shape != rows.shape[:1] or not len(labels) or not whole:
        raise TrainingError(
            f"The {name} have shape {tuple(rows.shape)}, their labels {tuple(labels.shape)} in {labels.dtype}: pass "
            f"{wanted}, at least one row, and a vector with one whole number for each."
        )


@torch.no_grad()
def spread(features: Tensor) -> tuple[Tensor, Tensor]:
    """Measure how far apart the features of a batch lie, and how long they are.

    Where the first is a tiny part of the second, or of a triplet's margin, all distances are alike: the features have
    collapsed.

    Args:
        features: (batch, d), or any map (batch, ...), which is flattened.

    Returns:
        Two scalars, root mean squares: of the distances within the batch, and of the lengths.
    """
    x = features.flatten(1).float()  # (batch, d)
    centered = x - x.mean(dim=0)
    return (2 * centered.square().sum(dim=1).mean()).sqrt(), x.square().sum(dim=1).mean().sqrt()


@torch.no_grad()
def same_position(maps: Tensor, gather: Gather = no_gather) -> Tensor:
    """Find the position of the map at which most maxima lie, and take its share of all of them.

    Each channel of each image has one maximum. Equal ones share it, and a channel that is the same everywhere has none.
    Where the largest share is near 1, max pooling looks at one place, such as a corner at the padding, whatever the
    image shows.

    Args:
        maps: What is pooled over the whole of it: (batch, c, h, w).
        gather: Puts the rows of all processes together, where several share the batch.

    Returns:
        A scalar from 1 / (h w) to 1. It is 0 where no channel has a maximum.
    """
    at = maps == maps.amax(dim=(2, 3), keepdim=True)  # (batch, c, h, w)
    equal = at.sum(dim=(2, 3), keepdim=True)  # (batch, c, 1, 1)
    vote = (equal < maps[0, 0].numel()) / equal  # 0 where the channel is the same everywhere
    votes = gather((at * vote).sum(dim=(0, 1))[None]).sum(dim=0)  # (h, w)
    return votes.max() / votes.sum().clamp(min=1)


def soft_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy to soft targets, such as a teacher's answer: every identity has a share of each image.

    Args:
        logits: (batch, identities).
        target: (batch, identities), probabilities; each row sums to 1. Gradients flow into it, too: a teacher that
            shall not learn from its pupil is detached by the caller.

    Returns:
        The mean over the batch, a scalar.

    Raises:
        TrainingError: Shapes do not fit.
    """
    if logits.ndim != 2 or logits.shape != target.shape or not len(logits):
        raise TrainingError(
            f"The logits have shape {tuple(logits.shape)}, their targets {tuple(target.shape)}: pass both as "
            "(batch, identities), with at least one row."
        )
    return -(target.float() * F.log_softmax(logits.float(), dim=1)).sum(dim=1).mean()
