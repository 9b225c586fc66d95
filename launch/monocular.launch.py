"""The monocular node as a process of its own: ros2 launch depth_ros monocular.launch.py -s."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from depth_ros.nodes.launching import argument, depth_arguments, depth_nodes

CONFIG = Path(__file__).parents[1] / 'config'

ARGUMENTS = (
    *depth_arguments(CONFIG / 'monocular.yaml'),
    argument(
        'weights',
        'A name of `depth_ros models list`; empty = as in params_file, and if that '
        'names none the first that is fetched.',
    ),
    DeclareLaunchArgument(
        'output',
        default_value='',
        choices=['', 'metric', 'relative'],
        description='metric = metres on depth/*, relative = disparity without a scale on '
        'depth/relative; empty = as in params_file.',
    ),
)


def launch_nodes(context: LaunchContext) -> list[Node]:
    given = context.launch_configurations
    return depth_nodes(
        context,
        'monocular_node',
        CONFIG / 'depth.rviz',
        remappings={},
        parameters={'mono.weights': given['weights'], 'mono.output': given['output']},
    )


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=launch_nodes)])
