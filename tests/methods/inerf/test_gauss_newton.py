"""The Gauss-Newton search: equations against finite differences, poses found, retries, traces."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.geometry import se3
from maskfield.methods.inerf.gauss_newton import locate, starts_around, turned
from maskfield.methods.inerf.gauss_newton_config import GaussNewtonConfig, StageConfig
from maskfield.methods.inerf.motion import TorchMotionView, VoxelMotionView, motion_view
from maskfield.methods.inerf.stages import build_stage, palette_of
from maskfield.metrics.pose import rotation_error, translation_error

SMALL = GaussNewtonConfig(
    stages=(
        StageConfig(side=32, pool=2, blur=3.0, iterations=20),
        StageConfig(side=32, pool=1, blur=1.0, iterations=15, keep=3),
        StageConfig(side=64, pixels=1500, iterations=10, robust=0.2, keep=1),
    ),
    retries=0,
)


def start_at(pose: torch.Tensor, degrees: float, axis=(0.3, -0.5, 0.8), shift=(0.1, 0.0, -0.1)):
    """The pose turned about the origin and shifted."""
    w = torch.nn.functional.normalize(torch.tensor(axis), dim=0) * torch.pi / 180 * degrees
    motion = torch.cat([se3.rotation_exp(w), torch.tensor(shift)[:, None]], dim=1)
    return se3.compose(motion, pose)


def errors(found, true):
    return float(rotation_error(found, true)), float(translation_error(found, true))


class TestMotionViews:
    def test_torch_and_kernel_agree(self, blob_view, photograph, generator):
        observation, pose = photograph()
        pixels = torch.randperm(64 * 64, generator=generator)[:200]
        kernel, torch_view = motion_view(blob_view), TorchMotionView(blob_view)
        assert isinstance(kernel, VoxelMotionView)
        rays = kernel.rays(pose[None], observation.directions(pixels)[None])
        for found, expected in zip(kernel.moved(rays), torch_view.moved(rays), strict=True):
            torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-2)

    def test_coarser_copies_are_made_once(self, blob_view):
        view = VoxelMotionView(blob_view)
        assert view.copy(2) is view.copy(2)
        assert view.copy(2).resolution == (16, 16, 16)


class TestEquations:
    @pytest.mark.parametrize(
        ("options", "exposure"),
        [
            ({}, False),
            ({"blur": 2.0}, False),
            ({"robust": 0.2}, False),
            ({"blur": 1.5}, True),
            ({"blur": 2.0, "palette": 4}, False),
        ],
    )
    def test_right_side_is_the_slope_of_the_cost(
        self, blob_view, photograph, generator, options, exposure
    ):
        """d cost / d twist = 2 J^T r, whatever the robust scale."""
        observation, pose = photograph()
        view = motion_view(blob_view)
        config = StageConfig(side=32, **options)
        stage = build_stage(observation, config, generator)
        here = start_at(pose, 6.0)
        found = stage.equations(view, here[None], exposure).right[0] * 2
        h = 4e-3
        for k in range(6):
            twist = torch.zeros(2, 6)
            twist[0, k], twist[1, k] = h, -h
            cost = stage.equations(view, turned(here.expand(2, 3, 4), twist, view.pivot), exposure)
            numeric = float(cost.cost[0] - cost.cost[1]) / (2 * h)
            # samples move with the ray, while a re-rendered ray is sampled anew
            assert abs(numeric - float(found[k])) < 0.08 * float(found.abs().max())

    def test_masked_pixels_do_not_count(self, blob_view, photograph, generator):
        observation, pose = photograph()
        mask = torch.ones(64, 64, dtype=torch.bool)
        mask[:, :32] = False
        spoilt = observation.image.clone()
        spoilt[:, :32] = 0.3
        view, config = motion_view(blob_view), StageConfig(side=64)
        first, second = (
            build_stage(replace(observation, image=image, mask=mask), config, generator)
            for image in (observation.image, spoilt)
        )
        a, b = (stage.equations(view, pose[None]) for stage in (first, second))
        torch.testing.assert_close(a.cost, b.cost)
        assert float(a.cost) < 1e-6

    def test_at_the_truth_the_cost_vanishes(self, blob_view, photograph, generator):
        observation, pose = photograph()
        stage = build_stage(observation, StageConfig(side=64), generator)
        assert float(stage.equations(motion_view(blob_view), pose[None]).cost) < 1e-6


class TestPalette:
    def test_shares_and_their_derivatives(self, generator):
        colours = torch.rand(50, 3, generator=generator, dtype=torch.float64)
        palette = palette_of(colours, 4, 0.15)
        slopes = torch.randn(1, 50, 3, 6, generator=generator, dtype=torch.float64)
        rows = torch.cat([colours[None, ..., None], slopes], dim=-1)
        found = palette.rows(rows)
        torch.testing.assert_close(found[..., 0].sum(-1), torch.ones(1, 50).double())
        for k in range(6):
            step = 1e-5 * slopes[0, ..., k]
            expected = (palette.shares(colours + step) - palette.shares(colours - step)) / 2e-5
            torch.testing.assert_close(found[0, ..., 1 + k], expected, atol=1e-7, rtol=1e-6)

    def test_main_colours_are_found(self, generator):
        true = torch.tensor([[0.1, 0.1, 0.1], [0.9, 0.2, 0.1], [0.2, 0.8, 0.3]])
        noise = 0.02 * torch.randn(300, 3, generator=generator)
        palette = palette_of(true.repeat(100, 1) + noise, 3, 0.15)
        distance = torch.cdist(true, palette.colours).amin(1)
        assert float(distance.max()) < 0.02


class TestLocate:
    @pytest.mark.parametrize("degrees", [5.0, 20.0, -30.0])
    def test_finds_the_camera(self, blob_view, photograph, generator, degrees):
        observation, pose = photograph()
        found = locate(
            motion_view(blob_view), observation, start_at(pose, degrees), SMALL, generator
        )
        degrees_off, units_off = errors(found.pose, pose)
        assert degrees_off < 0.3
        assert units_off < 0.02
        assert found.explained > 0.98
        assert found.searches == 1

    def test_a_gain_and_an_offset_of_the_colours(self, blob_view, photograph, generator):
        observation, pose = photograph()
        dull = replace(observation, image=observation.image * 0.75 + 0.05)
        view, start = motion_view(blob_view), start_at(pose, 12.0)
        exposed = locate(view, dull, start, replace(SMALL, exposure=True), generator)
        assert errors(exposed.pose, pose)[0] < 0.5
        assert exposed.explained > 0.95
        plain = locate(view, dull, start, SMALL, generator)
        assert exposed.cost < plain.cost

    def test_retries_when_the_photograph_stays_unexplained(self, blob_view, photograph, generator):
        observation, pose = photograph()
        away = start_at(pose, 150.0, axis=(0.0, 0.0, 1.0))
        config = replace(SMALL, retries=1, tracks=3)
        found = locate(motion_view(blob_view), observation, away, config, generator)
        assert found.searches == 4 or found.explained >= config.explained

    def test_same_generator_same_pose(self, blob_view, photograph):
        observation, pose = photograph()
        found = [
            locate(
                motion_view(blob_view),
                observation,
                start_at(pose, 20.0),
                SMALL,
                torch.Generator().manual_seed(3),
            ).pose
            for _ in range(2)
        ]
        assert torch.equal(*found)

    def test_trace_follows_the_winner(self, blob_view, photograph, generator):
        observation, pose = photograph()
        start = start_at(pose, 15.0)
        found = locate(motion_view(blob_view), observation, start, SMALL, generator)
        trace = found.trace
        torch.testing.assert_close(trace.poses[0], start)
        torch.testing.assert_close(trace.poses[-1], found.pose)
        assert bool((trace.seconds.diff() >= 0).all())
        assert errors(trace.poses[-1], pose)[0] < errors(trace.poses[0], pose)[0]


class TestStarts:
    def test_around_the_start(self, photograph, generator):
        _, pose = photograph()
        config = replace(SMALL, tracks=6, spread=20.0)
        poses = starts_around(pose, torch.zeros(3), config, generator)
        assert poses.shape == (6, 3, 4)
        turns = rotation_error(poses, pose.expand(6, 3, 4))
        assert float(turns.min()) > 9.9
        assert float(turns.max()) < 30.1
        shifts = translation_error(poses, pose.expand(6, 3, 4))
        assert float(shifts[1::2].max()) < 1e-5  # about the camera
        assert float(shifts[::2].min()) > 0.1  # about the scene


class TestConfig:
    @pytest.mark.parametrize(
        "bad", [{"damping": 0.0}, {"explained": 1.0}, {"stages": ()}, {"tracks": 0}]
    )
    def test_refuses(self, bad):
        with pytest.raises(ConfigError):
            GaussNewtonConfig(**bad)

    def test_blur_needs_the_whole_image(self):
        with pytest.raises(ConfigError):
            StageConfig(side=50, blur=2.0, pixels=100)
