"""SharpDepth's losses by hand."""

from __future__ import annotations

import pytest

from depth_ros.training import diffusion_losses as losses

torch = pytest.importorskip('torch')


def test_gradient_of_score_distillation_is_the_weighted_difference() -> None:
    """z - x0 = 2 and -1, w = 0.5, of 2 values: 0.5 and -0.25; nothing reaches the teacher."""
    latent = torch.tensor([[[[3.0, 1.0]]]], requires_grad=True)
    denoised = torch.tensor([[[[1.0, 2.0]]]], requires_grad=True)
    loss = losses.sds(latent, denoised, weight=0.5)
    loss.backward()
    assert latent.grad.flatten().tolist() == pytest.approx([0.5, -0.25])
    assert denoised.grad is None
    assert loss.item() == pytest.approx(0.5 * (1.0 + 0.25) / 2)


def test_difference_map_is_scaled_by_each_image() -> None:
    one = torch.tensor([[[[1.0, 2.0]]], [[[5.0, 5.0]]], [[[0.0, 8.0]]]])
    other = torch.tensor([[[[1.0, 4.0]]], [[[5.0, 5.0]]], [[[2.0, 0.0]]]])
    got = losses.difference_map(one, other).flatten(1).tolist()
    assert got == [[0.0, 1.0], [0.0, 0.0], [0.25, 1.0]]


def test_reconstruction_is_weighted_by_the_difference() -> None:
    """|p - d| = 0.1 0.4, e = 1 0.5: (0.1 + 0.2) / 1.5."""
    prediction, metric = torch.tensor([[[[0.6, 0.1]]]]), torch.tensor([[[[0.5, 0.5]]]])
    difference = torch.tensor([[[[1.0, 0.5]]]])
    got = losses.noise_aware(prediction, metric, difference).item()
    assert got == pytest.approx(0.2, rel=1e-6)
    assert losses.noise_aware(prediction, metric, torch.zeros_like(difference)).item() == 0
