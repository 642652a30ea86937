"""Which device is taken, what is asked of it, and what is said where it cannot be used."""

import contextlib
import io
import json
import logging
from unittest import mock

import numpy as np
import pytest
import torch

from reid_lab import doctor, methods, retrieval
from reid_lab.ablations import run
from reid_lab.runtime import device, environment
from reid_lab.runtime.distributed import assemble
from reid_lab.runtime.errors import DeviceError
from reid_lab.training import guards

GIB = 2**30
NO_KERNEL = "CUDA error: no kernel image is available for execution on the device"


@pytest.fixture
def aloud(monkeypatch):
    """What the package logs is not silenced."""
    monkeypatch.delenv("TQDM_DISABLE")


def broken(self, *args):
    """The product of a GPU for which PyTorch has no kernels."""
    if self.device.type != "cpu":
        raise RuntimeError(f"{NO_KERNEL}\nCUDA kernel errors might be asynchronously reported")
    return torch.mm(self, *args)


@pytest.mark.parametrize("kind", ["cuda", "mps", "xpu"])
def test_the_default_is_the_gpu_with_its_index_and_each_may_be_named(pretended, kind):
    with pretended(kind):
        named = [device.find_device(name) for name in (None, kind, f"{kind}:0", torch.device(kind))]
        assert named == [torch.device(kind, 0)] * 4
        assert device.find_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.accelerator.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_the_default_is_the_cpu():
    assert device.find_device() == torch.device("cpu") and device.seen() is None


@pytest.mark.skipif(torch.accelerator.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_without_a_driver_is_not_taken_either(monkeypatch, caplog):
    device._tell.cache_clear()
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    assert device.find_device() == torch.device("cpu") and "the CPU is taken" in caplog.text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gpu", "no device called 'gpu'"),
        ("meta", "'meta' is of a kind that reid_lab does not use"),
        ("cuda:7", "'cuda:7' was asked for, but PyTorch sees 1 GPUs"),
        ("xpu", "'xpu' was asked for, but PyTorch sees 0 GPUs"),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_way_everywhere(pretended, name, said):
    features = torch.ones(2, 3)
    with pretended("cuda"):
        for use in (device.find_device, lambda name: retrieval.search(features, features, 1, device=name)):
            with pytest.raises(DeviceError, match=said):
                use(name)


def test_a_gpu_that_is_seen_but_cannot_be_used_is_not_taken(pretended, monkeypatch, caplog):
    device._tell.cache_clear()
    with pretended("cuda"):
        monkeypatch.setattr(torch.Tensor, "__matmul__", broken)
        assert [device.find_device(), device.find_device()] == [torch.device("cpu")] * 2
        (told,) = caplog.messages  # once
        assert "the CPU is taken" in told and NO_KERNEL in told and "\n" not in told
        with pytest.raises(DeviceError, match=f"cuda.*{NO_KERNEL}"):
            device.find_device("cuda")
        (told,) = [line for line in doctor.examine() if "PyTorch computes" in line]
        assert told.startswith("[problem]") and NO_KERNEL in told and "until then the CPU is used" in told
        assert doctor.details()["device"] == "CPU"


@pytest.mark.parametrize(
    ("kind", "memory", "size"),
    [("cuda", 16, "full"), ("cuda", 6, "classroom"), ("xpu", 16, "full"), ("mps", 64, "classroom")],
)
def test_full_size_is_for_a_gpu_with_the_memory_for_it(pretended, monkeypatch, kind, memory, size):
    monkeypatch.delenv("REID_LAB_SIZE", raising=False)
    with pretended(kind, memory=memory * GIB):
        assert methods.default_size() == methods.multitask().size == size
        assert methods.default_size("cpu") == "classroom"  # the size follows the device asked for


@pytest.mark.parametrize(("options", "size"), [(["--device", "cpu"], "classroom"), ([], "full")])
def test_the_command_trains_at_the_size_of_the_device_asked_for(pretended, monkeypatch, options, size):
    from reid_lab import cli, data, training

    def stop(recipe, *args, **options):
        raise DeviceError(f"asked for {recipe.size}")

    monkeypatch.delenv("REID_LAB_SIZE", raising=False)
    monkeypatch.setattr(training, "fit", stop)
    monkeypatch.setattr(data, "passersby", lambda size: None)
    told = io.StringIO()
    with pretended("cuda"), contextlib.redirect_stderr(told):
        assert cli.main(["train", "multitask", *options]) == 2
    assert f"asked for {size}" in told.getvalue()


def test_memory_that_pytorch_keeps_for_itself_counts_as_free(pretended, monkeypatch):
    with pretended("cuda", memory=4 * GIB):
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 3 * GIB)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1 * GIB)
        assert device.memory(torch.device("cuda", 0))[0] == 6 * GIB


def test_a_gpu_that_does_not_tell_its_free_memory_has_what_pytorch_has_not_taken(pretended, monkeypatch):
    def untold(where):
        raise RuntimeError("The device does not support querying the available free memory.")

    with pretended("xpu"):
        monkeypatch.setattr(torch.xpu, "mem_get_info", untold)
        monkeypatch.setattr(torch.xpu, "get_device_properties", lambda where: mock.Mock(total_memory=16 * GIB))
        monkeypatch.setattr(torch.xpu, "memory_reserved", lambda where: 3 * GIB)
        monkeypatch.setattr(torch.xpu, "memory_allocated", lambda where: 1 * GIB)
        assert device.memory(torch.device("xpu", 0)) == (15 * GIB, 16 * GIB)


def test_a_gpu_that_others_use_is_shared_by_fewer_runs(pretended):
    for free, together in ((8, 1), (40, 2), (80, 4)):
        with pretended("cuda", memory=free * GIB):
            assert run._gpu_holds(None) == together


@pytest.mark.parametrize(
    ("capability", "expected"), [((6, 1), "float32"), ((7, 5), "float16"), ((8, 0), "bf16"), ((12, 0), "bf16")]
)
def test_what_a_cuda_gpu_claims_to_be_fast_at(pretended, capability, expected):
    with pretended("cuda", capability=capability):
        assert device.fast_precision(device.find_device()) == expected


def test_a_gpu_that_computes_wrongly_is_not_taken(pretended, monkeypatch):
    right = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: right(a, b) * (1.5 if a.is_cuda else 1))
    with pretended("cuda"):
        assert device.find_device() == torch.device("cpu")
        with pytest.raises(DeviceError, match="comes out wrong"):
            device.find_device("cuda")


def test_what_other_devices_claim_to_be_fast_at(pretended, monkeypatch):
    for kind, expected in {"xpu": "bf16", "mps": "float32"}.items():
        with pretended(kind):
            assert device.fast_precision(device.find_device()) == expected
    monkeypatch.setattr(torch.version, "hip", "6.4")
    for supported, expected in ((True, "bf16"), (False, "float32")):
        with pretended("cuda", capability=(9, 4)):  # which ROCm gives, too, and means something else
            monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)  # noqa: B023
            assert device.fast_precision(device.find_device()) == expected
            assert device.kind(device.find_device()) == "rocm"


@pytest.mark.parametrize(("limit", "expected"), [("", "bf16"), ("AVX512_CORE_BF16", "bf16"), ("avx2", "float32")])
def test_a_cpu_whose_convolutions_are_held_back_emulates_bf16_and_is_not_fast_at_it(monkeypatch, limit, expected):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert device.fast_precision(torch.device("cpu")) == expected


@pytest.mark.parametrize("products", ["highest", "high", "medium"])
def test_within_exact_float32_nothing_is_rounded_and_afterwards_all_is_as_it_was(pretended, products):
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(products)
    try:
        with pretended("cuda", capability=(8, 0)):
            where = device.find_device()
            outside = device.tf32(where)
            assert outside == ("convolutions" if products == "highest" else "products, convolutions")
            with device.exact_float32():
                assert device.tf32(where) == "" == device.tf32(torch.device("cpu"))
            assert device.tf32(where) == outside and torch.get_float32_matmul_precision() == products
            assert environment.describe(where)["tf32"] == outside
    finally:
        torch.set_float32_matmul_precision(before)


def test_rankings_and_features_are_computed_in_exact_float32(pretended, monkeypatch, smoke):
    seen, product = [], torch.addmm
    features = torch.eye(4)
    labels = dict(query_pids=np.arange(4), gallery_pids=np.arange(4))
    with pretended("cuda", capability=(8, 0)):
        where = device.find_device()
        monkeypatch.setattr(torch, "addmm", lambda *a, **k: seen.append(device.tf32(where)) or product(*a, **k))
        retrieval.rank(features, features, **labels, device="cuda")
        retrieval.rank(features, features, **labels, rerank=True, device="cuda")
        retrieval.rerank(features, features, device="cuda")
        retrieval.search(features, features, 1, device="cuda")
        model = methods.residual_pooling("smoke", precision="float32").network(18)
        embed = type(model).embed
        monkeypatch.setattr(type(model), "embed", lambda *a: seen.append(device.tf32(where)) or embed(*a))
        retrieval.extract(model, smoke.query[:2], "cuda")
    assert len(seen) >= 5 and set(seen) == {""}


@pytest.mark.parametrize(
    ("error", "small"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 17 GB, max allowed: 18 GB)"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_a_memory_that_is_too_small_is_known_by_whatever_name(tmp_path, error, small):
    from reid_lab.runtime.errors import TrainingError

    assert device.out_of_memory(error) == small
    expected = TrainingError if small else type(error)
    with pytest.raises(expected), guards.memory_told(methods.residual_pooling("smoke"), tmp_path):
        raise error


def test_a_gpus_random_numbers_are_put_back(pretended, monkeypatch):
    for kind in ("cuda", "xpu", "mps"):
        with pretended(kind):
            put_back = []
            module = getattr(torch, kind)
            monkeypatch.setattr(module, "set_rng_state", lambda *a, put_back=put_back: put_back.append(a))
            with environment.reproducible(0, device.find_device(), False):
                assert not put_back
            assert len(put_back) == 1, kind


def test_a_single_gpu_is_not_for_a_team(pretended, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pretended("cuda", count=2), pytest.raises(DeviceError, match="cuda:1"):
        assemble("cuda:1")


TOLD = [  # what the folder says, where it is taken up, in which precision (None: it is finished), what is logged
    ({"device": "NVIDIA T4", "kind": "cuda", "precision": "float16"}, "cpu", None, "trained on NVIDIA T4 in float16"),
    ({"device": "NVIDIA T4", "precision": "bf16"}, "cpu", None, "trained on NVIDIA T4"),  # from before there was a kind
    ({"device": "x86_64 CPU (AVX2)", "precision": "float32"}, "cuda", None, "trained on x86_64 CPU"),
    ({"device": "NVIDIA T4", "kind": "cuda", "precision": "bf16"}, "cuda", "float32", "begun on NVIDIA T4 in bf16"),
    ({"device": "x86_64 CPU (AVX2)", "precision": "float32"}, "cpu", None, ""),
    ({"device": "Pretended GPU", "kind": "cuda", "precision": "bf16"}, "cuda", "bf16", ""),
    (None, "cpu", None, ""),
]


@pytest.mark.parametrize(("about", "where", "precision", "told"), TOLD)
def test_a_run_of_another_device_or_precision_is_said_to_be_one(
    pretended, tmp_path, caplog, aloud, about, where, precision, told
):
    if about is not None:
        (tmp_path / "environment.json").write_text(json.dumps(about))
    with pretended("cuda"), caplog.at_level(logging.WARNING):
        environment.note_other(tmp_path, device.find_device(where), precision)
    assert (told in caplog.text and f"{tmp_path}" in caplog.text) if told else not caplog.text


def test_a_finished_run_of_a_cpu_is_announced_on_a_gpu(smoke, smoke_run, pretended, caplog, aloud):
    from reid_lab import training

    with pretended("cuda"):
        run = training.fit(smoke_run.recipe, smoke, device="cuda")
        assert run.folder == smoke_run.folder and next(run.model.parameters()).is_cuda
    assert "was trained on" in caplog.text and "move that folder away" in caplog.text
