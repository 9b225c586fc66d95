"""Image files, and depth moved from one camera into another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from depth_ros.datasets.images import (
    DepthCamera,
    DepthEncoding,
    read_depth,
    read_image,
    register_depth,
    store_depth,
    write_depth,
)
from depth_ros.errors import DatasetError
from depth_ros.geometry.camera import Intrinsics


def test_depth_of_another_camera_is_registered_with_the_nearest_on_top():
    shift = np.eye(4)
    shift[0, 3] = -0.2
    source = DepthCamera(Intrinsics(9, 3, 10, 10, 4, 1), shift)
    target = Intrinsics(9, 3, 5, 5, 4, 1)
    depth_m = np.zeros((3, 9), np.float32)
    depth_m[1, 3] = 2.0
    depth_m[1, 5] = 1.0
    registered = register_depth(depth_m, source, target)
    # u_d = 3: x = -0.2 - 0.2 = -0.4, u = 4 - 0.4 / 2 * 5 = 3
    # u_d = 5: x = 0.1 - 0.2 = -0.1, u = 4 - 0.1 * 5 = 3.5, to the even 4
    expected = np.zeros((3, 9), np.float32)
    expected[1, 3], expected[1, 4] = 2.0, 1.0
    np.testing.assert_array_equal(registered, expected)
    # u_d = 4 at 1 m: x = -0.2, u = 3: hides the wall at 2 m
    depth_m[1, 4] = 1.0
    expected[1, 3] = 1.0
    np.testing.assert_array_equal(register_depth(depth_m, source, target), expected)


def test_registering_into_the_same_camera_changes_nothing():
    depth_m = np.random.default_rng(0).uniform(0.5, 9, (12, 16)).astype(np.float32)
    depth_m[depth_m < 2] = 0
    camera = Intrinsics(16, 12, 20, 21, 7.3, 5.1)
    registered = register_depth(depth_m, DepthCamera(camera, np.eye(4)), camera)
    np.testing.assert_array_equal(registered, depth_m)


def test_exif_orientation_does_not_turn_the_image(tmp_path):
    image = np.zeros((4, 8, 3), np.uint8)
    jpeg = cv2.imencode('.jpg', image)[1].tobytes()
    tiff = b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'  # rotate 90 degrees
    exif = b'Exif\0\0' + tiff
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    (tmp_path / 'a.jpg').write_bytes(jpeg[:2] + segment + jpeg[2:])
    assert cv2.imread(str(tmp_path / 'a.jpg')).shape == (8, 4, 3)  # the flag is there
    assert read_image(tmp_path / 'a.jpg').shape == (4, 8, 3)


def test_depth_in_units_of_a_file_by_hand():
    depth_m = np.array([[1.0, 2.004, np.nan, np.inf], [0.0, 300.0, 0.001, -1.0]], np.float32)
    stored = store_depth(depth_m, DepthEncoding(1 / 256))
    assert stored.dtype == np.uint16
    # 2.004 * 256 = 513.02; 300 m and 1 mm are beyond what 16 bits and 1/256 m can say.
    np.testing.assert_array_equal(stored, [[256, 513, 0, 0], [0, 65535, 1, 0]])


def test_written_depth_is_read_back_to_half_a_unit(tmp_path):
    encoding = DepthEncoding(1 / 256)
    depth_m = np.random.default_rng(0).uniform(0.5, 90, (24, 32)).astype(np.float32)
    depth_m[::3] = np.nan
    write_depth(tmp_path / 'new' / 'depth.png', depth_m, encoding)
    read_m = read_depth(tmp_path / 'new' / 'depth.png', encoding)
    np.testing.assert_allclose(read_m, np.nan_to_num(depth_m), rtol=0, atol=0.5 / 256 + 1e-5)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['depth.png']


@pytest.mark.parametrize('behind', [b'', b'\r\n', bytes(100), b'\x12\x34'])
def test_a_jpeg_is_read_whatever_is_behind_it_and_refused_where_it_breaks_off(tmp_path, behind):
    """Also where OpenCV, 4.5 on Humble, fills the rest with grey and says nothing."""
    pixels = np.full((16, 24, 3), (200, 30, 10), np.uint8)
    data, path = cv2.imencode('.jpg', pixels)[1].tobytes(), tmp_path / 'a.jpg'
    path.write_bytes(data + behind)
    assert np.abs(read_image(path).astype(int) - [10, 30, 200]).max() <= 3
    for end in (len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end] + behind)
        with pytest.raises(DatasetError, match='breaks off before its end'):
            read_image(path)


def test_an_empty_file_is_no_image(tmp_path):
    (tmp_path / 'a.png').touch()
    with pytest.raises(DatasetError, match='not an image'):
        read_image(tmp_path / 'a.png')
