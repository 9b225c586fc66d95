"""Descriptions with numbers that cannot be, odd files, and bags given as a source."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from depth_ros.cli.main import main
from depth_ros.datasets.images import read_image
from depth_ros.datasets.records import stamp_from
from depth_ros.errors import DatasetError


def run(folder: Path, *more: str) -> int:
    out = str(folder.parent / 'out')
    return main(['run', str(folder), '-o', out, '--method', 'guided', '--format', 'npz', *more])


def describe(wall: Path, change: Callable[[dict[str, Any]], object]) -> None:
    calib = json.loads((wall / 'calib.json').read_text())
    change(calib)
    (wall / 'calib.json').write_text(json.dumps(calib))


def test_a_byte_order_mark_is_read_over(wall: Path) -> None:
    file = wall / 'calib.json'
    file.write_bytes(b'\xef\xbb\xbf' + file.read_bytes())
    assert run(wall) == 0


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (lambda calib: calib['depth'].update(scale=1000), 'as if it were units per metre; 0.001'),
        (lambda calib: calib['frames'][0].update(t=1700000000123), 'as if it were milliseconds'),
        (
            lambda calib: calib['frames'][0].update(t=1700000000123456789),
            'as if it were nanoseconds; give seconds',
        ),
        (
            lambda calib: calib['cameras']['front'].update(
                K=[[0.8, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]]
            ),
            'multiply its first row by the width',
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_suspicion(
    wall: Path,
    change: Callable[[dict[str, Any]], object],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    describe(wall, change)
    assert run(wall) == 2
    assert said in capsys.readouterr().err


def test_what_is_unlikely_is_warned_of_once(
    wall: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    points = np.fromfile(wall / 'sweep.bin', np.float32) * 1000
    points.tofile(wall / 'sweep.bin')

    def in_milliseconds(calib: dict[str, Any]) -> None:
        for index, frame in enumerate(calib['frames']):
            frame['t'] = 100 * index

    describe(wall, in_milliseconds)
    assert run(wall) == 2  # all returns are beyond max_range_m
    said = [record.getMessage() for record in caplog.records]
    assert sum('as if coordinates were millimetres' in line for line in said) <= 1
    assert sum('as if their times were milliseconds' in line for line in said) == 1
    assert 'None of the 3 images could be used' in capsys.readouterr().err


def test_times_may_be_numbers_in_quotes() -> None:
    assert stamp_from('1700000000.5') == stamp_from(1700000000.5) == 1_700_000_000_500_000_000
    assert stamp_from('1e-1') == 100_000_000


def test_sparse_depth_has_the_limits_of_range(
    wall: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def sparse(calib: dict[str, Any]) -> None:
        for frame in calib['frames']:
            del frame['lidar']
            frame['sparse_depth'] = {'front': 'truth.png'}

    describe(wall, sparse)
    assert run(wall) == 0
    assert run(wall, '--set', 'projection.max_range_m=5') == 2
    assert 'no measurement within projection.min_range_m and max_range_m' in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize('name', ['a.mcap', 'a.db3', 'a.bag', 'bag/metadata.yaml', 'bag/b_0.mcap'])
def test_a_bag_says_what_to_do(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'bag').mkdir()
    (tmp_path / name).write_bytes(b'')
    source = tmp_path / 'bag' if name.startswith('bag') else tmp_path / name
    assert run(source) == 2
    err = capsys.readouterr().err
    assert '`ros2 bag play`' in err
    assert err.count('\n') == 1


def test_bytes_behind_a_jpeg_are_ignored_and_a_cut_one_is_refused(tmp_path: Path) -> None:
    image = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8), (9, 9), 3
    )
    whole = cv2.imencode('.jpg', image)[1].tobytes()
    file = tmp_path / 'a.jpeg'
    file.write_bytes(whole)
    wanted = read_image(file)
    for behind in (b'\r\n', bytes(100), whole[40:], b'maker'):
        file.write_bytes(whole + behind)
        assert np.array_equal(read_image(file), wanted)
    for cut in (whole[: len(whole) // 2], whole[:-2], whole[:-50] + bytes(50)):
        file.write_bytes(cut)
        with pytest.raises(DatasetError, match='breaks off before its end'):
            read_image(file)
    file.write_bytes(b'')
    with pytest.raises(DatasetError, match='not an image that OpenCV can decode'):
        read_image(file)
