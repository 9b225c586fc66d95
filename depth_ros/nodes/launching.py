"""What the launch files of the nodes that publish depth have in common.

What an argument says is checked before anything is started: launch leaves the processes that run
already behind when a later one cannot be made.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from depth_ros.errors import ConfigError
from depth_ros.nodes.dds import use_shared_memory_profile

OUTPUTS = (
    'image_rect',
    'depth/image_rect',
    'depth/image_dense',
    'depth/uncertainty',
    'depth/points',
    'depth/relative',
)
RESPAWN_DELAY_S = 2.0


def argument(name: str, description: str, default: str = '') -> DeclareLaunchArgument:
    """An argument with any value; empty = as in params_file, unless the description says else."""
    return DeclareLaunchArgument(name, default_value=default, description=description)


def switch(name: str, description: str, default: bool = False) -> DeclareLaunchArgument:
    """An argument that is true or false."""
    return DeclareLaunchArgument(
        name,
        default_value=str(default).lower(),
        choices=['true', 'false', 'True', 'False'],
        description=description,
    )


def is_on(context: LaunchContext, name: str) -> bool:
    """Whether a `switch` is true."""
    return context.launch_configurations[name].lower() == 'true'


def depth_arguments(params_file: Path) -> list[DeclareLaunchArgument]:
    """The arguments that every one of them takes; `params_file` is the default of its own."""
    return [
        argument('image', 'Topic of the image.', 'image'),
        argument('camera_info', 'Topic of the CameraInfo; empty = camera_info beside the image.'),
        DeclareLaunchArgument(
            'image_transport',
            default_value='',
            choices=['', 'raw', 'compressed'],
            description='Type of the image topic, compressed = <image>/compressed; '
            'empty = as in params_file.',
        ),
        argument(
            'params_file', 'Parameters that differ from the defaults; a file.', str(params_file)
        ),
        argument('namespace', 'Namespace of the node and its topics.'),
        argument('node_name', 'Name of the node; empty = that of its executable.'),
        switch(
            'autostart',
            'Configure and activate at once; false = wait for `ros2 lifecycle set`.',
            default=True,
        ),
        switch('respawn', f'Start the node again {RESPAWN_DELAY_S:g} s after it has ended.'),
        switch('use_sim_time', 'Take the time from /clock.'),
        DeclareLaunchArgument(
            'log_level',
            default_value='info',
            choices=['debug', 'info', 'warn', 'error', 'fatal'],
            description='How much the node says.',
        ),
        switch('rviz', 'Show the outputs in RViz.'),
        argument(
            'rviz_frame',
            'Fixed frame of RViz, such as the frame_id of the image.',
            'camera_optical_frame',
        ),
    ]


def extrinsic_arguments() -> list[DeclareLaunchArgument]:
    """The arguments for where the extrinsic comes from; empty = as in params_file."""
    return [
        DeclareLaunchArgument(
            'extrinsic',
            default_value='',
            choices=['', 'tf', 'parameters', 'file'],
            description='Where the extrinsic comes from; empty = from what is given of the next.',
        ),
        argument('extrinsic_file', 'A calib.json with T_cam_lidar.'),
        argument('extrinsic_camera', 'Camera in that file; empty = its only one.'),
        argument(
            'extrinsic_translation',
            'Origin of the LiDAR in the camera optical frame, metres, such as "0.1 0 -0.2".',
        ),
        argument(
            'extrinsic_quat_xyzw',
            'Rotation from the LiDAR to the camera optical frame, such as "0.5 -0.5 0.5 0.5".',
        ),
        argument('fixed_frame', 'TF frame, such as odom, that motion is compensated through.'),
        argument('tf', 'Topic of moving transforms; tf = in the namespace.', '/tf'),
        argument('tf_static', 'Topic of static ones; tf_static = in the namespace.', '/tf_static'),
    ]


def extrinsic_parameters(given: Mapping[str, str]) -> dict[str, Any]:
    """The parameters that the `extrinsic_arguments` set.

    Raises:
        ConfigError: a value is not what it must be, or two contradict each other.
    """
    set_by = {'camera': 'extrinsic_camera', 'fixed_frame': 'fixed_frame'}
    values: dict[str, Any] = {name: given[by] for name, by in set_by.items() if given[by]}
    if given['extrinsic_file']:
        values['file'] = str(existing('extrinsic_file', given['extrinsic_file']))
    for name, count in (('translation', 3), ('quat_xyzw', 4)):
        if text := given[f'extrinsic_{name}']:
            values[name] = numbers(f'extrinsic_{name}', text, count)
    implied = {'file': 'file', 'translation': 'parameters', 'quat_xyzw': 'parameters'}
    implied['fixed_frame'] = 'tf'
    sources = {implied[name] for name in values if name in implied}
    source = given['extrinsic'] or (sources.pop() if len(sources) == 1 else '')
    if sources - {source}:
        raise ConfigError(
            'The launch arguments name more than one source of the extrinsic: a file, '
            'translation and quat_xyzw, and fixed_frame (tf) exclude each other; give one.'
        )
    if source:
        values['source'] = source
    return {f'extrinsic.{name}': value for name, value in values.items()}


def numbers(name: str, text: str, count: int) -> list[float]:
    """The numbers in a text, between spaces or commas, in brackets or not.

    Raises:
        ConfigError: they are not so many, or no numbers.
    """
    try:
        values = [float(item) for item in re.split(r'[\s,]+', text.strip(' \t[]()'))]
    except ValueError:
        values = []
    if len(values) != count:
        wanted = {1: 'a number', 3: '3 numbers, such as "0.1 0 -0.2"'}
        wanted[4] = '4 numbers, such as "0.5 -0.5 0.5 0.5"'
        raise ConfigError(f'{name} must be {wanted[count]}, got {text!r}.')
    return values


def existing(name: str, text: str) -> Path:
    """The file that an argument names; ~ is the home folder.

    Raises:
        ConfigError: there is no such file.
    """
    with contextlib.suppress(RuntimeError):  # ~nobody is no file
        path = Path(text).expanduser()
        if path.is_file():
            return path
    raise ConfigError(f'{name}:={text} is not there; give an existing file, or leave it out.')


def depth_nodes(
    context: LaunchContext,
    executable: str,
    rviz_config: Path,
    remappings: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> list[Node]:
    """The node and RViz, by the arguments given.

    Args:
        context: of the launch.
        executable: name of the executable, and of the node unless an argument says else.
        rviz_config: of RViz.
        remappings: more topics by the name that the node has for them.
        parameters: more parameters; those that are '' are left as in params_file.

    Raises:
        ConfigError: a file is not there, or RViz is not installed.
    """
    # What this launch starts from here on, camera drivers included, loses no large message.
    use_shared_memory_profile(environ=context.environment)
    given = context.launch_configurations
    image = given['image']
    camera_info = given['camera_info'] or ''.join(image.rpartition('/')[:2]) + 'camera_info'
    parameters = {'image_transport': given['image_transport'], **parameters}
    overrides: dict[str, Any] = {
        name: ParameterValue(value, value_type=str) if isinstance(value, str) else value
        for name, value in parameters.items()
        if value != ''
    }
    for name in ('autostart', 'use_sim_time'):
        overrides[name] = is_on(context, name)
    depth = Node(
        package='depth_ros',
        executable=executable,
        name=given['node_name'] or executable,
        namespace=given['namespace'],
        parameters=[str(existing('params_file', given['params_file'])), overrides],
        remappings=[
            ('image', image),
            ('image/compressed', f'{image}/compressed'),
            ('camera_info', camera_info),
            *remappings.items(),
        ],
        ros_arguments=['--log-level', given['log_level']],
        respawn=is_on(context, 'respawn'),
        respawn_delay=RESPAWN_DELAY_S,
        output='screen',
    )
    if not is_on(context, 'rviz'):
        return [depth]
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError as error:
        raise ConfigError(
            'rviz:=true needs RViz 2, which is not installed (apt package ros-<distro>-rviz2); '
            'install it, or leave rviz out.'
        ) from error
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=given['namespace'],
        arguments=['-d', str(rviz_config), '-f', LaunchConfiguration('rviz_frame')],
        parameters=[{'use_sim_time': is_on(context, 'use_sim_time')}],
        remappings=[
            ('/image', image),
            *((f'/{topic}', topic) for topic in OUTPUTS),
            *((f'/{topic.lstrip("/")}', name) for topic, name in remappings.items()),
        ],
    )
    return [depth, rviz]
