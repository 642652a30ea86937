"""A file of tensors is read back as it was written, or refused by its name."""

import pytest
import safetensors.torch
import torch

from reid_lab.runtime import checkpoint
from reid_lab.runtime.errors import CheckpointError


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoint.write(path, {"x": torch.arange(6.0).view(2, 3), "n": torch.tensor(7)}, {"step": 1})
    return path


def metadata_of(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return file.metadata()


def test_what_was_written_is_read(path):
    tensors, about = checkpoint.read(path)
    assert tensors["x"].tolist() == [[0, 1, 2], [3, 4, 5]] and tensors["n"].item() == 7 and about == {"step": 1}


def test_the_layout_in_memory_is_not_in_the_file(tmp_path, path):
    other = tmp_path / "other.safetensors"
    checkpoint.write(other, {"x": torch.arange(6.0).view(2, 3).t().contiguous().t(), "n": torch.tensor(7)}, {"step": 1})
    assert metadata_of(other) == metadata_of(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"note": {"about": '{"step": 2}'}},
        {"note": {"whole": ""}},
        {"tensors": {"x": torch.arange(6.0).view(3, 2), "n": torch.tensor(7)}},
        {"tensors": {"y": torch.arange(6.0).view(2, 3), "n": torch.tensor(7)}},
        {"tensors": {"x": torch.arange(6.0).view(2, 3) + 1, "n": torch.tensor(7)}},
        {"tensors": {"x": torch.arange(6.0).view(2, 3), "n": torch.tensor([7])}},
    ],
    ids=str,
)
def test_a_change_of_note_name_value_or_shape_is_damage(path, changed):
    tensors, note = checkpoint.read(path)[0], metadata_of(path)
    safetensors.torch.save_file(changed.get("tensors", tensors), path, note | changed.get("note", {}))
    with pytest.raises(CheckpointError, match=path.name):
        checkpoint.read(path)


def test_a_file_of_another_program_is_refused(path):
    safetensors.torch.save_file({"x": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=path.name):
        checkpoint.read(path)


def test_a_file_with_a_second_checksum_is_read(path):
    """As files of earlier days have one: what the present checksum covers is covered."""
    tensors, note = checkpoint.read(path)[0], metadata_of(path)
    safetensors.torch.save_file(tensors, path, note | {"checksum": "00000000"})
    assert checkpoint.read(path)[1] == {"step": 1}
