"""Training examples of objects."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfield.core.config import from_dict, to_dict
from maskfield.core.errors import ConfigError, SceneError
from maskfield.data.colour_jitter import ColourJitter, jitter_images
from maskfield.data.object_batches import (
    ObjectBatch,
    collate_objects,
    near_far,
    object_example,
    ray_targets,
)
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.scene import Scene
from maskfield.geometry.camera_paths import pinholes, spherical

VIEWS, SIDE = 5, 24
CONFIG = ObjectDataConfig(rays=64, source_views=(1, 3))


def an_object(views: int = VIEWS, side: int = SIDE, masked: bool = True) -> Scene:
    """Every pixel tells its view, row and column; the mask is columns 6 to 11, rows 2 to 20."""
    angle = torch.linspace(0, 300, views)
    cameras = pinholes(
        spherical(angle, torch.full_like(angle, 20.0), torch.full_like(angle, 1.3)), side, side, 50
    )
    view, row, column = np.meshgrid(*map(np.arange, (views, side, side)), indexing="ij")
    mask = (column >= 6) & (column < 12) & (row >= 2) & (row < 21)
    return Scene(
        cameras=cameras,
        images=np.stack([view, row, column], axis=-1).astype(np.uint8),
        names=tuple(map(str, range(views))),
        box=torch.tensor([[-0.5] * 3, [0.5] * 3]),
        split={},
        opacity=(mask * 255).astype(np.uint8) if masked else None,
        near=0.8,
        far=1.8,
    )


def pixels_of(colours: torch.Tensor) -> torch.Tensor:
    return (colours * 255).round().long()


def test_rays_go_through_the_pixels_their_colours_are_from(generator: torch.Generator):
    scene = an_object()
    batch = object_example(scene, CONFIG, generator)
    for part in (batch.boxed, batch.anywhere):
        view, row, column = pixels_of(part.colours[0]).unbind(1)
        wanted = scene.cameras.rays(view, torch.stack([column, row], 1) + 0.5)
        torch.testing.assert_close(part.rays(0).origins, wanted.origins)
        torch.testing.assert_close(part.rays(0).directions, wanted.directions)
        assert (float(part.near), float(part.far)) == pytest.approx((0.8, 1.8))


def test_boxed_rays_hit_the_boxes_and_the_others_the_rest_as_well(generator: torch.Generator):
    batch = object_example(an_object(), replace(CONFIG, rays=512), generator)
    boxed, anywhere = pixels_of(batch.boxed.colours[0]), pixels_of(batch.anywhere.colours[0])
    low, high = torch.tensor([2, 6]), torch.tensor([20, 11])
    assert bool(((boxed[:, 1:] >= low) & (boxed[:, 1:] <= high)).all())
    assert not bool(((anywhere[:, 1:] >= low) & (anywhere[:, 1:] <= high)).all())
    assert len(boxed[:, 0].unique()) == VIEWS


@pytest.mark.parametrize("case", ["no mask", "boxes off", "empty masks"])
def test_without_boxes_rays_are_drawn_anywhere(generator: torch.Generator, case: str):
    scene = an_object(masked=case != "no mask")
    if case == "empty masks":
        scene = replace(scene, opacity=np.zeros((VIEWS, SIDE, SIDE), np.uint8))
    config = replace(CONFIG, rays=512, boxes=case != "boxes off")
    columns = pixels_of(object_example(scene, config, generator).boxed.colours[0])[:, 2]
    assert int(columns.min()) < 3
    assert int(columns.max()) > SIDE - 4


def test_sources_are_distinct_views_in_the_range_of_encoders(generator: torch.Generator):
    scene = an_object()
    batch = object_example(scene, CONFIG, generator)
    assert batch.images.shape == (1, 3, 3, SIDE, SIDE)
    assert len(batch.sources.unique()) == 3
    pixels = ((batch.images[0] + 1) / 2 * 255).round().permute(0, 2, 3, 1).byte().numpy()
    np.testing.assert_array_equal(pixels, scene.images[batch.sources[0].numpy()])
    poses = scene.cameras.camera_to_world[batch.sources[0]]
    torch.testing.assert_close(batch.poses[0], poses)


def test_the_same_generator_gives_the_same_example_and_none_always_the_same():
    scene = an_object()
    jittered = replace(CONFIG, colour_jitter=True)

    def example(seed: int | None, config: ObjectDataConfig = jittered) -> ObjectBatch:
        made = None if seed is None else torch.Generator().manual_seed(seed)
        return object_example(scene, config, made)

    torch.testing.assert_close(example(1).anywhere.colours, example(1).anywhere.colours)
    assert not torch.equal(example(1).anywhere.colours, example(2).anywhere.colours)
    held_out = example(None)
    torch.testing.assert_close(held_out.images, example(None, CONFIG).images)


def test_jittered_targets_are_pixels_of_the_jittered_images(generator: torch.Generator):
    noise = torch.randint(0, 256, (VIEWS, SIDE, SIDE, 3), generator=generator)
    scene = replace(an_object(), images=noise.byte().numpy())
    jitter = ColourJitter(hue=0.06, saturation=0.92, brightness=1.07, contrast=0.9)
    pixels = torch.stack([torch.randint(n, (200,), generator=generator) for n in (5, 24, 24)], 1)
    found = ray_targets(scene, pixels, jitter).colours[0]
    images = jitter_images(noise.permute(0, 3, 1, 2).float() / 255, jitter)
    wanted = images[pixels[:, 0], :, pixels[:, 1], pixels[:, 2]]
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=0)


def test_batches_are_collated_shared_and_moved(generator: torch.Generator):
    scene = an_object()
    batch = collate_objects([object_example(scene, CONFIG, generator) for _ in range(4)])
    assert len(batch) == 4
    assert batch.boxed.colours.shape == (4, 64, 3)
    half = batch[2:]
    torch.testing.assert_close(half.anywhere.origins, batch.anywhere.origins[2:])
    assert batch.with_sources(2).images.shape[1] == 2
    assert batch.to("meta").boxed.near.device.type == "meta"


def test_images_of_different_sizes_are_refused(generator: torch.Generator):
    examples = [object_example(an_object(side=s), CONFIG, generator) for s in (16, 20)]
    with pytest.raises(SceneError, match=r"16, 16\), \(20, 20"):
        collate_objects(examples)


def test_too_few_views_are_refused(generator: torch.Generator):
    with pytest.raises(SceneError, match="3 of 2 views"):
        object_example(an_object(views=2), CONFIG, generator)


def test_near_and_far_come_from_the_box_where_nobody_gave_them():
    scene = replace(an_object(), near=None, far=None)
    near, far = near_far(scene)
    radius = 0.75**0.5
    assert (near, far) == pytest.approx((1.3 - radius, 1.3 + radius))
    with pytest.raises(SceneError, match="how near and far"):
        near_far(replace(scene, unbounded=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rays": 0},
        {"source_views": ()},
        {"source_views": (0,)},
        {"views": 2, "source_views": (3,)},
        {"image_size": 0},
        {"workers": -1},
    ],
)
def test_options_out_of_range_are_refused(wrong: dict):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ObjectDataConfig(**wrong)


def test_the_config_survives_yaml():
    config = ObjectDataConfig(source_views=(1, 2), image_size=64, held_out="test")
    assert from_dict(ObjectDataConfig, to_dict(config)) == config
    assert config.counts == (256, 16)
    assert replace(config, path="cars", train_count=3).counts == (3, None)


@pytest.mark.slow
def test_examples_are_read_fast(generator: torch.Generator):
    """4 objects of 50 views and 64 pixels, 128 rays each: the best of many is under 5 ms."""
    scene, config = an_object(views=50, side=64), ObjectDataConfig()
    seconds = []
    for _ in range(50):
        start = time.perf_counter()
        collate_objects([object_example(scene, config, generator) for _ in range(4)])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 5e-3
