"""The vital signs of a training: what a step tells, what the history keeps, what is called unhealthy."""

import numpy as np
import pandas as pd
import pytest
import torch
from test_optimizer_values import batch_of, engine_of

from reid_lab import methods, training
from reid_lab.losses import Losses
from reid_lab.runtime import checkpoint
from reid_lab.training.engine import Engine
from reid_lab.training.progress import Progress
from reid_lab.training.run import run_folder


def test_the_gradients_length_is_that_of_one_long_vector():
    engine = engine_of(methods.residual_pooling, "sgd")
    found = engine.step(*batch_of(engine.recipe), 5).report()["gradient_norm"]
    gradients = [p.grad.double().flatten() for p in engine.model.parameters() if p.grad is not None]
    assert found.item() == pytest.approx(torch.cat(gradients).square().sum().sqrt().item(), rel=1e-5)
    assert found.dtype == torch.float32 and not found.requires_grad


@pytest.mark.parametrize(("factor", "length"), [(1.0, 5.0), (float("inf"), 0.0)], ids=["whole", "skipped"])
def test_a_scaled_loss_tells_the_length_before_the_scale_and_a_skipped_step_none(monkeypatch, factor, length):
    """3 and 4 are planted as gradients: their length is 5. A step that the scaler skips updates nothing."""
    engine = engine_of(methods.residual_pooling, "sgd")
    engine.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    a, b, *_ = (p for p in engine.model.parameters() if p.requires_grad)
    total = factor * (3 * a.flatten()[0] + 4 * b.flatten()[0])
    monkeypatch.setattr(engine, "losses", lambda *batch: Losses(total, {}, total, {}))
    before = a.detach().clone()
    assert engine.update(*batch_of(engine.recipe)).signs["gradient_norm"].item() == pytest.approx(length)
    assert torch.equal(a, before) == (length == 0)


@pytest.mark.parametrize(
    ("fields", "signs"),
    [
        ({}, ["length", "paying", "same_position", "spread"]),
        ({"pooling": "raw max"}, ["length", "paying", "same_position", "spread"]),
        ({"pooling": "avg"}, ["length", "paying", "spread"]),  # no maxima
        ({"pooling": "baseline"}, ["length", "paying", "spread"]),
        ({"triplet_scales": 0}, ["length", "same_position", "spread"]),
    ],
    ids=str,
)
def test_a_method_gives_the_signs_that_it_has(fields, signs):
    engine = engine_of(methods.residual_pooling, "sgd", **fields)
    images, pids = batch_of(engine.recipe)
    assert sorted(engine.losses(engine.prepare(images, 1), pids).signs) == signs


def test_paper_bs_signs_are_of_all_its_triplets_and_of_its_last_map():
    engine = engine_of(methods.residual_pooling, "sgd", margin=2.0)
    images, pids = batch_of(engine.recipe)
    outputs = engine.model(engine.prepare(images, 1))
    found = engine.model.loss(outputs, pids).signs
    shares = []
    for maps in outputs.pooled.values():
        far = torch.cdist(maps.flatten(1).double(), maps.flatten(1).double())
        same = pids[:, None] == pids
        positive, negative = far.masked_fill(~same, 0).amax(1), far.masked_fill(same, torch.inf).amin(1)
        shares.append((positive - negative + 2.0 > 0).float().mean().item())
    assert 0 < np.mean(shares) < 1 or len(set(shares)) == 1
    assert found["paying"].item() == pytest.approx(np.mean(shares))
    layer4 = outputs.layer4.flatten(2)
    moving = layer4.amax(2) > layer4.amin(2)
    counts = torch.bincount(layer4.argmax(2)[moving], minlength=layer4.shape[2])
    assert found["same_position"].item() == pytest.approx((counts.max() / counts.sum()).item(), abs=0.02)  # ties


def test_the_history_has_the_signs_and_a_smoke_run_is_judged(smoke_run):
    table = training.vital_signs(smoke_run.history).set_index("sign")
    assert list(table.index) == [
        "spread / length",
        "active anchors",
        "same position",
        "gradient norm / median",
        "training accuracy",
    ]
    assert table.loc["active anchors", "last"] == smoke_run.history["paying"].iloc[-1]
    assert smoke_run.history[["paying", "same_position"]].gt(0).to_numpy().all()
    assert smoke_run.history["gradient_norm"].gt(0).all()


GOOD = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "spread": [60.0, 40.0, 30.0, 20.0],
        "length": [80.0, 80.0, 70.0, 50.0],
        "paying": [1.0, 0.8, 0.5, 0.3],
        "same_position": [0.2, 0.3, 0.3, 0.3],
        "gradient_norm": [90.0, 10.0, 4.0, 2.0],
        "accuracy": [0.01, 0.2, 0.6, 0.9],
    }
)


def test_a_good_history_is_healthy():
    table = training.vital_signs(GOOD)
    assert len(table) == 5 and table["healthy"].all() and training.unhealthy(GOOD) == []
    spread, gradients = table.iloc[0], table.iloc[3]
    assert (spread["first"], spread["last"]) == (0.75, 0.4)
    assert (gradients["first"], gradients["last"]) == (pytest.approx(90 / 7), pytest.approx(2 / 7))  # the median is 7


@pytest.mark.parametrize(
    ("column", "values", "sign"),
    [
        ("spread", [60.0, 9.0, 4.0, 2.4], "spread / length"),  # 2.4 of 50 is less than 5 %
        ("paying", [1.0, 0.9, 0.85, 0.91], "active anchors"),
        ("same_position", [0.2, 0.3, 0.4, 0.51], "same position"),
        ("gradient_norm", [1.0, 1.0, 1.0, 21.0], "gradient norm / median"),
        ("gradient_norm", [1.0, np.inf, 1.0, 1.0], "gradient norm / median"),
        ("gradient_norm", [1.0, np.nan, 1.0, 1.0], "gradient norm / median"),
        ("accuracy", [0.01, 0.1, 0.3, 0.19], "training accuracy"),
        ("accuracy", [0.5, 0.4, 0.3, 0.3], "training accuracy"),  # it falls
    ],
)
def test_a_history_is_unhealthy_where_one_of_its_signs_is(column, values, sign):
    history = GOOD.assign(**{column: values})
    table = training.vital_signs(history)
    assert table.loc[~table["healthy"].astype(bool), "sign"].tolist() == [sign]
    [sentence] = training.unhealthy(history)
    assert sentence.startswith(sign) and sentence.endswith(table.set_index("sign").loc[sign, "unhealthy means"])


@pytest.mark.parametrize("column", ["spread", "paying", "same_position", "gradient_norm", "accuracy"])
def test_a_value_within_its_limit_is_healthy(column):
    within = {
        "spread": [60.0, 9.0, 4.0, 2.6],
        "paying": [1.0, 1.0, 1.0, 0.89],
        "same_position": [1.0, 1.0, 1.0, 0.49],
        "gradient_norm": [1.0, 1.0, 1.0, 19.0],
        "accuracy": [0.1, 0.05, 0.1, 0.21],
    }
    assert training.unhealthy(GOOD.assign(**{column: within[column]})) == []


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("spread", [60.0, 9.0, 4.0, 2.5]),  # of a length of 50
        ("paying", [1.0, 1.0, 1.0, 0.9]),
        ("same_position", [1.0, 1.0, 1.0, 0.5]),
        ("gradient_norm", [1.0, 1.0, 1.0, 20.0]),
        ("accuracy", [0.0, 0.1, 0.1, 0.2]),
        ("accuracy", [0.5, 0.4, 0.5, 0.5]),  # as high as at the first
    ],
)
def test_the_limit_itself_is_healthy(column, values):
    assert training.unhealthy(GOOD.assign(**{column: values})) == []


def test_an_old_history_is_judged_by_what_it_has():
    assert training.vital_signs(pd.DataFrame()).empty and training.unhealthy(pd.DataFrame()) == []
    old = training.vital_signs(GOOD[["epoch", "spread", "length"]])
    assert old["sign"].tolist() == ["spread / length"]
    resumed = training.vital_signs(GOOD.assign(paying=[np.nan, np.nan, 0.6, 0.3])).set_index("sign")
    assert tuple(resumed.loc["active anchors", ["first", "last", "healthy"]]) == (0.6, 0.3, True)


def test_a_checkpoint_from_before_the_signs_goes_on_and_its_half_epoch_has_none(few, tmp_path, monkeypatch):
    """A mean over the second half of an epoch alone would be taken for that of the whole."""
    recipe = methods.residual_pooling("smoke", epochs=2, evaluate_every=0, precision="float32")
    options = dict(device="cpu", deterministic=True, checkpoint_seconds=0)
    whole = training.fit(recipe, few, runs=tmp_path / "whole", **options)
    update, done = Engine.update, []

    def stopping(self, *batch):
        if len(done) == 2:
            raise KeyError("killed")
        done.append(1)
        return update(self, *batch)

    with monkeypatch.context() as patch, pytest.raises(KeyError):
        patch.setattr(Engine, "update", stopping)
        training.fit(recipe, few, runs=tmp_path / "old", **options)
    path = run_folder(recipe, few, 0, tmp_path / "old") / "checkpoint.safetensors"
    tensors, about = checkpoint.read(path)
    assert about["step"] == 2 and not about["history"]
    new = ["paying", "same_position", "gradient_norm"]
    checkpoint.write(
        path, {name: x for name, x in tensors.items() if name not in [f"sum.{sign}" for sign in new]}, about
    )
    history = training.fit(recipe, few, runs=tmp_path / "old", **options).history
    old = [name for name in whole.history if name not in [*new, "images_per_second"]]
    pd.testing.assert_frame_equal(history[old], whole.history[old], check_exact=True)
    assert history[new].isna().iloc[0].all()
    pd.testing.assert_frame_equal(history[new][1:], whole.history[new][1:], check_exact=True)


def test_a_sign_that_the_first_step_did_not_tell_is_left_out_of_the_epochs_sums():
    old = Progress(step=1, sums={"loss": torch.tensor(2.0)})
    old.add({"loss": torch.tensor(3.0), "paying": torch.tensor(1.0)})
    assert (old.step, old.sums) == (2, {"loss": torch.tensor(5.0)})


def test_sums_do_not_change_with_the_value_that_they_began_with():
    progress, value = Progress(), torch.tensor(2.0)
    progress.add({"loss": value})
    value += 10
    assert progress.sums["loss"].item() == 2


def test_the_maxima_of_the_other_processes_count_in_paper_bs_sign():
    engine = engine_of(methods.residual_pooling, "sgd")
    images, pids = batch_of(engine.recipe)
    outputs = engine.model(engine.prepare(images, 1))
    elsewhere = torch.zeros_like(outputs.layer4[:1, 0])  # the votes of another process: (1, h, w)
    elsewhere[0, 0, 0] = 1e6

    def gather(rows):
        return torch.cat([rows, elsewhere]) if rows.shape == elsewhere.shape else rows

    assert engine.model.loss(outputs, pids, gather).signs["same_position"].item() > 0.99
    assert engine.model.loss(outputs, pids).signs["same_position"].item() < 0.9
