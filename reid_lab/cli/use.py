"""The commands that put a trained run to work: embed, search, export, app."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reid_lab.cli.app import app, command
from reid_lab.cli.options import (
    Device,
    Force,
    Picture,
    RunName,
    Runs,
    a_port,
    at_least_one,
    chosen_run,
    file_to_write,
)

if TYPE_CHECKING:
    from reid_lab.data import Record
    from reid_lab.retrieval import Found

GROUP = "Use of a trained run"
COMPARED = {  # by the network's metric: what is written, how it is compared
    "cosine": ("rows of length 1", "the product of two rows is their cosine similarity"),
    "euclidean": ("rows as they are", "two rows are compared by their Euclidean distance"),
}


@command(GROUP, "embed residual_pooling-classroom-01 --images crops --out features.npz")
def embed(
    name: RunName,
    images: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of crops of people.")],
    out: Annotated[Path, typer.Option(parser=file_to_write, metavar="FILE", help="The NumPy file to write (.npz).")],
    force: Force = False,
    runs: Runs = None,
    device: Device = None,
) -> int:
    """Write the features of all images below a folder as a NumPy file."""
    from reid_lab import training
    from reid_lab.data.crops import passed_over
    from reid_lab.export import to_npz

    where = training.find_device(device)
    run = training.load(chosen_run(name, runs))
    count, dimension = to_npz(run, images, out, where, force)
    print(f"Written to {out}: {count:,} feature vectors of {dimension:,} values, {COMPARED[run.model.metric][0]}")
    for sentence in passed_over(images):
        print(f"[warning] {sentence}")
    return 0


app.command("describe", hidden=True)(embed)  # its name in version 0.1.0


@command(GROUP, "search residual_pooling-classroom-01 --query anna.jpg --gallery crops --picture found.png")
def search(
    name: RunName,
    query: Annotated[
        list[Path],
        typer.Option(metavar="PATH", help="A crop to look for, or a folder of crops; may be given several times."),
    ],
    gallery: Annotated[Path, typer.Option(metavar="FOLDER", help="The folder of crops to look in.")],
    more: Annotated[
        list[Path] | None, typer.Argument(metavar="QUERY", help="More queries, so that --query anna*.jpg works.")
    ] = None,
    top: Annotated[int, typer.Option(parser=at_least_one, help="How many finds to show for each query.")] = 10,
    picture: Picture = None,
    runs: Runs = None,
    device: Device = None,
) -> int:
    """Rank a folder of crops by their similarity to a person; the query's own picture is left out."""
    from reid_lab import retrieval, training
    from reid_lab.data.crops import crops, passed_over
    from reid_lab.data.decoding import with_grey_range

    where = training.find_device(device)
    run = training.load(chosen_run(name, runs))
    asked = _queries([*query, *(more or [])])
    queries, images = with_grey_range({"query": asked, "gallery": crops(gallery)}).values()
    kept = run.folder if os.access(run.folder, os.W_OK) else None  # a second search reads the gallery's features there
    features = retrieval.extract(run.model, queries, where), retrieval.extract(run.model, images, where, cache=kept)
    own = retrieval.itself(queries, images)
    found = retrieval.search(*features, min(top, len(images)), metric=run.model.metric, leave_out=own)
    _print_found(found, queries, images, gallery, own)
    for sentence in passed_over(gallery):
        print(f"[warning] {sentence}", flush=True)
    if picture is not None:
        _draw_found(found, queries, images, picture)
    return 0


@command(GROUP, "export residual_pooling-classroom-01 --onnx network.onnx")
def export(
    name: RunName,
    onnx: Annotated[Path, typer.Option(parser=file_to_write, metavar="FILE", help="The ONNX file to write.")],
    opset: Annotated[
        int | None,
        typer.Option(
            parser=at_least_one, show_default="PyTorch's own", help="ONNX's opset: older runtimes need a lower one."
        ),
    ] = None,
    force: Force = False,
    runs: Runs = None,
) -> int:
    """Write a run's network as an ONNX file, checked against PyTorch."""
    from reid_lab import training
    from reid_lab.export import to_onnx, versions

    run = training.load(chosen_run(name, runs))
    difference = to_onnx(run, onnx, force, opset)
    height, width = run.model.input_size
    format_version, written = versions(onnx)
    print(
        f"Written to {onnx}: ONNX IR version {format_version}, opset {written}\n"
        f'input "images": float32 RGB from 0 to 1, (N, 3, {height}, {width}), not normalized: the network does that\n'
        f'output "features": {"; ".join(COMPARED[run.model.metric])}\n'
        f"checked: differs from PyTorch by {difference:.1g} at most"
    )
    return 0


@command(GROUP, "app --runs runs --data path/to/Market-1501 --port 7861", name="app")
def play(
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A data set or a folder of crops that the page begins with.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(parser=a_port, show_default="the first free one from 7860 on", help="The page's port.")
    ] = None,
    root_path: Annotated[
        str, typer.Option(metavar="PATH", show_default="none", help="The path at which a proxy shows the page.")
    ] = "",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address, open no browser.")] = False,
    runs: Runs = None,
    device: Device = None,
) -> int:
    """Open a page on this machine to click on: queries, rules, thresholds, heat maps, two runs side by side."""
    import signal
    import sys
    import tempfile

    from reid_lab.app import offline
    from reid_lab.cli.data_of_run import data_at, data_of

    with tempfile.TemporaryDirectory(prefix="reid_lab-") as uploads:
        offline(uploads)
        from reid_lab.app import page
        from reid_lab.app.desk import Desk

        read = lambda run, path: data_of(run) if path is None else data_at(run, path, None)  # noqa: E731
        shown = page.Page(Desk(read, runs, device, say=page.say), data)
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the folder of uploads goes, too
        try:
            shown.serve(port, root_path, not no_browser, _say_where)
        finally:
            signal.signal(signal.SIGTERM, before)
    return 0


def _say_where(address: str) -> None:
    print(f"The page is at {address} (on this machine alone). Ctrl-C ends it.", flush=True)


def _queries(paths: Sequence[Path]) -> list[Record]:
    """The images to look for, each once."""
    from reid_lab.data import DISTRACTOR, Record
    from reid_lab.data.crops import crops
    from reid_lab.runtime.errors import DataError

    for path in paths:
        if not path.exists():
            link = f" (it is a link to {os.readlink(path)})" if path.is_symlink() else ""
            raise DataError(f"The query {path} does not exist{link}: give a crop that is there, or a folder of crops.")
    found = [record for path in paths for record in (crops(path) if path.is_dir() else [Record(path, pid=DISTRACTOR)])]
    return list({os.path.abspath(record.path): record for record in found}.values())


def _print_found(
    found: Found, queries: Sequence[Record], images: Sequence[Record], folder: Path, own: Sequence[Sequence[int]]
) -> None:
    """Print what was found, at once: a picture that fails later must not cost it."""
    from reid_lab.data.files import existing_folder

    root = existing_folder(folder)
    names = [record.path.relative_to(root).as_posix() for record in images]
    wide = max((len(names[index]) for index in found.indices.flat if index >= 0), default=4)
    for query, indices, scores, itself in zip(queries, found.indices, found.scores, own, strict=True):
        left = f" (left out: the query itself, {', '.join(names[index] for index in itself[:3])}" if itself else ""
        more = f" and {len(itself) - 3:,} more copies" if len(itself) > 3 else ""
        print(f"query {query.path}{left}{more}{')' if left else ''}")
        print(f" rank  {'path':<{wide}}  {found.measure}")
        for rank, (index, score) in enumerate(zip(indices, scores, strict=True), 1):
            if index >= 0:
                print(f"{rank:5}  {names[index]:<{wide}}  {score:.3f}")
        if (indices < 0).all():
            print("    -  the gallery holds nothing else")
        print()
    print(
        f"The {len(images):,} images of the gallery are ranked by similarity, so there is always a rank 1, also for "
        "somebody who is in none of them: a rank is no identification.",
        flush=True,
    )


def _draw_found(found: Found, queries: Sequence[Record], images: Sequence[Record], picture: Path) -> None:
    from reid_lab import plots

    plots.save(plots.found(found, queries, images), picture)
    left_out = plots.left_out(*found.indices.shape)
    print(f"Written to {picture}" + (f", {left_out}" if left_out else ""))
