"""Floating point operations of one forward pass, counted once from the layer shapes.

A multiplication and an addition are two operations. Padding of windows, recomputation, norms and
activations are not counted. A training step is three forward passes (forward, two gradients).
"""

from __future__ import annotations

from math import prod

from maskfield.methods.nerf_mae.config import NerfMAEConfig

TAPS = 27  # of a 3x3x3 kernel


def forward_flops(config: NerfMAEConfig, batch: int = 1) -> int:
    """Operations of one masked forward pass of ``batch`` cubes."""
    return batch * (encoder_flops(config) + decoder_flops(config))


def encoder_flops(config: NerfMAEConfig) -> int:
    """Patch embedding, patch merging, and per block: qkv, attention, projection, MLP."""
    total = 2 * 4 * config.patch**3 * config.embed_dim * config.tokens**3
    for stage, depth in enumerate(config.depths):
        width = config.embed_dim * 2**stage
        tokens = (config.tokens // 2**stage) ** 3
        linear = 2 * tokens * (3 + 1 + 8) * width**2
        attention = 2 * 2 * tokens * prod(config.window) * width
        merging = 2 * tokens * (4 * width) * width if stage else 0  # 8 C -> 2 C, C = width / 2
        total += depth * (linear + attention) + merging
    return total


def decoder_flops(config: NerfMAEConfig) -> int:
    """Four up blocks and the 1x1x1 answer."""
    e = config.embed_dim
    total = 2 * config.resolution**3 * (e // 2) * 4
    for stage in (3, 2, 1):  # into the grid of stage - 1, joined with its skip
        fine = (config.tokens // 2 ** (stage - 1)) ** 3
        total += _up_block(fine, e * 2**stage, e * 2 ** (stage - 1), e * 2 ** (stage - 1))
    return total + _up_block(config.resolution**3, e, e // 2, 0)


def _up_block(voxels: int, inputs: int, outputs: int, skip: int) -> int:
    """Operations of a block that ends in ``voxels``; each sees one tap of the upsampling."""
    joined = outputs + skip
    weights = inputs * outputs + TAPS * (joined * outputs + outputs**2)
    return 2 * voxels * (weights + (joined * outputs if skip else 0))
