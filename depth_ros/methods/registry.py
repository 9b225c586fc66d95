"""Which depth methods exist, and which one `auto` takes."""

from __future__ import annotations

from collections.abc import Callable

from depth_ros.methods.base import DepthMethod
from depth_ros.methods.guided import Guided
from depth_ros.methods.ip_basic import IpBasic

METHODS: dict[str, Callable[..., DepthMethod]] = {Guided.name: Guided, IpBasic.name: IpBasic}


def choose(name: str) -> tuple[str, str]:
    """The method that `name` stands for, and why it was taken."""
    if name != 'auto':
        return name, 'chosen by the parameter `method`'
    return Guided.name, 'best method that needs neither weights nor a GPU'
