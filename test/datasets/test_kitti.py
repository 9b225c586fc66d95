"""KITTI trees as the official archives unpack, with tiny images; and the real files in them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from depth_ros.datasets.base import iterate
from depth_ros.datasets.folder import open_folder
from depth_ros.datasets.kitti import compose_extrinsic, is_kitti, open_kitti, read_calibration
from depth_ros.datasets.open import open_dataset
from depth_ros.errors import DatasetError
from depth_ros.geometry.camera import Intrinsics

DAY = '2011_09_26'
DRIVE = f'{DAY}_drive_0005_sync'
FRAMES = ('0000000005', '0000000006')
POINTS = np.array([[10, 0, 0, 0.5], [20, 1, -1, 0.1]], np.float32)
# Axes swap exactly: camera x = -lidar y, camera y = -lidar z, camera z = lidar x.
VELO = 'calib_time: 15-Mar-2012 11:37:16\nR: 0 -1 0 0 0 -1 1 0 0\nT: 0.1 -0.2 -0.3\n'
ROTATE_90_ABOUT_Z = '0 -1 0 1 0 0 0 0 1'


def write_image(path: Path, value=100, shape=(4, 8, 3), dtype=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, value, dtype))


def write_depth(path: Path, metres):
    write_image(path, round(metres * 256), (4, 8), np.uint16)


def write_text(path: Path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def projection(tx, ty=0.0, tz=0.0):
    return f'10 0 3.5 {tx} 0 10 1.5 {ty} 0 0 1 {tz}'


def write_raw_drive(root: Path, cameras=('image_02', 'image_03'), R_rect='1 0 0 0 1 0 0 0 1'):
    rig = ['calib_time: 09-Jan-2012 13:57:47', f'R_rect_00: {R_rect}']
    # Camera 2 sits at p4 / f = (0.6, 0.2) - (3.5, 1.5) * tz / 10, as its depth offset counts too.
    rig += [
        f'P_rect_0{i}: {projection(*p4)}' for i, p4 in enumerate(((0,), (-5,), (6, 2, 4), (-5,)))
    ]
    write_text(root / DAY / 'calib_cam_to_cam.txt', '\n'.join(rig))
    write_text(root / DAY / 'calib_velo_to_cam.txt', VELO)
    drive = root / DAY / DRIVE
    times = [f'2011-09-26 13:04:32.{i}51950336' for i in range(7)]
    for camera in cameras:
        write_text(drive / camera / 'timestamps.txt', '\n'.join(times) + '\n')
        for value, frame in enumerate(FRAMES):
            write_image(drive / camera / 'data' / f'{frame}.png', 100 + value)
    sweeps = drive / 'velodyne_points'
    write_text(sweeps / 'timestamps.txt', '\n'.join((*times[:6], '')) + '\n')
    (sweeps / 'data').mkdir(parents=True)
    POINTS.tofile(sweeps / 'data' / f'{FRAMES[0]}.bin')  # the second sweep was lost
    return drive


def write_completion(root: Path, split='train'):
    write_raw_drive(root)
    drive = root / split / DRIVE
    for camera, metres in (('image_02', 5.0), ('image_03', 6.0)):
        for frame in FRAMES:
            write_depth(drive / f'proj_depth/velodyne_raw/{camera}/{frame}.png', metres)
            write_depth(drive / f'proj_depth/groundtruth/{camera}/{frame}.png', metres + 0.25)
    return drive


def test_raw_drive(tmp_path):
    dataset = open_kitti(write_raw_drive(tmp_path))
    assert (dataset.name, dataset.camera_names) == (DRIVE, ('image_02', 'image_03'))
    samples = list(iterate(dataset))
    assert [sample.name for sample in samples] == [
        'image_02_0000000005',
        'image_03_0000000005',
        'image_02_0000000006',
        'image_03_0000000006',
    ]
    first = samples[0].frame
    assert first.camera.intrinsics == Intrinsics(8, 4, 10.0, 10.0, 3.5, 1.5)
    assert first.stamp_ns == 1_317_042_272_551_950_336
    assert first.lidar_stamp_ns == 1_317_042_272_551_950_336
    np.testing.assert_array_equal(first.points, POINTS[:, :3])
    lost = samples[2].frame
    assert lost.points is lost.lidar_stamp_ns is lost.T_camera_lidar is None
    assert samples[2].depth_gt_m is samples[2].T_world_camera is None


def test_raw_baseline_goes_into_the_translation(tmp_path):
    dataset = open_kitti(write_raw_drive(tmp_path))
    left, right = (dataset.sample(i).frame.T_camera_lidar for i in (0, 1))
    axes = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    np.testing.assert_allclose(right[:3, :3], axes, atol=1e-12)
    np.testing.assert_allclose(right[:3, 3], (0.1 - 0.5, -0.2, -0.3), atol=1e-12)
    expected = (0.1 + 0.6 - 3.5 * 0.4, -0.2 + 0.2 - 1.5 * 0.4, -0.3 + 4)
    np.testing.assert_allclose(left[:3, 3], expected, atol=1e-12)


def test_composed_extrinsic_projects_as_kitti_says():
    """K T p must equal P R_rect T_velo p, the equation of the paper, for any point."""
    rng = np.random.default_rng(3)
    P = np.array([[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.2], [0, 0, 1, 0.003]])
    R_rect = cv2.Rodrigues(np.array([0.01, -0.02, 0.005]))[0]
    T_velo = np.column_stack((cv2.Rodrigues(np.array([1.2, -1.2, 1.2]))[0], (0, -0.1, -0.3)))
    points = np.column_stack((rng.uniform(-9, 9, (20, 3)), np.ones(20)))
    official = P @ np.vstack((R_rect @ T_velo @ points.T, np.ones(20)))
    ours = P[:, :3] @ (compose_extrinsic(P, R_rect, T_velo) @ points.T)[:3]
    np.testing.assert_allclose(ours, official, atol=1e-9)


def test_rectifying_rotation_is_applied_after_the_lidar_transform(tmp_path):
    frame = open_kitti(write_raw_drive(tmp_path, R_rect=ROTATE_90_ABOUT_Z), ['image_03']).sample(0)
    translation = frame.frame.T_camera_lidar[:3, 3]
    np.testing.assert_allclose(translation, (0.2 - 0.5, 0.1, -0.3), atol=1e-12)


def test_raw_drive_without_times_runs_at_ten_hertz(tmp_path):
    drive = write_raw_drive(tmp_path)
    for path in drive.glob('*/timestamps.txt'):
        path.unlink()
    frame = open_kitti(drive).sample(0).frame
    assert (frame.stamp_ns, frame.lidar_stamp_ns) == (500_000_000, None)


@pytest.mark.parametrize('suffix', ['.jpeg', '.PNG', '.JPG'])
def test_a_drive_of_other_suffixes_and_shorter_numbers(tmp_path, suffix):
    drive = write_raw_drive(tmp_path, cameras=('image_02',))
    for file in sorted((drive / 'image_02/data').iterdir()):
        code = '.png' if suffix == '.PNG' else '.jpg'
        encoded = cv2.imencode(code, cv2.imread(str(file)))[1].tobytes()
        (file.parent / f'{file.stem[4:]}{suffix}').write_bytes(encoded)
        file.unlink()
    sweep = drive / 'velodyne_points/data' / f'{FRAMES[0]}.bin'
    sweep.rename(sweep.with_name('000005.bin'))
    first, second = iterate(open_kitti(drive))
    assert [first.name, second.name] == ['image_02_000005', 'image_02_000006']
    assert first.frame.stamp_ns % 10**9 == 551950336
    assert first.frame.lidar_stamp_ns == first.frame.stamp_ns
    assert np.array_equal(first.frame.points, POINTS[:, :3])
    assert second.frame.points is None


def test_the_calibration_of_the_tracking_benchmark_has_other_names(tmp_path):
    file = tmp_path / '0000.txt'
    write_text(file, 'P2: 1 2\nR_rect 1 0 0\nTr_velo_cam 0 1 0\nTr_imu_velo 3\n')
    numbers = read_calibration(file)
    assert numbers['R0_rect'].tolist() == [1, 0, 0]
    assert numbers['Tr_velo_to_cam'].tolist() == [0, 1, 0]
    assert numbers['P2'].tolist() == [1, 2]


def test_object_split_by_its_folder_and_the_one_above(tmp_path):
    training = tmp_path / 'training'
    for stem, width in (('000000', 8), ('000007', 6)):  # sizes differ from frame to frame
        write_image(training / 'image_2' / f'{stem}.png', shape=(4, width, 3))
        write_text(
            training / 'calib' / f'{stem}.txt',
            f'P2: {projection(6)}\nP3: {projection(-5)}\nR0_rect: 1 0 0 0 1 0 0 0 1\n'
            'Tr_velo_to_cam: 0 -1 0 0.1 0 0 -1 -0.2 1 0 0 -0.3\n\n',
        )
        (training / 'velodyne').mkdir(exist_ok=True)
        POINTS.tofile(training / 'velodyne' / f'{stem}.bin')
    for folder in (training, tmp_path):
        samples = list(iterate(open_kitti(folder)))
        assert [sample.name for sample in samples] == ['image_2_000000', 'image_2_000007']
        assert [sample.frame.camera.intrinsics.width for sample in samples] == [8, 6]
        T_camera_lidar = samples[1].frame.T_camera_lidar
        np.testing.assert_allclose(T_camera_lidar[:3, 3], (0.7, -0.2, -0.3), atol=1e-12)
    (training / 'calib' / '000000.txt').write_text('P2: 1 2\n')
    with pytest.raises(DatasetError, match=r'000000\.txt: malformed'):
        open_kitti(tmp_path).sample(0)
    (training / 'calib' / '000000.txt').unlink()
    with pytest.raises(DatasetError, match=r'000000\.txt: no such calibration file'):
        open_kitti(tmp_path).sample(0)


@pytest.mark.parametrize('raw', ['.', 'raw'])
def test_depth_completion_drive(tmp_path, raw):
    drive = write_completion(tmp_path)
    if raw != '.':
        (tmp_path / raw).mkdir()
        (tmp_path / DAY).rename(tmp_path / raw / DAY)
    samples = list(iterate(open_kitti(drive)))
    assert [sample.name for sample in samples[:2]] == [
        'image_02_0000000005',
        'image_03_0000000005',
    ]
    frame = samples[1].frame
    assert (frame.sparse_m == 6.0).all()
    assert (samples[1].depth_gt_m == 6.25).all()
    assert frame.points is None
    assert frame.stamp_ns == 1_317_042_272_551_950_336
    assert frame.camera.intrinsics.fx == 10


def test_depth_completion_knows_where_its_lidar_was_if_the_raw_calibration_does(tmp_path):
    drive = write_completion(tmp_path)
    raw = open_kitti(tmp_path / DAY / DRIVE).sample(1).frame
    frame = open_kitti(drive).sample(1).frame
    np.testing.assert_allclose(frame.T_camera_lidar, raw.T_camera_lidar, atol=1e-12)
    (tmp_path / DAY / 'calib_velo_to_cam.txt').unlink()
    assert open_kitti(drive).sample(1).frame.T_camera_lidar is None


def test_depth_completion_tree_tells_its_drives_apart(tmp_path):
    write_completion(tmp_path, 'val')
    for folder in (tmp_path, tmp_path / 'val'):
        dataset = open_kitti(folder, ['image_03'])
        assert dataset.sample(0).name == f'image_03_{DRIVE}_0000000005'
        assert len(dataset) == 2


def test_depth_completion_without_its_raw_drive_says_where_it_looked(tmp_path):
    drive = write_completion(tmp_path)
    (tmp_path / DAY).rename(tmp_path / 'elsewhere')
    with pytest.raises(DatasetError, match=f'raw drive.*{DAY}/{DRIVE}'):
        open_kitti(drive)


def test_val_selection_cropped_and_the_anonymous_test_set(tmp_path):
    selection, anonymous = tmp_path / 'val_selection_cropped', tmp_path / 'anonymous'
    stem = f'{DRIVE}_%s_0000000005_image_03'
    intrinsics = '10 0 3 0 10 1 0 0 1\n'
    write_image(selection / 'image' / f'{stem % "image"}.png')
    write_text(selection / 'intrinsics' / f'{stem % "image"}.txt', intrinsics)
    write_depth(selection / 'velodyne_raw' / f'{stem % "velodyne_raw"}.png', 5.0)
    write_depth(selection / 'groundtruth_depth' / f'{stem % "groundtruth_depth"}.png', 5.5)
    sample = open_kitti(selection).sample(0)
    assert (sample.name, sample.camera_name) == (f'image_03_{DRIVE}_0000000005', 'image_03')
    assert sample.frame.camera.intrinsics == Intrinsics(8, 4, 10, 10, 3, 1)
    assert (sample.frame.sparse_m == 5.0).all()
    assert (sample.depth_gt_m == 5.5).all()

    assert sample.frame.T_camera_lidar is None

    # With the raw drives beside it, or beside the folder above, the crop has their extrinsic.
    drive = write_raw_drive(tmp_path)
    expected = open_kitti(drive, ['image_03']).sample(0).frame.T_camera_lidar
    found = open_kitti(selection).sample(0).frame.T_camera_lidar
    np.testing.assert_allclose(found, expected, atol=1e-12)
    (tmp_path / 'raw').mkdir()
    (tmp_path / DAY).rename(tmp_path / 'raw' / DAY)
    (tmp_path / 'depth_selection').mkdir()
    moved = selection.rename(tmp_path / 'depth_selection' / selection.name)
    found = open_kitti(moved).sample(0).frame.T_camera_lidar
    np.testing.assert_allclose(found, expected, atol=1e-12)

    write_image(anonymous / 'image' / '0000000000.png')
    write_text(anonymous / 'intrinsics' / '0000000000.txt', intrinsics)
    write_depth(anonymous / 'velodyne_raw' / '0000000000.png', 5.0)
    sample = open_kitti(anonymous).sample(0)
    assert sample.name == 'image_0000000000'
    assert (sample.frame.sparse_m == 5.0).all()
    assert sample.depth_gt_m is None


def test_missing_and_malformed_parts_are_named(tmp_path):
    drive = write_raw_drive(tmp_path)
    times = drive / 'image_02' / 'timestamps.txt'
    times.write_text('2011-09-26 13:04:32.1\n')
    with pytest.raises(
        DatasetError, match=r'image_02/data/0000000005\.png.*no line in its timestamps'
    ):
        open_kitti(drive)
    times.write_text('yesterday\n')
    with pytest.raises(DatasetError, match=r"timestamps\.txt: malformed: 'yesterday'"):
        open_kitti(drive)
    times.unlink()
    write_image(drive / 'image_02' / 'data' / 'copy.png')
    with pytest.raises(DatasetError, match=r'copy\.png: KITTI frames are called by number'):
        open_kitti(drive)
    velodyne = tmp_path / DAY / 'calib_velo_to_cam.txt'
    velodyne.write_text('T: 0 0 0\n')
    with pytest.raises(DatasetError, match=r"calib_\*\.txt: 'R' is missing"):
        open_kitti(drive)
    velodyne.unlink()
    with pytest.raises(DatasetError, match=r'calib_velo_to_cam\.txt: no such calibration file'):
        open_kitti(drive)


def test_other_folders_are_not_kitti(tmp_path):
    assert not is_kitti(tmp_path)
    assert not is_kitti(tmp_path / 'gone')
    with pytest.raises(DatasetError, match='none of KITTI raw drive'):
        open_kitti(tmp_path)


@pytest.mark.parametrize(
    'name', ['kitti_dc_drive0001', 'kitti_raw_0005_f0', 'kitti_seq_traffic_a']
)
def test_real_calibration_files_give_the_transform_of_the_sample(data_dir, name):
    cameras = json.loads((data_dir / name / 'calib.json').read_text())['cameras']
    rig = read_calibration(data_dir / name / 'calib' / 'calib_cam_to_cam.txt')
    velodyne = read_calibration(data_dir / name / 'calib' / 'calib_velo_to_cam.txt')
    T_velo = np.column_stack((velodyne['R'].reshape(3, 3), velodyne['T']))
    for camera, entry in cameras.items():
        P = rig[f'P_rect_{camera[-2:]}'].reshape(3, 4)
        T_camera_lidar = compose_extrinsic(P, rig['R_rect_00'].reshape(3, 3), T_velo)
        np.testing.assert_allclose(T_camera_lidar, entry['T_cam_lidar'], rtol=0, atol=1e-6)
        np.testing.assert_allclose(P[:, :3], entry['K'], rtol=0, atol=1e-9)


def link(source: Path, target: Path):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def assert_equal(official, folder, *, times=False):
    """Equal samples; times only where the folder states those of KITTI."""
    assert len(official) == len(folder)
    for ours, theirs in zip(iterate(official), iterate(folder), strict=True):
        assert ours.name == theirs.name
        assert ours.frame.camera == theirs.frame.camera
        assert not times or ours.frame.stamp_ns == theirs.frame.stamp_ns
        pairs = [
            (getattr(ours.frame, n), getattr(theirs.frame, n)) for n in ('points', 'sparse_m')
        ]
        pairs += [(ours.frame.image, theirs.frame.image), (ours.depth_gt_m, theirs.depth_gt_m)]
        for left, right in pairs:
            assert (left is None) == (right is None)
            assert left is None or np.array_equal(left, right)
        if ours.frame.points is not None:
            np.testing.assert_allclose(
                ours.frame.T_camera_lidar, theirs.frame.T_camera_lidar, rtol=0, atol=1e-6
            )


def link_calibration(sample: Path, day: Path):
    for path in (sample / 'calib').iterdir():
        link(path, day / path.name)


def test_real_raw_drive_equals_the_folder(data_dir, tmp_path):
    sample = data_dir / 'kitti_raw_0005_f0'
    link_calibration(sample, tmp_path / DAY)
    drive = tmp_path / DAY / DRIVE
    for sensor in sample.iterdir():
        if sensor.name.startswith(('image_', 'velodyne')):
            for path in sensor.iterdir():
                inner = '' if path.suffix == '.txt' else 'data'
                link(path, drive / sensor.name / inner / path.name)
    dataset = open_dataset(drive)
    assert_equal(dataset, open_folder(sample))
    frame = dataset.sample(0).frame
    assert frame.stamp_ns == 1_317_042_272_351_950_336
    assert abs(frame.lidar_stamp_ns - frame.stamp_ns) < 50_000_000  # half a turn of the LiDAR


def test_real_depth_completion_drive_equals_the_folder(data_dir, tmp_path):
    sample = data_dir / 'kitti_dc_drive0001'
    name = f'{DAY}_drive_0001_sync'
    link_calibration(sample, tmp_path / DAY)
    for camera in ('image_02', 'image_03'):
        for path in (sample / camera).glob('*.jpg'):
            link(path, tmp_path / DAY / name / camera / 'data' / path.name)
        for kind in ('velodyne_raw', 'groundtruth'):
            link(sample / kind / camera, tmp_path / 'train' / name / 'proj_depth' / kind / camera)
    assert_equal(open_dataset(tmp_path / 'train' / name), open_folder(sample), times=True)


@pytest.mark.parametrize('stem', ['000001', '000004'])
def test_real_object_frame_equals_the_folder(data_dir, tmp_path, stem):
    sample = data_dir / f'kitti_obj_{stem}'
    for folder in ('image_2', 'velodyne', 'calib'):
        link(sample / folder, tmp_path / 'training' / folder)
    assert_equal(open_dataset(tmp_path / 'training'), open_folder(sample))
