"""CtF: the pyramid of codes, against NumPy and PyTorch's own divergence."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from reid_lab import losses, methods
from reid_lab.methods.coarse_to_fine import probability_difference, similarity_difference
from reid_lab.runtime.errors import RecipeError

PIDS = torch.arange(16) // 4


def network(**changes):
    torch.manual_seed(0)
    return methods.coarse_to_fine("smoke", **changes).network(7)


@pytest.fixture(scope="module")
def images():
    return torch.randn(16, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def test_the_papers_network_has_35_million_parameters():
    with torch.device("meta"):
        model = methods.coarse_to_fine("paper", weights=None).network(751)
    lengths = [2048, 2048, 1024, 512, 256, 128, 64, 32]
    linear = sum(longer * shorter for longer, shorter in zip(lengths, lengths[1:], strict=False))
    head = linear + (2 + 751) * sum(lengths)  # BNNecks with their frozen biases, and classifiers
    assert sum(p.numel() for p in model.parameters()) == 23_508_032 + head == 35_100_192


def test_each_level_is_what_its_parts_make_by_hand(images):
    model = network().eval()
    for neck in model.necks:  # as if the norms had seen data
        for values in (neck.running_mean, neck.running_var, neck.weight.data):
            values.uniform_(0.5, 2)
    outputs = model(images)
    vector = F.adaptive_avg_pool2d(model.backbone(images)[1], 1).flatten(1)
    shapes = []
    for level, (neck, classifier) in enumerate(zip(model.necks, model.classifiers, strict=True)):
        if level:
            vector = vector @ model.projections[level - 1].weight.T
        soft = F.batch_norm(vector, neck.running_mean, neck.running_var, neck.weight, neck.bias).tanh()
        assert torch.allclose(outputs.levels[level], vector, atol=1e-5)
        assert torch.allclose(outputs.soft[level], soft, atol=1e-5)
        assert torch.allclose(outputs.logits[level], soft @ classifier.weight.T, atol=1e-5)
        shapes.append(tuple(soft.shape))
    assert shapes == [(16, 1024), (16, 64), (16, 32), (16, 16)]
    assert all(torch.equal(one, other) for one, other in zip(model.soft_codes(images), outputs.soft[1:], strict=True))
    assert torch.equal(model.identity_logits(images), outputs.logits[0])


@pytest.mark.parametrize(("length", "level"), [(0, 0), (64, 1), (16, 3)])
def test_the_features_are_those_of_the_length_that_the_recipe_names(images, length, level):
    model = network(length=length).eval()
    assert torch.equal(model.embed(images), F.normalize(model(images).soft[level]))


def test_no_gradient_leaves_a_level(images):
    outputs = network().train()(images)
    for level, logits in enumerate(outputs.logits):
        reached = torch.autograd.grad(logits.sum(), outputs.levels, retain_graph=True, allow_unused=True)
        assert [gradient is not None for gradient in reached] == [other == level for other in range(4)]


def test_grad_cam_can_ask_a_trained_network_through_all_levels(images):
    model = network(length=16).eval()
    assert torch.autograd.grad(model.features(images)[:, 0].sum(), model.backbone.conv1.weight)[0].abs().sum() > 0


def test_codes_change_nothing_in_the_backbone(images):
    model = network().train()
    outputs, backbone = model(images), list(model.backbone.parameters())
    alone = losses.identification(outputs.logits[0], PIDS, 0.1) + losses.batch_hard_triplet(
        outputs.levels[0], PIDS, 0.3
    )
    found = torch.autograd.grad(model.loss(outputs, PIDS).total, backbone, retain_graph=True)
    assert all(torch.equal(*pair) for pair in zip(found, torch.autograd.grad(alone, backbone), strict=True))


@pytest.mark.parametrize(("teacher", "of"), [("first", (0, 0, 0)), ("previous", (0, 1, 2))])
def test_the_loss_is_the_sum_of_all_terms_by_hand(images, teacher, of):
    model = network(taught_by=teacher, probability=2.0, similarity=30.0, smoothing=0.2).train()
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    entropies = sum(F.cross_entropy(logits, PIDS, label_smoothing=0.2) for logits in outputs.logits)
    triplets = sum(losses.batch_hard_triplet(level, PIDS, 0.3) for level in outputs.levels)
    pairs = list(zip((1, 2, 3), of, strict=True))
    probability = sum(probability_difference(outputs.logits[code], outputs.logits[t]) for code, t in pairs)
    similarity = sum(similarity_difference(outputs.soft[code], outputs.soft[t]) for code, t in pairs)
    assert torch.allclose(found.total, entropies + triplets + 2 * probability + 30 * similarity)
    expected = dict(identification=entropies, triplet=triplets, probability=probability, similarity=similarity)
    assert all(torch.allclose(found.terms[name], value) for name, value in expected.items())
    assert model.collapse_margin() == 0.3


def test_a_teacher_learns_nothing_from_its_pupils(images):
    model = network(taught_by="previous").train()
    outputs = model(images)
    for levels, difference in ((outputs.logits, probability_difference), (outputs.soft, similarity_difference)):
        total = model._taught(levels, difference)
        own = torch.autograd.grad(total, levels, retain_graph=True, allow_unused=True)
        assert own[0] is None and all(gradient.abs().sum() > 0 for gradient in own[1:])
        alone = torch.autograd.grad(difference(levels[1], levels[0].detach()), levels[1], retain_graph=True)
        assert torch.allclose(own[1], alone[0], atol=1e-7)  # level 1 also teaches level 2


def test_the_divergence_is_pytorchs_from_both_sides():
    p, q = (torch.randn(6, 5, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    one, other = (F.log_softmax(logits, dim=1) for logits in (p, q))
    divergence = torch.nn.KLDivLoss(reduction="batchmean", log_target=True)
    assert torch.allclose(probability_difference(p, q), divergence(one, other) + divergence(other, one), atol=1e-6)


def test_similarities_are_those_of_the_whole_batch_by_loops():
    random = np.random.default_rng(0)
    code, teacher = random.normal(size=(5, 3)), random.normal(size=(5, 4))
    alike = []
    for vectors in (code, teacher):
        rows = [[np.dot(one, other) for other in vectors] for one in vectors]
        alike.append(np.array([row / np.linalg.norm(row) for row in rows]))
    found = similarity_difference(torch.from_numpy(code), torch.from_numpy(teacher))
    assert found.item() == pytest.approx(((alike[0] - alike[1]) ** 2).mean(), rel=1e-5)


def test_similarities_and_triplets_are_those_of_all_processes(images):
    """Two processes with half the batch each: the mean of their losses is the loss of the whole."""
    model = network().train()
    whole = model(images)
    parts = [
        methods.CoarseToFineOutputs(*([t[half] for t in some] for some in vars(whole).values())) for half in HALVES
    ]
    every = [PIDS, *whole.levels, *whole.soft]

    def gather(part):
        return next(rows for rows in every for half in HALVES if torch.equal(rows[half], part))

    found = [model.loss(part, PIDS[half], gather).total for part, half in zip(parts, HALVES, strict=True)]
    assert torch.allclose(torch.stack(found).mean(), model.loss(whole, PIDS).total, rtol=1e-5)


HALVES = (slice(0, 8), slice(8, 16))


def test_random_projections_are_orthonormal_and_stay_what_they_are(images):
    model = network(projection="random").train()
    named = {id(parameter) for group in model.groups().values() for parameter in group}
    assert not any(id(parameter) in named for parameter in model.projections.parameters())
    before = [projection.weight.clone() for projection in model.projections]
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model.loss(model(images), PIDS).total.backward()
    optimizer.step()
    assert all(torch.equal(a, b.weight) for a, b in zip(before, model.projections, strict=True))
    at_once = before[2] @ before[1] @ before[0]  # 1024 numbers to 16
    assert torch.allclose(at_once @ at_once.T, torch.eye(16), atol=1e-5)
    learned = network().projections
    assert all(torch.equal(a, b.weight) and b.weight.requires_grad for a, b in zip(before, learned, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"codes": (32, 64)},
        {"codes": (64, 64, 32)},
        {"codes": (64, 20)},
        {"codes": ()},
        {"codes": 64},
        {"length": 48},
        {"taught_by": "last"},
        {"projection": "fixed"},
        {"similarity": -1.0},
        {"images": 1},
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(wrong):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(wrong))}\b"):
        methods.coarse_to_fine("smoke", **wrong)


@pytest.mark.parametrize("size", methods.SIZES)
def test_recipes_survive_json_and_share_the_bench(size):
    recipe = methods.coarse_to_fine(size)
    assert methods.from_json(recipe.to_json()) == recipe and recipe.length == recipe.codes[0]
    assert recipe.batch == (16 if size == "smoke" else 64)
