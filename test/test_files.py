"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from depth_ros.errors import ConfigError
from depth_ros.files import cache_dir, write_atomic


def test_content_arrives_in_folders_that_did_not_exist(tmp_path: Path) -> None:
    path = tmp_path / 'a' / 'b' / 'file.bin'
    write_atomic(path, b'\x00\r\n\xff')
    assert path.read_bytes() == b'\x00\r\n\xff'
    assert list(path.parent.iterdir()) == [path]
    write_atomic(str(path), b'')
    assert path.read_bytes() == b''


@pytest.mark.parametrize('broken', ['write_bytes', 'replace'])
def test_failure_keeps_what_was_there_and_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(self: Path, *_: object) -> None:
        self.touch()
        raise OSError('No space left on device')

    path = tmp_path / 'file.json'
    path.write_text('old')
    with monkeypatch.context() as patch:
        patch.setattr(Path, broken, full)
        with pytest.raises(OSError, match='No space left'):
            write_atomic(path, b'new')
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'file.json'
    path.write_text('old')
    seen = []
    replace = Path.replace

    def look_first(self: Path, target: Path) -> Path:
        seen.append((path.read_text(), self.read_text(), self.parent == path.parent))
        return replace(self, target)

    monkeypatch.setattr(Path, 'replace', look_first)
    write_atomic(path, b'new')
    assert seen == [('old', 'new', True)]
    assert path.read_text() == 'new'


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / 'target', tmp_path / 'link'
    target.write_text('old')
    link.symlink_to(target)
    write_atomic(link, b'new')
    assert link.is_symlink()
    assert target.read_text() == 'new'


def test_a_device_is_written_to_and_not_replaced() -> None:
    write_atomic('/dev/null', b'gone')
    assert Path('/dev/null').is_char_device()


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('a file')
    with pytest.raises(OSError, match='a'):
        write_atomic(tmp_path / 'a' / 'b', b'')
    assert (tmp_path / 'a').read_text() == 'a file'


def test_a_cache_in_the_home_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('DEPTH_ROS_CACHE', '~nosuchuser/cache')
    with pytest.raises(ConfigError, match=r'DEPTH_ROS_CACHE=~nosuchuser/cache .* unset it'):
        cache_dir('weights')
