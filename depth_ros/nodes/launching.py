"""What the launch files of the nodes that publish depth have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from launch import LaunchContext
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from depth_ros.nodes.dds import use_shared_memory_profile

OUTPUTS = (
    'image_rect',
    'depth/image_rect',
    'depth/image_dense',
    'depth/uncertainty',
    'depth/points',
    'depth/relative',
)


def depth_arguments(params_file: Path) -> list[DeclareLaunchArgument]:
    """The arguments that every one of them takes; `params_file` is the default of its own."""
    return [
        DeclareLaunchArgument('image', default_value='image', description='Topic of the image.'),
        DeclareLaunchArgument(
            'camera_info',
            default_value='',
            description='Topic of the CameraInfo; empty = camera_info beside the image.',
        ),
        DeclareLaunchArgument(
            'image_transport',
            default_value='',
            choices=['', 'raw', 'compressed'],
            description='Type of the image topic, compressed = <image>/compressed; '
            'empty = as in params_file.',
        ),
        DeclareLaunchArgument(
            'params_file',
            default_value=str(params_file),
            description='Parameters that differ from the defaults.',
        ),
        DeclareLaunchArgument(
            'namespace', default_value='', description='Namespace of the node and its topics.'
        ),
        DeclareLaunchArgument(
            'autostart',
            default_value='true',
            description='Configure and activate at once; false = wait for `ros2 lifecycle set`.',
        ),
        DeclareLaunchArgument(
            'use_sim_time', default_value='false', description='Take the time from /clock.'
        ),
        DeclareLaunchArgument(
            'log_level', default_value='info', description='debug, info, warn, error or fatal.'
        ),
        DeclareLaunchArgument(
            'rviz', default_value='false', description='Show the outputs in RViz.'
        ),
        DeclareLaunchArgument(
            'rviz_frame',
            default_value='camera_optical_frame',
            description='Fixed frame of RViz, such as the frame_id of the image.',
        ),
    ]


def depth_nodes(
    context: LaunchContext,
    executable: str,
    rviz_config: Path,
    remappings: Mapping[str, str],
    parameters: Mapping[str, str],
) -> list[Node]:
    """The node and RViz, by the arguments given.

    Args:
        context: of the launch.
        executable: name of the node and of its executable.
        rviz_config: of RViz.
        remappings: more topics by the name that the node has for them.
        parameters: argument by the parameter that it sets unless it is empty.
    """
    # What this launch starts from here on, camera drivers included, loses no large message.
    use_shared_memory_profile(environ=context.environment)
    given = context.launch_configurations
    image = given['image']
    camera_info = given['camera_info'] or ''.join(image.rpartition('/')[:2]) + 'camera_info'
    parameters = {'image_transport': 'image_transport', **parameters}
    overrides = {name: given[by] for name, by in parameters.items() if given[by]}
    for name in ('autostart', 'use_sim_time'):
        overrides[name] = ParameterValue(LaunchConfiguration(name), value_type=bool)
    depth = Node(
        package='depth_ros',
        executable=executable,
        name=executable,
        namespace=given['namespace'],
        parameters=[given['params_file'], overrides],
        remappings=[
            ('image', image),
            ('image/compressed', f'{image}/compressed'),
            ('camera_info', camera_info),
            *remappings.items(),
        ],
        ros_arguments=['--log-level', given['log_level']],
        output='screen',
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=given['namespace'],
        arguments=['-d', str(rviz_config), '-f', given['rviz_frame']],
        remappings=[('/image', image), *((f'/{topic}', topic) for topic in OUTPUTS)],
        condition=IfCondition(given['rviz']),
    )
    return [depth, rviz]
