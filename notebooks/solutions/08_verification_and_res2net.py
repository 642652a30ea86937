"""Solutions of the exercises of 08_verification_and_res2net.ipynb, and what checks them."""


def receptive_fields(blocks):
    """Find out which parts of the image the paths through a network see.

    The image passes a 7 x 7 convolution with stride 2, then a 3 x 3 max pooling with stride 2, then the blocks. A path
    takes one way through each block: the shortcut, or one of the convolutions or splits beside it. Notebook 03 shows
    what lies beside the shortcut of each kind of block. A 1 x 1 convolution sees no more than its input, and its stride
    is 1. The 3 x 3 convolutions of a block have the block's stride, and so has the shortcut.

    Args:
        blocks: (kind, stride) of each block, from first to last. Kinds: "bottleneck" of ResNet; "stage", the first
            block of a Res2Net layer; "ladder", a Res2Net block with a ladder of four splits, whose stride is 1.

    Returns:
        The different side lengths, in pixels of the image, that one position of the last map sees along some path;
        in rising order.
    """
    # solution
    size, step = 1, 1  # what a position sees, and how far apart two neighbouring positions look
    for kernel, stride in ((7, 2), (3, 2)):
        size += (kernel - 1) * step
        step *= stride
    convolutions = {"bottleneck": (0, 1), "stage": (0, 1), "ladder": (0, 1, 2, 3)}
    sizes = {size}
    for kind, stride in blocks:
        longer = set()
        for before in sizes:
            for count in convolutions[kind]:
                longer.add(before + 2 * step * count)
        sizes = longer
        step *= stride
    return sorted(sizes)
    # end


SLIM_RESNET = [("bottleneck", 1), ("bottleneck", 2), ("bottleneck", 2), ("bottleneck", 1), ("bottleneck", 1)]
SLIM_RES2NET = [("stage", 1), ("stage", 2), ("stage", 2), ("ladder", 1), ("stage", 1)]


def check_receptive_fields(answer):
    if list(answer([])) != [11]:
        yield (
            f"without blocks a position sees 11 x 11 pixels, not {answer([])}: the 7 x 7 convolution sees 7, and its "
            "neighbours are 2 pixels apart, so the 3 x 3 pooling adds 2 x 2."
        )
        return
    for blocks, expected, why in (
        ([("bottleneck", 1)], [11, 19], "a 3 x 3 convolution adds one neighbour, 4 pixels away, on each side"),
        ([("ladder", 1)], [11, 19, 27, 35], "the splits pass no, one, two or three 3 x 3 convolutions"),
        ([("stage", 1)], [11, 19], "a stage block does not add its splits to each other"),
        ([("bottleneck", 2), ("bottleneck", 1)], [11, 19, 27, 35], "after stride 2 neighbours are 8 pixels apart"),
        (
            [("stage", 2), ("ladder", 1)],
            [11, 19, 27, 35, 43, 51, 59, 67],
            "two blocks in a row: all sums of their steps",
        ),
    ):
        found = list(answer(list(blocks)))
        if found != expected:
            yield f"for {blocks} the paths see {expected} pixels, not {found}: {why}."
    largest = [answer(list(blocks))[-1] for blocks in (SLIM_RESNET, SLIM_RES2NET)]
    if largest != [107, 171]:
        yield f"the slim ResNet sees at most 107 pixels and the slim Res2Net 171, not {largest[0]} and {largest[1]}."


def wrong_receptive_fields_forgets_the_stride(blocks):
    """Adds two pixels for each convolution, wherever it stands."""
    sizes = {11}
    for kind, _ in blocks:
        sizes = {size + 2 * count for size in sizes for count in range(4 if kind == "ladder" else 2)}
    return sorted(sizes)


def wrong_receptive_fields_without_shortcuts(blocks):
    """Lets no path take the shortcut."""
    sizes, step = {11}, 4
    for kind, stride in blocks:
        sizes = {size + 2 * step * count for size in sizes for count in ((0, 1, 2, 3) if kind == "ladder" else (1,))}
        step *= stride
    return sorted(sizes)


def wrong_receptive_fields_of_the_widest_path(blocks):
    """Gives only the largest."""
    return receptive_fields(blocks)[-1:]


def verification_accuracy(probability, same, threshold, share):
    """Work out how often a verifier is right in a world with another share of pairs of one person.

    The verifier answers "same" where its probability is `threshold` or more. How it treats the pairs of one person, and
    how it treats the pairs of different people, is measured on the pairs that are given. How often each kind occurs is
    not: in that world the share of pairs of one person is `share`.

    Args:
        probability: The verifier's probability of "same" for each pair, an array (pairs,).
        same: Whether the pair shows one person, a Boolean array (pairs,).
        threshold: From here up the answer is "same".
        share: The share of pairs of one person in that world, from 0 to 1.

    Returns:
        (accuracy, right): the share of all pairs about which the verifier is right; and of the pairs that it calls the
        same, the share that really are. `right` is 0 if it calls none the same.
    """
    # solution
    import numpy as np

    probability, same = np.asarray(probability), np.asarray(same)
    called = probability >= threshold
    accepted_same = called[same].mean()  # of the pairs of one person
    accepted_other = called[~same].mean()  # of the pairs of different people
    hits = share * accepted_same
    errors = (1 - share) * accepted_other
    accuracy = hits + (1 - share) * (1 - accepted_other)
    right = hits / (hits + errors) if hits + errors > 0 else 0.0
    return float(accuracy), float(right)
    # end


def check_verification_accuracy(answer):
    import numpy as np

    probability = np.array([0.9, 0.5, 0.2, 0.6, 0.3, 0.1, 0.1, 0.5])
    same = np.array([True, True, True, False, False, False, False, False])
    cases = (
        (0.5, 0.375, 3 / 8 * 2 / 3 + 5 / 8 * 3 / 5, (3 / 8 * 2 / 3) / (3 / 8 * 2 / 3 + 5 / 8 * 2 / 5)),
        (0.5, 0.01, 0.01 * 2 / 3 + 0.99 * 3 / 5, 0.01 * 2 / 3 / (0.01 * 2 / 3 + 0.99 * 2 / 5)),
        (0.7, 0.2, 0.2 / 3 + 0.8, 1.0),
        (0.95, 0.2, 0.8, 0.0),
        (0.0, 0.2, 0.2, 0.2),
    )
    for threshold, share, accuracy, right in cases:
        found = answer(probability.copy(), same.copy(), threshold, share)
        for name, expected, told in zip(("accuracy", "share of right ones"), (accuracy, right), found, strict=True):
            if abs(told - expected) > 1e-9:
                yield (
                    f"at the threshold {threshold} and with a share of {share} the {name} is {expected:.3f}, not "
                    f"{told:.3f}. Weight what is measured on each kind of pair by how often that kind occurs there."
                )


def wrong_verification_accuracy_of_the_given_pairs(probability, same, threshold, share):
    """Counts the pairs as they are given."""
    return verification_accuracy(probability, same, threshold, same.mean())


def wrong_verification_accuracy_above_the_threshold(probability, same, threshold, share):
    """Accepts only what lies above the threshold."""
    return verification_accuracy(probability, same, threshold + 1e-9, share)


def wrong_verification_accuracy_of_hits_alone(probability, same, threshold, share):
    """Takes the pairs of one person that are found for the accuracy."""
    _, right = verification_accuracy(probability, same, threshold, share)
    return float((probability >= threshold)[same].mean()), right


def all_pairs_loss(features, pids, classifier, share):
    """Compute paper A's verification loss (eqs. 3 to 5) over all pairs of a batch instead of the drawn ones.

    A batch of n images has n (n - 1) / 2 different pairs. Few of them show one person, so each kind of pair gets a
    weight: all pairs of one person together weigh `share`, all others together 1 - `share`, and pairs of one kind weigh
    alike.

    Args:
        features: f of the images of a batch, a tensor (n, d).
        pids: Their identities, a tensor (n,). Both kinds of pairs occur.
        classifier: Maps what eq. 3 gives for pairs, (pairs, d), to logits (pairs, 2); class 0 is "same".
        share: The weight of the pairs of one person, from 0 to 1.

    Returns:
        The loss, a scalar tensor with a gradient.
    """
    # solution
    import torch

    first, second = torch.triu_indices(len(pids), len(pids), offset=1)  # each pair once, no image with itself
    squares = (features[first] - features[second]) ** 2  # eq. 3
    log_probability = torch.log_softmax(classifier(squares), dim=1)  # eq. 4
    same = pids[first] == pids[second]
    of_same = -log_probability[same, 0].mean()  # eq. 5
    of_others = -log_probability[~same, 1].mean()
    return share * of_same + (1 - share) * of_others
    # end


def check_all_pairs_loss(answer):
    import torch

    torch.manual_seed(0)
    features = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    pids = torch.tensor([3, 3, 8, 3, 5, 8])
    classifier = torch.nn.Linear(4, 2).double()
    losses = {True: [], False: []}
    for i in range(6):
        for j in range(i + 1, 6):
            logits = classifier((features[i] - features[j]) ** 2)
            same = bool(pids[i] == pids[j])
            losses[same].append(torch.logsumexp(logits, 0) - logits[0 if same else 1])
    means = [torch.stack(losses[kind]).mean() for kind in (True, False)]
    for share in (0.5, 0.2, 1.0):
        expected = (share * means[0] + (1 - share) * means[1]).item()
        found = answer(features, pids, classifier, share)
        if not isinstance(found, torch.Tensor) or found.shape != ():
            yield "the loss must be a scalar tensor, so that `backward` works."
            return
        if abs(found.item() - expected) > 1e-6:
            yield (
                f"with the weight {share} the loss of a batch of 6 images is {expected:.4f}, not "
                f"{found.item():.4f}. It has 15 pairs, 4 of them of one person; class 0 is same."
            )
    if not answer(features, pids, classifier, 0.5).requires_grad:
        yield "the loss has no gradient with respect to the features: do not detach them."


def wrong_all_pairs_loss_weighs_all_pairs_alike(features, pids, classifier, share):
    """Takes the mean over all pairs."""
    same = pids[:, None] == pids
    count = (same.sum() - len(pids)) / (len(pids) * (len(pids) - 1))
    return all_pairs_loss(features, pids, classifier, float(count))


def wrong_all_pairs_loss_swaps_the_classes(features, pids, classifier, share):
    """Takes class 1 for same."""
    return all_pairs_loss(features, pids, lambda squares: classifier(squares).flip(1), share)


def wrong_all_pairs_loss_does_not_square(features, pids, classifier, share):
    """Leaves out the square of eq. 3."""
    return all_pairs_loss(features, pids, lambda squares: classifier(squares.sqrt()), share)


def wrong_all_pairs_loss_detached(features, pids, classifier, share):
    """Cuts the gradient off."""
    return all_pairs_loss(features, pids, classifier, share).detach()
