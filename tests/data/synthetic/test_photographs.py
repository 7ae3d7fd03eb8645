from __future__ import annotations

import math

import numba
import numpy as np
import pytest
import torch

from maskfield.core.errors import DataError, SceneError
from maskfield.data.scene import load_scene, save_scene
from maskfield.data.synthetic.palette import paint
from maskfield.data.synthetic.primitives import Shape
from maskfield.data.synthetic.rooms import make_room, render_room, room_cameras, room_scene
from maskfield.data.synthetic.trajectories import CLEARANCE, distance_to_surface, look_at
from maskfield.geometry.cameras import Cameras

from .conftest import bare_room

PAINT = paint(np.random.default_rng(0))


def one_camera(eye, target, width=40, height=30, focal=30.0) -> Cameras:
    pose = look_at(np.array(eye, float), np.array(target, float))
    return Cameras(
        camera_to_world=torch.from_numpy(pose)[None].float(),
        intrinsics=torch.tensor([[focal, focal, width / 2, height / 2]]),
        width=width,
        height=height,
    )


def depth_along_z(rays, cameras, t):
    return t * (rays.directions @ cameras.forward_axes[0])


def test_depth_of_a_ball_is_the_root_of_its_quadratic():
    shape = Shape()
    shape.ball((0, 0, 0), (0.7, 0.7, 0.7), PAINT)
    cameras = one_camera((2.5, 0.4, 0.6), (0.1, 0, 0))
    images = render_room(bare_room(shape), cameras)
    rays = cameras.image_rays(0)
    o, d = rays.origins.double(), rays.directions.double()
    b, c = (o * d).sum(1), (o * o).sum(1) - 0.49
    disc = b * b - c
    expected = depth_along_z(rays, cameras, -b - disc.clamp_min(0).sqrt())
    hit = disc.numpy() > 0
    depth = images.depth.reshape(-1)
    clear = np.abs(disc.numpy()) > 1e-4  # float32 rays at the rim
    assert ((depth > 0) == hit)[clear].all()
    both = hit & clear
    assert np.allclose(depth[both], expected.numpy()[both], atol=2e-5)
    assert (images.semantic.reshape(-1)[both] == 5).all()
    assert (images.instance.reshape(-1)[~hit & clear] == 0).all()


def test_depth_of_a_turned_box_is_the_slab_method():
    shape, yaw = Shape(), 0.5
    shape.block((0, 0, -0.3), (1.0, 0.6, 0.6), PAINT)
    cameras = one_camera((2.0, 1.2, 1.0), (0, 0, 0))
    images = render_room(bare_room(shape, yaw), cameras)
    rays = cameras.image_rays(0)
    c, s = math.cos(yaw), math.sin(yaw)
    turned = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
    o, d = rays.origins.double() @ turned, rays.directions.double() @ turned
    half = torch.tensor([0.5, 0.3, 0.3], dtype=torch.float64)
    t = torch.stack([(-half - o) / d, (half - o) / d])
    enter, leave = t.amin(0).amax(1), t.amax(0).amin(1)
    hit = (enter < leave).numpy()
    clear = (enter - leave).abs().numpy() > 1e-4
    expected = depth_along_z(rays, cameras, enter).numpy()
    depth = images.depth.reshape(-1)
    assert ((depth > 0) == hit)[clear].all()
    assert np.allclose(depth[hit & clear], expected[hit & clear], atol=2e-5)


def test_pixels_are_the_same_for_any_number_of_threads():
    room = make_room(2)
    cameras = room_cameras(room, 2, 40, 30)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        alone = render_room(room, cameras)
        numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
        together = render_room(room, cameras)
    finally:
        numba.set_num_threads(threads)
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_scene_is_the_same_every_time_and_survives_the_disk(tmp_path):
    first, second = (room_scene(5, views=9, width=32, height=24) for _ in range(2))
    assert np.array_equal(first.images, second.images)
    assert torch.equal(first.cameras.camera_to_world, second.cameras.camera_to_world)
    loaded = load_scene(save_scene(first, tmp_path / "room"))
    assert np.array_equal(loaded.images, first.images)
    assert np.array_equal(loaded.instances, first.instances)
    assert loaded.metric
    assert loaded.up_known
    assert loaded.unit_length_m == 1.0
    assert loaded.split["test"] == (0, 8)
    assert len(loaded.split["train"]) == 7


def test_pixels_of_an_instance_lie_in_its_box(rooms):
    for room in rooms[:3]:
        cameras = room_cameras(room, 4, 48, 36)
        images = render_room(room, cameras, samples=1)
        for i in range(len(cameras)):
            rays = cameras.image_rays(i)
            t = torch.from_numpy(images.depth[i]).reshape(-1) / (
                rays.directions @ cameras.forward_axes[i]
            )
            points = rays.origins + t[:, None] * rays.directions
            row = torch.from_numpy(images.instance[i]).reshape(-1).long() - 1
            assert (row >= 0).all()  # a closed room has no holes
            boxes = room.boxes
            assert (boxes.label[row].numpy() == images.semantic[i].reshape(-1)).all()
            local, yaw = points - boxes.centre[row], boxes.yaw[row]
            x = yaw.cos() * local[:, 0] + yaw.sin() * local[:, 1]
            y = yaw.cos() * local[:, 1] - yaw.sin() * local[:, 0]
            beyond = torch.stack([x, y, local[:, 2]], 1).abs() - boxes.size[row] / 2
            assert beyond.max() < 2e-3, room.seed


def test_all_pixels_lie_in_the_scene_box_between_near_and_far():
    scene = room_scene(7, views=6, width=32, height=24)
    for i in range(len(scene)):
        rays = scene.cameras.image_rays(i)
        t = torch.from_numpy(scene.depths[i]).reshape(-1) / (
            rays.directions @ scene.cameras.forward_axes[i]
        )
        points = rays.origins + t[:, None] * rays.directions
        assert (points >= scene.box[0] - 1e-3).all()
        assert (points <= scene.box[1] + 1e-3).all()
        assert t.min() > scene.near
        assert t.max() < scene.far


def test_cameras_stand_in_free_space_and_see_several_classes(rooms):
    for room in rooms[:6]:
        cameras = room_cameras(room, 12, 32, 24)
        for centre in cameras.centres.double().numpy():
            assert distance_to_surface(room.prims, *centre) >= CLEARANCE - 1e-6
        images = render_room(room, cameras, samples=1)
        kinds = [len(np.unique(s)) for s in images.semantic]
        assert np.mean(kinds) >= 4


def test_photographs_are_well_exposed(rooms):
    for room in rooms[:6]:
        rgb = render_room(room, room_cameras(room, 6, 32, 24)).rgb
        assert 70 < rgb.mean() < 200
        assert rgb.std() > 25
        assert (rgb == 255).all(-1).mean() < 0.1


def test_a_thing_between_lamp_and_floor_darkens_the_floor():
    from maskfield.data.synthetic.bvh import build_tree
    from maskfield.data.synthetic.lighting import shade
    from maskfield.data.synthetic.lights import pack_lights
    from maskfield.data.synthetic.primitives import Placed, assemble

    shape = Shape()
    shape.block((0, 0, -1), (6, 6, 1), PAINT)
    shape.block((0, 0, 0.8), (1, 1, 0.05), PAINT)
    prims = assemble([Placed("table", shape, (0, 0, 0), 0.0, 5, 1)])
    lamp = (np.array([0, 0, 2.0]), np.array([0.2, 0, 0]), np.array([0, 0.2, 0]))
    lights = pack_lights(
        [(*lamp, np.zeros(3), np.ones(3))],
        np.full((2, 3), 0.1),
        np.array([[-9.0, -9, -9], [9, 9, 9]]),
    )
    tree = build_tree(prims)
    under = shade(prims, tree, lights, 0, (0.1, 0.1, 0.0), 0.5, 0.5)[1]
    beside = shade(prims, tree, lights, 0, (1.6, 0.1, 0.0), 0.5, 0.5)[1]
    penumbra = np.mean(
        [
            shade(prims, tree, lights, 0, (0.8, 0.0, 0.0), a, b)[1]
            for a in np.linspace(0.05, 0.95, 10)
            for b in (0.25, 0.75)
        ]
    )
    assert under < 0.5 * beside
    assert under < penumbra  # soft: between full shadow and full light
    albedo = prims["colours"][0, 0, 1]
    assert under == pytest.approx(0.1 * albedo, rel=0.02)  # ambient light only


def test_lens_distortion_is_refused():
    room = make_room(0)
    cameras = room_cameras(room, 1, 8, 6)
    bent = Cameras(
        camera_to_world=cameras.camera_to_world,
        intrinsics=cameras.intrinsics,
        width=8,
        height=6,
        distortion=torch.zeros(1, 5),
    )
    with pytest.raises(SceneError, match="pinholes"):
        render_room(room, bent)


def test_a_solid_room_has_no_place_for_a_camera():
    shape = Shape()
    shape.block((0, 0, -3), (8, 8, 8), PAINT)
    with pytest.raises(DataError, match="no free place"):
        room_cameras(bare_room(shape), 1, 8, 6)
