"""Solutions of the exercises of 16_capstone.ipynb, and what checks them."""

import numpy as np


def interval_over_people(scores, people, draws=1000, seed=0):
    """A 95 % interval of the mean score, over people.

    scores  (n,) one number for each query
    people  (n,) who is on each query

    In each of `draws` draws, as many persons as there are are drawn with replacement. A person that is drawn brings all
    of its queries, each time that it is drawn. The interval's ends are the 2.5th and 97.5th percentile of the mean
    score over these queries.

    Returns (low, high).
    """
    # solution
    random = np.random.default_rng(seed)
    scores, people = np.asarray(scores, float), np.asarray(people)
    by_person = [scores[people == person] for person in np.unique(people)]
    means = []
    for _ in range(draws):
        drawn = random.integers(len(by_person), size=len(by_person))
        means.append(np.concatenate([by_person[i] for i in drawn]).mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
    # end


def check_interval_over_people(answer):
    random = np.random.default_rng(3)
    levels = random.normal(50, 10, size=40)
    people = np.repeat(np.arange(40), 20)
    scores = levels[people] + random.normal(0, 1, size=len(people))
    low, high = answer(scores, people)
    mean, wide = scores.mean(), 2 * 1.96 * levels.std() / 40**0.5
    if not low < mean < high:
        yield f"the interval, {low:.1f} to {high:.1f}, should hold the mean, {mean:.1f}."
    elif not 0.9 * wide < high - low < 1.12 * wide:
        yield (
            f"for 40 people whose levels have a deviation of 10 the interval should be about {wide:.1f} wide, not "
            f"{high - low:.1f}: the queries of a person are drawn together."
        )
    if answer(scores, people, draws=1) == answer(scores, people, draws=400):
        yield "one draw and 400 draws give the same interval: use `draws`."
    many = np.concatenate([np.zeros(90), np.full(10, 100.0)])
    who = np.concatenate([np.zeros(90, int), np.arange(1, 11)])
    found = answer(many, who)
    if found[1] < 40:
        yield (
            "where one person has ninety queries and ten others one each, draws without the first have a high mean, so "
            f"the upper end should be far above the mean of 10; yours is {found[1]:.0f}: a person brings all queries."
        )


def wrong_interval_over_people_queries(scores, people, draws=1000, seed=0):
    random, scores = np.random.default_rng(seed), np.asarray(scores, float)
    means = [random.choice(scores, len(scores)).mean() for _ in range(draws)]
    return tuple(np.percentile(means, [2.5, 97.5]))


def wrong_interval_over_people_of_means(scores, people, draws=1000, seed=0):
    random = np.random.default_rng(seed)
    means = np.array([np.mean(np.asarray(scores)[people == person]) for person in np.unique(people)])
    drawn = [random.choice(means, len(means)).std() for _ in range(draws)]
    return tuple(np.percentile(drawn, [2.5, 97.5]))


def wrong_interval_over_people_of_90_percent(scores, people, draws=1000, seed=0):
    random, own, means = np.random.default_rng(seed), [scores[people == pid] for pid in np.unique(people)], []
    for _ in range(draws):
        means.append(np.concatenate([own[each] for each in random.integers(len(own), size=len(own))]).mean())
    return tuple(map(float, np.percentile(means, [5, 95])))


def wrong_interval_over_people_a_thousand_draws(scores, people, draws=1000, seed=0):
    return interval_over_people(scores, people, 1000, seed)
