"""The whole package on a GPU that is not there: same numbers as on the CPU, and no device mixed up.

Where there is a real GPU, too, test_gpu.py and the other tests that take the fixture ``a_gpu`` run on that.
"""

import numpy as np
import pytest
import torch
from pretended_gpu import KINDS

from reid_lab import data, export, methods, retrieval, training
from reid_lab.ablations import measures
from reid_lab.analysis import backgrounds, cost, gradcam
from reid_lab.runtime import device, environment, precision
from reid_lab.runtime.distributed import Processes
from reid_lab.runtime.errors import DeviceError
from reid_lab.runtime.progress import bar
from reid_lab.training.engine import Engine
from reid_lab.training.trainer import Options, Trainer

METHODS = [methods.multitask, methods.residual_pooling]
ROOM = pytest.mark.parametrize("memory", [24 * 2**30, 0], ids=["images on the GPU", "images on the CPU"])
OPTIONS = [{}, {"expand": 3, "multi_query": True}, {"rerank": True}, {"memory": 2**14}, {"metric": "euclidean"}]
OPTIONS += [{"rerank": True, "metric": "euclidean", "memory": 2**18}]


def recipe_of(method, **fields):
    """bfloat16 is another story: whether it is right on this CPU is not the GPU's business."""
    return method("smoke", precision="float32", **fields)


def network(method):
    torch.manual_seed(0)
    return recipe_of(method).network(18)


# The pretence itself


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_gpu_refuses_is_refused(pretended, kind):
    with pretended(kind):
        x, other = torch.ones(3, 4, device=kind), torch.ones(3, 4)
        assert (x + 1).device == x[0].device == torch.ones_like(x).device == torch.device(kind, 0)
        assert (x * torch.tensor(2.0)).device.type == kind  # one number may come from the CPU
        for fault in (
            lambda: x + other,
            lambda: torch.cat([x, other]),
            lambda: x @ other.T,
            lambda: x.index_select(0, torch.tensor([0])),
            lambda: other[torch.zeros(2, dtype=torch.long, device=kind)],
            lambda: torch.rand(3, device=kind, generator=torch.Generator()),
            lambda: torch.nn.Linear(4, 2)(x),
            lambda: x.pin_memory(),
            lambda: torch.empty(0, device=f"{kind}:1"),
        ):
            with pytest.raises(RuntimeError):
                fault()
        with pytest.raises(TypeError, match="numpy"):
            np.asarray(x)


def test_every_wait_is_noticed(pretended):
    with pretended() as gpu:
        x, gpu.waiting = torch.ones(3, 4).cuda(), "error"
        waits = [lambda: x.sum().item(), lambda: bool(x.any()), lambda: x.cpu(), lambda: x[x > 0], lambda: x.tolist()]
        waits += [lambda: x.unique(), lambda: torch.ones(3).cuda(), lambda: torch.tensor([1.0], device="cuda")]
        for wait in waits:
            for mode in (torch.inference_mode(False), torch.inference_mode()):
                with mode, pytest.raises(RuntimeError, match="synchronizing"):
                    wait()
        assert torch.ones(3).pin_memory().to("cuda", non_blocking=True).is_cuda


def test_nothing_is_left_of_a_gpu_afterwards(pretended):
    before = torch.cuda.is_available(), torch.accelerator.is_available()
    with pretended():
        x = torch.ones(2, device="cuda")
        assert torch.cuda.is_available() and torch.accelerator.is_available()
    assert x.device.type == torch.ones(2).device.type == "cpu" and "device" not in vars(torch.Tensor)
    assert (torch.cuda.is_available(), torch.accelerator.is_available()) == before


# A step of training


@ROOM
@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (methods.multitask, {"erasing_fill": "mean", "optimizer": "sgd"}),
        (methods.residual_pooling, {"erasing_fill": "random", "optimizer": "adamw"}),
        (methods.residual_pooling, {"precision": "float16"}),  # with a loss that is scaled
    ],
    ids=["multitask", "residual_pooling", "float16"],
)
def test_a_step_never_waits(smoke, pretended, method, fields, memory):
    recipe = method("smoke", **{"precision": "float32", "erasing": 0.9} | fields)
    with pretended(memory=memory) as gpu:
        engine = Engine(recipe, 18, Processes(training.find_device("cuda")))
        store = data.ImageStore(smoke.train, recipe.resize, "cuda")
        assert store.pixels.is_cuda == bool(memory)
        picks, pids = torch.arange(recipe.batch), (torch.arange(recipe.batch) % 4).cuda()
        picks = data.to_device(picks, store.pixels.device)
        gpu.waiting = "error"
        for key in range(2):
            engine.set_lr(0.5)
            told = engine.step(store.batch(picks), pids, key).report()
        gpu.waiting = "allow"
        assert all(value.is_cuda and value.isfinite() for value in told.values())


@pytest.mark.parametrize(("kind", "used"), [("cuda", "float16"), ("xpu", "bf16")])
def test_a_fast_precision_is_compared_on_the_gpu(smoke, pretended, kind, used):
    recipe = methods.residual_pooling("smoke", resize=(32, 32), crop=(32, 32), identities=2)
    with pretended(kind) as gpu:
        engine = Engine(recipe, 18, Processes(training.find_device(kind)))
        engine.model.train()
        images, pids = torch.randn(8, 3, 32, 32).to(kind), (torch.arange(8) // 4).to(kind)
        check = precision.check_training(
            engine.model, images, lambda trial, outputs: trial.loss(outputs, pids).total, used
        )
        assert not check.fault and check.layers > 20
        assert gpu.seen["torch.full", ("float32",)] >= 6 * precision.TRIES * check.layers  # its own memory is dirtied
        assert not precision.check_output(engine.model.eval(), images, engine.model.embed, used).fault


# Retrieval


@pytest.fixture(scope="module")
def people():
    """40 people in 4 cameras, two queries and seven gallery images each; one cosine length needs float64."""
    random = np.random.default_rng(0)
    pids = {"query_pids": np.repeat(np.arange(40), 2), "gallery_pids": np.repeat(np.arange(40), 7)}
    camids = {name.replace("pids", "camids"): random.integers(1, 5, len(some)) for name, some in pids.items()}
    directions = random.normal(size=(40, 32))
    features = [directions[some] + 1.5 * random.normal(size=(len(some), 32)) for some in pids.values()]
    return [torch.tensor(some, dtype=torch.float32) for some in features], pids | camids


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rankings_are_the_cpus(people, pretended, options, kind):
    (query, gallery), labels = people
    if options.get("metric") != "euclidean":
        query = query * torch.cat([torch.tensor([1e30]), torch.ones(len(query) - 1)])[:, None]
    theirs = retrieval.rank(query, gallery, **labels, device="cpu", roc=True, **options)
    with pretended(kind):
        ours = retrieval.rank(query, gallery, **labels, device=kind, roc=True, **options)
    assert np.array_equal(ours.ranks, theirs.ranks) and np.array_equal(ours.matches.scores, theirs.matches.scores)
    assert ours.roc.eer == theirs.roc.eer


@pytest.mark.parametrize("kind", KINDS)
def test_search_reranked_and_given_distances_are_the_cpus(people, pretended, kind):
    (query, gallery), labels = people
    distances = torch.cdist(query, gallery)
    given = [distances, (distances * 1e6).int()] + ([] if kind == "mps" else [distances.double()])
    expected = [retrieval.rank_distances(one, **labels).mAP for one in given]
    found = [retrieval.search(query, gallery, 5, metric=metric).indices for metric in ("cosine", "euclidean")]
    reranked = retrieval.rerank(query, gallery, metric="euclidean")
    with pretended(kind):
        assert [retrieval.rank_distances(one.to(kind), **labels).mAP for one in given] == expected
        for metric, theirs in zip(("cosine", "euclidean"), found, strict=True):
            assert np.array_equal(retrieval.search(query, gallery, 5, metric=metric, device=kind).indices, theirs)
        ours = retrieval.rerank(query, gallery, metric="euclidean", device=kind)
        assert ours.device.type == kind and torch.equal(ours.cpu(), reranked)


# What takes a network


@pytest.mark.parametrize("method", METHODS)
def test_whatever_takes_a_network_runs_on_a_gpu(smoke, pretended, tmp_path, method):
    model, few = network(method), smoke.query[:3]
    theirs = retrieval.extract(model, smoke.query[:6], "cpu", flip=True, cache=tmp_path)
    heat = gradcam.grad_cam(model, few, target="similarity", references=theirs[3:6], layer="layer3")
    with pretended() as gpu:
        ours = retrieval.extract(model, smoke.query[:6], "cuda", flip=True, cache=tmp_path)
        assert torch.equal(ours, theirs) and next(model.parameters()).is_cuda
        assert len(list(tmp_path.glob("features-*"))) == 2  # each device has its own
        retrieval.evaluate(model, smoke, device="cuda")
        assert any("topk" in name for name, _ in gpu.seen)  # ranked there, too
        pixels = data.image_store(few, model.input_size).batch(range(3))
        gradcam.grad_cam(model, pixels, target="similarity", references=smoke.gallery[:3])
        gradcam.grad_cam(model, few, target="similarity", references=pixels.flip(0)[:1].flip(3))
        gradcam.grad_cam(model, few, classes=[0, 1, 2])
        again = gradcam.grad_cam(model, few, target="similarity", references=theirs[3:6], layer="layer3")
        np.testing.assert_allclose(again, heat, atol=1e-5)
        backgrounds._embed(model, np.zeros((3, 128, 64, 3), np.uint8))
        if isinstance(model, methods.MultiTask):
            retrieval.verification(model, smoke, pairs=50)
        run = training.Run(tmp_path, recipe_of(method), model, None, {}, {"seed": 0})
        assert export.to_npz(run, few[0].path.parent, tmp_path / "features.npz")[0] == 60
        assert measures._dimension(run, torch.device("cuda")) == theirs.shape[1]


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_other_makers_gpus_explain_and_are_timed(smoke, pretended, kind):
    model = network(methods.residual_pooling)
    with pretended(kind) as gpu:
        model.to(kind)
        assert gradcam.grad_cam(model, smoke.query[:2]).max() == pytest.approx(1)
        assert cost.latency(model, repeats=2, warmup=1).median > 0
        assert gpu.synchronized == 3  # every call is waited for
        with pytest.raises(DeviceError, match="CUDA graph"):
            cost.embedder(model, how="graph")


def test_a_graph_that_cannot_be_recorded_leaves_the_rest_of_the_table(pretended, monkeypatch):
    model = network(methods.residual_pooling)
    with pretended():
        features = type(model).features

        def waiting(self, images):
            if images.is_cuda:
                images.sum().item()
            return features(self, images)

        monkeypatch.setattr(type(model), "features", waiting)
        table = cost.table({"B": model}, "cuda", ("eager", "graph"), repeats=1, warmup=0)
    assert table["eager, ms"].notna().all() and "graph, ms" not in table
    assert "No CUDA graph could be recorded" in table.attrs["not measured"]["B, graph"]


@pytest.mark.skipif(torch.version.cuda is None, reason="needs a PyTorch that was built with CUDA, a GPU it needs not")
def test_every_operation_that_reached_the_gpu_has_a_kernel_there(people, pretended):
    features, labels = people
    with pretended() as gpu:
        for options in OPTIONS[1:4]:
            retrieval.rank(*features, **labels, device="cuda", **options)
        for method in METHODS:
            recipe = recipe_of(method)
            images = torch.zeros(recipe.batch, 3, *recipe.resize, dtype=torch.uint8).cuda()
            Engine(recipe, 18, Processes(torch.device("cuda"))).step(images, torch.arange(recipe.batch).cuda() % 4, 0)
    names = {name.removesuffix(".default").replace("aten.", "aten::", 1) for name, _ in gpu.seen if name[:5] == "aten."}
    keys = ("CUDA", "CompositeImplicitAutograd", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional")
    lacking = [n for n in names if not any(torch._C._dispatch_has_kernel_for_dispatch_key(n, key) for key in keys)]
    assert len(names) > 80 and not lacking


def test_what_the_package_asks_a_device_is_answered_by_computing(pretended):
    def answers(where):
        return device.has_float64(where), device.has_bf16(where), device.no_determinism(where) is None

    assert answers(torch.device("cpu")) == (True, True, True)
    for kind, expected in {"cuda": (True, True, True), "mps": (False, True, False), "xpu": (True, True, True)}.items():
        with pretended(kind):
            assert answers(device.find_device()) == expected, kind


# Whole trainings


@ROOM
def test_no_step_of_an_epoch_waits_but_where_the_loss_is_read(smoke, pretended, tmp_path, memory):
    recipe = recipe_of(methods.residual_pooling, epochs=2, evaluate_every=0, erasing=0.9)
    with pretended(memory=memory) as gpu, environment.reproducible(0, torch.device("cuda"), False):
        run = Trainer(recipe, smoke, 0, Processes(training.find_device()), tmp_path, Options(checkpoint_seconds=1e9))
        store, means = data.ImageStore(smoke.train, recipe.resize, "cuda"), run._means

        def reading():
            gpu.waiting = "allow"
            told = means()
            gpu.waiting = "error"
            return told

        run._means, gpu.waiting = reading, "error"
        with bar(total=len(run.sampler)) as shown:
            run.epoch(0, store, shown)


@pytest.mark.parametrize("method", METHODS)
def test_a_training_ends_in_the_weights_of_a_cpu_also_after_an_interruption(
    smoke, pretended, tmp_path, method, monkeypatch
):
    """The pretended GPU computes as the CPU does, so the two are equal but for the noise of random erasing."""
    options = dict(seed=1, deterministic=True)
    recipe = recipe_of(method, epochs=1, evaluate_every=1, erasing_fill="mean")
    update, done = Engine.update, []

    def stopping(self, *batch):
        done.append(1)
        if len(done) == 3:
            raise KeyboardInterrupt
        return update(self, *batch)

    theirs = training.fit(recipe, smoke, device="cpu", runs=tmp_path / "cpu", **options)
    with pretended():
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Engine, "update", stopping)
            training.fit(recipe, smoke, runs=tmp_path / "gpu", **options)
        ours = training.fit(recipe, smoke, runs=tmp_path / "gpu", **options)
        assert (ours.environment["device"], ours.environment["kind"]) == ("Pretended GPU", "cuda")
        assert next(ours.model.parameters()).is_cuda
        state = {name: value.cpu() for name, value in ours.model.state_dict().items()}
    assert all(torch.equal(value, state[name]) for name, value in theirs.model.state_dict().items())
    assert ours.history["mAP"].tolist() == theirs.history["mAP"].tolist()


@pytest.mark.parametrize("kind", ["mps", "xpu"])
def test_other_makers_gpus_train_too(smoke, pretended, tmp_path, kind):
    recipe = recipe_of(methods.residual_pooling, epochs=1, evaluate_every=1)
    with pretended(kind):
        run = training.fit(recipe, smoke, runs=tmp_path)
        assert run.environment["kind"] == kind and next(run.model.parameters()).device.type == kind
    assert run.history["mAP"].notna().all()


def test_mps_refuses_to_be_deterministic_before_any_work(smoke, pretended, tmp_path):
    with pretended("mps"), pytest.raises(DeviceError, match="max_pool2d.* deterministic"):
        training.fit(recipe_of(methods.multitask), smoke, runs=tmp_path, deterministic=True)
    assert not list(tmp_path.glob("*/recipe.json"))
