"""Before and after the network: images in, metres out, and what is refused."""

from __future__ import annotations

import importlib
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depth_ros.errors import MissingDependencyError, ModelError
from depth_ros.frame import DepthKind
from depth_ros.models import depth_pro
from depth_ros.weights.registry import MODELS, family

REPOSITORY = Path(__file__).resolve().parents[3]
PRO = depth_pro.FAMILIES['depth_pro']
PRO_FOV = depth_pro.FAMILIES['depth_pro_fov']


def test_families_are_what_the_registry_says() -> None:
    assert family('depth_pro') is PRO
    assert family('depth_pro_fov') is PRO_FOV
    assert MODELS['depth-pro'].kind is PRO.KIND is DepthKind.INVERSE_CANONICAL
    assert (PRO.INPUTS, PRO.OUTPUTS) == (('image',), ('inverse',))
    assert PRO_FOV.OUTPUTS == ('inverse', 'fov_deg')
    assert (PRO.STRIDE, PRO.SIZE) == (1536, (1536, 1536))
    assert PRO.network_size(375, 1242, short_side_px=252) == (1536, 1536)


@pytest.mark.parametrize('kind', ['noise', 'smooth'])
def test_preprocessing_is_the_official_one(kind: str, oracle_dir: Path) -> None:
    rgb = np.random.default_rng(3751242).integers(0, 256, (375, 1242, 3), dtype=np.uint8)
    if kind == 'smooth':
        rgb = cv2.GaussianBlur(rgb, (0, 0), 3.0)
    image = PRO.preprocess(rgb, PRO.SIZE)
    assert image.dtype == np.float32
    assert image.shape == (1, 3, 1536, 1536)
    assert image.flags.c_contiguous
    with np.load(oracle_dir / 'preprocess_375x1242.npz') as wanted:
        crop, grid = wanted[f'depthpro_{kind}_crop'], wanted[f'depthpro_{kind}_grid']
    np.testing.assert_allclose(image[0, :, 700:732, 800:864], crop, rtol=0, atol=1e-4)
    np.testing.assert_allclose(image[0, :, ::97, ::97], grid, rtol=0, atol=1e-4)


@pytest.mark.parametrize('shape', [(96, 64), (1536, 1536), (768, 3072), (2000, 1000)])
def test_images_of_every_size_are_resized_as_torch_does(shape: tuple[int, int]) -> None:
    """Both round where they look, by up to 1e-4 of a pixel; of noise that can be seen."""
    torch = pytest.importorskip('torch')
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    tensor = (torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
    wanted = torch.nn.functional.interpolate(tensor, (1536, 1536), mode='bilinear')
    np.testing.assert_allclose(PRO.preprocess(rgb, PRO.SIZE), wanted, rtol=0, atol=3e-4)


@pytest.mark.parametrize('shape', [(375, 1242), (192, 192), (2000, 1000)])
def test_maps_are_restored_as_torch_does(shape: tuple[int, int]) -> None:
    torch = pytest.importorskip('torch')
    inverse = np.random.default_rng(1).random((384, 384), np.float32)
    tensor = torch.from_numpy(inverse)[None, None]
    wanted = torch.nn.functional.interpolate(tensor, shape, mode='bilinear')[0, 0]
    np.testing.assert_allclose(PRO.restored(inverse, *shape), wanted, rtol=0, atol=1e-4)


def test_white_is_one_and_black_is_minus_one() -> None:
    rgb = np.zeros((4, 6, 3), np.uint8)
    rgb[..., 0] = 255
    image = PRO.preprocess(rgb, (8, 8))
    assert np.unique(image[:, 0]).tolist() == [1.0]
    assert np.unique(image[:, 1:]).tolist() == [-1.0]


def test_golden_inputs_are_like_images_and_always_the_same() -> None:
    image = PRO.golden_inputs(1536, 1536)['image']
    assert image.shape == (1, 3, 1536, 1536)
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == pytest.approx((-1, 1), abs=1e-3)
    np.testing.assert_array_equal(image, PRO.golden_inputs(1536, 1536)['image'])


def test_metres_by_hand() -> None:
    """An image 1000 wide at f = 500: depth is 500 / 1000 over what the network says."""
    inverse = np.array([[0.5, 0.05], [1.0, 0.005]], np.float32)
    depth_m = depth_pro.metres(inverse, 500.0, 1000)
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m, [[1.0, 10.0], [0.5, 100.0]], rtol=1e-6)
    np.testing.assert_allclose(depth_pro.metres(inverse, 1000.0, 1000), 2 * depth_m, rtol=1e-6)


def test_metres_end_at_ten_kilometres_and_a_tenth_of_a_millimetre() -> None:
    inverse = np.array([0.0, 1e-5, 1e-4, 1e4, 1e6, np.nan], np.float32)
    wanted_m = [1e4, 1e4, 1e4, 1e-4, 1e-4, np.nan]
    np.testing.assert_allclose(depth_pro.metres(inverse, 640.0, 640), wanted_m, rtol=1e-6)


def test_focal_length_by_hand() -> None:
    """Half of 90 degrees has a tangent of 1, half of 60 one of 1 / sqrt(3)."""
    assert depth_pro.focal_px(90.0, 1242) == pytest.approx(621.0)
    assert depth_pro.focal_px(60.0, 640) == pytest.approx(320 * math.sqrt(3))


@pytest.mark.parametrize('f_px', [0.0, -721.5, float('nan'), float('inf')])
def test_what_is_no_focal_length_is_refused(f_px: float) -> None:
    with pytest.raises(ModelError, match=re.escape(f'above 0, got {f_px}')):
        depth_pro.metres(np.ones((2, 2), np.float32), f_px, 640)


@pytest.mark.parametrize('fov_deg', [0.0, -3.0, 180.0, float('nan')])
def test_what_is_no_field_of_view_is_refused(fov_deg: float) -> None:
    with pytest.raises(ModelError, match=re.escape(f'180 degrees, got {fov_deg}')):
        depth_pro.focal_px(fov_deg, 640)


@pytest.mark.parametrize(
    ('rgb', 'said'),
    [
        (np.zeros((4, 6), np.uint8), '(4, 6) uint8'),
        (np.zeros((4, 6, 4), np.uint8), '(4, 6, 4) uint8'),
        (np.zeros((4, 6, 3), np.float32), '(4, 6, 3) float32'),
        (np.zeros((0, 6, 3), np.uint8), '(0, 6, 3) uint8'),
    ],
)
def test_what_is_no_image_is_refused(rgb: Any, said: str) -> None:
    with pytest.raises(ModelError, match=re.escape(said)):
        PRO.preprocess(rgb, PRO.SIZE)


@pytest.mark.parametrize('shape', [(1, 1, 8, 8), (0, 8)])
def test_what_is_no_map_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=re.escape(f'must be (h, w), got {shape}')):
        PRO.restored(np.ones(shape, np.float32), 8, 8)


def test_a_wrong_focal_length_is_told_before_the_network_runs() -> None:
    pytest.importorskip('torch')
    import torch

    with torch.device('meta'):
        model = PRO.build()
    with pytest.raises(ModelError, match=r'above 0, got -1\.0'):
        depth_pro.infer(model, np.zeros((4, 6, 3), np.uint8), f_px=-1.0)


def test_missing_torch_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith('depth_ros.models.depth_pro.')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'torch', None)
    with pytest.raises(MissingDependencyError, match="'torch' is not installed"):
        PRO.build()


def test_the_lines_of_the_documentation(tmp_path: Path) -> None:
    """With a small network in place of the published one, whose weights are 2 GB."""
    torch = pytest.importorskip('torch')
    tiny = importlib.import_module('tiny_depth_pro')
    torch.save(tiny.key_named(tiny.SMALL).state_dict(), tmp_path / 'depth_pro.pt')
    page = (REPOSITORY / 'docs' / 'models.md').read_text()
    examples = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    (example,) = (code for code in examples if 'depth_pro' in code)
    code = f"""
import numpy as np
import tiny_depth_pro
from depth_ros.models import depth_pro
depth_pro.FAMILIES['depth_pro_fov'] = tiny_depth_pro.FAMILIES['small_depth_pro_fov']
rgb = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
{example}
print(depth_m.shape, np.isfinite(depth_m).all(), f_px > 0)
"""
    path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / 'test' / 'models')))
    answer = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
    )
    assert answer.stdout == '(30, 40) True True\n', answer.stderr
