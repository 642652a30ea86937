"""The commands that put a trained run to work: export, describe, search."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reid_lab.cli.options import (
    Arguments,
    at_least_one,
    chosen_run,
    command,
    device_option,
    file_to_write,
    force_option,
    picture_to_write,
    run_argument,
)

if TYPE_CHECKING:
    from reid_lab.data import Record
    from reid_lab.retrieval import Found


def add_to(commands: Any) -> None:
    """Declare the commands of this file."""
    exporting = command(
        commands,
        "export",
        export,
        "write a run's network as an ONNX file",
        "export residual_pooling-classroom-01 --onnx network.onnx",
    )
    run_argument(exporting)
    exporting.add_argument("--onnx", type=file_to_write, required=True, metavar="FILE", help="the file to write")
    exporting.add_argument(
        "--opset", type=at_least_one, help="of ONNX: a lower one for an older runtime (default: PyTorch's)"
    )
    force_option(exporting)

    describing = command(
        commands,
        "describe",
        describe,
        "write the descriptors of all images below a folder",
        "describe residual_pooling-classroom-01 --images crops --out features.npz",
    )
    run_argument(describing)
    describing.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="crops of people")
    describing.add_argument(
        "--out", type=file_to_write, required=True, metavar="FILE", help="the NumPy file to write (.npz)"
    )
    force_option(describing)
    device_option(describing)
    _add_search(commands)


def _add_search(commands: Any) -> None:
    searching = command(
        commands,
        "search",
        search,
        "find people in a folder of crops",
        "search residual_pooling-classroom-01 --query anna.jpg --gallery crops --picture found.png",
    )
    run_argument(searching)
    searching.add_argument("--query", type=Path, nargs="+", required=True, metavar="IMG", help="crops to look for")
    searching.add_argument("--gallery", type=Path, required=True, metavar="FOLDER", help="crops to look in")
    searching.add_argument("--top", type=at_least_one, default=10, help="how many to show of each (default 10)")
    searching.add_argument(
        "--picture", type=picture_to_write, metavar="FILE", help="also write a picture of what was found (.png)"
    )
    device_option(searching)


def export(chosen: Arguments) -> int:
    """Write a run as ONNX."""
    from reid_lab import training
    from reid_lab.export import to_onnx, versions

    run = training.load(chosen_run(chosen))
    difference = to_onnx(run, chosen.onnx, chosen.force, chosen.opset)
    height, width = run.model.input_size
    format_version, opset = versions(chosen.onnx)
    print(
        f"Written to {chosen.onnx}: ONNX IR version {format_version}, opset {opset}\n"
        f'input "images": float32 RGB from 0 to 1, (N, 3, {height}, {width}), not normalized: the network does that\n'
        f'output "descriptor": rows of length 1; the product of two rows is their cosine similarity\n'
        f"checked: differs from PyTorch by {difference:.1g} at most"
    )
    return 0


def describe(chosen: Arguments) -> int:
    """Write descriptors as a NumPy file."""
    from reid_lab import training
    from reid_lab.export import passed_over, to_npz

    device = training.find_device(chosen.device)
    run = training.load(chosen_run(chosen))
    count, dimension = to_npz(run, chosen.images, chosen.out, device, chosen.force)
    print(f"Written to {chosen.out}: {count:,} descriptors of {dimension:,} values, rows of length 1")
    for sentence in passed_over(chosen.images):
        print(f"[warning] {sentence}")
    return 0


def search(chosen: Arguments) -> int:
    """Rank a folder of crops for each query; the query's own picture is no find."""
    from reid_lab import retrieval, training
    from reid_lab.data.decoding import with_grey_range
    from reid_lab.data.files import existing_folder
    from reid_lab.export import crops, passed_over

    device = training.find_device(chosen.device)
    run = training.load(chosen_run(chosen))
    query, gallery = with_grey_range({"query": _queries(chosen.query), "gallery": crops(chosen.gallery)}).values()
    kept = run.folder if os.access(run.folder, os.W_OK) else None  # a second search need not describe the gallery
    query_features = retrieval.extract(run.model, query, device)
    gallery_features = retrieval.extract(run.model, gallery, device, cache=kept)
    own = retrieval.itself(query, gallery)
    found = retrieval.search(query_features, gallery_features, min(chosen.top, len(gallery)), leave_out=own)
    _print_found(found, query, gallery, existing_folder(chosen.gallery), own)
    for sentence in passed_over(chosen.gallery):
        print(f"[warning] {sentence}", flush=True)
    if chosen.picture is not None:
        from reid_lab import plots  # the answer above needs no picture

        plots.save(plots.found(found, query, gallery), chosen.picture)
        left_out = plots.left_out(*found.indices.shape)
        print(f"Written to {chosen.picture}" + (f", {left_out}" if left_out else ""))
    return 0


def _queries(paths: Sequence[Path]) -> list[Record]:
    """The images to look for, each once. Raises DataError where one is not there."""
    from reid_lab.data import DISTRACTOR, Record
    from reid_lab.export import crops
    from reid_lab.runtime.errors import DataError

    for path in paths:
        if not path.exists():
            link = f" (it is a link to {os.readlink(path)})" if path.is_symlink() else ""
            raise DataError(f"The query {path} does not exist{link}: give a crop that is there, or a folder of crops.")
    found = [record for path in paths for record in (crops(path) if path.is_dir() else [Record(path, pid=DISTRACTOR)])]
    return list({os.path.abspath(record.path): record for record in found}.values())


def _print_found(
    found: Found, query: Sequence[Record], gallery: Sequence[Record], root: Path, own: Sequence[Sequence[int]]
) -> None:
    """The list, out of the program's hands before anything else is done."""
    names = [record.path.relative_to(root).as_posix() for record in gallery]
    wide = max((len(names[place]) for place in found.indices.flat if place >= 0), default=4)
    for record, places, scores, itself in zip(query, found.indices, found.scores, own, strict=True):
        left = f" (left out: the query itself, {', '.join(names[place] for place in itself[:3])}" if itself else ""
        more = f" and {len(itself) - 3:,} more copies" if len(itself) > 3 else ""
        print(f"query {record.path}{left}{more}{')' if left else ''}")
        print(f" rank  {'path':<{wide}}  {found.measure}")
        for rank, (place, score) in enumerate(zip(places, scores, strict=True), 1):
            if place >= 0:
                print(f"{rank:5}  {names[place]:<{wide}}  {score:.3f}")
        if (places < 0).all():
            print("    -  the gallery holds nothing else")
        print()
    print(
        f"The {len(gallery):,} images of the gallery are ranked by similarity, so there is always a rank 1, also for "
        "somebody who is in none of them: a rank is no identification.",
        flush=True,
    )
