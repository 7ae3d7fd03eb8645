from __future__ import annotations

import pytest
import torch

from maskfield.fields.sampler import VoxelMarch, march_torch
from maskfield.rendering.samplers import StratifiedSampler


class TestVoxelMarch:
    @pytest.mark.parametrize("shell", [0.0, 0.5])
    def test_numba_equals_torch(self, make_field, make_rays, shell):
        field, rays = make_field(shell=shell), make_rays()
        samples = VoxelMarch()(rays, field)
        t, delta = march_torch(field, rays, torch.full_like(rays.near, 0.5))
        assert torch.equal(samples.mask.sum(1), (delta > 0).sum(1))
        torch.testing.assert_close(samples.t[samples.mask], t[delta > 0])
        torch.testing.assert_close(samples.delta[samples.mask], delta[delta > 0])
        assert samples.mask.any()

    def test_samples_lie_in_occupied_cells_near_to_far(self, make_field, make_rays):
        field, rays = make_field(), make_rays()
        samples = VoxelMarch()(rays, field)
        assert (samples.points[samples.mask].abs() <= torch.tensor([1.0, 1.5, 1.0])).all()
        later = samples.t.diff(dim=1)[samples.mask[:, 1:]]
        assert (later > 0).all()

    def test_steps_grow_outside(self, make_field, make_rays):
        field, rays = make_field(shell=0.5), make_rays()
        field.occupancy.fill_(1)
        samples = VoxelMarch()(rays, field)
        far = samples.delta.amax(1)
        assert float(far.min()) > 5 * field.step
        assert float(samples.delta[samples.mask].min()) == pytest.approx(field.step)

    def test_jitter_comes_from_the_generator(self, make_field, make_rays):
        field, rays = make_field(), make_rays()
        a, b = (
            VoxelMarch(jitter=True)(rays, field, torch.Generator().manual_seed(s)) for s in (0, 0)
        )
        plain = VoxelMarch(jitter=True)(rays, field, None)
        assert torch.equal(a.t, b.t)
        assert a.t.shape != plain.t.shape or not torch.equal(a.t, plain.t)

    def test_at_most_max_samples(self, make_field, make_rays):
        field, rays = make_field(), make_rays()
        field.with_settings(type(field.settings)(max_samples=3))
        assert VoxelMarch()(rays, field).t.shape[1] <= 3

    def test_refuses_other_fields(self, make_rays):
        with pytest.raises(TypeError, match="VoxelField"):
            VoxelMarch()(make_rays(), StratifiedSampler(count=4))
