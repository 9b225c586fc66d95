"""Shards are the same whoever makes them and however often, and give back what was cast."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_ros.errors import TrainingError
from depth_ros.methods.guided import MIN_RETURNS
from depth_ros.simulation.camera import CameraSensor
from depth_ros.simulation.lidar import NO_RING
from depth_ros.training import shards
from depth_ros.training.shards import (
    MAX_DEPTH_M,
    STEP_M,
    VIEWS,
    WORLD,
    ShardConfig,
    Shards,
    make_shards,
    random_intrinsics,
)

pytest.importorskip('embreex', reason='rays are cast by Embree')

CONFIG = ShardConfig(shards=2, height=64, width=96, indoor_share=0.5, seed=3)


@pytest.fixture(scope='module')
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards that one process made."""
    folder = tmp_path_factory.mktemp('shards') / 'new'
    make_shards(folder, CONFIG)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    shutil.copytree(made, tmp_path / 'copy')
    return tmp_path / 'copy'


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob('shard_*'))}


def test_there_is_a_shard_for_each_scene_and_nothing_else(made: Path) -> None:
    names = ['shard_000000.npy', 'shard_000001.npy', 'shards.json']
    assert sorted(path.name for path in made.iterdir()) == names
    assert json.loads((made / 'shards.json').read_text()) == {
        'shards': 2, 'height': 64, 'width': 96, 'indoor_share': 0.5, 'seed': 3, 'views': VIEWS,
        'world': WORLD,
    }  # fmt: skip
    first, second = content(made).values()
    assert first != second


def test_what_is_there_is_not_made_again(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.glob('*.npy')}
    told: list[tuple[int, int]] = []
    make_shards(folder, CONFIG, progress=lambda done, of: told.append((done, of)))
    assert {path: path.stat().st_mtime_ns for path in folder.glob('*.npy')} == before
    assert told == []


def test_what_is_missing_is_made_and_is_the_same(folder: Path) -> None:
    before = content(folder)
    (folder / 'shard_000000.npy').unlink()
    kept = (folder / 'shard_000001.npy').stat().st_mtime_ns
    told: list[tuple[int, int]] = []
    make_shards(folder, CONFIG, progress=lambda done, of: told.append((done, of)))
    assert content(folder) == before
    assert (folder / 'shard_000001.npy').stat().st_mtime_ns == kept
    assert told == [(2, 2)]


def test_two_workers_make_the_same_as_one(made: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    make_shards(tmp_path, CONFIG, workers=2, progress=lambda done, of: told.append((done, of)))
    assert content(tmp_path) == content(made)
    assert told == [(1, 2), (2, 2)]


def test_a_raised_number_of_shards_extends_the_folder(folder: Path) -> None:
    before = content(folder)
    told: list[tuple[int, int]] = []
    three = ShardConfig(shards=3, height=64, width=96, indoor_share=0.5, seed=3)
    make_shards(folder, three, progress=lambda done, of: told.append((done, of)))
    assert told == [(3, 3)]
    after = content(folder)
    third = after.pop('shard_000002.npy')
    assert after == before
    assert third not in before.values()
    assert json.loads((folder / 'shards.json').read_text())['shards'] == 3


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'seed': 4}, 'another seed;'),
        ({'height': 80}, 'another height;'),
        ({'width': 112, 'indoor_share': 0.1}, 'another width, indoor_share;'),
    ],
)
def test_a_folder_of_other_shards_is_refused_and_left_alone(
    folder: Path, change: dict[str, Any], named: str
) -> None:
    before, told = content(folder), (folder / 'shards.json').read_text()
    wanted = {'shards': 2, 'height': 64, 'width': 96, 'indoor_share': 0.5, 'seed': 3} | change
    with pytest.raises(TrainingError, match=named):
        make_shards(folder, ShardConfig(**wanted))
    assert content(folder) == before
    assert (folder / 'shards.json').read_text() == told


@pytest.mark.parametrize('damaged', ['{"seed": ', '[1]', '3', '\xff'])
def test_a_folder_whose_description_is_damaged_is_refused_and_left_alone(
    folder: Path, damaged: str
) -> None:
    before = content(folder)
    (folder / 'shards.json').write_bytes(damaged.encode('latin-1'))
    with pytest.raises(
        TrainingError, match=r'shards\.json does not say what is beside it \(.*take another folder'
    ):
        make_shards(folder, CONFIG)
    assert content(folder) == before
    assert (folder / 'shards.json').read_bytes() == damaged.encode('latin-1')


def test_a_share_of_rooms_beyond_0_to_1_is_refused() -> None:
    with pytest.raises(TrainingError, match=r'indoor_share must be 0 to 1, got 1\.5'):
        ShardConfig(indoor_share=1.5)


@pytest.mark.parametrize(
    'change', [{'height': 100}, {'width': 440}, {'height': -32}, {'width': 0}, {'shards': 0}]
)
def test_sizes_that_networks_cannot_halve_and_no_shards_are_refused(change: Any) -> None:
    (name, value) = next(iter(change.items()))
    with pytest.raises(TrainingError, match=f'multiples of 16.*{name}={value}'):
        ShardConfig(**change)


def test_a_view_gives_back_what_was_cast(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Depth to half a step of 2 mm, image and ring and camera exactly."""
    cast: list[tuple[Any, ...]] = []
    photograph, sparse_depth = CameraSensor.photograph, shards.sparse_depth

    def photographing(sensor: CameraSensor, *args: Any) -> Any:
        photo = photograph(sensor, *args)
        depth_m = np.where(photo.depth_m < MAX_DEPTH_M, photo.depth_m, 0)
        cast.append((sensor.camera.intrinsics, photo.image, depth_m))
        return photo

    def projecting(*args: Any) -> Any:
        found = sparse_depth(*args)
        cast[-1] += found
        return found

    monkeypatch.setattr(CameraSensor, 'photograph', photographing)
    monkeypatch.setattr(shards, 'sparse_depth', projecting)
    shards._make_shard(tmp_path, CONFIG, 1)
    assert content(tmp_path)['shard_000001.npy'] == content(made)['shard_000001.npy']
    views = Shards(tmp_path)
    assert len(cast) == len(views) == VIEWS
    for index, (camera, image, depth_m, sparse_m, ring) in enumerate(cast):
        example, stored_ring = views.view(index)
        np.testing.assert_array_equal(example.image, image)
        np.testing.assert_array_equal(stored_ring, ring)
        np.testing.assert_allclose(example.K, camera.matrix, rtol=1e-6)
        for stored_m, true_m in ((example.truth_m, depth_m), (example.sparse_m, sparse_m)):
            assert stored_m.dtype == np.float32
            np.testing.assert_allclose(stored_m, true_m, atol=STEP_M / 2 + 2e-5)
            np.testing.assert_array_equal(stored_m > 0, true_m > 0)


def test_views_of_a_shard_are_several_of_one_scene(made: Path) -> None:
    views = [Shards(made).view(index)[0] for index in range(2 * VIEWS)]
    for view in views:
        assert view.image.shape == (64, 96, 3)
        assert np.ptp(view.image) > 50
        assert view.truth_m.max() < 131
    assert len({view.image.tobytes() for view in views}) == 2 * VIEWS
    assert len({view.K[0, 0] for view in views}) == 2 * VIEWS, 'each has a camera of its own'
    assert np.median([(view.truth_m > 0).mean() for view in views]) > 0.5, 'not only sky'
    assert np.median([np.count_nonzero(view.sparse_m) for view in views]) > 2 * MIN_RETURNS


def test_each_return_has_a_ring_and_lies_on_the_truth_mostly(made: Path) -> None:
    """But for parallax, calibration, motion and noise."""
    near = []
    for index in range(2 * VIEWS):
        example, ring = Shards(made).view(index)
        found = example.sparse_m > 0
        np.testing.assert_array_equal(ring != NO_RING, found)
        both = found & (example.truth_m > 0)
        near.append(np.abs(example.sparse_m - example.truth_m)[both] < 0.1 * example.truth_m[both])
    assert np.concatenate(near).mean() > 0.8


def test_an_example_repeats_with_its_seed_and_differs_with_another(made: Path) -> None:
    views = Shards(made)

    def drawn(index: int, seed: int) -> tuple[bytes, ...]:
        example = views.example(index, seed)
        return tuple(values.tobytes() for values in (example.image, example.sparse_m,
                                                     example.truth_m, example.K))  # fmt: skip

    for index in (0, VIEWS + 1):
        assert drawn(index, 1) == drawn(index, 1)
        assert len({drawn(index, seed) for seed in range(12)}) == 12
    assert drawn(0, 1) != drawn(1, 1)


def test_returns_farther_than_can_be_kept_are_none(made: Path, tmp_path: Path) -> None:
    path = next(made.glob('shard_*.npy'))
    rows = np.load(path)
    v, u = np.argwhere(rows[0]['ring'] != NO_RING)[0]
    rows[0]['sparse'][v, u] = shards._steps(np.float32(145.0))
    np.save(tmp_path / path.name, rows)
    example, ring = Shards(tmp_path).view(0)
    assert (example.sparse_m[v, u], ring[v, u]) == (0, NO_RING)
    before = Shards(made).view(0)[0].sparse_m
    assert np.count_nonzero(example.sparse_m) == np.count_nonzero(before) - 1


def test_no_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match='has no shards; make_shards'):
        Shards(tmp_path)


@pytest.mark.parametrize('indoor', [False, True])
def test_cameras_stay_in_their_range(indoor: bool) -> None:
    """The principal point is anywhere around the window; focal lengths are even in log."""
    rng = np.random.default_rng(0)
    drawn = [random_intrinsics(rng, 192, 448, indoor) for _ in range(400)]
    low, high = (250, 1400) if indoor else (350, 2400)
    f = np.array([camera.fx for camera in drawn])
    assert low <= f.min() < 1.03 * low
    assert 0.97 * high < f.max() <= high
    assert np.median(f) == pytest.approx(np.sqrt(low * high), rel=0.1)
    assert all(camera.fx == camera.fy for camera in drawn)
    assert {(camera.height, camera.width) for camera in drawn} == {(192, 448)}
    cx, cy = np.array([(camera.cx / 448, camera.cy / 192) for camera in drawn]).T
    assert (cx.min(), cx.max()) == pytest.approx((-0.4, 1.4), abs=0.03)
    assert (cy.min(), cy.max()) == pytest.approx((-0.5, 0.7), abs=0.03)
