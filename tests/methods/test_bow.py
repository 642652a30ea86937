"""The bag of words against plain loops, and what is solved for against the pairs of all images."""

import math

import numpy as np
import pytest
import scipy.io
import torch
from torch.nn import functional as F

from reid_lab import data, methods, retrieval, training
from reid_lab.methods import pair_metrics
from reid_lab.methods.bow import codebook, importance, lab
from reid_lab.methods.closed_form import pixels_of
from reid_lab.runtime.errors import RecipeError
from reid_lab.training import solving

TINY = dict(resize=(16, 20), words=4, assigned=2)  # 4 x 5 cells in two strips


def pixels(count=2, size=(16, 20), seed=0):
    return torch.randint(0, 256, (count, 3, *size), generator=torch.Generator().manual_seed(seed)).float()


def tiny(**fields):
    """A network of few words, some of which are not in every image."""
    network = methods.bow("smoke", **TINY | fields).network(3)
    random = torch.Generator().manual_seed(1)
    network.codebook.copy_(torch.rand(network.codebook.shape, generator=random))
    network.mean.copy_(torch.rand(network.mean.shape, generator=random))
    network.idf.copy_(torch.rand(network.idf.shape, generator=random))
    return network


def plain(network, image):
    """The features of one image (3, H, W), in nested loops."""
    recipe, words = network.recipe, network.codebook.double().tolist()
    colours = lab(image[None])[0].double() / 100
    height, width = (side // 4 for side in recipe.resize)
    strips, votes = np.zeros((height // 2, len(words))), np.zeros(len(words))
    for row in range(height):
        for column in range(width):
            cell = [colours[c, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean().item() for c in range(3)]
            nearest = sorted((math.dist(cell, word), place) for place, word in enumerate(words))[: recipe.assigned]
            for distance, place in nearest:
                y, x = 2 * row / (height - 1) - 1, 2 * column / (width - 1) - 1
                counts = math.exp(-(x**2) - y**2) if recipe.background else 1
                strips[row // 2, place] += counts * math.exp(-distance / recipe.sigma**2)
                votes[place] += 1
    if recipe.burstiness:
        strips /= np.sqrt(votes.clip(1))
    found = (strips - network.mean.double().numpy().reshape(strips.shape)) * np.sqrt(network.idf.double().numpy())
    return (found / np.linalg.norm(found)).ravel()


@pytest.mark.parametrize(
    "fields", [{}, {"background": False}, {"burstiness": False}, {"assigned": 1}, {"sigma": 0.3}], ids=str
)
def test_the_features_are_those_of_nested_loops(fields):
    network, images = tiny(**fields), pixels()
    found = network.describe(images)
    assert found.shape == (2, 8)
    for image, features in zip(images, found, strict=True):
        np.testing.assert_allclose(features, plain(network, image), atol=1e-6)


def test_before_burstiness_the_votes_add_up_to_those_of_all_cells():
    network = tiny(burstiness=False)
    cells = network.cells(pixels())
    votes, chosen = network.votes(cells)
    assert (chosen.sum(dim=2) == 2).all() and ((votes > 0) == (chosen > 0)).all()
    expected = (votes.sum(dim=2) * importance(4, 5, True)).sum(dim=1)
    torch.testing.assert_close(network.counted(cells).sum(dim=1), expected)


def test_at_paper_size_350_words_in_16_strips_make_5600_numbers():
    recipe = methods.bow("paper")
    assert recipe.resize == (128, 64) and recipe.network(751).length == 5600
    assert methods.bow("paper", words=0).network(751).length == 32 * 16 * 3


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((119, 119, 119), (50.03, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((2, 1, 0), (0.31, 0.12, 0.47)),  # below the cube root
    ],
)
def test_lab_has_the_published_values(rgb, expected):
    found = lab(torch.tensor(rgb).float().view(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(found, torch.tensor(expected).float(), atol=0.05, rtol=0)


def test_the_exact_bytes_of_an_image_come_back_from_a_normalized_one():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(pixels_of(data.normalize(every)), every.float())


@pytest.fixture
def table(tmp_path):
    """A table of colour names as a user may have one: the colours stand before their names."""
    random = np.random.default_rng(0)
    names = random.dirichlet(np.ones(11), 32**3)
    scipy.io.savemat(tmp_path / "w2c.mat", {"w2c": np.hstack([random.integers(0, 256, (32**3, 3)), names])})
    return tmp_path / "w2c.mat", names


def test_colour_names_come_from_the_users_table_and_stay_with_the_run(table, few, tmp_path):
    path, names = table
    recipe = methods.bow("smoke", colours=str(path))
    run = training.fit(recipe, few, device="cpu", runs=tmp_path / "runs")
    image = pixels(1, recipe.resize)
    corner = image[0, :, :4, :4].flatten(1).long().T.tolist()
    expected = np.mean([names[r // 8 + 32 * (g // 8) + 1024 * (b // 8)] for r, g, b in corner], axis=0)
    path.unlink()
    loaded = training.load(run.folder).model
    np.testing.assert_allclose(loaded.cells(image)[0, 0], expected, atol=1e-6)
    assert torch.equal(loaded.describe(image), run.model.describe(image))


def test_a_file_without_colour_names_is_refused_by_its_name(few, tmp_path):
    scipy.io.savemat(tmp_path / "other.mat", {"other": np.zeros((5, 11))})
    (tmp_path / "no.mat").write_text("no")
    for name in ("other.mat", "no.mat", "none.mat"):
        with pytest.raises(RecipeError, match=f"colours.*{name}.*'lab'"):
            solving.solve(methods.bow("smoke", colours=str(tmp_path / name)), few)


@pytest.fixture(scope="module")
def few(smoke):
    """Fewer people."""
    pids = sorted({record.pid for record in smoke.train})[:10]
    train = [record for record in smoke.train if record.pid in pids]
    return data.Benchmark("few", train, smoke.query[:12], smoke.gallery, root=smoke.root)


def solved(bench, **fields):
    return solving.solve(methods.bow("smoke", **fields), bench)[0]


def of(network, records):
    """The features of records."""
    return retrieval.extract(network, records)


def test_the_mean_and_the_idf_are_those_of_the_training_images(few):
    network = solved(few, metric="none", idf=True, burstiness=False)
    votes = network.of_all(
        data.image_store(few.train, (64, 32)), lambda pixels: network.votes(network.cells(pixels))[1]
    )
    having = (votes.sum(dim=1) > 0).sum(dim=0)  # images with the word
    assert having.min() < len(few.train)
    torch.testing.assert_close(network.idf, (len(few.train) / having.clamp(min=1)).log())
    raw = tiny(resize=(64, 32), words=30, assigned=5, burstiness=False)
    raw.codebook.copy_(network.codebook)
    counts = network.of_all(data.image_store(few.train, (64, 32)), lambda pixels: raw.counted(raw.cells(pixels)))
    torch.testing.assert_close(network.mean, counts.mean(dim=0))
    assert torch.equal(solved(few, metric="none").idf, torch.ones(30))


@pytest.mark.parametrize("metric", ["kissme", "similar"])
@pytest.mark.parametrize("words", [30, 0])
def test_distances_are_those_of_the_metric_without_its_negative_eigenvalues(few, metric, words):
    """Here by another way: the metric of the plain features, and its distances for each pair."""
    without = solved(few, metric="none", words=words)
    train, query, gallery = (of(without, records) for records in (few.train, few.query, few.gallery))
    pids, camids = (np.array([getattr(record, name) for record in few.train]) for name in ("pid", "camid"))
    span = pair_metrics.span(train, 12)
    found = pair_metrics.covariances(span.coordinates, pids, camids, "cross_camera")
    matrix = np.linalg.inv(found.similar) - (metric == "kissme") * np.linalg.inv(found.different)
    values, vectors = np.linalg.eigh(matrix)
    assert (values < 0).any() == (metric == "kissme")
    cut = (vectors * values.clip(0)) @ vectors.T
    axes = span.projection(np.eye(12))
    query, gallery = (rows.double().numpy() @ axes.T for rows in (query, gallery))
    expected = pair_metrics.quadratic(cut, query, gallery)
    network = solved(few, metric=metric, words=words)
    distances = torch.cdist(of(network, few.query).double(), of(network, few.gallery).double()).square()
    np.testing.assert_allclose(distances, expected, rtol=1e-3, atol=1e-4 * expected.max())
    labels = {
        f"{name}_{what}s": [getattr(record, what) for record in records]
        for name, records in (("query", few.query), ("gallery", few.gallery))
        for what in ("pid", "camid")
    }
    given = retrieval.rank_distances(expected, **labels).mAP
    assert given == pytest.approx(retrieval.evaluate(network, few, check=False).mAP, abs=0.01)


def test_without_words_the_features_are_the_cells_colours_without_their_mean(few):
    network = solved(few, metric="none", words=0)
    store = data.image_store(few.train, (64, 32))
    colours = F.avg_pool2d(lab(store.pixels.float()) / 100, 4).flatten(2).transpose(1, 2).flatten(1)
    torch.testing.assert_close(of(network, few.train), colours - colours.mean(dim=0), atol=1e-5, rtol=0)


def test_words_are_the_means_of_groups_of_colours():
    """Five groups so far apart that k-means can find no others."""
    random, group = np.random.default_rng(0), np.arange(400) % 5
    middles = 50.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    cells = middles[group] + 0.1 * random.normal(size=(400, 3))
    expected = sorted(cells[group == one].mean(axis=0).tolist() for one in range(5))
    found = codebook(torch.from_numpy(cells).view(20, 20, 3), 5, seed=0)
    np.testing.assert_allclose(sorted(found.tolist()), expected, atol=1e-4)


def test_the_seed_decides_the_codebook_and_nothing_else_is_random(few):
    one, again = (solving.solve(methods.bow("smoke"), few, seed=seed)[0].state_dict() for seed in (5, 5))
    assert all(torch.equal(one[name], again[name]) for name in one)
    other = solving.solve(methods.bow("smoke"), few, seed=6)[0]
    assert not torch.equal(one["codebook"], other.codebook)


@pytest.mark.parametrize(
    "fields",
    [
        dict(words=31),
        dict(assigned=4),
        dict(sigma=0.2),
        dict(background=False),
        dict(burstiness=False),
        dict(idf=True),
        dict(pairs="all"),
        dict(pca=11),
        dict(metric="similar"),
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_every_field_changes_what_is_compared(few, fields):
    one, other = (of(solved(few, **changed), few.query[:5]) for changed in ({}, fields))
    assert one.shape != other.shape or not torch.allclose(torch.pdist(one), torch.pdist(other), rtol=1e-3)


def test_bfloat16_is_never_used(few):
    network, images = solved(few), data.normalize(data.image_store(few.query[:5], (64, 32)).batch(range(5)))
    with torch.autocast("cpu", torch.bfloat16):
        found = network.embed(images)
    assert torch.equal(found, network.embed(images))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (dict(resize=(64, 30)), "resize"),
        (dict(resize=(60, 32)), "resize"),
        (dict(words=1), "words"),
        (dict(assigned=31), "assigned"),
        (dict(pca=1), "pca"),
        (dict(metric="xqda"), "metric"),
        (dict(epochs=3), "epochs"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_its_field(fields, named):
    with pytest.raises(RecipeError, match=rf"\b{named}\b"):
        methods.bow("smoke", **fields)


def test_more_words_or_components_than_the_images_allow_are_refused(few):
    with pytest.raises(RecipeError, match="words.*fewer"):
        codebook(torch.zeros(3, 4, 3), 2, seed=0)
    with pytest.raises(RecipeError, match="pca="):
        solved(few, pca=55)


def test_the_network_is_exported_with_distances_as_they_are(few, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    from reid_lab import export

    run = training.fit(methods.bow("smoke"), few, device="cpu", runs=tmp_path)
    assert export.to_onnx(run, tmp_path / "bow.onnx") < 1e-5
    session = runtime.InferenceSession(str(tmp_path / "bow.onnx"))
    store = data.image_store(few.query[:3], run.model.input_size)
    (given,) = session.run(None, {"images": store.batch(range(3)).div(255).numpy()})
    expected = of(run.model, few.query[:3]).numpy()
    np.testing.assert_allclose(given, expected, atol=1e-4 * np.linalg.norm(expected, axis=1).max())
    assert session.get_modelmeta().custom_metadata_map["metric"] == "euclidean"
