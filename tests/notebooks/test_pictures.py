"""Saved pictures become small without looking different, and stay as wide on the page as they were."""

import base64
import importlib.util
from io import BytesIO
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).parent.parent.parent
SPEC = importlib.util.spec_from_file_location("pictures", ROOT / "notebooks" / "pictures.py")
pictures = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pictures)


def png_of(picture):
    file = BytesIO()
    picture.save(file, "png")
    return file.getvalue()


@pytest.fixture
def drawing():
    """Lines, as a notebook with retina pictures saves them."""
    figure, axes = plt.subplots(figsize=(3, 2))
    for line in range(3):
        axes.plot(np.sin(np.arange(50) / 8 + line), label=f"line {line}")
    axes.legend()
    file = BytesIO()
    figure.savefig(file, format="png", dpi=200)
    plt.close(figure)
    return file.getvalue()


@pytest.fixture
def photograph():
    """Smooth colours with the noise of a sensor, on a white page."""
    random = np.random.default_rng(0)
    page = np.full((300, 400, 3), 255.0)
    y, x = np.mgrid[:200, :300]
    page[50:250, 50:350] = np.stack([60 + x / 2, 60 + y, 200 - (x + y) / 4], axis=-1)
    page[50:250, 50:350] += random.normal(0, 4, (200, 300, 3))
    return png_of(Image.fromarray(page.clip(0, 255).astype(np.uint8)))


def cell_with(png, **told):
    data = {"image/png": base64.b64encode(png).decode(), "text/plain": "<Figure>"}
    shown = nbformat.v4.new_output("display_data", data, metadata={"image/png": told} if told else {})
    return nbformat.v4.new_code_cell("figure", outputs=[shown])


def test_a_drawing_becomes_a_palette(drawing):
    kind, file = pictures.shrunk(drawing)
    assert kind == "image/png" and len(file) < 0.5 * len(drawing)
    assert Image.open(BytesIO(file)).mode == "P"
    assert Image.open(BytesIO(file)).size == Image.open(BytesIO(drawing)).size


def test_a_photograph_becomes_a_jpeg_file(photograph):
    kind, file = pictures.shrunk(photograph)
    assert kind == "image/jpeg" and len(file) < 0.25 * len(photograph)
    small, large = (np.asarray(Image.open(BytesIO(each)).convert("RGB"), float) for each in (file, photograph))
    assert small.shape == large.shape and np.abs(small - large)[50:250, 50:350].mean() <= 4


def test_what_no_smaller_file_shows_keeps_every_pixel():
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    kind, file = pictures.shrunk(png_of(Image.fromarray(noise)))
    assert kind == "image/png" and np.array_equal(np.asarray(Image.open(BytesIO(file))), noise)


def test_lines_of_many_colours_are_not_blurred():
    picture = Image.new("RGB", (400, 400), "white")
    draw = ImageDraw.Draw(picture)
    for line in range(100):
        draw.line((0, 4 * line, 400, 400 - 4 * line), fill=tuple(np.random.default_rng(line).integers(0, 256, 3)))
    small = Image.open(BytesIO(pictures.shrunk(png_of(picture))[1]))
    ink = (np.asarray(picture) != 255).any(axis=-1)
    assert pictures.error(picture, small, ink) <= 4


def test_a_transparent_picture_stays_as_it_is():
    clear = png_of(Image.new("RGBA", (60, 60), (255, 0, 0, 90)))
    assert pictures.shrunk(clear) == ("image/png", clear)


def test_a_picture_of_one_colour_is_no_error():
    assert pictures.shrunk(png_of(Image.new("RGB", (40, 40), "white")))[0] == "image/png"


def test_the_error_is_that_of_the_ink_alone():
    page = Image.new("RGB", (10, 10), "white")
    ink = np.zeros((10, 10), bool)
    ink[0, 0] = True
    other = page.copy()
    other.putpixel((0, 0), (245, 245, 245))
    assert pictures.error(page, other, ink) == 10


def test_width_and_words_of_a_picture_move_with_it(photograph, drawing):
    for png, kind in ((photograph, "image/jpeg"), (drawing, "image/png")):
        cell = cell_with(png, width=200, height=150, alt="A picture.")
        pictures.shrink(cell)
        assert set(cell.outputs[0].data) == {kind, "text/plain"}
        assert cell.outputs[0].metadata == {kind: {"width": 200, "height": 150, "alt": "A picture."}}
        assert pictures.shrunk(png)[1] == base64.b64decode(cell.outputs[0].data[kind])
        pictures.describe(cell)
        assert cell.metadata["mystnb"] == {"image": {"alt": "A picture.", "width": "200px"}}


def test_shrinking_twice_changes_nothing_more(drawing):
    cell = cell_with(drawing)
    pictures.shrink(cell)
    once = cell.outputs[0].data["image/png"]
    pictures.shrink(cell)
    assert cell.outputs[0].data["image/png"] == once


def test_what_the_page_knows_of_a_cell_follows_its_pictures(drawing):
    cell = cell_with(drawing, width=300, alt="Lines.")
    cell.metadata["mystnb"] = {"number_source_lines": True, "image": {"alt": "Of long ago."}}
    cell.outputs += cell_with(drawing, width=300, alt="Lines again.").outputs
    pictures.describe(cell)  # which of the two is meant cannot be said
    assert cell.metadata["mystnb"] == {"number_source_lines": True}
    plain = cell_with(drawing)
    plain.metadata["mystnb"] = {"image": {"alt": "Of long ago."}}
    pictures.describe(plain)
    assert "mystnb" not in plain.metadata


def test_a_wide_photograph_gets_fewer_pixels_and_a_wide_drawing_keeps_them():
    noise = np.random.default_rng(0).integers(0, 256, (20, 200, 3), dtype=np.uint8)
    photograph, drawing = Image.fromarray(noise).resize((2000, 200)), Image.new("RGB", (2000, 200), "white")
    drawing.paste("black", (0, 50, 2000, 60))
    for picture, width in ((photograph, 1400), (drawing, 2000)):
        file = BytesIO()
        picture.save(file, "png")
        _, saved = pictures.shrunk(file.getvalue())
        assert Image.open(BytesIO(saved)).width == width
