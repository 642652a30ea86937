import numpy as np
import pytest
import torch
from PIL import Image

from reid_lab import retrieval
from reid_lab.data.benchmark import Benchmark
from reid_lab.data.records import Record
from reid_lab.retrieval.protocol import Protocol, check_once
from reid_lab.retrieval.verification import genuine_pairs, impostor_pairs
from reid_lab.runtime.errors import DataError, FeatureError, NoMatchError


class Brightness(torch.nn.Module):
    """Describes an image by its mean color; sure that two are one person if their greens agree."""

    input_size = (8, 4)

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def embed(self, images):
        return images.mean((2, 3)) + self.weight

    def verify(self, one, other):
        assert not self.training
        return torch.exp(-(one[:, 1] - other[:, 1]).abs())


@pytest.fixture
def bench(tmp_path):
    records = []
    for pid in range(1, 5):
        for camid in (1, 2, 3):
            Image.new("RGB", (4, 8), (80 * camid, 60 * pid, 9)).save(tmp_path / f"{pid}_{camid}.png")
            records.append(Record(tmp_path / f"{pid}_{camid}.png", pid, camid))
    return Benchmark("green", [], records[::3], [*records[1::3], *records[2::3]])


def test_the_head_and_cosine_similarity_are_judged_on_the_same_pairs(bench):
    curves = retrieval.verification(Brightness(), bench)
    assert list(curves) == ["verification head", "cosine similarity"]
    assert curves["verification head"].eer == 0 < curves["cosine similarity"].eer
    assert curves["verification head"].at(0.0).threshold == pytest.approx(1, abs=1e-3)


def test_a_model_without_a_head_and_a_set_without_matches_are_refused_with_a_sentence(bench):
    class Plain(torch.nn.Module):
        pass

    with pytest.raises(FeatureError, match="Plain"):
        retrieval.verification(Plain(), bench)
    with pytest.raises(NoMatchError):
        retrieval.verification(Brightness(), Benchmark("none", [], bench.query[:1], bench.query[1:]))


@pytest.mark.parametrize("option", [{"pairs": -1}, {"pairs": 2.5}, {"seed": -1}], ids=str)
def test_pairs_and_seeds_that_are_no_numbers_of_their_kind_are_refused_with_a_sentence(bench, option):
    ((name, value),) = option.items()
    with pytest.raises(FeatureError, match=f"{name}.*{value}"):
        retrieval.verification(Brightness(), bench, **option)


def test_pairs_are_genuine_and_impostor_by_the_protocol_and_the_same_for_a_seed():
    rng = np.random.default_rng(0)
    protocol = Protocol(*(rng.integers(-1, high, size) for high in (6, 3) for size in (50, 300)))
    genuine, impostor = genuine_pairs(protocol, 10**6, 0), impostor_pairs(protocol, 1000, 0)
    pids, camids = protocol.gallery_pids, protocol.gallery_camids
    assert (protocol.query_pids[genuine.queries] == pids[genuine.gallery]).all()
    known = protocol.query_camids[genuine.queries] != -1
    assert (protocol.query_camids[genuine.queries] != camids[genuine.gallery])[known].all()
    assert (protocol.query_pids[impostor.queries] != pids[impostor.gallery]).all()
    assert (pids[impostor.gallery] != -1).all() and (pids[genuine.gallery] != -1).all()
    assert len(genuine_pairs(protocol, 20, 0).queries) == 20
    np.testing.assert_array_equal(impostor.gallery, impostor_pairs(protocol, 1000, 0).gallery)


def test_of_many_pairs_each_has_the_same_chance():
    protocol = Protocol(np.arange(1, 11), np.arange(1, 11).repeat(3), np.zeros(10, int), np.ones(30, int))
    genuine, impostor = np.zeros(30), np.zeros((10, 30))
    for seed in range(300):
        np.add.at(genuine, genuine_pairs(protocol, 10, seed).gallery, 1)
        found = impostor_pairs(protocol, 100, seed)
        np.add.at(impostor, (found.queries, found.gallery), 1)
    assert abs(genuine - 100).max() < 55
    assert abs(impostor.sum(1) / impostor.sum(1).mean() - 1).max() < 0.1
    assert abs(impostor.sum(0) / impostor.sum(0).mean() - 1).max() < 0.15


def test_curves_are_of_the_heads_probabilities_and_of_cosines_pair_by_pair(bench):
    """All pairs: an oracle that compares one query with one image at a time."""
    model = Brightness()
    curves = retrieval.verification(model, bench)
    query, gallery = (retrieval.extract(model, split) for split in (bench.query, bench.gallery))
    cosine, head = {True: [], False: []}, {True: [], False: []}
    for i, one in enumerate(bench.query):
        for j, other in enumerate(bench.gallery):
            kind = one.pid == other.pid
            cosine[kind].append(torch.cosine_similarity(query[i], gallery[j], dim=0).item())
            head[kind].append(torch.exp(-(query[i, 1] - gallery[j, 1]).abs()).item())
    for name, scores in (("verification head", head), ("cosine similarity", cosine)):
        for rates, kind in ((curves[name].true_match_rates, True), (curves[name].false_match_rates, False)):
            limits = curves[name].thresholds
            apart = np.diff(limits, append=-9.0) < -1e-4  # of scores that differ by rounding alone, the last
            accepted = [np.mean(np.array(scores[kind]) >= limit - 1e-5) for limit in limits[apart]]
            assert rates[apart][1:] == pytest.approx(accepted[1:], abs=0.02)


def test_pairs_seed_and_the_options_of_extraction_are_those_that_were_asked_for(bench):
    """Six pairs of a kind at most, of images that are described with their mirror images."""
    described = []

    class Watched(Brightness):
        def embed(self, images):
            described.append(len(images))
            return super().embed(images)

    curves = retrieval.verification(Watched(), bench, pairs=6, seed=8, flip=True, batch_size=3)
    assert described == [3, 3, 1, 1, 3, 3, 3, 3, 2, 2]  # four queries and eight others, each batch twice
    protocol = Protocol.of(bench.query, bench.gallery)
    query, gallery = (retrieval.extract(Brightness(), split, flip=True) for split in (bench.query, bench.gallery))
    for draw, rates in ((genuine_pairs, "true_match_rates"), (impostor_pairs, "false_match_rates")):
        pairs = draw(protocol, 6, 8)
        greens = (query[pairs.queries, 1] - gallery[pairs.gallery, 1]).abs()
        curve = curves["verification head"]
        expected = [(torch.exp(-greens).numpy() >= limit).mean() for limit in curve.thresholds]
        assert getattr(curve, rates).tolist() == pytest.approx(expected)
    others = [retrieval.verification(Brightness(), bench, pairs=6, seed=seed) for seed in range(8)]
    seen = {tuple(one["cosine similarity"].thresholds.round(6)) for one in others}
    assert len(seen) > 4


def test_a_benchmark_with_faults_is_refused_unless_it_is_asked_for(bench):
    faulty = Benchmark("same", bench.query, bench.query, bench.gallery)  # trained on what is looked for
    with pytest.raises(DataError):
        retrieval.verification(Brightness(), faulty)
    assert retrieval.verification(Brightness(), faulty, check=False)


def test_a_faulty_benchmark_is_refused_each_time(smoke):
    faulty = Benchmark("faulty", smoke.train, [*smoke.query, smoke.train[0]], smoke.gallery)
    for _ in range(2):
        with pytest.raises(DataError):
            check_once(faulty)
