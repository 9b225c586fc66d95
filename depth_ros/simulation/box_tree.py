"""Packets of rays, and trees of bounding boxes that they go down side by side.

As in Wald et al., "Ray tracing deformable scenes using dynamic bounding volume hierarchies", TOG
2007: nearest boxes first, and not into those behind what all rays of a packet hit. Boxes are
compared in single precision, and let a packet in rather than lose it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from depth_ros.frame import Bool, Float32, Float64
from depth_ros.simulation.parts import Int32

PACKET = 32  # rays
_PAIRS = 1024  # of packets and boxes at once, whose arrays stay in the processor's cache
_CHILDREN = 8  # of a node: wide trees take few steps in Python
_STRIDE = 2  # levels above the leaves at which nearer nodes are taken first, as at the leaves
_MARGIN = 4e-6  # of the size of coordinates: more than single precision is wrong by
_NARROW = 0.2  # cosine between the axis of a packet and its rays, below which it is everywhere
_FAR_M = 1e30
_NOWHERE_M = 1e36  # where boxes around nothing begin

Index = npt.NDArray[np.intp]
Pairs = tuple[Index, Index, Float32]
"""Packets, the nodes that they look into, and how far along its axis the packet meets each."""


class Packets:
    """P packets of R neighbouring rays each, and what they met so far.

    A packet goes along the axis of the world that its rays are nearest to, x below, and is
    between two lines over x in y and in z. One whose rays differ too much is everywhere.

    Attributes:
        origin: of rays (P, R, 3).
        direction: (P, R, 3).
        t: (P, R) at which a hit must be nearer.
        face: (P, R), -1 for none.
        view: (P,) the axis of each packet, of +x, -x, +y, -y, +z, -z.
        corridor: (10, P) where packets are: the least and the greatest start along x; of y, then
            z, the offset and slope of the lower and the upper line.
        far: (P,) the way of each packet along x, metres.
    """

    def __init__(self, origins: Float64, directions: Float64, limit: float, any_hit: bool) -> None:
        count = -(-len(directions) // PACKET)
        chosen = np.minimum(np.arange(count * PACKET), len(directions) - 1)
        self.direction = np.asarray(directions, np.float64)[chosen].reshape(count, PACKET, 3)
        origins = np.broadcast_to(origins, directions.shape)
        self.origin = origins[chosen].reshape(count, PACKET, 3)
        self.t = np.full((count, PACKET), limit)
        self.face = np.full((count, PACKET), -1, np.int32)
        self._any_hit = any_hit
        direction, origin = (np.ascontiguousarray(v.T) for v in (self.direction, self.origin))
        with np.errstate(divide='ignore', invalid='ignore'):
            length = np.sqrt(np.sum(direction * direction, axis=0))
            mean = np.sum(direction / length, axis=1)
            axis = np.argmax(np.abs(mean), axis=0)
            sign = np.where(mean[axis, np.arange(count)] < 0, -1.0, 1.0)
            self.view = 2 * axis + (sign < 0)
            turn = ((np.arange(3)[:, None] + axis) % 3)[:, None]
            x, *across = np.take_along_axis(direction, turn, axis=0)
            from_x, *from_across = np.take_along_axis(origin, turn, axis=0)
            x, from_x = x * sign, from_x * sign
            start = from_x.min(axis=0)
            rows = [start, start]
            for along, begin in zip(across, from_across, strict=True):
                slope = along / x
                offset = begin - slope * (from_x - start)
                rows += [f(v, axis=0) for f in (np.min, np.max) for v in (offset, slope)]
        self._corridor, self._size = np.stack(rows), np.abs(origin).max(axis=(0, 1))
        self._wide = ~np.all(x > _NARROW * length, axis=0)
        everywhere = np.array((-_FAR_M, -_FAR_M, *(-_FAR_M, 0.0, _FAR_M, 0.0) * 2))
        self._corridor[:, self._wide] = everywhere[:, None]
        self._x, self._from_x = (np.ascontiguousarray(v.T) for v in (x, from_x - start))
        self.far = np.full(count, np.inf, np.float32)
        self._stop(np.arange(count))

    @cached_property
    def line(self) -> Float64:
        """(P, 6, R) moment about the origin and direction of each ray."""
        moment = np.cross(self.origin, self.direction)
        return np.concatenate((moment, self.direction), axis=2).transpose(0, 2, 1).copy()

    def widen(self, size: float) -> None:
        """Make the corridor wide enough for boxes with coordinates up to a size in metres."""
        margin = _MARGIN * (self._size + size)
        signs = np.array((1.0, -1.0, *(-1.0, 0.0, 1.0, 0.0) * 2))
        self.corridor = (self._corridor + signs[:, None] * margin).astype(np.float32)

    def hit(self, packet: Index, ray: Index, t: Float64, face: Int32) -> None:
        """Take hits (K,) of rays, given by packet and place in it, which are nearer than t."""
        order = np.argsort(-t)
        packet, ray = packet[order], ray[order]
        # The last of the hits of a ray, which is the nearest, stays.
        self.t[packet, ray] = -np.inf if self._any_hit else t[order]
        self.face[packet, ray] = face[order]
        self._stop(np.flatnonzero(np.bincount(packet)))

    def _stop(self, packets: Index) -> None:
        with np.errstate(invalid='ignore'):
            far = (self._x[packets] * self.t[packets] + self._from_x[packets]).max(axis=1)
        self.far[packets] = np.where(self._wide[packets], np.inf, far)


class BoxTree(ABC):
    """A complete tree of nodes over boxes, given by their lower and upper corners (N, 3).

    Attributes:
        order: (leaves, K) which boxes are in each leaf, -1 for none.
    """

    def __init__(self, low: Float64, high: Float64, leaf: int) -> None:
        self.order = _halved(low, high, max(0, int(np.ceil(np.log2(len(low) / leaf)))))
        nothing = (self.order < 0)[..., None]
        levels = [
            (
                np.where(nothing, _NOWHERE_M, low[self.order]).min(axis=1),
                np.where(nothing, -_NOWHERE_M, high[self.order]).max(axis=1),
            )
        ]
        while len(levels[-1][0]) >= _CHILDREN:
            lows, highs = (side.reshape(-1, _CHILDREN, 3) for side in levels[-1])
            levels.append((lows.min(axis=1), highs.max(axis=1)))
        lows, highs = (np.concatenate(sides[::-1]) for sides in zip(*levels, strict=True))
        self._first = np.cumsum([0, *(len(side) for side, _ in levels[::-1])])  # of each level
        self._size = float(max(np.abs(low).max(), np.abs(high).max()))
        views = []  # as `Packets.view`
        for turn in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            one, other = lows[:, turn].T, highs[:, turn].T
            views.append(np.concatenate((one, other)))
            views.append(np.concatenate((-other[:1], one[1:], -one[:1], other[1:])))
        self._box = np.concatenate(views, axis=1).astype(np.float32)

    def cast(self, packets: Packets) -> None:
        """Let packets meet what is in this tree."""
        packets.widen(self._size)
        count, roots = len(packets.far), int(self._first[1])
        nodes = np.repeat(np.arange(roots)[:, None], count, axis=1)
        pairs = self._seen(packets, np.arange(count), nodes)
        last = len(self._first) - 2
        halt = max(0, last - _STRIDE)
        for subtrees in _nearest_first(packets, self._down(packets, pairs, 0, halt)):
            for leaves in _nearest_first(packets, self._down(packets, subtrees, halt, last)):
                self.meet(packets, leaves[0], leaves[1] - self._first[last])

    @abstractmethod
    def meet(self, packets: Packets, packet: Index, leaf: Index) -> None:
        """Let packets (Q,) meet what is in a leaf each."""

    def _down(self, packets: Packets, pairs: Pairs, level: int, end: int) -> Pairs:
        """From nodes of a level to those below them at another, as far as packets see them."""
        for first, below in zip(self._first[level:end], self._first[level + 1 :], strict=False):
            packet, node, _ = pairs
            child = below + _CHILDREN * (node - first) + np.arange(_CHILDREN)[:, None]
            pairs = self._seen(packets, packet, child)
        return pairs

    def _seen(self, packets: Packets, packet: Index, node: Index) -> Pairs:
        """Those of nodes (C, Q) that packets (Q,) see, by slabs along x and lines over it."""
        at = node + (packets.view * int(self._first[-1]))[packet]
        low_x, low_y, low_z, high_x, high_y, high_z = (np.take(side, at) for side in self._box)
        first, last, *lines = np.take(packets.corridor, packet, axis=1)
        near, far = np.maximum(low_x - first, np.float32(0)), high_x - last
        seen = (far >= 0) & (near <= packets.far[packet])
        for low, high, line in ((low_y, high_y, lines[:4]), (low_z, high_z, lines[4:])):
            lower, down, upper, up = line
            seen &= high >= lower + np.minimum(down * near, down * far)
            seen &= low <= upper + np.maximum(up * near, up * far)
        child, pair = places(seen)
        return packet[pair], node[child, pair], near[child, pair]


def _nearest_first(packets: Packets, pairs: Pairs) -> Iterator[Pairs]:
    """Pairs whose nodes are not yet behind hits, in rounds.

    First comes the nearest node of each packet, then the next, the next two, four, and so on.
    """
    packet, node, near = pairs
    order = np.lexsort((near, packet))
    count = np.bincount(packet, minlength=1)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(count) - count, count)
    number = np.frexp(rank.astype(np.float32))[1].astype(np.int8)  # 0, 1, 2, 2, 3, 3, 3, 3, 4 ...
    order = order[np.argsort(number, kind='stable')]
    ends = np.cumsum(np.bincount(number))
    for start, end in zip((0, *ends[:-1]), ends, strict=False):
        for first in range(start, end, _PAIRS):
            chosen = order[first : min(first + _PAIRS, end)]
            chosen = chosen[near[chosen] <= packets.far[packet[chosen]]]
            if len(chosen):
                yield packet[chosen], node[chosen], near[chosen]


def _halved(low: Float64, high: Float64, depth: int) -> Index:
    """Which of boxes are in each leaf of a tree (2^depth, K), -1 for none.

    Each node is split at the median along x, y, z or by size: whichever leaves the least surface,
    to which the share of rays that meet a box is in proportion (Goldsmith and Salmon, 1987).
    """
    count, leaves = len(low), 2**depth
    order = np.arange(-(-count // leaves) * leaves)
    order[count:] = count  # boxes around nothing
    sort_by = (*(low + high).T, (high - low).max(axis=1))
    ranks = np.full((len(sort_by), count + 1), count)
    for rank, key in zip(ranks, sort_by, strict=True):
        rank[np.argsort(key, kind='stable')] = np.arange(count)
    low = np.concatenate((low, np.full((1, 3), np.inf)))
    high = np.concatenate((high, np.full((1, 3), -np.inf)))
    for level in range(depth):
        nodes = order.reshape(2**level, -1)
        best, least = nodes, np.full(len(nodes), np.inf)
        for rank in ranks:
            tried = np.take_along_axis(nodes, np.argsort(rank[nodes], axis=1), axis=1)
            halves = tried.reshape(2 * len(nodes), -1)
            side = np.maximum(high[halves].max(axis=1) - low[halves].min(axis=1), 0)
            surface = np.sum(side * np.roll(side, 1, axis=1), axis=1).reshape(-1, 2).sum(axis=1)
            better = surface < least
            best, least = np.where(better[:, None], tried, best), np.where(better, surface, least)
        order = best.ravel()
    order[order == count] = -1
    return order.reshape(leaves, -1)


def places(mask: Bool) -> tuple[Index, ...]:
    """As `np.nonzero`, which takes ten times as long where there is more than one axis."""
    return np.unravel_index(np.flatnonzero(mask), mask.shape)
