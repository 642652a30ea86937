"""Same seed, same pixels: whatever the order, the number of processes or the processor's vector instructions."""

import ast
import hashlib
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import reid_lab.passersby
from reid_lab.passersby import SIZES
from reid_lab.passersby.render import render
from reid_lab.passersby.splits import list_images
from reid_lab.passersby.towns import CITY, COAST

DIGEST = "6ee1787602947320fec17e59ab25516853ba0662e941692ccde742e3ae450775"
COAST_DIGEST = "571b3cc9d5d9dcf39ecc9f4bdae9dd9294fef6d6a9e1c45988abcc3ef0d97b52"
PIXEL_PATH = (
    *("rng", "people", "bodies", "boxes", "clothing", "patterns", "head", "raster", "cameras", "scenery", "props"),
    *("town", "towns/__init__", "towns/city", "towns/city_scenes", "towns/coast", "towns/coast_scenes"),
    *("frames", "render", "dressed", "splits"),
)
ALLOWED = {
    *("float32", "uint8", "uint16", "int32", "int64", "ndarray"),
    *("arange", "array", "ascontiguousarray", "empty", "full", "ones", "zeros", "concatenate", "copyto"),
    *("abs", "sqrt", "floor", "minimum", "maximum", "clip", "where", "flatnonzero", "count_nonzero", "random"),
}


def digest(keys, town=CITY):
    return hashlib.sha256(b"".join(render(0, key, town)[0].tobytes() for key in keys)).hexdigest()


def some_keys(town=CITY):
    return [key for _, key in list_images(SIZES["smoke"], 0, town)][::6]


@pytest.mark.parametrize(("town", "expected"), [(CITY, DIGEST), (COAST, COAST_DIGEST)], ids=["city", "coast"])
def test_the_pixels_are_those_of_this_version_of_the_generator(town, expected):
    """A new digest means a new VERSION in annotations.py."""
    assert digest(some_keys(town), town) == expected


def test_the_order_of_drawing_changes_nothing():
    keys = some_keys()
    forward = {key: render(0, key)[0].tobytes() for key in keys}
    assert all(render(0, key)[0].tobytes() == forward[key] for key in reversed(keys))


def optional_instructions():
    """What numpy could do without on this processor, in the words of NPY_DISABLE_CPU_FEATURES."""
    name = "numpy._core._multiarray_umath" if np.__version__ >= "2" else "numpy.core._multiarray_umath"
    module = importlib.import_module(name)
    return [feature for feature in module.__cpu_dispatch__ if module.__cpu_features__.get(feature)]


@pytest.mark.parametrize("plain", ["numpy", "torch"])
def test_a_processor_without_vector_instructions_draws_the_same(plain):
    disabled = optional_instructions()
    if plain == "numpy" and not disabled:
        pytest.skip("numpy uses no optional instructions here")
    setting = (
        {"NPY_DISABLE_CPU_FEATURES": " ".join(disabled)} if plain == "numpy" else {"ATEN_CPU_CAPABILITY": "default"}
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_same_bytes as t; "
        "print(len(t.optional_instructions()), t.digest(t.some_keys()))"
    )
    root = str(Path(reid_lab.passersby.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)],
        env={**os.environ, **setting, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    left, found = done.stdout.split()
    assert found == DIGEST
    assert int(left) == (0 if plain == "numpy" else len(disabled))


@pytest.mark.parametrize("name", PIXEL_PATH)
def test_the_pixel_path_keeps_to_operations_that_every_machine_rounds_alike(name):
    tree = ast.parse((Path(reid_lab.passersby.__file__).parent / f"{name}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "np":
                assert node.attr in ALLOWED, f"{name}.py line {node.lineno}: np.{node.attr}"
            if node.value.id == "math":
                assert node.attr == "sqrt", f"{name}.py line {node.lineno}: math.{node.attr}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr not in {"sum", "mean", "std", "dot", "cumsum", "prod"}, (
                f"{name}.py line {node.lineno}"
            )
        if isinstance(node, ast.BinOp):
            assert not isinstance(node.op, ast.Pow | ast.MatMult), f"{name}.py line {node.lineno}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", "") or ""}
            assert not any(part.split(".")[0] in {"torch", "scipy", "numba"} for part in names)
