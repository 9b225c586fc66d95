"""The DDS environment of our processes. Imports no ROS: it must act before rclpy is loaded.

Fast DDS sends messages between processes of one machine through a shared-memory segment of
512 KiB; best-effort messages that do not fit vanish without a word. Our profile enlarges it.

Two systems in one ROS_DOMAIN_ID hear each other, so the demo and the tests take one of their own.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import shutil
import socket
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from depth_ros.errors import NodeError

IMAGES_PROFILE = 'fastdds_shm.xml'
CLOUDS_PROFILE = 'fastdds_shm_large.xml'

# Fast DDS 3 (Kilted and later) reads the first, Fast DDS 2 (Humble, Jazzy) only the second.
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')

# The UDP ports of higher domains may be taken by outgoing connections.
DOMAINS = range(1, 102)

_SHARED_MEMORY = Path('/dev/shm')
_log = logging.getLogger(__name__)


def use_shared_memory_profile(
    profile: str = IMAGES_PROFILE, environ: MutableMapping[str, str] = os.environ
) -> Path | None:
    """Point Fast DDS to our profile, for this process and those it starts.

    A profile that the user has set, under either name, or another middleware is left alone.
    Call it before `rclpy.init`.

    Args:
        profile: `IMAGES_PROFILE`, or `CLOUDS_PROFILE` for clouds of a million points.
        environ: environment to change.

    Returns:
        The profile set, or None if none was; a warning says why, unless the user wanted it so.
    """
    for variable in PROFILE_VARIABLES:
        if environ.get(variable) == '':  # Fast DDS takes an empty value for a broken file
            del environ[variable]
    if any(variable in environ for variable in PROFILE_VARIABLES):
        return None
    if 'fastrtps' not in environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'):
        return None
    path = find_share_file(f'config/{profile}')
    if path is None:
        _log.warning('%s is not installed; large messages may be lost.', profile)
        return None
    if not _has_room(segment_bytes(path)):
        return None
    environ.update(dict.fromkeys(PROFILE_VARIABLES, str(path)))
    return path


def segment_bytes(profile: Path) -> int:
    """Size of the shared-memory segment that a profile asks for, per process."""
    sizes = ET.parse(profile).iterfind('.//{*}segment_size')
    return max(int(size.text or 0) for size in sizes)


@contextlib.contextmanager
def own_domain(environ: MutableMapping[str, str]) -> Iterator[str]:
    """Keep the nodes of an environment among themselves: on loopback, in a domain of their own.

    What `environ` already says is left alone. The domain is this process's until the end of the
    block; no other caller on this machine gets it meanwhile.

    Args:
        environ: environment of the nodes; changed.

    Yields:
        Its ROS_DOMAIN_ID.

    Raises:
        NodeError: every domain is in use.
    """
    discovery_range = environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or 'LOCALHOST'
    environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = discovery_range
    if environ.get('ROS_DISTRO') == 'humble' and discovery_range == 'LOCALHOST':
        environ.setdefault('ROS_LOCALHOST_ONLY', '1')  # Humble does not know the other one
    if environ.get('ROS_DOMAIN_ID'):
        yield environ['ROS_DOMAIN_ID']
        return
    with contextlib.ExitStack() as claims:
        start = os.getpid() % len(DOMAINS)
        for domain_id in (*DOMAINS[start:], *DOMAINS[:start]):
            # An abstract address leaves no file behind; the kernel frees it whatever happens.
            claim = claims.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            try:
                claim.bind(f'\0depth_ros/domain/{domain_id}')
            except OSError:
                continue
            if _is_silent(domain_id):
                environ['ROS_DOMAIN_ID'] = str(domain_id)
                yield environ['ROS_DOMAIN_ID']
                return
    raise NodeError(
        f'Every ROS_DOMAIN_ID from {DOMAINS[0]} to {DOMAINS[-1]} is in use on this machine; '
        'end some ROS processes, or set ROS_DOMAIN_ID to share one.'
    )


def _is_silent(domain_id: int) -> bool:
    """Whether no DDS participant of this machine is in the domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', 7400 + 250 * domain_id))  # its discovery port (DDSI-RTPS, 9.6.1.1)
        except OSError:
            return False
    return True


def find_share_file(relative: str) -> Path | None:
    """A file of share/depth_ros, such as `config/completion.yaml`; None if it is not there.

    Looked for in the source tree (editable installs), where pip recorded it, below each prefix
    of AMENT_PREFIX_PATH (colcon) and below the prefix of this interpreter.
    """
    return next((path for path in _candidates(relative) if path.is_file()), None)


def _candidates(relative: str) -> Iterator[Path]:
    repository = Path(__file__).resolve().parents[2]
    if (repository / 'pyproject.toml').is_file():
        yield repository / relative
    installed = Path('share', 'depth_ros', relative)
    try:
        recorded = importlib.metadata.files('depth_ros') or []
    except importlib.metadata.PackageNotFoundError:
        recorded = []
    for entry in recorded:
        if entry.as_posix().endswith(installed.as_posix()):
            yield Path(str(entry.locate())).resolve()
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    for prefix in (*filter(None, prefixes), sys.prefix):
        yield Path(prefix) / installed


def _has_room(needed_bytes: int) -> bool:
    try:
        free_bytes = shutil.disk_usage(_SHARED_MEMORY).free
    except OSError:
        _log.warning('%s is missing; large messages may be lost.', _SHARED_MEMORY)
        return False
    if free_bytes < needed_bytes:
        _log.warning(
            '%s has %.0f MiB left but a process needs %.0f; large messages may be lost. In a '
            'container start it with --ipc=host or --shm-size=256m.',
            _SHARED_MEMORY,
            free_bytes / 2**20,
            needed_bytes / 2**20,
        )
        return False
    return True
