"""FieldView: rays of trial poses, gradients, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from maskfield.core.errors import SceneError
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.se3 import exp
from maskfield.methods.inerf.observation import Observation, observation_from_array
from maskfield.methods.inerf.view import FieldView, frozen_weights
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, RaySamples
from maskfield.rendering.samplers import StratifiedSampler


class Ball(nn.Module):
    """A soft coloured ball at the origin."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(4.0))

    def forward(self, samples: RaySamples) -> FieldOutput:
        inside = torch.sigmoid(20 * (1 - samples.points.norm(dim=-1)))
        colour = 0.5 + 0.5 * torch.sin(2 * samples.points)
        return FieldOutput(colour=colour, density=self.strength * inside)

    def prepare(self, views: object | None = None) -> Ball:
        return self

    def fused(self, sampler: object, compositing: object) -> None:
        return None


def a_view(**changes: object) -> FieldView:
    settings = {"near": 2.0, "far": 6.0, **changes}
    return FieldView(
        field=Ball(),
        sampler=StratifiedSampler(count=24),
        compositing=Compositing(background=(1.0, 1.0, 1.0)),
        **settings,  # type: ignore[arg-type]
    )


def an_observation() -> Observation:
    camera = Cameras(
        camera_to_world=torch.eye(4)[None, :3],
        intrinsics=torch.tensor([[14.0, 14.0, 8.0, 8.0]]),
        width=16,
        height=16,
    )
    return observation_from_array(np.zeros((16, 16, 3), np.uint8), camera)


START = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, -4.0]])


def test_rays_of_several_poses_come_pose_after_pose() -> None:
    seen = an_observation()
    directions = torch.stack([seen.directions(torch.tensor([3, 77])) for _ in range(2)])
    poses = torch.stack([START, exp(torch.tensor([1.0, 0, 0, 0, 0.4, 0]))])
    rays = a_view().rays(poses, directions)
    for k in range(2):
        camera = Cameras(
            camera_to_world=poses[k : k + 1], intrinsics=seen.camera.intrinsics, width=16, height=16
        )
        expected = camera.image_rays(0).directions[[3, 77]]
        torch.testing.assert_close(rays.directions[2 * k : 2 * k + 2], expected)
        torch.testing.assert_close(rays.origins[2 * k], poses[k, :, 3])


def test_planar_rays_measure_depth_along_the_camera() -> None:
    seen = an_observation()
    directions = seen.directions(torch.arange(256))[None]
    rays = a_view(planar=True).rays(START[None], directions)
    depth = (rays.origins + rays.near[:, None] * rays.directions)[:, 2] - START[2, 3]
    torch.testing.assert_close(depth, torch.full((256,), 2.0))


def test_gradients_agree_with_differences() -> None:
    view, seen = a_view(), an_observation()
    directions = seen.directions(torch.tensor([100, 120, 135]))[None].double()

    def colour(twist: torch.Tensor) -> torch.Tensor:
        turn = exp(twist)
        pose = torch.cat([turn[:, :3], (turn[:, :3] @ START[:, 3:].double() + turn[:, 3:])], 1)
        return view.colours(view.rays(pose[None], directions))

    twist = torch.tensor([0.02, -0.01, 0.03, 0.01, 0.02, -0.04], dtype=torch.float64)
    assert torch.autograd.gradcheck(colour, twist.requires_grad_())


def test_a_box_cuts_rays_and_says_who_misses() -> None:
    box = torch.tensor([[-1.0] * 3, [1.0] * 3])
    view, seen = a_view(box=box), an_observation()
    away = START.clone()
    away[:, 2] *= -1
    away[:, 0] *= -1
    share = view.meets(seen, torch.stack([START, away]))
    assert 0.2 < float(share[0]) < 1
    assert float(share[1]) == 0
    assert a_view().meets(seen, START[None]).tolist() == [1.0]


def test_an_image_is_what_its_rays_show() -> None:
    view, seen = a_view(), an_observation()
    whole = view.image(seen, START, rays_at_once=100)
    assert whole.shape == (16, 16, 3)
    one = view.colours(view.rays(START[None], seen.directions(torch.tensor([[37]]))))
    torch.testing.assert_close(whole.reshape(-1, 3)[37], one[0])


@pytest.mark.parametrize(("near", "far"), [(0.1, math.inf), (3.0, 2.0), (-1.0, 2.0)])
def test_planes_that_cannot_be_sampled_are_refused(near: float, far: float) -> None:
    with pytest.raises(SceneError, match=r"far plane|near < far"):
        a_view(near=near, far=far)
    if math.isinf(far):
        assert a_view(near=near, far=far, box=torch.tensor([[-1.0] * 3, [1.0] * 3])).far == far


def test_frozen_weights_form_no_gradient_and_come_back() -> None:
    view, seen = a_view(), an_observation()
    assert isinstance(view.field, Ball)
    pose = START.clone().requires_grad_()
    with frozen_weights(view.field):
        view.colours(view.rays(pose[None], seen.directions(torch.tensor([[120]])))).sum().backward()
    assert view.field.strength.grad is None
    assert view.field.strength.requires_grad
    assert pose.grad is not None
    assert float(pose.grad.abs().sum()) > 0
