"""A world: what stands and what moves in it, its light, and the way of the rig through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, Float32, Float64
from depth_ros.simulation.parts import Int32, Part, Parts
from depth_ros.simulation.raycast import Hits, lengths, make_caster
from depth_ros.simulation.shading import Light, Shader
from depth_ros.simulation.trajectory import Trajectory, straight

_REACH_MARGIN = 1.001
_EVEN = Light((), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
_STANDING = straight((0, 0, 0), (0, 0, 0))


@dataclass(frozen=True)
class Wish:
    """What a world is to be like.

    Attributes:
        rng: decides everything else.
        duration_s: how long the rig drives through it.
        relief_m: height of the hills of its ground over their mean; 0 makes it a plane.
        wild: share of materials and lights that say nothing of what they are; see `Palette`.
        backend: what casts the rays, see `raycast.make_caster`.
    """

    rng: np.random.Generator
    duration_s: float = 5.0
    relief_m: float = 0.3
    wild: float = 0.0
    backend: str = 'auto'


@dataclass(frozen=True)
class Mover:
    """A rigid thing that moves.

    Attributes:
        parts: in its own frame.
        trajectory: of that frame.
    """

    parts: tuple[Part, ...]
    trajectory: Trajectory


class World:
    """What sensors see.

    Args:
        standing: parts that do not move.
        light: how it is lit.
        rig: the way of the rig, whose origin is on the ground.
        movers: what moves.
        backend: what casts the rays, see `raycast.make_caster`.

    Attributes:
        parts: all, those of each mover in its own frame; `Hits.face` counts their faces.
        standing: casts at what does not move.
        moving: of each mover, its first face, what casts at it in its own frame, and the middle
            and the radius of a sphere around it there.
        mover_of_face: (F,) which mover each face belongs to, -1 for none.
    """

    def __init__(
        self,
        standing: Sequence[Part],
        light: Light = _EVEN,
        rig: Trajectory = _STANDING,
        movers: Sequence[Mover] = (),
        backend: str = 'auto',
    ) -> None:
        self.light, self.rig, self.movers = light, rig, tuple(movers)
        self.parts = Parts([*standing, *(part for mover in movers for part in mover.parts)])
        self.standing = make_caster(self.parts.between(0, len(standing)), backend)
        self.moving = []
        at, first = len(standing), int(np.searchsorted(self.parts.part, len(standing)))
        self.mover_of_face = np.full(len(self.parts.part), -1, np.int32)
        for number, mover in enumerate(movers):
            parts = self.parts.between(at, at + len(mover.parts))
            # Balls around its solids and the corners of its meshes, all in one ball.
            centers = np.concatenate((parts.center, parts.corners.reshape(-1, 3)))
            reach = np.zeros(len(centers))
            reach[: len(parts.radius)] = parts.radius
            low, high = centers - reach[:, None], centers + reach[:, None]
            middle = (low.min(axis=0) + high.max(axis=0)) / 2
            outermost = (np.linalg.norm(centers - middle, axis=1) + reach).max()
            radius = _REACH_MARGIN * float(outermost)
            self.moving.append((first, make_caster(parts, backend), middle, radius))
            self.mover_of_face[first : first + len(parts.part)] = number
            at, first = at + len(parts), first + len(parts.part)

    @cached_property
    def shader(self) -> Shader:
        """What colours hits; made when the first photo is taken."""
        return Shader(self.parts, self.light)

    def at(self, time_s: npt.ArrayLike) -> Moment:
        """The world at one time, or, for rays of their own times, at each of them (N,)."""
        times_s, number = np.unique(np.asarray(time_s, dtype=np.float64), return_inverse=True)
        poses = [mover.trajectory.poses(times_s) for mover in self.movers]
        return Moment(self, poses, number if np.ndim(time_s) else None)


class Moment:
    """A world at the times of some rays; casts them as `raycast.Caster` does.

    Args:
        world: the world.
        poses: (K, 4, 4) of each mover, at the times that occur.
        number: (N,) which of these each ray is cast at; None if there is only one.
    """

    def __init__(
        self, world: World, poses: list[Float64], number: npt.NDArray[np.intp] | None
    ) -> None:
        self._world, self._poses, self._number = world, poses, number

    def of(self, chosen: npt.NDArray[np.intp] | slice) -> Moment:
        """The world at the times of chosen rays."""
        if self._number is None:
            return self
        return Moment(self._world, self._poses, self._number[chosen])

    def cast(self, origins: Float64, directions: Float64, limit: float = np.inf) -> Hits:
        """Nearest hits of rays, as `raycast.Caster.cast`."""
        hits = self._world.standing.cast(origins, directions, limit)
        length = lengths(directions)
        for mover in range(len(self._poses)):
            near = self._near(mover, origins, directions, length)
            if not len(near):
                continue
            first, caster = self._world.moving[mover][:2]
            turn, start = self._into(mover, origins, near)
            own = caster.cast(start, _turned(directions[near], turn), limit)
            closer = np.flatnonzero(own.t < hits.t[near])
            hits.t[near[closer]] = own.t[closer]
            hits.face[near[closer]] = own.face[closer] + np.int32(first)
        return hits

    def blocked(self, points: Float64, lamp: Float64) -> Bool:
        """Whether something is between points (N, 3) and a lamp (3,)."""
        blocked = self._world.standing.blocked(points, lamp)
        towards = lamp - points
        length = lengths(towards)
        for mover in range(len(self._poses)):
            near = self._near(mover, points, towards, length)
            near = near[~blocked[near]]
            if len(near):
                turn, start = self._into(mover, points, near)
                caster = self._world.moving[mover][1]
                hits = caster.cast(start, _turned(towards[near], turn), limit=1.0)
                blocked[near] = hits.face >= 0
        return blocked

    def describe(self, points: Float64, face: Int32) -> tuple[Float32, Float32]:
        """Outward normals (N, 3) and texture coordinates (N, 2), as `Parts.describe`."""
        parts, number = self._world.parts, self._world.mover_of_face[face]
        turns = []
        for mover in np.unique(number[number >= 0]):
            on = np.flatnonzero(number == mover)
            turn, local = self._into(mover, points, on)
            points = points.copy()
            points[on] = local
            turns.append((on, turn))
        normal, uv = parts.describe(points, face)
        for on, turn in turns:
            normal[on] = _turned(normal[on], np.swapaxes(turn, -1, -2))
        return normal, uv

    def _near(
        self, mover: int, origins: Float64, directions: Float64, length: Float64
    ) -> npt.NDArray[np.intp]:
        """Which rays, whose lengths (N,) are given, pass the sphere around a mover."""
        poses, (_, _, middle, radius) = self._poses[mover], self._world.moving[mover]
        places = poses[:, :3, :3] @ middle + poses[:, :3, 3]
        offset = (places[0] if self._number is None else places[self._number]) - origins
        if offset.ndim == 1:
            along, outside = directions @ offset, offset @ offset - radius**2
        else:
            along = np.einsum('ij,ij->i', offset, directions)
            outside = np.einsum('ij,ij->i', offset, offset) - radius**2
        # From outside, the line has to pass and the ray to go towards the sphere.
        needed = np.where(outside > 0, np.sqrt(np.maximum(outside, 0)), -np.inf)
        return np.flatnonzero(along >= needed * length)

    def _into(
        self, mover: int, points: Float64, chosen: npt.NDArray[np.intp]
    ) -> tuple[Float64, Float64]:
        """Rotations from the world, and chosen points, in the frame of a mover."""
        poses = self._poses[mover]
        pose = poses[0] if self._number is None else poses[self._number[chosen]]
        turn = np.swapaxes(pose[..., :3, :3], -1, -2)
        points = points if points.ndim == 1 else points[chosen]
        return turn, _turned(points - pose[..., :3, 3], turn)


def _turned(vectors: npt.NDArray[np.floating], turn: Float64) -> Float64:
    """Vectors (N, 3) or (3,) under one rotation or one each."""
    if turn.ndim == 2:
        return np.asarray(vectors @ turn.T)
    return np.asarray(np.einsum('...ij,...j->...i', turn, vectors))
