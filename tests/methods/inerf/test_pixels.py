"""Keypoints, regions and the strategies of drawing pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError, SceneError
from maskfield.geometry.cameras import Cameras
from maskfield.methods.inerf.config import Detector, PixelConfig, PoseConfig, paper
from maskfield.methods.inerf.keypoints import interest_regions, keypoints
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.pixels import central_pixels, pixel_sampler


def squares() -> np.ndarray:
    """Two bright squares on grey."""
    image = np.full((40, 60, 3), 0.4, np.float32)
    image[10:20, 10:20], image[22:34, 40:52] = 0.9, 0.1
    return image


def seen(image: np.ndarray, mask: torch.Tensor | None = None) -> Observation:
    h, w = image.shape[:2]
    camera = Cameras(
        camera_to_world=torch.eye(4)[None, :3],
        intrinsics=torch.tensor([[50.0, 50.0, w / 2, h / 2]]),
        width=w,
        height=h,
    )
    return Observation(image=torch.from_numpy(image), camera=camera, mask=mask)


def test_corners_are_found_at_corners() -> None:
    points = keypoints(squares(), 8, "harris")
    corners = np.array([(x, y) for x in (9.5, 19.5) for y in (9.5, 19.5)])
    corners = np.concatenate([corners, [(x, y) for x in (39.5, 51.5) for y in (21.5, 33.5)]])
    distance = np.linalg.norm(points[:, None] - corners[None], axis=-1)
    assert len(points) == 8
    assert float(distance.min(1).max()) < 3
    assert float(distance.min(0).max()) < 3


@pytest.mark.parametrize("detector", ["harris", "dog"])
def test_detectors_are_deterministic_and_quiet_on_flat_images(detector: Detector) -> None:
    a, b = keypoints(squares(), 50, detector), keypoints(squares(), 50, detector)
    np.testing.assert_array_equal(a, b)
    assert len(a) > 3
    assert len(keypoints(np.full((40, 60, 3), 0.4, np.float32), 50, detector)) == 0


def test_the_strongest_come_first() -> None:
    many = keypoints(squares(), 50, "dog")
    np.testing.assert_array_equal(keypoints(squares(), 3, "dog"), many[:3])


def test_regions_grow_by_half_a_kernel_each_time() -> None:
    points = np.array([[10, 5]])
    for times, reach in ((0, 0), (1, 2), (3, 6)):
        mask = interest_regions(points, (30, 40), 5, times)
        rows, columns = np.nonzero(mask)
        assert (columns.min(), columns.max()) == (10 - reach, 10 + reach)
        assert rows.max() == 5 + reach


@pytest.mark.parametrize("strategy", ["regions", "points", "random"])
def test_draws_are_distinct_allowed_and_seeded(strategy: str) -> None:
    mask = torch.ones(40, 60, dtype=torch.bool)
    mask[:, :30] = False
    config = PixelConfig(strategy=strategy, count=200)  # type: ignore[arg-type]
    sampler = pixel_sampler(seen(squares(), mask), config)
    a, b = (sampler.draw(3, torch.Generator().manual_seed(1)) for _ in range(2))
    assert a.shape == (3, 200)
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert all(len(row.unique()) == 200 for row in a)
    assert bool((a % 60 >= 30).all())


def test_few_pixels_of_a_large_pool_are_distinct_and_spread() -> None:
    image = np.random.default_rng(0).random((100, 120, 3)).astype(np.float32)
    sampler = pixel_sampler(seen(image), PixelConfig(strategy="random", count=2000))
    drawn = sampler.draw(1, torch.Generator().manual_seed(0))[0]
    assert len(drawn.unique()) == 2000
    assert float(drawn.float().mean()) == pytest.approx(6000, rel=0.05)


def test_points_come_before_others() -> None:
    image = squares()
    points = keypoints(image, 1000, "dog")
    sampler = pixel_sampler(seen(image), PixelConfig(strategy="points", count=len(points) + 5))
    drawn = sampler.draw(1, torch.Generator().manual_seed(0))[0]
    assert set(points[:, 1] * 60 + points[:, 0]) <= set(drawn.tolist())


def test_a_photograph_smaller_than_the_batch_gives_all_it_has() -> None:
    sampler = pixel_sampler(seen(squares()), PixelConfig(count=5000))
    assert len(sampler.draw(1, torch.Generator().manual_seed(0))[0].unique()) == 2400
    assert sampler.draw(2, torch.Generator().manual_seed(0)).shape == (2, 2400)


def test_the_official_box_and_patch() -> None:
    assert central_pixels((128, 128), 0.25).shape == (1024,)
    box = central_pixels((33, 50), 0.5)
    rows, columns = box // 50, box % 50
    assert (int(rows.min()), int(rows.max())) == (8, 23)
    assert (int(columns.min()), int(columns.max())) == (12, 36)
    patch = pixel_sampler(seen(squares()), PixelConfig(strategy="patch"))
    assert patch.draw(2, torch.Generator()).shape == (2, 10 * 15)
    centre = pixel_sampler(seen(squares()), PixelConfig(strategy="center", count=3000))
    assert centre.draw(1, torch.Generator().manual_seed(0)).shape == (1, 3000)


def test_a_masked_centre_is_refused() -> None:
    mask = torch.zeros(40, 60, dtype=torch.bool)
    mask[0, 0] = True
    with pytest.raises(SceneError, match="centre"):
        pixel_sampler(seen(squares(), mask), PixelConfig(strategy="center"))


def test_options_out_of_range_are_refused() -> None:
    for wrong in ({"kernel": 4}, {"count": 0}, {"centre_share": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PixelConfig(**wrong)  # type: ignore[arg-type]
    for wrong in ({"steps": 0}, {"shares": (1.0,)}, {"drop_at": (1.5,)}, {"lr": 0.0}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            PoseConfig(**wrong)  # type: ignore[arg-type]


def test_levels_and_learning_rate() -> None:
    config = PoseConfig(steps=100)
    assert [config.level(s) for s in (0, 29, 30, 59, 60, 99)] == [0, 0, 1, 1, 2, 2]
    assert config.learning_rate(100) == pytest.approx(0.008)
    assert paper().level(299) == 0
    assert replace(config, pyramid=(1,), shares=(1.0,)).level(50) == 0
