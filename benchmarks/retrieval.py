"""Speed and memory of retrieval beside plain references: `python benchmarks/retrieval.py`.

Every row runs in a process of its own, so that its peak memory is its own, and measures its reference
beside it. Features are clustered like a trained network's: identities, cameras, distractors, junk. The table
is printed and written to `benchmarks/results/retrieval.csv`, some 15 minutes on 2 cores. `--only NAME` runs
some rows; `--scale 0.1` takes a tenth of the images and does not write the file.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from _provenance import keep, show  # noqa: E402

from reid_lab import retrieval  # noqa: E402
from reid_lab.retrieval import kernels, reference  # noqa: E402

GIB = 2**30
LATENT, CAMERA, NOISE, WHITE = (
    64,
    0.35,
    0.85,
    0.4,
)  # give rank-1 about 96 and mAP about 80 at Market-1501's size


def clustered(queries, gallery, identities, cameras, distractors, junk, dimension, seed=0):
    """Query and gallery features, and their labels by the names that `rank` gives them."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    pids = rng.integers(1, identities + 1, queries + gallery)
    pids[queries : queries + distractors] = 0
    pids[queries + distractors : queries + distractors + junk] = -1
    pids[queries:] = rng.permutation(pids[queries:])
    camids = rng.integers(1, cameras + 1, len(pids))
    people, places = torch.randn(identities + 1, LATENT), CAMERA * torch.randn(cameras + 1, LATENT)
    project = torch.randn(LATENT, dimension) / LATENT**0.5
    features = torch.empty(len(pids), dimension)
    for part in torch.arange(len(pids)).split(2048):
        person, nobody = people[pids[part].clip(0)], torch.from_numpy(pids[part] < 1)
        person[nobody] = torch.randn(int(nobody.sum()), LATENT)
        latent = person + places[camids[part]] + NOISE * torch.randn(len(part), LATENT)
        features[part] = latent @ project + WHITE * torch.randn(len(part), dimension)
    q = queries
    labels = {
        "query_pids": pids[:q],
        "gallery_pids": pids[q:],
        "query_camids": camids[:q],
        "gallery_camids": camids[q:],
    }
    return features[:q], features[q:], labels


def market(scale, dimension=2048, junk=True):
    """Market-1501's numbers of images."""
    sizes = [int(size * scale) for size in (3368, 19732 if junk else 15913, 750, 2793, 3819 if junk else 0)]
    queries, gallery, identities, distractors, junk = sizes
    return clustered(queries, gallery, identities, 6, distractors, junk, dimension)


def msmt(scale, dimension=512):
    """MSMT17's."""
    return clustered(int(11659 * scale), int(82161 * scale), int(3060 * scale), 15, 0, 0, dimension)


def product(rows, columns, block=1024):
    """The matrix product alone, a block of rows at a time, nothing kept."""
    out = rows.new_empty(block, len(columns))
    for part in rows.split(block):
        torch.mm(part, columns.T, out=out[: len(part)])
    if rows.is_cuda:
        torch.cuda.synchronize()


def measured(work, repeats=1):
    """Result, best seconds, and peak bytes above what the process held before the first call."""
    reset_peak()
    before, seconds = memory("VmRSS"), []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds), memory("VmHWM") - before


def reset_peak():
    """Linux: the peak counts from here on."""
    if os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")


def memory(field):
    """Bytes of this process: VmRSS now, VmHWM at its peak."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux: the peak since the start
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def compile_loops():
    """Load what numba has compiled, or compile it, before anything is measured."""
    large, kernels.LARGE = kernels.LARGE, 0
    for rerank in (False, True):
        query, gallery, labels = clustered(20, 50, 5, 2, 5, 5, 16)
        retrieval.rank(query, gallery, **labels, rerank=rerank)
    kernels.LARGE = large


def row(
    work,
    reference,
    ours,
    theirs=None,
    reach=None,
    at_least=False,
    peak=None,
    their_peak=None,
    peak_reach=None,
):
    """One line of the table. The ratio is ours / reference, or its inverse where more is better (`at_least`)."""
    ratio = None if theirs is None else theirs / ours if at_least else ours / theirs
    reached = reach is None or (ratio >= reach if at_least else ratio <= reach)
    if peak_reach is not None:
        reached &= (their_peak / peak >= peak_reach) if their_peak else peak / GIB <= peak_reach
    sign = ">=" if at_least else "<="
    wanted = [f"{sign} {reach:g} x"] if reach else []
    wanted += ([f">= {peak_reach:g} x smaller"] if their_peak else [f"<= {peak_reach:g} GiB"]) if peak_reach else []
    return {
        "work": work,
        "reference": reference,
        "seconds": round(ours, 4),
        "reference_seconds": theirs and round(theirs, 4),
        "ratio": ratio and round(ratio, 2),
        "peak_gib": peak and round(peak / GIB, 2),
        "reference_peak_gib": their_peak and round(their_peak / GIB, 2),
        "reach": " and ".join(wanted),
        "reached": bool(reached) if wanted else "",
    }


def evaluate(scale):
    """CMC and mAP from features, beside one matrix product."""
    query, gallery, labels = market(scale)
    _, ours, peak = measured(lambda: retrieval.rank(query, gallery, **labels), 3)
    _, theirs, _ = measured(lambda: product(query, gallery), 3)
    return [row("evaluate, Market-1501 size, from features", "q x g product", ours, theirs, 1.5, peak=peak)]


def evaluate_distances(scale):
    """The same from a distance matrix, beside a loop over the queries."""
    query, gallery, labels = market(scale, dimension=256)
    distances = -torch.nn.functional.normalize(query) @ torch.nn.functional.normalize(gallery).T
    result, ours, peak = measured(lambda: retrieval.rank_distances(distances, **labels), 5)
    scores, theirs, their_peak = measured(lambda: reference.evaluate(distances.numpy(), **labels))
    assert np.allclose(result.mAP, scores.mAP, atol=1e-6) and np.allclose(result.cmc[: len(scores.cmc)], scores.cmc)
    name = "plain loops, reference.py"
    return [
        row("evaluate, Market-1501 size, from distances", name, ours, theirs, 50, True, peak, their_peak),
    ]


def rerank(scale):
    """Re-ranking and its metrics, beside the product of all images with all."""
    query, gallery, labels = market(scale, junk=False)
    _, ours, peak = measured(lambda: retrieval.rank(query, gallery, **labels, rerank=True))
    features = torch.cat([query, gallery])
    _, theirs, _ = measured(lambda: product(features, features))
    name = "re-rank and evaluate, Market-1501 size"
    return [row(name, "N x N product", ours, theirs, 1.5, peak=peak, peak_reach=2)]


def rerank_published(scale):
    """Re-ranked distances, beside the published algorithm in float32."""
    query, gallery, _ = market(scale, junk=False)
    distances, ours, peak = measured(lambda: retrieval.rerank(query, gallery))
    features = torch.nn.functional.normalize(torch.cat([query, gallery]))

    def published():
        squared = (2 - 2 * features @ features.T).clamp_(min=0).numpy()
        return reference.rerank(squared, len(query), dtype=np.float32)

    expected, theirs, their_peak = measured(published)
    difference = np.abs(distances.numpy() - expected)
    print(
        f"largest difference {difference.max():.1e}, over 1e-5: {np.mean(difference > 1e-5):.1e}",
        file=sys.stderr,
    )
    name = "re-rank, Market-1501 size, q x g kept"
    return [row(name, "published algorithm", ours, theirs, 5, True, peak, their_peak, 5)]


def rerank_msmt(scale):
    """Whether the largest public set fits."""
    query, gallery, labels = msmt(scale)
    _, ours, peak = measured(lambda: retrieval.rank(query, gallery, **labels, rerank=True))
    return [row("re-rank and evaluate, MSMT17 size, d = 512", "", ours, peak=peak, peak_reach=6)]


def growth(scale):
    """Time and memory as the number of images doubles."""
    rows = []
    for count in (5000, 10000, 20000, 40000):
        count = int(count * scale)
        query, gallery, labels = clustered(count // 6, count - count // 6, count // 20, 6, count // 8, 0, 2048)
        work = partial(retrieval.rank, query, gallery, **labels, rerank=True)
        _, ours, peak = measured(work)
        features = torch.cat([query, gallery])
        _, theirs, _ = measured(lambda features=features: product(features, features))
        rows.append(row(f"re-rank and evaluate, N = {count}", "N x N product", ours, theirs, peak=peak))
    return rows


def gpu(scale):
    """Both on a GPU, where there is one."""
    rows = []
    for name, rerank, (query, gallery, labels) in (
        ("evaluate, Market-1501 size, on a GPU", False, market(scale)),
        ("re-rank and evaluate, Market-1501 size, on a GPU", True, market(scale, junk=False)),
    ):
        query, gallery = query.cuda(), gallery.cuda()
        rows_, columns = (torch.cat([query, gallery]),) * 2 if rerank else (query, gallery)
        product(rows_, columns)
        _, ours, _ = measured(partial(retrieval.rank, query, gallery, **labels, rerank=rerank), 3)
        _, theirs, _ = measured(lambda r=rows_, c=columns: product(r, c), 3)
        rows.append(row(name, "the product", ours, theirs, 3))
    return rows


WORK = {
    work.__name__: work for work in (evaluate, evaluate_distances, rerank, rerank_published, rerank_msmt, growth, gpu)
}


def main():
    """Run the rows, each in its own process, print the table, write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=WORK, help="run these rows, and print them only")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the images (default 1)")
    parser.add_argument("--child", choices=WORK, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        compile_loops()
        print(json.dumps(WORK[chosen.child](chosen.scale)))
        return
    rows = []
    for name in chosen.only or [name for name in WORK if name != "gpu" or torch.cuda.is_available()]:
        command = [sys.executable, __file__, "--child", name, "--scale", str(chosen.scale)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows += json.loads(output.splitlines()[-1])
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    show(rows)
    if chosen.scale == 1:
        on_gpu = [row for row in rows if row["work"].endswith("on a GPU")]
        for some, device in ((on_gpu, "cuda"), ([row for row in rows if row not in on_gpu], "cpu")):
            if some:
                keep("retrieval", some, device)


if __name__ == "__main__":
    main()
