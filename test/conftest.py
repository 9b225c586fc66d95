"""Fixtures for every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def data_dir() -> Path:
    """Folder of the real sensor samples: `data/` under $DEPTH_ROS_DATA, default `../shared`."""
    root = Path(os.environ.get('DEPTH_ROS_DATA') or REPOSITORY.parent / 'shared')
    folder = root / 'data'
    if not folder.is_dir():
        pytest.skip(f'no sensor samples at {folder}; set DEPTH_ROS_DATA to the folder over data/')
    return folder
