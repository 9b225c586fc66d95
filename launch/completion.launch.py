"""The completion node as a process of its own: ros2 launch depth_ros completion.launch.py -s."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import OpaqueFunction
from launch_ros.actions import Node

from depth_ros.nodes.launching import (
    argument,
    depth_arguments,
    depth_nodes,
    extrinsic_arguments,
    extrinsic_parameters,
)

CONFIG = Path(__file__).parents[1] / 'config'

ARGUMENTS = (
    *depth_arguments(CONFIG / 'completion.yaml'),
    argument('points', 'Topic of the LiDAR.', 'points'),
    argument('method', 'How depth comes about; empty = as in params_file.'),
    *extrinsic_arguments(),
)


def launch_nodes(context: LaunchContext) -> list[Node]:
    given = context.launch_configurations
    return depth_nodes(
        context,
        'completion_node',
        CONFIG / 'depth.rviz',
        remappings={
            'points': given['points'],
            '/tf': given['tf'],
            '/tf_static': given['tf_static'],
        },
        parameters={'method': given['method'], **extrinsic_parameters(given)},
    )


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=launch_nodes)])
