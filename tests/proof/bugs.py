"""The bugs that the course teaches one to fear: exact text, what replaces it, and who should notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One bug: ``was`` stands exactly once in ``file`` (of the package) and becomes ``becomes``.

    ``notebooks`` are asked first, in this order, then the others; where there are none, no notebook is asked: what the
    bug changes, no notebook computes anew. ``tests`` are the unit tests of the file.
    ``note`` says where training would be another one, too, so that a trained run that is loaded hides the bug.
    """

    name: str
    file: str
    was: str
    becomes: str
    notebooks: tuple[str, ...]
    tests: str
    note: str = ""


def quiet(name: str, file: str, was: str, becomes: str, tests: str) -> Bug:
    """A bug that no notebook is asked about."""
    return Bug(name, file, was, becomes, (), tests)


HIDDEN = "a trained run that is loaded was trained without the bug"

METRICS = "retrieval/metrics.py"
LOSSES, HEADS, RERANKING = "losses.py", "models/heads.py", "retrieval/reranking.py"
TEST_METRICS, TEST_LOSSES, TEST_HEADS = "retrieval/test_metrics.py", "test_losses.py", "models/test_heads.py"
TABLES, TEST_TABLES = "ablations/statistics.py", "ablations/test_statistics.py"
TEST_RERANKING, TEST_SCHEDULE = "retrieval/test_reranking.py", "training/test_schedule.py"

BUGS = (
    Bug(
        *("same-camera images stay in the ranking", "data/records.py"),
        *("(query_camid == gallery_camid) & (query_camid != UNKNOWN_CAMERA)", "query_camid != query_camid"),
        *(("02",), TEST_METRICS),
    ),
    Bug(
        *("bad boxes (identity -1) are not removed", METRICS),
        *("counted = protocol.gallery_pids != JUNK", "counted = protocol.gallery_pids != JUNK - 1"),
        *(("02", "01"), TEST_METRICS),
    ),
    Bug(
        *("average precision is off by one", METRICS),
        *("at = np.divide(k, ranks,", "at = np.divide(k - 1, ranks,"),
        *(("02",), TEST_METRICS),
    ),
    Bug(
        *("trapezoid AP begins at precision 0", METRICS),
        *("where=ranks > 1, out=found.astype(float))", "where=ranks > 1, out=np.zeros(ranks.shape))"),
        *(("02",), TEST_METRICS),
    ),
    Bug(
        *("mINP from the first match instead of the last", METRICS),
        *("matches / ranks.max(1, initial=1)", "matches / ranks[:, 0].clip(1)"),
        *(("02",), TEST_METRICS),
    ),
    Bug(
        *("CMC is not cumulative", METRICS),
        *("minlength=length).cumsum() / len(first)", "minlength=length) / len(first)"),
        *(("02",), TEST_METRICS),
    ),
    Bug(
        *("of equally near images the later one ranks first", "retrieval/kernels.py"),
        *("torch.arange(distances.shape[1], device=", "torch.arange(distances.shape[1] - 1, -1, -1, device="),
        *(("02",), TEST_METRICS),
    ),
    Bug(
        *("same-camera pairs count as impostors", "retrieval/roc.py"),
        *("counted) - same - left_out)", "counted) - same)"),
        *(("02", "10"), "retrieval/test_roc.py"),
    ),
    Bug(
        *("cosine without normalization", "retrieval/distances.py"),
        *("torch.div(rows, _lengths(rows, name), out=out)", "torch.div(rows, _lengths(rows, name).max(), out=out)"),
        *(("02",), TEST_METRICS),
    ),
    Bug(
        *("descriptors are taken in training mode", "models/network.py"),
        *("    model.eval()\n", "    model.train()\n"),
        *(("11", "10", "03"), "models/test_network.py"),
        note="the loss and the weights are right; only descriptors are not",
    ),
    Bug(
        *("the subtraction of eq. 1 is reversed", "methods/residual_pooling.py"),
        *("self.second(p_avg - p_max)  # eq. 1", "self.second(p_max - p_avg)  # eq. 1"),
        *(("04",), "methods/test_residual_pooling.py"),
        note="training would hide it anyway: separate convolutions learn either sign",
    ),
    Bug(
        *("maximum where the average should be", HEADS),
        *("cell.mean(dim=(2, 3), dtype=torch.float32)", "cell.amax(dim=(2, 3)).float()"),
        *(("04",), TEST_HEADS),
        note=HIDDEN,
    ),
    Bug(
        *("the four cells of nine columns do not overlap", HEADS),
        *("-(-(i + 1) * size // m)", "(i + 1) * size // m"),
        *(("04",), TEST_HEADS),
        note=HIDDEN,
    ),
    Bug(
        *("the BNNeck is bypassed", "methods/residual_pooling.py"),
        *("[neck(vector) for neck, vector in zip(self.necks, contrast.values(), strict=True)]", "[*contrast.values()]"),
        *(("04", "11"), "methods/test_residual_pooling.py"),
        note=HIDDEN,
    ),
    Bug(
        *("the BNNeck's bias is trained", HEADS),
        *("self.bias.requires_grad_(False)", "self.bias.requires_grad_(True)"),
        *(("04",), TEST_HEADS),
        note=HIDDEN,
    ),
    Bug(
        *("the triplet margin has the wrong sign", LOSSES),
        *("d_positive - d_negative + margin", "d_positive - d_negative - margin"),
        *(("04",), TEST_LOSSES),
        note=HIDDEN,
    ),
    Bug(
        *("the nearest positive is taken for the hardest", LOSSES),
        *("masked_fill(~positive, -torch.inf).argmax(dim=1)", "masked_fill(~positive, torch.inf).argmin(dim=1)"),
        *(("04",), TEST_LOSSES),
        note=HIDDEN,
    ),
    Bug(
        *("label smoothing is off", LOSSES),
        *("    p = (1 - smoothing) * p + smoothing / identities\n", ""),
        *(("04",), TEST_LOSSES),
        note=HIDDEN,
    ),
    Bug(
        *("eq. 2 sums the triplet losses instead of averaging", "methods/residual_pooling.py"),
        *(").mean()  # eq. 2: 1/6 sum_i L_Triplet^i", ").sum()"),
        *(("04",), "methods/test_residual_pooling.py"),
        note=HIDDEN,
    ),
    Bug(
        *("the square layer does not square", LOSSES),
        *("return (f1.float() - f2.float()) ** 2  # A eq. 3", "return f1.float() - f2.float()  # A eq. 3"),
        *(("03",), TEST_LOSSES),
        note=HIDDEN,
    ),
    Bug(
        *("verification has its two classes swapped", LOSSES),
        *("torch.stack([same, ~same], dim=1)", "torch.stack([~same, same], dim=1)"),
        *(("03",), TEST_LOSSES),
        note=HIDDEN,
    ),
    Bug(
        *("paper A's sum leaves verification out", "methods/multitask.py"),
        *(" + verification * verify\n", "\n"),
        *(("03",), "methods/test_multitask.py"),
        note=HIDDEN,
    ),
    Bug(
        *("the ladder of Res2Net's splits has no rungs", "models/res2net.py"),
        *("conv(x if alone else x + outputs[-1])", "conv(x)"),
        *(("03",), "models/test_backbones.py"),
        note=HIDDEN,
    ),
    Bug(
        *("random erasing takes twice the area", "data/augment.py"),
        *("_uniform(draws[0], self.area) * (size[0]", "_uniform(draws[0], self.area) * (2 * size[0]"),
        *(("01",), "data/test_augment.py"),
        note=HIDDEN,
    ),
    Bug(
        *("every image is mirrored", "data/augment.py"),
        *(
            "torch.rand(whole, 1, generator=random) < self.flip",
            "torch.rand(whole, 1, generator=random) < 2 * self.flip",
        ),
        *(("01",), "data/test_augment.py"),
        note=HIDDEN,
    ),
    Bug(
        *("the pair sampler draws only positives", "data/samplers.py"),
        *("random.random(len(anchors)) < self.positive_at(epoch)", "random.random(len(anchors)) < 1"),
        *(("01", "03"), "data/test_samplers.py"),
        note=HIDDEN,
    ),
    Bug(
        *("the warm-up is skipped", "training/schedule.py"),
        *("lr * _warmup(recipe, within, warm) * decay", "lr * decay"),
        *(("05",), TEST_SCHEDULE),
        note=HIDDEN,
    ),
    Bug(
        *("the learning rate drops an epoch late", "training/schedule.py"),
        *("int(within) >= milestone", "int(within) > milestone"),
        *(("05",), TEST_SCHEDULE),
        note=HIDDEN,
    ),
    Bug(
        *("re-ranking skips query expansion", RERANKING),
        *("    if k2 > 1:\n", "    if k2 > len(features):\n"),
        *(("11",), TEST_RERANKING),
    ),
    Bug(
        *("re-ranking takes every neighbor for a mutual one", RERANKING),
        *("(neighbors[neighbors[part]] == own[:, None, None])", "(neighbors[neighbors[part]] >= 0)"),
        *(("11",), TEST_RERANKING),
    ),
    Bug(
        *("re-ranking has lambda the wrong way round", RERANKING),
        *("original.mul_(lam).add_(jaccard, alpha=1 - lam)", "original.mul_(1 - lam).add_(jaccard, alpha=lam)"),
        *(("11",), TEST_RERANKING),
    ),
    Bug(
        *("the heat map is always layer4's", "analysis/gradcam.py"),
        *("getattr(model.backbone, layer)", 'getattr(model.backbone, "layer4")'),
        *(("09",), "analysis/test_gradcam.py"),
    ),
    Bug(
        *("heat beside the person is counted", "analysis/shares.py"),
        *("(heats * fitted).sum(axis=(1, 2))", "(heats * ~fitted).sum(axis=(1, 2))"),
        *(("09",), "analysis/test_gradcam.py"),
    ),
    Bug(
        *("people in both train and test go unnoticed", "data/validation.py"),
        *("sorted(train & (query | gallery))", "sorted(train & query & gallery & set())"),
        *(("01",), "data/test_benchmark.py"),
    ),
    Bug(
        *("one digit of paper A's Table 4 is wrong", "papers/tables.py"),
        *("Proposed,     93.14,", "Proposed,     93.41,"),
        *(("02",), "test_papers.py"),
    ),
    Bug(
        *("a difference over seeds has the wrong sign", TABLES),
        *("(shared[one] - shared[other]).mean()", "(shared[other] - shared[one]).mean()"),
        *(("06",), TEST_TABLES),
    ),
    Bug(
        *("an interval over seeds forgets how few they are", TABLES),
        *("stats.t.ppf((1 + CONFIDENCE) / 2, freedom)", "stats.norm.ppf((1 + CONFIDENCE) / 2)"),
        *(("06",), TEST_TABLES),
    ),
    Bug(
        *("what is not separated counts against the paper", "ablations/claims.py"),
        *("        return OPEN\n", "        return FAILS\n"),
        *(("15",), "ablations/test_claims.py"),
    ),
    Bug(
        *("the person's mask is that of everything else", "passersby/annotations.py"),
        *("return render.person_mask(*made_from(image))", "return ~render.person_mask(*made_from(image))"),
        *(("00",), "passersby/test_annotations.py"),
    ),
    Bug(
        *("Holm multiplies every p-value by their number", TABLES),
        *("np.arange(len(values), 0, -1)", "len(values)"),
        *(("15",), TEST_TABLES),
    ),
    Bug(
        *("a claim that fails is said to hold", "ablations/claims.py"),
        *("HOLDS if points > 0 else FAILS", "HOLDS if points < 0 else FAILS"),
        *(("15",), "ablations/test_claims.py"),
    ),
    Bug(
        *("a system need be above one of its controls only", "ablations/gains.py"),
        *("sort=False).all()", "sort=False).any()"),
        *(("13",), "ablations/test_systems.py"),
    ),
    Bug(
        *("false alarms are counted in searches for people who are there", "retrieval/open_set.py"),
        *("return self.nearest[~self.mated]", "return self.nearest[self.mated]"),
        *(("12",), "retrieval/test_open_set.py"),
    ),
    Bug(
        *("gains are those of the controls over the systems", "ablations/gains.py"),
        *(
            "statistics.difference(rows, size, system.label, label)",
            "statistics.difference(rows, size, label, system.label)",
        ),
        *(("13",), "ablations/test_systems.py"),
    ),
    Bug(
        *("teams are compared with the last one, not with the baseline", "capstone.py"),
        *("next(iter(results.values())).ap", "list(results.values())[-1].ap"),
        *(("16",), "test_capstone.py"),
    ),
)
