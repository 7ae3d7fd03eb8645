from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.fields.sightings import sightings


def expected(cameras, reach, points):
    """The same by ``Cameras.project``."""
    uv, depth = cameras.project(points)
    u, v = uv[..., 0].floor().long(), uv[..., 1].floor().long()
    inside = (depth > 0) & (u >= 0) & (v >= 0) & (u < cameras.width) & (v < cameras.height)
    distance = (points[None] - cameras.centres[:, None]).norm(dim=-1)
    bits = torch.zeros(len(points), dtype=torch.long)
    for c in range(len(cameras)):
        limit = reach[c, v[c].clamp(0, cameras.height - 1), u[c].clamp(0, cameras.width - 1)]
        bits += (inside[c] & (distance[c] <= limit)).long() << c
    return bits


class TestSightings:
    @pytest.mark.parametrize("distorted", [False, True])
    def test_equals_projection(self, small_room, generator, distorted):
        bends = torch.tensor([[0.05, -0.02, 0.001, 0.002, 0.0]]).repeat(len(small_room), 1)
        cameras = replace(small_room.cameras, distortion=bends if distorted else None)
        low, high = small_room.box
        points = low + torch.rand(3000, 3, generator=generator) * (high - low)
        reach = 4 * torch.rand(len(cameras), 30, 40, generator=generator)
        found, wanted = sightings(cameras, reach, points), expected(cameras, reach, points)
        assert float((found != wanted).float().mean()) < 2e-3  # rounding at pixel edges
        assert 0 < float((found != 0).float().mean()) < 1

    def test_an_infinite_reach_sees_all_in_the_image(self, small_room):
        cameras = small_room.cameras[3]
        point = cameras.centres + 2 * cameras.forward_axes
        assert sightings(cameras, torch.full((1, 30, 40), torch.inf), point).item() == 1
        assert sightings(cameras, torch.full((1, 30, 40), 1.0), point).item() == 0

    def test_refuses_too_many_cameras(self, small_room):
        many = small_room.cameras[[0] * 64]
        with pytest.raises(ValueError, match="63"):
            sightings(many, torch.ones(64, 30, 40), torch.zeros(1, 3))
