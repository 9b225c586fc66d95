"""Simulated or recorded sensors into the completion node: ros2 launch depth_ros demo.launch.py."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from depth_ros.datasets.open import open_dataset
from depth_ros.errors import ConfigError
from depth_ros.nodes.launching import argument, is_on, numbers, switch

COMPLETION = Path(__file__).with_name('completion.launch.py')

ARGUMENTS = (
    argument(
        'source',
        'simulator:street, simulator:indoor or a dataset folder.',
        'simulator:street',
    ),
    argument('camera', 'Camera of the source; empty = the first.'),
    argument('rate_hz', 'Frames per second.', '10.0'),
    switch('loop', 'Start again at the end; false = play once.', default=True),
    argument('frames', 'End after this many frames; 0 = no limit.', '0'),
    DeclareLaunchArgument(
        'image_transport',
        default_value='raw',
        choices=['raw', 'compressed'],
        description='How images are sent.',
    ),
)


def launch_nodes(context: LaunchContext) -> list[IncludeLaunchDescription | Node]:
    given = context.launch_configurations
    shown_from = {}
    if given.get('rviz', 'false').lower() == 'true' and 'rviz_frame' not in given:
        camera = given['camera'] or open_dataset(given['source']).camera_names[0]
        shown_from['rviz_frame'] = f'{camera}_optical_frame'
    frames = numbers('frames', given['frames'], 1)[0]
    if not frames.is_integer():
        raise ConfigError(f'frames must be a whole number, got {frames:g}.')
    parameters = {
        'source': ParameterValue(given['source'], value_type=str),
        'camera': ParameterValue(given['camera'], value_type=str),
        'rate_hz': numbers('rate_hz', given['rate_hz'], 1)[0],
        'loop': is_on(context, 'loop'),
        'frames': int(frames),
        'image_transport': given['image_transport'],
    }
    # Starts the completion node first: it sets the environment for the player too.
    completion = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(COMPLETION)), launch_arguments=shown_from.items()
    )
    player = Node(
        package='depth_ros',
        executable='player_node',
        name='player_node',
        namespace=given.get('namespace', ''),
        parameters=[parameters],
        remappings=[('/tf_static', given.get('tf_static', '/tf_static'))],
        output='screen',
        on_exit=Shutdown(reason='the player has ended'),
    )
    return [completion, player]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=launch_nodes)])
