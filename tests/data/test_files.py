import os

import pytest

from reid_lab.data.files import SUFFIXES, image_files, look
from reid_lab.export import crops
from reid_lab.runtime.errors import DataError


def names(folder):
    return [path.relative_to(folder).as_posix() for path in look(folder).images]


def test_images_behind_linked_folders_are_seen_and_circles_end(tmp_path, image):
    image(tmp_path / "disk" / "0.jpg")
    image(tmp_path / "own" / "a" / "1.jpg")
    (tmp_path / "own" / "b").symlink_to(tmp_path / "disk")
    (tmp_path / "own" / "c").symlink_to(tmp_path / "disk")  # the same once more: no circle
    (tmp_path / "own" / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "own")
    (tmp_path / "own" / "self").symlink_to("self")
    assert names(tmp_path / "own") == ["a/1.jpg", "b/0.jpg", "c/0.jpg"]
    assert [path.name for path in look(tmp_path / "own").passed["link"]] == ["self"]
    assert len(crops(tmp_path / "own")) == 3


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes")
@pytest.mark.parametrize("name", ["pipe", "pipe.jpg"])
def test_a_pipe_is_never_waited_for(tmp_path, image, name):
    image(tmp_path / "0.jpg")
    os.mkfifo(tmp_path / name)
    assert names(tmp_path) == ["0.jpg"] and look(tmp_path).others == [name]


def test_every_suffix_is_one_that_pillow_reads():
    from PIL import Image

    Image.init()
    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert SUFFIXES - {".avif"} <= readable  # Pillow may be built without AVIF


@pytest.mark.parametrize("suffix", [".jfif", ".JPE", ".ppm", ".gif", ".jp2", ".tga", ".dib"])
def test_more_kinds_of_images_are_seen(tmp_path, image, suffix):
    image(tmp_path / f"0{suffix}")
    assert names(tmp_path) == [f"0{suffix}"]


def test_one_level_alone_is_seen_if_asked(tmp_path, image):
    image(tmp_path / "a.jpg")
    image(tmp_path / "deeper" / "b.jpg")
    assert [path.name for path in image_files(tmp_path)] == ["a.jpg"]


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=tmp_path.name):
        look(tmp_path)
