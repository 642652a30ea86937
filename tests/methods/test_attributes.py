"""APR against PyTorch's and scikit-learn's own functions; where attributes come from; what travels with a batch."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.io import savemat
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from torch.nn import functional as F

from reid_lab import data, export, methods, training
from reid_lab.analysis import attributes as told
from reid_lab.data.attributes import PREFIXES, PUBLISHED, UNKNOWN, attributes, of_others, vocabulary
from reid_lab.methods.attributes import attribute_loss
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import DataError, RecipeError
from reid_lab.training import step
from reid_lab.training.engine import Engine


def network(num_pids=5, **changes):
    torch.manual_seed(0)
    return methods.attributes("smoke", **changes).network(num_pids)


@pytest.fixture
def images():
    return torch.randn(6, 3, 64, 48, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def labels():
    sizes = torch.tensor(network().classes)
    return (torch.rand(6, len(sizes), generator=torch.Generator().manual_seed(2)) * sizes).long()


PIDS = torch.tensor([0, 0, 1, 2, 3, 4])


# the network


def test_parameters_of_the_published_network_to_the_digit():
    with torch.device("meta"):
        model = methods.attributes("paper", weights=None).network(751)
    assert sum(model.classes) == 9 * 2 + 4 + 9 + 10 and len(model.classes) == 12
    assert sum(p.numel() for p in model.attributes.parameters()) == sum((2048 + 1) * k for k in model.classes)
    parts = {"backbone": 23_508_032, "attributes": 2049 * 41, "reweighting": 42 * 41}
    parts |= {"embedding": (2048 + 41) * 512 + 2 * 512, "dropout": 0, "classifier": 513 * 751}
    found = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert found == parts and sum(parts.values()) == 25_049_618


def test_outputs_are_those_of_the_parts_by_hand(images):
    model = network()
    model(images)  # the norms have seen data
    torch.nn.init.normal_(model.reweighting.confidence.weight)
    model.eval()
    pooled = F.adaptive_avg_pool2d(model.backbone(images)[1], 1).flatten(1)
    scores = F.linear(pooled, model.attributes.weight, model.attributes.bias)
    starts = np.cumsum([0, *model.classes])
    a = torch.cat([scores[:, i:j].softmax(1) for i, j in zip(starts, starts[1:], strict=False)], 1)
    confidence = model.reweighting.confidence
    a = a * torch.sigmoid(a @ confidence.weight.T + confidence.bias)
    layer, norm = model.embedding
    embedding = F.batch_norm(
        torch.cat([pooled, a], 1) @ layer.weight.T, norm.running_mean, norm.running_var, norm.weight, norm.bias
    )
    outputs = model(images)
    assert torch.allclose(outputs.reweighted, a, atol=1e-6)
    assert torch.allclose(outputs.embedding, embedding, atol=1e-4)
    logits = embedding @ model.classifier.weight.T + model.classifier.bias
    assert torch.allclose(model.identity_logits(images), logits, atol=1e-5)
    assert torch.allclose(model.embed(images), F.normalize(embedding), atol=1e-5)
    model.describe = "feature"
    assert torch.allclose(model.embed(images), F.normalize(torch.cat([pooled, a], 1)), atol=1e-5)


def test_reweighting_with_v_0_and_a_large_b_changes_nothing(images):
    plain, model = network(reweight=False).eval(), network().eval()
    torch.nn.init.zeros_(model.reweighting.confidence.weight)
    torch.nn.init.constant_(model.reweighting.confidence.bias, 30.0)
    assert plain.state_dict().keys() < model.state_dict().keys()
    plain.load_state_dict(model.state_dict(), strict=False)
    assert torch.allclose(plain(images).logits, model(images).logits, atol=1e-6)
    assert torch.allclose(plain(images).reweighted.sum(1), torch.full((6,), 12.0), atol=1e-5)  # 12 probabilities


def test_dropout_stands_between_the_512_d_layer_and_the_classifier(images):
    model = network(dropout=0.5).train()
    torch.manual_seed(1)
    outputs = model(images)
    torch.manual_seed(1)
    torch.testing.assert_close(outputs.logits, model.classifier(F.dropout(outputs.embedding, 0.5)))


def test_the_loss_is_pytorchs_cross_entropies_with_lambda(images, labels):
    model = network(identification=3.0, attribute=0.5, smoothing=0.2)
    outputs = model(images, attributes=labels)
    losses = model.loss(outputs, PIDS)
    each = [F.cross_entropy(some, labels[:, m]) for m, some in enumerate(outputs.attributes)]
    identity = F.cross_entropy(outputs.logits, PIDS, label_smoothing=0.2)
    assert torch.allclose(losses.terms["attributes"], torch.stack(each).mean())
    assert torch.allclose(losses.total, 3 * identity + 0.5 * torch.stack(each).mean())


def test_an_unknown_attribute_has_no_gradient_and_parts_of_a_batch_have_its_mean(images, labels):
    model = network().eval()
    labels[:, 3], labels[:4, 7] = UNKNOWN, UNKNOWN

    def loss(part):
        return model.loss(model(images[part], attributes=labels[part]), PIDS[part]).terms["attributes"]

    assert torch.allclose((loss(slice(0, 3)) + loss(slice(3, 6))) / 2, loss(slice(0, 6)))
    outputs = model(images, attributes=labels)
    gradients = torch.autograd.grad(attribute_loss(outputs.attributes, labels), outputs.attributes)
    assert not gradients[3].any() and not gradients[7][:4].any() and gradients[7][4:].any(1).all()
    known = F.cross_entropy(outputs.attributes[7][4:], labels[4:, 7])
    assert torch.allclose(attribute_loss(outputs.attributes[7:8], labels[:, 7:8]), known * 2 / 6)


def test_without_labels_and_with_weight_0_the_attributes_teach_nothing(images, labels):
    """Identification alone: the heads still feed the 512-d layer, and nobody tells them what they should say."""
    totals = []
    for weight, given in ((0.0, labels), (1.0, None), (1.0, labels)):
        model = network(attribute=weight, dropout=0.0)
        model.loss(model(images, attributes=given), PIDS).total.backward()
        totals.append(model.attributes.weight.grad)
    assert torch.equal(totals[0], totals[1]) and not torch.allclose(totals[1], totals[2])


def test_visible_labels_are_passersbys_alone():
    with pytest.raises(RecipeError, match="labels is 'visible'.*passersby"):
        methods.attributes("paper", labels="visible")


# where attributes come from


def test_passersbys_attributes_are_the_words_of_its_table(smoke):
    words = vocabulary("passersby")
    found = attributes(smoke, smoke.train, "passersby")
    assert found.shape == (len(smoke.train), 12) and found.dtype == np.int64
    for record, row in zip(smoke.train, found, strict=True):
        truth = smoke.annotations.loc[smoke.relative(record)]
        assert [words[name][label] for name, label in zip(words, row, strict=True)] == [truth[name] for name in words]


def test_nobodys_attributes_are_unknown_and_validation_people_have_theirs(smoke):
    false_alarms = smoke.annotations["shows"].eq("background")
    nobody = [false_alarms[smoke.relative(record)] for record in smoke.gallery]
    found = attributes(smoke, smoke.gallery, "passersby")
    assert any(nobody) and ((found == UNKNOWN).all(1) == nobody).all() and ((found == UNKNOWN).any(1) == nobody).all()
    validation = smoke.validation()
    assert (attributes(validation, validation.query, "passersby") != UNKNOWN).all()


def test_a_print_is_unknown_where_the_body_is_turned_away_or_something_covers_it(smoke):
    names = list(vocabulary("passersby"))
    front, back = names.index("front_logo"), names.index("back_print")
    every, seen = (attributes(smoke, smoke.train, "passersby", visible=visible) for visible in (False, True))
    for record, whole, row in zip(smoke.train, every, seen, strict=True):
        truth = smoke.annotations.loc[smoke.relative(record)]
        away = 90 < truth["view_angle"] < 270
        printed = truth["upper"] not in ("coat", "dress", "parka")
        assert (row[front] != UNKNOWN) == (printed and not away and str(truth["open_front"]) == "False")
        assert (row[back] != UNKNOWN) == (printed and away and truth["bag"] != "backpack")
        others = [column for column in range(12) if column not in (front, back)]
        assert (row[others] == whole[others]).all() and {row[front], row[back]} <= {UNKNOWN, whole[front], whole[back]}


def test_a_recipe_of_visible_labels_learns_nothing_that_an_image_cannot_show(smoke):
    whole, seen = (
        methods.attributes("smoke", labels=name).extras(smoke)["attributes"] for name in ("identity", "visible")
    )
    for found, visible in ((whole, False), (seen, True)):
        assert np.array_equal(found, attributes(smoke, smoke.train, "passersby", visible=visible))
    assert (whole != UNKNOWN).all() and (seen == UNKNOWN).any()


def test_shuffled_attributes_are_exactly_one_other_persons():
    pids = np.array([5, 5, 9, 2, 9, 7])
    own = np.column_stack([pids, pids])
    found = of_others(own, pids)
    pairs = {(pid, *row) for pid, row in zip(pids.tolist(), found.tolist(), strict=True)}
    assert len(pairs) == 4 and {row[1] for row in pairs} == {2, 5, 7, 9} and all(pid != row for pid, row, _ in pairs)
    assert not np.array_equal(found, of_others(own, pids, seed=3)) and np.array_equal(found, of_others(own, pids))


def published(folder, name, pids, **changes):
    """A benchmark with a file of labels as the authors' is: structs of rows, uint8, identities as text."""
    labels, random = PUBLISHED[name], np.random.default_rng(0)

    def half(people):
        columns = {}
        for attribute, classes in labels.vocabulary.items():
            if attribute in PREFIXES:
                marked = random.integers(0, len(classes), len(people))
                for label, color in enumerate(classes[1:], start=1):
                    columns[PREFIXES[attribute] + color] = (1 + (marked == label)).astype(np.uint8)
            else:
                columns[attribute] = random.integers(1, len(classes) + 1, len(people)).astype(np.uint8)
        people = np.array([f"{pid:04d}" for pid in people], dtype=object)
        return columns | {"image_index": people} | {name: values for name, values in changes.items() if name in columns}

    halves = {"train": half(pids[:3]), "test": half(pids[3:])}
    savemat(folder / labels.file, {labels.variable: halves})
    records = [data.Record(folder / f"{pid}.jpg", pid) for pid in pids]
    return data.Benchmark(name, records[:3], records[3:], records[3:], root=folder), halves


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_labels_are_read_by_identity(tmp_path, name):
    bench, halves = published(tmp_path, name, [7, 2, 1501, 3, 20])
    nobody = data.Record(tmp_path / "0.jpg", 0)
    found = attributes(bench, [bench.train[2], bench.query[1], nobody], name)
    assert found.shape == (3, len(PUBLISHED[name].vocabulary)) and (found[2] == UNKNOWN).all()
    for column, (attribute, classes) in enumerate(PUBLISHED[name].vocabulary.items()):
        for row, (half, person) in enumerate((("train", 2), ("test", 1))):
            if attribute not in PREFIXES:
                assert found[row, column] == halves[half][attribute][person] - 1
            else:
                color = classes[found[row, column]]
                yes = [word for word in classes[1:] if halves[half][PREFIXES[attribute] + word][person] == 2]
                assert yes == ([] if color == "none" else [color])


def test_two_colors_of_one_garment_and_a_label_out_of_its_range_are_unknown(tmp_path):
    two = np.array([2, 2, 1], dtype=np.uint8)
    bench, _ = published(
        tmp_path,
        "dukemtmc-reid",
        [1, 2, 3, 4, 5, 6],
        upred=two,
        upblue=two,
        upblack=two,
        top=np.array([0, 1, 2], np.uint8),
    )
    names = list(PUBLISHED["dukemtmc-reid"].vocabulary)
    found = attributes(bench, bench.train, "dukemtmc-reid")
    assert found[:2, names.index("upper_colour")].tolist() == [UNKNOWN] * 2
    assert found[:, names.index("top")].tolist() == [UNKNOWN, 0, 1]


def test_data_without_attributes_are_refused_before_any_work(smoke, tmp_path):
    """With the name of what would provide them; no folder of a run holds anything yet."""
    bare = dataclasses.replace(smoke, annotations=None)
    for recipe, sentence in (
        (methods.attributes("smoke"), r"no table.*truth\.csv.*market_attribute\.mat"),
        (methods.attributes("smoke", attributes="market1501"), r"put market_attribute\.mat of github"),
    ):
        with pytest.raises(DataError, match=sentence):
            training.fit(recipe, bare, runs=tmp_path, device="cpu")
        with pytest.raises(DataError, match=sentence):
            step.train(recipe, bare)
    assert not list(tmp_path.rglob("*.*ts"))
    foreign = dataclasses.replace(smoke, annotations=smoke.annotations.iloc[5:])
    with pytest.raises(DataError, match="5 images"):
        methods.attributes("smoke").extras(foreign)


def test_a_file_that_is_none_or_another_sets_is_refused(tmp_path):
    bench, _ = published(tmp_path, "market1501", [7, 2, 1501, 3, 20])
    stranger = data.Record(tmp_path / "99.jpg", 99)
    with pytest.raises(DataError, match="nothing about 1 identities.*99"):
        attributes(bench, [stranger], "market1501")
    (tmp_path / "market_attribute.mat").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"market_attribute\.mat cannot be read.*again"):
        attributes(bench, bench.train, "market1501")


# what travels with a batch


def test_each_step_gets_the_attributes_of_its_images(smoke, tmp_path, monkeypatch):
    recipe, seen = methods.attributes("smoke", epochs=2, evaluate_every=0, labels="shuffled", precision="float32"), []
    forward = methods.Attributes.forward

    def watched(model, images, **extras):
        if model.training:
            seen.append(extras["attributes"].clone())
        return forward(model, images, **extras)

    with monkeypatch.context() as patch:
        patch.setattr(methods.Attributes, "forward", watched)
        patch.setattr(Engine, "fastest_threads", lambda *batch, **extras: torch.get_num_threads())
        training.fit(recipe, smoke, seed=3, device="cpu", runs=tmp_path)
    pids, labels = np.unique([record.pid for record in smoke.train], return_inverse=True)
    sampler = recipe.sampler(labels, labels, 3)
    drawn = [batch for epoch in range(2) for batch in sampler.epoch(epoch)]
    expected = of_others(attributes(smoke, smoke.train, "passersby"), labels)
    assert len(seen) == len(drawn)
    assert all(np.array_equal(found.numpy(), expected[batch]) for found, batch in zip(seen, drawn, strict=True))


def test_a_process_gets_the_rows_of_its_own_images(smoke):
    processes = Processes(torch.device("cpu"))
    processes.size, losses = 2, []
    extras = methods.attributes("smoke").extras(smoke)
    pixels = data.image_store(smoke.train, (64, 48)).batch(range(16))
    whole = Engine(methods.attributes("smoke", precision="float32"), 8, Processes(torch.device("cpu")))
    for processes.rank in range(2):
        share = processes.share(16)
        rows = step.rows_of(extras, share)
        assert torch.equal(rows["attributes"], extras["attributes"][share])
        prepared = whole.prepare(pixels, 5)[share]
        whole.model.eval()
        losses.append(whole.losses(prepared, torch.zeros(8, dtype=torch.long), **rows).terms["attributes"])
    together = whole.losses(
        whole.prepare(pixels, 5), torch.zeros(16, dtype=torch.long), **step.rows_of(extras, range(16))
    )
    assert torch.allclose(sum(losses) / 2, together.terms["attributes"])


def test_a_step_never_waits_for_a_gpu(smoke, pretended):
    recipe = methods.attributes("smoke", precision="float32", erasing=0.9)
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


# a trained one


@pytest.fixture(scope="module")
def run(smoke, tmp_path_factory):
    return training.fit(
        methods.attributes("smoke", evaluate_every=0), smoke, device="cpu", runs=tmp_path_factory.mktemp("runs")
    )


def test_accuracy_stands_beside_the_majority_guess(run, smoke):
    table = told.accuracy(run.model, smoke)
    records = [*smoke.query, *smoke.gallery]
    truth, found = attributes(smoke, records, "passersby"), told.predictions(run.model, records)
    trained = attributes(smoke, smoke.train, "passersby")
    for column, name in enumerate(vocabulary("passersby")):
        known = truth[:, column] != UNKNOWN
        true, guess = truth[known, column], np.bincount(trained[:, column]).argmax()
        row = table.loc[name]
        assert row["accuracy"] == pytest.approx(100 * accuracy_score(true, found[known, column]))
        assert row["majority"] == pytest.approx(100 * accuracy_score(true, np.full_like(true, guess)))
        with np.errstate(all="ignore"):
            expected = balanced_accuracy_score(true, found[known, column])
        assert row["balanced"] == pytest.approx(100 * expected)
        assert row["images"] == known.sum() and row["classes"] == len(set(true))
    assert told.accuracy(run.model, smoke, visible=True).loc["back_print", "images"] < table.loc["back_print", "images"]


def test_it_learns_both_at_once(run):
    history = run.history
    assert history["attributes"].iloc[-1] < history["attributes"].iloc[0]
    assert history["identification"].iloc[-1] < history["identification"].iloc[0]


def test_it_is_exported_and_its_file_needs_no_attributes(run, tmp_path):
    pytest.importorskip("onnxruntime")
    assert export.to_onnx(run, tmp_path / "apr.onnx") < 1e-4
