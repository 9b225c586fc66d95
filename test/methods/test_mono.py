"""Depth from one image, with a network that says what the test wants."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from saying_network import CAMERA, FILE, HEIGHT, WIDTH, Answering, Bench, Family, view

from depth_ros.engines.open import Candidate
from depth_ros.errors import ConfigError, MethodError, ModelError
from depth_ros.frame import DepthKind
from depth_ros.geometry.camera import Intrinsics
from depth_ros.methods import mono as mono_module
from depth_ros.methods.base import Preparable
from depth_ros.methods.mono import Mono, mono_weights
from depth_ros.weights.registry import MODELS, card
from depth_ros.weights.store import weights_path


def test_metres_are_taken_as_they_are(bench: Bench) -> None:
    estimate = bench.method('da2-outdoor-small', relative_sigma=0.2).estimate(view())
    assert estimate.kind is DepthKind.METRIC
    np.testing.assert_array_equal(estimate.depth_m, np.full((HEIGHT, WIDTH), 4, np.float32))
    np.testing.assert_allclose(estimate.sigma_m, 0.8, rtol=1e-6)
    (request,) = bench.opened
    assert (request.family, request.weights) == ('depth_anything_v2_s_80m', FILE)


def test_canonical_inverse_depth_becomes_metres_by_the_focal_length_of_the_view(
    bench: Bench,
) -> None:
    """C = 0.5, W / f = 60 / 30: 1 / (0.5 * 2) = 1 m; twice the focal length, twice the depth."""
    bench.says = lambda red: np.full_like(red, 0.5)
    method = bench.method('depth-pro')
    assert np.unique(method.estimate(view()).depth_m) == pytest.approx(1.0)
    longer = dataclasses.replace(CAMERA, fx=60.0, fy=60.0)
    assert np.unique(method.estimate(view(longer)).depth_m) == pytest.approx(2.0)


def test_what_is_too_far_is_infinite_and_what_is_no_depth_is_unknown(bench: Bench) -> None:
    def says(red: np.ndarray) -> np.ndarray:
        values = np.full_like(red, 10.0)
        values[0, :5] = 75.9, 76.1, 0.0, -1.0, np.nan
        return values

    bench.says = says
    estimate = bench.method('da2-outdoor-small').estimate(view())
    np.testing.assert_array_equal(
        estimate.depth_m[0, :6], np.float32([75.9, np.inf, np.nan, np.nan, np.nan, 10.0])
    )
    np.testing.assert_array_equal(np.isnan(estimate.sigma_m), ~np.isfinite(estimate.depth_m))
    nearer = bench.method('da2-outdoor-small', max_depth_m=9.0).estimate(view())
    assert np.isposinf(nearer.depth_m[1]).all()
    assert not nearer.valid.any()


def test_sky_of_depth_pro_is_too_far(bench: Bench) -> None:
    bench.says = lambda red: np.zeros_like(red)  # clamped, that is 10 km
    assert np.isposinf(bench.method('depth-pro').estimate(view()).depth_m).all()


def test_flip_takes_the_mean_and_puts_the_disagreement_into_sigma(bench: Bench) -> None:
    """The network says 1 m more per column; of the mirror image, from the other side."""
    bench.says = lambda red: 10.0 + np.arange(red.shape[1]) + 0 * red
    method = bench.method('da2-outdoor-small', flip=True, relative_sigma=0.1)
    estimate = method.estimate(view())
    mean_m = 10 + (WIDTH - 1) / 2
    np.testing.assert_allclose(estimate.depth_m, mean_m, rtol=1e-6)
    half_m = (2 * np.arange(WIDTH) - (WIDTH - 1)) / 2
    expected_m = np.hypot(0.1 * mean_m, half_m)
    np.testing.assert_allclose(estimate.sigma_m, np.tile(expected_m, (HEIGHT, 1)), rtol=1e-6)


def test_flip_shows_the_network_the_mirror_image_and_turns_the_answer_back(bench: Bench) -> None:
    """What depends on content alone is the same in both, so that they agree."""
    bench.says = lambda red: 5.0 + red
    estimate = bench.method('da2-outdoor-small', flip=True, relative_sigma=0.1).estimate(view())
    expected_m = np.tile(5.0 + np.arange(WIDTH, dtype=np.float32), (HEIGHT, 1))
    np.testing.assert_array_equal(estimate.depth_m, expected_m)
    np.testing.assert_allclose(estimate.sigma_m, 0.1 * expected_m, rtol=1e-6)


def test_what_overflows_is_unknown_not_near_and_not_far(bench: Bench) -> None:
    bench.says = lambda red: np.where(red == 3, np.inf, 0.5)
    for name in ('depth-pro', 'da2-outdoor-small'):
        depth_m = bench.method(name).estimate(view()).depth_m
        assert np.isnan(depth_m[:, 3]).all()
        assert np.isfinite(np.delete(depth_m, 3, axis=1)).all()


def test_there_is_no_depth_where_the_camera_did_not_look(bench: Bench) -> None:
    seen = np.ones((HEIGHT, WIDTH), bool)
    seen[:, 50:] = False
    blind = dataclasses.replace(view(), seen=seen)
    for settings in ({'name': 'depth-pro'}, {'name': 'da2-small', 'output': 'relative'}):
        estimate = bench.method(**settings, flip=True).estimate(blind)
        np.testing.assert_array_equal(np.isfinite(estimate.depth_m), seen)
        np.testing.assert_array_equal(np.isfinite(estimate.sigma_m), seen)


def test_focal_length_may_be_that_which_the_network_sees(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """90 degrees across 60 pixels is f = 30: 1 m of C = 0.5, whatever CameraInfo says."""
    monkeypatch.setattr(Family, 'OUTPUTS', ('values', 'fov_deg'))
    monkeypatch.setattr(Answering, 'fov_deg', 90.0)
    bench.says = lambda red: np.full_like(red, 0.5)
    method = bench.method('depth-pro', focal_length='estimated')
    for fx in (30.0, 5.0):  # the other one would be refused
        estimate = method.estimate(view(dataclasses.replace(CAMERA, fx=fx, fy=fx)))
        assert np.unique(estimate.depth_m) == pytest.approx(1.0)
    assert {request.family for request in bench.opened} == {'depth_pro_fov'}
    with pytest.raises(ConfigError, match=r'focal_length estimated is for Depth Pro'):
        bench.method('da2-outdoor-small', focal_length='estimated')


def test_a_network_that_sees_next_to_nothing_is_refused(bench: Bench) -> None:
    with pytest.raises(ConfigError, match=r'short_side_px must be 0 or at least 56, got 14'):
        bench.method('da2-outdoor-small', short_side_px=14)


def test_relative_disparity_is_no_depth(bench: Bench) -> None:
    estimate = bench.method('da2-small', output='relative').estimate(view())
    assert estimate.kind is DepthKind.DISPARITY_AFFINE
    assert np.unique(estimate.depth_m) == 4.0
    assert np.isnan(estimate.sigma_m).all()
    doubled = bench.method('da2-small', output='relative', flip=True).estimate(view())
    assert np.unique(doubled.sigma_m) == 0.0


def test_output_that_the_weights_cannot_give_is_refused(bench: Bench) -> None:
    with pytest.raises(ModelError, match=r'da2-small gives disparity of unknown scale and shift'):
        bench.method('da2-small')
    with pytest.raises(ModelError, match=r'depth-pro gives metres; set mono\.output to metric'):
        bench.method('depth-pro', output='relative')


def test_a_file_that_does_not_say_what_it_is_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in (None, card('dmd3c')):
        monkeypatch.setattr(mono_module, 'network_card', lambda path, known=known: known)
        with pytest.raises(ModelError, match=r'does not tell which network .* --from FILE'):
            Mono(FILE)


@pytest.mark.parametrize(
    ('height', 'width', 'said'),
    [(31, 100, r'100x31 .* is too small'), (40, 321, '321x40 is too narrow')],
)
def test_images_without_anything_to_see_are_refused(
    bench: Bench, height: int, width: int, said: str
) -> None:
    method = bench.method('da2-outdoor-small')
    camera = Intrinsics(width, height, 100.0, 100.0, 0.0, 0.0)
    for refused in (
        lambda: method.check_camera(camera),
        lambda: method.prepare(height, width),
        lambda: method.estimate(view(camera)),
    ):
        with pytest.raises(MethodError, match=said) as error:
            refused()
        assert error.value.reason == 'image_size'
    assert not bench.opened
    method.check_camera(Intrinsics(256, 32, 100.0, 100.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ('fx', 'fy', 'said'),
    [
        (5.0, 5.0, r'focal length of 5 pixels in an image 60 wide is a field of view of 161'),
        (3000.0, 3000.0, r'field of view of 1\.15 degrees, wanted 2 to 160'),
        (30.0, 61.0, r'Focal lengths of 30 and 61 pixels differ by more than a factor of 2'),
    ],
)
def test_impossible_focal_lengths_are_refused(
    bench: Bench, fx: float, fy: float, said: str
) -> None:
    camera = dataclasses.replace(CAMERA, fx=fx, fy=fy)
    for name in ('da2-outdoor-small', 'depth-pro'):
        method = bench.method(name)
        for refused in (
            lambda method=method: method.check_camera(camera),
            lambda method=method: method.estimate(view(camera)),
        ):
            with pytest.raises(MethodError, match=said) as error:
                refused()
            assert error.value.reason == 'focal_length'
    assert not bench.opened
    bench.method('da2-small', output='relative').estimate(view(camera))  # needs none


@pytest.mark.parametrize('fov_deg', [3.0, 60.0, 150.0])
def test_cameras_that_exist_are_taken(bench: Bench, fov_deg: float) -> None:
    fx = 0.5 * WIDTH / math.tan(math.radians(fov_deg) / 2)
    camera = dataclasses.replace(CAMERA, fx=fx, fy=fx)
    estimate = bench.method('da2-outdoor-small').estimate(view(camera))
    np.testing.assert_allclose(estimate.depth_m, 4.0, rtol=1e-6)


@pytest.mark.parametrize(('device', 'side'), [('cpu', 252), ('cuda:0', 518)])
def test_size_follows_from_the_device_unless_it_is_set(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, device: str, side: int
) -> None:
    monkeypatch.setattr(mono_module, 'choose_backend', lambda name: Candidate('x', device, ''))
    bench.method('da2-outdoor-small', short_side_px=0).prepare(HEIGHT, WIDTH)
    bench.method('da2-outdoor-small', short_side_px=140).prepare(HEIGHT, WIDTH)
    assert bench.family.sides == [side, 140]


def test_the_engine_stays_while_the_size_does(bench: Bench) -> None:
    method = bench.method('da2-outdoor-small', short_side_px=140)
    assert isinstance(method, Preparable)
    assert not method.fits(HEIGHT, WIDTH)
    method.prepare(HEIGHT, WIDTH)
    method.estimate(view())
    assert method.fits(HEIGHT, WIDTH)
    assert len(bench.opened) == 1
    method.estimate(view(Intrinsics(64, 48, 30.0, 30.0, 31.5, 23.5)))
    assert [(r.height, r.width) for r in bench.opened] == [(40, 60), (48, 64)]
    assert not method.fits(HEIGHT, WIDTH)


def fetched(*names: str) -> None:
    for name in names:
        path = weights_path(name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
        path.with_suffix('.json').touch()


def test_the_first_fetched_weights_that_give_the_output_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    with pytest.raises(ModelError, match=r'No weights for mono\.weights .*da2-indoor-small'):
        mono_weights('', 'metric')
    fetched('dmd3c', 'da2-base', 'depth-pro')
    assert mono_weights('', 'metric').stem == 'depth-pro'
    assert mono_weights('', 'relative').stem == 'da2-base'
    fetched('da2-outdoor-large')
    assert list(MODELS).index('da2-outdoor-large') < list(MODELS).index('depth-pro')
    assert mono_weights('', 'metric').stem == 'da2-outdoor-large'
    # Named weights are found whatever they give; the method then says what is wrong with them.
    assert mono_weights('da2-base', 'metric').stem == 'da2-base'
    with pytest.raises(ModelError, match=r"mono\.weights 'dmd3c' is for another network"):
        mono_weights('dmd3c', 'metric')
