"""Every reason under which a node counts what it drops: what it means, and the way out."""

from __future__ import annotations

from collections.abc import Mapping

from depth_ros.errors import callable_here
from depth_ros.pipeline.clocks import Cause

NOBODY_LISTENS = 'nobody_listens'
RECONFIGURED = 'reconfigured'
DEACTIVATED = 'deactivated'
BUSY = 'busy'
UNUSED_SWEEP = 'unused_sweep'
NOT_READY = 'not_ready'

NO_FAULT = frozenset({NOBODY_LISTENS, RECONFIGURED, DEACTIVATED})
"""Reasons that say nothing of anybody's health."""
SWEEPS = frozenset({'late_sweep', 'duplicate_sweep', UNUSED_SWEEP})
"""Reasons that count sweeps; all others count images."""

_DRIVER = 'Look at the settings of the driver that sends it.'
_REPORT = 'Please report it with the log; another method may do meanwhile.'
_TABLE: Mapping[str, tuple[str, str]] = {
    # The node
    NOBODY_LISTENS: (
        'nobody subscribes to an output, so that nothing is computed',
        'Subscribe to depth/image_rect, say.',
    ),
    RECONFIGURED: ('images were waiting for a sweep when settings changed', 'Nothing to do.'),
    DEACTIVATED: ('images were waiting when the node was deactivated', 'Nothing to do.'),
    BUSY: (
        'the method takes longer than images are apart',
        'Lower output.scale, take another method (guided is the fastest), raise engine.threads '
        'or have the camera send fewer images.',
    ),
    # Pairing
    'no_sweep': (
        'no sweep is near enough in time',
        'Raise sync.max_sync_slop_s, or set the clocks of camera and LiDAR right.',
    ),
    'late_image': (
        'images are older than one that has been worked on',
        'Look for a second publisher of the image topic, or a transport that changes the order.',
    ),
    'late_sweep': (
        'sweeps are older than those that have been used',
        'Look for a second publisher of the points topic, or a driver that delivers late.',
    ),
    'duplicate_image': (
        'images come with stamps that were there before',
        'Look for a second publisher of the image topic, or a driver that repeats stamps.',
    ),
    'duplicate_sweep': (
        'sweeps come with stamps that were there before',
        'Look for a second publisher of the points topic, or a driver that repeats stamps.',
    ),
    'image_queue_full': (
        'too many images wait for a sweep',
        'Lower sync.max_sync_slop_s or the rate of the images, or raise that of the sweeps.',
    ),
    'time_jump': (
        'stamps go back again and again',
        'Look for two publishers of one topic with different clocks, or a recording in a loop.',
    ),
    UNUSED_SWEEP: (
        'sweeps cannot be used, and the method needs none: sigma is not calibrated by them',
        'Look in the log for why.',
    ),
    # Messages
    'no_camera_info': (
        'no CameraInfo has come',
        'Publish it beside the image, or remap camera_info to its topic.',
    ),
    'bad_camera_info': ('the CameraInfo cannot be used', 'Calibrate the camera.'),
    'bad_compressed': ('compressed images cannot be read', _DRIVER),
    'bad_data_length': ('messages are shorter than their header says', _DRIVER),
    'bad_image': ('images do not fit their camera', 'Have CameraInfo and image of one size.'),
    'bad_message': ('messages cannot be used', _DRIVER),
    'bad_step': ('the steps of messages contradict their sizes', _DRIVER),
    'empty_cloud': ('clouds hold no points', 'Look at the LiDAR and the filters behind it.'),
    'empty_image': ('images hold no pixels', _DRIVER),
    'missing_fields': (
        'clouds lack x, y and z as float32 or float64',
        'Have the driver publish PointCloud2 with these fields.',
    ),
    'unknown_encoding': (
        'images have an encoding that is not known',
        'Have the driver send rgb8, bgr8 or mono8, or convert with image_proc.',
    ),
    'no_extrinsic': (
        'the transform from the LiDAR to the camera is not known',
        'Publish it in TF, or set extrinsic.source to parameters or file.',
    ),
    'wrong_kind': ('the method gives what the topics cannot carry', 'Look at mono.output.'),
    # Pipeline and methods
    'no_lidar': (
        'frames have no LiDAR returns, which the method needs',
        'Start the LiDAR, or set method to mono.',
    ),
    'no_return_in_view': (
        'no LiDAR return falls into the image',
        'Check the extrinsic and projection.min_range_m and max_range_m.',
    ),
    NOT_READY: (
        'the method is still being prepared',
        'Wait; `preparing` in the status `output` tells how far it is.',
    ),
    'image_size': ('the method cannot take images of this size', 'Change output.scale.'),
    'mask_size': ('the mask has another size than the image', 'Draw mask.file at its size.'),
    'focal_length': (
        'the method cannot take this focal length',
        'Check K of CameraInfo, or see mono.focal_length.',
    ),
    'frame_error': ('frames contradict themselves', _DRIVER),
    'geometry_error': ('the camera or the extrinsic is degenerate', 'Check the calibration.'),
    'config_error': ('a setting cannot be used', 'Set it back to its default.'),
    'model_error': ('weights cannot be used', 'Run `depth_ros models verify`.'),
    'engine_error': (
        'the engine of the network fails',
        'Set engine.backend to another one, or method to guided.',
    ),
    'method_error': ('the method fails', 'Set method to guided.'),
    'pipeline_error': ('frames cannot be processed', 'Run `depth_ros doctor`.'),
    'sample_error': ('what comes in cannot be read', _DRIVER),
    'missing_dependency_error': ('a library is missing', 'Install what the log names.'),
    'memory_error': (
        'the memory of the machine does not suffice',
        'Lower output.scale, or set method to guided.',
    ),
}


def cause_of(reason: str) -> Cause:
    """What a reason means; one that nobody has foreseen by its name."""
    sentence, way_out = _TABLE.get(reason, (f'an error of the kind {reason} came up', _REPORT))
    return Cause(reason, sentence, callable_here(way_out))
