"""Simulated or recorded sensors into the completion node: ros2 launch depth_ros demo.launch.py."""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

COMPLETION = Path(__file__).with_name('completion.launch.py')

ARGUMENTS = (
    DeclareLaunchArgument(
        'source',
        default_value='simulator:street',
        description='simulator:street, simulator:indoor or a dataset folder.',
    ),
    DeclareLaunchArgument(
        'camera', default_value='', description='Camera of the source; empty = the first.'
    ),
    DeclareLaunchArgument('rate_hz', default_value='10.0', description='Frames per second.'),
    DeclareLaunchArgument(
        'loop', default_value='true', description='Start again at the end; false = play once.'
    ),
    DeclareLaunchArgument(
        'frames', default_value='0', description='End after this many frames; 0 = no limit.'
    ),
    DeclareLaunchArgument(
        'image_transport',
        default_value='raw',
        choices=['raw', 'compressed'],
        description='How images are sent.',
    ),
)


def generate_launch_description() -> LaunchDescription:
    argument = LaunchConfiguration
    # Starts the completion node first: it sets the environment for the player too.
    completion = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(COMPLETION)))
    player = Node(
        package='depth_ros',
        executable='player_node',
        name='player_node',
        namespace=argument('namespace'),
        parameters=[
            {
                'source': ParameterValue(argument('source'), value_type=str),
                'camera': ParameterValue(argument('camera'), value_type=str),
                'rate_hz': ParameterValue(argument('rate_hz'), value_type=float),
                'loop': ParameterValue(argument('loop'), value_type=bool),
                'frames': ParameterValue(argument('frames'), value_type=int),
                'image_transport': argument('image_transport'),
            }
        ],
        output='screen',
        on_exit=Shutdown(reason='the player has ended'),
    )
    return LaunchDescription([*ARGUMENTS, completion, player])
