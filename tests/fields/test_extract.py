from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError, GridError
from maskfield.data.radiance_grid import load_grid, save_grid
from maskfield.fields.extract import extract, extract_grid
from maskfield.fields.ply import write_ply
from maskfield.geometry.grids import voxel_centres
from maskfield.rendering.field import FieldOutput
from maskfield.rendering.samplers import StratifiedSampler

RADIUS, SIGMA = 1.0, 40.0
SAMPLER = StratifiedSampler(count=96)


class Ball:
    """A dense ball whose colour is the viewing direction."""

    def __init__(self, centre: torch.Tensor) -> None:
        self.centre = centre

    def __call__(self, samples):
        inside = (samples.points - self.centre).norm(dim=-1) < RADIUS
        colour = (samples.directions.expand_as(samples.points) + 1) / 2
        return FieldOutput(density=SIGMA * inside.float(), colour=colour)

    def prepare(self, views=None):
        return self

    def fused(self, sampler, compositing):
        return None


@pytest.fixture
def ball_scene(small_room):
    centre = small_room.box.mean(0)
    box = torch.stack([centre - 1.5, centre + 1.5])
    return replace(small_room, box=box, near=0.05, far=12.0), Ball(centre)


class TestExtract:
    def test_density_and_frame(self, ball_scene):
        scene, ball = ball_scene
        grid = extract_grid(ball, scene, longest=24, sampler=SAMPLER)
        centres = voxel_centres(grid.box, grid.resolution)
        inside = (centres - ball.centre).norm(dim=-1) < RADIUS
        torch.testing.assert_close(grid.density[0], SIGMA * inside.float())
        assert grid.density_kind == "sigma"
        assert grid.ngp_scale == pytest.approx(0.5)
        middle = scene.box.mean(0) * grid.ngp_scale + torch.tensor(grid.ngp_offset)
        torch.testing.assert_close(middle, torch.full((3,), 0.5))

    def test_colour_is_the_mean_over_cameras_that_see_it(self, ball_scene):
        """One camera: the near side of the ball shows its viewing direction."""
        scene, ball = ball_scene
        scene = replace(scene, split={"train": (3,)})
        found = extract(ball, scene, longest=24, sampler=SAMPLER)
        centres = voxel_centres(found.grid.box, found.grid.resolution)
        away = torch.nn.functional.normalize(centres - scene.cameras.centres[3], dim=-1)
        colour = found.grid.rgb.permute(1, 2, 3, 0)
        assert found.seen.any()
        assert not found.seen.all()
        shown = found.seen & (found.grid.density[0] > 0)
        torch.testing.assert_close(colour[shown], (away[shown] + 1) / 2)
        torch.testing.assert_close(colour[~shown], torch.full_like(colour[~shown], 0.5))
        assert shown.any()
        hidden = (centres - ball.centre).norm(dim=-1) < 0.5 * RADIUS
        assert not found.seen[hidden].any()

    def test_near_cubic_voxels_of_a_given_box(self, ball_scene):
        scene, ball = ball_scene
        box = torch.stack([ball.centre - torch.tensor([2.0, 1.0, 0.5]), ball.centre + 1.0])
        assert extract_grid(ball, scene, box, 30, sampler=SAMPLER).resolution == (30, 20, 15)

    def test_refuses_an_empty_box_and_no_voxels(self, ball_scene):
        scene, ball = ball_scene
        far = torch.stack([ball.centre + 5, ball.centre + 6])
        with pytest.raises(GridError, match="constant"):
            extract_grid(ball, scene, far, 8, sampler=SAMPLER)
        with pytest.raises(ConfigError, match="longest"):
            extract_grid(ball, scene, longest=1, sampler=SAMPLER)

    def test_survives_storing(self, ball_scene, tmp_path):
        scene, ball = ball_scene
        grid = extract_grid(ball, scene, longest=16, sampler=SAMPLER)
        again = load_grid(save_grid(grid, tmp_path / "grid.safetensors"))
        torch.testing.assert_close(again.to_alpha(), grid.to_alpha(), atol=2e-3, rtol=0)
        assert again.ngp_scale == grid.ngp_scale


class TestWritePly:
    def test_points_and_colours(self, ball_scene, tmp_path):
        scene, ball = ball_scene
        grid = extract_grid(ball, scene, longest=16, sampler=SAMPLER)
        path = write_ply(grid, tmp_path / "cloud.ply", threshold=0.1)
        head, _, body = path.read_bytes().partition(b"end_header\n")
        count = int(head.split(b"element vertex ")[1].split()[0])
        points = np.frombuffer(body, "<f4,<f4,<f4,u1,u1,u1,u1")
        assert len(points) == count == int((grid.density > 0).sum())
        xyz = np.stack([points[f"f{i}"] for i in range(3)], axis=-1)
        assert np.linalg.norm(xyz - ball.centre.numpy(), axis=-1).max() < RADIUS

    def test_refuses_an_empty_cloud(self, ball_scene, tmp_path):
        scene, ball = ball_scene
        grid = extract_grid(ball, scene, longest=16, sampler=SAMPLER)
        with pytest.raises(GridError, match="opaque"):
            write_ply(grid, tmp_path / "cloud.ply", threshold=0.999)
        assert not (tmp_path / "cloud.ply").exists()
