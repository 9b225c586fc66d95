"""Every world is what its name says: drawn anew, solid, lit, and free where the rig goes."""

from __future__ import annotations

import numpy as np
import pytest

from depth_ros.simulation.lidar import Lidar, LidarConfig
from depth_ros.simulation.raycast import tile_order
from depth_ros.simulation.rig import looking, mounted
from depth_ros.simulation.scenes import WORLDS
from depth_ros.simulation.world import Wish

OUTDOORS = ('street', 'yard')
TIMES_S = (0.0, 1.7, 4.0)
AHEAD = looking((0.5, 0.0, 1.4))


def build(scene, seed=0, backend='auto', **wish):
    return WORLDS[scene](Wish(np.random.default_rng(seed), backend=backend, **wish))


@pytest.fixture(scope='module', params=list(WORLDS))
def scene(request):
    return request.param


@pytest.fixture(scope='module')
def world(scene):
    return build(scene)


def rays(height, width):
    order = tile_order(height, width)
    column, row = order % width, order // width
    half = width / 2
    return np.column_stack(
        ((column + 0.5 - half) / half, (row + 0.5 - height / 2) / half, np.ones(len(order)))
    )


def seen(world, time_s, height=60, width=160):
    pose = world.rig.poses(time_s) @ AHEAD
    return world.at(time_s).cast(pose[:3, 3], rays(height, width) @ pose[:3, :3].T)


def test_both_back_ends_see_the_same(scene):
    """Depth to 1e-4 on 99.9 % of the rays, and the same part, from three places of the way."""
    pytest.importorskip('embreex')
    fast, plain = build(scene), build(scene, backend='numpy')
    for time_s in TIMES_S:
        one, other = seen(fast, time_s), seen(plain, time_s)
        assert np.mean(np.isclose(one.t, other.t, rtol=1e-4)) >= 0.999
        parts = [np.where(h.face < 0, -1, fast.parts.part[h.face]) for h in (one, other)]
        assert np.mean(parts[0] == parts[1]) >= 0.999


def test_the_same_seed_builds_the_same_world_and_another_one_another(scene, world):
    same, other = build(scene), build(scene, seed=1)
    np.testing.assert_array_equal(same.parts.normal, world.parts.normal)
    np.testing.assert_array_equal(same.parts.material, world.parts.material)
    assert same.parts.materials == world.parts.materials
    assert same.light.above == world.light.above
    np.testing.assert_array_equal(same.rig.poses(TIMES_S), world.rig.poses(TIMES_S))
    assert len(other.parts.part) != len(world.parts.part)


@pytest.mark.parametrize('seed', range(3))
def test_nothing_is_in_the_way_of_the_rig(scene, seed):
    """A LiDAR 1.9 m, and rays 0.3 m and 1 m over the ground, meet nothing nearer than 0.4 m."""
    world = build(scene, seed)
    around = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    flat = np.column_stack((np.cos(around), np.sin(around), 0 * around))
    config = LidarConfig(beams=8, azimuth_step_deg=2.0, lowest_deg=-30, highest_deg=30)
    for time_s in np.linspace(0, 5, 9):
        pose = world.rig.poses(time_s)
        moment = world.at(time_s)
        for height_m in (0.3, 1.0):
            start = pose[:3, 3] + (0, 0, height_m)
            assert moment.cast(start, flat).t.min() > 0.4
        above = np.eye(4)
        above[2, 3] = 1.9 if scene in OUTDOORS else 1.45
        beams = Lidar(config).beams()
        start = mounted(world.rig.poses, above)(time_s)
        assert moment.cast(start[:3, 3], beams.directions @ start[:3, :3].T).t.min() > 0.4


@pytest.mark.parametrize('relief_m', [0.0, 0.3])
def test_the_rig_stands_on_the_ground(scene, relief_m):
    """Straight below, 1 m down, but for markings and plates of some millimetres."""
    world = build(scene, relief_m=relief_m)
    for time_s in TIMES_S:
        at = world.rig.poses(time_s)[:3, 3]
        over = at + np.array((0, 0, 1.0))
        hits = world.at(time_s).cast(over, np.array([[0.0, 0.0, -1.0]]))
        assert hits.t[0] == pytest.approx(1.0, abs=0.02)
        if relief_m == 0.0:
            assert at[2] == pytest.approx(0.0, abs=1e-9)


def test_a_rig_moves_smoothly_as_fast_as_it_says(scene, world):
    low, high = {'street': (5, 12), 'indoor': (0.02, 2), 'warehouse': (0.5, 3), 'yard': (1, 4)}[
        scene
    ]
    times_s = np.arange(0, 5, 0.01)
    poses = world.rig.poses(times_s)
    speed = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) / 0.01
    assert low < np.median(speed) < high
    assert np.abs(np.diff(speed)).max() < 0.2  # 20 m/s^2
    forward = np.einsum('ni,ni->n', poses[1:, :3, 0], poses[:-1, :3, 0])
    assert np.degrees(np.arccos(np.clip(forward, -1, 1))).max() < 1.0  # 100 deg/s


def test_worlds_are_closed_below_and_rooms_all_around(scene, world):
    for time_s in TIMES_S:
        start = world.rig.poses(time_s)[:3, 3] + (0, 0, 1.4)
        down = np.random.default_rng(0).standard_normal((2000, 3))
        down[:, 2] = -np.abs(down[:, 2])
        down = down[-down[:, 2] > 0.05 * np.linalg.norm(down, axis=1)]
        assert np.isfinite(world.at(time_s).cast(start, down).t).mean() > 0.999
        if scene not in OUTDOORS:
            # Windows and doors show the outside.
            assert np.isfinite(seen(world, time_s).t).mean() > 0.7


def test_a_world_is_rich(scene, world):
    """Near and far, many things in view, and glass and retro-reflectors somewhere."""
    views = [seen(world, time_s, 120, 320) for time_s in TIMES_S]
    parts = [np.unique(world.parts.part[hits.face[hits.face >= 0]]) for hits in views]
    hits = views[int(np.argmax([len(part) for part in parts]))]
    assert max(map(len, parts)) > (30 if scene == 'indoor' else 60)
    assert len(world.parts.materials) > 30
    assert np.quantile(hits.t, 0.1) * 2 < np.quantile(hits.t[np.isfinite(hits.t)], 0.9)
    see_through = [material.see_through for material in world.parts.materials]
    assert max(see_through) > 0.5


def test_things_move(scene):
    """In one of some worlds at least; from one second to the next, more than 0.1 m."""
    moved_m = []
    for seed in range(12 if scene == 'indoor' else 3):
        for mover in build(scene, seed).movers:
            before, after = mover.trajectory.poses([1.0, 2.0])
            moved_m.append(np.linalg.norm((after - before)[:3, 3]))
    assert max(moved_m, default=0.0) > 0.1


def test_a_wild_world_has_the_same_shapes_in_other_colours(scene):
    usual, wild = build(scene, seed=2), build(scene, seed=2, wild=0.8)
    assert wild.parts.materials != usual.parts.materials
    textures = {material.texture.split('_')[0] for material in wild.parts.materials}
    assert {'noise', 'pattern'} <= textures
