"""Puts the parts of a world together, object by object."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation.materials import Material
from depth_ros.simulation.parts import Mesh, Part, Solid

Vector = tuple[float, float, float]
Sides = Material | tuple[Material, Material, Material]
"""Material of all sides, or of the side, the top and the bottom."""

_LYING = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclass
class Builder:
    """Adds parts in the frame of one object: x forward, y left, z up from where it stands.

    Attributes:
        parts: what has been added, in the world.
        position: of the object's origin in the world in metres.
        yaw: turn about z in radians.
    """

    parts: list[Part] = field(default_factory=list)
    position: Vector = (0.0, 0.0, 0.0)
    yaw: float = 0.0

    def __post_init__(self) -> None:
        self._rotation = rotation_z(self.yaw)

    def at(self, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Builder:
        """A builder of an object that stands in the frame of this one."""
        moved = self._rotation @ (x, y, z) + self.position
        return Builder(self.parts, (moved[0], moved[1], moved[2]), self.yaw + yaw)

    def box(self, at: Vector, size: Vector, sides: Sides, yaw: float = 0, tilt: float = 0) -> None:
        """A box that stands with the centre of its bottom at `at`; `tilt` leans +z to +x."""
        turn = rotation_z(yaw) @ rotation_y(tilt)
        middle = turn @ (0.0, 0.0, size[2] / 2) + at
        self._solid('box', middle, np.divide(size, 2), sides, turn)

    def post(
        self,
        at: Vector,
        radius: float,
        height: float,
        sides: Sides,
        yaw: float = 0,
        tilt: float = 0,
    ) -> None:
        """A cylinder that stands on `at`, leaning by `tilt` to where `yaw` points."""
        turn = rotation_z(yaw) @ rotation_y(tilt)
        middle = turn @ (0.0, 0.0, height / 2) + at
        self._solid('cylinder', middle, (radius, radius, height / 2), sides, turn)

    def rod(
        self, start: Sequence[float], end: Sequence[float], radius: float, sides: Sides
    ) -> None:
        """A cylinder from one point to another."""
        along = np.subtract(end, start)
        length = float(np.linalg.norm(along))
        yaw = math.atan2(along[1], along[0])
        tilt = math.atan2(math.hypot(along[0], along[1]), along[2])
        self.post((start[0], start[1], start[2]), radius, length, sides, yaw, tilt)

    def barrel(self, middle: Vector, half: Vector, sides: Sides) -> None:
        """An elliptic cylinder around the y axis; `half` extents along x, y and z."""
        self._solid('cylinder', middle, (half[0], half[2], half[1]), sides, _LYING)

    def ball(self, middle: Vector, half: Vector, sides: Sides, yaw: float = 0.0) -> None:
        """An ellipsoid around `middle`."""
        self._solid('ellipsoid', middle, half, sides, rotation_z(yaw))

    def mesh(
        self,
        shape: Mesh,
        at: Vector,
        size: Sequence[float],
        material: Material,
        yaw: float = 0.0,
        tilt: float = 0.0,
    ) -> None:
        """A shape, scaled by `size`, then tilted, then turned, then moved to `at`."""
        turn = self._rotation @ rotation_z(yaw) @ rotation_y(tilt)
        moved = self._rotation @ np.asarray(at, float) + self.position
        vertices = (shape.vertices * np.asarray(size)) @ turn.T + moved
        self.parts.append(Mesh(vertices.astype(np.float32), shape.faces, material, turn.T))

    def _solid(
        self, shape: str, middle: Sequence[float] | Float64, half: Sequence[float] | Float64,
        sides: Sides, turn: Float64,
    ) -> None:  # fmt: skip
        center = self._rotation @ np.asarray(middle, float) + self.position
        materials = (sides,) * 3 if isinstance(sides, Material) else sides
        half_size = np.asarray(half, float)
        self.parts.append(Solid(shape, center, half_size, self._rotation @ turn, materials))


def rotation_z(angle: float) -> Float64:
    """Rotation (3, 3) about z."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_y(angle: float) -> Float64:
    """Rotation (3, 3) about y; it turns +z towards +x."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
