"""Solutions of notebook 03: a Res2Net block, the square layer, both losses, and the sampler of pairs."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from reid_lab import course, losses
from reid_lab.models.res2net import Res2NetBlock


class LadderBlock(nn.Module):
    """A Res2Net block: paper A, section II.B. Input and output are (batch, channels, h, w).

    The last split stays untouched. A batch norm follows each convolution; no convolution has a
    bias. Name the parts conv1, bn1, convs, bns, conv3, bn3 (convs and bns are nn.ModuleList), so
    that published weights would load.

    Args:
        channels: of input and output.
        width: the channels w of each split.
        scale: the number s of splits.
    """

    def __init__(self, channels, width, scale=4):
        super().__init__()
        # solution
        self.scale = scale
        self.conv1 = nn.Conv2d(channels, scale * width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(scale * width)
        self.convs, self.bns = nn.ModuleList(), nn.ModuleList()
        for _ in range(scale - 1):
            self.convs.append(nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False))
            self.bns.append(nn.BatchNorm2d(width))
        self.conv3 = nn.Conv2d(scale * width, channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        # end

    def forward(self, x):
        """Map (batch, channels, h, w) to (batch, channels, h, w)."""
        # solution
        splits = F.relu(self.bn1(self.conv1(x))).chunk(self.scale, dim=1)
        outputs = []
        for split, conv, bn in zip(splits[:-1], self.convs, self.bns, strict=True):
            if outputs:
                split = split + outputs[-1]
            outputs.append(F.relu(bn(conv(split))))
        y = torch.cat([*outputs, splits[-1]], dim=1)
        return F.relu(self.bn3(self.conv3(y)) + x)
        # end


def check_LadderBlock(answer):  # noqa: N802
    package, block = _random_block(), answer(128, 13)
    wanted, found = package.state_dict(), block.state_dict()
    missing, surplus = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or surplus:
        yield (
            f"a block of 128 channels with four splits of 13 has {len(missing)} parts too few (such as {missing[:2]}) "
            f"and {len(surplus)} too many (such as {surplus[:2]}); the names are conv1, bn1, convs, bns, conv3, bn3, "
            "and no convolution has a bias"
        )
        return
    for name, value in wanted.items():
        if value.shape != found[name].shape:
            yield (
                f"{name} should have the shape {tuple(value.shape)} where channels = 128 and width = 13, "
                f"but has {tuple(found[name].shape)}"
            )
            return
    block.load_state_dict(wanted)
    x = torch.randn(2, 128, 8, 6)
    with torch.no_grad():
        expected, y = package(x), block.eval()(x.clone())
    if y.shape != x.shape:
        yield f"an input of shape {tuple(x.shape)} should keep its shape, but the output is {tuple(y.shape)}"
    elif not torch.allclose(y, expected, atol=1e-4):
        yield (
            f"with the package's weights the output is off by up to {(y - expected).abs().max():.2f}:"
            " which splits are added, which one stays untouched, what does the shortcut add, and where are the ReLUs?"
        )
    three = answer(64, 8, scale=3)
    if len(three.convs) != 2 or three(torch.randn(2, 64, 8, 6)).shape != (2, 64, 8, 6):
        yield "with scale = 3 a block has two 3 x 3 convolutions, and the output has the shape of the input"


def _random_block():
    """The package's block of 128 channels, with batch norms that do something."""
    torch.manual_seed(0)
    block = Res2NetBlock(128, 32)
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(std=0.1)
    return block.eval()


def wrong_LadderBlock_no_ladder(*arguments, **more):  # noqa: N802
    block = LadderBlock(*arguments, **more)

    def forward(x):
        splits = F.relu(block.bn1(block.conv1(x))).chunk(block.scale, dim=1)
        outputs = [F.relu(block.bns[i](conv(splits[i]))) for i, conv in enumerate(block.convs)]
        return F.relu(block.bn3(block.conv3(torch.cat([*outputs, splits[-1]], dim=1))) + x)

    block.forward = forward
    return block


def wrong_LadderBlock_no_shortcut(*arguments, **more):  # noqa: N802
    block = LadderBlock(*arguments, **more)
    whole = block.forward
    block.forward = lambda x: F.relu(whole(x) - x)
    return block


def wrong_LadderBlock_four_convolutions(channels, width, scale=4):  # noqa: N802
    block = LadderBlock(channels, width, scale)
    block.convs.append(nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False))
    return block


def wrong_LadderBlock_with_bias(channels, width, scale=4):  # noqa: N802
    block = LadderBlock(channels, width, scale)
    block.conv1 = nn.Conv2d(channels, scale * width, kernel_size=1)
    return block


def identification_loss(logits, pids, smoothing=0.0):
    """Paper A, eqs. 1 and 2, with label smoothing; write it without torch's cross-entropy.

    It must stay finite for logits of 1000.

    Args:
        logits: (batch, identities).
        pids: (batch,), the right identities, counted from 0.
        smoothing: the share of the target that all identities share evenly.

    Returns:
        The mean over the batch, a scalar tensor.
    """
    # solution
    log_p_hat = logits - logits.logsumexp(dim=1, keepdim=True)
    p = torch.full_like(logits, smoothing / logits.shape[1])
    p[torch.arange(len(pids)), pids] += 1 - smoothing
    return -(p * log_p_hat).sum(dim=1).mean()
    # end


@course.forbids(F.cross_entropy)
def check_identification_loss(answer):
    torch.manual_seed(0)
    logits, pids = torch.randn(6, 5, requires_grad=True), torch.tensor([0, 4, 2, 2, 1, 3])
    for smoothing in (0.0, 0.1, 0.3):
        expected, found = F.cross_entropy(logits, pids, label_smoothing=smoothing), answer(logits, pids, smoothing)
        if found.shape != ():
            yield f"the loss of a batch is one number, but the answer has the shape {tuple(found.shape)}"
            return
        if abs(found - expected) > 1e-5:
            yield (
                f"six images, five identities and a smoothing of {smoothing}: torch's cross-entropy is "
                f"{expected:.4f}, the answer {found:.4f}"
            )
    if not answer(logits, pids).requires_grad:
        yield "no gradient flows from the loss to the logits: keep everything a tensor"
    large = answer(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]), torch.tensor([0, 1]))
    if not large.abs() < 1e-3:
        yield f"logits of 1000 for the right identity should cost 0, but cost {large:.1f}: does exp() overflow?"


def wrong_identification_loss_overflows(logits, pids, smoothing=0.0):
    p_hat = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    p = F.one_hot(pids, logits.shape[1]) * (1 - smoothing) + smoothing / logits.shape[1]
    return -(p * p_hat.log()).sum(dim=1).mean()


def wrong_identification_loss_summed(logits, pids, smoothing=0.0):
    return len(logits) * identification_loss(logits, pids, smoothing)


def wrong_identification_loss_others_share(logits, pids, smoothing=0.0):
    p = F.one_hot(pids, logits.shape[1]) * (1 - smoothing)
    p = p + smoothing / (logits.shape[1] - 1) * (1 - F.one_hot(pids, logits.shape[1]))
    return -(p * logits.log_softmax(dim=1)).sum(dim=1).mean()


class SquareLayer(nn.Module):
    """Compare the two images of each pair: paper A, eq. 3, and the logits of eq. 4.

    Name the linear layer that applies theta_s `classifier`; it has a bias.

    Args:
        dim: the length d of one image's features.
    """

    def __init__(self, dim):
        super().__init__()
        # solution
        self.classifier = nn.Linear(dim, 2)
        # end

    def forward(self, features):
        """Map (2B, d), B anchors and after them their B partners, to (B, 2): same, different."""
        # solution
        f1, f2 = features.chunk(2)
        f_s = (f1 - f2) ** 2
        return self.classifier(f_s)
        # end


def check_SquareLayer(answer):  # noqa: N802
    layer, features = answer(3), torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 3.0, 0.0]])
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    if shapes != {"classifier.weight": (2, 3), "classifier.bias": (2,)}:
        yield f"for features of 3 numbers the classifier needs a weight (2, 3) and a bias (2,), but there is {shapes}"
        return
    theta, bias = torch.tensor([[-0.5, -0.5, 0.0], [0.5, 0.5, 0.0]]), torch.tensor([0.25, 0.0])
    layer.load_state_dict({"classifier.weight": theta, "classifier.bias": bias})
    found = layer(features).detach()
    if tuple(found.shape) != (2, 2):
        yield f"four images are two pairs, so the logits should be (2, 2), but they are {tuple(found.shape)}"
        return
    expected = losses.square_layer(features[:2], features[2:]) @ theta.T + bias
    if not torch.allclose(found, expected):
        yield (
            "anchors (1, 2, 0.5), (0, 0, 0), partners (1, 0, 1), (0, 3, 0), weights (-0.5, -0.5, 0), (0.5, 0.5, 0) and "
            f"bias (0.25, 0) should give {expected.tolist()}, but give {found.tolist()}"
        )
    itself = layer(features[[0, 1, 0, 1]]).detach()
    if not torch.allclose(itself, bias.expand(2, 2)):
        yield f"an image beside itself should give the bias alone, (0.25, 0), but gives {itself[0].tolist()}"


def wrong_SquareLayer_not_squared(dim):  # noqa: N802
    layer = SquareLayer(dim)
    layer.forward = lambda features: layer.classifier(features.chunk(2)[0] - features.chunk(2)[1])
    return layer


def wrong_SquareLayer_neighbours(dim):  # noqa: N802
    layer = SquareLayer(dim)
    layer.forward = lambda features: layer.classifier((features[::2] - features[1::2]) ** 2)
    return layer


def wrong_SquareLayer_no_bias(dim):  # noqa: N802
    layer = SquareLayer(dim)
    layer.classifier = nn.Linear(dim, 2, bias=False)
    return layer


def verification_loss(pair_logits, pids):
    """Paper A, eqs. 4 and 5, from the logits of B pairs; write it without torch's cross-entropy.

    Args:
        pair_logits: (B, 2). Column 0 is "same" (q_1), column 1 is "different" (q_2).
        pids: (2B,), the identities of the B anchors, then those of their B partners.

    Returns:
        The mean over the pairs, a scalar tensor.
    """
    # solution
    pids1, pids2 = pids.chunk(2)
    same = pids1 == pids2
    q = torch.stack([same, ~same], dim=1).float()
    log_q_hat = pair_logits - pair_logits.logsumexp(dim=1, keepdim=True)
    return -(q * log_q_hat).sum(dim=1).mean()
    # end


@course.forbids(F.cross_entropy)
def check_verification_loss(answer):
    logits, pids = torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 1.0]]), torch.tensor([7, 7, 5, 7, 8, 5])
    expected, found = losses.verification(logits, torch.tensor([True, False, True])), answer(logits, pids)
    if found.shape != ():
        yield f"the loss of a batch is one number, but the answer has the shape {tuple(found.shape)}"
    elif abs(found - expected) > 1e-4:
        yield (
            "anchors 7, 7, 5 with partners 7, 8, 5 and logits (2, 0), (0, 3), (-1, 1) cost 0.127, 0.049 and 2.127, "
            f"{expected:.3f} on average, but the answer is {found:.3f}"
        )
    large = answer(torch.tensor([[1000.0, 0.0]]), torch.tensor([1, 1]))
    if not large.abs() < 1e-3:
        yield f"a logit of 1000 for the right answer should cost 0, but costs {large:.1f}: does exp() overflow?"


def wrong_verification_loss_classes_swapped(pair_logits, pids):
    return verification_loss(pair_logits.flip(1), pids)


def wrong_verification_loss_neighbours(pair_logits, pids):
    return losses.verification(pair_logits, pids[::2] == pids[1::2])


def wrong_verification_loss_positives_alone(pair_logits, pids):
    same = (pids.chunk(2)[0] == pids.chunk(2)[1]).float()
    return -(same * pair_logits.log_softmax(dim=1)[:, 0]).mean()


def draw_pairs(pids, pairs, positive, seed):
    """Draw one epoch of pairs: every image is an anchor once, in random order, and gets a partner.

    An image that is alone with its identity gets a partner of another identity. Anchors that do
    not fill a last batch are left out. The same seed draws the same epoch.

    Args:
        pids: the identity of each training image, an array (N,).
        pairs: the number of pairs in a batch.
        positive: the probability that a partner shows the same person, in another image.
        seed: a whole number.

    Returns:
        A list of N // pairs arrays (2 * pairs,) of image indices: the anchors, then their partners.
    """
    # solution
    random = np.random.default_rng(seed)
    anchors = random.permutation(len(pids))
    partners = np.empty_like(anchors)
    for i, anchor in enumerate(anchors):
        same = pids == pids[anchor]
        others = np.flatnonzero(~same)
        same[anchor] = False
        again = np.flatnonzero(same)
        wants_positive = random.random() < positive
        partners[i] = random.choice(again if wants_positive and len(again) else others)
    batches = []
    for first in range(0, len(anchors) - pairs + 1, pairs):
        part = slice(first, first + pairs)
        batches.append(np.concatenate([anchors[part], partners[part]]))
    return batches
    # end


def check_draw_pairs(answer):
    pids = np.array([*np.repeat(np.arange(100), 5), 999])  # a hundred people of five images, and one of a single one
    batches = answer(pids, 8, 0.3, 0)
    if len(batches) != 62 or {np.shape(batch) for batch in batches} != {(16,)}:
        yield (
            f"501 images in batches of 8 pairs make 62 batches of 16 indices, but there are {len(batches)} of shapes "
            f"{sorted({np.shape(batch) for batch in batches})}"
        )
        return
    anchors, partners = np.array(batches).reshape(62, 2, 8).transpose(1, 0, 2).reshape(2, -1)
    if len(set(anchors.tolist())) != len(anchors) or (np.diff(anchors) > 0).all():
        yield "an image should be an anchor at most once in an epoch, in random order"
    if (anchors == partners).any():
        yield f"{int((anchors == partners).sum())} anchors are their own partner: take another image of the person"
    many = np.concatenate([answer(pids, 501, 0.3, seed)[0].reshape(2, -1) for seed in range(12)], axis=1)
    positive = pids[many[0]] == pids[many[1]]
    share = 100 * positive.mean()
    if abs(share - 30) > 3:  # 6012 draws: a deviation of 0.6
        yield f"with positive = 0.3 about 30 % of the pairs should show one person, but {share:.0f} % do"
    lonely = answer(pids, 501, 1.0, 3)[0].reshape(2, -1)
    if (pids[lonely[0]] != pids[lonely[1]]).sum() != 1:
        yield "with positive = 1 every partner shows the same person, but for the image that is alone with its identity"
    pairs_of_one = len({(a, b) for a, b in many.T[positive].tolist()})
    if pairs_of_one < 0.4 * positive.sum():
        yield "the positive partner of an anchor is nearly always the same image: draw among the other images"
    found = len(np.unique(many[1][~positive]))
    if share < 90 and found < 450:
        yield f"4,200 partners of other people are always among the same {found} images of 501: draw from all of them"
    again, other = answer(pids, 8, 0.3, 0), answer(pids, 8, 0.3, 1)
    if not np.array_equal(batches, again) or np.array_equal(batches, other):
        yield "the same seed should draw the same epoch, and another seed another one"


def wrong_draw_pairs_only_positives(pids, pairs, positive, seed):
    return draw_pairs(pids, pairs, 1.0, seed)


def wrong_draw_pairs_own_partner(pids, pairs, positive, seed):
    random, batches = np.random.default_rng(seed), []
    for batch in draw_pairs(pids, pairs, positive, seed):
        anchors, partners = batch.reshape(2, -1)
        same = [np.flatnonzero(pids == pids[anchor]) for anchor in anchors]
        drawn = np.array([random.choice(indices) for indices in same])
        batches.append(np.concatenate([anchors, np.where(pids[anchors] == pids[partners], drawn, partners)]))
    return batches


def wrong_draw_pairs_chance(pids, pairs, positive, seed):
    random = np.random.default_rng(seed)
    order, partners = random.permutation(len(pids)), random.permutation(len(pids))
    steps = range(0, len(pids) - pairs + 1, pairs)
    return [np.concatenate([order[i : i + pairs], partners[i : i + pairs]]) for i in steps]


def wrong_draw_pairs_first_stranger(pids, pairs, positive, seed):
    batches = draw_pairs(pids, pairs, positive, seed)
    for batch in batches:
        for i in range(pairs):
            if pids[batch[i]] != pids[batch[pairs + i]]:
                batch[pairs + i] = np.flatnonzero(pids != pids[batch[i]])[0]
    return batches


def wrong_draw_pairs_no_seed(pids, pairs, positive, seed):
    return draw_pairs(pids, pairs, positive, 0)


def wrong_draw_pairs_next_image(pids, pairs, positive, seed):
    """The partner of the same person is always the next image of the person."""
    batches = [batch.copy() for batch in draw_pairs(pids, pairs, positive, seed)]
    for batch in batches:
        for place in range(pairs):
            anchor, partner = batch[place], batch[pairs + place]
            if pids[anchor] == pids[partner]:
                own = np.flatnonzero(pids == pids[anchor])
                batch[pairs + place] = own[(np.flatnonzero(own == anchor)[0] + 1) % len(own)]
    return batches
