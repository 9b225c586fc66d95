"""Ray casting with NumPy alone, exact, on any machine.

Packets of neighbouring rays go down two trees of bounding boxes, one of solids and one of
triangles. What is in the leaves is met in double precision.
"""

from __future__ import annotations

import numpy as np

from depth_ros.frame import Bool, Float64
from depth_ros.simulation.box_tree import PACKET, BoxTree, Index, Packets, places
from depth_ros.simulation.parts import Parts, meet_solids
from depth_ros.simulation.raycast import Hits, direction_order

_BLOCK = 1024 * PACKET  # rays at once, which bounds memory
_LEAF = 4  # triangles
_SLACK = 1e-9  # of sides, so that nothing falls between two triangles
_TINY = 1e-200  # makes a zero finite to divide by, and is lost in everything else


class NumpyCaster:
    """Casts rays at parts; as `Caster`."""

    def __init__(self, parts: Parts) -> None:
        self._trees: list[BoxTree] = []
        if len(parts.shape):
            self._trees.append(_Solids(parts))
        if len(parts.corners):
            self._trees.append(_Triangles(parts))

    def cast(self, origins: Float64, directions: Float64, limit: float = np.inf) -> Hits:
        """Nearest hits of rays."""
        return self._cast(np.asarray(origins, np.float64), directions, limit, any_hit=False)

    def blocked(self, points: Float64, lamp: Float64) -> Bool:
        """Whether something is between points and a lamp; the rays start at the lamp."""
        if not len(points):
            return np.zeros(0, dtype=bool)
        order = direction_order(points - lamp)
        hits = self._cast(lamp, (points - lamp)[order], 1.0, any_hit=True)
        blocked = np.empty(len(points), dtype=bool)
        blocked[order] = hits.face >= 0
        return blocked

    def _cast(self, origins: Float64, directions: Float64, limit: float, any_hit: bool) -> Hits:
        t, face = np.empty(len(directions)), np.empty(len(directions), np.int32)
        for first in range(0, len(t), _BLOCK):
            rays = slice(first, first + _BLOCK)
            start = origins if origins.ndim == 1 else origins[rays]
            packets = Packets(start, directions[rays], limit, any_hit)
            for tree in self._trees:
                tree.cast(packets)
            count = len(t[rays])
            t[rays], face[rays] = packets.t.ravel()[:count], packets.face.ravel()[:count]
        t[face < 0] = np.inf
        return Hits(t, face)


class _Triangles(BoxTree):
    """Triangles, met as by Moeller and Trumbore (JGT 1997).

    All three of their triple products are linear in a ray's moment about the origin and its
    direction.
    """

    def __init__(self, parts: Parts) -> None:
        corners = parts.corners
        super().__init__(corners.min(axis=1), corners.max(axis=1), _LEAF)
        a = corners[:, 0]
        first, second = corners[:, 1] - a, corners[:, 2] - a
        normal = np.cross(first, second)
        products = (
            np.concatenate((np.zeros_like(a), normal), axis=1),
            np.concatenate((-second, -np.cross(a, second)), axis=1),
            np.concatenate((first, np.cross(a, first)), axis=1),
        )
        rows = np.stack(products, axis=1)[self.order]
        rows[self.order < 0] = 0.0
        # (leaves, 3 * K, 6): the first product of all, then the second, then the third.
        self._rows = rows.transpose(0, 2, 1, 3).reshape(len(rows), -1, 6)
        self._plane = np.concatenate((normal, np.sum(normal * a, axis=1)[:, None]), axis=1)
        self._face = parts.corner_face

    def meet(self, packets: Packets, packet: Index, leaf: Index) -> None:
        """Let packets meet the triangles of leaves."""
        product = (self._rows[leaf] @ packets.line[packet]).reshape(len(leaf), 3, -1, PACKET)
        with np.errstate(divide='ignore', invalid='ignore'):
            scale = 1.0 / product[:, 0]
            u, v = product[:, 1] * scale, product[:, 2] * scale
            least = np.minimum(u, v)
            u += v
            inside = (least >= -_SLACK) & (u <= 1 + _SLACK)
        pair, row, ray = places(inside)
        triangle, packet = self.order[leaf[pair], row], packet[pair]
        plane, place = self._plane[triangle], (packet, ray)
        height = plane[:, 3] - np.einsum('ij,ij->i', plane[:, :3], packets.origin[place])
        t = height * scale[pair, row, ray]
        nearer = (t > 0) & (t < packets.t[place])
        packets.hit(packet[nearer], ray[nearer], t[nearer], self._face[triangle[nearer]])


class _Solids(BoxTree):
    """Boxes, cylinders and ellipsoids, each in the frame of its unit shape."""

    def __init__(self, parts: Parts) -> None:
        reach = np.abs(parts.rotation * parts.half_size[:, None]).sum(axis=2)
        super().__init__(parts.center - reach, parts.center + reach, 1)
        self._parts = parts

    def meet(self, packets: Packets, packet: Index, leaf: Index) -> None:
        """Let packets meet the solids of leaves: rays that are in the unit box around them."""
        solid = self.order[leaf, 0]
        to_unit = self._parts.to_unit[solid]
        turn, move = to_unit[:, :, :3], to_unit[:, :, 3:]
        direction = turn @ packets.direction[packet].transpose(0, 2, 1)
        origin = turn @ packets.origin[packet].transpose(0, 2, 1) + move
        inverse = 1.0 / (direction + _TINY)
        middle, half = -origin * inverse, (1 + _SLACK) * np.abs(inverse)
        enter, leave = (middle - half).max(axis=1), (middle + half).min(axis=1)
        pair, ray = places((leave >= np.maximum(enter, 0)) & (enter < packets.t[packet]))
        t, row = np.empty(len(pair)), np.empty(len(pair), np.int32)
        shape = self._parts.shape[solid[pair]]
        origin, direction = origin[pair, :, ray].T, direction[pair, :, ray].T
        for number in range(3):
            of_shape = np.flatnonzero(shape == number)
            t[of_shape], row[of_shape] = meet_solids(
                number, origin[:, of_shape], direction[:, of_shape]
            )
        nearer = t < packets.t[packet[pair], ray]
        pair, ray, face = pair[nearer], ray[nearer], self._parts.first_face[solid[pair]] + row
        packets.hit(packet[pair], ray, t[nearer], face[nearer])
