"""Solutions of the exercises of 13_the_field.ipynb, and what checks them."""

import numpy as np
import torch
from torch.nn import functional


def kissme(matches, others):
    """The matrix of KISSME's metric.

    matches  (n, d) float array: differences of the features of two images of one person
    others   (m, d) float array: differences of the features of two images of two people

    Both kinds of differences are taken for Gaussian, with mean 0 and a covariance of their own. Returns the (d, d)
    matrix M for which x' M x grows with the logarithm of how much likelier the difference x is between two people than
    within one person. Leave out the factor 1/2 and all terms that do not depend on x.
    """
    # solution
    within, between = matches.T @ matches / len(matches), others.T @ others / len(others)
    return np.linalg.inv(within) - np.linalg.inv(between)
    # end


def check_kissme(answer):
    rng = np.random.default_rng(0)
    mix = np.array([[1.0, 0.0, 0.0], [0.4, 1.0, 0.0], [0.0, -0.3, 1.0]])
    matches = rng.normal(size=(50, 3)) @ mix + 0.5
    others = 3 * rng.normal(size=(80, 3)) @ mix.T
    found = np.asarray(answer(matches.copy(), others.copy()))
    if found.shape != (3, 3):
        yield f"three numbers describe an image here, so M should be (3, 3), not {found.shape}."
        return
    s, d = matches.T @ matches / 50, others.T @ others / 80
    wanted = np.linalg.inv(s) - np.linalg.inv(d)
    centered = np.linalg.inv(np.cov(matches.T, bias=True)) - np.linalg.inv(np.cov(others.T, bias=True))
    summed = np.linalg.inv(50 * s) - np.linalg.inv(80 * d)
    if np.allclose(found, wanted):
        return
    if np.allclose(found, -wanted):
        yield "the sign is turned round: two images of one person would be far apart."
    elif np.allclose(found, s - d) or np.allclose(found, d - s):
        yield "these are the covariances; a Gaussian's exponent has their inverses."
    elif np.allclose(found, centered):
        yield "the Gaussians have mean 0: do not subtract the mean of the differences."
    elif np.allclose(found, summed):
        yield "a covariance is a mean over pairs: divide by their number."
    else:
        yield f"its first number should be {wanted[0, 0]:.3f}, but is {found[0, 0]:.3f}: is it made of two inverses?"


def wrong_kissme_covariances(matches, others):
    return matches.T @ matches / len(matches) - others.T @ others / len(others)


def wrong_kissme_turned_round(matches, others):
    return -kissme(matches, others)


def wrong_kissme_centered(matches, others):
    return np.linalg.inv(np.cov(matches.T, bias=True)) - np.linalg.inv(np.cov(others.T, bias=True))


def wrong_kissme_sums(matches, others):
    return np.linalg.inv(matches.T @ matches) - np.linalg.inv(others.T @ others)


def wrong_kissme_matches_alone(matches, others):
    return np.linalg.inv(matches.T @ matches / len(matches))


def stripes(maps, parts):
    """The features of PCB: the average of each horizontal stripe.

    maps   (B, C, H, W) float tensor: the output of layer4
    parts  the number of stripes; it divides H

    Returns a (B, parts, C) tensor, the uppermost stripe first. Every stripe is as wide as the image.
    """
    # solution
    return maps.unflatten(2, (parts, -1)).mean(dim=(3, 4)).transpose(1, 2)
    # end


def check_stripes(answer):
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 5, 8, 4, generator=generator)
    found = answer(maps.clone(), 4)
    if tuple(found.shape) != (2, 4, 5):
        yield f"two images, four stripes, five channels: the shape should be (2, 4, 5), not {tuple(found.shape)}."
        return
    wanted = torch.stack([maps[:, :, 2 * i : 2 * i + 2].mean(dim=(2, 3)) for i in range(4)], dim=1)
    if torch.allclose(found, wanted, atol=1e-6):
        return
    columns = torch.stack([maps[:, :, :, i].mean(dim=2) for i in range(4)], dim=1)
    biggest = torch.stack([maps[:, :, 2 * i : 2 * i + 2].amax(dim=(2, 3)) for i in range(4)], dim=1)
    if torch.allclose(found, columns, atol=1e-6):
        yield "these are four columns; a stripe goes from the left to the right."
    elif torch.allclose(found, biggest, atol=1e-6):
        yield "these are maxima; PCB takes the average of each stripe."
    elif torch.allclose(found, wanted.flip(1), atol=1e-6):
        yield "the uppermost stripe should come first; here it is the last."
    else:
        yield (
            f"the first channel of the first stripe should be {wanted[0, 0, 0]:.3f}, the mean of the two upper rows, "
            f"but is {found[0, 0, 0]:.3f}."
        )


def wrong_stripes_columns(maps, parts):
    return functional.adaptive_avg_pool2d(maps, (1, parts)).squeeze(2).transpose(1, 2)


def wrong_stripes_maxima(maps, parts):
    return functional.adaptive_max_pool2d(maps, (parts, 1)).squeeze(3).transpose(1, 2)


def wrong_stripes_interleaved(maps, parts):
    return maps.unflatten(2, (-1, parts)).mean(dim=(2, 4)).transpose(1, 2)


def wrong_stripes_channels_first(maps, parts):
    return functional.adaptive_avg_pool2d(maps, (parts, 1)).squeeze(3)


def erase_rows(maps, height, generator):
    """Batch feature erasing: features are set to zero in some rows, in the same rows for the whole batch.

    maps       (B, C, H, W) float tensor
    height     how many neighbouring rows are erased
    generator  a torch.Generator: the first erased row is drawn with it, each possible one equally often

    Returns a tensor of the same shape; the given one stays as it is.
    """
    # solution
    first = int(torch.randint(maps.shape[2] - height + 1, (1,), generator=generator))
    erased = maps.clone()
    erased[:, :, first : first + height] = 0
    return erased
    # end


def check_erase_rows(answer):
    maps = torch.rand(3, 4, 6, 5) + 1
    kept = maps.clone()
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(300):
        found = answer(maps, 2, generator)
        if not torch.equal(maps, kept):
            yield "the maps that it was given have changed: work on a copy."
            return
        if found.shape != maps.shape:
            yield f"the shape should stay (3, 4, 6, 5), but is {tuple(found.shape)}."
            return
        zero = (found == 0).all(dim=(1, 3))
        if not (zero == zero[0]).all():
            yield "different rows are erased in different images; the whole batch should lose the same rows."
            return
        rows = zero[0].nonzero().flatten().tolist()
        if len(rows) != 2 or rows[1] - rows[0] != 1:
            yield f"two neighbouring rows should be zero in all channels and columns; here these are rows {rows}."
            return
        if not torch.equal(found[:, :, ~zero[0]], maps[:, :, ~zero[0]]):
            yield "the other rows should keep their values: nothing is scaled up here."
            return
        seen.add(rows[0])
    if seen != set(range(5)):
        yield f"in six rows, the first of two erased ones can be row 0 to 4; in 300 draws it was only {sorted(seen)}."
    if not torch.equal(*(answer(maps, 2, torch.Generator().manual_seed(7)) for _ in range(2))):
        yield "the same generator should give the same rows: draw with it, and with nothing else."


def wrong_erase_rows_in_place(maps, height, generator):
    first = int(torch.randint(maps.shape[2] - height + 1, (1,), generator=generator))
    maps[:, :, first : first + height] = 0
    return maps


def wrong_erase_rows_for_each_image(maps, height, generator):
    erased = maps.clone()
    for each in erased:
        first = int(torch.randint(maps.shape[2] - height + 1, (1,), generator=generator))
        each[:, first : first + height] = 0
    return erased


def wrong_erase_rows_never_the_last(maps, height, generator):
    first = int(torch.randint(maps.shape[2] - height, (1,), generator=generator))
    erased = maps.clone()
    erased[:, :, first : first + height] = 0
    return erased


def wrong_erase_rows_as_dropout(maps, height, generator):
    first = int(torch.randint(maps.shape[2] - height + 1, (1,), generator=generator))
    erased = maps * maps.shape[2] / (maps.shape[2] - height)
    erased[:, :, first : first + height] = 0
    return erased


def hamming(queries, gallery):
    """How many bits differ between every query's code and every code of the gallery.

    queries  (q, n) array of uint8: every byte holds eight bits of a code
    gallery  (g, n) array of uint8

    Returns a (q, g) array of whole numbers, 0 to 8 n.
    """
    # solution
    return np.unpackbits(queries[:, None] ^ gallery[None], axis=2).sum(axis=2, dtype=np.int64)
    # end


def check_hamming(answer):
    rng = np.random.default_rng(0)
    queries, gallery = (rng.integers(0, 256, (rows, 40), dtype=np.uint8) for rows in (3, 5))
    gallery[0], gallery[1] = queries[0], 255 - queries[0]
    found = np.asarray(answer(queries.copy(), gallery.copy()))
    if found.shape != (3, 5):
        yield f"three queries and five images: the shape should be (3, 5), not {found.shape}."
        return
    if found[0, 0] != 0:
        yield f"equal codes have distance 0, not {found[0, 0]}."
    if found[0, 1] != 320:
        yield (
            f"all 320 bits of 40 bytes differ between the first query and the second image, but the answer is "
            f"{found[0, 1]}: count bits, not bytes, and in a type that holds more than 255."
        )
    wanted = [
        [sum(bin(a ^ b).count("1") for a, b in zip(q, g, strict=True)) for g in gallery.tolist()]
        for q in queries.tolist()
    ]
    if not np.array_equal(found, wanted) and found[0, 0] == 0 and found[0, 1] == 320:
        yield f"between the second query and the third image {wanted[1][2]} bits differ, not {found[1, 2]}."


def wrong_hamming_bytes(queries, gallery):
    return (queries[:, None] != gallery[None]).sum(axis=2)


def wrong_hamming_overflow(queries, gallery):
    return np.unpackbits(queries[:, None] ^ gallery[None], axis=2).sum(axis=2, dtype=np.uint8)


def wrong_hamming_common_ones(queries, gallery):
    return np.unpackbits(queries[:, None] & gallery[None], axis=2).sum(axis=2, dtype=np.int64)


def outlier_loss(logits, pids):
    """LSRO's cross-entropy: generated images belong to nobody in particular.

    logits  (B, K) float tensor: a score for each of the K people of the training set
    pids    (B,) long tensor: who is shown, 0 ... K - 1; -1 for a generated image

    The target of a real image is its person. The target of a generated image is spread evenly over all K people.
    Returns the mean of the cross-entropies of all B images, a scalar tensor.
    """
    # solution
    log_p = logits.log_softmax(dim=1)
    real = log_p.gather(1, pids.clamp(min=0)[:, None]).squeeze(1)
    return -torch.where(pids >= 0, real, log_p.mean(dim=1)).mean()
    # end


def check_outlier_loss(answer):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4, 3, generator=generator)
    real, mixed = torch.tensor([0, 2, 1, 1]), torch.tensor([0, -1, 1, -1])
    found, wanted = float(answer(logits, real)), functional.cross_entropy(logits, real).item()
    if abs(found - wanted) > 1e-5:
        yield f"without generated images it should be the usual cross-entropy, {wanted:.3f}, but is {found:.3f}."
        return
    log_p = logits.log_softmax(dim=1)
    each = torch.stack([-log_p[0, 0], -log_p[1].mean(), -log_p[2, 1], -log_p[3].mean()])
    found, wanted = float(answer(logits, mixed)), each.mean().item()
    if abs(found - each[[0, 2]].mean().item()) < 1e-5:
        yield "generated images are left out; they should pull towards equal probabilities."
    elif abs(found - functional.cross_entropy(logits, torch.tensor([0, 2, 1, 2])).item()) < 1e-5:
        yield "-1 was taken for the last person; it says that an image was generated."
    elif abs(found - wanted) > 1e-5:
        yield f"with two generated images among four it should be {wanted:.3f}, but is {found:.3f}."


def wrong_outlier_loss_ignores(logits, pids):
    return functional.cross_entropy(logits, pids, ignore_index=-1)


def wrong_outlier_loss_last_person(logits, pids):
    return -logits.log_softmax(dim=1)[torch.arange(len(pids)), pids].mean()


def wrong_outlier_loss_sums_over_people(logits, pids):
    log_p = logits.log_softmax(dim=1)
    real = log_p.gather(1, pids.clamp(min=0)[:, None]).squeeze(1)
    return -torch.where(pids >= 0, real, log_p.sum(dim=1)).mean()
