"""A field without its fast path: the torch twin, for gradients of rays, CUDA and comparisons."""

from __future__ import annotations

from maskfield.fields.voxel import VoxelField
from maskfield.ops.trilinear import TrilinearBackend
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, FusedRender, RaySamples
from maskfield.rendering.samplers import Sampler


class Unfused:
    """Answers as ``field`` does, and offers no fused path.

    Args:
        backend: of the trilinear look-up.
    """

    def __init__(self, field: VoxelField, backend: TrilinearBackend = "auto") -> None:
        self.field, self.backend = field, backend

    def __call__(self, samples: RaySamples) -> FieldOutput:
        return self.field(samples, self.backend)

    def prepare(self, views: object | None = None) -> Unfused:
        return self

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        return None
