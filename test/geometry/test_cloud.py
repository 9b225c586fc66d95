"""Depth to cloud: every value by hand, bits by `struct`, and back to depth."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from depth_ros.errors import GeometryError
from depth_ros.geometry.camera import Intrinsics
from depth_ros.geometry.cloud import CLOUD_FIELDS, Gate, cloud_shape, fill_cloud, packed_rgb
from depth_ros.geometry.projection import project_lidar

PINHOLE = Intrinsics(7, 5, fx=4.0, fy=5.0, cx=2.5, cy=1.5)
DEPTH_M = np.linspace(1, 18, 35, dtype=np.float32).reshape(5, 7)
SIGMA_M = DEPTH_M / 8
IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)


def cloud_of(depth_m, stride=1, sigma_m=SIGMA_M):
    cloud = np.full(cloud_shape(PINHOLE, stride), -1, np.float32)
    fill_cloud(cloud, depth_m, sigma_m, IMAGE, PINHOLE, stride)
    return cloud


@pytest.mark.parametrize(('stride', 'shape'), [(1, (5, 7)), (2, (3, 4)), (3, (2, 3)), (9, (1, 1))])
def test_every_point_by_hand(stride, shape):
    assert CLOUD_FIELDS == ('x', 'y', 'z', 'rgb', 'sigma')
    cloud = cloud_of(DEPTH_M, stride)
    assert cloud.shape == (*shape, 5)
    for row in range(shape[0]):
        for column in range(shape[1]):
            v, u = row * stride, column * stride
            z = DEPTH_M[v, u]
            x, y = (u - 2.5) / 4 * z, (v - 1.5) / 5 * z
            assert np.allclose(cloud[row, column, :3], (x, y, z), rtol=1e-6)
            assert cloud[row, column, 4] == SIGMA_M[v, u]
            bits = struct.unpack('=I', cloud[row, column, 3].tobytes())[0]
            red, green, blue = IMAGE[v, u].tolist()
            assert bits == red << 16 | green << 8 | blue


def test_unknown_depth_is_a_nan_point_with_its_colour():
    depth_m, sigma_m = DEPTH_M.copy(), SIGMA_M.copy()
    depth_m[2, 3] = sigma_m[2, 3] = np.nan
    cloud = cloud_of(depth_m, sigma_m=sigma_m)
    assert np.isnan(cloud[2, 3, [0, 1, 2, 4]]).all()
    assert np.isfinite(cloud[2, 3, 3])
    assert np.isfinite(np.delete(cloud.reshape(-1, 5), 2 * 7 + 3, axis=0)).all()


def test_what_does_not_pass_the_gate_is_a_nan_point():
    sigma_m = SIGMA_M.copy()  # an eighth of depth
    sigma_m[1, 2:4] = DEPTH_M[1, 2:4] * (0.19, 0.21)
    sigma_m[4, 6] = 3.5  # 18 m
    cloud = np.full(cloud_shape(PINHOLE), -1, np.float32)
    fill_cloud(cloud, DEPTH_M, sigma_m, IMAGE, PINHOLE, gate=Gate(0.2, 3.0))
    gone = np.isnan(cloud[..., [0, 1, 2, 4]])
    assert np.array_equal(np.argwhere(gone.all(-1)), [(1, 3), (4, 6)])
    assert gone.sum() == 8
    assert np.isfinite(cloud[..., 3]).all()


@pytest.mark.parametrize(
    ('gate', 'passes'),
    [
        (Gate(), [True, True, False, True]),
        (Gate(max_relative_sigma=0.1), [True, False, False, True]),
        (Gate(max_sigma_m=0.5), [True, False, False, True]),
        (Gate(max_sigma_m=0.1), [False, False, False, True]),
    ],
)
def test_gate(gate, passes):
    depth_m = np.array([3.0, 5.0, np.nan, np.inf], np.float32)
    sigma_m = np.array([0.2, 0.6, np.nan, np.nan], np.float32)
    assert gate.passes(depth_m, sigma_m).tolist() == passes


def test_cloud_projects_back_to_its_depth():
    cloud = cloud_of(DEPTH_M)
    sparse_m = project_lidar(cloud[..., :3].reshape(-1, 3), np.eye(4), PINHOLE)
    assert np.array_equal(sparse_m, DEPTH_M)


def test_cloud_is_written_into_the_given_memory():
    memory = bytearray(5 * 7 * 5 * 4)
    fill_cloud(
        np.frombuffer(memory, np.float32).reshape(5, 7, 5), DEPTH_M, SIGMA_M, IMAGE, PINHOLE
    )
    assert np.array_equal(np.frombuffer(memory, np.float32).reshape(5, 7, 5), cloud_of(DEPTH_M))


def test_colours_are_packed_as_pcl_and_rviz_read_them():
    colours = np.array([[[1, 2, 3], [255, 255, 255], [0, 0, 0]]], np.uint8)
    packed = packed_rgb(colours)
    assert packed.dtype == np.float32
    assert packed.view(np.uint32).tolist() == [[0x010203, 0xFFFFFF, 0]]
    assert np.isfinite(packed).all()  # the top byte is 0, so white is no NaN


@pytest.mark.parametrize('shape', [(7, 5, 5), (5, 7, 4), (35, 5), (3, 4, 5)])
def test_cloud_of_another_shape_is_refused(shape):
    with pytest.raises(GeometryError, match=r'cloud must have shape \(5, 7, 5\), got'):
        fill_cloud(np.zeros(shape, np.float32), DEPTH_M, SIGMA_M, IMAGE, PINHOLE)
