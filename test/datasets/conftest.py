"""What tests of folders share."""

from __future__ import annotations

import pytest
from calib_folder import calibration


@pytest.fixture
def content():
    return calibration()
