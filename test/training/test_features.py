"""Depth Anything's feature alignment by hand."""

from __future__ import annotations

import pytest

from depth_ros.training.features import feature_alignment

torch = pytest.importorskip('torch')


def test_pixels_that_are_alike_are_left_alone() -> None:
    """Cosines 1, 0.8 and 0: the first is above 0.85; the mean of 0.2 and 1."""
    student = torch.tensor([[[2.0, 0.0], [0.8, 0.6], [0.0, 5.0]]], requires_grad=True)
    frozen = torch.tensor([[[9.0, 0.0], [1.0, 0.0], [1.0, 0.0]]], requires_grad=True)
    loss = feature_alignment(student, frozen)
    loss.backward()
    assert loss.item() == pytest.approx(0.6)
    assert frozen.grad is None
    assert (student.grad[0, 0] == 0).all()
    assert (student.grad[0, 1] != 0).any()


def test_nothing_left_to_align_is_0() -> None:
    features = torch.tensor([[[1.0, 2.0]]], requires_grad=True)
    loss = feature_alignment(features, 3 * features)
    loss.backward()
    assert loss.item() == 0
    assert (features.grad == 0).all()
