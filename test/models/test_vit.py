"""The blocks of the vision transformers: attention against its definition, and half precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from key_named import key_named_state

pytest.importorskip('torch')

import torch

from depth_ros.models import vit

torch.set_num_threads(1)


def queries_keys_values(shift: float = 0.0) -> Any:
    """Two heads, five tokens, eight channels; the scores of all have `shift` in common."""
    rng = np.random.default_rng(0)
    query, key, value = rng.standard_normal((3, 1, 2, 5, 8))
    query[..., 0] = key[..., 0] = (shift * 8**0.5) ** 0.5
    return query, key, value


def defined(query: Any, key: Any, value: Any) -> Any:
    """Vaswani et al., "Attention is all you need", equation 1, one token at a time."""
    mixed = np.zeros(value.shape)
    for head in range(2):
        for token in range(5):
            scores = key[0, head] @ query[0, head, token] / 8**0.5
            shares = np.exp(scores - scores.max())
            mixed[0, head, token] = shares @ value[0, head] / shares.sum()
    return mixed


def test_attention_is_its_definition() -> None:
    inputs = queries_keys_values()
    result = vit.attention(*(torch.from_numpy(x).float() for x in inputs))
    np.testing.assert_allclose(result, defined(*inputs), atol=1e-6)


def test_scores_of_large_queries_overflow_in_half_precision_only() -> None:
    """What all scores of a token share, the softmax does not see; half precision ends at 65504."""
    inputs = queries_keys_values(shift=70_000.0)
    half = [torch.from_numpy(x).half() for x in inputs]
    safe = vit.attention(*half)
    assert safe.dtype == torch.float16
    np.testing.assert_allclose(safe, defined(*inputs), atol=2e-2)
    assert vit.attention(*half, scores_in_half=True).isnan().all()


@pytest.mark.parametrize('precision', ['fp32', 'fp16', 'fp16_all'])
def test_exported_block_is_the_one_that_runs(precision: str) -> None:
    """PyTorch takes its own kernel; a graph has the steps one by one."""
    block = torch.nn.Sequential(vit.Block(16, heads=2)).eval().requires_grad_(False)
    block.load_state_dict(key_named_state(block))
    tokens = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 7, 16))).float()
    wanted = block(tokens)
    if precision != 'fp32':
        vit.halve(block, precision)
    program = torch.export.export(block, (tokens,), strict=False)
    names = {str(node.target) for node in program.graph.nodes}
    assert 'aten.softmax.int' in names
    assert not any('scaled_dot_product' in name for name in names)
    most = 1e-5 if precision == 'fp32' else 2e-2
    for result in (program.module()(tokens), block(tokens)):
        assert result.dtype == torch.float32
        np.testing.assert_allclose(result, wanted, atol=most)


def test_half_precision_is_in_the_linear_maps_only() -> None:
    block = vit.Block(16, heads=2)
    vit.halve(block, 'fp16')
    half = {name for name, value in block.named_parameters() if value.dtype == torch.float16}
    layers = ('attn.qkv', 'attn.proj', 'mlp.fc1', 'mlp.fc2')
    assert half == {f'{layer}.{what}' for layer in layers for what in ('weight', 'bias')}
