"""Exercises of notebook 01: a P x K sampler, a validation split, random erasing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor


def pk_batches(pids, identities, images, seed, epoch):
    """The batches of one epoch: a list of arrays of image indices, (P * K,) each.

    pids         (N,) numpy array, the identity of each training image
    identities   P: so many different people are in a batch
    images       K: so many images of each of them stand side by side
    seed, epoch  two ints, which alone decide the batches

    An epoch has N // (P * K) batches. Nobody has a second turn while P people or more wait for
    their first. In one turn no image comes twice, unless the person has fewer than K images.
    Every image has the same chance as the others of its person.
    """
    # solution
    random = np.random.default_rng([seed, epoch])
    people = np.unique(pids)
    waiting, batches = [], []
    for _ in range(len(pids) // (identities * images)):
        if len(waiting) < identities:
            waiting = list(random.permutation(people))
        turns = []
        for _ in range(identities):
            own = np.flatnonzero(pids == waiting.pop())
            turns.append(random.choice(own, images, replace=len(own) < images))
        batches.append(np.concatenate(turns))
    return batches
    # end


PIDS = np.random.default_rng(1).permutation(np.repeat(np.arange(11, 24), [8] * 10 + [6, 5, 2]))  # 13 people, 93 images


def check_pk_batches(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on thirteen people, one of whom has two images."""
    first = answer(PIDS, 4, 3, 0, 0)
    if len(first) != 7 or any(np.shape(batch) != (12,) for batch in first):
        yield f"93 images and P x K = 4 x 3 make 7 batches of 12 indices; you give {[len(batch) for batch in first]}."
        return
    epochs = [[np.asarray(batch) for batch in answer(PIDS, 4, 3, seed, 0)] for seed in range(40)]
    flat = np.concatenate([np.concatenate(epoch) for epoch in epochs])
    if flat.min() < 0 or flat.max() >= len(PIDS):
        yield f"a batch holds indices of images, 0 to {len(PIDS) - 1}, not identities: you give {flat.max()}."
        return
    yield from _people(epochs)
    yield from _images(epochs)
    yield from _draws(answer)


def _people(epochs: list[list[np.ndarray]]) -> Iterator[str]:
    shown = [[PIDS[batch].reshape(4, 3) for batch in epoch] for epoch in epochs]
    if any((turn != turn[:, :1]).any() for epoch in shown for turn in epoch):
        yield "the 3 images of a person stand side by side, and show this person alone."
        return
    if any(len(set(turn[:, 0])) < 4 for epoch in shown for turn in epoch):
        yield "a batch of P = 4 shows four different people; in one of yours somebody has two turns."
    round_one = [np.concatenate([turn[:, 0] for turn in epoch[:3]]) for epoch in shown]
    if any(len(set(people)) < 12 for people in round_one):
        yield "with 13 people the first three batches of 4 show twelve different ones: nobody returns so early."
    if len({tuple(people) for people in round_one}) < 10:
        yield "the order of the people is drawn anew: another seed gives another order."


def _images(epochs: list[list[np.ndarray]]) -> Iterator[str]:
    turns = [turn for epoch in epochs for batch in epoch for turn in batch.reshape(4, 3)]
    many = [turn for turn in turns if (PIDS[turn[0]] == PIDS).sum() >= 3]
    if any(len(set(turn)) < 3 for turn in many):
        yield "somebody with 3 images or more never shows one of them twice in a turn."
    drawn = np.bincount(np.concatenate(turns), minlength=len(PIDS))
    if drawn.min() == 0 or drawn[PIDS == 11].max() > 4 * drawn[PIDS == 11].min():
        yield "over many epochs all images of a person come up about equally often; some of yours hardly ever do."


def _draws(answer: Any) -> Iterator[str]:
    once, again, other, later = (
        np.concatenate(answer(PIDS, 4, 3, seed, epoch)) for seed, epoch in ((5, 2), (5, 2), (6, 2), (5, 3))
    )
    if not np.array_equal(once, again):
        yield "the same seed and epoch give the same batches, else a training cannot be repeated or resumed."
    if np.array_equal(once, other) or np.array_equal(once, later):
        yield "another seed, and another epoch too, gives other batches; yours are the same."


def wrong_pk_batches_knows_no_people(
    pids: np.ndarray, identities: int, images: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Random images."""
    size = identities * images
    order = np.random.default_rng([seed, epoch]).permutation(len(pids))
    return list(order[: len(pids) // size * size].reshape(-1, size))


def wrong_pk_batches_draws_people_with_replacement(
    pids: np.ndarray, identities: int, images: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Somebody may be in a batch twice."""
    random = np.random.default_rng([seed, epoch])
    return [
        np.concatenate(
            [random.choice(np.flatnonzero(pids == pid), images) for pid in random.choice(np.unique(pids), identities)]
        )
        for _ in range(len(pids) // (identities * images))
    ]


def wrong_pk_batches_starts_each_batch_anew(
    pids: np.ndarray, identities: int, images: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Right within a batch; over an epoch some people come often and others never."""
    random = np.random.default_rng([seed, epoch])
    batches = []
    for _ in range(len(pids) // (identities * images)):
        chosen = random.permutation(np.unique(pids))[:identities]
        own = [np.flatnonzero(pids == pid) for pid in chosen]
        batches.append(np.concatenate([random.choice(few, images, replace=len(few) < images) for few in own]))
    return batches


def wrong_pk_batches_takes_the_first_images(
    pids: np.ndarray, identities: int, images: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Always the same K images of a person."""
    batches = pk_batches(pids, identities, images, seed, epoch)
    first = {pid: np.resize(np.flatnonzero(pids == pid), images) for pid in np.unique(pids)}
    return [np.concatenate([first[pids[turn[0]]] for turn in batch.reshape(-1, images)]) for batch in batches]


def wrong_pk_batches_forgets_the_epoch(
    pids: np.ndarray, identities: int, images: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Every epoch is the first one."""
    return pk_batches(pids, identities, images, seed, 0)


def hold_out(pids, camids, share, seed):
    """A validation split of training images: three arrays of indices, (train, query, gallery).

    pids, camids  (N,) numpy arrays, the identity and the camera of each training image
    share         of the people are held out, 0..1, rounded to whole people
    seed          an int, which alone decides who is held out

    People who are held out leave training. One image of each, drawn at random, is a query, the
    rest is the gallery. No query may arise that the protocol cannot answer.
    """
    # solution
    random = np.random.default_rng(seed)
    people = np.unique(pids)
    able = [pid for pid in people if len(np.unique(camids[pids == pid])) > 1]
    chosen = random.permutation(able)[: round(share * len(people))]
    query = np.array([random.choice(np.flatnonzero(pids == pid)) for pid in chosen])
    held_out = np.isin(pids, chosen)
    train, rest = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    return train, query, np.setdiff1d(rest, query)
    # end


WALKS = [(pid, camid) for pid in range(1, 21) for camid in ((1, 2, 3) if pid % 3 else (2,)) for _ in range(2)]


def check_hold_out(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on twenty people, six of whom one camera alone has seen."""
    pids, camids = np.random.default_rng(2).permutation(np.array(WALKS)).T
    held = []
    for seed in range(12):
        train, query, gallery = (np.asarray(part) for part in answer(pids, camids, 0.25, seed))
        found = list(_split(pids, camids, train, query, gallery))
        if found:
            yield from found
            return
        held.append(frozenset(pids[query].tolist()))
    firsts = {}  # which of a person's images becomes the query, over many seeds
    for seed in range(60):
        for index in np.asarray(answer(pids, camids, 0.25, seed)[1]):
            firsts.setdefault(pids[index], set()).add(int(index))
    if max(map(len, firsts.values())) < 3:
        yield "the query of a person is drawn at random among its images; yours is nearly always the same image."
    if len(np.asarray(answer(pids, camids, 0.18, 0)[1])) != 4:
        yield "0.18 of 20 people are 3.6, rounded to 4 people who are held out."
    if len(set(held)) < 6:
        yield "another seed holds out other people; yours are nearly always the same."
    if any(not np.array_equal(*pair) for pair in zip(*(answer(pids, camids, 0.25, 3) for _ in "ab"), strict=True)):
        yield "the same seed makes the same split, query images included, else two choices cannot be compared."


def _split(
    pids: np.ndarray, camids: np.ndarray, train: np.ndarray, query: np.ndarray, gallery: np.ndarray
) -> Iterator[str]:
    used = np.concatenate([train, query, gallery])
    if not np.array_equal(np.sort(used), np.arange(len(pids))):
        yield f"each of the {len(pids)} images belongs into one of the three parts; yours hold {len(used)} images."
        return
    shared = set(pids[train]) & set(pids[np.concatenate([query, gallery])])
    if shared:
        yield f"identity {min(shared)} is in training and in validation: hold out people, with all of their images."
    if len(set(pids[query])) != 5 or len(query) != 5:
        yield f"a quarter of 20 people are 5, with one query each; you give {len(query)} queries of them."
    lost = [pid for pid, camid in zip(pids[query], camids[query], strict=True)
            if not ((pids[gallery] == pid) & (camids[gallery] != camid)).any()]  # fmt: skip
    if lost:
        yield f"the query of identity {lost[0]} has no gallery image from another camera, so that nothing can match it."


def wrong_hold_out_splits_images(pids: np.ndarray, camids: np.ndarray, share: float, seed: int) -> Any:
    """Images are held out instead of people."""
    order = np.random.default_rng(seed).permutation(len(pids))
    cut = round(share * len(pids))
    return order[cut:], order[:5], order[5:cut]


def wrong_hold_out_takes_anybody(pids: np.ndarray, camids: np.ndarray, share: float, seed: int) -> Any:
    """People whom one camera alone has seen are held out, too."""
    return hold_out(pids, np.arange(len(pids)), share, seed)


def wrong_hold_out_takes_the_first_people(pids: np.ndarray, camids: np.ndarray, share: float, seed: int) -> Any:
    """No drawing: always the same ones."""
    return hold_out(pids, camids, share, 0)


def wrong_hold_out_keeps_queries_in_the_gallery(pids: np.ndarray, camids: np.ndarray, share: float, seed: int) -> Any:
    """The query finds itself."""
    train, query, gallery = hold_out(pids, camids, share, seed)
    return train, query, np.concatenate([gallery, query])


def wrong_hold_out_counts_only_who_can(pids: np.ndarray, camids: np.ndarray, share: float, seed: int) -> Any:
    """The share of those who can be held out, instead of all people."""
    able = [pid for pid in np.unique(pids) if len(np.unique(camids[pids == pid])) > 1]
    return hold_out(pids, camids, share * len(able) / len(np.unique(pids)), seed)


def wrong_hold_out_asks_for_the_first_image(pids: np.ndarray, camids: np.ndarray, share: float, seed: int) -> Any:
    """The query of a person is always its first image."""
    train, query, gallery = hold_out(pids, camids, share, seed)
    held = np.concatenate([query, gallery])
    query = np.array([held[pids[held] == pid].min() for pid in np.unique(pids[held])])
    return train, query, np.setdiff1d(held, query)


def wrong_hold_out_rounds_down(pids: np.ndarray, camids: np.ndarray, share: float, seed: int) -> Any:
    """3.6 people are 3."""
    people = len(np.unique(pids))
    return hold_out(pids, camids, int(share * people) / people, seed)


def erase(image, probability, random):
    """Random erasing: a copy of an image, in which a rectangle may be overwritten by noise.

    image        (3, H, W) float tensor, values 0..1; the image itself must not change
    probability  that a rectangle is overwritten
    random       a numpy.random.Generator, from which all draws come

    The rectangle's area is uniform between 0.02 and 0.4 of the image, its height / width uniform
    between 0.3 and 3.33. A rectangle that is not lower and narrower than the image is drawn anew,
    area included. All positions inside the image are equally likely. Noise is uniform between 0
    and 1, another number for each pixel and channel.
    """
    # solution
    erased = image.clone()
    if random.random() >= probability:
        return erased
    _, height, width = image.shape
    h, w = height, width
    while h >= height or w >= width:
        area = random.uniform(0.02, 0.4) * height * width
        aspect = random.uniform(0.3, 3.33)
        h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
    top, left = random.integers(height - h + 1), random.integers(width - w + 1)
    erased[:, top : top + h, left : left + w] = torch.from_numpy(random.random((3, h, w)))
    return erased
    # end


def check_erase(answer: Any) -> Iterator[str]:
    """What is wrong with an answer, on a grey image that is erased some hundred times."""
    grey, random = torch.full((3, 80, 40), 0.5), np.random.default_rng(0)
    copies = [answer(grey, 0.5, random) for _ in range(300)]
    if (grey != 0.5).any():
        yield "the image itself has changed: erase in a copy, or the next epoch begins with damaged images."
        return
    if any(copy.shape != grey.shape for copy in copies):
        yield f"an image of shape (3, 80, 40) stays one, not {tuple(copies[0].shape)}."
        return
    share = np.mean([bool((copy != 0.5).any()) for copy in copies])
    if not 0.35 < share < 0.65:
        yield f"with probability 0.5 about half of the images are erased, not {share:.2f} of them."
    if any(bool((answer(grey, 0.0, random) != 0.5).any()) for _ in range(20)):
        yield "with probability 0 no image is erased."
    once, again = (answer(grey, 1.0, np.random.default_rng(5)) for _ in "ab")
    if not torch.equal(once, again):
        yield "all draws come from `random`, the noise too: two generators with one seed give the same image."
    yield from _rectangles([answer(torch.full((3, 80, 40), 0.5), 1.0, random) for _ in range(400)])


def _rectangles(copies: list[Tensor]) -> Iterator[str]:
    boxes = []
    for copy in copies:
        rows, columns = np.nonzero((copy != 0.5).any(dim=0).numpy())
        if len(rows) == 0:
            yield "with probability 1 every image is erased, however often a rectangle must be drawn anew."
            return
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        inside = copy[:, top:bottom, left:right]
        if (inside == 0.5).float().mean() > 0.01 or inside.flatten(1).std(dim=1).min() < 0.1:
            yield "a rectangle is filled with noise: another number from 0 to 1 for each pixel and channel."
            return
        if inside.min() < 0 or inside.max() > 1 or torch.equal(inside[0], inside[1]):
            yield "noise lies between 0 and 1 and differs from channel to channel."
            return
        boxes.append((top, left, bottom, right))
    top, left, bottom, right = np.array(boxes).T
    area, wide = (bottom - top) * (right - left) / (80 * 40), np.mean(bottom - top < right - left)
    if area.min() < 0.017 or area.max() > 0.42 or not 0.17 < area.mean() < 0.22:
        yield (
            f"the areas go from 0.02 to 0.4 of the image and are 0.2 in the mean (a rectangle that does not fit is "
            f"drawn anew, not cut); yours go from {area.min():.3f} to {area.max():.3f}, {area.mean():.3f} in the mean."
        )
    if not 0.11 < wide < 0.28:
        yield f"about a fifth of the rectangles are wider than high, not {wide:.2f} of them: aspect is height / width."
    for room, ends in (
        (top / (80 - (bottom - top)), "the upper edge to the lower"),  # where among the possible positions, 0..1
        (left / (40 - (right - left)), "the left edge to the right"),
    ):
        if not (room.min() < 0.1 and room.max() > 0.9 and 0.42 < room.mean() < 0.58):
            yield f"a rectangle may lie anywhere inside the image, from {ends} one."


def wrong_erase_damages_the_original(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """In place."""
    return image.copy_(erase(image, probability, random))


def wrong_erase_always_erases(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """The probability is forgotten."""
    return erase(image, 1.0, random)


def wrong_erase_fills_with_one_number(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """A flat rectangle."""
    erased = erase(image, probability, random)
    return torch.where(erased == image, image, torch.tensor(float(random.random())))


def wrong_erase_turns_the_aspect(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """Width / height instead of height / width."""
    return erase(image.transpose(1, 2), probability, random).transpose(1, 2)


def wrong_erase_begins_at_the_corner(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """The rectangle always lies in the upper left corner."""
    changed = (erase(image, probability, random) != image).any(dim=0)
    h, w = int(changed.any(dim=1).sum()), int(changed.any(dim=0).sum())
    erased = image.clone()
    erased[:, :h, :w] = torch.from_numpy(random.random((3, h, w)))
    return erased


def wrong_erase_cuts_what_is_too_large(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """A rectangle that crosses the border loses what lies outside."""
    erased = image.clone()
    if random.random() < probability:
        _, height, width = image.shape
        area, aspect = random.uniform(0.02, 0.4) * height * width, random.uniform(0.3, 3.33)
        h, w = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        top, left = random.integers(height), random.integers(width)
        part = erased[:, top : top + h, left : left + w]
        part.copy_(torch.from_numpy(random.random(tuple(part.shape))))
    return erased


def wrong_erase_stays_at_the_left(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """The rectangle begins at the left edge, in a row that was drawn."""
    erased = erase(image, probability, random)
    changed = (erased != image).any(dim=0)
    if not changed.any():
        return erased
    moved, rows = image.clone(), changed.any(dim=1)
    moved[:, rows, : int(changed.any(dim=0).sum())] = erased[:, rows][:, :, changed.any(dim=0)]
    return moved


def wrong_erase_takes_noise_from_elsewhere(image: Tensor, probability: float, random: np.random.Generator) -> Tensor:
    """The noise is torch's, which `random` does not decide."""
    erased = erase(image, probability, random)
    changed = erased != image
    erased[changed] = torch.rand(int(changed.sum()))
    return erased
