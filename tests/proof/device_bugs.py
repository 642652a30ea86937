"""Faults that a CPU cannot show: exact text, what replaces it, and the tests on a pretended GPU that should notice."""

from bugs import Bug

PRETENDED, DEVICE = "test_pretended_gpu.py", "runtime/test_device.py"
AUGMENT, LOOPS, EXPLAIN = "data/augment.py", "retrieval/kernels.py", "analysis/gradcam.py"


def fault(name: str, file: str, was: str, becomes: str, tests: str = PRETENDED) -> Bug:
    """A bug that no notebook is asked about: the course's run on a CPU."""
    return Bug(name, file, was, becomes, (), tests)


DEVICE_BUGS = (
    fault(
        "the places that erasing compares with are made on the CPU",
        AUGMENT,
        "torch.arange(length, device=boxes.device)",
        "torch.arange(length)",
    ),
    fault(
        "the boxes to erase stay on the CPU",
        AUGMENT,
        "_inside(to_device(boxes, images.device), size)",
        "_inside(boxes, size)",
    ),
    fault(
        "the noise comes from the CPU's generator",
        AUGMENT,
        "generator=generator(device_seed, images.device)",
        "generator=generator(device_seed)",
    ),
    fault(
        "the places to crop from stay on the CPU",
        AUGMENT,
        "rows, columns = to_device(rows, images.device), to_device(columns, images.device)",
        "rows, columns = rows.clone(), columns.clone()",
    ),
    fault(
        "a copy to the GPU is not pinned, so that the program waits for it",
        AUGMENT,
        "tensor.pin_memory().to(device, non_blocking=True)",
        "tensor.to(device, non_blocking=True)",
    ),
    fault(
        "a copy to the GPU is pinned, but waited for",
        AUGMENT,
        "tensor.pin_memory().to(device, non_blocking=True)",
        "tensor.pin_memory().to(device)",
    ),
    fault(
        "every step reads its loss",
        "training/engine.py",
        "return self.update(self.prepare(images, key), pids, **self.move(extras, images, key))",
        "return [losses := self.update(self.prepare(images, key), pids, **extras), losses.total.item()][0]",
    ),
    fault(
        "the losses of an epoch are summed on the CPU",
        "training/progress.py",
        "self.sums[name] + value if name in self.sums else value.clone()",
        "self.sums[name] + value.cpu() if name in self.sums else value.cpu().clone()",
    ),
    fault(
        "the labels of a training stay on the CPU",
        "training/trainer.py",
        "torch.from_numpy(labels).to(self.device)",
        "torch.from_numpy(labels)",
    ),
    fault(
        "the triplet's mask is made on the CPU",
        "losses.py",
        "torch.eye(len(pids), dtype=torch.bool, device=pids.device)",
        "torch.eye(len(pids), dtype=torch.bool)",
    ),
    fault(
        "max pooling by a kernel that is not deterministic",
        "models/heads.py",
        "reduce(maps[:, :, r, c]) for c in columns",
        "torch.nn.functional.adaptive_max_pool2d(maps[:, :, r, c], 1).flatten(1).float() for c in columns",
        "test_pretended_gpu.py models/test_network.py",
    ),
    fault(
        "features come back on the GPU",
        "retrieval/features.py",
        "torch.cat(features).cpu()",
        "torch.cat(features)",
    ),
    fault(
        "the cache gives a GPU's features to a CPU",
        "retrieval/features.py",
        "autocast, where)",
        "autocast)",
    ),
    fault(
        "lengths are computed in float64, which MPS lacks",
        "retrieval/distances.py",
        "rows[odd].cpu().double()",
        "rows[odd].double()",
    ),
    fault(
        "whole distances become float64, which MPS lacks",
        "retrieval/ranking.py",
        "given = given.cpu()",
        "given = given.clone()",
    ),
    fault(
        "the places of a ranking are counted on the CPU",
        LOOPS,
        "torch.arange(distances.shape[1], device=distances.device)",
        "torch.arange(distances.shape[1])",
    ),
    fault(
        "re-ranking's blocks are marked on the CPU",
        "retrieval/reranking.py",
        "int(ends[-1]) + budget, budget, device=ends.device)",
        "int(ends[-1]) + budget, budget)",
    ),
    fault(
        "rankings are rounded to TF32",
        "retrieval/ranking.py",
        "with full_precision(features), exact_float32():",
        "with full_precision(features):",
        DEVICE,
    ),
    fault(
        "the verification head gets one of its two images on the CPU",
        "retrieval/verification.py",
        "gallery[columns].to(device)",
        "gallery[columns]",
    ),
    fault(
        "references of a heat map stay where they are",
        EXPLAIN,
        "references.detach().to(device, torch.float32)",
        "references.detach().to(torch.float32)",
    ),
    fault(
        "images of a heat map stay where they are",
        EXPLAIN,
        ".detach().to(device)",
        ".detach()",
    ),
    fault(
        "a GPU is not waited for when it is timed",
        "analysis/cost.py",
        "    synchronize(image.device)",
        "    image.device",
        "test_pretended_gpu.py",
    ),
    fault(
        "a recorded graph describes the first image for ever",
        "analysis/embedders.py",
        "        fixed.copy_(image)\n",
        "",
        "analysis/test_cost.py",
    ),
    fault(
        "the dimension is measured with an image on the CPU",
        "ablations/measures.py",
        "torch.zeros(1, 3, *run.model.input_size, device=device)",
        "torch.zeros(1, 3, *run.model.input_size)",
    ),
    fault(
        "images without their person stay on the CPU",
        "analysis/backgrounds.py",
        "normalize(batch.to(device))",
        "normalize(batch)",
    ),
    fault(
        "images are moved to a GPU that has no room for them",
        "data/images.py",
        "size < memory(device)[0] / 2",
        "size >= 0",
    ),
    fault(
        "the size follows the machine instead of the device asked for",
        "methods/base.py",
        "found = find_device(device)",
        "found = find_device()",
        DEVICE,
    ),
    fault(
        "the CPU's memory is dirtied where a GPU's precision is checked",
        "runtime/precision.py",
        "torch.full((2**power,), value, device=device)",
        "torch.full((2**power,), value)",
    ),
    fault(
        "the check's gradients are drawn on the CPU",
        "runtime/precision.py",
        "torch.randn(output.shape, generator=random, device=where)",
        "torch.randn(output.shape)",
    ),
    fault(
        "a GPU that computes wrongly is taken",
        "runtime/device.py",
        "return None if right else",
        "return None if True else",
        DEVICE,
    ),
    fault(
        "a GPU that cannot be used is taken",
        "runtime/device.py",
        "    if (why := trouble(device)) is None:\n",
        "    if (why := None) is None:\n",
        DEVICE,
    ),
    fault(
        "what PyTorch keeps counts as taken",
        "runtime/device.py",
        "free + module.memory_reserved(device) - module.memory_allocated(device)",
        "free",
        DEVICE,
    ),
)
