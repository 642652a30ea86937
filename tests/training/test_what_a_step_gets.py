"""A run's steps, one by one: which images, at which size, whose, at which rate, and what becomes of their losses.

Nothing is trained: the step is replaced by one that writes down what it was given.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from reid_lab import data, methods, retrieval, training
from reid_lab.data.records import Record
from reid_lab.losses import Losses
from reid_lab.runtime.distributed import assemble
from reid_lab.runtime.errors import TrainingError
from reid_lab.training import trainer
from reid_lab.training.engine import Engine

PIDS = [1501, 7, 42, 300, 7, 1501, 300, 42] * 3  # neither ascending nor without gaps
CAMIDS = [1 + i // 8 for i in range(24)]  # everybody is seen twice by each of three
SMALL = dict(crop=(32, 16), resize=(40, 24), precision="float32", epochs=3, evaluate_every=2, lr=1.0)
SMALL |= dict(warmup="linear", warmup_epochs=1, warmup_factor=0.1, schedule="steps", milestones=(2,), decay=0.5)
RECIPES = {
    "multitask": methods.multitask("smoke", pairs=4, positive=0.75, cross_camera=True, embed_dim=8, **SMALL),
    "residual_pooling": methods.residual_pooling("smoke", identities=3, images=2, dim=8, **SMALL),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("bench"), np.random.default_rng(0)

    def shot(name, pid, camid):
        Image.fromarray(random.integers(0, 256, (50, 30, 3), dtype=np.uint8)).save(folder / f"{name}.png")
        return Record(folder / f"{name}.png", pid, camid)

    train = [shot(f"train{i}", *seen) for i, seen in enumerate(zip(PIDS, CAMIDS, strict=True))]
    query, gallery = ([shot(f"{name}{pid}", pid, camid) for pid in (1, 2, 3)] for camid, name in ((1, "q"), (2, "g")))
    return data.Benchmark("small", train, query, gallery, root=folder)


def watched(recipe, bench, folder, monkeypatch, seed=3):
    """The run, and of each of its steps: images, labels, key, learning rates, and whether the network is training."""
    steps = []

    def step(engine, images, pids, key):
        rates = [group["lr"] for group in engine.optimizer.param_groups]
        training_mode = all(module.training for module in engine.model.modules())
        steps.append((images.clone(), pids.clone(), key, rates, training_mode))
        told = torch.tensor(float(len(steps)))
        return Losses(
            told, {"verification": 2 * told}, told / 100, {"spread": torch.ones(()), "length": torch.ones(())}
        )

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "step", step)
        return training.fit(recipe, bench, seed=seed, device="cpu", runs=folder), steps


@pytest.fixture(scope="module", params=RECIPES)
def watch(request, bench, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        recipe = RECIPES[request.param]
        return recipe, *watched(recipe, bench, tmp_path_factory.mktemp("runs"), patch)


def batches_of(recipe, seed, epoch):
    """What the sampler of the recipe's own values draws."""
    labels = np.searchsorted(sorted(set(PIDS)), PIDS)
    if recipe.method == "multitask":
        return data.PairSampler(labels, CAMIDS, 4, positive=0.75, cross_camera=True, seed=seed).epoch(epoch)
    return data.PKSampler(labels, identities=3, images=2, seed=seed).epoch(epoch)


def test_each_step_gets_the_samplers_images_at_the_size_that_they_are_to_be_read_at(watch, bench):
    recipe, _, steps = watch
    drawn = [batch for epoch in range(3) for batch in batches_of(recipe, 3, epoch)]
    assert len(drawn) == len(steps) and len({tuple(batch) for batch in drawn}) == len(drawn)
    for (images, *_), batch in zip(steps, drawn, strict=True):
        assert images.shape == (recipe.batch, 3, 40, 24) and images.dtype == torch.uint8
        for image, place in zip(images, batch, strict=True):
            with Image.open(bench.train[place].path) as opened:
                expected = np.asarray(opened.resize((24, 40), Image.Resampling.BILINEAR))
            assert np.array_equal(image.permute(1, 2, 0).numpy(), expected)


def test_identities_count_from_0_in_the_order_of_their_numbers(watch):
    recipe, run, steps = watch
    place = {7: 0, 42: 1, 300: 2, 1501: 3}
    drawn = [batch for epoch in range(3) for batch in batches_of(recipe, 3, epoch)]
    for (_, pids, *_), batch in zip(steps, drawn, strict=True):
        assert pids.tolist() == [place[PIDS[i]] for i in batch]
    assert run.model.num_pids == 4


def test_every_step_has_its_own_key_and_the_seed_decides_it(watch, bench, tmp_path, monkeypatch):
    recipe, _, steps = watch
    keys = [key for _, _, key, *_ in steps]
    assert len(set(keys)) == len(keys)
    other = watched(recipe.replace(epochs=1), bench, tmp_path, monkeypatch, seed=4)[1]
    assert not set(keys) & {key for _, _, key, *_ in other}
    same = watched(recipe.replace(epochs=1, lr=0.5), bench, tmp_path, monkeypatch)[1]
    assert [key for _, _, key, *_ in same] == keys[: len(same)]


def test_the_rate_rises_within_the_first_epoch_and_drops_at_the_milestone(watch):
    _, run, steps = watch
    each = len(steps) // 3
    expected = [0.1 + 0.9 * i / each for i in range(each)] + [1.0] * each + [0.5] * each
    assert [rates[1] for *_, rates, _ in steps] == pytest.approx(expected)
    last = expected[each - 1 :: each]
    assert run.history["lr"].tolist() == pytest.approx(last)


def test_the_network_is_in_training_mode_at_every_step_also_after_an_evaluation(watch):
    assert all(mode for *_, mode in watch[2])


def test_the_history_holds_means_of_an_epochs_steps_and_evaluations_where_they_are_due(watch):
    _, run, steps = watch
    each = len(steps) // 3
    loss = [np.mean(np.arange(1, each + 1) + epoch * each) for epoch in range(3)]
    assert run.history["loss"].tolist() == pytest.approx(loss)
    assert run.history["verification"].tolist() == pytest.approx([2 * value for value in loss])
    assert run.history["accuracy"].tolist() == pytest.approx([value / 100 for value in loss])
    assert run.history["mAP"].notna().tolist() == [False, True, True]  # every second epoch, and the last


def test_the_result_is_the_last_evaluation_in_shares(watch, bench):
    _, run, _ = watch
    expected = retrieval.evaluate(run.model, bench)
    assert run.model.input_size == (32, 16)
    for name, value in (("rank-1", expected.rank(1)), ("mAP", expected.mAP), ("mINP", expected.mINP)):
        assert run.result[name] == run.history[name].iloc[-1] == pytest.approx(value)


def test_a_run_that_goes_on_has_the_sums_the_step_and_the_optimizers_buffers_of_its_checkpoint(
    bench, tmp_path, monkeypatch
):
    """Two real steps, then a third in another process: as if there had been no interruption."""
    for optimizer in ("sgd", "adamw"):
        recipe = RECIPES["residual_pooling"].replace(optimizer=optimizer, lr=0.01)
        folder, processes = tmp_path / optimizer, assemble("cpu")
        folder.mkdir()
        first = trainer.Trainer(recipe, bench, 0, processes, folder)
        store = data.image_store(bench.train, recipe.resize)
        first.engine.model.train()
        batches = first.sampler.epoch(0)

        def step(run, i, batches=batches, store=store):
            run.step(store.batch(batches[i]), run.labels[batches[i]], 0)

        step(first, 0), step(first, 1)
        first.save()
        second = trainer.Trainer(recipe, bench, 0, processes, folder)
        assert second.progress.step == 2
        assert {name: value.item() for name, value in second.progress.sums.items()} == {
            name: value.item() for name, value in first.progress.sums.items()
        }
        second.engine.model.train()
        for run in (first, second):
            step(run, 2)
        for (name, one), other in zip(
            first.engine.model.state_dict().items(), second.engine.model.state_dict().values(), strict=True
        ):
            assert torch.equal(one, other), name
        assert len(second.progress.history) == 0 and first.engine.optimizer.state


def test_an_interrupted_run_goes_on_from_its_last_checkpoint_with_its_minutes_and_its_threads(
    bench, tmp_path, monkeypatch
):
    """By a clock on which a step takes 30 seconds and nothing else takes any: a checkpoint is due after five steps."""
    recipe, now, steps, asked = RECIPES["residual_pooling"].replace(evaluate_every=0), [0.0], [], []

    def step(engine, images, pids, key):
        steps.append(key)
        if len(steps) == 7:
            raise KeyError("killed")
        now[0] += 30
        return Losses(torch.ones(()), {}, torch.ones(()), {})

    clock = SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    monkeypatch.setattr(trainer, "time", clock)
    monkeypatch.setattr(Engine, "step", step)
    monkeypatch.setattr(Engine, "fastest_threads", lambda *batch: asked.append(1) or torch.get_num_threads())
    options = dict(seed=3, device="cpu", runs=tmp_path, checkpoint_seconds=130)
    with pytest.raises(KeyError):
        training.fit(recipe, bench, **options)
    run = training.fit(recipe, bench, **options)
    whole = 3 * (len(PIDS) // recipe.batch)
    assert steps[7:9] == steps[5:7] and len(steps) == 7 + whole - 5
    assert run.result["minutes"] == pytest.approx(whole / 2)  # of the five steps that were kept, too
    assert run.history["images_per_second"].tolist() == pytest.approx([recipe.batch / 30] * 3, abs=0.06)
    assert asked == [1]  # the number of threads is chosen once, so that the bits stay the same


def test_a_loss_that_is_lost_stops_a_run_at_once(bench, tmp_path, monkeypatch):
    """At the first step, not at the end of an epoch, which may take hours."""
    steps = []

    def step(engine, images, pids, key):
        steps.append(key)
        return Losses(torch.tensor(float("nan")), {}, torch.ones(()), {})

    monkeypatch.setattr(Engine, "step", step)
    with pytest.raises(TrainingError, match="nan in epoch 1"):
        training.fit(RECIPES["residual_pooling"], bench, seed=3, device="cpu", runs=tmp_path)
    assert len(steps) == 1
