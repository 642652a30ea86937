from reid_lab import retrieval

MARKET = (3368, 15913, 2048)


def test_a_plan_tells_memory_and_work():
    plan = retrieval.plan(*MARKET, rerank=True)
    assert plan.features == (3368 + 15913) * 2048 * 4
    assert plan.operations == 2 * 2048 * (3368 * 15913 + (3368 + 15913) ** 2)
    assert plan.total == plan.features + plan.blocks + plan.neighbors
    assert str(plan).startswith(f"about {plan.total / 2**30:.2f} GiB beside the features")


def test_memory_grows_with_the_images_and_not_with_their_pairs():
    small, large = (retrieval.plan(count, 5 * count, 512, rerank=True) for count in (2000, 20000))
    assert large.total - large.blocks == 10 * (small.total - small.blocks)
    assert large.blocks == small.blocks


def test_without_reranking_there_are_no_encodings_and_only_one_product():
    plan = retrieval.plan(*MARKET)
    assert plan.neighbors == 0 and plan.operations == 2 * 2048 * 3368 * 15913
    assert plan.total < retrieval.plan(*MARKET, rerank=True).total


def test_few_distances_take_less_than_a_block():
    assert retrieval.plan(60, 72, 96, rerank=True).total < 4 * 2**20
    assert retrieval.plan(60, 72, 96).blocks < retrieval.plan(60, 72, 96, rerank=True).blocks
    assert retrieval.plan(*MARKET).blocks == 3 * 256 * 2**20
