"""PAN: sampling against PyTorch's grid_sample, and what theta changes."""

import pytest
import torch
from torch.nn import functional as F

from reid_lab import methods
from reid_lab.methods.alignment import sample
from reid_lab.models.weights import passersby_weights
from reid_lab.runtime.errors import RecipeError
from reid_lab.training.step import make_optimizer

PIDS = torch.arange(16) % 7
LATER = ("layer2", "layer3", "layer4")  # of the second branch


def network(size="smoke", people=7, **changes):
    torch.manual_seed(0)
    return methods.alignment(size, **changes).network(people)


@pytest.fixture(scope="module")
def images():
    return torch.randn(16, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def thetas(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def by_grid(maps, theta):
    """PyTorch's own sampler; its matrices take x before y."""
    zero = torch.zeros(len(theta), dtype=theta.dtype)
    (sy, sx, ty, tx) = theta.T
    affine = torch.stack([torch.stack([sx, zero, tx], 1), torch.stack([zero, sy, ty], 1)], 1)
    grid = F.affine_grid(affine, list(maps.shape), align_corners=True)
    return F.grid_sample(maps, grid, align_corners=True, padding_mode="zeros")


def test_sampling_and_both_gradients_are_those_of_grid_sample():
    """No theta here hits a position exactly: there the value has two slopes, and each sampler takes another one."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(5, 3, 8, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    theta = thetas(
        [0.8, 0.8, 0, 0.03], [0.55, 1.3, 0.1, -0.23], [1.5, 1.7, 0.3, 0.4], [0.91, 0.7, -0.5, 1.4], [-1.1, 1, 0, 0.7]
    )
    theta.requires_grad_()
    ours, theirs = sample(maps, theta), by_grid(maps, theta)
    assert torch.allclose(ours, theirs, atol=1e-14)
    weights = torch.randn(ours.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((made * weights).sum(), (maps, theta)) for made in (ours, theirs)]
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("scale", "seen"),
    [(0.8, [0.6, 1.4, 2.2, 3.0, 3.8, 4.6, 5.4]), (1.5, [0, 0, 1.5, 3, 4.5, 6, 0]), (1.0, [*range(7)])],
)
def test_a_ramp_is_read_at_a_finer_or_coarser_step_with_zeros_outside(scale, seen):
    ramp = torch.arange(7.0).expand(1, 1, 7, 7)
    rows = sample(ramp, torch.tensor([[1.0, scale, 0, 0]]))[0, 0]
    columns = sample(ramp.transpose(2, 3), torch.tensor([[scale, 1.0, 0, 0]]))[0, 0].T
    for found in (*rows, *columns):
        assert torch.allclose(found, torch.tensor(seen, dtype=torch.float32), atol=1e-6)


def test_the_identity_is_exact():
    maps = torch.randn(2, 3, 32, 16)
    assert torch.equal(sample(maps, torch.tensor([[1.0, 1, 0, 0]]).expand(2, 4)), maps)


def test_the_papers_network_has_the_parameters_of_the_authors_less_two_rows_of_theta():
    with torch.device("meta"):
        model = network("paper", 751, weights=None)
    branch = 23_508_032 - 9_408 - 128 - 215_808  # ResNet-50 without stem and layer1
    locator = 14_964_736 + 2048 * 128 + 128 + 6 * 129
    whole = 23_508_032 + branch + locator + 2 * (2048 * 751 + 751)
    assert whole == 65_096_100
    assert sum(p.numel() for p in model.parameters()) == whole - 2 * 129


def test_theta_begins_alike_for_all_images_and_the_locator_learns(images):
    model = network().train()
    outputs = model(images)
    assert torch.equal(outputs.theta, torch.tensor([0.8, 0.8, 0, 0]).expand(16, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    found = model.loss(outputs, PIDS)
    found.total.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert model.locator.theta.weight.grad.abs().sum() > 0 and model.locator.theta.bias.grad.abs().min() > 0
    optimizer.step()
    assert not torch.equal(*model(images).theta[:2])


def test_the_branches_are_what_they_are_by_hand(images):
    model = network().eval()
    for neck in model.necks:  # as if the norms had seen data
        neck.running_mean.uniform_(0, 0.2)
    outputs, base = model(images), model.backbone
    layer3, layer4 = base(images)
    layer1 = base.layer1(F.max_pool2d(F.relu(base.bn1(base.conv1(images))), 3, 2, 1))
    theta = torch.tensor([0.8, 0.8, 0, 0]).double().expand(16, 4)
    aligned = model.branch(by_grid(layer1.double(), theta).float())
    for branch, map4 in enumerate((layer4, aligned)):
        pooled = map4.mean(dim=(2, 3))
        assert torch.allclose(outputs.pooled[branch], pooled, atol=1e-5)
        vector = model.necks[branch](pooled)
        assert torch.allclose(outputs.vectors[branch], vector, atol=1e-5)
        assert torch.allclose(outputs.logits[branch], model.classifiers[branch](vector), atol=1e-5)
    halves = [F.normalize(vector, dim=1) for vector in outputs.vectors]
    assert torch.allclose(model.embed(images), F.normalize(torch.cat(halves, 1), dim=1), atol=1e-5)
    assert torch.allclose(model.identity_logits(images), (outputs.logits[0] + outputs.logits[1]) / 2, atol=1e-5)


def test_at_the_identity_a_branch_of_the_bases_weights_is_the_base(images):
    model = network(theta="fixed", scale=1.0).eval()
    for own, of_base in zip(
        model.branch, (model.backbone.layer2, model.backbone.layer3, model.backbone.layer4), strict=True
    ):
        own.load_state_dict(of_base.state_dict())
    outputs = model(images)
    assert torch.allclose(*outputs.pooled, atol=1e-5)
    cropped = network(theta="fixed", scale=0.8).eval()
    cropped.load_state_dict(model.state_dict())
    pooled = cropped(images).pooled
    assert torch.allclose(pooled[0], outputs.pooled[0], atol=1e-5) and not torch.allclose(*pooled, atol=1e-3)


def test_the_alignments_loss_reaches_the_layers_below_its_map_and_those_that_find_theta(images):
    """With a fixed theta there is no other way to layer1 than the map, and to layer3 none but a learned theta."""
    fixed, learned = network(theta="fixed"), network()
    torch.nn.init.normal_(learned.locator.theta.weight, std=0.01)
    for model, layer in ((fixed, fixed.backbone.layer1), (learned, learned.backbone.layer3)):
        alignment = F.cross_entropy(model(images).logits[1], PIDS)
        assert torch.autograd.grad(alignment, next(layer.parameters()))[0].abs().sum() > 0


def test_all_branches_begin_from_the_same_start():
    model = network(weights="passersby")
    branch, located = model.branch.state_dict(), model.locator.layer4.state_dict()
    start = {name: value for name, value in passersby_weights("resnet_slim").items() if name[:6] in LATER}
    assert len(start) == len(branch)
    for name, value in start.items():
        assert torch.equal(branch[f"{LATER.index(name[:6])}{name[6:]}"], value)
        assert not name.startswith("layer4.") or torch.equal(located[name.removeprefix("layer4.")], value)


def test_a_fixed_theta_has_no_locator_and_trains_all_else(images):
    model = network(theta="fixed", scale=0.8).train()
    assert model.locator is None and model.groups().keys() == {"backbone", "head"}
    model.loss(model(images), PIDS).total.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    assert set(model.state_dict()) == {name for name in network().state_dict() if not name.startswith("locator.")}


def test_the_loss_is_the_sum_of_two_cross_entropies(images):
    model = network(smoothing=0.2).train()
    outputs = model(images)
    found = model.loss(outputs, PIDS)
    expected = [F.cross_entropy(logits, PIDS, label_smoothing=0.2) for logits in outputs.logits]
    assert torch.allclose(found.total, sum(expected))
    assert torch.allclose(torch.stack([*found.terms.values()]), torch.stack(expected))


def test_theta_has_a_rate_of_its_own():
    recipe = methods.alignment("smoke", theta_lr=0.01, backbone_lr=0.5)
    model = recipe.network(7)
    factors = {group["name"]: group["factor"] for group in make_optimizer(recipe, model).param_groups}
    assert factors == {"backbone": 0.5, "head": 1.0, "theta": 0.01}
    groups = model.groups()
    assert [p.shape for p in groups["theta"]] == [(4, 16), (4,)]
    together = [id(p) for some in groups.values() for p in some]
    assert sorted(together) == sorted(id(p) for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("wrong", [{"scale": 1.0}, {"scale": 0.0}, {"theta": "affine"}, {"dropout": 1.0}], ids=str)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(wrong):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(wrong))}\b"):
        methods.alignment("smoke", **wrong)


@pytest.mark.parametrize("size", methods.SIZES)
def test_recipes_survive_json(size):
    recipe = methods.alignment(size)
    assert methods.from_json(recipe.to_json()) == recipe
    assert recipe.batch == {"smoke": 16, "classroom": 64, "full": 32, "paper": 32}[size]
