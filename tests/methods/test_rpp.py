"""Refined part pooling: the part classifier by hand, and what each stage may change."""

import functools

import numpy as np
import pytest
import torch
from seen import seen
from torch.nn import functional as F

from reid_lab import data, methods, models, training
from reid_lab.models import backbones
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import learning_rate, stages, step
from reid_lab.training.engine import Engine
from reid_lab.training.trainer import Trainer

OPTIONS = dict(seed=3, device="cpu", deterministic=True, checkpoint_seconds=1e9)
LENGTHS = dict(epochs=2, induction_epochs=2, refinement_epochs=1, evaluate_every=0, precision="float32")
STEPS = 3  # in an epoch of `few`
CONTROLS = ("induced", "direct", "frozen", "none")
W = ("part_classifier.weight", "part_classifier.bias")


@pytest.fixture(autouse=True, scope="module")
def narrow():
    """Backbones of few channels, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(backbones.BACKBONES, "resnet_slim", functools.partial(models.resnet_slim, width=4))
        yield


@pytest.fixture(scope="module")
def few(smoke):
    """Eight people to train on, six images each, and four others to look for."""
    pids = [sorted({record.pid for record in split})[:count] for split, count in ((smoke.train, 8), (smoke.query, 4))]
    chosen = set(sum(pids, []))
    splits = [[record for record in split if record.pid in chosen] for split in smoke.splits.values()]
    return data.Benchmark("few", *splits, root=smoke.root)


def recipe_of(**changes):
    return methods.rpp("smoke", **LENGTHS | changes)


def network(method=methods.rpp, **changes):
    torch.manual_seed(0)
    return seen(method("smoke", resize=(128, 96), crop=(128, 96), parts=4, **changes).network(7))


def refined(**changes):
    model = network(**changes)
    model.enter("induction")
    return model


def a_map(model, batch=5):
    """The map of layer4, (batch, c, 8, 6)."""
    return torch.randn(batch, model.backbone.channels[1], 8, 6, generator=torch.Generator().manual_seed(1))


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before, after):
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def kept_of(recipe, bench, folder):
    """A whole run, and the network's state as each stage begins and at the end."""
    kept, enter = {}, methods.RPP.enter

    def keeping(self, stage):
        kept[stage] = copied(self)
        enter(self, stage)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods.RPP, "enter", keeping)
        run = training.fit(recipe, bench, runs=folder, **OPTIONS)
    return run, kept | {"end": copied(run.model)}


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    return kept_of(recipe_of(), few, tmp_path_factory.mktemp("whole"))


def test_the_part_classifier_is_all_that_is_added():
    sizes = [
        sum(p.numel() for p in m("paper", weights=None).network(751).parameters()) for m in (methods.pcb, methods.rpp)
    ]
    assert sizes[1] - sizes[0] == 12_294  # 2048 x 6 weights and 6 biases


def test_features_and_logits_are_those_of_a_loop_over_positions():
    model = refined()
    model.part_classifier.bias.data = torch.tensor([0.5, -0.5, 0.2, 0.0])
    maps = a_map(model)
    outputs = model.head(maps)
    for image in range(2):
        g, f = np.zeros((4, maps.shape[1])), maps[image].double().numpy()
        for i in range(8):
            for j in range(6):
                scores = model.part_classifier.weight.detach().double().numpy() @ f[:, i, j] + [0.5, -0.5, 0.2, 0.0]
                probabilities = np.exp(scores) / np.exp(scores).sum()
                g += probabilities[:, None] * f[:, i, j] * 4 / 48
        np.testing.assert_allclose(outputs.pooled[image].detach(), g, rtol=1e-4, atol=1e-6)
    reduced = model.reduction(outputs.pooled.flatten(0, 1)).unflatten(0, (5, 4))
    expected = [layer(reduced[:, part]) for part, layer in enumerate(model.classifiers)]
    torch.testing.assert_close(outputs.logits, expected)
    torch.testing.assert_close(outputs.membership.sum(dim=1), torch.ones(5, 48))
    assert outputs.membership.std() > 0.1


def test_a_part_classifier_that_knows_nothing_gives_each_part_the_mean_of_the_map():
    model = refined()
    model.part_classifier.weight.data.zero_()
    maps = a_map(model)
    expected = F.adaptive_avg_pool2d(maps, 1).flatten(2).transpose(1, 2).expand(-1, 4, -1)
    torch.testing.assert_close(model.head(maps).pooled, expected, rtol=0, atol=1e-6)


def test_a_part_classifier_that_knows_the_stripes_gives_the_outputs_of_pcb():
    model, plain = refined(), network(methods.pcb)
    maps = a_map(model)
    maps[:, :4] = torch.eye(4).repeat_interleave(2, dim=1)[None, :, :, None]  # a channel for each stripe of two rows
    model.part_classifier.weight.data = 1000 * torch.eye(4, maps.shape[1])
    ours, theirs = model.head(maps), plain.head(maps)
    assert torch.equal(ours.membership, theirs.membership.expand(5, -1, -1))
    torch.testing.assert_close(ours.pooled, theirs.pooled, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=1e-4, atol=1e-5)


def test_the_map_learns_by_way_of_the_part_classifier_too():
    model = refined()
    maps = a_map(model).requires_grad_()
    f = maps.flatten(2).transpose(1, 2)
    g = F.linear(f, *model.part_classifier.parameters()).softmax(dim=2).transpose(1, 2) @ f * 4 / 48
    expected = torch.autograd.grad(g.square().sum(), maps)[0]
    found = torch.autograd.grad(model.head(maps).pooled.square().sum(), maps)[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_before_the_induction_it_is_pcb_and_a_network_without_gradients_for_w():
    model, plain, images = network(), network(methods.pcb), torch.randn(2, 3, 128, 96)
    assert torch.equal(model.embed(images), plain.embed(images))
    model.head(a_map(model)).logits[0].sum().backward()
    assert not any(parameter.grad.any() for parameter in model.part_classifier.parameters())
    model.enter("refinement")
    model.head(a_map(model)).logits[0].sum().backward()
    assert all(parameter.grad.any() for parameter in model.part_classifier.parameters())


def test_the_first_stage_is_the_training_of_pcb_bit_for_bit(few, whole):
    fields = {name: getattr(whole[0].recipe, name) for name in ("epochs", "evaluate_every", "precision")}
    torch.use_deterministic_algorithms(True)
    try:
        plain = step.train(methods.pcb("smoke", **fields), few, seed=3).state_dict()
    finally:
        torch.use_deterministic_algorithms(False)
    trained = whole[1]["induction"]
    assert trained.keys() - plain.keys() == {*W, "refined"}
    assert not changed(plain, {name: trained[name] for name in plain})
    assert changed(whole[1]["stripes"], trained) == {name for name in plain if name not in W}


def test_the_induction_changes_the_part_classifier_alone_and_the_refinement_everything(whole):
    states = whole[1]
    assert [*states] == ["stripes", "induction", "refinement", "end"]
    assert changed(states["induction"], states["refinement"]) == {*W, "refined"}
    untouched = states["refinement"].keys() - changed(states["refinement"], states["end"])
    assert untouched == {"refined"} and states["end"]["refined"]


def test_the_induction_gives_the_part_classifier_stripes_that_nobody_labelled():
    """Each stripe of each person has a look of its own. W learns only from classifiers that know these looks."""
    torch.manual_seed(0)
    model, pids = network(), torch.arange(28) % 7
    looks = torch.randn(7, model.backbone.channels[1], 4).relu().repeat_interleave(2, dim=2)  # (people, c, 8 rows)

    def learn(parameters):
        optimizer = torch.optim.Adam(parameters, lr=0.01)
        for _ in range(40):
            maps = looks[pids, :, :, None] + 0.5 * torch.randn(28, looks.shape[1], 8, 6)
            optimizer.zero_grad()
            model.loss(model.head(maps), pids).total.backward()
            optimizer.step()

    def own_stripe():
        membership = model.head(looks[:, :, :, None].expand(-1, -1, -1, 6)).membership.unflatten(2, (4, 12))
        return torch.stack([membership[:, part, part].mean() for part in range(4)])  # P(part | f) within its stripe

    learn(model.groups()["head"])
    model.enter("induction")
    assert own_stripe().mean() < 0.4  # an even share is 0.25
    learn(model.groups()["part classifier"])
    assert own_stripe().min() > 0.6


class KilledError(Exception):
    pass


def killed_at_step(patch, number):
    """The step of that number, counted from 0 over the whole training, never happens."""
    done, update = [], Engine.update

    def counted(self, *batch):
        if len(done) == number:
            raise KilledError
        done.append(1)
        return update(self, *batch)

    patch.setattr(Engine, "update", counted)


def killed_before_epoch(patch, number):
    begin = Trainer._begin

    def counted(self, epoch):
        if epoch == number:
            self.save()
            raise KilledError
        begin(self, epoch)

    patch.setattr(Trainer, "_begin", counted)


@pytest.mark.parametrize("epoch", [2, 4])  # the first of the induction, and of the refinement
@pytest.mark.parametrize("kill", [killed_before_epoch, lambda patch, epoch: killed_at_step(patch, epoch * STEPS)])
def test_a_run_that_is_killed_between_two_stages_ends_in_the_same_bits(few, whole, tmp_path, monkeypatch, kill, epoch):
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        kill(patch, epoch)
        training.fit(recipe_of(), few, runs=tmp_path, **OPTIONS)
    run = training.fit(recipe_of(), few, runs=tmp_path, **OPTIONS)
    assert not changed(run.model.state_dict(), whole[1]["end"])
    assert run.history["loss"].tolist() == whole[0].history["loss"].tolist()


@pytest.mark.parametrize("refinement", CONTROLS[1:])
def test_a_control_changes_what_its_name_says_and_lasts_as_long(few, whole, tmp_path, refinement):
    recipe = recipe_of(refinement=refinement)
    assert stages.total_epochs(recipe) == stages.total_epochs(recipe_of())
    run, states = kept_of(recipe, few, tmp_path)
    last = recipe.stages[-1].name
    assert len(states) == 3 and not changed(whole[1]["induction"], states[last])  # the first stage is the same
    still = states[last].keys() - changed(states[last], states["end"])
    assert still == {"direct": set(), "frozen": {*W}, "none": {*W, "refined"}}[refinement]
    assert bool(states["end"]["refined"]) == (refinement != "none")


def test_the_published_stages_follow_at_a_tenth_of_the_rate_after_pcbs_steps():
    recipe = methods.rpp("paper")
    assert [(stage.name, stage.epochs) for stage in recipe.stages] == [
        ("stripes", 60),
        ("induction", 3),
        ("refinement", 7),
    ]
    rates = {0: 0.1, 39.9: 0.1, 40: 0.01, 60: 0.01, 63: 0.01, 69.9: 0.01}
    assert {at: learning_rate(recipe, at) for at in rates} == pytest.approx(rates)
    other = recipe.replace(induction_lr=2.0, refinement_lr=0.5)
    assert [learning_rate(other, at) for at in (0, 60, 63)] == pytest.approx([0.1, 0.2, 0.05])
    assert [stage.epochs for stage in methods.rpp("classroom").stages] == [6, 1, 2]


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("partition", ["rows", "random"])
def test_no_step_of_any_stage_waits_for_a_gpu(partition):
    recipe = recipe_of(partition=partition)
    torch.manual_seed(0)
    engine = Engine(recipe, 8, Processes(torch.device("cuda")))
    images = torch.zeros(recipe.batch, 3, *recipe.resize, dtype=torch.uint8).cuda()
    pids = (torch.arange(recipe.batch) % 8).cuda()
    for stage in recipe.stages:
        engine.enter(stage, key=1)
        engine.begin_epoch(stage, 0)
        engine.step(images, pids, 1)  # kernels are loaded and chosen here
        torch.cuda.set_sync_debug_mode("error")
        try:
            engine.step(images, pids, 2).report()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert engine.model.refined


def test_each_parameter_is_in_one_group():
    model = network()
    groups = model.groups()
    assert [*groups] == ["backbone", "head", "part classifier"]
    found = [id(parameter) for group in groups.values() for parameter in group]
    assert sorted(found) == sorted(map(id, model.parameters()))
    assert len(groups["part classifier"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [dict(refinement="soft"), dict(induction_epochs=0), dict(refinement_epochs=1.5), dict(induction_lr=0.0)]
    + [dict(refinement_lr=-1.0), dict(parts=3)],
    ids=str,
)
def test_an_impossible_value_is_refused_by_the_name_of_its_field(wrong):
    with pytest.raises(RecipeError, match=rf"\b{next(iter(wrong))}\b.*rpp"):
        methods.rpp("smoke", **wrong)
