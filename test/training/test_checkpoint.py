"""A checkpoint is whole, or the one before it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from depth_ros.errors import TrainingError
from depth_ros.training import checkpoint

torch = pytest.importorskip('torch')


def state(step: int) -> dict[str, object]:
    return {'step': step, 'weights': torch.full((1000,), float(step)), 'best': float('inf')}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With checkpoints after 10, 20 and 30 steps."""
    for step in (10, 20, 30):
        checkpoint.save(tmp_path / 'run', step, state(step))
    return tmp_path / 'run'


def step_of(found: dict[str, object] | None) -> object:
    assert found is not None
    assert torch.equal(found['weights'], torch.full((1000,), float(found['step'])))  # type: ignore
    return found['step']


def test_newest_is_read_and_one_more_is_kept(folder: Path) -> None:
    assert step_of(checkpoint.newest(folder)) == 30
    assert sorted(path.name for path in folder.iterdir()) == [
        'checkpoint_000000020.pt',
        'checkpoint_000000030.pt',
    ]


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.newest(tmp_path / 'missing') is None
    assert not checkpoint.exists(tmp_path / 'missing')


def torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """One bit of the weights."""
    at = content.index(torch.full((1000,), 30.0).numpy().tobytes()) + 1234
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize('damage', [torn, flipped, lambda _: b''])
def test_a_damaged_one_is_noticed_and_the_one_before_is_taken(folder: Path, damage) -> None:
    newest = folder / 'checkpoint_000000030.pt'
    newest.write_bytes(damage(newest.read_bytes()))
    assert step_of(checkpoint.newest(folder)) == 20


def test_all_damaged_is_an_error_not_a_new_start(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(torn(path.read_bytes()))
    with pytest.raises(TrainingError, match=r'All checkpoints in .* are damaged.*000000030\.pt'):
        checkpoint.newest(folder)


def test_writing_that_fails_leaves_what_was_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_: object, file) -> None:
        file.write(b'half')
        raise OSError('no space left')

    monkeypatch.setattr(torch, 'save', half)
    with pytest.raises(OSError, match='no space'):
        checkpoint.save(folder, 40, state(40))
    assert step_of(checkpoint.newest(folder)) == 30
    assert len(list(folder.iterdir())) == 2


def test_other_files_are_left_alone(folder: Path) -> None:
    (folder / 'checkpoint_old.pt').write_bytes(b'mine')
    checkpoint.save(folder, 100, state(100))
    assert (folder / 'checkpoint_old.pt').exists()
    assert step_of(checkpoint.newest(folder)) == 100
