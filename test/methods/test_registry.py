"""Which methods exist and what `auto` means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from depth_ros.engines.open import Candidate
from depth_ros.methods import registry
from depth_ros.methods.base import Preparable
from depth_ros.methods.registry import METHODS, choose
from depth_ros.weights.store import weights_path


@pytest.fixture
def weights(tmp_path):
    """A file that may be weights."""
    path = tmp_path / 'mine.pth'
    path.touch()
    return str(path)


@pytest.fixture
def machine(monkeypatch):
    """`machine(*candidates)` makes them what can run networks here."""

    def make(*candidates):
        def listed(backend='auto'):
            return (one for one in candidates if backend in ('auto', one.backend))

        monkeypatch.setattr(registry, 'candidates', listed)

    return make


TENSORRT = Candidate('tensorrt', 'cuda:0', '')
NO_TENSORRT = Candidate('tensorrt', 'cuda:0', 'TensorRT is not installed.')
TORCH_ON_GPU = Candidate('torch', 'cuda:0', '')
NO_GPU = Candidate('torch', 'cuda:0', 'PyTorch finds no CUDA device.')
ON_CPU = Candidate('onnxruntime', 'cpu', '')


@pytest.mark.parametrize('name', [name for name in METHODS if name != 'mono'])
def test_methods_carry_the_name_they_are_known_by(name, weights):
    method = METHODS[name](Path(weights)) if name == 'bpnet' else METHODS[name]()
    assert method.name == name
    assert isinstance(method, Preparable) == (name in ('bpnet', 'lite'))


def test_auto_without_weights_is_lite_and_names_the_command_that_fetches_them(
    monkeypatch, tmp_path, machine
):
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    machine(TENSORRT)
    name, reason = choose('auto')
    assert name == 'lite'
    assert reason.startswith('the best here, by tensorrt on cuda:0; ')
    assert 'no weights are fetched (`depth_ros models fetch' in reason
    name, reason = choose('auto', 'no/such/file')
    assert name == 'lite'
    assert "'no/such/file' are not here" in reason


def test_auto_without_the_record_of_its_weights_is_lite_and_names_it(
    monkeypatch, tmp_path, machine
):
    monkeypatch.setenv('DEPTH_ROS_CACHE', str(tmp_path))
    machine(TENSORRT)
    file = weights_path('dmd3c')
    file.parent.mkdir(parents=True)
    file.touch()
    file.with_suffix('.json').write_text('{"name": "dm')  # as a full disk leaves it
    name, reason = choose('auto')
    assert name == 'lite'
    assert 'dmd3c.json is no record of fetched weights' in reason
    assert '`depth_ros models fetch`' in reason


def test_auto_without_a_gpu_is_lite_and_says_what_each_backend_lacks(weights, machine):
    machine(NO_TENSORRT, NO_GPU, ON_CPU)
    name, reason = choose('auto', weights)
    assert name == 'lite'
    assert reason == (
        'the best here, by onnxruntime on cpu; BP-Net is not used because no GPU can run it '
        '(tensorrt: TensorRT is not installed; torch: PyTorch finds no CUDA device)'
    )


def test_auto_where_nothing_runs_networks_is_guided_and_says_what_each_backend_lacks(machine):
    machine(NO_TENSORRT, NO_GPU)
    name, reason = choose('auto')
    assert name == 'guided'
    assert reason == (
        'the best without a network; nothing can run one (tensorrt: TensorRT is not installed; '
        'torch: PyTorch finds no CUDA device)'
    )


def test_auto_with_weights_and_a_gpu_is_the_network_and_says_on_what(weights, machine):
    machine(TENSORRT, TORCH_ON_GPU, ON_CPU)
    name, reason = choose('auto', weights)
    assert name == 'bpnet'
    assert reason.endswith('with weights mine by tensorrt on cuda:0')
    machine(NO_TENSORRT, TORCH_ON_GPU, ON_CPU)
    assert choose('auto', weights)[1].endswith('by torch on cuda:0')


def test_auto_keeps_to_the_backend_that_was_asked_for(weights, machine):
    machine(TENSORRT, TORCH_ON_GPU, ON_CPU)
    name, reason = choose('auto', weights, 'onnxruntime')
    assert name == 'lite'
    assert "`engine.backend` is 'onnxruntime'" in reason


def test_a_named_method_is_taken_as_named():
    assert choose('ip_basic') == ('ip_basic', 'chosen by the parameter `method`')


@pytest.mark.skipif(bool(list(Path('/dev').glob('nvidia[0-9]*'))), reason='there is a GPU')
def test_auto_does_not_import_pytorch_where_there_is_no_gpu(tmp_path):
    """It takes seconds, and each node and command would pay for it."""
    code = (
        'import sys\n'
        'from depth_ros.pipeline.fusion import FusionPipeline\n'
        'assert FusionPipeline().method_name in ("lite", "guided")\n'
        'print({"torch", "onnx", "tensorrt"} & set(sys.modules))'
    )
    environment = {'DEPTH_ROS_CACHE': str(tmp_path), 'PYTHONPATH': ':'.join(sys.path)}
    answer = subprocess.run(
        [sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert answer.stdout == 'set()\n', answer.stderr
