import json
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from reid_lab import data, export, methods, retrieval, training
from reid_lab.cli import main
from reid_lab.data.crops import crops
from reid_lab.runtime.errors import CheckpointError, DataError, DeviceError, FeatureError, ReidLabError
from reid_lab.training import tensorboard


@pytest.fixture(scope="module")
def multitask_run(smoke, tmp_path_factory):
    recipe = methods.multitask("smoke", epochs=1)
    return training.fit(recipe, smoke, device="cpu", runs=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def onnx_file(smoke_run, tmp_path_factory):
    """Paper B's network as ONNX."""
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    export.to_onnx(smoke_run, path)
    return path


def session_of(path):
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def unit_images(records, size):
    """As somebody without this package reads them: Pillow and NumPy, float32 from 0 to 1."""
    opened = [Image.open(record.path).convert("RGB").resize((size[1], size[0]), Image.BILINEAR) for record in records]
    return np.stack([np.asarray(image, np.float32).transpose(2, 0, 1) / 255 for image in opened])


def same_direction(given, features):
    """Whether rows are those of ``features``, divided by their lengths."""
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    return np.allclose(given, expected, atol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_onnx_file_takes_plain_images_and_gives_the_descriptors_of_retrieval(onnx_file, smoke, smoke_run, count):
    records = smoke.query[:count]
    images = unit_images(records, smoke_run.model.input_size)
    (given,) = session_of(onnx_file).run(["features"], {"images": images})
    assert given.dtype == np.float32
    assert same_direction(given, retrieval.extract(smoke_run.model, records).numpy())


def test_paper_as_descriptor_gets_length_1_in_the_file(multitask_run, smoke, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    difference = export.to_onnx(multitask_run, tmp_path / "network.onnx")
    assert 0 <= difference <= export.TOLERANCE
    raw = retrieval.extract(multitask_run.model, smoke.query[:3]).numpy()
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1, atol=0.01)
    images = unit_images(smoke.query[:3], multitask_run.model.input_size)
    assert same_direction(session_of(tmp_path / "network.onnx").run(None, {"images": images})[0], raw)


def test_the_onnx_file_says_where_it_comes_from_and_what_it_takes(onnx_file, smoke_run):
    session = session_of(onnx_file)
    about = session.get_modelmeta().custom_metadata_map
    assert about["run"] == smoke_run.folder.name
    assert methods.from_json(about["recipe"]) == smoke_run.recipe
    assert tuple(json.loads(about["input_size"])) == smoke_run.model.input_size
    (images,), (features,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, features.name) == ("images", "tensor(float)", "features")
    assert isinstance(images.shape[0], str) and images.shape[1:] == [3, *smoke_run.model.input_size]
    assert [path.name for path in onnx_file.parent.iterdir()] == [onnx_file.name]  # weights are inside


def test_an_export_leaves_the_run_as_it_was(smoke_run, smoke, onnx_file):
    loaded = training.load(smoke_run.folder)
    before, after = smoke_run.model.state_dict(), loaded.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in after)
    assert not smoke_run.model.training


class OtherProgram:
    """What an exporter gives that gets something wrong: here, the network of other weights."""

    def __init__(self, file):
        self.file, self.model = file, SimpleNamespace(metadata_props={})

    def save(self, path):
        shutil.copy(self.file, path)


def test_a_network_that_differs_from_pytorch_gets_no_file(smoke_run, onnx_file, tmp_path, monkeypatch):
    run = training.load(smoke_run.folder)
    monkeypatch.setattr(export, "_program", lambda *rest: OtherProgram(onnx_file))
    assert export.to_onnx(run, tmp_path / "right.onnx") <= export.TOLERANCE
    with torch.no_grad():
        next(run.model.backbone.parameters()).add_(0.01)
    with pytest.raises(CheckpointError, match=r"PyTorch by \d"):
        export.to_onnx(run, tmp_path / "wrong.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["right.onnx"]


def test_the_command_writes_a_file_and_says_how_to_feed_it(smoke_run, onnx_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(export, "_program", lambda *rest: OtherProgram(onnx_file))
    command = ["export", str(smoke_run.folder), "--onnx", str(tmp_path / "network.onnx")]
    assert main(command) == 0
    assert "(N, 3, 64, 48)" in capsys.readouterr().out and (tmp_path / "network.onnx").stat().st_size > 1e6
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_the_cure(smoke_run, tmp_path, monkeypatch, package):
    for other in ("onnx", "onnxruntime", "onnxscript"):  # so that this test needs none of them
        monkeypatch.setitem(sys.modules, other, sys)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ReidLabError, match=package):
        export.to_onnx(smoke_run, tmp_path / "network.onnx")


def test_what_is_there_already_is_replaced_only_by_force(smoke_run, folder_of_crops, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_packages", lambda: None)
    path = tmp_path / "mine"
    path.write_text("precious")
    for write in (lambda: export.to_onnx(smoke_run, path), lambda: export.to_npz(smoke_run, folder_of_crops, path)):
        with pytest.raises(CheckpointError, match=f"{path}.*--force"):
            write()
    assert path.read_text() == "precious"
    assert export.to_npz(smoke_run, folder_of_crops, path, force=True) == (3, 96)
    assert np.load(path)["features"].shape == (3, 96)


@pytest.fixture
def folder_of_crops(smoke, tmp_path):
    """Three crops to be seen, and files that are to be passed over."""
    folder = tmp_path / "crops"
    for name in ("b/2.png", "a/é 1.PNG", "Z.png", ".hidden.png", ".cache/3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(smoke.query[len(name)].path, folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / "folder.jpg").mkdir()
    return folder


def test_crops_are_all_images_below_a_folder_in_the_order_of_their_paths(folder_of_crops):
    found = [record.path.relative_to(folder_of_crops).as_posix() for record in crops(folder_of_crops)]
    assert found == ["Z.png", "a/é 1.PNG", "b/2.png"]


def test_all_the_promised_formats_are_read(smoke, tmp_path):
    with Image.open(smoke.query[0].path) as image:
        for suffix in ("jpg", "JPEG", "png", "BMP", "webp"):
            image.save(tmp_path / f"crop.{suffix}")
    assert len(crops(tmp_path)) == 5


def test_a_folder_without_images_is_named(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        crops(tmp_path)
    with pytest.raises(DataError, match=str(tmp_path / "none")):
        crops(tmp_path / "none")
    with pytest.raises(DataError, match=os.devnull):
        crops(os.devnull)


@pytest.mark.parametrize("fixture", ["smoke_run", "multitask_run"])
def test_a_numpy_file_holds_the_descriptors_in_the_order_of_the_paths(folder_of_crops, tmp_path, request, fixture):
    run = request.getfixturevalue(fixture)
    shape = export.to_npz(run, folder_of_crops, tmp_path / "out" / "features")
    with np.load(tmp_path / "out" / "features", allow_pickle=False) as file:
        kept = dict(file)
    assert kept["paths"].tolist() == ["Z.png", "a/é 1.PNG", "b/2.png"] and kept["paths"].dtype.kind == "U"
    assert kept["features"].dtype == np.float32 and kept["features"].shape == shape
    records = [data.Record(folder_of_crops / path, pid=0) for path in kept["paths"]]
    assert same_direction(kept["features"], retrieval.extract(run.model, records).numpy())
    assert str(kept["run"]) == run.folder.name
    assert methods.from_json(str(kept["recipe"])) == run.recipe


def test_a_bad_crop_is_named_and_nothing_is_written(smoke_run, folder_of_crops, tmp_path):
    (folder_of_crops / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="bad.jpg"):
        export.to_npz(smoke_run, folder_of_crops, tmp_path / "features.npz")
    assert not (tmp_path / "features.npz").exists()


def test_a_network_that_diverged_writes_no_descriptors(smoke_run, folder_of_crops, tmp_path):
    run = training.load(smoke_run.folder)
    with torch.no_grad():
        next(run.model.backbone.parameters()).fill_(float("nan"))
    with pytest.raises(FeatureError):
        export.to_npz(run, folder_of_crops, tmp_path / "features.npz")
    assert not (tmp_path / "features.npz").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_on_a_gpu_is_exported_and_stays_there(smoke_run, folder_of_crops, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    run = training.load(smoke_run.folder)
    run.model.cuda()
    assert export.to_onnx(run, tmp_path / "network.onnx") <= export.TOLERANCE
    export.to_npz(run, folder_of_crops, tmp_path / "features.npz")
    assert next(run.model.parameters()).is_cuda


LOWEST = {18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11}  # IR versions by opset, from ONNX's table of versions


def test_the_onnx_file_has_the_lowest_ir_version_of_its_opset_and_nothing_of_this_machine(onnx_file):
    import onnx

    version, opset = export.versions(onnx_file)
    assert version == LOWEST[opset]
    onnx.checker.check_model(onnx_file, full_check=True)
    graph = onnx.load(onnx_file).graph
    assert not any(part.metadata_props for part in [graph, *graph.node, *graph.initializer, *graph.value_info])
    assert str(Path(export.__file__).parent).encode() not in onnx_file.read_bytes()


def test_the_opset_that_is_asked_for_is_handed_on_and_looked_at(smoke_run, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    asked = []
    model = SimpleNamespace(opset_imports={"": 18})

    def exported(*_, opset_version, **__):
        asked.append(opset_version)
        return SimpleNamespace(model=model)

    monkeypatch.setattr(torch.onnx, "export", exported)
    for opset, named in (
        (21, "opset 18 instead of 21"),
        (11, "opset 11 .*--opset 18"),
        (9999, "opset 9999 .*--opset 18"),
    ):
        with pytest.raises(CheckpointError, match=named):
            export.to_onnx(smoke_run, tmp_path / "x.onnx", opset=opset)
    assert asked == [21] and not list(tmp_path.iterdir())


def test_whatever_the_exporter_raises_is_one_sentence(smoke_run, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")

    def refusing(*_, **__):
        raise RuntimeError("no adapter\nand a long trace")

    monkeypatch.setattr(torch.onnx, "export", refusing)
    with pytest.raises(CheckpointError, match=r"opset 23 \(no adapter\)"):
        export.to_onnx(smoke_run, tmp_path / "x.onnx", opset=23)


def test_a_file_that_the_runtime_does_not_load_is_not_written(smoke_run, onnx_file, tmp_path, monkeypatch):
    import onnxruntime

    def refusing(*_, **__):
        raise RuntimeError("Unsupported model IR version")

    monkeypatch.setattr(export, "_program", lambda *rest: OtherProgram(onnx_file))
    monkeypatch.setattr(onnxruntime, "InferenceSession", refusing)
    with pytest.raises(CheckpointError, match=r"onnxruntime .*\(Unsupported model IR version\)"):
        export.to_onnx(smoke_run, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_a_cache_without_room_for_people_costs_no_export(smoke_run, onnx_file, tmp_path, monkeypatch):
    def refusing(size):
        raise CheckpointError("No space left on device")

    monkeypatch.setattr(export, "_program", lambda *rest: OtherProgram(onnx_file))
    monkeypatch.setattr(data, "passersby", refusing)
    assert export.to_onnx(smoke_run, tmp_path / "x.onnx") <= export.TOLERANCE


@pytest.mark.parametrize("wrong", range(4))
def test_a_file_that_is_wrong_for_one_of_the_images_it_is_checked_with_is_not_written(
    smoke_run, onnx_file, tmp_path, monkeypatch, wrong
):
    """Noise and people, each alone and three together: each of these may be what shows a fault."""
    import onnxruntime

    right, calls = onnxruntime.InferenceSession, []

    def session(*given, **named):
        opened = right(*given, **named)

        def run(names, given):
            (found,) = opened.run(names, given)
            found[-1] += 0.001 * (len(calls) == wrong)
            calls.append(len(found))
            return [found]

        return SimpleNamespace(run=run)

    monkeypatch.setattr(export, "_program", lambda *rest: OtherProgram(onnx_file))
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(CheckpointError, match="PyTorch by 0.001"):
        export.to_onnx(smoke_run, tmp_path / "x.onnx")
    assert calls == [1, 3, 1, 3] and not list(tmp_path.iterdir())


def test_descriptors_are_computed_where_they_are_asked_to_be(smoke_run, folder_of_crops, tmp_path, pretended):
    run = training.load(smoke_run.folder)
    export.to_npz(run, folder_of_crops, tmp_path / "here.npz")
    with pretended() as gpu:
        export.to_npz(run, folder_of_crops, tmp_path / "there.npz", device="cuda")
        assert gpu.seen and next(run.model.parameters()).is_cuda
    here, there = (np.load(tmp_path / f"{name}.npz")["features"] for name in ("here", "there"))
    np.testing.assert_allclose(there, here, atol=1e-5)


class Broken:
    """A package that is there and does not load."""

    def __init__(self, *names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            raise RuntimeError("built for another machine")


def test_a_package_that_does_not_load_is_not_called_missing(smoke_run, tmp_path, monkeypatch):
    names = ["torch.utils.tensorboard", "faiss", "onnx"]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(*names), *sys.meta_path])
    rows = np.eye(3)
    for error, ask in (
        (DeviceError, tensorboard.tensorboard_writer),
        (ReidLabError, lambda: retrieval.search(rows, rows, 1, index="Flat")),
        (ReidLabError, lambda: export.to_onnx(smoke_run, tmp_path / "x.onnx")),
    ):
        with pytest.raises(error, match=r"does not load \(built for another machine\)") as told:
            ask()
        assert "not installed" not in str(told.value)
