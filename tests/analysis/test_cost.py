import pytest
import torch
from torch import nn

from reid_lab import methods, models
from reid_lab.analysis import cost, embedders
from reid_lab.runtime.errors import DeviceError, RecipeError

SIZE = (64, 32)
PAPERS = {"B": methods.residual_pooling, "A": methods.multitask}
on_cuda = pytest.mark.usefixtures("a_gpu")


def residual(**fields):
    torch.manual_seed(0)
    return lively(methods.residual_pooling("smoke", dim=16, crop=SIZE, **fields).network(5))


def multitask():
    torch.manual_seed(0)
    return lively(methods.multitask("smoke", embed_dim=16, crop=SIZE).network(5))


def lively(model):
    """Batch norms as after a training: none of their numbers is the 0 or 1 that they start with."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                values.uniform_(0.5, 1.5)
    return model


@pytest.fixture
def image():
    noise = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))
    return noise.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def full():
    with torch.device("meta"):
        return {method: make("paper", weights=None).network(751) for method, make in PAPERS.items()}


# Counts


def test_table_4s_30_55_million_parameters_are_a_backbone_of_23_51_and_a_head_of_7_04(full):
    assert round(cost.parameters(full["B"]) / 1e6, 2) == 30.55
    assert round(cost.parameters(full["B"].backbone) / 1e6, 2) == 23.51
    assert round(cost.parameters(full["A"].backbone) / 1e6, 2) == 23.65  # Res2Net-50


def test_frozen_parameters_are_not_counted():
    layer = nn.Linear(3, 4)  # 12 weights, 4 biases
    assert cost.parameters(layer) == 16
    layer.bias.requires_grad_(False)
    assert cost.parameters(layer) == 12


def test_a_small_convolution_costs_what_the_hand_counts():
    convolution = nn.Conv2d(3, 8, kernel_size=3, stride=2, padding=1, bias=False)
    places = 5 * 6  # of an image of 10 x 12
    assert cost.flops(convolution, (10, 12)) == 2 * places * 8 * (3 * 3 * 3)


def test_the_convolutions_of_resnet_50_tell_which_stride_paper_b_used(full):
    assert round(cost.flops(full["B"].backbone, (288, 144)) / 1e9, 2) == 10.26
    with torch.device("meta"):
        assert round(cost.flops(models.resnet50(last_stride=2), (288, 144)) / 1e9, 2) == 6.89


def test_a_descriptor_costs_its_backbone_and_a_little_more_for_the_head(full):
    backbone = cost.flops(full["B"].backbone, (288, 144))
    head = cost.flops(full["B"]) - backbone
    convolutions = 2 * 640 * 2 * (1024 + 2048 + 4 * 2048)  # two 1x1 convolutions at one, one and four places
    assert head == convolutions + 2 * 3 * 640 * 751  # and the classifier, which forward computes


def test_twice_the_height_costs_twice_as_much():
    model = residual()
    assert cost.flops(model.backbone, (128, 32)) == 2 * cost.flops(model.backbone, (64, 32))
    assert cost.flops(model) == cost.flops(model, SIZE) < cost.flops(model, (128, 32))


def test_a_part_without_an_input_size_is_refused_with_the_cure():
    with pytest.raises(RecipeError, match="input_size="):
        cost.flops(nn.Conv2d(3, 8, 3))


# The embedder


@pytest.mark.parametrize("build", [residual, multitask, lambda: residual(nonlinear=False, shared_convolutions=True)])
def test_a_describer_describes_as_the_network_does_folded_or_not(build, image):
    model = build()
    expected = model.embed(image)
    torch.testing.assert_close(cost.embedder(model)(image), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(cost.embedder(model, folded=True)(image), expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("build", [residual, multitask])
def test_folding_leaves_no_batch_norm_behind_a_convolution(build):
    network = embedders._copy(build(), torch.device("cpu"), "float32", folded=True)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert all(module.bias is not None for module in network.backbone.modules() if isinstance(module, nn.Conv2d))


def test_converting_the_convolutions_once_gives_the_bits_of_autocast():
    image = torch.randn(1, 3, 64, 48)
    model = residual().to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = model.embed(image)
    assert torch.equal(cost.embedder(model, precision="bf16")(image), expected)
    assert not torch.equal(cost.embedder(model)(image), expected)


def test_only_the_backbones_convolutions_are_converted():
    network = embedders._copy(residual(), torch.device("cpu"), "bf16", folded=True)
    types = {name: parameter.dtype for name, parameter in network.named_parameters()}
    assert {name.startswith("backbone") for name, dtype in types.items() if dtype == torch.bfloat16} == {True}
    assert {name.startswith("backbone") for name, dtype in types.items() if dtype == torch.float32} == {False}


def test_a_callers_autocast_does_not_reach_a_float32_describer(image):
    describe = cost.embedder(residual())
    expected = describe(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(describe(image), expected)


@pytest.mark.parametrize("how", ["eager", "compiled"])
def test_the_model_is_left_as_it_was(how, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    model = residual()
    model.backbone.layer1.eval()  # frozen, while the rest is in training mode
    model.backbone.conv1.weight.grad = torch.ones_like(model.backbone.conv1.weight)
    before = {name: (value.clone(), value.dtype, value.stride()) for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    trainable = cost.parameters(model)
    cost.flops(model)
    cost.latency(model, "cpu", how, "bf16", folded=True, repeats=1, warmup=1)
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name][0]) and (value.dtype, value.stride()) == before[name][1:]
    assert cost.parameters(model) == trainable and model.backbone.conv1.weight.grad.min() == 1
    assert torch.backends.cudnn.benchmark is False


# Latency


class Counting(methods.ResidualPooling):
    """Counts the calls of all its copies, and the shapes and modes that they saw."""

    calls: list = []

    def features(self, images):
        Counting.calls.append((tuple(images.shape), self.training, torch.is_inference_mode_enabled()))
        return super().features(images)


@pytest.fixture
def counting():
    Counting.calls = []
    return Counting(methods.residual_pooling("smoke", dim=16, crop=SIZE), 5)


def test_one_image_is_described_as_often_as_asked_after_the_warm_up(counting):
    measured = cost.latency(counting, repeats=7, warmup=3)
    assert Counting.calls == [((1, 3, *SIZE), False, True)] * 10
    assert measured.milliseconds.shape == (7,) and measured.warmup_seconds > 0
    assert 0 < measured.p10 <= measured.median <= measured.p90
    assert (measured.how, measured.precision, measured.device) == ("eager", "float32", "cpu")


def test_the_times_are_milliseconds_of_the_clock_around_each_call(counting, monkeypatch):
    now = [0.0]

    def slow(self, images):
        now[0] += (0.5, 0.004, 0.002, 0.003)[len(self.calls)]  # the warm-up takes longest
        return Counting.calls.append(None) or images

    monkeypatch.setattr(Counting, "features", slow)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: now[0])
    measured = cost.latency(counting, repeats=3, warmup=1)
    assert measured.milliseconds == pytest.approx([4, 2, 3])
    assert (measured.p10, measured.median, measured.p90) == pytest.approx((2.2, 3, 3.8))
    assert measured.warmup_seconds == pytest.approx(0.5)


def test_a_gpus_time_is_that_until_its_work_is_done(counting, pretended, monkeypatch):
    """Calls of a GPU return at once: here waiting for it takes 5 ms by the clock, and the call itself 1 ms."""
    with pretended() as gpu:
        now, describe = [0.0], Counting.features

        def call(self, images):
            assert images.is_cuda
            now[0] += 0.001
            return describe(self, images)

        def wait(device=None):
            now[0] += 0.005

        monkeypatch.setattr(Counting, "features", call)
        monkeypatch.setattr(torch.accelerator, "synchronize", wait)
        monkeypatch.setattr(cost.time, "perf_counter", lambda: now[0])
        assert cost.latency(counting, "cuda", repeats=3, warmup=1).milliseconds == pytest.approx([6, 6, 6])
        assert gpu.seen


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("precision", embedders.PRECISIONS)
def test_what_is_timed_is_the_network_as_it_was_asked_for(counting, monkeypatch, folded, precision):
    """Its convolutions' type and its batch norms tell."""
    seen = []

    def look(self, images):
        norms = [module for module in self.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
        seen.append((self.backbone.conv1.weight.dtype, len(norms) == 0, torch.is_autocast_enabled("cpu")))
        return images

    monkeypatch.setattr(Counting, "features", look)
    measured = cost.latency(counting, precision=precision, folded=folded, repeats=2, warmup=1)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    assert seen == [(kind, folded, precision == "bf16")] * 3
    assert measured.precision == precision
    cost.table({"one": counting}, "cpu", ("eager",), precision, folded, repeats=1, warmup=0)
    assert seen[-1] == (kind, folded, precision == "bf16")  # after the count of operations


def test_a_compiled_describer_is_compiled_once_before_the_clock_starts(counting, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or function)
    cost.latency(counting, how="compiled", repeats=2, warmup=1)
    assert len(compiled) == 1 and len(Counting.calls) == 1 + 1 + 2


def test_where_compiling_fails_a_sentence_says_why(monkeypatch):
    def broken(function):
        def fail(image):
            raise RuntimeError("no compiler found\nand a long trace")

        return fail

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(DeviceError, match="no compiler found.*how="):
        cost.embedder(residual(), how="compiled")


def test_a_graph_without_cuda_is_refused_before_any_work(counting):
    with pytest.raises(DeviceError, match='"cpu"'):
        cost.latency(counting, "cpu", how="graph")
    assert Counting.calls == []


@pytest.mark.parametrize("wrong", [{"how": "fast"}, {"precision": "float64"}, {"repeats": 0}, {"warmup": -1}])
def test_wrong_options_are_named(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        cost.latency(residual(), **wrong)


# The table


def test_the_table_has_a_row_per_network_and_says_what_could_not_be_measured():
    networks = {"residual": residual(), "multitask": multitask()}
    table = cost.table(networks, "cpu", ways=("eager", "graph"), repeats=2, warmup=1)
    assert list(table.index) == ["residual", "multitask"]
    assert list(table.columns) == ["parameters, M", "backbone, M", "FLOPs, G", "eager, ms"]
    for name, model in networks.items():
        counts = [cost.parameters(model) / 1e6, cost.parameters(model.backbone) / 1e6, cost.flops(model) / 1e9]
        assert table.loc[name].tolist()[:3] == counts
    assert (table["eager, ms"] > 0).all()
    assert table.attrs["device"] == "cpu"
    assert set(table.attrs["not measured"]) == {"residual, graph", "multitask, graph"}


def test_a_table_times_where_and_as_often_as_it_is_asked_to(counting, pretended, monkeypatch):
    """One call counts the operations, two warm up, three are timed."""
    where, describe = [], Counting.features
    monkeypatch.setattr(Counting, "features", lambda self, x: where.append(x.device.type) or describe(self, x))
    with pretended():
        table = cost.table({"one": counting}, "cuda", ("eager",), repeats=3, warmup=2)
        assert table.attrs["device"] == torch.cuda.get_device_name()
    assert where == ["meta"] + ["cuda"] * 5
    assert next(counting.parameters()).device.type == "cpu"


def test_a_table_of_nothing_or_of_an_unknown_way_is_refused():
    with pytest.raises(RecipeError):
        cost.table({})
    with pytest.raises(RecipeError, match="'slow'"):
        cost.table({"B": residual()}, ways=("eager", "slow"))


# On a GPU


@on_cuda
@pytest.mark.parametrize("precision", embedders.PRECISIONS)
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("build", [residual, multitask])
def test_a_replayed_graph_describes_each_image_as_eager_does(build, folded, precision):
    model = build()
    eager = cost.embedder(model, "cuda", "eager", precision, folded)
    graph = cost.embedder(model, "cuda", "graph", precision, folded)
    images = torch.randn(3, 1, 3, *SIZE, generator=torch.Generator().manual_seed(2)).cuda()
    described = [graph(image).clone() for image in images]  # each call overwrites what the one before returned
    expected = [eager(image) for image in images]
    for i in range(3):  # cuDNN may choose other algorithms for each; another image is much further away
        error, other = (described[i] - expected[i]).norm(), (described[i] - expected[i - 1]).norm()
        assert error < 0.3 * other
    assert next(model.parameters()).device.type == "cpu"


@on_cuda
def test_a_gpu_is_named_and_waited_for(monkeypatch):
    waited = []
    synchronize = torch.accelerator.synchronize
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda device: waited.append(device) or synchronize(device))
    measured = cost.latency(residual(), "cuda", "graph", "bf16", repeats=5, warmup=2)
    assert measured.device == torch.cuda.get_device_name() and len(waited) >= 7
