"""Images of nobody: samples with the training images' own statistics, and noise."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from reid_lab import data
from reid_lab.data.unlabelled import noise
from reid_lab.runtime.errors import DataError, RecipeError


@pytest.fixture(scope="module")
def grey():
    """Images around middle grey, which three patterns of different strength vary: no sample of theirs is clipped."""
    random = torch.Generator().manual_seed(0)
    patterns = torch.randn(3, 3 * 64 * 32, generator=random)
    mixed = torch.randn(200, 3, generator=random) @ (torch.tensor([[12.0], [6.0], [3.0]]) * patterns)
    return (128 + mixed).round().clamp(0, 255).to(torch.uint8).view(200, 3, 64, 32)


def test_ghosts_have_the_components_of_the_images_and_their_strengths(grey):
    """Against scikit-learn: the variance of samples along each component is the images' own."""
    from sklearn.decomposition import PCA

    fitted = PCA(3, svd_solver="full").fit(grey.flatten(1).numpy())
    samples = data.ghosts(grey, 4000, 3, seed=1).flatten(1).numpy()
    along = fitted.transform(samples)
    assert np.abs(along.mean(0)).max() < 0.06 * np.sqrt(fitted.explained_variance_[0])
    assert np.allclose(along.var(0) / fitted.explained_variance_, 1, atol=0.08)
    assert np.abs(np.corrcoef(along.T) - np.eye(3)).max() < 0.06
    left = ((samples - fitted.mean_) ** 2).sum(1).mean() - (along**2).sum(1).mean()
    assert left < 1.2 * samples.shape[1] / 12  # the rounding to whole numbers


def test_ghosts_are_the_same_again_and_others_with_another_seed_whatever_torch_has_drawn(grey):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = data.ghosts(grey, 5, 3, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(first, data.ghosts(grey, 5, 3, seed=1))
    assert not torch.equal(first, data.ghosts(grey, 5, 3, seed=2))


def test_images_of_another_size_are_made_smaller_by_means_of_areas(grey):
    large = F.interpolate(grey.float(), (128, 64)).to(torch.uint8)
    assert torch.equal(data.ghosts(large, 3, 3, seed=0), data.ghosts(grey, 3, 3, seed=0))


def test_noise_is_uniform_over_all_values():
    made = noise((40, 20), 50, seed=0)
    counts = torch.bincount(made.flatten().long(), minlength=256)
    assert made.shape == (50, 3, 40, 20) and made.dtype == torch.uint8
    assert (counts / counts.float().mean() - 1).abs().max() < 0.25


@pytest.mark.parametrize("source", ["pca", "noise"])
def test_records_are_of_nobody_and_their_files_are_the_samples(smoke, source):
    made = data.unlabelled(smoke, source, 5, (64, 48), components=8, seed=3)
    assert [record.pid for record in made] == [-1] * 5 and len({record.path for record in made}) == 5
    expected = noise((64, 48), 5, 3)
    if source == "pca":
        expected = data.ghosts(data.image_store(smoke.train, (64, 48)).pixels, 5, 8, 3)
    stored = [np.asarray(Image.open(record.path)) for record in made]
    assert np.array_equal(stored, expected.permute(0, 2, 3, 1))


def test_they_are_made_once_and_again_where_one_is_lost(smoke, monkeypatch):
    wanted = dict(benchmark=smoke, source="noise", count=4, shape=(20, 10), seed=9)
    made = data.unlabelled(**wanted)
    before = [record.path.stat().st_mtime_ns for record in made]
    assert [record.path.stat().st_mtime_ns for record in data.unlabelled(**wanted)] == before
    bytes_before = made[2].path.read_bytes()
    made[2].path.unlink()
    assert data.unlabelled(**wanted)[2].path.read_bytes() == bytes_before
    others = [{"seed": 10}, {"shape": (10, 20)}, {"count": 5}, {"source": "pca", "components": 8}]
    assert len({data.unlabelled(**wanted | other)[0].path.parent for other in [{}, *others]}) == 5


def test_another_benchmark_has_other_ghosts(smoke):
    part = data.Benchmark("part", smoke.train[:40], smoke.query, smoke.gallery, root=smoke.root)
    paths = [data.unlabelled(bench, "pca", 2, (64, 48), components=8)[0].path for bench in (smoke, part)]
    assert paths[0].parent != paths[1].parent and paths[0].read_bytes() != paths[1].read_bytes()


def test_what_cannot_be_made_is_refused(smoke, grey, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="10 images have 9 principal components at most, and 10"):
        data.ghosts(grey[:10], 3, 10, seed=0)
    with pytest.raises(RecipeError, match="'gan'"):
        data.unlabelled(smoke, "gan", 3, (64, 48))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REID_LAB_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="REID_LAB_HOME"):
        data.unlabelled(smoke, "noise", 3, (64, 48))
