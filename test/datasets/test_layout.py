"""Files of bare numbers read by a wrong description are found out; right ones never are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_ros.datasets.clouds import read_cloud
from depth_ros.datasets.layout import check_layout, distinctness
from depth_ros.datasets.simulator import Simulator
from depth_ros.errors import DatasetError

NAMES = ('x', 'y', 'z', 'intensity', 'ring', 't', 'u', 'v')


def scan(beams: int = 16, step_deg: float = 1.0) -> np.ndarray:
    """A room of 8 x 5 m with a floor 1.6 m below, in the order in which 16 lasers fire."""
    azimuth = np.radians(np.arange(0.5, 360, step_deg))
    up = np.radians(np.linspace(-15, 15, beams))[np.argsort(np.arange(beams) % 2, kind='stable')]
    around, up = np.meshgrid(azimuth, up, indexing='ij')
    wall_m = np.minimum(4 / abs(np.cos(around)), 2.5 / abs(np.sin(around))) / np.cos(up)
    floor_m = np.where(up < 0, -1.6 / np.minimum(np.sin(up), -1e-9), np.inf)
    r = np.minimum(wall_m, floor_m)
    x, y = r * np.cos(up) * np.cos(around), r * np.cos(up) * np.sin(around)
    return np.stack((x, y, r * np.sin(up)), axis=-1).reshape(-1, 3)


def table(columns: int) -> np.ndarray:
    points = scan()
    count = len(points)
    rng = np.random.default_rng(3)
    more = (rng.random(count), np.arange(count) % 16, np.linspace(0, 0.1, count))
    return np.column_stack((points, *more, *np.zeros((2, count))))[: count // 120 * 120, :columns]


@pytest.mark.parametrize('stored', [3, 4, 5, 6, 8])
@pytest.mark.parametrize('described', [3, 4, 5, 6])
def test_a_wrong_number_of_columns_is_found_out_and_the_right_one_named(
    tmp_path: Path, stored: int, described: int
) -> None:
    (tmp_path / 'a.bin').write_bytes(table(stored).astype('<f4').tobytes())
    if stored == described:
        points = read_cloud(tmp_path / 'a.bin', NAMES[:described])
        np.testing.assert_array_equal(points, table(3).astype(np.float32))
    elif described % stored == 0:  # half of the points, but all where they are
        points = read_cloud(tmp_path / 'a.bin', NAMES[:described])
        np.testing.assert_array_equal(points, table(3)[:: described // stored].astype('f4'))
    else:
        with pytest.raises(DatasetError, match=f'{stored} columns of float32') as caught:
            read_cloud(tmp_path / 'a.bin', NAMES[:described])
        assert '`lidar.fields`' in str(caught.value)


@pytest.mark.parametrize(('code', 'name'), [('<f8', 'float64'), ('>f4', 'float32, big-endian')])
@pytest.mark.parametrize('columns', [3, 4])
def test_another_type_is_found_out_and_named(columns: int, code: str, name: str) -> None:
    with pytest.raises(DatasetError, match=f'looks like {columns} columns of {name}'):
        check_layout(table(columns).astype(code).tobytes(), NAMES[:4])


def test_a_cut_file_names_what_it_could_be() -> None:
    data = table(5).astype('<f4').tobytes()[:-20]
    with pytest.raises(DatasetError, match=r'no whole number of 16-byte.*like 5 columns of fl'):
        check_layout(data, NAMES[:4])
    cut = table(4).astype('<f4').tobytes()[:-5]
    with pytest.raises(DatasetError, match=r'truncated, or other columns\.$'):
        check_layout(cut, NAMES[:4])


def test_normals_and_colours_behind_points_are_no_points() -> None:
    rng = np.random.default_rng(5)
    points = scan()
    normals = rng.normal(size=points.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    for behind in (normals, rng.integers(0, 256, points.shape)):
        data = np.column_stack((points, behind)).astype('<f4').tobytes()
        with pytest.raises(DatasetError, match='6 columns of float32'):
            check_layout(data, NAMES[:3])


def test_distinctness_by_hand() -> None:
    # Ranks 1 1 1 2 2 2 ... of two columns that share no value: all variance lies between them.
    assert distinctness(np.tile([1.0, 5.0], 50), 2) == pytest.approx(1.0)
    assert distinctness(np.tile([1.0, 5.0], 51)[:99], 3) == pytest.approx(0.0, abs=1e-3)
    assert distinctness(np.full(60, 2.0), 3) == 0.0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=st.integers(0, 8), extra=st.integers(0, 5))
def test_valid_clouds_are_never_refused(seed: int, kind: int, extra: int) -> None:
    rng = np.random.default_rng(seed)
    count, size_m = int(rng.integers(1, 3000)), 10 ** rng.uniform(-1, 2.3)
    points = rng.uniform(-size_m, size_m, (count, 3))
    if kind == 1:
        points = rng.normal(0, size_m, (count, 3))
    elif kind == 2:
        points = abs(points)
    elif kind == 3:
        points = np.round(points)
    elif kind == 4:
        points[::2] *= 0.05  # every other laser looks at the ground
    elif kind == 5:
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    elif kind == 6:
        points = scan(int(rng.choice([1, 2, 3, 4, 6, 12, 16, 40])), 3.0)
    elif kind == 7:
        points[:, rng.integers(3)] = rng.uniform(-1, 1)
    elif kind == 8:
        points[rng.random(count) < rng.random()] = rng.choice([0.0, np.nan])
    count = len(points)
    columns = (
        np.zeros(count), rng.random(count), rng.integers(0, 256, count), np.arange(count) % 16,
        rng.uniform(0, 1e9, count), points[:, 0],
    )  # fmt: skip
    behind = [columns[index] for index in rng.integers(0, len(columns), extra)]
    data = np.column_stack((points, *behind)).astype('<f4').tobytes()
    check_layout(data, NAMES[: 3 + extra])


@pytest.mark.parametrize('pattern', ['spinning', 'solid_state'])
@pytest.mark.parametrize('scene', ['street', 'indoor'])
def test_simulated_sweeps_are_not_refused(scene: str, pattern: str) -> None:
    points = Simulator(scene=scene, frames=1, **{'sweep.pattern': pattern}).sample(0).frame.points
    assert len(points) > 1000
    check_layout(np.ascontiguousarray(points, '<f4').tobytes(), NAMES[:3])
    four = np.column_stack((points, np.full(len(points), 0.5)))
    check_layout(four.astype('<f4').tobytes(), NAMES[:4])


def test_recorded_sweeps_are_not_refused(data_dir: Path) -> None:
    sweeps = sorted(data_dir.rglob('*.bin'))  # all of x, y, z, intensity
    assert len(sweeps) > 20
    for sweep in sweeps:
        check_layout(sweep.read_bytes(), NAMES[:4])
