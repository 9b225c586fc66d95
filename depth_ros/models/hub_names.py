"""Official names for the parameters in files of the library transformers.

It splits what officially is one matrix for query, key and value, and calls the parts of a vision
transformer otherwise. Its version 5 has new names for the attention, though not in its files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Rule = tuple[str, str]
"""Pattern and replacement, as `re.sub` takes them."""

VISION_TRANSFORMER: tuple[Rule, ...] = (
    (r'\.embeddings\.(cls_token|mask_token)$', r'.\1'),
    (r'\.embeddings\.position_embeddings$', '.pos_embed'),
    (r'\.embeddings\.patch_embeddings\.projection\.', '.patch_embed.proj.'),
    (r'\.encoder\.layer\.(\d+)\.', r'.blocks.\1.'),
    (r'\.attention\.(?:attention\.)?(q|k|v)(?:uery|ey|alue|_proj)\.', r'.attn.\1.'),
    (r'\.attention\.(?:output\.dense|o_proj)\.', '.attn.proj.'),
    (r'\.layer_scale([12])\.lambda1$', r'.ls\1.gamma'),
    (r'\.layernorm\.', '.norm.'),
)
"""From the names of DINOv2 there to those of DINOv2 and timm."""


def renamed(state: Mapping[str, Tensor], rules: Iterable[Rule]) -> dict[str, Tensor]:
    """Parameters under other names, query, key and value joined where all three are there.

    Args:
        state: parameters by name; those that no rule knows keep it.
        rules: applied one after the other to every name.
    """
    import torch

    patterns = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    result = {}
    for name, value in state.items():
        for pattern, replacement in patterns:
            name = pattern.sub(replacement, name)
        result[name] = value
    for query in [name for name in result if '.attn.q.' in name]:
        parts = [query.replace('.attn.q.', f'.attn.{letter}.') for letter in 'qkv']
        if all(part in result for part in parts):
            joint = torch.cat([result.pop(part) for part in parts])
            result[query.replace('.attn.q.', '.attn.qkv.')] = joint
    return result
