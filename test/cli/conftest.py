"""A folder small enough to run commands on, and machines as the doctor may find them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from depth_ros.frame import CameraView, DepthEstimate, DepthKind
from depth_ros.methods.registry import METHODS
from depth_ros.nodes import dds
from depth_ros.pipeline import fusion
from depth_ros.weights import registry

WIDTH, HEIGHT, F_PX = 192, 128, 160.0
CX, CY = 95.5, 63.5


@pytest.fixture
def wall(tmp_path: Path) -> Path:
    """Three frames of a grey wall 6 m ahead, square to the camera, seen by a LiDAR in its place.

    The frames have stamps of 0.0, 0.1 and 0.2 s, and exact truth in millimetres.
    """
    folder = tmp_path / 'wall'
    folder.mkdir()
    u, v = np.meshgrid(np.arange(0, WIDTH, 3.0), np.arange(0, HEIGHT, 3.0))
    points = 6.0 * np.stack(((u - CX) / F_PX, (v - CY) / F_PX, np.ones_like(u)), -1)
    points.astype(np.float32).tofile(folder / 'sweep.bin')
    cv2.imwrite(str(folder / 'image.png'), np.full((HEIGHT, WIDTH, 3), (30, 60, 90), np.uint8))
    cv2.imwrite(str(folder / 'truth.png'), np.full((HEIGHT, WIDTH), 6000, np.uint16))
    K = [[F_PX, 0.0, CX], [0.0, F_PX, CY], [0.0, 0.0, 1.0]]
    camera = {'width': WIDTH, 'height': HEIGHT, 'K': K, 'D': [], 'T_cam_lidar': np.eye(4).tolist()}
    frame = {
        'images': {'front': 'image.png'},
        'lidar': 'sweep.bin',
        'depth_gt': {'front': 'truth.png'},
    }
    calib = {
        'cameras': {'front': {'model': 'pinhole', **camera}},
        'lidar': {'format': 'bin_f32', 'fields': ['x', 'y', 'z']},
        'depth': {'encoding': 'uint16 png', 'scale': 0.001, 'invalid': 0},
        'frames': [{'id': str(index), 't': index / 10, **frame} for index in range(3)],
    }
    (folder / 'calib.json').write_text(json.dumps(calib))
    return folder


class FakeMono:
    """Stands in for `mono`: 6 m ahead, too far in the topmost row, unknown in the leftmost column.

    As disparity, it grows from row to row.
    """

    name = 'mono'
    needs_lidar = False
    kind = DepthKind.METRIC

    def __init__(self, **_: Any) -> None:
        pass

    def estimate(self, view: CameraView) -> DepthEstimate:
        depth_m = np.full(view.sparse_m.shape, 6.0, np.float32)
        if self.kind is not DepthKind.METRIC:
            depth_m[:] = np.arange(len(depth_m))[:, None]
        depth_m[0] = np.inf
        depth_m[:, 0] = np.nan
        sigma_m = np.float32(0.15) * depth_m
        sigma_m[~np.isfinite(depth_m)] = np.nan
        return DepthEstimate(depth_m, sigma_m, self.kind)


@pytest.fixture
def mono(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeMono]:
    """The method `mono` is a stand-in, whose `kind` can be set, and needs no weights."""
    monkeypatch.setattr(FakeMono, 'kind', DepthKind.METRIC)  # whatever a test makes of it
    monkeypatch.setitem(METHODS, 'mono', FakeMono)
    monkeypatch.setattr(fusion, 'mono_weights', lambda *_: tmp_path)
    return FakeMono


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """`modules[name] = False` hides a module from the doctor, True pretends that it is there."""
    there: dict[str, bool] = {}
    find_spec = importlib.util.find_spec

    def pretended(name: str, package: str | None = None) -> Any:
        if name in there:
            return SimpleNamespace(name=name) if there[name] else None
        return find_spec(name, package)

    monkeypatch.setattr(importlib.util, 'find_spec', pretended)
    return there


@pytest.fixture
def bare_ros(monkeypatch: pytest.MonkeyPatch, loopback: dict[str, str]) -> None:
    """No ROS settings but a domain of our own on loopback."""
    for name in (*dds.PROFILE_VARIABLES, 'RMW_IMPLEMENTATION'):
        monkeypatch.delenv(name, raising=False)
    for name, value in loopback.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv('ROS_DISTRO', raising=False)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of networks that is not made yet."""
    folder = tmp_path / 'cache'
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(folder))
    return folder


@pytest.fixture(scope='module')  # the cache must not outlast it
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Weights of a tiny network, known as the family `tiny`; the cache is a folder of tests."""
    torch = pytest.importorskip('torch')
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, 'tiny', 'tiny_family')
        patch.setenv('DEPTH_ROS_CACHE', str(folder))
        torch.manual_seed(0)
        path = folder / 'tiny.pth'
        torch.save({'net': registry.family('tiny').build().state_dict()}, path)
        yield str(path)
