"""Solutions of the exercises of 05_training.ipynb, and what checks them."""


def warmed_up(progress, epochs, factor):
    """The factor on the learning rate after `progress` epochs of a linear warm-up that lasts `epochs`.

    It starts at `factor`, rises evenly to 1, and stays there. `progress` may be a fraction of an epoch. Without a
    warm-up, `epochs` = 0, it is 1 from the start.
    """
    # solution
    if progress >= epochs:
        return 1.0
    return factor + (1 - factor) * progress / epochs
    # end


def check_warmed_up(answer):
    cases = {(0, 10, 0.1): 0.1, (5, 10, 0.1): 0.55, (10, 10, 0.1): 1.0, (30, 10, 0.1): 1.0, (0.5, 2, 0.2): 0.4}
    for (progress, epochs, factor), expected in cases.items():
        found = answer(progress, epochs, factor)
        if abs(found - expected) > 1e-9:
            yield f"after {progress} of {epochs} epochs from {factor} it should be {expected:g}, not {found:g}."
    if not isinstance(answer(0, 0, 0.5), (int, float)) or answer(0, 0, 0.5) != 1:
        yield "a warm-up of 0 epochs is none: the factor should be 1 at once."


def wrong_warmed_up_never_stops(progress, epochs, factor):
    return factor + (1 - factor) * progress / max(epochs, 1)


def wrong_warmed_up_from_zero(progress, epochs, factor):
    return 1.0 if progress >= epochs else progress / epochs


def images_seen(epochs, train_images, batch):
    """How many images a training has seen after `epochs` epochs of (train_images // batch) steps of `batch` images."""
    # solution
    return epochs * (train_images // batch) * batch
    # end


def check_images_seen(answer):
    for arguments, expected in {(2, 100, 32): 192, (1, 64, 64): 64, (220, 12936, 32): 2_844_160}.items():
        if answer(*arguments) != expected:
            yield (
                f"{arguments[0]} epochs over {arguments[1]} images in batches of {arguments[2]} see {expected} images, "
                f"not {answer(*arguments)}: an epoch has whole steps only."
            )


def wrong_images_seen(epochs, train_images, batch):
    return epochs * train_images


def has_collapsed(features, margin):
    """Whether the distances of all pairs of `features` (batch, d) are below a hundredth of the triplet's margin."""
    # solution
    import torch

    return bool(torch.pdist(features).max() < 0.01 * margin)
    # end


def check_has_collapsed(answer):
    import torch

    apart = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    if answer(apart, 0.3):
        yield "three points that lie 1 to 5 apart have not collapsed with a margin of 0.3."
    if not answer(torch.full((4, 8), 7.0) + 1e-5 * torch.eye(4, 8), 0.3):
        yield "four descriptors that differ in the fifth decimal have collapsed, however long they are (here 20)."
    one_away = torch.zeros(5, 2)
    one_away[4, 0] = 1.0
    if answer(one_away, 0.3):
        yield "four equal points and one that lies 1 away: not all pairs are alike, so it is no collapse yet."


def wrong_has_collapsed_by_length(features, margin):
    return bool(features.norm(dim=1).max() < 0.01 * margin)


def wrong_has_collapsed_by_mean(features, margin):
    import torch

    return bool(torch.pdist(features).median() < 0.01 * margin)
