"""A GPU that is not there: tensors that say they lie on one, compute on the CPU, and obey a GPU's rules.

    with PretendedGPU() as gpu:                  # or kind="mps", kind="xpu"
        x = torch.ones(3, device="cuda") + 1     # real values, x.device is cuda:0, x.is_cuda
        x + torch.ones(3)                        # RuntimeError: tensors of two devices meet
        gpu.waiting = "error"
        x.sum().item()                           # RuntimeError: the program would wait for the GPU

A test takes one by the fixture ``a_gpu`` of conftest.py: the machine's own GPU where there is one, else this one. In a
notebook, or in any process, switch it on before the first tensor is made, and leave it on:

    import sys; sys.path.insert(0, "../tests")
    import pretended_gpu; pretended_gpu.pretend("cuda")

Refused as on a GPU: operations whose tensors lie on two devices, ``numpy()``, a generator of another device, pinned
memory where it does not belong, 64-bit floats on MPS, kernels that are not deterministic where that is asked for.
Whatever makes the program wait for the GPU is counted in ``waits``. It is refused with ``waiting="error"``, which
``torch.cuda.set_sync_debug_mode`` sets, too, and while a CUDA graph is recorded. ``synchronized`` counts the times that
the program waited on purpose. NOT seen: a kernel's own limits and rounding, TF32, speed, memory, streams. Those need
the device.

How it works. Each storage (which all views of a tensor share) carries a mark: the device where it is said to lie. The
few functions that know of devices, such as ``Tensor.to`` and ``torch.zeros``, are replaced while the GPU is there, and
a TorchDispatchMode sees every other operation, also those of the backward pass. It uses private functions of PyTorch;
with a version that lacks them, :func:`unusable` says so and the tests are skipped. torch.compile does not run under it.
"""

import contextlib
import functools
import sys
import traceback
from collections import Counter
from pathlib import Path
from unittest import mock

import torch
import torch._dynamo  # now, before anything of torch is replaced
from torch.utils._device import _device_constructors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_device_constructors()  # `with torch.device("meta")` remembers these functions at its first use
aten = torch.ops.aten
KINDS = ("cuda", "mps", "xpu")
PINS = ("cuda", "xpu")
ANYWHERE = "anywhere"  # the mark of what an operation makes for itself: it belongs to whatever it meets first
INDEXING = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)
WAITING = (aten._local_scalar_dense, aten.nonzero, aten.masked_select, aten._unique2, aten.unique_dim, aten.bincount)
WAITING += (aten.unique_consecutive, aten.equal, aten.is_nonzero, aten.item)  # item: under inference_mode
NOT_DETERMINISTIC = {  # the list in the documentation of torch.use_deterministic_algorithms
    "cuda": {"_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward", "upsample_bilinear2d_backward", "put_"}
    | {"reflection_pad2d_backward", "nll_loss2d_forward", "grid_sampler_2d_backward", "histc", "scatter_reduce"},
    "mps": {"max_pool2d_with_indices_backward", "scatter_reduce"},
    "xpu": set(),
}
LIKE = ("empty", "zeros", "ones", "full", "rand", "randn")
FACTORIES = [*LIKE, *(f"{name}_like" for name in LIKE), "randint", "randperm", "arange", "linspace", "eye"]
FACTORIES += ["tensor", "as_tensor", "scalar_tensor"]
FROM_VALUES = ("tensor", "as_tensor", "new_tensor")  # of numbers, or of another tensor
METHODS = ["to", "cpu", "cuda", "numpy", "tolist", "pin_memory", "__deepcopy__"]
METHODS += ["new_empty", "new_zeros", "new_ones", "new_full", "new_tensor"]
PLAIN = {name: getattr(torch.Tensor, name) for name in METHODS}  # as they were
REAL_DEVICE = getattr(getattr(torch._C, "TensorBase", None), "device", None)


def unusable() -> str | None:
    """Why this PyTorch cannot pretend; None where it can."""
    try:
        with PretendedGPU():
            good = (torch.ones(2, device="cuda") + 1).is_cuda and torch.ones(2).to("cuda").device.index == 0
    except Exception as error:  # whatever a private function that has changed may raise
        return f"PyTorch {torch.__version__} cannot pretend to have a GPU ({type(error).__name__}: {error})"
    return None if good else f"PyTorch {torch.__version__} cannot pretend to have a GPU"


def pretend(kind: str = "cuda", **settings: object) -> "PretendedGPU":
    """From now on, and for good, this process has a GPU of that kind."""
    return PretendedGPU(kind, **settings).__enter__()


def storage(tensor):
    return torch._C.TensorBase.untyped_storage(tensor)  # the same Python object as long as the storage lives


def mark(tensor):
    """The device where a tensor is said to lie; None: on the CPU."""
    return getattr(storage(tensor), "mark", None)


def marked(tensor, device):
    storage(tensor).mark = device
    return tensor


class PretendedGPU(TorchDispatchMode):
    """Within, the machine has ``count`` GPUs of the ``kind`` "cuda", "mps" or "xpu", with ``memory`` free bytes each.

    ``capability`` is that of CUDA; (6, 0) has no fast 16-bit numbers, so that "auto" means float32. ``seen`` counts
    the operations that reached the GPU, by name and types; ``waits`` those that made the program wait, by name and
    place.
    """

    def __init__(self, kind="cuda", waiting="allow", count=1, capability=(6, 0), memory=24 * 2**30):
        super().__init__()
        self.kind, self.waiting, self.count, self.capability, self.memory = kind, waiting, count, capability, memory
        self.seen, self.waits, self.synchronized = Counter(), Counter(), 0
        self.off = 0  # above 0 within what the pretence does for itself
        self.factory = 0  # above 0 within a factory that was not asked for a GPU: what it makes lies on the CPU
        self.trusting = 0  # above 0 where a GPU trusts values that a CPU looks at
        self.recorded = None  # the operations of a CUDA graph that is being recorded
        self.undo = contextlib.ExitStack()

    def __enter__(self):
        for name, method in tensor_methods(self).items():
            self.undo.callback(put_back, name, vars(torch.Tensor).get(name))
            setattr(torch.Tensor, name, method)
        for (owner, name), value in replaced(self).items():
            if hasattr(owner, name):
                self.undo.enter_context(mock.patch.object(owner, name, value))
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self.undo.close()

    @contextlib.contextmanager
    def within(self, counter):
        """Raise one of the counters above for a while."""
        setattr(self, counter, getattr(self, counter) + 1)
        try:
            yield
        finally:
            setattr(self, counter, getattr(self, counter) - 1)

    # Every operation

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.off:
            return function(*args, **kwargs)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        marks = [mark(tensor) for tensor in given]
        devices = {place for place in marks if isinstance(place, torch.device)}
        if devices:
            self.check(function, args, kwargs, given, marks, devices)
        out = function(*args, **kwargs)
        alone = ANYWHERE in marks or not (given or self.factory)
        self.place_results(function, out, given, marks, devices, next(iter(devices), ANYWHERE if alone else None))
        if self.recorded is not None and devices:
            self.recorded.append((function, args, kwargs, out))
        return out

    def place_results(self, function, out, given, marks, devices, place):
        """What an operation has made lies where what it was given lies."""
        for tensor, old in zip(given, marks, strict=True):
            if old == ANYWHERE and devices:
                marked(tensor, place)
        known = {storage(tensor)._cdata for tensor in given}
        for tensor in tree_leaves(out):
            if not place or not isinstance(tensor, torch.Tensor) or REAL_DEVICE.__get__(tensor).type != "cpu":
                continue
            if storage(tensor)._cdata not in known:
                self.check_type(tensor.dtype if devices else None, function)
                marked(tensor, place)

    def check(self, function, args, kwargs, given, marks, devices):
        """Raise what the GPU would raise at this operation, and note where the program waits."""
        name = function.overloadpacket
        self.seen[str(function), tuple(sorted({str(tensor.dtype)[6:] for tensor in given}))] += 1
        if kwargs.get("generator") is not None:
            self.check_generator(kwargs["generator"], self.kind)
        if name in WAITING or (name is aten.repeat_interleave and kwargs.get("output_size") is None):
            self.wait(str(function))
        if name in INDEXING and any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in args[1]):
            self.wait(f"{function} with a mask")
        if torch.are_deterministic_algorithms_enabled() and name.__name__ in NOT_DETERMINISTIC[self.kind]:
            raise RuntimeError(f"{name.__name__}_{self.kind} does not have a deterministic implementation")
        on_cpu = [tensor for tensor, place in zip(given, marks, strict=True) if place is None]
        if len(devices) == 1 and not on_cpu:
            return
        if name is aten.copy_:
            self.wait("copy_ between devices")
        elif name in INDEXING and mark(args[0]) and len(devices) == 1:  # indices, and a number, may lie on the CPU
            may = [t for t in args[1] if t is not None] + [t for t in args[2:3] if t.ndim == 0]
            if not all(any(tensor is one for one in may) for tensor in on_cpu):
                refuse(function, given, marks)
            if any(mark(t) is None for t in args[1] if t is not None):
                self.wait(f"{function} with indices on the CPU")
        elif len(devices) > 1 or any(t.ndim for t in on_cpu) or torch.Tag.pointwise not in function.tags:
            refuse(function, given, marks)

    def check_generator(self, generator, kind):
        found = getattr(generator, "place", torch.device("cpu")).type
        if found != kind:
            raise RuntimeError(f"Expected a '{kind}' device type for generator but found '{found}'")

    def check_type(self, dtype, what):
        if self.kind == "mps" and dtype in (torch.float64, torch.complex128):
            raise TypeError(f"Cannot convert a MPS Tensor to float64 dtype ({what}): MPS does not support float64")

    def wait(self, what):
        """The program waits for the GPU: noted, and refused where it may not."""
        if self.off or self.trusting:
            return
        ours = [f for f in traceback.extract_stack() if "/reid_lab/" in f.filename]
        places = [f"{Path(f.filename).name}:{f.lineno}" for f in ours]
        self.waits[what, places[-1] if places else ""] += 1
        if self.recorded is not None or self.waiting == "error":
            raise RuntimeError(f"called a synchronizing {self.kind.upper()} operation: {what} at {places[-3:]}")

    # From one device to another

    def place(self, device):
        """The pretended GPU that is meant, or None."""
        found = torch.device(self.kind, device) if isinstance(device, int) else torch.device(device)
        if found.type != self.kind:
            return None
        if (found.index or 0) >= self.count:
            raise RuntimeError(f"{self.kind.upper()} error: invalid device ordinal")
        return torch.device(self.kind, found.index or 0)

    def copied(self, tensor, place, form=torch.preserve_format):
        """The same values elsewhere; gradients flow back."""
        if tensor.requires_grad and torch.is_grad_enabled():
            return Move.apply(tensor, place, form, self)
        with self.within("off"):
            return marked(tensor.detach().clone(memory_format=form), place)

    def to(self, tensor, *args, copy=False, memory_format=torch.preserve_format, **kwargs):
        """``Tensor.to``."""
        if args and isinstance(args[0], torch.Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        wanted, dtype, soon, _ = torch._C._nn._parse_to(*args, **kwargs)
        dtype = dtype or tensor.dtype
        if wanted is not None and wanted.type not in ("cpu", self.kind):  # meta
            return PLAIN["to"](tensor, wanted, dtype)
        here = mark(tensor)
        there = here if wanted is None else self.place(wanted)
        if there is not None and here not in (None, ANYWHERE) and wanted is not None and wanted.index is None:
            there = here
        if there is not None:
            self.check_type(dtype, "to")
        if here in (there, ANYWHERE):
            marked(tensor, there)
            return PLAIN["to"](tensor, dtype=dtype, copy=copy, memory_format=memory_format)
        if there is None:
            self.wait("copy from the GPU")
        elif not (soon and hasattr(storage(tensor), "pinned")):
            self.wait("copy of unpinned memory to the GPU")
        if there is not None:  # converted where it lies, then copied
            tensor = PLAIN["to"](tensor, dtype=dtype)
        return PLAIN["to"](self.copied(tensor, there, memory_format), dtype=dtype, memory_format=memory_format)

    def numpy(self, tensor, *, force=False):
        if isinstance(mark(tensor), torch.device) and not force:
            raise TypeError(f"can't convert {tensor.device} device type tensor to numpy. Use Tensor.cpu() first.")
        return PLAIN["numpy"](self.to(tensor, "cpu"), force=force)

    def tolist(self, tensor):
        if isinstance(mark(tensor), torch.device):
            self.wait("tolist")
        return PLAIN["tolist"](tensor)

    def pin_memory(self, tensor, device=None):
        if mark(tensor):
            raise RuntimeError(f"cannot pin 'torch.{self.kind}.Tensor' only dense CPU tensors can be pinned")
        if self.kind not in PINS:
            raise RuntimeError("Need to provide pin_memory allocator to use pin memory.")
        out = self.copied(tensor, None, torch.contiguous_format)
        storage(out).pinned = True
        return out

    def deepcopy(self, tensor, memo):
        known = id(tensor) in memo
        out = PLAIN["__deepcopy__"](tensor, memo)
        return out if known else marked(out, mark(tensor))

    def making(self, plain):
        """A factory such as ``torch.zeros``, which knows of the GPU."""

        @functools.wraps(plain)
        def make(*args, **kwargs):
            wanted = kwargs.get("device")
            there = None if wanted is None else self.place(wanted)
            like = mark(args[0]) if args and isinstance(args[0], torch.Tensor) else None
            if kwargs.get("generator") is not None:
                self.check_generator(kwargs["generator"], torch.device(wanted or like or "cpu").type)
            if wanted is None or (there is None and torch.device(wanted).type != "cpu"):
                with self.within("factory"):
                    return plain(*args, **kwargs)
            kwargs["device"] = "cpu"
            if plain.__name__ in FROM_VALUES:
                with self.within("factory"):
                    return self.to(plain(*args, **kwargs), there or "cpu")
            with self.within("off"):
                out = plain(*args, **kwargs)
            if there:
                self.check_type(out.dtype, plain.__name__)
                self.seen[f"torch.{plain.__name__}", (str(out.dtype)[6:],)] += 1
            return marked(out, there)

        return make

    @contextlib.contextmanager
    def recording(self, graph):
        """``torch.cuda.graph``."""
        graph.owner, graph.work = self, []
        self.recorded = graph.work
        try:
            yield
        finally:
            self.recorded = None

    def synchronize(self, device=None):
        self.synchronized += 1


def refuse(function, given, marks):
    found = ", ".join(f"{tuple(t.shape)} on {place or 'cpu'}" for t, place in zip(given, marks, strict=True))
    raise RuntimeError(f"Expected all tensors to be on the same device, but {function} was given {found}")


class Move(torch.autograd.Function):
    """A copy to another device, and the gradient's way back."""

    @staticmethod
    def forward(context, tensor, place, form, owner):
        context.back, context.owner = mark(tensor), owner
        return owner.copied(tensor.detach(), place, form)

    @staticmethod
    def backward(context, gradient):
        return context.owner.copied(gradient.detach(), context.back), None, None, None


class Graph:
    """A CUDA graph: the same operations again, in the same memory."""

    def replay(self):
        with self.owner.within("off"), torch.inference_mode():
            for function, args, kwargs, out in self.work:
                for old, new in zip(tree_leaves(out), tree_leaves(function(*args, **kwargs)), strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)


# What is replaced


def tensor_methods(gpu):
    """Of ``torch.Tensor``, by name."""

    def device(tensor):
        return mark(tensor) if isinstance(mark(tensor), torch.device) else REAL_DEVICE.__get__(tensor)

    def cuda(tensor, device=None, non_blocking=False, **form):
        place = gpu.kind if device is None else gpu.place(device)
        return gpu.to(tensor, place, non_blocking=non_blocking, **form)

    def method(bound):  # a function, so that it becomes a method of the tensor
        return lambda tensor, *args, **kwargs: bound(tensor, *args, **kwargs)

    def lies_on(kind):
        return property(lambda tensor: device(tensor).type == kind)

    methods = {"device": property(device)} | {f"is_{kind}": lies_on(kind) for kind in ("cpu", *KINDS)}
    methods |= {"to": method(gpu.to), "cpu": lambda tensor, **form: gpu.to(tensor, "cpu", **form), "cuda": cuda}
    methods |= {"numpy": method(gpu.numpy), "tolist": method(gpu.tolist), "pin_memory": method(gpu.pin_memory)}
    methods |= {"__deepcopy__": method(gpu.deepcopy)}
    return methods | {name: gpu.making(PLAIN[name]) for name in METHODS if name.startswith("new_")}


def put_back(name, before):
    if before is None:  # the method of a base class
        delattr(torch.Tensor, name)
    else:
        setattr(torch.Tensor, name, before)


def replaced(gpu):
    """Functions and classes of torch, by (owner, name)."""
    one_hot, autocast = torch.nn.functional.one_hot, torch.autocast

    class Generator(torch.Generator):
        def __new__(cls, device="cpu"):
            made = super().__new__(cls, "cpu")
            made.place = gpu.place(device) or torch.device("cpu")
            return made

    class Autocast(autocast):
        def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
            ours = device_type == gpu.kind
            dtype = dtype or (torch.float16 if ours and enabled else torch.bfloat16)
            super().__init__("cpu" if ours else device_type, dtype, enabled, cache_enabled)

    enabled = torch.is_autocast_enabled

    def autocast_enabled(*kind):
        return enabled("cpu" if kind == (gpu.kind,) else kind[0]) if kind else enabled()

    def trusting_one_hot(tensor, num_classes=-1):  # a GPU does not look at the labels, a CPU does
        if num_classes == -1:
            return one_hot(tensor, num_classes)
        with gpu.within("trusting"):
            return one_hot(tensor, num_classes)

    group = torch.optim.Optimizer._group_tensors_by_device_and_dtype

    def grouped(tensors, with_indices=False):  # PyTorch's looks at the real device
        found = group(tensors, with_indices)
        return {(mark(lists[0][0]) or place, dtype): (lists, at) for (place, dtype), (lists, at) in found.items()}

    new = {(torch, name): gpu.making(getattr(torch, name)) for name in FACTORIES}
    new |= {(torch, "Generator"): Generator, (torch, "autocast"): Autocast, (torch.amp, "autocast"): Autocast}
    new |= {(torch.nn.functional, "one_hot"): trusting_one_hot, (torch, "is_autocast_enabled"): autocast_enabled}
    new[torch.optim.Optimizer, "_group_tensors_by_device_and_dtype"] = staticmethod(grouped)
    for name in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):
        new[torch.optim.Optimizer, name] = lambda optimizer: None
    if "reid_lab.data.augment" in sys.modules:
        new[sys.modules["reid_lab.data.augment"], "Generator"] = Generator
    new |= {(torch.accelerator, name): value for name, value in accelerator(gpu).items()}
    new |= {(getattr(torch, gpu.kind), name): value for name, value in module(gpu).items()}
    if gpu.kind == "mps":
        new[torch.backends.mps, "is_available"] = lambda: True
    return new


def accelerator(gpu):
    """Functions of ``torch.accelerator``, by name."""
    return {
        "is_available": lambda: True,
        "current_accelerator": lambda check_available=False: torch.device(gpu.kind),
        "device_count": lambda: gpu.count,
        "current_device_index": lambda: 0,
        "current_device_idx": lambda: 0,
        "get_memory_info": lambda device=None: (gpu.memory, gpu.memory),
        "synchronize": gpu.synchronize,
    }


def module(gpu):
    """Functions of ``torch.cuda``, ``torch.mps`` or ``torch.xpu``, by name; those that a module lacks are left out."""
    idle = ("set_rng_state", "manual_seed", "manual_seed_all", "set_device", "empty_cache", "reset_peak_memory_stats")
    return {name: lambda *args, **kwargs: None for name in idle} | {
        "is_available": lambda: True,
        "device_count": lambda: gpu.count,
        "current_device": lambda: 0,
        "get_device_capability": lambda device=None: gpu.capability,
        "get_device_name": lambda device=None: "Pretended GPU",
        "mem_get_info": lambda device=None: (gpu.memory, gpu.memory),
        "recommended_max_memory": lambda: gpu.memory,
        **{name: lambda device=None: 0 for name in ("memory_reserved", "memory_allocated", "max_memory_allocated")},
        **{name: lambda: 0 for name in ("driver_allocated_memory", "current_allocated_memory")},
        "get_rng_state": lambda device=None: torch.get_rng_state(),
        "is_bf16_supported": lambda *args, **kwargs: True,
        "is_current_stream_capturing": lambda: gpu.recorded is not None,
        "set_sync_debug_mode": lambda how: setattr(gpu, "waiting", "error" if how == "error" else "allow"),
        "synchronize": gpu.synchronize,
        "device": lambda device: contextlib.nullcontext(),
        "Stream": lambda device=None: mock.MagicMock(),
        "stream": lambda stream: contextlib.nullcontext(),
        "current_stream": lambda device=None: mock.MagicMock(),
        "CUDAGraph": Graph,
        "graph": lambda graph, *args, **kwargs: gpu.recording(graph),
    }
