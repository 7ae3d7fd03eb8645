"""How many rays fit a memory budget, judged from what a field answered for a few rays."""

from __future__ import annotations

import math
import sys
from dataclasses import fields

from torch import Tensor

from maskfield.rendering.field import Field, FieldOutput, RaySamples

PROBE_RAYS = 64
# Working memory of compositing and of a field without declaration, in units of inputs + outputs.
_OVERHEAD = 4


def bytes_per_ray(samples: RaySamples, output: FieldOutput, field: Field) -> int:
    """Bytes that one ray takes while it is rendered.

    A field that needs much more than its outputs (wide networks) declares ``sample_bytes``: the
    bytes of its intermediate results per sample.
    """
    count = max(samples.t.shape[0], 1)
    stored = sum(_bytes(getattr(part, f.name)) for part in (samples, output) for f in fields(part))
    declared = int(getattr(field, "sample_bytes", 0)) * samples.t.shape[1]
    return max(1, _OVERHEAD * stored // count + declared)


def rays_in_budget(bytes_each: int, memory_mb: float) -> int:
    """Rays per chunk, at least one; an infinite budget takes all."""
    if math.isinf(memory_mb):
        return sys.maxsize
    return max(1, int(memory_mb * 2**20) // bytes_each)


def _bytes(value: Tensor | None) -> int:
    return 0 if value is None else value.numel() * value.element_size()
