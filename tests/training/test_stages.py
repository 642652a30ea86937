"""Several trainings in a row: each begins once, wherever a kill falls, and trains only what it names."""

import pytest
import torch
from toy import Toy, ToyRecipe

from reid_lab import methods, training
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import learning_rate, stages, step
from reid_lab.training.engine import Engine
from reid_lab.training.trainer import Trainer

OPTIONS = dict(seed=3, device="cpu", deterministic=True, checkpoint_seconds=0)
NAMES = ["all", "head alone", "fine"]
STEPS = 3  # in an epoch of `few`


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The toy method is known while a test runs, and has been told nothing."""
    monkeypatch.setitem(methods.METHODS, "toy", ToyRecipe)
    monkeypatch.setattr(Toy, "told", [])


@pytest.fixture
def recipe():
    return ToyRecipe.at("smoke")


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    """The state of the network at the end of a run that nobody kills, and what it was told."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(methods.METHODS, "toy", ToyRecipe)
        patch.setattr(Toy, "told", [])
        run = training.fit(ToyRecipe.at("smoke"), few, runs=tmp_path_factory.mktemp("whole"), **OPTIONS)
        return run.model.state_dict(), Toy.told, run.history


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


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
            raise KilledError
        begin(self, epoch)

    patch.setattr(Trainer, "_begin", counted)


@pytest.mark.parametrize(
    ("kill", "where"),
    [
        (killed_before_epoch, 2),  # between two stages
        (killed_at_step, 2 * STEPS),  # in the second stage, before its first step
        (killed_at_step, 2 * STEPS + 1),  # and after it
        (killed_at_step, 4 * STEPS + 1),  # in the second epoch of the last
    ],
)
def test_a_run_that_is_killed_ends_in_the_same_bits_and_begins_each_stage_once(
    few, recipe, whole, tmp_path, monkeypatch, kill, where
):
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        kill(patch, where)
        training.fit(recipe, few, runs=tmp_path, **OPTIONS)
    run = training.fit(recipe, few, runs=tmp_path, **OPTIONS)
    assert [name for name, _ in Toy.told] == NAMES
    assert same(run.model.state_dict(), whole[0])
    assert run.history["loss"].tolist() == whole[2]["loss"].tolist()


def test_the_plain_training_ends_in_the_same_bits(few, recipe, whole):
    torch.use_deterministic_algorithms(True)
    try:
        network = step.train(recipe, few, seed=3)
    finally:
        torch.use_deterministic_algorithms(False)
    assert same(network.state_dict(), whole[0])
    assert [name for name, _ in Toy.told] == NAMES


def test_what_a_stage_does_not_name_stands_still_its_statistics_included(whole):
    (_, before), (_, after) = whole[1][1:]
    backbone = [name for name in before if name.startswith("backbone.")]
    assert backbone and all(torch.equal(before[name], after[name]) for name in backbone)
    assert not any(torch.equal(before[name], after[name]) for name in before if name.startswith("norm."))
    assert not torch.equal(whole[0]["backbone.layer4.0.conv1.weight"], after["backbone.layer4.0.conv1.weight"])


def test_a_schedule_begins_anew_in_each_stage_without_a_second_warm_up(recipe, whole):
    rates = {0: 0.0004, 0.5: 0.0022, 1: 0.004, 1.9: 0.004, 2: 0.002, 2.9: 0.002, 3: 0.001, 4: 0.0001, 5: 0.0001}
    assert {at: learning_rate(recipe, at) for at in rates} == pytest.approx(rates)
    assert whole[2]["lr"].tolist()[1:] == pytest.approx([0.004, 0.002, 0.001, 0.0001])
    cosine = recipe.replace(schedule="cosine")
    assert [learning_rate(cosine, at) for at in (1, 2, 2.5, 3, 4)] == pytest.approx([0.004, 0.002, 0.001, 0.001, 5e-4])
    assert stages.total_epochs(recipe) == 5 and stages.stage_at(recipe, 4.9) == (2, 3)


def engine_of(recipe, processes=None):
    torch.manual_seed(0)
    return Engine(recipe, 6, processes or Processes(torch.device("cpu")))


def test_a_stage_forgets_the_momentum_of_the_one_before(recipe):
    engine = engine_of(recipe)
    images = torch.randint(0, 256, (16, 3, 40, 24), dtype=torch.uint8)
    engine.begin_epoch(recipe.stages[0], 0)
    engine.step(images, torch.arange(16) % 6, 1)
    assert engine.optimizer.state
    engine.enter(recipe.stages[1], key=5)
    assert not engine.optimizer.state


def test_the_wrapper_of_several_processes_is_made_anew_only_where_something_freezes_or_thaws(recipe):
    class Counting(Processes):
        wrapped = 0

        def wrap(self, model):
            self.wrapped += 1
            return model

    processes = Counting(torch.device("cpu"))
    engine = engine_of(recipe, processes)
    seen = []
    for stage in (*recipe.stages[:2], recipe.stages[1], recipe.stages[2]):
        engine.begin_epoch(stage, 0)
        seen.append(processes.wrapped)
    assert seen == [1, 2, 2, 3]


def test_statistics_of_frozen_batch_norms_move_where_the_stage_says_so(recipe):
    engine = engine_of(recipe)
    for freeze in (True, False):
        engine.begin_epoch(methods.Stage("head alone", 1, train=("head",), freeze_statistics=freeze), 0)
        assert engine.model.backbone.layer4[0].bn1.training != freeze
        assert engine.model.norm.training and engine.model.classifier.training


def test_a_network_draws_the_same_for_a_whole_batch_in_all_processes(recipe):
    images, draws = torch.zeros(16, 3, 40, 24, dtype=torch.uint8), []
    for rank in (0, 1):
        engine = engine_of(recipe)
        engine.processes.rank = rank
        for key in (5, 6):
            engine.prepare(images, key)
        draws.append(engine.model.draws)
    assert draws[0] == draws[1] and draws[0][0] != draws[0][1]


def test_a_group_that_the_network_does_not_have_is_named(recipe, monkeypatch):
    engine = engine_of(recipe)
    with pytest.raises(RecipeError, match="neck"):
        engine.begin_epoch(methods.Stage("neck alone", 1, train=("neck",)), 0)
    monkeypatch.setattr(ToyRecipe, "rates", {"neck": 0.1})
    with pytest.raises(RecipeError, match="neck"):
        engine_of(recipe)


@pytest.mark.parametrize("epochs", [0, 1.5])
def test_a_stage_lasts_a_whole_number_of_epochs(epochs):
    with pytest.raises(RecipeError, match="induction"):
        methods.Stage("induction", epochs)
