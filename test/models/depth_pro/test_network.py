"""Depth Pro against what the official network computed, and its parts against their definition."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_depth_pro import BIASES, ORACLE, SMALL, key_named

from depth_ros.errors import ModelError
from depth_ros.models import depth_pro
from depth_ros.models.depth_pro.config import Config

pytest.importorskip('torch')

import torch

from depth_ros.models.depth_pro.windows import merge, split

torch.set_num_threads(1)


@pytest.fixture(scope='module')
def oracle(oracle_dir: Path) -> dict[str, Any]:
    with np.load(oracle_dir / 'depthpro_tiny_forward.npz') as archive:
        return dict(archive)


@pytest.fixture(scope='module')
def tiny() -> Any:
    """Takes a third less time with the channels last."""
    return key_named(ORACLE).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(('name', 'config'), [('tiny', ORACLE), ('full', Config())])
def test_parameters_are_the_official_ones(name: str, config: Config, oracle_dir: Path) -> None:
    wanted = json.loads((oracle_dir / f'depthpro_{name}_state_dict.json').read_text())
    with torch.device('meta'):
        model = depth_pro.DepthPro(OUTPUTS=(), config=config).build()
    assert {key: list(value.shape) for key, value in model.state_dict().items()} == wanted
    assert len(wanted) == {'tiny': 279, 'full': 1119}[name]


def test_both_families_build_the_published_network() -> None:
    with torch.device('meta'):
        for family in depth_pro.FAMILIES.values():
            assert sum(value.numel() for value in family.build().parameters()) == 951_991_330


def test_outputs_are_those_of_the_official_network(tiny: Any, oracle: dict[str, Any]) -> None:
    rng = np.random.default_rng(int(oracle['seed']))
    image = torch.from_numpy(rng.standard_normal((1, 3, 1536, 1536)).astype(np.float32))
    with torch.inference_mode():
        inverse, fov_deg = (output.numpy() for output in tiny(image))
    assert inverse.shape == (1, 1, 1536, 1536)
    close = {'rtol': 0, 'atol': 1e-5}
    np.testing.assert_allclose(inverse[0, 0, ::8, ::8], oracle['canonical_stride8'], **close)
    crop = inverse[0, 0, 700:764, 700:764]
    np.testing.assert_allclose(crop, oracle['canonical_crop'], **close)
    np.testing.assert_allclose(inverse.mean(dtype=float), oracle['mean'], rtol=1e-6)
    np.testing.assert_allclose(inverse.std(dtype=float), oracle['std'], rtol=1e-6)
    np.testing.assert_allclose(fov_deg, oracle['fov_deg'], rtol=1e-6)


class Once(torch.nn.Module):
    """A network that remembers what it said, for an image that does not change."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network, self.config = network, network.config
        self.outputs: Any = None

    def forward(self, image: Any) -> Any:
        self.outputs = self.outputs or self.network(image)
        return self.outputs


def test_depth_in_metres_is_that_of_the_official_code(tiny: Any, oracle: dict[str, Any]) -> None:
    """From the bytes of an image, with a focal length and without."""
    rng = np.random.default_rng(3751242)
    rgb = rng.integers(0, 256, (375, 1242, 3), dtype=np.uint8)
    model = Once(tiny)
    for case, given in (('est', None), ('given', 721.5377)):
        depth_m, f_px = depth_pro.infer(model, rgb, given)
        assert depth_m.shape == (375, 1242)
        assert depth_m.dtype == np.float32
        assert f_px == pytest.approx(float(oracle[f'infer_{case}_f_px']), rel=1e-6)
        wanted_m = oracle[f'infer_{case}_depth_stride4']
        np.testing.assert_allclose(depth_m[::4, ::4], wanted_m, rtol=1e-4)


@pytest.mark.parametrize(('side', 'count', 'step'), [(1536, 5, 288), (768, 3, 192)])
def test_windows_are_cut_row_by_row(side: int, count: int, step: int) -> None:
    window = 384
    image = torch.arange(2.0 * 3 * side * side).view(2, 3, side, side)
    windows = split(image, window, count)
    assert windows.shape == (2 * count**2, 3, window, window)
    for row in range(count):
        for column in range(count):
            top, left = row * step, column * step
            wanted = image[:, :, top : top + window, left : left + window]
            first = 2 * (row * count + column)
            assert torch.equal(windows[first : first + 2], wanted)


@pytest.mark.parametrize(('side', 'count', 'margin'), [(96, 5, 3), (48, 3, 6), (32, 5, 1)])
def test_what_is_split_is_merged_to_what_it_was(side: int, count: int, margin: int) -> None:
    """The overlap is twice the margin: five windows by a quarter, three by half."""
    size = (side + 2 * margin * (count - 1)) // count
    image = torch.rand(2, 3, side, side)
    assert torch.equal(merge(split(image, size, count), count, margin), image)


def test_each_window_gives_what_is_next_to_its_centre() -> None:
    windows = torch.arange(25.0).view(25, 1, 1, 1).expand(25, 1, 24, 24)
    merged = merge(windows, 5, 3)[0, 0]
    sizes = [21, 18, 18, 18, 21]
    owner = np.repeat(np.arange(5), sizes)
    np.testing.assert_array_equal(merged, 5 * owner[:, None] + owner)


def test_every_parameter_but_those_that_officially_do_not_has_an_effect() -> None:
    """The coarsest level has nothing to add, so one residual unit is there for its name."""
    model = key_named(SMALL)
    image = torch.from_numpy(depth_pro.FAMILIES['depth_pro'].golden_inputs(512, 512)['image'])
    inverse, fov_deg = model(image)
    (inverse.sum() + fov_deg.sum()).backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None]
    assert idle == [
        name for name in model.state_dict() if name.startswith('decoder.fusions.4.resnet1')
    ]
    assert set(BIASES) <= set(model.state_dict())


def test_an_image_in_a_batch_is_as_alone() -> None:
    model = key_named(SMALL)
    images = torch.from_numpy(np.random.default_rng(0).random((2, 3, 512, 512), np.float32))
    with torch.inference_mode():
        together = model(images)
        for index in range(2):
            for both, one in zip(together, model(images[index : index + 1]), strict=True):
                torch.testing.assert_close(both[index], one[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('shape', [(1, 3, 384, 384), (1, 3, 512, 768), (1, 1, 512, 512)])
def test_images_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with torch.device('meta'):
        model = depth_pro.DepthPro(OUTPUTS=(), config=SMALL).build()
    with pytest.raises(ModelError, match=re.escape(f'(B, 3, 512, 512), got {shape}')):
        model(torch.empty(shape, device='meta'))
