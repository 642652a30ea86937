"""The poolings against PyTorch's own, and the BNNeck."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from reid_lab.models import heads


@settings(max_examples=60, deadline=None)
@given(h=st.integers(1, 19), w=st.integers(1, 19), m=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_cells_are_those_of_adaptive_pooling(h, w, m, seed):
    maps = torch.randn(2, 3, h, w, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(heads.average_pool(maps, m), F.adaptive_avg_pool2d(maps, m))
    torch.testing.assert_close(heads.max_pool(maps, m), F.adaptive_max_pool2d(maps, m))


def test_of_9_columns_the_two_cells_share_the_middle_one():
    assert heads._cells(9, 2) == [slice(0, 5), slice(4, 9)]
    assert heads._cells(18, 2) == [slice(0, 9), slice(9, 18)]


def test_pooling_a_bfloat16_map_sums_in_float32():
    maps = torch.rand(2, 3, 18, 9).bfloat16()
    torch.testing.assert_close(heads.average_pool(maps, 1), maps.float().mean((2, 3), keepdim=True))
    assert heads.max_pool(maps, 2).dtype == torch.float32


def test_the_bnnecks_bias_stays_at_0_and_its_weight_learns():
    neck = heads.BNNeck(4)
    (neck(torch.randn(8, 4)) ** 3).sum().backward()
    assert neck.bias.grad is None
    assert neck.bias.tolist() == [0, 0, 0, 0]
    assert neck.weight.grad.abs().max() > 0


@pytest.mark.parametrize("bias", [True, False])
def test_a_classifier_starts_near_zero(bias):
    linear = heads.classifier(500, 200, bias)
    assert linear.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert (linear.bias is not None) == bias
    assert not bias or linear.bias.abs().max() == 0
