"""Codes of bits: distances against SciPy and FAISS, cascades against plain search, thresholds against scikit-learn."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import norm
from sklearn.metrics import fbeta_score

from reid_lab import methods, retrieval, training
from reid_lab.data import image_store, normalize
from reid_lab.retrieval import code_thresholds, codes, reference
from reid_lab.retrieval.protocol import Protocol
from reid_lab.runtime.errors import DataError, FeatureError

LENGTHS = (256, 64, 24, 8)


def bits_of(seed, images, length):
    return np.random.default_rng([seed, length]).random((images, length)) < 0.5


@pytest.fixture(params=["NumPy 2", "NumPy 1"])
def numpys(request, monkeypatch):
    """With NumPy's own count of ones, and by looking up bytes."""
    if request.param == "NumPy 1":
        monkeypatch.setattr(codes, "ones", codes.BYTES.__getitem__)
        monkeypatch.setattr(codes, "WORD", 1)
    elif not hasattr(np, "bitwise_count"):
        pytest.skip("NumPy 1")


@pytest.mark.usefixtures("numpys")
@pytest.mark.parametrize("length", [*LENGTHS, 2048])
def test_distances_are_scipys_and_products_of_signs(length):
    query, gallery = bits_of(0, 7, length), bits_of(1, 11, length)
    found = codes.hamming(codes.pack(query), codes.pack(gallery))
    assert np.array_equal(found, np.rint(cdist(query, gallery, "hamming") * length))
    signs, others = np.where(query, 1.0, -1.0), np.where(gallery, 1.0, -1.0)
    assert np.array_equal(found, (length - signs @ others.T) / 2)


def test_the_nearest_images_are_those_of_faiss():
    faiss = pytest.importorskip("faiss")
    query, gallery = codes.pack(bits_of(0, 20, 64)), codes.pack(bits_of(1, 300, 64))
    index = faiss.IndexBinaryFlat(64)
    index.add(gallery)
    distances, _ = index.search(query, 300)
    found = codes.cascade({64: query}, {64: gallery}, {})
    assert np.array_equal(np.take_along_axis(codes.hamming(query, gallery), found.rankings, 1), distances)


@pytest.fixture
def pyramid():
    """Queries and a gallery in which each bit of a short code is one of the next longer code, and much is equal."""
    parts = {"query": bits_of(0, 9, 256), "gallery": bits_of(1, 120, 256)}
    parts["gallery"][60:] = parts["gallery"][:60]  # equally near images
    return [{length: codes.pack(bits[:, :length]) for length in LENGTHS} for bits in parts.values()]


@pytest.mark.usefixtures("numpys")
def test_a_cascade_that_passes_everything_on_is_plain_search_with_the_longest_code(pyramid):
    query, gallery = pyramid
    found = codes.cascade(query, gallery, {length: length for length in LENGTHS})
    distances = codes.hamming(query[256], gallery[256])
    assert np.array_equal(found.rankings, np.argsort(distances, axis=1, kind="stable"))
    assert found.comparisons == dict.fromkeys(LENGTHS, 9 * 120)
    plain = codes.cascade({256: query[256]}, {256: gallery[256]}, {})
    assert np.array_equal(found.rankings, plain.rankings) and plain.comparisons == {256: 9 * 120}


def test_a_cascade_is_what_its_description_says_image_by_image(pyramid):
    query, gallery = pyramid
    thresholds = {8: 4, 24: 11, 64: 29}
    found = codes.cascade(query, gallery, thresholds)
    counts = dict.fromkeys(sorted(LENGTHS), 0)
    for row in range(9):
        keys = []
        for image in range(120):
            passed, length = 0, 8
            while True:
                counts[length] += 1
                distance = codes.hamming(query[length][row : row + 1], gallery[length][image : image + 1])[0, 0]
                if length == 256 or distance > thresholds[length]:
                    break
                passed, length = passed + 1, {8: 24, 24: 64, 64: 256}[length]
            keys.append((-passed, distance, image))
        assert found.rankings[row].tolist() == [image for _, _, image in sorted(keys)]
    assert found.comparisons == counts
    assert 0 < counts[256] < counts[64] < counts[24] < counts[8] == 9 * 120


def test_where_nothing_is_near_the_coarse_order_stays(pyramid):
    query, gallery = pyramid
    found = codes.cascade(query, gallery, dict.fromkeys(LENGTHS, -1))
    assert np.array_equal(found.rankings, codes.cascade({8: query[8]}, {8: gallery[8]}, {}).rankings)
    assert found.comparisons == {8: 9 * 120, 24: 0, 64: 0, 256: 0}


def test_a_cascade_is_scored_as_the_reference_scores_places(smoke):
    random = np.random.default_rng(0)
    parts = [{8: random.integers(0, 256, (len(part), 1), np.uint8)} for part in (smoke.query, smoke.gallery)]
    found = codes.cascade(*parts, {})
    labels = Protocol.of(smoke.query, smoke.gallery).arrays()
    expected = reference.evaluate(codes.hamming(parts[0][8], parts[1][8]), **labels)
    result = codes.score(found, smoke)
    assert result.mAP == pytest.approx(expected.mAP) and result.rank(1) == pytest.approx(expected.cmc[0])
    for row, ranking in enumerate(found.rankings):
        assert found.positions()[row, ranking].tolist() == list(range(len(smoke.gallery)))


@pytest.mark.parametrize("beta", [0.5, 2.0])
@pytest.mark.parametrize("others", [40, 400])
def test_the_f_score_is_scikit_learns(beta, others):
    random = np.random.default_rng(0)
    distances = np.concatenate([random.normal(10, 3, 40), random.normal(16, 3, others)])
    match, near = np.arange(40 + others) < 40, distances <= 12.5
    found = code_thresholds.f_score(near[:40].mean(), near[40:].mean(), beta, others / 40)
    assert found == pytest.approx(fbeta_score(match, near, beta=beta))


def spread_codes(seed=0, people=40, cameras=3, length=128, noise=0.15):
    """Codes of people on each camera: one prototype each, some of whose bits are turned."""
    random = np.random.default_rng(seed)
    prototypes = random.random((people, length)) < 0.5
    pids, camids = np.repeat(np.arange(people), cameras), np.tile(np.arange(cameras), people)
    return codes.pack(prototypes[pids] ^ (random.random((len(pids), length)) < noise)), pids, camids


def test_pairs_are_those_of_two_cameras():
    packed, pids, camids = spread_codes(people=5)
    camids[3] = camids[4]  # two images of person 1 from one camera
    matching, others = code_thresholds.pair_histograms(packed, pids, camids)
    expected = np.zeros((2, 129), int)
    for i in range(15):
        for j in range(i):
            if camids[i] != camids[j]:
                distance = int(codes.hamming(packed[i : i + 1], packed[j : j + 1])[0, 0])
                expected[int(pids[i] != pids[j]), distance] += 1
    assert np.array_equal([matching, others], expected) and matching.sum() == 14


@pytest.mark.parametrize("beta", [1.0, 2.0])
@pytest.mark.parametrize("prior", ["balanced", "true"])
@pytest.mark.parametrize(("people", "cameras"), [(40, 3), (4, 8)])  # of few people, a fourth of all pairs match
def test_thresholds_have_the_best_f_score_of_samples(beta, prior, people, cameras):
    packed, pids, camids = spread_codes(people=people, cameras=cameras, noise=0.3)
    histograms = code_thresholds.pair_histograms(packed, pids, camids)
    found = retrieval.fit_thresholds({128: packed}, pids, camids, beta, prior)[128]
    samples = []
    for counts, size in zip(histograms, (2_000, 20_000), strict=True):
        distances = np.repeat(np.arange(129), counts)
        evenly = (np.arange(size) + 0.5) / size
        samples.append(norm(distances.mean(), distances.std()).ppf(evenly))
    ratio = 1 if prior == "balanced" else histograms[1].sum() / histograms[0].sum()
    labels = np.arange(22_000) < 2_000
    weights = np.where(labels, 1 / 2_000, ratio / 20_000)
    scores = [
        fbeta_score(labels, np.concatenate(samples) <= t, beta=beta, sample_weight=weights)
        for t in range(found - 4, found + 5)
    ]
    assert np.argmax(scores) == 4


def test_the_true_share_of_matches_looks_less_far_and_more_recall_farther():
    packed, pids, camids = spread_codes(noise=0.3)
    fit = {
        (prior, beta): retrieval.fit_thresholds({128: packed}, pids, camids, beta, prior)[128]
        for prior in ("balanced", "true")
        for beta in (1.0, 2.0)
    }
    assert fit["true", 2.0] < fit["balanced", 2.0] and fit["balanced", 1.0] < fit["balanced", 2.0]
    assert fit["true", 1.0] < fit["true", 2.0]


def test_a_networks_codes_are_the_signs_of_its_levels(smoke, tmp_path):
    recipe = methods.coarse_to_fine("smoke", epochs=1, evaluate_every=0)
    model = training.fit(recipe, smoke, device="cpu", runs=tmp_path).model
    records = smoke.query[:6]
    found = codes.extract(model, records)
    with torch.inference_mode():
        soft = model.soft_codes(normalize(image_store(records, model.input_size).batch(torch.arange(6))))
    assert list(found) == [64, 32, 16]
    for part, packed in zip(soft, found.values(), strict=True):
        assert np.array_equal(np.unpackbits(packed, axis=1), part.numpy() > 0)
    assert not model.training
    parts = [codes.extract(model, part) for part in (smoke.query, smoke.gallery)]
    assert 0 < codes.score(codes.cascade(*parts, {16: 4, 32: 8}), smoke).mAP < 1


def test_what_is_no_code_is_refused(pyramid, smoke):
    query, gallery = pyramid
    with pytest.raises(FeatureError, match="multiple of 8"):
        codes.pack(np.zeros((3, 12)))
    with pytest.raises(FeatureError, match="0 and 1"):
        codes.pack(np.full((3, 8), 0.5))
    with pytest.raises(FeatureError, match="64 bits and gallery codes 8"):
        codes.hamming(query[64], gallery[8])
    with pytest.raises(FeatureError, match="float64"):
        codes.hamming(np.zeros((3, 8)), gallery[64])
    with pytest.raises(FeatureError, match="threshold for 24 bits"):
        codes.cascade(query, gallery, {8: 3, 64: 20})
    with pytest.raises(FeatureError, match=r"\[8, 24, 64, 256\]"):
        codes.cascade({8: query[8]}, gallery, {})
    with pytest.raises(FeatureError, match="for 24 bits"):
        codes.cascade({24: query[64]}, {24: gallery[64]}, {})
    with pytest.raises(FeatureError, match="different numbers"):
        codes.cascade(query | {8: query[8][:3]}, gallery, dict.fromkeys(LENGTHS, 3))
    with pytest.raises(FeatureError, match="no codes"):
        codes.extract(methods.classification("smoke").network(5), smoke.query)


def test_thresholds_that_cannot_be_fitted_are_refused():
    packed, pids, camids = spread_codes(people=5)
    with pytest.raises(DataError, match="0 matching"):
        retrieval.fit_thresholds({128: packed}, np.arange(15), camids)
    with pytest.raises(DataError, match="0 others"):
        retrieval.fit_thresholds({128: packed}, np.zeros(15), camids)
    with pytest.raises(DataError, match="15 codes"):
        retrieval.fit_thresholds({128: packed}, pids[:3], camids)
    with pytest.raises(FeatureError, match="prior"):
        retrieval.fit_thresholds({128: packed}, pids, camids, prior="test set")
    with pytest.raises(FeatureError, match="beta"):
        retrieval.fit_thresholds({128: packed}, pids, camids, beta=0)
