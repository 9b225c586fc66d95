"""The rules of the source tree: imports point one way, optional libraries stay optional."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'depth_ros'
BESIDE = ('test', 'benchmarks', 'launch')
MAX_LINES = 400

# What each layer may import besides itself.
CORE = {
    *('errors', 'files', 'settings', 'frame', 'geometry', 'messages'),
    *('models', 'weights', 'engines', 'methods', 'pipeline'),
}
ALLOWED = {
    'errors': set(),
    'files': {'errors'},
    'settings': {'errors'},
    'frame': {'errors'},
    'geometry': {'errors', 'frame'},
    'messages': {'errors', 'frame', 'geometry'},
    'models': {'errors', 'frame', 'geometry'},
    'weights': {'errors', 'files', 'frame', 'models'},
    'engines': {'errors', 'files', 'frame', 'geometry', 'models', 'weights'},
    'methods': {'errors', 'files', 'frame', 'geometry', 'models', 'weights', 'engines'},
    'pipeline': CORE,
    'nodes': CORE,
    'simulation': {'errors', 'settings', 'frame', 'geometry'},
    'datasets': CORE | {'simulation'},
    'evaluation': CORE | {'simulation', 'datasets'},
    'training': CORE | {'simulation', 'datasets', 'evaluation'},
    'cli': CORE | {'simulation', 'datasets', 'evaluation', 'training', 'nodes'},
}
# Nodes that read what is on disk: recordings to play, the extrinsic of a calib.json.
EXCEPTIONS = {
    ('nodes/player_node.py', 'datasets'),
    ('nodes/transforms.py', 'datasets'),
}

ROS = {
    'ament_index_python',
    'builtin_interfaces',
    'cv_bridge',
    'diagnostic_updater',
    'launch',
    'launch_ros',
    'message_filters',
    'rcl_interfaces',
    'rclpy',
    'rosbag2_py',
    'rosgraph_msgs',
    'sensor_msgs_py',
    'tf2_py',
    'tf2_ros',
}
OPTIONAL = {
    'embreex',
    'h5py',
    'onnx',
    'onnxruntime',
    'onnxscript',
    'open3d',
    'openvino',
    'rosbags',
    'safetensors',
    'tensorboard',
    'tensorrt',
    'torch',
    'yaml',
}
# The networks themselves derive from torch classes; whoever uses them imports them where used.
NETWORKS = re.compile(r'models/(\w+/(?!__init__)\w+|vit|dinov2|dpt)\.py')
TENSORRT = ('engines/build.py', 'engines/tensorrt_engine.py')


def imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Each imported name with dots, and whether it happens when the module is imported.

    `from a import b` counts as `a.b`. Blocks under `if TYPE_CHECKING` are left out.
    """
    todo: list[tuple[ast.AST, bool]] = [(tree, True)]
    while todo:
        node, at_import = todo.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'relative import in line {node.lineno}'
            yield from ((f'{node.module}.{alias.name}', at_import) for alias in node.names)
        body = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
            body = list(node.orelse)
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        todo += [(child, at_import and not is_function) for child in body]


def too_long(path: str, source: str) -> list[str]:
    """A complaint about a file with too many lines."""
    lines = len(source.splitlines())
    return [f'{path}: {lines} lines, at most {MAX_LINES}'] if lines > MAX_LINES else []


def violations(path: str, source: str) -> list[str]:
    """What is wrong with the file at `path` relative to the package."""
    layer = path.removesuffix('.py').split('/')[0]
    found = too_long(path, source)
    for name, at_import in imports(ast.parse(source)):
        root, _, rest = name.partition('.')
        if root == 'depth_ros':
            other = rest.split('.')[0]
            allowed = ALLOWED.get(layer, set(ALLOWED)) | {layer}
            if other in ALLOWED and other not in allowed and (path, other) not in EXCEPTIONS:
                found.append(f'{path}: {layer} must not import {name}')
        if (root in ROS or root.endswith(('_msgs', '_srvs'))) and layer != 'nodes':
            found.append(f'{path}: only nodes may import {root}')
        if root == 'tensorrt' and path not in TENSORRT:
            found.append(f'{path}: only {" and ".join(TENSORRT)} may import tensorrt')
        if root in OPTIONAL and at_import and not (root == 'torch' and NETWORKS.fullmatch(path)):
            found.append(f'{path}: import {root} where it is used')
    return found


def test_source_tree_keeps_the_rules() -> None:
    files = sorted(PACKAGE.rglob('*.py'))
    assert files
    found = [
        text
        for file in files
        for text in violations(file.relative_to(PACKAGE).as_posix(), file.read_text())
    ]
    assert not found, '\n'.join(found)


def test_what_is_beside_the_package_is_no_longer_than_its_files() -> None:
    files = [file for folder in BESIDE for file in (PACKAGE.parent / folder).rglob('*.py')]
    assert Path(__file__) in files
    found = [text for file in files for text in too_long(str(file), file.read_text())]
    assert not found, '\n'.join(found)


def test_every_layer_is_known() -> None:
    layers = {
        p.stem for p in PACKAGE.iterdir() if p.suffix == '.py' or (p / '__init__.py').exists()
    }
    assert layers - {'__init__', '__main__'} <= set(ALLOWED)


def test_no_module_needs_an_optional_library_to_be_imported() -> None:
    """Not even through another module of ours; nodes need ROS and are left out."""
    modules = [
        '.'.join(file.relative_to(PACKAGE.parent).with_suffix('').parts)
        for file in sorted(PACKAGE.rglob('*.py'))
        if file.name != '__main__.py'
        and file.relative_to(PACKAGE).parts[0] != 'nodes'
        and not NETWORKS.fullmatch(file.relative_to(PACKAGE).as_posix())
    ]
    code = (
        f'import sys, importlib\n'
        f'for name in {sorted(OPTIONAL)}: sys.modules[name] = None\n'
        f'for name in {modules}: importlib.import_module(name)'
    )
    answer = subprocess.run(
        [sys.executable, '-c', code], cwd=PACKAGE.parent, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize(
    ('path', 'source', 'wrong'),
    [
        ('geometry/a.py', 'from depth_ros.methods.base import M', 'depth_ros.methods.base.M'),
        ('geometry/a.py', 'from depth_ros import pipeline', 'depth_ros.pipeline'),
        ('pipeline/a.py', 'import depth_ros.datasets.base', 'depth_ros.datasets.base'),
        ('pipeline/a.py', 'def f():\n  from depth_ros.nodes import qos', 'depth_ros.nodes.qos'),
        ('nodes/a.py', 'import depth_ros.datasets', 'depth_ros.datasets'),
        ('errors.py', 'import depth_ros.frame', 'depth_ros.frame'),
        ('files.py', 'import depth_ros.frame', 'depth_ros.frame'),
        ('pipeline/a.py', 'import rclpy', 'rclpy'),
        ('cli/a.py', 'def f():\n  from sensor_msgs.msg import Image', 'sensor_msgs'),
        ('geometry/a.py', 'from geometry_msgs import msg', 'geometry_msgs'),
        ('messages/a.py', 'from sensor_msgs.msg import Image', 'sensor_msgs'),
        ('messages/a.py', 'from depth_ros.pipeline import sync', 'depth_ros.pipeline'),
        ('methods/a.py', 'import torch.nn as nn', 'torch'),
        ('datasets/a.py', 'try:\n  import rosbags\nexcept ImportError:\n  pass', 'rosbags'),
        ('engines/build.py', 'class A:\n  import tensorrt', 'tensorrt'),
        ('engines/a.py', 'def f():\n  import tensorrt', 'only engines/build.py'),
        ('models/bpnet/__init__.py', 'import torch', 'torch'),
        ('models/bpnet/a.py', 'import safetensors', 'safetensors'),
        ('weights/registry.py', 'import torch', 'torch'),
        ('frame.py', 'x = 1\n' * (MAX_LINES + 1), '401 lines'),
    ],
)
def test_bad_source_is_found(path: str, source: str, wrong: str) -> None:
    found = violations(path, source)
    assert len(found) == 1
    assert wrong in found[0]


@pytest.mark.parametrize(
    ('path', 'source'),
    [
        ('geometry/a.py', 'from depth_ros.geometry.camera import Camera\nimport numpy'),
        ('pipeline/a.py', 'from depth_ros import __version__'),
        ('nodes/a.py', 'import rclpy\nfrom depth_ros.pipeline import sync'),
        ('nodes/player_node.py', 'from depth_ros.datasets.base import Dataset'),
        ('engines/build.py', 'def f():\n  import tensorrt\n  import torch'),
        ('models/bpnet/a.py', 'import torch\nfrom torch import nn'),
        (
            'frame.py',
            'from typing import TYPE_CHECKING\n'
            'if TYPE_CHECKING:\n  import torch\n  from depth_ros.geometry.camera import Camera',
        ),
        ('frame.py', 'x = 1\n' * MAX_LINES),
    ],
)
def test_good_source_passes(path: str, source: str) -> None:
    assert violations(path, source) == []
