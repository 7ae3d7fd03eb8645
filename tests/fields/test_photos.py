from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.core.errors import SceneError
from maskfield.data.synthetic.rooms import room_scene
from maskfield.fields.photos import Photographs


def scene_with(scene, **changes):
    cameras = replace(
        scene.cameras,
        distortion=torch.tensor([[0.05, -0.02, 0.001, 0.002, 0.0]]).repeat(len(scene), 1),
    )
    return replace(scene, cameras=cameras, **changes)


class TestPhotographs:
    def test_rays_are_the_cameras(self, small_room):
        scene = scene_with(small_room)
        image, pixel = np.array([0, 3, 7]), np.array([0, 617, 1199])
        found = Photographs(scene, "train", 0.1).rays(image, pixel)
        points = np.stack([pixel % 40 + 0.5, pixel // 40 + 0.5], axis=-1)
        wanted = scene.cameras.rays(torch.from_numpy(image), torch.from_numpy(points).float())
        torch.testing.assert_close(found.directions, wanted.directions)
        torch.testing.assert_close(found.origins, wanted.origins)
        assert float(found.near[0]) == pytest.approx(0.1)

    def test_many_lenses_give_the_same_rays(self, small_room):
        k = small_room.cameras.intrinsics + torch.arange(12.0)[:, None] * 0.01
        scene = replace(small_room, cameras=replace(small_room.cameras, intrinsics=k))
        image, pixel = np.array([1, 5]), np.array([40, 333])
        found = Photographs(scene, "train", 0.0).rays(image, pixel)
        wanted = scene.cameras.image_rays(5)
        torch.testing.assert_close(found.directions[1], wanted.directions[333])

    def test_colours_belong_to_the_pixels(self, small_room):
        batch = Photographs(small_room, "train", 0.0).draw(500, np.random.default_rng(0))
        assert set(batch.image) <= set(small_room.indices("train"))
        found = Photographs(small_room, "train", 0.0).batch(
            np.array([2]), np.array([85]), np.random.default_rng(0)
        )
        np.testing.assert_allclose(found.target[0], small_room.images[2, 2, 5] / 255, rtol=1e-6)

    def test_patches_are_neighbours(self, small_room):
        batch = Photographs(small_room, "train", 0.0).draw(64, np.random.default_rng(0), patch=4)
        assert len(batch.rays) == 64
        squares = batch.rays.directions.reshape(4, 16, 3)
        apart = (squares - squares[:, :1]).norm(dim=-1).amax(1)
        assert float(apart.max()) < 0.3
        assert (batch.image.reshape(4, 16) == batch.image.reshape(4, 16)[:, :1]).all()

    def test_masked_pixels_never_come_up(self, small_room):
        masks = np.zeros(small_room.images.shape[:3], np.uint8)
        masks[:, 10:20, 5:9] = 1
        marked = small_room.images.copy()
        marked[masks == 0] = 255
        marked[masks == 1] = 0
        scene = replace(small_room, images=marked, masks=masks)
        batch = Photographs(scene, "train", 0.0).draw(2000, np.random.default_rng(0))
        assert batch.target.max() == 0

    def test_masks_that_leave_nothing_are_refused(self, small_room):
        masks = np.zeros(small_room.images.shape[:3], np.uint8)
        with pytest.raises(SceneError, match="no pixel"):
            Photographs(replace(small_room, masks=masks), "train", 0.0)

    def test_opacity_is_composited_over_the_background(self, small_room):
        opacity = np.full(small_room.images.shape[:3], 51, np.uint8)
        scene = replace(small_room, opacity=opacity)
        batch = Photographs(scene, "train", 0.0, "random").batch(
            np.array([2]), np.array([85]), np.random.default_rng(0)
        )
        photo = small_room.images[2, 2, 5] / 255
        np.testing.assert_allclose(
            batch.target[0], 0.2 * photo + 0.8 * batch.background[0], rtol=1e-5
        )

    def test_the_same_generator_draws_the_same(self, small_room):
        photos = Photographs(small_room, "train", 0.0)
        a, b = (photos.draw(100, np.random.default_rng(3)) for _ in range(2))
        np.testing.assert_array_equal(a.target, b.target)


def test_masked_pixels_do_not_count_in_the_mean_colour() -> None:
    scene = room_scene(1, views=4, width=16, height=12, holdout=0)
    images, masks = np.array(scene.images), np.ones((4, 12, 16), np.uint8)
    images[:, :6], masks[:, :6] = 255, 0
    found = Photographs(replace(scene, images=images, masks=masks), "train", 0.0).mean_colour
    np.testing.assert_allclose(found, images[:, 6:].reshape(-1, 3).mean(0) / 255, atol=1e-5)
