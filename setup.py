"""The package for pip, and for colcon as ament_python."""

from pathlib import Path

from setuptools import find_packages, setup

SHARE = 'share/depth_ros'

# ROS 2 Jazzy from wheels, for machines without ROS. Exact, and installed in one call: the same
# names carry other distributions under other versions.
ROS_JAZZY = [
    'ros-rclpy[fastrtps]==7.1.6',
    'ros-builtin-interfaces==2.0.3',
    'ros-diagnostic-msgs==5.3.6',
    'ros-geometry-msgs==5.3.6',
    'ros-lifecycle-msgs==2.0.3',
    'ros-rcl-interfaces==2.0.3',
    'ros-sensor-msgs==5.3.6',
    'ros-std-msgs==5.3.6',
]
TEST = ['hypothesis>=6.100,<7', 'pytest>=7.4,<10', 'pytest-xdist>=3.7,<4', 'pyyaml>=6,<7']
TORCH = ['torch>=2.6,<3', 'safetensors>=0.4,<1']
# It has no wheels for ARM, where the simulator does without and training cannot.
EMBREEX = 'embreex>=4.4,<5; platform_machine == "x86_64"'
ONNXRUNTIME = ['onnxruntime>=1.18,<2']
LINT = ['mypy>=1.18,<3', 'ruff>=0.17,<0.18']

setup(
    name='depth_ros',
    description='Dense metric depth and calibrated uncertainty from a camera and a LiDAR.',
    license='Apache-2.0',
    maintainer='depth_ros maintainers',
    maintainer_email='maintainers@depth-ros.example',
    python_requires='>=3.10',
    packages=find_packages(include=['depth_ros', 'depth_ros.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/depth_ros']),
        (SHARE, ['package.xml']),
        (f'{SHARE}/config', sorted(map(str, Path('config').glob('*.*')))),
        (f'{SHARE}/launch', sorted(map(str, Path('launch').glob('*.launch.py')))),
    ],
    package_data={'depth_ros.models.lite': ['shipped/*']},
    zip_safe=False,
    install_requires=['numpy>=1.21,<3', 'opencv-python-headless>=4.5.4,<6'],
    extras_require={
        'ros': ROS_JAZZY,
        'test': TEST,
        'lint': LINT,
        'dev': TEST + LINT,
        'torch': TORCH,
        'onnxruntime': ONNXRUNTIME,
        'openvino': ['openvino>=2024.4,<2027'],
        'export': [*TORCH, *ONNXRUNTIME, 'onnx>=1.16,<2', 'onnxscript>=0.3,<1'],
        'open3d': ['open3d>=0.18,<1'],
        'simulation': [EMBREEX],
        'train': [*TORCH, EMBREEX, 'pyyaml>=6,<7', 'tensorboard>=2.14,<3'],
        'nyu': ['h5py>=3.8,<4'],
        'rosbags': ['rosbags>=0.10,<1'],
    },
    entry_points={
        'console_scripts': [
            'depth_ros = depth_ros.cli.main:main',
            'completion_node = depth_ros.nodes.executables:completion_node',
            'monocular_node = depth_ros.nodes.executables:monocular_node',
            'player_node = depth_ros.nodes.executables:player_node',
            'recorder_node = depth_ros.nodes.executables:recorder_node',
        ],
    },
)
