from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.data.scene import load_scene, save_scene
from maskfield.data.synthetic.bvh import build_tree, first_hit
from maskfield.data.synthetic.object_cameras import DISTANCE, ELEVATION, object_cameras
from maskfield.data.synthetic.object_paint import flat, recoloured
from maskfield.data.synthetic.object_shapes import BUILDERS, draw_object, fitted
from maskfield.data.synthetic.object_vehicles import bus, car, truck
from maskfield.data.synthetic.objects import (
    SyntheticObject,
    make_object,
    object_scene,
    photograph,
    studio_lights,
)
from maskfield.data.synthetic.primitives import Placed, Shape, assemble


def lone(shape: Shape) -> SyntheticObject:
    prims = assemble([Placed("thing", shape, (0.0, 0.0, 0.0), 0.0, 0, 1)])
    return SyntheticObject(0, "thing", shape, prims, build_tree(prims), studio_lights())


def sphere(radius: float, colour=(0.1, 0.1, 0.8)) -> SyntheticObject:
    shape = Shape()
    shape.ball((0, 0, 0), (radius,) * 3, flat(colour))
    return lone(shape)


def test_a_seed_is_an_object_bit_for_bit():
    first, again, other = (object_scene(seed, 3, 24) for seed in (5, 5, 6))
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.opacity, again.opacity)
    assert torch.equal(first.cameras.camera_to_world, again.cameras.camera_to_world)
    assert not np.array_equal(first.images, other.images)
    assert make_object(5).prims.tobytes() == make_object(5).prims.tobytes()


def test_a_negative_seed_is_refused():
    with pytest.raises(ConfigError, match="seed"):
        object_scene(-1)


def test_where_nothing_is_covered_the_picture_is_white_and_nowhere_else_is_it_all_white():
    scene = object_scene(2, 6, 48)
    assert scene.opacity is not None
    covered = scene.opacity > 0
    assert (scene.images[~covered] == 255).all()
    assert (scene.images[scene.opacity == 255].min(-1) < 255).mean() > 0.95
    assert 0.03 < covered.mean() < 0.6
    partly = covered & (scene.opacity < 255)
    assert set(np.unique(scene.opacity[partly])) <= {64, 128, 191}  # quarters


def test_coverage_is_the_share_of_a_sphere_in_the_picture():
    radius, size = 0.4, 64
    cameras = object_cameras(1, size, "spiral")
    _, opacity = photograph(sphere(radius), cameras, samples=4)
    focal = float(cameras.intrinsics[0, 0])
    outline = focal * radius / math.sqrt(DISTANCE**2 - radius**2)  # a disc: seen along its axis
    assert opacity.sum() / 255 == pytest.approx(math.pi * outline**2, rel=0.01)


def test_edges_mix_the_object_with_white():
    colours, opacity = photograph(
        sphere(0.4, (0.0, 0.0, 0.0)), object_cameras(2, 32, "spiral"), samples=3
    )
    assert np.abs(colours.astype(int) + opacity[..., None] - 255).max() <= 1


def test_light_comes_from_above_in_the_world_not_from_the_camera():
    cameras = object_cameras(4, 48, "spiral")
    colours, opacity = photograph(sphere(0.45, (0.6, 0.6, 0.6)), cameras)
    for picture, mask in zip(colours, opacity, strict=True):
        rows = [picture[r][mask[r] == 255].mean() for r in range(48) if (mask[r] == 255).sum() > 5]
        third = len(rows) // 3
        assert np.mean(rows[:third]) > np.mean(rows[-third:]) + 10


@pytest.mark.parametrize("path", ["random", "spiral"])
def test_cameras_look_at_the_origin_from_the_sphere(path):
    cameras = object_cameras(40, 64, path, np.random.default_rng(1))
    pose = cameras.camera_to_world
    eye, forward, down = pose[:, :, 3], pose[:, :, 2], pose[:, :, 1]
    assert torch.allclose(eye.norm(dim=1), torch.tensor(DISTANCE), atol=1e-5)
    assert torch.allclose(eye + DISTANCE * forward, torch.zeros_like(eye), atol=1e-5)
    assert (down[:, 2] < 0).all()  # upright
    elevation = torch.rad2deg(torch.asin(eye[:, 2] / DISTANCE))
    assert elevation.min() >= ELEVATION[0] - 1e-3
    assert elevation.max() <= ELEVATION[1] + 1e-3
    quarter = torch.atan2(eye[:, 1], eye[:, 0]).div(math.pi / 2).floor().unique()
    assert len(quarter) == 4
    assert cameras.intrinsics[0].tolist() == [131.25 / 2, 131.25 / 2, 32, 32]


def test_objects_lie_in_the_ball_and_around_the_origin():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(150, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for seed in range(30):
        thing = make_object(seed)
        low, high = thing.shape.bounds()
        assert np.abs(low + high).max() < 1e-9
        for d in directions:
            # a ray from outside grazing the ball meets nothing: it stays 0.5 from the middle
            side = np.cross(d, (0.3, 0.5, 0.8))
            start = 0.5005 * side / np.linalg.norm(side) - 2 * d
            assert first_hit(thing.prims, thing.tree, tuple(start), tuple(d))[0] < 0, seed


def test_half_of_the_objects_are_vehicles_and_every_category_occurs():
    drawn = Counter(draw_object(np.random.default_rng([s, 9]))[0] for s in range(400))
    assert set(drawn) == set(BUILDERS)
    assert 0.4 < drawn["vehicle"] / 400 < 0.6


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


@pytest.mark.parametrize("builder", [car, bus, truck, *(b for _, b in BUILDERS.values())])
def test_an_object_looks_different_from_every_quarter(builder):
    """What makes a pose findable: no turn about the vertical maps an object onto itself."""
    turns = np.radians([30.0, 120.0, 210.0, 300.0])
    for seed in range(3):
        shape = fitted(builder(np.random.default_rng(seed)), 0.5)
        prims = [assemble([Placed("x", shape, (0.0, 0.0, 0.0), t, 0, 1)]) for t in turns]
        camera = object_cameras(4, 32, "spiral")[2]
        views = [
            photograph(lone(shape)._replace(prims=p, tree=build_tree(p)), camera)[0] for p in prims
        ]
        for i in range(4):
            for j in range(i):
                assert mean_difference(views[i], views[j]) > 0.4, (seed, i, j)


@pytest.mark.parametrize("builder", [car, bus, truck])
def test_vehicles_are_long_along_y_stand_on_wheels_and_have_red_lights_behind(builder):
    for seed in range(8):
        shape = builder(np.random.default_rng(seed))
        low, high = shape.bounds()
        size = high - low
        assert size[1] > 1.3 * size[0]
        assert abs(low[2]) < 1e-9
        red = [s.centre[1] for s in shape.solids if s.material.colour == (0.85, 0.05, 0.05)]
        assert red
        assert max(red) < 0.9 * low[1]


def test_recolouring_keeps_the_form():
    rng = np.random.default_rng(3)
    shape = BUILDERS["chair"][1](rng)
    other = recoloured(shape, rng)
    for a, b in zip(shape.solids, other.solids, strict=True):
        assert a._replace(material=b.material) == b or np.array_equal(a.axes, b.axes)
        assert a.material.texture == b.material.texture
    assert fitted(shape, 0.5).bounds() == pytest.approx(fitted(other, 0.5).bounds())


def test_an_object_is_an_ordinary_scene_on_disk(tmp_path):
    scene = object_scene(1_000_003, 5, 16)
    back = load_scene(save_scene(scene, tmp_path / "object"))
    assert np.array_equal(back.images, scene.images)
    assert np.array_equal(back.opacity, scene.opacity)
    assert (back.near, back.far, back.up_known) == (0.8, 1.8, True)
    spiral = object_cameras(5, 16, "spiral")  # held-out seeds have the same cameras everywhere
    assert torch.allclose(back.cameras.camera_to_world, spiral.camera_to_world)
