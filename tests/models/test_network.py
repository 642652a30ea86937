"""What both papers' networks promise to training and retrieval."""

import pytest
import torch

from reid_lab import methods, models
from reid_lab.runtime.errors import DataError, RecipeError

PIDS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
NETWORKS = {
    "multitask": lambda **fields: methods.multitask("smoke", embed_dim=16, **fields).network(5),
    "residual pooling": lambda **fields: methods.residual_pooling("smoke", dim=16, **fields).network(5),
    "baseline": lambda **fields: methods.residual_pooling("smoke", pooling="baseline", **fields).network(5),
}


@pytest.fixture(params=NETWORKS)
def make(request):
    torch.manual_seed(0)
    return NETWORKS[request.param]


@pytest.fixture
def images():
    return torch.randn(8, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def test_embed_does_not_depend_on_the_batch_nor_on_the_mode(make, images):
    model = make()
    together = model.train().embed(images)
    alone = torch.cat([model.embed(image[None]) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_embed_leaves_every_mode_and_every_statistic_as_it_was(make, images):
    model = make().train()
    model.backbone.bn1.eval()  # a frozen batch norm
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    model.embed(images)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_embed_gives_the_mode_back_also_when_it_fails(make):
    model = make().train()
    with pytest.raises(RuntimeError):
        model.embed(torch.zeros(1, 5, 64, 32))
    assert all(module.training for module in model.modules())


def test_backbone_and_head_share_out_the_trainable_parameters(make):
    model = make()
    backbone, head = model.groups().values()
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert len(backbone) + len(head) == len(trainable) == len({id(p) for p in backbone + head})
    assert len(backbone) == len(list(model.backbone.parameters()))


def test_bfloat16_autocast_reaches_the_backbone_and_stops_at_the_losses(make, images):
    model = make()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.backbone(images)[1].dtype == torch.bfloat16
        losses = model.loss(model(images), PIDS)
        assert model.embed(images).dtype == torch.float32
    assert losses.total.dtype == torch.float32
    losses.total.backward()
    assert all(p.grad.isfinite().all() for p in model.groups()["head"])


def test_channels_last_changes_nothing(make, images):
    model = make().eval()
    plain = model.embed(images)
    model = model.to(memory_format=torch.channels_last)
    other = model.embed(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(other, plain, rtol=1e-4, atol=1e-5)


def test_terms_and_accuracy_carry_no_gradients(make, images):
    model = make()
    losses = model.loss(model(images), PIDS)
    assert losses.total.requires_grad
    assert not losses.accuracy.requires_grad and 0 <= losses.accuracy <= 1
    assert not any(term.requires_grad for term in losses.terms.values())


def test_no_tensor_is_stored_twice(make):
    """safetensors refuses shared storage."""
    state = make().state_dict()
    assert len({value.data_ptr() for value in state.values()}) == len(state)


def test_a_few_steps_bring_the_loss_down(make, images):
    model = make(last_stride=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    totals = []
    for _ in range(12):
        loss = model.loss(model(images), PIDS).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.8 * totals[0]


def test_the_input_size_is_height_and_width(make):
    assert make(resize=(128, 64), crop=(128, 64)).input_size == (128, 64)


@pytest.mark.parametrize("kind", [torch.uint8, torch.int64, torch.float64])
def test_images_that_cannot_be_normalized_ones_are_refused(make, images, kind):
    with pytest.raises(DataError, match=str(kind)):
        make().embed(images.to(kind))


@pytest.mark.parametrize("num_pids", [1, "5", 5.0])
@pytest.mark.parametrize("method", methods.METHODS)
def test_a_number_of_identities_out_of_its_range_is_refused_by_its_name(method, num_pids):
    with pytest.raises(RecipeError, match="num_pids"):
        methods.METHODS[method].at("smoke").network(num_pids)


@pytest.mark.parametrize("size", [(0, -3), 256, (64.5, 32)])
def test_an_input_size_that_is_none_is_refused_by_its_name(size):
    class Plain(models.Network):
        features = loss = None

    with pytest.raises(RecipeError, match="input_size"):
        Plain(models.resnet_slim(), 5, size)


@pytest.mark.usefixtures("a_gpu")
def test_training_on_a_gpu_is_deterministic_when_asked(make, images):
    torch.use_deterministic_algorithms(True)
    try:
        gradients = []
        for _ in range(2):
            torch.manual_seed(0)
            model = make().cuda()
            model.loss(model(images.cuda()), PIDS.cuda()).total.backward()
            gradients.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        assert torch.equal(*gradients)
    finally:
        torch.use_deterministic_algorithms(False)
