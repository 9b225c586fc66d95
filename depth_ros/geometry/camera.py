"""Pinhole intrinsics and the calibrated camera: the only home of the pixel-centre rule.

Integer (u, v) is the centre of a pixel, so the ray of pixel (u, v) is
((u - cx) / fx, (v - cy) / fy, 1) in the optical frame (x right, y down, z forward; REP-103).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from depth_ros.errors import GeometryError
from depth_ros.frame import Float64

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

# Number of coefficients that each ROS distortion model may carry (sensor_msgs/CameraInfo).
DISTORTION_SIZES: dict[str, tuple[int, ...]] = {
    'none': (0,),
    'plumb_bob': (4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (4,),
}
# What drivers and calibration tools call them; case, spaces and dashes do not count.
_MODEL_NAMES = {
    'pinhole': 'none',
    'perspective': 'none',
    'radtan': 'plumb_bob',
    'radial_tangential': 'plumb_bob',
    'brown_conrady': 'plumb_bob',
    'opencv': 'plumb_bob',
    'rational': 'rational_polynomial',
    'equi': 'equidistant',
    'fisheye': 'equidistant',
    'opencv_fisheye': 'equidistant',
    'kannala_brandt': 'equidistant',
    'kannala_brandt4': 'equidistant',
}
_LEAST_FOCAL = 1 / 64  # of the width
_BROWN = ('', 'plumb_bob', 'rational_polynomial')  # one family: the terms that D lacks are 0


def read_lens(model: str, D: Sequence[float]) -> tuple[str, tuple[float, ...]]:
    """The model and coefficients for `Camera` that a driver or a file means by a name and a D.

    Zeros at the end of D are terms that are not used, so a D of another length than the model's
    is read where that settles it: plumb_bob of 8 is rational_polynomial, equidistant of 5 with a
    0 at the end is that of 4. A D of zeros, of whatever length and model, is no distortion, and
    so is an empty one, unless its model is a fisheye or unknown; but four zeros of equidistant
    are the ideal fisheye. No name is taken for the only model that has so many coefficients.

    Args:
        model: as in CameraInfo or `calib.json`; names of other tools are known (`radtan`,
            `fisheye`).
        D: coefficients in the order of OpenCV, of any number.

    Raises:
        GeometryError: the model is unknown, or D has no reading, or more than one.
    """
    given = '_'.join(model.lower().replace('-', ' ').split())
    name, D = _MODEL_NAMES.get(given, given), tuple(float(d) for d in D)
    used = max((i for i, d in enumerate(D, start=1) if d != 0), default=0)
    if not used and (D or name in ('none', *_BROWN)) and (name, len(D)) != ('equidistant', 4):
        return 'none', ()
    if name == 'none':
        raise GeometryError(
            f'The model {model!r} has no distortion, but D is {list(D)}; name the lens '
            '(plumb_bob, rational_polynomial, equidistant), or leave D out if the images are '
            'rectified.'
        )
    if name and name not in DISTORTION_SIZES:
        raise GeometryError(
            f'The distortion model {model!r} is unknown; known are {sorted(DISTORTION_SIZES)}. '
            'Calibrate with one of them, or give rectified images with a D of zeros.'
        )
    models = _BROWN[1:] if name in _BROWN else (name,)
    known = {size: of for of in models for size in DISTORTION_SIZES[of]}
    if not name:
        del known[4]  # plumb_bob and equidistant both take four
    sizes = [size for size in known if used <= size <= len(D)]
    own = DISTORTION_SIZES.get(name, ())
    is_doubled = len(D) not in own and D[: len(D) // 2] * 2 == D  # by a driver that fills it twice
    if not sizes or is_doubled:
        raise GeometryError(
            f'The distortion model {model!r} with {len(D)} coefficients, {list(D)}, has no one '
            f'reading; plumb_bob takes 4 or 5, rational_polynomial 8, 12 or 14, equidistant 4.'
        )
    size = len(D) if len(D) in own else min(sizes)
    return known[size], D[:size]


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera.

    Attributes:
        width: image width in pixels.
        height: image height in pixels.
        fx: focal length in pixels, horizontal.
        fy: focal length in pixels, vertical.
        cx: principal point in pixels, horizontal.
        cy: principal point in pixels, vertical.

    Raises:
        GeometryError: sizes or focal lengths are not positive and finite.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise GeometryError(
                f'Image size must be positive, got {self.width}x{self.height}; '
                'is the camera publishing a calibrated CameraInfo?'
            )
        if not all(math.isfinite(x) for x in (self.fx, self.fy, self.cx, self.cy)):
            raise GeometryError(f'Intrinsics must be finite, got {self}.')
        if self.fx <= 0 or self.fy <= 0:
            raise GeometryError(
                f'Focal lengths must be positive, got fx={self.fx}, fy={self.fy}; '
                'K = 0 means an uncalibrated camera: calibrate it or give its CameraInfo.'
            )

    @classmethod
    def from_matrix(cls, K: npt.ArrayLike, width: int, height: int) -> Intrinsics:
        """Intrinsics from a (3, 3) camera matrix, or the left (3, 3) of a (3, 4) one.

        Raises:
            GeometryError: the matrix has another shape, is transposed or in units of the image,
                or has skew (not supported by CameraInfo).
        """
        matrix = np.asarray(K, dtype=np.float64)
        if matrix.shape == (9,):  # row by row, as in CameraInfo
            matrix = matrix.reshape(3, 3)
        if matrix.shape not in ((3, 3), (3, 4)):
            raise GeometryError(f'Camera matrix must be (3, 3) or (3, 4), got {matrix.shape}.')
        if (np.abs(matrix[[1, 2, 2], [0, 0, 1]]) > 0).any():
            raise GeometryError(
                f'Camera matrix must have 0 below its diagonal, got {matrix[:, :3].tolist()}; is '
                'it transposed?'
            )
        if abs(matrix[0, 1]) > 1e-9 * max(1.0, abs(matrix[0, 0])):
            raise GeometryError(f'Camera matrix has skew {matrix[0, 1]}; rectify the image first.')
        fx, fy, cx, cy = matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]
        width, height = int(width), int(height)  # files have them in quotes, at times
        if 0 < fx < width * _LEAST_FOCAL or 0 < fy < height * _LEAST_FOCAL:
            raise GeometryError(
                f'A focal length of {fx:g} x {fy:g} for an image of {width}x{height} would see '
                'more than 176 degrees, as if K were divided by the size of the image; multiply '
                'its first row by the width and its second by the height.'
            )
        return cls(width, height, float(fx), float(fy), float(cx), float(cy))

    @property
    def matrix(self) -> Float64:
        """The (3, 3) camera matrix K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def project(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Pixels (..., 2) of camera-frame points (..., 3) in metres with z > 0."""
        z = points[..., 2]
        u = points[..., 0] / z * self.fx + self.cx
        v = points[..., 1] / z * self.fy + self.cy
        return np.stack((u, v), axis=-1)

    def unproject(
        self, pixels: npt.NDArray[np.floating], depth_m: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.floating]:
        """Camera-frame points (..., 3) in metres of pixels (..., 2) at depth (...)."""
        x = (pixels[..., 0] - self.cx) / self.fx * depth_m
        y = (pixels[..., 1] - self.cy) / self.fy * depth_m
        return np.stack((x, y, depth_m), axis=-1)

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same view sampled at another size.

        Pixel areas scale, so a pixel centre u maps to (u + 0.5) * s - 0.5, as cv2.resize does.
        """
        sx, sy = width / self.width, height / self.height
        return Intrinsics(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> Intrinsics:
        """The view of a window whose first pixel is (left, top) of this one."""
        return Intrinsics(width, height, self.fx, self.fy, self.cx - left, self.cy - top)


@dataclass(frozen=True)
class Camera:
    """A camera as calibrated: the pinhole of its raw image, its lens, its rectified pinhole.

    Attributes:
        intrinsics: K and size of the raw image.
        distortion_model: `none`, `plumb_bob`, `rational_polynomial` or `equidistant`.
        D: distortion coefficients in the order of OpenCV and sensor_msgs/CameraInfo.
        rectified: pinhole of the rectified image (P[:3, :3]); by default that of the raw one.
        R_rect: row-major (3, 3) rotation from the camera frame to that of the rectified image
            (stereo rigs); identity for all others.
        t_rect: (3,) where the origin of the camera frame lies in the frame of the rectified
            image, metres: not 0 for the second camera of a stereo rig in the frame of the first.

    Raises:
        GeometryError: unknown model, wrong number of coefficients, or not finite.
    """

    intrinsics: Intrinsics
    distortion_model: str = 'none'
    D: tuple[float, ...] = ()
    rectified: Intrinsics = field(default=None)  # type: ignore[assignment]
    R_rect: tuple[float, ...] = _IDENTITY
    t_rect: tuple[float, ...] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        sizes = DISTORTION_SIZES.get(self.distortion_model)
        if sizes is None:
            raise GeometryError(
                f'Unknown distortion model {self.distortion_model!r}; '
                f'known are {sorted(DISTORTION_SIZES)}.'
            )
        if len(self.D) not in sizes:
            raise GeometryError(
                f'{self.distortion_model} takes {sizes} coefficients, got {len(self.D)}.'
            )
        for name, numbers in (('D', self.D), ('R_rect', self.R_rect), ('t_rect', self.t_rect)):
            if not all(map(math.isfinite, numbers)):
                raise GeometryError(f'{name} must be finite, got {list(numbers)}.')
        rotation = np.reshape(self.R_rect, (3, 3)) if len(self.R_rect) == 9 else np.zeros((3, 3))
        near_one = np.abs(rotation).max() < 2  # the product of larger ones may overflow
        orthonormal = near_one and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
        if not orthonormal or np.linalg.det(rotation) < 0:
            raise GeometryError(f'R_rect must be a rotation of 9 numbers, got {self.R_rect}.')
        if self.rectified is None:
            object.__setattr__(self, 'rectified', self.intrinsics)

    @property
    def is_rectified(self) -> bool:
        """True if the image is what the rectified pinhole sees: no lens, no turn, one pinhole."""
        pinhole = self.distortion_model != 'equidistant' and not any(self.D)
        return pinhole and self.R_rect == _IDENTITY and self.rectified == self.intrinsics

    @property
    def T_rect_camera(self) -> Float64 | None:
        """(4, 4), maps points of the camera frame into that of the rectified view; None = same."""
        if self.R_rect == _IDENTITY and not any(self.t_rect):
            return None
        transform = np.eye(4)
        transform[:3, :3] = np.reshape(self.R_rect, (3, 3))
        transform[:3, 3] = self.t_rect
        return transform
