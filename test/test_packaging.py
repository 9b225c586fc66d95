"""What colcon, rosdep and pip are told, held against what is there."""

from __future__ import annotations

import ast
import re
import runpy
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import depth_ros
from depth_ros.nodes.node_config import (
    LIVE_DEFAULTS,
    MONOCULAR_SETTINGS,
    CompletionNodeConfig,
    NodeConfig,
)
from depth_ros.pipeline.config import MONOCULAR, PipelineConfig
from depth_ros.settings import flatten, replaced

REPOSITORY = Path(__file__).resolve().parents[1]
FILE_TYPES = ('.py', '.xml', '.yaml', '.rviz')
# Modules that rosdep knows under another name.
ROSDEP_KEYS = {'tf2_ros': 'tf2_ros_py', 'cv2': 'python3-opencv', 'numpy': 'python3-numpy'}


@pytest.fixture(scope='module')
def package() -> ET.Element:
    return ET.parse(REPOSITORY / 'package.xml').getroot()


@pytest.fixture
def setup_arguments(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What setup.py passes to setuptools, which need not be installed."""
    captured: dict[str, Any] = {}
    module = ModuleType('setuptools')
    module.__dict__.update(setup=lambda **kw: captured.update(kw), find_packages=lambda **_: [])
    monkeypatch.setitem(sys.modules, 'setuptools', module)
    monkeypatch.chdir(REPOSITORY)
    runpy.run_path('setup.py')
    return captured


def test_version_is_the_same_everywhere(package: ET.Element) -> None:
    assert package.findtext('version') == depth_ros.__version__
    changelog = (REPOSITORY / 'CHANGELOG.rst').read_text()
    newest = re.search(r'^(\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)\n-+$', changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == depth_ros.__version__
    assert 'version = attr: depth_ros.__version__' in (REPOSITORY / 'setup.cfg').read_text()


def test_colcon_takes_it_for_ament_python(package: ET.Element) -> None:
    """An e-mail that catkin_pkg refuses makes it a plain Python package without a word."""
    assert package.findtext('export/build_type') == 'ament_python'
    (maintainer,) = package.findall('maintainer')
    assert re.fullmatch(
        r'[-\w%+]+(\.[-\w%+]+)*@[-\w%]+(\.[-\w%]+)*\.[a-zA-Z]{2,}', maintainer.get('email', '')
    )


def test_rest_of_package_xml_agrees(package: ET.Element, setup_arguments: dict[str, Any]) -> None:
    maintainer, license_ = package.find('maintainer'), package.find('license')
    assert maintainer is not None
    assert license_ is not None
    assert setup_arguments['name'] == package.findtext('name') == 'depth_ros'
    assert setup_arguments['maintainer'] == maintainer.text
    assert setup_arguments['maintainer_email'] == maintainer.get('email')
    assert setup_arguments['license'] == license_.text == 'Apache-2.0'
    text = (REPOSITORY / license_.get('file', '')).read_text()
    assert text.split()[:4] == ['Apache', 'License', 'Version', '2.0,']
    assert 'END OF TERMS AND CONDITIONS' in text


def imported_modules(*patterns: str) -> set[str]:
    names = set()
    for file in (file for pattern in patterns for file in REPOSITORY.glob(pattern)):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition('.')[0])
    return names - set(sys.stdlib_module_names) - {'depth_ros'}


def test_every_import_of_the_nodes_is_a_dependency(package: ET.Element) -> None:
    imported = imported_modules('depth_ros/nodes/*.py', 'launch/*.py')
    assert {'rclpy', 'tf2_ros', 'cv_bridge', 'launch_ros', 'numpy'} <= imported
    declared = {element.text for element in package.findall('exec_depend')}
    assert {ROSDEP_KEYS.get(name, name) for name in imported} <= declared


def test_core_needs_numpy_and_opencv_only(setup_arguments: dict[str, Any]) -> None:
    layers = ('geometry', 'methods', 'pipeline')
    imported = imported_modules('depth_ros/*.py', *(f'depth_ros/{name}/*.py' for name in layers))
    # Where a method is told to work on a device; test_layering holds that it is optional.
    assert imported - {'torch'} == {'numpy', 'cv2'}
    required = {re.split('[<>=~]', item)[0] for item in setup_arguments['install_requires']}
    assert required == {'numpy', 'opencv-python-headless'}


def test_ros_extra_is_pinned_and_holds_the_messages(setup_arguments: dict[str, Any]) -> None:
    pins = dict(item.split('==') for item in setup_arguments['extras_require']['ros'])
    messages = {
        f'ros-{name.replace("_", "-")}'
        for name in imported_modules('depth_ros/nodes/*.py')
        if name.endswith(('_msgs', '_interfaces'))
    }
    messages.remove('ros-tf2-msgs')  # as tf2 itself it has no wheels; nodes say so where it lacks
    assert messages
    assert messages | {'ros-rclpy[fastrtps]'} <= set(pins)


def test_colcon_test_finds_pytest(setup_arguments: dict[str, Any]) -> None:
    assert any(item.startswith('pytest') for item in setup_arguments['extras_require']['test'])


def test_share_files_are_installed(setup_arguments: dict[str, Any]) -> None:
    installed = {
        f'{folder}/{Path(file).name}': file
        for folder, files in setup_arguments['data_files']
        for file in files
    }
    index = 'share/ament_index/resource_index/packages/depth_ros'
    assert installed[index] == 'resource/depth_ros'
    assert installed['share/depth_ros/package.xml'] == 'package.xml'
    for folder in ('launch', 'config'):
        files = [f for f in (REPOSITORY / folder).rglob('*') if f.suffix in FILE_TYPES]
        assert files
        for file in files:
            relative = file.relative_to(REPOSITORY).as_posix()
            assert installed[f'share/depth_ros/{relative}'] == relative


def test_entry_points_exist(setup_arguments: dict[str, Any]) -> None:
    scripts = setup_arguments['entry_points']['console_scripts']
    targets = dict(script.split(' = ') for script in scripts)
    assert {'depth_ros', 'completion_node', 'monocular_node', 'player_node'} <= set(targets)
    for target in targets.values():
        module, _, function = target.partition(':')
        tree = ast.parse((REPOSITORY / f'{module.replace(".", "/")}.py').read_text())
        assert function in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize(
    ('file', 'configs', 'prefixes'),
    [
        ('completion.yaml', (PipelineConfig(), CompletionNodeConfig()), ('',)),
        ('monocular.yaml', (MONOCULAR, NodeConfig()), MONOCULAR_SETTINGS),
    ],
)
def test_settings_in_a_config_file_are_known_and_at_their_defaults(
    file: str, configs: tuple[Any, Any], prefixes: tuple[str, ...]
) -> None:
    yaml = pytest.importorskip('yaml')
    text = (REPOSITORY / 'config' / file).read_text()
    assert yaml.safe_load(text)['/**']['ros__parameters']  # ROS refuses one that sets nothing
    shown = yaml.safe_load(re.sub(r'^(\s+)#(?=\w)', r'\1', text, flags=re.MULTILINE))
    settings = shown['/**']['ros__parameters']
    for config in (replaced(configs[0], LIVE_DEFAULTS), configs[1]):
        defaults = flatten(config)
        mine = {k: v for k, v in settings.items() if k in defaults}
        changed = flatten(replaced(config, mine))
        assert len(mine) >= 3
        assert changed == defaults  # a file of one's own loses nothing that this one sets
    declared = {name for name in flatten(configs[0]) if name.startswith(prefixes)}
    assert set(settings) <= declared | set(flatten(configs[1]))


def test_make_has_the_targets() -> None:
    makefile = (REPOSITORY / 'Makefile').read_text()
    targets = set(re.findall(r'^(\w+):', makefile, re.MULTILINE))
    assert {'demo', 'test', 'lint', 'types', 'bench', 'clean', 'help'} <= targets
    assert (REPOSITORY / '.ci/run').stat().st_mode & 0o111


def test_no_package_index_is_named() -> None:
    """Where packages come from is for the user's pip configuration to say."""
    if shutil.which('git') is None or not (REPOSITORY / '.git').exists():
        pytest.skip('not a git checkout')
    words = r'pypi[.](org|nvidia)|pythonhosted|download[.]pytorch|anaconda[.]org'
    options = r'index[-_]url|find[-_]links|PIP_(EXTRA_)?INDEX'
    command = ['git', 'grep', '-inIE', '--untracked', f'{words}|{options}', '--', '.']
    mine = Path(__file__).relative_to(REPOSITORY)
    found = subprocess.run(
        [*command, f':!{mine}'], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert not found.stderr
    # But which build of PyTorch is wanted pip cannot know: the user names its index.
    lines = [line for line in found.stdout.splitlines() if '$(TORCH_INDEX)' not in line]
    assert lines == []
