"""Queries that lie in the gallery, and features that were kept."""

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from shots import shot

from reid_lab import retrieval
from reid_lab.data import Record
from reid_lab.runtime.errors import ReidLabError


def test_what_must_not_be_found_takes_no_place_and_the_rest_stays_in_order():
    query, gallery = np.eye(3)[:2], np.random.default_rng(0).normal(size=(6, 3))
    whole = retrieval.search(query, gallery, 6)
    found = retrieval.search(query, gallery, 5, leave_out=[[whole.indices[0, 0], whole.indices[0, 3]], []])
    assert found.indices[0].tolist() == [*whole.indices[0, [1, 2, 4, 5]], -1] and np.isnan(found.scores[0, 4])
    assert found.indices[1].tolist() == whole.indices[1, :5].tolist()
    np.testing.assert_array_equal(found.scores[0, :4], whole.scores[0, [1, 2, 4, 5]])
    with pytest.raises(ReidLabError, match="leave_out"):
        retrieval.search(query, gallery, 5, leave_out=[[]])


def test_pictures_of_one_size_and_other_bytes_are_not_the_same(tmp_path):
    records = [Record(tmp_path / f"{value}.bmp", 0) for value in (1, 2, 3)]
    for record in records:
        Image.new("RGB", (4, 8), (int(record.path.stem),) * 3).save(record.path)
    assert retrieval.itself(records[:1], records) == [[0]]
    assert retrieval.itself([Record(tmp_path / "gone.bmp", 0)], records) == [[]]


DAMAGE = {
    "another file": lambda file: file.write_bytes(b"half a file"),
    "other tensors": lambda file: save_file({"weights": torch.zeros(2)}, file),
    "fewer rows": lambda file: save_file({"features": torch.zeros(1, 96)}, file),
    "another type": lambda file: save_file({"features": torch.zeros(2, 96, dtype=torch.float16)}, file),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_descriptors_that_were_kept_badly_are_made_again(smoke_run, tmp_path, kind):
    records = [Record(shot(tmp_path / f"{p}.png", p), 0) for p in (1, 2)]
    made = retrieval.extract(smoke_run.model, records, cache=tmp_path / "kept")
    DAMAGE[kind](next((tmp_path / "kept").iterdir()))
    assert torch.equal(retrieval.extract(smoke_run.model, records, cache=tmp_path / "kept"), made)
