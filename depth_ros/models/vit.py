"""Blocks of a vision transformer, under the names that DINOv2 and timm share.

Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021; LayerScale: Touvron et al., "Going
deeper with image transformers", ICCV 2021. In half precision only the linear maps are halved: the
sum over the blocks, the norms and the scales stay in single precision, and so do the scores of the
attention and their softmax, unless `scores_in_half`: in large models they overflow there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORM_EPSILON = 1e-6


class Linear(nn.Linear):
    """A linear map in the type of its weights, whatever that of its input."""

    def forward(self, input: Tensor) -> Tensor:
        """(..., out) of (..., in)."""
        return F.linear(input.to(self.weight.dtype), self.weight, self.bias)


def attention(query: Tensor, key: Tensor, value: Tensor, scores_in_half: bool = False) -> Tensor:
    """Softmax(query key^T / sqrt(d)) value, (B, heads, N, d) of three such, step by step.

    This is for exported graphs, where PyTorch's own function leaves the scores in half precision.
    The query is divided before it is multiplied.

    Args:
        query: what the others are compared with.
        key: what is compared.
        value: what is mixed; the result has its type.
        scores_in_half: whether scores and softmax are in the type of the query.
    """
    query = query * query.shape[-1] ** -0.5
    if not scores_in_half:
        query, key = query.float(), key.float()
    weights = torch.softmax(query @ key.transpose(-2, -1), dim=-1)
    return weights.to(value.dtype) @ value


class Attention(nn.Module):
    """Self-attention of several heads.

    Attributes:
        scores_in_half: whether an exported graph has scores and softmax in the type of the linear
            maps; the kernels of PyTorch never have.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scores_in_half = False
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) of (B, N, dim)."""
        qkv = self.qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        if torch.compiler.is_compiling():  # or exporting
            mixed = attention(query, key, value, self.scores_in_half)
        else:
            mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear maps with a GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) of (B, N, dim)."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class LayerScale(nn.Module):
    """One factor per channel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) in the type of the factors."""
        return tokens.to(self.gamma.dtype) * self.gamma


class Block(nn.Module):
    """Attention and MLP, each after a norm, scaled and added."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.attn = Attention(dim, heads)
        self.ls1 = LayerScale(dim)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPSILON)
        self.mlp = Mlp(dim, mlp_ratio * dim)
        self.ls2 = LayerScale(dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, dim) of (B, N, dim)."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens)))


class PatchEmbed(nn.Module):
    """A token per patch of an image."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, patch, stride=patch)

    def forward(self, image: Tensor) -> Tensor:
        """(B, N, dim), row by row, of an image (B, 3, H, W)."""
        return self.proj(image).flatten(2).transpose(1, 2)


def halve(network: nn.Module, precision: str) -> None:
    """Put the linear maps of every block in `network` in half precision, as `precision` says."""
    for module in network.modules():
        if isinstance(module, Linear):
            module.half()
        elif isinstance(module, Attention):
            module.scores_in_half = precision == 'fp16_all'
