"""A launch file of your own that decides when the node is configured and activated.

ros2 launch examples/managed.launch.py
"""

from launch import LaunchDescription
from launch.actions import EmitEvent, RegisterEventHandler
from launch.event_handlers import OnProcessStart
from launch.events import matches_action
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition


def generate_launch_description():
    """The node starts unconfigured; configured as soon as it runs, and active after that."""
    node = LifecycleNode(
        package='depth_ros',
        executable='completion_node',
        name='completion_node',
        namespace='',
        parameters=[{'autostart': False}],
        remappings=[('image', '/camera/image_raw'), ('points', '/lidar/points')],
        output='screen',
    )

    def change(transition):
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(node), transition_id=transition
            )
        )

    started = OnProcessStart(
        target_action=node, on_start=[change(Transition.TRANSITION_CONFIGURE)]
    )
    configured = OnStateTransition(
        target_lifecycle_node=node,
        start_state='configuring',
        goal_state='inactive',
        entities=[change(Transition.TRANSITION_ACTIVATE)],
    )
    return LaunchDescription(
        [RegisterEventHandler(started), RegisterEventHandler(configured), node]
    )
