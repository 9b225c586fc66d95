"""Fixtures for every test."""

from __future__ import annotations

import importlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from depth_ros.nodes.dds import own_domain

# A machine that is busy with other things makes examples slow, not wrong.
hypothesis.settings.register_profile(
    'patient', deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile('patient')

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files come first, so that processes that share the tests end together."""
    items.sort(key=lambda item: item.get_closest_marker('slow') is None)


@pytest.fixture(scope='session')
def data_dir() -> Path:
    """Folder of the real sensor samples: `data/` under $DEPTH_ROS_DATA, default `../shared`."""
    return _beside('data', 'sensor samples')


@pytest.fixture(scope='session')
def oracle_dir() -> Path:
    """Folder of what the official networks computed: `oracles/` beside `data/`."""
    return _beside('oracles', 'oracles')


def _beside(name: str, what: str) -> Path:
    root = Path(os.environ.get('DEPTH_ROS_DATA') or REPOSITORY.parent / 'shared')
    folder = root / name
    if not folder.is_dir():
        pytest.skip(f'no {what} at {folder}; set DEPTH_ROS_DATA to the folder over {name}/')
    return folder


@pytest.fixture(scope='session')
def loopback() -> Iterator[dict[str, str]]:
    """Environment variables that keep our nodes to this run of the tests and to this machine."""
    environ = {key: value for key, value in os.environ.items() if key == 'ROS_DISTRO'}
    with own_domain(environ):
        yield environ


@pytest.fixture(scope='session')
def key_named_bpnet() -> Any:
    """BP-Net whose parameters follow from their names: meaningless, and the same everywhere.

    The recipe is that of the oracle, so that numbers can be compared.
    """
    torch = pytest.importorskip('torch')
    bpnet = importlib.import_module('depth_ros.models.bpnet')
    model = bpnet.build()
    values = {
        key: torch.from_numpy(_key_named(key, tuple(value.shape)))
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(values)
    return model


@pytest.fixture(scope='session')
def key_named_weights(key_named_bpnet: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a checkpoint in the official form."""
    torch = pytest.importorskip('torch')
    path = tmp_path_factory.mktemp('weights') / 'result_ema.pth'
    torch.save({'net': key_named_bpnet.state_dict(), 'epoch': 30}, path)
    return path


def _key_named(key: str, shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith('num_batches_tracked'):
        return np.zeros(shape, np.int64)
    value = rng.standard_normal(shape)
    if key.endswith('running_var'):
        value = np.abs(value) + 0.5
    elif key.endswith(('running_mean', '.bias')):
        value = 0.1 * value
    elif len(shape) == 1:
        value = 1.0 + 0.1 * value
    else:
        value = value / np.sqrt(np.prod(shape[1:]))
    return value.astype(np.float32)
