"""The image mask: what of a camera's image shows the robot itself and not the world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_ros.errors import GeometryError
from depth_ros.frame import Bool, UInt8
from depth_ros.geometry.camera import Camera
from depth_ros.geometry.distortion import rectify_image
from depth_ros.geometry.resize import resize_image

_PAINTED = 128
_SIZES_KEPT = 2  # that of the camera and that of the output


class ImageMask:
    """Pixels of a camera's images, as they arrive, that are not to be used.

    Args:
        masked: (H, W) True where the robot itself is in the way.
        name: what to call the mask in messages, such as its file.

    Raises:
        GeometryError: no pixel is masked, or all are.
    """

    def __init__(self, masked: Bool, name: str) -> None:
        if not masked.any():
            raise GeometryError(
                f'Mask {name} masks nothing: no pixel is {_PAINTED} or above. Paint white what '
                'is not to be used, or leave the mask out.'
            )
        if masked.all():
            raise GeometryError(
                f'Mask {name} masks the whole image: every pixel is {_PAINTED} or above. White '
                '(or, with an alpha channel, opaque) is what is not to be used; the rest must '
                'be black (or transparent).'
            )
        self.masked, self.name = masked, name
        self._camera: Camera | None = None
        self._views: dict[tuple[int, int], Bool] = {}

    def __str__(self) -> str:
        return f'Mask {self.name}: {self.masked.mean():.1%} of the image is not used.'

    def check_size(self, width: int, height: int) -> None:
        """Refuse images of another size than the mask.

        Raises:
            GeometryError: reason `mask_size`.
        """
        wanted = self.masked.shape[1], self.masked.shape[0]
        if (width, height) != wanted:
            raise GeometryError(
                f'Mask {self.name} is {wanted[0]}x{wanted[1]} and the image {width}x{height}; '
                'draw the mask on an image of the camera as it arrives.',
                'mask_size',
            )

    def in_view(self, camera: Camera, width: int, height: int) -> Bool:
        """Where the rectified view (height, width) of a camera shows a masked pixel.

        Made once per size for the camera that was asked for last. A pixel that is masked in part
        is masked.

        Raises:
            GeometryError: reason `mask_size`, the camera's images have another size.
        """
        self.check_size(camera.intrinsics.width, camera.intrinsics.height)
        if camera != self._camera:
            self._camera, self._views = camera, {}
        if (width, height) not in self._views:
            white = rectify_image(self.masked.view(np.uint8) * np.uint8(255), camera)
            if len(self._views) == _SIZES_KEPT:
                self._views = {}
            self._views[width, height] = resize_image(white, width, height) > 0
        return self._views[width, height]

    def cropped(self, left: int, top: int, width: int, height: int) -> ImageMask | None:
        """The mask of a window whose first pixel is (left, top); None if nothing in it is masked.

        Raises:
            GeometryError: all of it is masked.
        """
        window = self.masked[top : top + height, left : left + width]
        return ImageMask(np.ascontiguousarray(window), self.name) if window.any() else None


def load_mask(path: Path | str) -> ImageMask:
    """The mask of a PNG: 8 bits and one channel, white = not used; or what its alpha has opaque.

    Raises:
        GeometryError: there is no such file, it is no such PNG, or it masks nothing or all.
    """
    pixels = _read(Path(path))
    if pixels.dtype != np.uint8 or (pixels.ndim == 3 and pixels.shape[2] != 4):
        channels = 1 if pixels.ndim == 2 else pixels.shape[2]
        raise GeometryError(
            f'Mask {path} has {channels} channel(s) of {pixels.dtype.itemsize * 8} bits; it must '
            'have one channel of 8 bits (greyscale), or an alpha channel.'
        )
    values = pixels if pixels.ndim == 2 else pixels[..., 3]
    return ImageMask(values >= _PAINTED, str(path))


def hide(image: UInt8, masked: Bool) -> UInt8:
    """A copy of an image (H, W, 3) that is black where it is masked (H, W)."""
    kept = np.where(masked, np.uint8(0), np.uint8(255))
    hidden: UInt8 = cv2.bitwise_and(image, image, mask=kept)
    return hidden


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        data = path.expanduser().read_bytes()
    except (OSError, RuntimeError, ValueError) as error:  # ~nobody, or a NUL in the path
        why = getattr(error, 'strerror', None) or str(error).rstrip('.')
        raise GeometryError(
            f'Mask {path} cannot be read: {why}; give the path of a PNG, or leave the mask out.'
        ) from error
    is_png = data.startswith(b'\x89PNG\r\n\x1a\n') and b'IEND' in data  # else it is cut
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if not is_png or pixels is None:
        raise GeometryError(f'Mask {path} is no complete PNG; save it as one.')
    return np.asarray(pixels)
