"""GLAD against PyTorch's own poolings; joints that move with the images; where the joints come from."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from reid_lab import data, export, methods, passersby, retrieval, training
from reid_lab.data.joints import joints
from reid_lab.methods.glad import THINNEST, part_bounds, pool_rows
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.training import step
from reid_lab.training.engine import Engine

THIRDS = torch.tensor([0.0, 1 / 3, 2 / 3])
MAPS = torch.randn(5, 7, 12, 4, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(5, 3, 64, 48, generator=torch.Generator().manual_seed(1))


def network(**changes):
    torch.manual_seed(0)
    return methods.glad("smoke", **changes).network(6)


def some_joints(heads=(8.0, 6, 9, 12, 5), necks=(14.0, 13, 16, 20, 12), hips=(31.0, 30, 34, 40, 28)):
    """Joints (5, 4, 2) at these rows of images of 64 x 48."""
    rows = torch.tensor([heads, necks, hips, hips]).T
    return torch.stack([torch.full_like(rows, 24.0), rows + torch.tensor([0.0, 0, 1, -1])], dim=2)


# pooling


def test_parts_of_a_third_are_adaptive_average_pooling():
    bounds = part_bounds(torch.zeros(5, 3, 96, 32), None, THIRDS)
    found = pool_rows(MAPS, bounds)
    expected = F.adaptive_avg_pool2d(MAPS, (3, 1))[..., 0].transpose(1, 2)
    assert torch.allclose(found[:, 1:], expected, atol=1e-6)
    assert torch.allclose(found[:, 0], F.adaptive_avg_pool2d(MAPS, 1).flatten(1), atol=1e-6)


def test_a_row_counts_with_the_part_of_it_that_lies_within():
    """As the mean over a map in which each row was repeated a hundred times."""
    bounds = torch.tensor([[[0.11, 0.38], [0.505, 0.52], [0.9, 1.0]]]).expand(5, -1, -1)
    fine = MAPS.double().repeat_interleave(100, dim=2)
    found = pool_rows(MAPS, bounds)
    for stream, (begin, end) in enumerate(bounds[0].tolist()):
        rows = fine[:, :, round(begin * 1200) : round(end * 1200)]
        assert torch.allclose(found[:, stream].double(), rows.mean((2, 3)), atol=1e-5)


def test_bounds_are_joints_as_shares_of_the_height():
    bounds = part_bounds(IMAGES, some_joints(), THIRDS) * 64
    assert bounds[:, 0].tolist() == [[0, 64]] * 5
    assert torch.allclose(bounds[0, 1:], torch.tensor([[2.0, 14], [14, 31], [31, 64]]), atol=1e-4)
    assert torch.allclose(bounds[1, 1:], torch.tensor([[0.0, 13], [13, 30], [30, 64]]), atol=1e-4)  # 6 - 7 is outside


def test_missing_joints_become_stripes_and_one_hip_is_enough():
    points = some_joints()
    points[0, 1], points[1, 2], points[2, 2:], points[3] = torch.nan, torch.nan, torch.nan, torch.nan
    bounds, stripes = part_bounds(IMAGES, points, THIRDS) * 64, THIRDS * 64
    assert torch.allclose(bounds[0, 1:, 0], torch.tensor([0.0, stripes[1], 31]), atol=1e-4)  # head and neck need both
    assert bounds[1, 3, 0].item() == pytest.approx(29) and bounds[2, 3, 0].item() == pytest.approx(stripes[2].item())
    assert torch.allclose(bounds[3], part_bounds(IMAGES, None, THIRDS)[3] * 64)


def test_wherever_joints_are_each_part_keeps_some_rows():
    points = 400 * torch.rand(200, 4, 2, generator=torch.Generator().manual_seed(2)) - 200
    bounds = part_bounds(torch.zeros(200, 3, 64, 48), points, THIRDS)
    assert bounds.min() == 0 and bounds.max() == 1
    assert (bounds[..., 1] - bounds[..., 0] >= THINNEST - 1e-6).all()
    assert torch.equal(bounds[:, 1:3, 1], bounds[:, 2:, 0])  # without gaps


# the network


def test_parameters_of_the_published_size_to_the_digit():
    with torch.device("meta"):
        model = methods.glad("paper", weights=None).network(751)
    streams = 4 * (2048 * 1024 + 2 * 1024 + 1024 * 751)
    assert sum(p.numel() for p in model.parameters()) == 23_508_032 + streams == 34_980_928


@pytest.mark.parametrize("norm", [1, 2])
def test_outputs_are_those_of_the_parts_by_hand(norm):
    model = network(norm=norm)
    model(IMAGES, some_joints())  # the norms have seen data
    model.eval()
    pooled = pool_rows(model.backbone(IMAGES)[1], part_bounds(IMAGES, some_joints(), model.stripes))
    outputs, sides = model(IMAGES, some_joints()), []
    for i, stream in enumerate(model.streams):
        vector = pooled[:, i] @ stream.layer.weight.T
        norms = stream.neck
        neck = F.batch_norm(vector, norms.running_mean, norms.running_var, norms.weight, norms.bias)
        assert torch.allclose(outputs.necks[i], neck, atol=1e-4)
        assert torch.allclose(outputs.logits[i], neck @ stream.classifier.weight.T, atol=1e-4)
        sides.append(neck / neck.abs().pow(norm).sum(1, keepdim=True) ** (1 / norm))
    expected = F.normalize(torch.cat(sides, dim=1))
    assert torch.allclose(model.embed(IMAGES, joints=some_joints()), expected, atol=1e-5)
    assert torch.allclose(model.identity_logits(IMAGES), torch.stack(model(IMAGES).logits).mean(0))


def test_the_loss_is_the_sum_of_pytorchs_cross_entropies():
    model, pids = network(smoothing=0.2), torch.tensor([0, 1, 5, 2, 2])
    outputs = model(IMAGES, some_joints())
    expected = sum(F.cross_entropy(logits, pids, label_smoothing=0.2) for logits in outputs.logits)
    assert torch.allclose(model.loss(outputs, pids).total, expected)


def test_a_part_learns_from_its_own_rows_alone():
    bounds = part_bounds(IMAGES, some_joints(), THIRDS)
    maps = MAPS.clone().requires_grad_()
    pool_rows(maps, bounds)[:, 2].sum().backward()  # the upper body
    begin, end = bounds[:, 2].unbind(1)
    rows = torch.arange(12)
    outside = (rows >= (end * 12)[:, None]) | (rows + 1 <= (begin * 12)[:, None])
    assert torch.equal(maps.grad.abs().sum((1, 3)) == 0, outside)


def test_image_and_joints_that_move_together_have_the_same_parts():
    """The lower body's end is the image's: all but this part move by whole rows of the map."""
    model = network().eval()
    maps = torch.randn(1, 6, 16, 4)
    points, down = some_joints()[:1] * 2, torch.tensor([0.0, 16.0])
    tall = torch.zeros(1, 3, 128, 32)
    before = pool_rows(maps, part_bounds(tall, points, model.stripes))
    after = pool_rows(maps.roll(2, dims=2), part_bounds(tall, points + down, model.stripes))
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-5)
    assert not torch.allclose(before[:, 3], after[:, 3], atol=1e-3)


def test_joints_change_the_features_and_a_flip_does_not():
    model = network().eval()
    told, plain = model.embed(IMAGES, joints=some_joints()), model.embed(IMAGES)
    assert not torch.allclose(told, plain, atol=1e-3)
    mirrored = some_joints()
    mirrored[..., 0] = 48 - mirrored[..., 0]
    assert torch.equal(model.embed(IMAGES, joints=mirrored), told)  # rows only


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"stripes": (0.2, 0.1, 0.5)}, "stripes"), ({"stripes": (0.0, 0.5, 0.97)}, "stripes"), ({"norm": 3}, "norm")],
)
def test_impossible_values_are_refused_by_their_names(changes, name):
    with pytest.raises(RecipeError, match=rf"\b{name}\b"):
        methods.glad("smoke", **changes)
    with pytest.raises(RecipeError, match="pose_noise.*stripes"):
        methods.glad("smoke", pose="stripes", pose_noise=4.0)


# where joints come from


def test_passersbys_joints_are_its_keypoints(smoke):
    found = joints(smoke, smoke.query) * [64, 128]
    for record, points in zip(smoke.query[:12], found, strict=False):
        truth = passersby.keypoints(record).loc[["head", "neck", "left_hip", "right_hip"], ["x", "y"]]
        np.testing.assert_allclose(points, truth, atol=2e-3)
    nobody = [smoke.annotations.loc[smoke.relative(record), "shows"] == "background" for record in smoke.gallery]
    assert any(nobody) and np.array_equal(np.isnan(joints(smoke, smoke.gallery)).all((1, 2)), nobody)


def test_the_table_of_joints_is_written_once_and_by_any_number_of_processes_alike(smoke, tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("truth.csv", "passersby.json"):
            shutil.copy(smoke.root / file, folder)
    path = passersby.joint_table(tmp_path / "one", workers=1)
    assert passersby.joint_table(tmp_path / "two", workers=2).read_bytes() == path.read_bytes()
    table = pd.read_csv(path, index_col="path")
    assert table.index.tolist() == smoke.annotations.index.tolist() and set(table["height"]) == {128}
    path.write_text("kept")
    assert passersby.joint_table(tmp_path / "one").read_text() == "kept"


def test_validation_people_have_joints_in_a_folder_of_their_own(smoke):
    validation = smoke.validation()
    assert np.isfinite(joints(validation, validation.query)).all()
    assert np.array_equal(joints(validation, validation.train), joints(smoke, smoke.train))


def test_an_image_gets_the_same_error_in_any_order_and_of_the_size_that_was_asked_for(smoke):
    exact, noisy, twice = (joints(smoke, smoke.train, noise) for noise in (0.0, 4.0, 8.0))
    error = (noisy - exact) * [64, 128]
    assert error.std() == pytest.approx(4.0, rel=0.1) and abs(error.mean()) < 0.4
    assert len(np.unique(error.round(2), axis=0)) == len(smoke.train)
    np.testing.assert_allclose((twice - exact) * [64, 128], 2 * error, atol=1e-3)
    np.testing.assert_array_equal(joints(smoke, smoke.train[7:3:-1], 4.0), noisy[7:3:-1])


def test_the_error_of_a_pose_is_the_same_in_training_and_in_the_search(smoke):
    recipe = methods.glad("smoke", pose_noise=4.0)
    searched = recipe.network(6).extras(smoke, smoke.query)["joints"]
    for found, records in ((recipe.extras(smoke)["joints"], smoke.train), (searched, smoke.query)):
        expected = torch.from_numpy(joints(smoke, records, 4.0)) * torch.tensor([48, 64])
        torch.testing.assert_close(found, expected, equal_nan=True)


def estimated(folder, names=("a.png", "b.png")):
    """A data set of one's own with a pose estimator's file, in which the second image has no head."""
    columns = ["head_x", "head_y", "neck_x", "neck_y", "left_hip_x", "left_hip_y", "right_hip_x", "right_hip_y"]
    table = pd.DataFrame([[32, 20, 32, 40, 30, 100, 34, 102]] * len(names), columns=columns, dtype=float)
    table.insert(0, "height", 200)
    table.insert(0, "width", [64, 100][: len(names)])
    table.insert(0, "path", names)
    table.loc[1:, ["head_x", "head_y"]] = np.nan
    table.to_csv(folder / "joints.csv", index=False)
    records = [data.Record(folder / name, 1, camid) for camid, name in enumerate(("a.png", "b.png"), start=1)]
    return data.Benchmark("mine", records, records[:1], records[1:], root=folder)


def test_other_data_bring_a_file_of_a_pose_estimator(tmp_path):
    bench = estimated(tmp_path)
    found = methods.glad("smoke").extras(bench)["joints"]
    assert found.shape == (2, 4, 2) and found.dtype == torch.float32
    assert torch.allclose(found[0, 1], torch.tensor([32 / 64 * 48, 40 / 200 * 64]))
    assert torch.allclose(found[1, 3], torch.tensor([34 / 100 * 48, 102 / 200 * 64])) and found[1, 0].isnan().all()


def test_data_without_joints_are_refused_before_any_work_and_stripes_need_none(smoke, tmp_path):
    bare = estimated(tmp_path)
    (tmp_path / "joints.csv").unlink()
    for wrong in (bare, dataclasses.replace(bare, root=None)):
        with pytest.raises(DataError, match=r"joints\.csv.*columns path, width, height, head_x.*stripes"):
            step.train(methods.glad("smoke"), wrong)
    assert methods.glad("smoke", pose="stripes").extras(bare) == {}
    partly = estimated(tmp_path, names=("a.png",))  # the gallery's image is missing
    with pytest.raises(DataError, match=r"no row for 1 images.*b\.png"):
        methods.glad("smoke").extras(partly)
    (tmp_path / "joints.csv").write_text("path,width\na.png,64\n")
    with pytest.raises(DataError, match=r"cannot be read"):
        methods.glad("smoke").extras(partly)


# joints travel with the batch, and to the test


def test_a_step_gets_the_joints_of_its_images_where_these_are_cropped(smoke, monkeypatch):
    """As drawing them into the images would show."""
    recipe = methods.glad("smoke", precision="float32")
    found = recipe.extras(smoke)["joints"]
    engine, seen = Engine(recipe, 20, Processes(torch.device("cpu"))), []
    engine.begin_epoch(recipe.stages[0], 0)
    forward = methods.GLAD.forward
    monkeypatch.setattr(
        methods.GLAD, "forward", lambda *args, **extras: seen.append(extras) or forward(*args, **extras)
    )
    indices = torch.arange(5, 21)
    drawn = torch.zeros(16, 3, 64, 48, dtype=torch.uint8)
    for image, (x, y) in zip(drawn, found[indices, 1].tolist(), strict=True):
        image[:, int(y), int(x)] = 255
    engine.step(drawn, indices % 20, 9, **step.rows_of({"joints": found}, indices))
    for image, (x, y) in zip(engine.prepare(drawn, 9).mean(1), seen[0]["joints"][:, 1].tolist(), strict=True):
        places = (image > image.min() + 1).nonzero().tolist()
        assert not places or abs(places[0][0] + 0.5 - y) <= 0.5 and abs(places[0][1] + 0.5 - x) <= 0.5
        assert places or not (1 < x < 47 and 1 < y < 63)


def test_a_step_never_waits_for_a_gpu(smoke, pretended):
    recipe = methods.glad("smoke", precision="float32", erasing=0.9)
    extras = recipe.extras(smoke)
    with pretended() as gpu:
        engine = Engine(recipe, 18, Processes(training.find_device("cuda")))
        store = data.ImageStore(smoke.train, recipe.resize, "cuda")
        picks = data.to_device(torch.arange(16), store.pixels.device)
        there = {name: values.cuda() for name, values in extras.items()}
        gpu.waiting = "error"
        for key in range(2):
            told = engine.step(store.batch(picks), picks % 4, key, **step.rows_of(there, picks)).report()
        gpu.waiting = "allow"
        assert all(value.is_cuda and value.isfinite() for value in told.values())


@pytest.fixture(scope="module")
def run(smoke, tmp_path_factory):
    recipe = methods.glad("smoke", evaluate_every=0, epochs=2)
    return training.fit(recipe, smoke, device="cpu", runs=tmp_path_factory.mktemp("runs"))


def test_retrieval_asks_for_the_joints_of_test_images(run, smoke, tmp_path):
    told = run.model.extras(smoke, smoke.query)
    found = retrieval.extract(run.model, smoke.query, extras=told, batch_size=7)
    one = data.image_store(smoke.query, (64, 48)).batch([9])
    assert torch.allclose(found[9:10], run.model.embed(data.normalize(one), joints=told["joints"][9:10]), atol=1e-5)
    assert not torch.allclose(found, retrieval.extract(run.model, smoke.query), atol=1e-3)
    result = retrieval.evaluate(run.model, smoke)
    query, gallery = (  # in batches of the usual size, whose features are the same bits
        retrieval.extract(run.model, records, extras=run.model.extras(smoke, records))
        for records in (smoke.query, smoke.gallery)
    )
    labels = {
        f"{name}_{kind}": [getattr(record, kind[:-1]) for record in records]
        for name, records in (("query", smoke.query), ("gallery", smoke.gallery))
        for kind in ("pids", "camids")
    }
    assert result.mAP == pytest.approx(retrieval.rank(query, gallery, **labels).mAP)
    assert run.result["mAP"] == pytest.approx(result.mAP)


def test_kept_features_are_those_of_the_joints(run, smoke, tmp_path):
    records = smoke.query[:4]
    told = run.model.extras(smoke, records)
    moved = {"joints": told["joints"] + 10}
    for extras in (None, told, moved, told):
        kept = retrieval.extract(run.model, records, cache=tmp_path, extras=extras)
        assert torch.equal(kept, retrieval.extract(run.model, records, extras=extras))
    assert len(list(tmp_path.iterdir())) == 3


def test_stripes_and_joints_are_two_trainings(run, smoke):
    control = methods.glad("smoke", pose="stripes").network(6)
    count = [sum(p.numel() for p in model.parameters()) for model in (control, methods.glad("smoke").network(6))]
    assert count[0] == count[1] and control.extras(smoke, smoke.query) == {}


def test_it_is_exported_with_fixed_stripes(run, tmp_path):
    pytest.importorskip("onnxruntime")
    assert export.to_onnx(run, tmp_path / "glad.onnx") < 1e-4
