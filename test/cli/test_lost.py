"""`run` and `eval` on recordings of which a part was lost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from depth_ros.cli.main import main
from depth_ros.cli.source import EXIT_SKIPPED
from depth_ros.datasets.lost import NOT_TRIED, LostImage, in_words
from depth_ros.errors import EngineError
from depth_ros.frame import CameraView, DepthEstimate
from depth_ros.methods.guided import Guided

GUIDED = ('--method', 'guided')


def change(wall: Path, index: int, **parts: object) -> None:
    """Give a frame of the wall other parts; None takes one away."""
    calib = json.loads((wall / 'calib.json').read_text())
    frame = calib['frames'][index]
    frame.update(parts)
    for key in [key for key, part in parts.items() if part is None]:
        del frame[key]
    (wall / 'calib.json').write_text(json.dumps(calib))


def lose_sweep(wall: Path) -> str:
    change(wall, 1, lidar=None)
    return 'There is no LiDAR for guided to complete'


def miss_sweep(wall: Path) -> str:
    change(wall, 1, lidar='lost.bin')
    return 'lost.bin: no such cloud file.'


def cut_sweep(wall: Path) -> str:
    (wall / 'cut.bin').write_bytes((wall / 'sweep.bin').read_bytes()[:-5])
    change(wall, 1, lidar='cut.bin')
    return 'cut.bin: '


def empty_sweep(wall: Path) -> str:
    (wall / 'empty.bin').write_bytes(b'')
    change(wall, 1, lidar='empty.bin')
    return 'No LiDAR return falls into the image'


def break_image(wall: Path) -> str:
    (wall / 'broken.png').write_bytes((wall / 'image.png').read_bytes()[:60])
    change(wall, 1, images={'front': 'broken.png'})
    return 'broken.png: not an image that OpenCV can decode.'


LOSSES = (lose_sweep, miss_sweep, cut_sweep, empty_sweep, break_image)


@pytest.mark.parametrize('lose', LOSSES)
def test_a_lost_image_costs_itself_only(
    wall: Path, tmp_path: Path, lose: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    reason = lose(wall)
    out = tmp_path / 'out'
    command = ['run', str(wall), '-o', str(out), '--format', 'npz', *GUIDED]
    assert main(command) == 0
    said = capsys.readouterr()
    assert {path.name for path in out.glob('*.npz')} == {'front_0.npz', 'front_2.npz'}
    assert said.err.startswith('warning: 1 of 3 images skipped: front_1. The first: ')
    assert reason in said.err
    assert said.err.count('\n') == 1
    assert 'front_2' in said.out
    assert main([*command, '--strict', '--json']) == EXIT_SKIPPED
    summary = json.loads(capsys.readouterr().out)
    assert [row['image'] for row in summary['images']] == ['front_0', 'front_2']
    [skipped] = summary['skipped']
    assert (skipped['name'], skipped['camera_name']) == ('front_1', 'front')
    assert reason in skipped['reason']


@pytest.mark.parametrize('lose', [miss_sweep, break_image])
def test_scores_are_those_of_the_images_that_are_whole(
    wall: Path, tmp_path: Path, lose: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    reason = lose(wall)
    file = tmp_path / 'scores.json'
    assert main(['eval', str(wall), *GUIDED, '--json', str(file)]) == 0
    assert 'warning: 1 of 3 images skipped: front_1. The first: ' in capsys.readouterr().err
    scores = json.loads(file.read_text())
    assert (scores['images'], scores['skipped'], scores['judged by']) == (2, 1, 'depth_gt')
    assert [row['image'] for row in scores['per_image']] == ['front_0', 'front_2', 'front_1']
    assert all(row['mae_mm'] < 10 for row in scores['per_image'][:2])
    assert reason in scores['per_image'][2]['skipped']
    assert main(['eval', str(wall), *GUIDED, '--strict']) == EXIT_SKIPPED


def test_lost_truth_costs_the_score_but_not_the_depth(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(wall, 1, depth_gt={'front': 'lost.png'})
    file = tmp_path / 'scores.json'
    assert main(['eval', str(wall), *GUIDED, '--json', str(file)]) == 0
    scores = json.loads(file.read_text())
    assert (scores['images'], scores['skipped']) == (2, 1)
    assert 'The ground truth cannot be read' in scores['per_image'][2]['skipped']
    capsys.readouterr()
    out = tmp_path / 'out'
    assert main(['run', str(wall), '-o', str(out), *GUIDED]) == 0
    err = capsys.readouterr().err
    assert err.startswith('warning: 1 of 3 images are without their ground truth: front_1. ')
    assert 'lost.png: no such image' in err
    assert len(list(out.glob('*.npz'))) == 3
    assert len(list(out.glob('*_error.png'))) == 2


def test_truth_and_held_out_returns_stand_in_rows_of_their_own(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(wall, 1, depth_gt=None)
    file = tmp_path / 'scores.json'
    assert main(['eval', str(wall), *GUIDED, '--json', str(file)]) == 0
    by_truth, by_returns = json.loads(file.read_text())
    assert (by_truth['judged by'], by_truth['images']) == ('depth_gt', 2)
    assert (by_returns['judged by'], by_returns['images']) == ('held-out LiDAR', 1)
    assert [row['image'] for row in by_returns['per_image']] == ['front_1']
    out = capsys.readouterr().out
    assert out.startswith('wall, judged by depth_gt and, apart, held-out LiDAR\n')
    rows = [line.split() for line in out.splitlines() if line.startswith('guided')]
    assert rows[0][:3] == ['guided', 'depth_gt', '2']
    assert rows[1][:4] == ['guided', 'held-out', 'LiDAR', '1']


def test_where_nothing_is_left_the_first_loss_is_told(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (wall / 'sweep.bin').unlink()
    for command in (['run', str(wall), '-o', str(tmp_path / 'o')], ['eval', str(wall)]):
        assert main([*command, *GUIDED]) == 2
        err = capsys.readouterr().err
        assert err.count('\n') == 1
        assert 'wall, front_0: ' in err
        assert 'sweep.bin: no such cloud file. None of the 3 images could be used' in err


def fails_at(monkeypatch: pytest.MonkeyPatch, index: int, error: Exception) -> None:
    """Have `guided` raise at an image, which its call number tells, and do the others."""
    calls, estimate = itertools.count(), Guided.estimate

    def failing(self: Guided, view: CameraView) -> DepthEstimate:
        if next(calls) == index:
            raise error
        return estimate(self, view)

    monkeypatch.setattr(Guided, 'estimate', failing)


@pytest.mark.parametrize(
    'error',
    [ValueError('a\nb'), cv2.error('a b'), MemoryError('a b')],
    ids=lambda e: type(e).__name__,
)
def test_a_foreign_error_costs_its_image_only(
    wall: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    out = tmp_path / 'out'
    for command in (['run', str(wall), '-o', str(out), '--format', 'npz'], ['eval', str(wall)]):
        with monkeypatch.context() as patch:
            fails_at(patch, 1, error)
            assert main([*command, *GUIDED]) == 0
        err = capsys.readouterr().err
        reason = f'{type(error).__name__}: a b'
        warning = f'warning: 1 of 3 images skipped: front_1. The first: {reason}\n'
        assert err.endswith(warning)
    assert {path.name for path in out.glob('*.npz')} == {'front_0.npz', 'front_2.npz'}


def test_what_was_done_is_kept_when_an_engine_fails_later(
    wall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --strict too the exit code tells that the run is not whole."""
    out, file = tmp_path / 'out', tmp_path / 'scores.json'
    run = ['run', str(wall), '-o', str(out), '--format', 'npz', '--json']
    for command in (run, ['eval', str(wall), '--json', str(file)]):
        with monkeypatch.context() as patch:
            fails_at(patch, 1, EngineError('The GPU is gone.'))
            assert main([*command, *GUIDED]) == EXIT_SKIPPED
        said = capsys.readouterr()
        assert said.err.endswith(
            'warning: 2 of 3 images skipped: front_1, image 2. The first: The GPU is gone. '
            'No image after front_1 was tried.\n'
        )
        if command is run:
            summary = json.loads(said.out)
    assert {path.name for path in out.glob('*.npz')} == {'front_0.npz'}
    assert [row['image'] for row in summary['images']] == ['front_0']
    assert [image['reason'] for image in summary['skipped']] == ['The GPU is gone.', NOT_TRIED]
    scores = json.loads(file.read_text())
    assert (scores['images'], scores['skipped']) == (1, 2)


def test_an_engine_that_fails_at_the_first_image_is_an_error(
    wall: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails_at(monkeypatch, 0, EngineError('There is no GPU.'))
    assert main(['run', str(wall), '-o', str(tmp_path / 'out'), *GUIDED]) == 2
    assert capsys.readouterr().err == 'depth_ros run: There is no GPU.\n'


def test_where_a_run_ended_is_told_beside_the_first_loss() -> None:
    lost = [LostImage('a', '', 'Torn.'), LostImage('b', '', 'No GPU.', ended=True)]
    assert in_words(lost, 9) == (
        '2 of 9 images skipped: a, b. The first: Torn. No image after b was tried: No GPU.'
    )


def test_many_losses_are_counted_and_the_first_five_named(
    wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calib = json.loads((wall / 'calib.json').read_text())
    good = calib['frames'][0]
    lost = [{**good, 'id': f'x{index}', 'lidar': 'lost.bin'} for index in range(7)]
    calib['frames'] = [good, *lost]
    (wall / 'calib.json').write_text(json.dumps(calib))
    assert main(['run', str(wall), '-o', str(tmp_path / 'o'), '--format', 'npz', *GUIDED]) == 0
    err = capsys.readouterr().err
    named = ', '.join(f'front_x{index}' for index in range(5))
    assert f'7 of 8 images skipped: {named} and 2 more. The first: ' in err
