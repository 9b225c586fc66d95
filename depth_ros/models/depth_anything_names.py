"""Official names for Depth Anything in files of the library transformers."""

from __future__ import annotations

from depth_ros.models.hub_names import VISION_TRANSFORMER, Rule

_SCRATCH = 'depth_head.scratch'

# The levels of the fusion are counted from fine to coarse officially, from coarse to fine there.
_LEVELS: tuple[Rule, ...] = tuple(
    rule
    for level in range(4)
    for rule in (
        (rf'^neck\.convs\.{level}\.', f'{_SCRATCH}.layer{level + 1}_rn.'),
        (rf'^neck\.fusion_stage\.layers\.{level}\.', f'{_SCRATCH}.refinenet{4 - level}.'),
    )
)
RULES: tuple[Rule, ...] = (
    (r'^backbone\.', 'pretrained.'),
    *VISION_TRANSFORMER,
    (r'^neck\.reassemble_stage\.layers\.(\d)\.projection\.', r'depth_head.projects.\1.'),
    (r'^neck\.reassemble_stage\.layers\.(\d)\.resize\.', r'depth_head.resize_layers.\1.'),
    *_LEVELS,
    (r'(\.refinenet\d)\.projection\.', r'\1.out_conv.'),
    (r'\.residual_layer([12])\.convolution([12])\.', r'.resConfUnit\1.conv\2.'),
    (r'^head\.conv1\.', f'{_SCRATCH}.output_conv1.'),
    (r'^head\.conv2\.', f'{_SCRATCH}.output_conv2.0.'),
    (r'^head\.conv3\.', f'{_SCRATCH}.output_conv2.2.'),
)
"""For `depth_ros.models.hub_names.renamed`."""
