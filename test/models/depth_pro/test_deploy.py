"""Depth Pro as it runs: what is left out, what is halved, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest
from tiny_depth_pro import FAMILIES, SMALL, key_named

pytest.importorskip('torch')

import torch

torch.set_num_threads(1)

SIZE = (512, 512)
LEAN, WHOLE = FAMILIES.values()


@pytest.fixture(scope='module')
def model() -> Any:
    return key_named(SMALL).to(memory_format=torch.channels_last)


@pytest.fixture(scope='module')
def fp32(model: Any) -> Any:
    return outputs(model)


def outputs(network: Any) -> Any:
    """Half precision on a CPU takes ten times as long with the channels first."""
    network = network.to(memory_format=torch.channels_last)
    image = torch.from_numpy(WHOLE.golden_inputs(*SIZE)['image'])
    with torch.inference_mode():
        return network(image)


def test_nothing_is_copied_in_single_precision(model: Any, fp32: Any) -> None:
    network = WHOLE.deployed(model, 'fp32', SIZE)
    for name, value in model.state_dict().items():
        assert network.state_dict()[name].data_ptr() == value.data_ptr()
    for value, wanted in zip(outputs(network), fp32, strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-6, atol=0)


def test_the_network_it_is_made_of_stays_as_it_is(model: Any) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    LEAN.deployed(model, 'fp16_all', SIZE).to(torch.float64)
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_field_of_view_is_left_out_where_it_is_not_asked_for(
    precision: str, model: Any, fp32: Any
) -> None:
    lean = LEAN.deployed(model, precision, SIZE)
    whole = WHOLE.deployed(model, precision, SIZE)
    assert not any(name.startswith('fov.') for name in lean.state_dict())
    (inverse,), (same, fov_deg) = outputs(lean), outputs(whole)
    tolerance = 1e-6 if precision == 'fp32' else 1e-3
    torch.testing.assert_close(inverse, same, rtol=tolerance, atol=0)
    assert inverse.shape == (1, 1, *SIZE)
    assert fov_deg.shape == (1,)
    assert inverse.dtype == fov_deg.dtype == torch.float32


@pytest.mark.parametrize('precision', ['fp16', 'fp16_all'])
def test_half_precision_is_off_by_what_eleven_bits_are(
    precision: str, model: Any, fp32: Any
) -> None:
    for value, wanted in zip(outputs(WHOLE.deployed(model, precision, SIZE)), fp32, strict=True):
        assert 0 < (value - wanted).abs().mean() < 1e-3 * wanted.abs().mean()


def test_what_gives_tokens_and_answers_is_not_halved(model: Any) -> None:
    state = WHOLE.deployed(model, 'fp16', SIZE).state_dict()
    full = {name for name, value in state.items() if value.dtype == torch.float32}
    wanted = {'head.4', 'fov.head.4', 'norm', 'norm1', 'norm2', 'ls1', 'ls2', 'patch_embed.proj'}
    for name in full:
        module = name.rpartition('.')[0]
        is_embedding = name.endswith(('cls_token', 'pos_embed'))
        assert is_embedding or module.endswith(tuple(wanted)), name
    halved = sum(value.numel() for value in state.values() if value.dtype == torch.float16)
    assert halved > 0.75 * sum(value.numel() for value in state.values())
    assert {'decoder.convs.1.weight', 'head.2.weight', 'fov.encoder.1.weight'} <= set(state) - full


def test_scores_are_halved_only_if_all_is(model: Any) -> None:
    for precision, wanted in (('fp16', False), ('fp16_all', True)):
        network = WHOLE.deployed(model, precision, SIZE)
        found = {m.scores_in_half for m in network.modules() if hasattr(m, 'scores_in_half')}
        assert found == {wanted}


def test_another_network_is_refused() -> None:
    with pytest.raises(TypeError, match='DepthProNetwork wanted, got Linear'):
        LEAN.deployed(torch.nn.Linear(2, 2), 'fp32', SIZE)
