"""The image mask: read from its PNG or refused, moved through a lens, made once."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from depth_ros.errors import GeometryError
from depth_ros.geometry.camera import Camera, Intrinsics
from depth_ros.geometry.distortion import distort_pixels
from depth_ros.geometry.mask import ImageMask, hide, load_mask

RAW = Intrinsics(64, 40, fx=40.0, fy=40.0, cx=31.5, cy=19.5)
PINHOLE = Camera(RAW)
LENS = Camera(RAW, 'plumb_bob', (-0.25, 0.08, 0.0, 0.0, 0.0))
FISHEYE = Camera(RAW, 'equidistant', (0.05, -0.01, 0.0, 0.0))
BONNET = np.zeros((40, 64), bool)
BONNET[30:, 10:50] = True


def written(path, pixels):
    assert cv2.imwrite(str(path), pixels)
    return path


def painted(masked=BONNET, white=255, black=0):
    return np.where(masked, np.uint8(white), np.uint8(black))


@pytest.mark.parametrize(
    'pixels',
    [
        painted(),
        painted(white=128, black=127),  # an edge that a paint program has softened
        np.dstack([painted(~BONNET)] * 3 + [painted()]),  # colour says nothing beside alpha
    ],
    ids=['grey', 'soft', 'alpha'],
)
def test_white_or_opaque_is_masked(tmp_path, pixels):
    mask = load_mask(written(tmp_path / 'mask.png', pixels))
    assert np.array_equal(mask.masked, BONNET)
    assert str(mask) == f'Mask {tmp_path / "mask.png"}: 15.6% of the image is not used.'


@pytest.mark.parametrize(
    ('pixels', 'said'),
    [
        (np.dstack([painted()] * 3), 'has 3 channel.s. of 8 bits; it must have one channel'),
        (painted().astype(np.uint16) * 257, 'has 1 channel.s. of 16 bits; it must have one'),
        (painted(white=127), 'masks nothing: no pixel is 128 or above. Paint white'),
        (painted(black=255), 'masks the whole image: every pixel is 128 or above'),
        (np.dstack([painted()] * 3 + [painted(black=255)]), 'masks the whole image'),
    ],
    ids=['colour', '16 bit', 'nothing', 'all', 'all opaque'],
)
def test_another_png_is_refused_with_the_way_out(tmp_path, pixels, said):
    path = written(tmp_path / 'mask.png', pixels)
    with pytest.raises(GeometryError, match=said) as caught:
        load_mask(path)
    assert str(path) in str(caught.value)


def test_what_is_no_png_is_refused(tmp_path):
    with pytest.raises(GeometryError, match=r'nowhere\.png cannot be read: No such file'):
        load_mask(tmp_path / 'nowhere.png')
    for path in ('~nosuchuser/mask.png', 'a\0.png'):
        with pytest.raises(GeometryError, match=r'cannot be read: .*; give the path of a PNG'):
            load_mask(path)
    with pytest.raises(GeometryError, match='cannot be read: Is a directory'):
        load_mask(tmp_path)
    whole = written(tmp_path / 'whole.png', painted()).read_bytes()
    jpeg = written(tmp_path / 'a.jpg', painted()).read_bytes()
    for name, data in (('empty', b''), ('cut', whole[:-20]), ('jpeg', jpeg), ('text', b'white')):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(GeometryError, match=f'{name} is no complete PNG; save it as one'):
            load_mask(tmp_path / name)


@pytest.mark.parametrize('camera', [LENS, FISHEYE], ids=lambda camera: camera.distortion_model)
def test_the_rectified_mask_covers_what_the_lens_shows_there(camera):
    masked = ImageMask(BONNET, 'bonnet').in_view(camera, 64, 40)
    u, v = np.meshgrid(np.arange(64.0), np.arange(40.0))
    x, y = distort_pixels(np.stack((u.ravel(), v.ravel()), -1), camera).T.reshape(2, 40, 64)
    inside = (x >= 10) & (x <= 49) & (y >= 30) & (y <= 39)
    outside = (x < 8.5) | (x > 50.5) | (y < 28.5) | (y > 40.5)
    assert inside.sum() > 200
    assert masked[inside].all()
    assert not masked[outside].any()
    assert not np.array_equal(masked, BONNET)


def test_a_pixel_of_a_smaller_view_that_is_masked_in_part_is_masked():
    masked = np.zeros((40, 64), bool)
    masked[10, 20] = masked[11, 33] = True
    assert np.array_equal(ImageMask(masked, 'dots').in_view(PINHOLE, 64, 40), masked)
    small = ImageMask(masked, 'dots').in_view(PINHOLE, 32, 20)
    assert np.argwhere(small).tolist() == [[5, 10], [5, 16]]


def test_views_are_made_once_per_camera_and_size():
    mask = ImageMask(BONNET, 'bonnet')
    first, small = mask.in_view(LENS, 64, 40), mask.in_view(LENS, 32, 20)
    same = Camera(RAW, 'plumb_bob', (-0.25, 0.08, 0.0, 0.0, 0.0))
    assert mask.in_view(same, 64, 40) is first
    assert mask.in_view(same, 32, 20) is small
    assert not np.array_equal(mask.in_view(PINHOLE, 64, 40), first)
    assert np.array_equal(mask.in_view(LENS, 64, 40), first)


def test_images_of_another_size_are_refused():
    other = Camera(Intrinsics(64, 48, 40.0, 40.0, 31.5, 23.5))
    with pytest.raises(GeometryError, match='bonnet is 64x40 and the image 64x48') as caught:
        ImageMask(BONNET, 'bonnet').in_view(other, 64, 48)
    assert caught.value.reason == 'mask_size'


def test_a_window_keeps_its_part_of_the_mask():
    mask = ImageMask(BONNET, 'bonnet')
    assert np.array_equal(mask.cropped(5, 20, 30, 20).masked, BONNET[20:, 5:35])
    assert mask.cropped(0, 0, 64, 20) is None


def test_a_hidden_image_is_black_where_it_is_masked_and_itself_elsewhere():
    image = np.random.default_rng(0).integers(1, 256, (40, 64, 3), np.uint8)
    before = image.copy()
    hidden = hide(image, BONNET)
    assert not hidden[BONNET].any()
    assert np.array_equal(hidden[~BONNET], before[~BONNET])
    assert np.array_equal(image, before)
