"""The worlds there are, by name."""

from __future__ import annotations

from collections.abc import Callable

from depth_ros.simulation.room import indoor
from depth_ros.simulation.street import street
from depth_ros.simulation.warehouse import warehouse
from depth_ros.simulation.world import Wish, World
from depth_ros.simulation.yard import yard

WORLDS: dict[str, Callable[[Wish], World]] = {
    'street': street,
    'indoor': indoor,
    'warehouse': warehouse,
    'yard': yard,
}
