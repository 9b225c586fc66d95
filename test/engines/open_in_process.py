"""Opens an exported network in the fake TensorRT, for tests with several processes.

python open_in_process.py VERSION ONNX FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_tensorrt import fake, install

from depth_ros.engines.exported import Exported
from depth_ros.engines.plan_cache import PlanCache
from depth_ros.engines.plans import open_tensorrt

if __name__ == '__main__':
    version, onnx, folder = sys.argv[1:]
    exported = Exported.read(Path(onnx))
    with pytest.MonkeyPatch.context() as patch:
        install(fake(version), patch)
        print('opening', flush=True)  # noqa: T201
        engine = open_tensorrt(
            exported, fp32=lambda: exported, may_build=True, cache=PlanCache(Path(folder))
        )
        print(engine.backend, flush=True)  # noqa: T201
