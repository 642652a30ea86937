"""PAR: maps and parts against loops, all triplets against NumPy and pytorch-metric-learning."""

import numpy as np
import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.reducers import AvgNonZeroReducer, MeanReducer
from seen import normed, seen
from torch.nn import functional as F

from reid_lab import losses, methods
from reid_lab.methods.part_aligned import all_triplets, weighted_means
from reid_lab.runtime.errors import RecipeError

PIDS = torch.arange(16) // 4


def network(size="smoke", people=7, **changes):
    torch.manual_seed(0)
    return methods.part_aligned(size, **changes).network(people)


@pytest.fixture(scope="module")
def images():
    return torch.randn(16, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def points(seed=0, count=12):
    generator = torch.Generator().manual_seed(seed)
    unit = F.normalize(torch.randn(count, 3, generator=generator), dim=1).requires_grad_()
    return unit, torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3][:count])


@pytest.mark.parametrize("average", ["violating", "all"])
def test_all_triplets_are_those_of_three_loops(average):
    unit, pids = points()
    x, hinges = unit.detach().numpy().astype(float), []
    for anchor in range(12):
        for positive in range(12):
            for negative in range(12):
                if positive != anchor and pids[positive] == pids[anchor] != pids[negative]:
                    near, far = (((x[anchor] - x[other]) ** 2).sum() for other in (positive, negative))
                    hinges.append(max(0, near - far + 0.2))
    hinges = np.array(hinges)
    expected = hinges.sum() / ((hinges > 0).sum() if average == "violating" else len(hinges))
    found, paying = all_triplets(unit, pids, 0.2, average)
    assert 0 < (hinges > 0).mean() < 1
    assert found.item() == pytest.approx(expected, rel=1e-6) and paying.item() == pytest.approx((hinges > 0).mean())


@pytest.mark.parametrize(("average", "reducer"), [("violating", AvgNonZeroReducer()), ("all", MeanReducer())])
def test_all_triplets_and_their_gradients_are_those_of_pytorch_metric_learning(average, reducer):
    unit, pids = points(seed=1)
    distance = LpDistance(normalize_embeddings=False, power=2)
    theirs = TripletMarginLoss(margin=0.2, distance=distance, reducer=reducer)(unit, pids)
    ours = all_triplets(unit, pids, 0.2, average)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)
    gradients = [torch.autograd.grad(loss, unit)[0] for loss in (ours, theirs)]
    assert torch.allclose(*gradients, atol=1e-6)


def test_a_batch_without_a_violating_triplet_costs_nothing():
    unit, pids = torch.eye(4).repeat_interleave(2, dim=0).requires_grad_(), torch.arange(8) // 2
    for some in (pids, torch.zeros(8, dtype=torch.long)):  # all apart; nobody to be apart from
        loss, paying = all_triplets(unit, some, 0.2, "violating")
        assert loss == 0 and paying == 0 and torch.autograd.grad(loss, unit)[0].abs().sum() == 0


def test_means_are_those_of_a_loop_over_images_parts_and_places():
    generator = torch.Generator().manual_seed(0)
    layer, maps = torch.randn(2, 5, 3, 4, generator=generator), torch.rand(2, 3, 3, 4, generator=generator)
    found = weighted_means(layer, maps)
    for image in range(2):
        for part in range(3):
            total = sum(maps[image, part, y, x] * layer[image, :, y, x] for y in range(3) for x in range(4))
            assert torch.allclose(found[image, part], total / 12, atol=1e-6)


def test_features_are_those_of_the_parts_by_hand(images):
    model = network().eval()
    outputs = model(images)
    layer3, same = model.backbone(images)
    assert torch.equal(layer3, same)
    layer = F.conv2d(layer3, model.reduce.weight, model.reduce.bias)
    maps = 1 / (1 + torch.exp(-F.conv2d(layer, model.detect.weight, model.detect.bias)))
    assert torch.allclose(outputs.maps, maps, atol=1e-5)
    parts = [(layer * maps[:, k : k + 1]).mean(dim=(2, 3)) @ linear.weight.T for k, linear in enumerate(model.linears)]
    assert torch.allclose(outputs.vector, torch.cat(parts, 1), atol=1e-5)  # biases begin at 0
    assert torch.allclose(model.embed(images), F.normalize(torch.cat(parts, 1)), atol=1e-5)


def test_one_map_of_one_is_the_mean_and_a_linear_layer(images):
    one = network(parts=1, maps="one").eval()
    mean = one.reduce(one.backbone(images)[0]).mean(dim=(2, 3))
    assert torch.allclose(one(images).vector, F.linear(mean, one.linears[0].weight), atol=1e-5)
    several = network(maps="one").eval()
    together = torch.cat([linear.weight for linear in several.linears])
    mean = several.reduce(several.backbone(images)[0]).mean(dim=(2, 3))
    assert torch.allclose(several(images).vector, F.linear(mean, together), atol=1e-5)
    assert several.detect is None and (several(images).maps == 1).all()


def test_the_parameters_are_those_of_three_layers_and_the_head():
    with torch.device("meta"):
        model = network("paper", 751, weights=None)
        control = network("paper", 751, weights=None, parts=1)
    layers = 23_508_032 - 14_964_736  # ResNet-50's, less layer4's
    head = 1024 * 512 + 512 + 512 * 8 + 8 + 8 * (512 * 64 + 64)
    assert sum(p.numel() for p in model.parameters()) == layers + head == 9_334_856
    assert sum(p.numel() for p in control.parameters()) == layers + head - 7 * 513
    assert not any(name.startswith("backbone.layer4") for name in model.state_dict())


def test_the_loss_and_what_reaches_the_maps(images):
    model = network().train()
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    unit = F.normalize(outputs.vector, dim=1)
    assert torch.equal(found.total, all_triplets(unit, PIDS, 0.2, "violating")[0])
    assert found.terms.keys() == {"triplet"} and model.collapse_margin() == 0.2
    found.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.ndim > 1)
    nearest = torch.cdist(unit, unit).add_(10 * torch.eye(16)).argmin(dim=1)
    assert found.accuracy == (PIDS[nearest] == PIDS).float().mean()


def test_the_layer_learns_by_way_of_its_maps_too(images):
    model = network().eval()
    layer = model.reduce(model.backbone(images)[0])
    maps = torch.sigmoid(model.detect(layer))
    parts = [linear((layer * maps[:, k : k + 1]).mean(dim=(2, 3))) for k, linear in enumerate(model.linears)]
    expected = torch.autograd.grad(torch.cat(parts, 1).square().sum(), model.reduce.weight)[0]
    found = torch.autograd.grad(model(images).vector.square().sum(), model.reduce.weight)[0]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_a_classifier_stands_behind_its_bnneck(images):
    model = seen(network(identification=0.5))
    outputs = model(images)
    expected = normed(outputs.vector, model.neck) @ model.classifier.weight.T
    torch.testing.assert_close(outputs.logits, expected, rtol=1e-4, atol=1e-6)


def test_a_classifier_is_there_only_where_it_counts(images):
    model = network(identification=0.5).train()
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    entropy = losses.identification(outputs.logits, PIDS, 0.1)
    assert torch.allclose(found.total, found.terms["triplet"] + 0.5 * entropy)
    assert model.eval().identity_logits(images).shape == (16, 7)
    without = network().eval()
    assert without.classifier is None
    with pytest.raises(RecipeError, match="no identity classifier"):
        without.identity_logits(images)


def test_triplets_are_those_of_all_processes(images):
    model = network().train()
    outputs = model(images)
    whole = model.loss(outputs, PIDS)
    halves = (slice(0, 8), slice(8, 16))
    unit = F.normalize(outputs.vector, dim=1)

    def gather(part):
        return PIDS if part.dtype == torch.int64 else unit

    for half in halves:
        part = methods.PartAlignedOutputs(*(rows[half] for rows in list(vars(outputs).values())[:3]), None)
        found = model.loss(part, PIDS[half], gather)
        assert torch.equal(found.total, whole.total) and torch.equal(found.accuracy, whole.accuracy)


@pytest.mark.parametrize("wrong", [{"dim": 30}, {"parts": 0}, {"maps": "softmax"}, {"margin": 0}], ids=str)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(wrong):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(wrong))}\b"):
        methods.part_aligned("smoke", **wrong)


@pytest.mark.parametrize("size", methods.SIZES)
def test_recipes_survive_json(size):
    recipe = methods.part_aligned(size)
    assert methods.from_json(recipe.to_json()) == recipe
    assert recipe.batch == {"smoke": 16, "classroom": 64, "full": 300, "paper": 300}[size]
