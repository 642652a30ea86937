import gc
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from reid_lab.data import ImageStore, Record, decoding, image_store
from reid_lab.data import images as module
from reid_lab.runtime.errors import DataError, DeviceError


@pytest.fixture
def records(tmp_path, image):
    return [Record(image(tmp_path / f"{i}.png", (16, 8), seed=i), i, 1) for i in range(150)]


def test_images_are_what_pillow_reads_and_resizes(records):
    store = ImageStore(records, (12, 6))
    assert len(store) == 150 and store.size == (12, 6)
    for i in (0, 77, 149):
        with Image.open(records[i].path) as expected:
            expected = np.asarray(expected.convert("RGB").resize((6, 12), Image.Resampling.BILINEAR))
        assert np.array_equal(store.batch([i])[0].permute(1, 2, 0).numpy(), expected)


def test_a_batch_is_uint8_in_the_order_asked_for(records):
    store = ImageStore(records, (16, 8))
    batch = store.batch(np.array([3, 1, 3]))
    assert batch.shape == (3, 3, 16, 8) and batch.dtype == torch.uint8
    assert torch.equal(batch[0], batch[2]) and not torch.equal(batch[0], batch[1])
    assert torch.equal(store.batch(torch.tensor([3, 1, 3])), batch)
    batch.zero_()
    assert store.batch([3]).any()  # a batch is a copy


@pytest.mark.parametrize(
    ("indices", "says"),
    [
        (np.arange(150) < 3, r"torch\.bool"),
        ([True, False], r"torch\.bool"),
        ([0.9, 1.9], r"torch\.float32"),
        ([0, 150], "150.*149"),
        (torch.tensor([3, -1]), "-1"),
    ],
)
def test_indices_that_are_none_are_refused(records, indices, says):
    store = ImageStore(records, (16, 8))
    with pytest.raises(DataError, match=says):
        store.batch(indices)
    assert store.batch([]).shape == (0, 3, 16, 8)


@pytest.mark.parametrize("size", [(0, 5), (128.0, 64.5), (-64, 32), ("a", 5), 64, (1, 2, 3)])
def test_an_impossible_size_is_not_blamed_on_the_file(records, size):
    for read in (
        lambda: module.decode(records[0].path, size),
        *(lambda make=make: make(records, size) for make in (ImageStore, image_store)),
    ):
        with pytest.raises(DataError, match="size"):
            read()


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(records, device):
    for make in (ImageStore, image_store):
        with pytest.raises(DeviceError, match=f"'{device}'"):
            make(records, (16, 8), device)


def test_beyond_the_limit_images_lie_in_a_file_that_vanishes(records, tmp_path, monkeypatch):
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "home"))
    mapped = ImageStore(records, (16, 8), memory_limit=1000)
    assert torch.equal(mapped.batch(range(150)), ImageStore(records, (16, 8)).batch(range(150)))
    assert (tmp_path / "home").is_dir()
    del mapped
    gc.collect()
    assert not list((tmp_path / "home").iterdir())


def test_a_full_disk_is_told_with_the_space_that_is_needed(records, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module.os, "posix_fallocate", full, raising=False)
    with pytest.raises(DataError, match=r"1\.3 GB.*REID_LAB_HOME"):
        module._memory_mapped((12_936, 3, 256, 128))


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    grey = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1))
    path = tmp_path / ("x.tif" if mode in ("CMYK", "YCbCr", "I;16") else "x.png")
    picture = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    # Pillow before 13 cannot read back the YCbCr that it writes uncompressed
    picture.save(path, compression="tiff_lzw" if mode == "YCbCr" else None)
    decoded = module.decode(path)
    assert decoded.shape == (16, 16, 3) and decoded.dtype == np.uint8
    if mode != "1":
        assert np.abs(decoded.astype(int) - grey[..., None]).max() <= 2


def test_a_palette_with_transparency_and_a_rotated_photograph_are_read(tmp_path):
    picture = Image.fromarray(np.zeros((4, 2, 3), np.uint8))
    picture.convert("P").save(tmp_path / "p.png", transparency=b"\x00\x80")
    assert module.decode(tmp_path / "p.png").shape == (4, 2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    picture.save(tmp_path / "e.jpg", exif=exif)
    assert module.decode(tmp_path / "e.jpg").shape == (2, 4, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_pillow_turns_it(tmp_path, orientation):
    noise = np.random.default_rng(0).integers(0, 256, (4, 3, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(noise).save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as expected:
        assert np.array_equal(module.decode(tmp_path / "x.png"), ImageOps.exif_transpose(expected))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # which pytest shows, as it resets the filters
@pytest.mark.parametrize(
    ("kind", "note", "wrong"),
    [
        (b"eXIf", b"\0\x08\0\x02\x01\x12\0\x03", 0),
        (b"eXIf", b"", 0),
        (b"eXIf", b"II*\0\xff\xff\xff\xff", 0),
        (b"eXIf", b"Exif\0\0MM", 0),
        (b"tEXt", b"a\0b", 1),  # another check sum
        (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**21)), 0),  # more text than Pillow reads
        (b"gAMA", b"z", 0),
        (b"pHYs", b"z", 0),
        (b"iCCP", b"z", 0),
    ],
)
def test_a_picture_with_a_broken_note_is_read(tmp_path, image, kind, note, wrong):
    plain = image(tmp_path / "x.png").read_bytes()
    chunk = struct.pack(">I", len(note)) + kind + note + struct.pack(">I", zlib.crc32(kind + note) ^ wrong)
    (tmp_path / "noted.png").write_bytes(plain[:33] + chunk + plain[33:])
    assert np.array_equal(module.decode(tmp_path / "noted.png"), module.decode(tmp_path / "x.png"))
    (tmp_path / "noted.png").write_bytes(plain[:33] + chunk + plain[33:-40])
    with pytest.raises(DataError, match="noted.png"):
        module.decode(tmp_path / "noted.png")


def test_a_telephones_photograph_is_read_and_a_larger_one_is_told_its_limit(tmp_path, image, monkeypatch, recwarn):
    assert decoding.MOST_PIXELS > 16320 * 12240 and Image.MAX_IMAGE_PIXELS == decoding.MOST_PIXELS
    path = image(tmp_path / "x.png", (20, 10))
    monkeypatch.setattr(decoding, "MOST_PIXELS", 199)
    with pytest.raises(DataError, match=r"x\.png.*200.*199"):
        module.decode(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # Pillow itself refuses
    with pytest.raises(DataError, match=r"x\.png.*199"):
        module.decode(path)
    assert not recwarn


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(b"hello, I am a text"), "not an image"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "damaged"),
        (lambda path: path.unlink(), "exist"),
        (lambda path: (path.unlink(), path.mkdir()), "exist"),
    ],
)
def test_a_bad_image_is_named_with_its_trouble_and_a_cure(records, damage, says):
    damage(records[70].path)
    with pytest.raises(DataError, match=rf"70\.png.*{says}"):
        ImageStore(records, (16, 8))


def test_a_truncated_jpeg_is_damaged(tmp_path, image):
    path = image(tmp_path / "x.jpg", (64, 32))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match=path.name):
        module.decode(path)


def test_many_bad_images_are_told_at_once(records):
    for record in records[:9]:
        record.path.write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.png.*4\.png.*\b4 more"):
        ImageStore(records, (16, 8))


def test_no_records_is_a_sentence():
    with pytest.raises(DataError, match="records"):
        ImageStore([], (16, 8))


def test_a_store_is_shared_while_somebody_holds_it(records):
    store = image_store(records, (16, 8))
    assert image_store(list(records), (16, 8)) is store
    assert image_store(records, (8, 4)) is not store
    assert image_store(records[:5], (16, 8)) is not store
    for record in records:
        record.path.unlink()
    del store
    gc.collect()
    with pytest.raises(DataError):
        image_store(records, (16, 8))


def test_a_file_that_is_written_anew_is_decoded_anew(tmp_path, image):
    record = Record(image(tmp_path / "x.bmp", seed=1), 1, 1)
    store = image_store([record], (8, 4))
    os.utime(image(record.path, seed=2), ns=(0, 0))  # the same size, another time
    assert not torch.equal(image_store([record], (8, 4)).batch([0]), store.batch([0]))


def test_moving_gives_a_second_store_and_leaves_the_first(records, pretended):
    store = ImageStore(records, (16, 8))
    with pretended(memory=0):  # a device where nothing fits: images stay, batches go there
        moved = store.to("cuda")
        assert moved.device.type == moved.batch([0]).device.type == "cuda"
        assert store.pixels is moved.pixels and store.batch([0]).device.type == "cpu"


@pytest.mark.usefixtures("a_gpu")
@pytest.mark.parametrize("fits", [True, False])
def test_batches_on_a_gpu_are_the_same_whether_the_store_fits_there(records, monkeypatch, fits):
    monkeypatch.setattr(module, "_fits", lambda *_: fits)
    store, here = ImageStore(records, (16, 8), device="cuda"), ImageStore(records, (16, 8))
    assert store.pixels.is_cuda == fits and store.batch([5, 2]).is_cuda
    assert torch.equal(store.batch([5, 2]).cpu(), here.batch([5, 2]))
