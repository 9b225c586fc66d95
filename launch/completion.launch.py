"""The completion node as a process of its own: ros2 launch depth_ros completion.launch.py -s."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from depth_ros.nodes.dds import use_shared_memory_profile

CONFIG = Path(__file__).parents[1] / 'config'
OUTPUTS = ('depth/image_rect', 'depth/image_dense', 'depth/uncertainty', 'depth/points')

ARGUMENTS = (
    DeclareLaunchArgument('image', default_value='image', description='Topic of the image.'),
    DeclareLaunchArgument(
        'camera_info',
        default_value='',
        description='Topic of the CameraInfo; empty = camera_info beside the image.',
    ),
    DeclareLaunchArgument('points', default_value='points', description='Topic of the LiDAR.'),
    DeclareLaunchArgument(
        'image_transport',
        default_value='',
        choices=['', 'raw', 'compressed'],
        description='Type of the image topic, compressed = <image>/compressed; '
        'empty = as in params_file.',
    ),
    DeclareLaunchArgument(
        'method', default_value='', description='How depth comes about; empty = as in params_file.'
    ),
    DeclareLaunchArgument(
        'params_file',
        default_value=str(CONFIG / 'completion.yaml'),
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
    DeclareLaunchArgument('rviz', default_value='false', description='Show the outputs in RViz.'),
    DeclareLaunchArgument(
        'rviz_frame',
        default_value='camera_optical_frame',
        description='Fixed frame of RViz, such as the frame_id of the image.',
    ),
)


def launch_nodes(context: LaunchContext) -> list[Node]:
    # What this launch starts from here on, camera drivers included, loses no large message.
    use_shared_memory_profile(environ=context.environment)
    given = context.launch_configurations
    image = given['image']
    camera_info = given['camera_info'] or ''.join(image.rpartition('/')[:2]) + 'camera_info'
    overrides = {name: given[name] for name in ('method', 'image_transport') if given[name]}
    for name in ('autostart', 'use_sim_time'):
        overrides[name] = ParameterValue(LaunchConfiguration(name), value_type=bool)
    completion = Node(
        package='depth_ros',
        executable='completion_node',
        name='completion_node',
        namespace=given['namespace'],
        parameters=[given['params_file'], overrides],
        remappings=[
            ('image', image),
            ('image/compressed', f'{image}/compressed'),
            ('camera_info', camera_info),
            ('points', given['points']),
        ],
        ros_arguments=['--log-level', given['log_level']],
        output='screen',
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        namespace=given['namespace'],
        arguments=['-d', str(CONFIG / 'depth.rviz'), '-f', given['rviz_frame']],
        remappings=[('/image', image), *((f'/{topic}', topic) for topic in OUTPUTS)],
        condition=IfCondition(given['rviz']),
    )
    return [completion, rviz]


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=launch_nodes)])
