import numpy as np
import pytest
import torch
from PIL import Image

from reid_lab import methods, retrieval
from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import Record
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import DataError, DeviceError, FeatureError


class Colors(torch.nn.Module):
    """A network of no skill: the mean color of the left and of the right half."""

    input_size = (8, 4)

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.frozen = torch.nn.BatchNorm1d(6)
        self.seen = []

    def embed(self, images):
        assert not self.training and not torch.is_grad_enabled()
        self.seen.append(len(images))
        return torch.cat([images[..., :2].mean((2, 3)), images[..., 2:].mean((2, 3))], dim=1) * self.scale


@pytest.fixture
def records(tmp_path):
    """Six images of three people by two cameras, a color for a person."""
    found = []
    for pid, color in enumerate([(250, 20, 30), (20, 240, 40), (30, 20, 230)], start=1):
        for camid in (1, 2):
            pixels = np.full((8, 4, 3), color, dtype=np.uint8)
            pixels[:, :2] //= camid
            Image.fromarray(pixels).save(tmp_path / f"{pid}_{camid}.png")
            found.append(Record(tmp_path / f"{pid}_{camid}.png", pid, camid))
    return found


def test_descriptors_come_in_the_order_of_the_records_whatever_the_batch(records):
    model = Colors()
    features = retrieval.extract(model, records, batch_size=4)
    assert model.seen == [4, 2]
    assert features.shape == (6, 6) and features.dtype == torch.float32 and features.device.type == "cpu"
    torch.testing.assert_close(features, torch.cat([retrieval.extract(model, [record]) for record in records]))


def test_the_flip_test_is_the_mean_with_the_mirror_image(records):
    plain, flipped = (retrieval.extract(Colors(), records, flip=flip) for flip in (False, True))
    torch.testing.assert_close(flipped, (plain + plain.roll(3, dims=1)) / 2)


def test_extraction_leaves_every_part_of_the_model_in_its_mode(records):
    model = Colors().train()
    model.frozen.eval()
    retrieval.extract(model, records)
    assert model.training and not model.frozen.training


def test_evaluate_gives_scores_and_the_records_behind_them(records):
    bench = Benchmark("colors", [], records[::2], records[1::2])
    result = retrieval.evaluate(Colors(), bench)
    assert result.query == bench.query and result.gallery == bench.gallery
    assert result.mAP == 1
    assert [bench.gallery[i].pid for i in result.matches.indices[:, 0]] == [1, 2, 3]
    assert retrieval.evaluate(Colors(), bench, rerank=True).measure == "re-ranked distance"


def test_evaluate_takes_the_options_of_extraction_and_of_ranking(records, tmp_path):
    bench = Benchmark("colors", [], records[::2], records[1::2])
    options = {"metric": "euclidean", "expand": 2, "top": 2}
    result = retrieval.evaluate(Colors(), bench, flip=True, cache=tmp_path / "run", **options)
    labels = Protocol.of(bench.query, bench.gallery).arrays()
    query, gallery = (retrieval.extract(Colors(), records[i::2], flip=True) for i in (0, 1))
    expected = retrieval.rank(query, gallery, **labels, **options)
    np.testing.assert_array_equal(result.matches.scores, expected.matches.scores)
    assert len(list((tmp_path / "run").iterdir())) == 2


@pytest.mark.parametrize(("option", "near"), [("reranc", "rerank"), ("tob", "top"), ("devise", "device")])
def test_a_misspelt_option_is_refused_by_the_function_that_was_called_with_the_nearest_name(option, near):
    called = {
        "evaluate": lambda: retrieval.evaluate(Colors(), Benchmark("none", [], [], []), **{option: 1}),
        "rank": lambda: retrieval.rank(np.eye(2), np.eye(2), query_pids=[1, 2], gallery_pids=[1, 2], **{option: 1}),
    }
    for name, call in called.items():
        with pytest.raises(TypeError) as refused:
            call()
        assert all(repr(word) in str(refused.value) for word in (option, near))
        assert str(refused.value).startswith(f"{name}()")


def test_an_empty_list_and_an_absent_device_are_refused_with_a_sentence(records):
    with pytest.raises(DataError):
        retrieval.extract(Colors(), [])
    with pytest.raises(DeviceError, match="cuda:63"):
        retrieval.extract(Colors(), records, device="cuda:63")


def test_cached_descriptors_are_read_again_only_for_the_same_weights_images_and_options(records, tmp_path):
    model, folder = Colors(), tmp_path / "run"
    features = retrieval.extract(model, records, cache=folder)
    calls = len(model.seen)
    torch.testing.assert_close(retrieval.extract(model, records, cache=folder), features)
    assert len(model.seen) == calls and len(list(folder.iterdir())) == 1
    assert not torch.equal(retrieval.extract(model, records, flip=True, cache=folder), features)
    with torch.no_grad():
        model.scale.fill_(2)
    torch.testing.assert_close(retrieval.extract(model, records, cache=folder), 2 * features)
    assert len(retrieval.extract(model, records[:2], cache=folder)) == 2


@pytest.mark.parametrize("other", [{"pooling": "max+avg"}, {"sign": "max-avg"}, {"fusion": "sum"}], ids=str)
def test_networks_of_equal_weights_share_no_cached_descriptors_where_their_settings_differ(records, tmp_path, other):
    def network(**settings):
        torch.manual_seed(0)
        return methods.residual_pooling("smoke", dim=8, crop=(64, 32), **settings).network(3)

    one, two = network(), network(**other)
    assert all(torch.equal(value, two.state_dict()[name]) for name, value in one.state_dict().items())
    retrieval.extract(one.train(), records, cache=tmp_path / "run")
    retrieval.extract(one.eval(), records, cache=tmp_path / "run")  # which decides nothing
    cached = retrieval.extract(two, records, cache=tmp_path / "run")
    torch.testing.assert_close(cached, retrieval.extract(two, records))
    assert len(list((tmp_path / "run").iterdir())) == 2


@pytest.mark.parametrize("batch_size", [0, -3, 2.5])
def test_a_batch_size_that_is_no_number_of_images_is_refused_with_a_sentence(records, batch_size):
    with pytest.raises(FeatureError, match=f"batch_size.*{batch_size}"):
        retrieval.extract(Colors(), records, batch_size=batch_size)


def test_a_damaged_cache_is_made_again(records, tmp_path):
    model, folder = Colors(), tmp_path / "run"
    features = retrieval.extract(model, records, cache=folder)
    next(folder.iterdir()).write_bytes(b"half a file")
    torch.testing.assert_close(retrieval.extract(model, records, cache=folder), features)
    assert next(folder.iterdir()).stat().st_size > 100
