"""From image files to descriptors: a network of each paper, against Pillow, torchvision and one image at a time."""

import numpy as np
import pytest
import torch
from PIL import Image
from seen import seen
from torch.nn import functional as F
from torchvision.transforms.v2 import functional as tv

from reid_lab import methods, retrieval
from reid_lab.data import Benchmark, Record

SIZE = (96, 64)
INPUT = {"resize": SIZE, "crop": SIZE}
NETWORKS = {
    "multitask": lambda: methods.multitask("smoke", embed_dim=12, embed_norm=True, **INPUT).network(5),
    "residual pooling": lambda: methods.residual_pooling("smoke", dim=8, **INPUT).network(5),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Pictures of another size than the network's, of four people by two cameras; the two halves of none are alike."""
    folder, random = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    found = []
    for i in range(8):
        coarse = Image.fromarray(random.integers(0, 256, (8, 4, 3), dtype=np.uint8))
        coarse.resize((30, 70), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
        found.append(Record(folder / f"{i}.png", 1 + i // 2, 1 + i % 2))
    return found


@pytest.fixture(scope="module", params=NETWORKS)
def model(request):
    torch.manual_seed(0)
    return seen(NETWORKS[request.param]())


def read(record, mirrored=False):
    """One image as somebody without this package reads it: (1, 3, H, W), normalized."""
    with Image.open(record.path) as opened:
        pixels = np.asarray(opened.convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR))
    pixels = torch.from_numpy((np.fliplr(pixels) if mirrored else pixels).copy()).permute(2, 0, 1)
    return tv.normalize(pixels.float() / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[None]


def described(model, records, mirrored=False):
    with torch.no_grad():
        return torch.cat([model.eval().embed(read(record, mirrored)) for record in records])


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-4)


def test_a_file_is_read_resized_normalized_and_described_in_evaluation_mode(model, records):
    close(retrieval.extract(model.train(), records, batch_size=3), described(model, records))
    assert (described(model, records[:1]) - described(model, records[1:2])).abs().max() > 0.01


def test_the_flip_test_is_the_mean_of_an_images_descriptor_and_its_mirror_images(model, records):
    plain, mirrored = described(model, records), described(model, records, mirrored=True)
    assert (plain - mirrored).abs().max() > 0.01  # a network that sees the difference
    close(retrieval.extract(model, records, batch_size=5, flip=True), (plain + mirrored) / 2)


def test_a_descriptor_in_bfloat16_is_near_and_not_the_same(model, records):
    exact, fast = (retrieval.extract(model, records, autocast=autocast) for autocast in (False, True))
    assert fast.dtype == torch.float32 and not torch.equal(fast, exact)
    assert F.cosine_similarity(fast, exact).min() > 0.99


def bench_of(records):
    return Benchmark("files", [], records[::2], records[1::2])


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"autocast": True}], ids=str)
def test_an_evaluation_describes_query_and_gallery_alike(model, records, options):
    result = retrieval.evaluate(model, bench_of(records), top=4, **options)
    query, gallery = (F.normalize(retrieval.extract(model, records[i::2], **options)) for i in (0, 1))
    expected = (query @ gallery.T).sort(dim=1, descending=True)
    np.testing.assert_array_equal(result.matches.indices, expected.indices)
    np.testing.assert_allclose(result.matches.scores, expected.values, atol=1e-5)


def test_an_evaluation_re_ranks_with_its_own_numbers(model, records):
    options = {"k1": 3, "k2": 2, "lam": 0.7, "metric": "euclidean"}
    result = retrieval.evaluate(model, bench_of(records), rerank=True, top=4, **options)
    query, gallery = (retrieval.extract(model, records[i::2]) for i in (0, 1))
    expected = retrieval.rerank(query, gallery, **options).sort(dim=1).values
    np.testing.assert_allclose(result.matches.scores, expected, atol=1e-5)
    other = retrieval.rerank(query, gallery, **options | {"k1": 2, "k2": 3}).sort(dim=1).values
    assert (other - expected).abs().max() > 1e-3


def test_what_decides_a_descriptor_decides_whether_a_kept_one_is_taken(model, records, tmp_path):
    size = model.input_size
    try:
        for options in ({}, {"flip": True}, {"autocast": True}, {"size": (64, 96)}):
            extraction = {name: value for name, value in options.items() if name != "size"}
            model.input_size = options.get("size", size)
            kept = retrieval.extract(model, records, cache=tmp_path, **extraction)
            assert torch.equal(kept, retrieval.extract(model, records, **extraction)), options
        assert len(list(tmp_path.iterdir())) == 4
    finally:
        model.input_size = size
