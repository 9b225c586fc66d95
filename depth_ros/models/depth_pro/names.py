"""Parameters of Depth Pro under the names that they have in transformers.

There it is `DepthProForDepthEstimation`, and its weights are `apple/DepthPro-hf`. It counts levels
from coarse to fine.
"""

from __future__ import annotations

from depth_ros.models.hub_names import VISION_TRANSFORMER, Rule

_NECK = r'^depth_pro\.neck\.feature_'

HUB_NAMES: tuple[Rule, ...] = (
    *VISION_TRANSFORMER,
    (r'^depth_pro\.encoder\.(patch|image)_encoder\.model\.', r'encoder.\1_encoder.'),
    (r'^depth_pro\.neck\.fuse_image_with_low_res\.', 'encoder.fuse_lowres.'),
    (_NECK + r'upsample\.image_block\.layers\.0\.', 'encoder.upsample_lowres.'),
    (_NECK + r'upsample\.intermediate\.0\.layers\.', 'encoder.upsample_latent1.'),
    (_NECK + r'upsample\.intermediate\.1\.layers\.', 'encoder.upsample_latent0.'),
    (_NECK + r'upsample\.scaled_images\.0\.layers\.', 'encoder.upsample2.'),
    (_NECK + r'upsample\.scaled_images\.1\.layers\.', 'encoder.upsample1.'),
    (_NECK + r'upsample\.scaled_images\.2\.layers\.', 'encoder.upsample0.'),
    *(
        rule
        for there, here in ((0, 4), (1, 3), (2, 2), (3, 1))
        for rule in (
            (_NECK + rf'projection\.projections\.{there}\.', f'decoder.convs.{here}.'),
            (rf'^fusion_stage\.intermediate\.{there}\.', f'decoder.fusions.{here}.'),
        )
    ),
    (r'^fusion_stage\.final\.', 'decoder.fusions.0.'),
    (r'\.residual_layer([12])\.convolution1\.', r'.resnet\1.residual.1.'),
    (r'\.residual_layer([12])\.convolution2\.', r'.resnet\1.residual.3.'),
    (r'^(decoder\.fusions\.\d)\.projection\.', r'\1.out_conv.'),
    (r'^head\.layers\.', 'head.'),
    (r'^fov_model\.fov_encoder\.model\.', 'fov.encoder.0.'),
    (r'^fov_model\.fov_encoder\.neck\.', 'fov.encoder.1.'),
    (r'^fov_model\.conv\.', 'fov.downsample.0.'),
    (r'^fov_model\.head\.layers\.', 'fov.head.'),
)
"""From those names to the official ones."""
