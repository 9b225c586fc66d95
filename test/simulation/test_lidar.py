"""What a LiDAR measures, and what it loses, standing in a world that stands."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import quiet_rig
from quiet_rig import QUIET

from depth_ros.errors import ConfigError
from depth_ros.simulation.builder import Builder
from depth_ros.simulation.lidar import (
    HDL64_ELEVATIONS_DEG,
    VLP32_ELEVATIONS_DEG,
    Beams,
    Lidar,
    LidarConfig,
    Sweep,
    echoes,
)
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh
from depth_ros.simulation.trajectory import still
from depth_ros.simulation.world import World

LIGHT = Material(reflectivity=0.8)  # that for which ranges are stated


def quiet(**changes: Any) -> LidarConfig:
    return dataclasses.replace(QUIET, **changes)


def wall(x: float, material: Material = LIGHT, half: float = 1000.0) -> Mesh:
    return dataclasses.replace(quiet_rig.wall(x, half), material=material)


def shell(radius_m: float, material: Material = LIGHT) -> World:
    """A sphere around the LiDAR, met by every beam at a right angle."""
    builder = Builder()
    builder.ball((0, 0, 0), (radius_m, radius_m, radius_m), material)
    return World(builder.parts)


def sweep(world: World | Mesh, lidar: Lidar | LidarConfig, seed: int = 0, at: Any = None,
          **given: Any) -> Sweep:  # fmt: skip
    """One sweep from a pose, or from the origin."""
    lidar = Lidar(lidar) if isinstance(lidar, LidarConfig) else lidar
    world = World((world,)) if isinstance(world, Mesh) else world
    pose = np.eye(4) if at is None else at
    return lidar.sweep(world, still(pose), 0.0, np.random.default_rng(seed), **given)


def azimuth_deg(points: Any) -> Any:
    return np.degrees(np.arctan2(points[:, 1], points[:, 0]))


def range_m(points: Any) -> Any:
    return np.linalg.norm(points.astype(np.float64), axis=1)


def test_a_plane_10_m_ahead_gives_its_points() -> None:
    """Elevation e and azimuth a meet x = 10 at (10, 10 tan a, 10 tan e / cos a)."""
    found = sweep(wall(10.0), QUIET)
    np.testing.assert_allclose(found.points[:, 0], 10.0, rtol=1e-6)
    azimuth = np.arctan2(found.points[:, 1], found.points[:, 0])
    for ring, elevation_deg in enumerate((-10.0, 0.0, 10.0)):
        mine = found.ring == ring
        expected_z = 10 * math.tan(math.radians(elevation_deg)) / np.cos(azimuth[mine])
        np.testing.assert_allclose(found.points[mine, 2], expected_z, rtol=1e-3, atol=1e-4)
        steps_deg = np.diff(np.sort(np.degrees(azimuth[mine])))
        assert steps_deg.min() == pytest.approx(1.0, abs=1e-3)
    # 1 - exp(-cos(incidence) / 0.03) is below one half only beyond 88.8 degrees.
    assert 3 * 171 <= len(found.points) <= 3 * 179


def test_the_points_are_in_the_frame_of_the_lidar_wherever_it_is() -> None:
    """It stands 1 m before the plane x = 10 of the world, looking to its right."""
    pose = np.array([[0, 1, 0, 9], [-1, 0, 0, 5], [0, 0, 1, 2], [0, 0, 0, 1]], float)
    found = sweep(wall(10.0), QUIET, at=pose)
    np.testing.assert_allclose(found.points[:, 1], 1.0, rtol=1e-6)
    assert len(found.points) > 500


@pytest.mark.parametrize('pattern', ['spinning', 'solid_state'])
def test_the_types_of_a_sweep(pattern: str) -> None:
    found = sweep(wall(10.0), quiet(pattern=pattern, shots=500))
    assert [values.dtype for values in found] == [np.float32, np.uint8, np.float32, np.float32]
    assert {len(values) for values in found} == {len(found.points)}


def test_the_hdl64_has_two_blocks() -> None:
    """32 beams from +2 deg down by 1/3 deg, 32 from -8.83 to -24.33 deg by 1/2 deg."""
    elevations = np.array(HDL64_ELEVATIONS_DEG)
    assert len(elevations) == 64
    np.testing.assert_allclose(np.diff(elevations[:32]), 0.5)
    np.testing.assert_allclose(np.diff(elevations[32:]), 1 / 3, atol=1e-3)
    assert elevations[[0, 31, 32, 63]] == pytest.approx([-24.33, -8.83, -8.33, 2.0])


def test_the_vlp32c_has_32_rising_rings_that_crowd_at_the_horizon() -> None:
    """1/3 degree apart from -4 to 1.667 degrees."""
    elevations = np.array(VLP32_ELEVATIONS_DEG)
    assert len(elevations) == 32
    assert (np.diff(elevations) > 0.3).all()
    assert (elevations[0], elevations[-1]) == (-25.0, 15.0)
    crowded = elevations[(elevations >= -4) & (elevations <= 1.7)]
    assert len(crowded) == 18
    np.testing.assert_allclose(np.diff(crowded), 1 / 3, atol=1e-3)


@pytest.mark.parametrize(
    ('rings', 'elevations_deg'),
    [
        ('even', np.linspace(-24.8, 2.0, 64)),
        ('hdl64e', HDL64_ELEVATIONS_DEG),
        ('vlp32c', VLP32_ELEVATIONS_DEG),
    ],
)
def test_each_ring_is_at_its_elevation(rings: str, elevations_deg: Any) -> None:
    """From the lowest up, with a shot in every step of the turn."""
    config = LidarConfig(rings=rings, drop_out=0.0, azimuth_step_deg=2.0, range_sigma_m=0.0)
    found = sweep(shell(5.0), config)
    points = found.points.astype(np.float64)
    up_deg = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    np.testing.assert_allclose(up_deg, np.array(elevations_deg)[found.ring], atol=1e-4)
    steps = azimuth_deg(points) / 2.0
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert len(points) > 0.99 * 180 * len(elevations_deg)  # 1 of 8000 is lost at 5 of 100 m


def test_each_ring_is_off_and_turned_and_biased_as_it_was_built() -> None:
    off_deg, turned_deg, bias_m = (0.2, -0.1, 0.0), (0.0, 0.25, 0.5), (0.0, 0.03, -0.02)
    found = sweep(shell(8.0), Lidar(QUIET, off_deg, turned_deg, bias_m))
    points = found.points.astype(np.float64)
    up_deg = np.degrees(np.arcsin(points[:, 2] / range_m(points)))
    for ring in range(3):
        mine = found.ring == ring
        rest = np.mod(azimuth_deg(points[mine]) - turned_deg[ring] + 0.5, 1.0) - 0.5
        np.testing.assert_allclose(rest, 0.0, atol=1e-3)
        np.testing.assert_allclose(up_deg[mine], (-10, 0, 10)[ring] + off_deg[ring], atol=1e-4)
        np.testing.assert_allclose(range_m(points[mine]), 8 + bias_m[ring], atol=1e-5)
        assert mine.sum() > 300


@pytest.mark.parametrize(
    ('radius_m', 'drop_out', 'share'),
    [(10, 0.0, 1 - 0.1**3), (10, 0.25, 0.75 * (1 - 0.1**3)), (80, 0.1, 0.9 * (1 - 0.8**3))],
)
def test_share_of_returns_and_their_noise(radius_m: float, drop_out: float, share: float) -> None:
    config = LidarConfig(drop_out=drop_out, azimuth_step_deg=0.4, range_sigma_m=0.05)
    found = sweep(shell(radius_m), config)
    assert len(found.points) / (64 * 900) == pytest.approx(share, abs=0.007)
    error_m = range_m(found.points) - radius_m
    assert error_m.mean() == pytest.approx(0, abs=0.002)
    assert error_m.std() == pytest.approx(0.05, rel=0.03)
    directions = found.points / range_m(found.points)[:, None]
    off = np.degrees(np.arcsin(directions[:, 2])) - config.elevations_deg[found.ring]
    np.testing.assert_allclose(off, 0, atol=1e-3)  # noise is along the beam


def test_losses_at_grazing_incidence_are_those_of_the_law() -> None:
    """At a cosine of 0.03 63 % come back, at 0.06 86 %; 10,000 shots: three sigmas are 1.5 %."""
    for cosine, share in ((0.03, 1 - math.exp(-1)), (0.06, 1 - math.exp(-2)), (1.0, 1.0)):
        kept, measured_m = echoes(
            np.full(10_000, 5.0), np.full(10_000, cosine), QUIET, np.random.default_rng(0)
        )
        assert kept.mean() == pytest.approx(share, abs=0.015)
        np.testing.assert_array_equal(measured_m, 5.0)


def test_nothing_returns_from_beyond_the_maximum_range() -> None:
    assert sweep(shell(101), LidarConfig()).points.shape == (0, 3)
    assert len(sweep(shell(95), LidarConfig()).points) > 1000


def test_nothing_comes_from_beyond_the_reach_of_a_dark_surface() -> None:
    """0.2 of the light gives back half the reach of 0.8: 10 m of 20 m. Black gives nothing back,
    a retro-reflector of 3.2 twice the reach."""
    config = quiet(max_range_m=20.0)
    counts = {
        (reflectivity, radius): len(
            sweep(shell(radius, Material(reflectivity=reflectivity)), config).points
        )
        for reflectivity in (0.0, 0.2, 0.8, 3.2)
        for radius in (5.0, 9.0, 10.1, 19.0, 20.1, 39.0, 40.1)
    }
    farthest = {
        reflectivity: max((r for (m, r), count in counts.items() if m == reflectivity and count),
                          default=0.0)
        for reflectivity in (0.0, 0.2, 0.8, 3.2)
    }  # fmt: skip
    assert farthest == {0.0: 0.0, 0.2: 9.0, 0.8: 19.0, 3.2: 39.0}


def test_nothing_comes_from_the_blind_zone() -> None:
    near, far = (sweep(wall(4.0), quiet(min_range_m=least)).points for least in (0.0, 4.5))
    assert range_m(far).min() >= 4.5
    assert range_m(near).min() < 4.001
    assert len(near) > len(far)


def test_intensity_is_what_a_diffuse_surface_scatters_back() -> None:
    """Facing it, 100 times its reflectivity; at 60 degrees half of that."""
    for reflectivity in (0.1, 0.5, 1.0):
        found = sweep(wall(10.0, Material(reflectivity=reflectivity)), QUIET)
        cosine = 10 / range_m(found.points)
        np.testing.assert_allclose(found.intensity, 100 * reflectivity * cosine, rtol=1e-4)
    slant = np.abs(np.abs(azimuth_deg(found.points)) - 60) < 0.1
    slant &= found.ring == 1
    np.testing.assert_allclose(found.intensity[slant], [50, 50], rtol=1e-3)


def test_a_retro_reflector_is_brighter_than_all_that_is_diffuse() -> None:
    """More than 100 from any side, up to 255, and the more the better it reflects."""
    seen = []
    for reflectivity in (1.01, 1.2, 2.0, 3.0, 50.0):
        found = sweep(wall(10.0, Material(reflectivity=reflectivity)), QUIET)
        assert np.ptp(found.intensity) < 1e-3
        seen.append(found.intensity[0])
    assert 100 < seen[0] < 105
    assert (np.diff(seen) > 0).all()
    assert seen[3] > 200
    assert seen[4] == pytest.approx(255)


def test_glass_lets_its_share_of_the_shots_through() -> None:
    """0.7 of them through a pane, 0.49 through two, to the wall behind; the others see the first
    pane that held them. 10,800 shots: three sigmas are 1.5 %."""
    glass, config = Material(reflectivity=0.3, see_through=0.7), quiet(azimuth_step_deg=0.1)
    panes = (wall(3.0, glass), wall(5.0, glass), wall(9.0))
    found = sweep(World(panes), config)
    x, ahead = found.points[:, 0], np.abs(azimuth_deg(found.points)) < 60
    for distance, share in ((3.0, 0.3), (5.0, 0.21), (9.0, 0.49)):
        at = np.abs(x - distance) < 1e-4
        assert (at & ahead).sum() / (3 * 1201) == pytest.approx(share, abs=0.025)
        reflectivity = 0.3 if distance < 9 else 0.8
        cosine = distance / range_m(found.points[at])
        np.testing.assert_allclose(found.intensity[at], 100 * reflectivity * cosine, rtol=1e-3)
    assert set(x.round(3)) == {np.float32(3), np.float32(5), np.float32(9)}


def test_through_clear_glass_one_sees_what_is_behind_it_and_nothing_before_the_sky() -> None:
    """A box of glass has a front and a back; what it holds is seen too."""
    clear = Material(see_through=1.0)
    builder = Builder()
    builder.box((5, 0, -1), (2, 2, 2), clear)
    builder.ball((5, 0, 0), (0.5, 0.5, 0.5), LIGHT)
    config = quiet(beams=1, lowest_deg=0.0, azimuth_step_deg=0.5)
    found = sweep(World(builder.parts), config)
    assert 10 < len(found.points) < 30
    np.testing.assert_allclose(range_m(found.points - np.float32((5, 0, 0))), 0.5, atol=1e-5)
    behind = sweep(World((*builder.parts, wall(20.0))), config)
    beside = np.abs(range_m(behind.points - np.float32((5, 0, 0))) - 0.5) > 1e-3
    np.testing.assert_allclose(behind.points[beside, 0], 20.0, rtol=1e-6)
    assert len(behind.points) > 340


def test_a_rosette_fills_its_field_of_view_and_moves_on() -> None:
    lidar = Lidar(LidarConfig(pattern='solid_state', fov_h_deg=70, fov_v_deg=25))
    beams = lidar.beams(0)
    assert beams.directions.shape == (24000, 3)
    np.testing.assert_allclose(np.linalg.norm(beams.directions, axis=1), 1)
    azimuth = azimuth_deg(beams.directions)
    elevation = np.degrees(np.arcsin(beams.directions[:, 2]))
    for angle, half in ((azimuth, 35.0), (elevation, 12.5)):
        assert 0.95 * half < np.abs(angle).max() <= half + 1e-9
        assert angle.min() < -0.95 * half
    assert np.abs(beams.directions - lidar.beams(1).directions).max() > 0.1
    assert (beams.ring == 0).all()
    np.testing.assert_allclose(np.diff(beams.time), 1 / 24000)
    assert (beams.time[0], beams.time[-1]) == pytest.approx((-0.5, 0.5), abs=1e-4)


def test_the_next_sweep_of_a_rosette_is_another_and_that_of_rings_the_same() -> None:
    """Each sweep takes 0.1 s."""
    for pattern, same in (('solid_state', False), ('spinning', True)):
        lidar = Lidar(quiet(pattern=pattern, shots=2000))
        first, second = (
            lidar.sweep(shell(9.0), still(np.eye(4)), time_s, np.random.default_rng(0)).points[
                :500
            ]
            for time_s in (0.0, 0.1)
        )
        assert np.array_equal(first, second) == same


def test_only_the_beams_that_are_given_are_shot() -> None:
    beams = Beams(
        np.array([(1.0, 0, 0), (0.8, 0.6, 0)]), np.array([2, 1], np.uint8), np.array([0.3, -0.2])
    )
    found = sweep(wall(8.0), QUIET, beams=beams)
    np.testing.assert_allclose(found.points, [(8, 6, 0), (8, 0, 0)], atol=1e-5)
    np.testing.assert_array_equal(found.ring, [1, 2])
    np.testing.assert_allclose(found.time_s, [-0.02, 0.03], rtol=1e-6)
    none = sweep(wall(8.0), QUIET, beams=beams.of(np.zeros(2, bool)))
    assert none.points.shape == (0, 3)
    assert len(none.ring) == len(none.time_s) == len(none.intensity) == 0


def test_a_seed_repeats_bit_for_bit() -> None:
    config = quiet(range_sigma_m=0.02, drop_out=0.2, beams=16)
    panes = World((wall(5.0, Material(see_through=0.5)), wall(10.0)))
    one, same, other = (sweep(panes, config, seed) for seed in (7, 7, 8))
    for values, again in zip(one, same, strict=True):
        assert values.tobytes() == again.tobytes()
    assert one.points.shape != other.points.shape


@pytest.mark.parametrize(
    ('config', 'change', 'message'),
    [
        (QUIET, {'range_bias_m': (0.1,)}, 'range_bias_m has 1 values for 3 rings'),
        (QUIET, {'turned_deg': (0.0,) * 4}, 'turned_deg has 4 values for 3 rings'),
        (QUIET, {'off_deg': (0.0,) * 2}, 'off_deg has 2 values for 3 rings'),
        (quiet(beams=255), {}, 'at most 254 rings, got 255'),
    ],
)
def test_a_contradictory_lidar_is_refused(config: Any, change: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Lidar(config, **change)
