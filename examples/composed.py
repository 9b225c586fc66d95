"""Sensors, completion and your own node in one process: no copy leaves it, one thread runs it.

Run: python3 examples/composed.py FOLDER, a dataset folder with one camera and a calib.json.
"""

import signal
import sys
import threading

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from depth_ros.nodes.completion_node import CompletionNode
from depth_ros.nodes.dds import use_shared_memory_profile
from depth_ros.nodes.player_node import PlayerNode


def parameters(**values):
    """Parameters by name; __ stands for a dot."""
    return [Parameter(name.replace('__', '.'), value=value) for name, value in values.items()]


use_shared_memory_profile()  # before rclpy.init
# On Ctrl-C rclpy would take the context away from under the nodes, which still publish.
rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
ended = threading.Event()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: ended.set())
folder = sys.argv[1]
# Arguments of the command line would rename them all; cli_args are those of one node.
player = PlayerNode(
    cli_args=['--ros-args', '-r', '__node:=front_player'],
    parameter_overrides=parameters(source=folder),
)
completion = CompletionNode(
    cli_args=['--ros-args', '-r', '__node:=front_completion'],
    parameter_overrides=parameters(
        method='guided', extrinsic__source='file', extrinsic__file=f'{folder}/calib.json'
    ),
)
consumer = rclpy.create_node('consumer')
consumer.create_subscription(
    Image, 'depth/image_rect', lambda msg: print(f'depth {msg.width}x{msg.height}', flush=True), 1
)

executor = SingleThreadedExecutor()  # rclpy's others lose images or hang
for node in (consumer, completion, player):
    executor.add_node(node)
for node in (completion, player):  # what `autostart` does where a node has its own process
    node.trigger_configure()
    node.trigger_activate()
while not ended.is_set():
    executor.spin_once(timeout_sec=0.1)
for node in (player, completion):
    node.close()
executor.shutdown()
for node in (player, completion, consumer):
    node.destroy_node()
rclpy.try_shutdown()
