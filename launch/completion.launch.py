"""The completion node as a process of its own: ros2 launch depth_ros completion.launch.py -s."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from depth_ros.nodes.launching import depth_arguments, depth_nodes

CONFIG = Path(__file__).parents[1] / 'config'

ARGUMENTS = (
    *depth_arguments(CONFIG / 'completion.yaml'),
    DeclareLaunchArgument('points', default_value='points', description='Topic of the LiDAR.'),
    DeclareLaunchArgument(
        'method', default_value='', description='How depth comes about; empty = as in params_file.'
    ),
)


def launch_nodes(context: LaunchContext) -> list[Node]:
    points = context.launch_configurations['points']
    return depth_nodes(
        context,
        'completion_node',
        CONFIG / 'depth.rviz',
        remappings={'points': points},
        parameters={'method': 'method'},
    )


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=launch_nodes)])
