"""An optional library that is absent and one that is broken are told apart in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from depth_ros.errors import DepthRosError, MissingDependencyError, import_optional

BROKEN = {
    'OSError': 'raise OSError("libcudart.so.12: cannot open shared object file")',
    'AttributeError': 'import types; types._ARRAY_API',
    'RuntimeError': 'raise RuntimeError("built for\\n another NumPy.")',
    'ModuleNotFoundError': 'import its_own_dependency',
    'SyntaxError': 'def',
}


def test_what_is_absent_names_the_extra() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        import_optional('no_such_library.part', 'torch')
    assert str(caught.value) == (
        "'no_such_library.part' is not installed; install it with "
        '`pip install "depth_ros[torch]"`.'
    )


@pytest.mark.parametrize('kind', BROKEN)
def test_what_is_broken_says_how(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'a_broken_library.py').write_text(BROKEN[kind] + '\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingDependencyError) as caught:
        import_optional('a_broken_library', 'onnxruntime')
    message = str(caught.value)
    assert message.startswith(f"'a_broken_library' is installed but cannot be imported ({kind}: ")
    assert message.endswith(
        'install it anew with `pip install "depth_ros[onnxruntime]" --force-reinstall`.'
    )
    assert '\n' not in message


def test_what_works_is_returned() -> None:
    import json.decoder

    assert import_optional('json.decoder', 'torch') is json.decoder


@pytest.mark.parametrize(
    ('on_path', 'said'),
    [
        ({'depth_ros', 'ros2'}, 'Run `depth_ros doctor`.'),
        ({'ros2'}, 'Run `ros2 run depth_ros depth_ros doctor`.'),
        (set(), 'Run `depth_ros doctor`.'),
    ],
)
def test_commands_in_a_message_can_be_typed_where_it_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on_path: set[str], said: str
) -> None:
    """After colcon only `ros2 run` finds ours; an error of an error is changed once."""
    for name in on_path:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv('PATH', str(tmp_path))
    assert str(DepthRosError(str(DepthRosError('Run `depth_ros doctor`.')))) == said
