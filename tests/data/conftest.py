"""A small truth to read back: a textured ball on a textured floor, seen from a ring of cameras."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.data.scene import Scene, with_split
from maskfield.geometry.camera_paths import look_at
from maskfield.geometry.cameras import Cameras, opengl_from_opencv
from maskfield.geometry.rays import Rays
from maskfield.geometry.se3 import inverse, quaternion_from_rotation

COUNT, WIDTH, HEIGHT, FOCAL = 9, 64, 48, 70.0


def _texture(points: torch.Tensor) -> torch.Tensor:
    waves = torch.stack([torch.sin(6 * points[:, i] + 2 * points[:, i - 1]) for i in range(3)], 1)
    return 0.5 + 0.25 * waves + 0.2 * torch.sin(11 * points[:, :1] * points[:, 1:2] + 3)


def _hit(rays: Rays) -> torch.Tensor:
    """Distance to the unit-radius 0.8 ball at the origin, else to the floor z = -0.8."""
    o, d = rays.origins, rays.directions
    b = (o * d).sum(-1)
    root = b * b - (o * o).sum(-1) + 0.64
    ball = torch.where(root > 0, -b - root.clamp_min(0).sqrt(), torch.inf)
    floor = torch.where(d[:, 2] < -1e-3, (-0.8 - o[:, 2]) / d[:, 2].clamp_max(-1e-3), torch.inf)
    return torch.minimum(ball, floor)


def render(cameras: Cameras) -> tuple[np.ndarray, np.ndarray]:
    """Images and depth along camera z (0 = nothing)."""
    images, depths = [], []
    for i in range(len(cameras)):
        rays = cameras.image_rays(i)
        t = _hit(rays)
        seen = torch.isfinite(t) & (t < 12)
        points = rays.origins + rays.directions * torch.where(seen, t, 0.0)[:, None]
        colour = torch.where(seen[:, None], _texture(points), torch.tensor([0.5, 0.6, 0.8]))
        along = (rays.directions * cameras.forward_axes[i]).sum(-1)
        shape = (cameras.height, cameras.width)
        images.append((colour.clamp(0, 1) * 255).round().byte().view(*shape, 3).numpy())
        depths.append(torch.where(seen, t * along, 0.0).view(shape).numpy())
    return np.stack(images), np.stack(depths)


@pytest.fixture(scope="session")
def ring() -> Scene:
    """Nine cameras around the ball, metric depth, Z-up."""
    angle = torch.arange(COUNT) / COUNT * 2 * torch.pi
    eyes = torch.stack([3 * angle.cos(), 3 * angle.sin(), 1.2 + 0.3 * (2 * angle).sin()], 1)
    cameras = Cameras(
        camera_to_world=look_at(eyes, torch.zeros(COUNT, 3)),
        intrinsics=torch.tensor([FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2]).repeat(COUNT, 1),
        width=WIDTH,
        height=HEIGHT,
    )
    images, depths = render(cameras)
    scene = Scene(
        cameras=cameras,
        images=images,
        names=tuple(f"view_{i:02d}.png" for i in range(COUNT)),
        box=torch.tensor([[-1.0, -1, -1], [1, 1, 1]]),
        split={},
        depths=depths,
        metric=True,
        up_known=True,
        unit_length_m=1.0,
    )
    return with_split(scene, 4).validated()


@pytest.fixture(scope="session")
def arc(ring: Scene) -> Scene:
    """Neighbours close enough for photo-consistency: 12 cameras on a third of a circle."""
    angle = torch.linspace(0, 2.0, 12)
    eyes = torch.stack([3 * angle.cos(), 3 * angle.sin(), torch.full_like(angle, 1.2)], 1)
    cameras = replace(
        ring.cameras,
        camera_to_world=look_at(eyes, torch.zeros(12, 3)),
        intrinsics=ring.cameras.intrinsics[:1].repeat(12, 1),
    )
    images, _ = render(cameras)
    names = tuple(str(i) for i in range(12))
    return with_split(replace(ring, cameras=cameras, images=images, names=names, depths=None), 8)


def save_images(scene: Scene, folder: Path, names: tuple[str, ...] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for image, name in zip(scene.images, names or scene.names, strict=True):
        Image.fromarray(image).save(folder / name)


def opengl_rows(scene: Scene) -> list[list[list[float]]]:
    bottom = torch.tensor([[[0.0, 0, 0, 1]]]).expand(len(scene), 1, 4)
    poses = torch.cat([scene.cameras.camera_to_world, bottom], dim=1)
    return opengl_from_opencv(poses).double().tolist()


@pytest.fixture
def ngp(ring: Scene, tmp_path: Path) -> Path:
    """The ring as an instant-ngp capture; returns the transforms.json."""
    save_images(ring, tmp_path / "images")
    head = {
        "fl_x": FOCAL,
        "fl_y": FOCAL,
        "cx": WIDTH / 2,
        "cy": HEIGHT / 2,
        "w": WIDTH,
        "h": HEIGHT,
        "aabb_scale": 4,
        "frames": [
            {"file_path": f"./images/{name}", "transform_matrix": pose}
            for name, pose in zip(ring.names, opengl_rows(ring), strict=True)
        ],
    }
    path = tmp_path / "transforms.json"
    path.write_text(json.dumps(head))
    return path


@pytest.fixture
def edit() -> Callable[[Path, Callable[[dict], None]], Path]:
    """Change a JSON file in place."""

    def change(path: Path, how: Callable[[dict], None]) -> Path:
        value = json.loads(path.read_text())
        how(value)
        path.write_text(json.dumps(value))
        return path

    return change


@pytest.fixture
def llff_folder(ring: Scene, tmp_path: Path) -> Path:
    """The ring in the LLFF layout, declared at twice the size; returns the folder."""
    save_images(ring, tmp_path / "images_2")
    pose = ring.cameras.camera_to_world.double().numpy()
    right, down, forward, centre = (pose[:, :, i] for i in range(4))
    hwf = np.tile([2.0 * HEIGHT, 2.0 * WIDTH, 2 * FOCAL], (COUNT, 1))
    rows = np.stack([down, right, -forward, centre, hwf], axis=2).reshape(COUNT, 15)
    bounds = np.tile([2.0, 6.0], (COUNT, 1))
    np.save(tmp_path / "poses_bounds.npy", np.concatenate([rows, bounds], axis=1))
    return tmp_path


@pytest.fixture
def rgbd_folder(ring: Scene, tmp_path: Path) -> Path:
    """The ring in the 7-Scenes layout; returns the folder."""
    np.savetxt(
        tmp_path / "camera-intrinsics.txt",
        [[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]],
    )
    for i in range(COUNT):
        stem = tmp_path / f"frame-{i:06d}"
        Image.fromarray(ring.images[i]).save(f"{stem}.color.png")
        depth = np.rint(ring.depths[i] * 1000).astype(np.uint16)  # type: ignore[index]
        depth[0, 0] = 65535
        Image.fromarray(depth).save(f"{stem}.depth.png")
        bottom = np.array([[0, 0, 0, 1.0]])
        np.savetxt(
            f"{stem}.pose.txt",
            np.concatenate([ring.cameras.camera_to_world[i].double().numpy(), bottom]),
        )
    return tmp_path


class ColmapProject:
    """A written COLMAP project and the points it was made from."""

    def __init__(self, folder: Path, points: torch.Tensor) -> None:
        self.folder, self.points = folder, points

    @property
    def model(self) -> Path:
        return self.folder / "sparse" / "0"


@pytest.fixture
def colmap_text(ring: Scene, tmp_path: Path, generator: torch.Generator) -> ColmapProject:
    """The ring as a COLMAP text model with 60 points on the ball."""
    save_images(ring, tmp_path / "images")
    project = ColmapProject(
        tmp_path,
        0.8 * torch.nn.functional.normalize(torch.randn(60, 3, generator=generator), dim=-1),
    )
    project.model.mkdir(parents=True)
    (project.model / "cameras.txt").write_text(
        "# Camera list\n"
        f"1 OPENCV {WIDTH} {HEIGHT} {FOCAL} {FOCAL} {WIDTH / 2} {HEIGHT / 2} 0.01 0 0 0\n"
    )
    lines = ["# Image list"]
    uv, _ = ring.cameras.project(project.points)
    for i, (q, t) in enumerate(_world_to_camera(ring)):
        pose = " ".join(repr(v) for v in [*q, *t])
        lines.append(f"{i + 1} {pose} 1 {ring.names[i]}")
        lines.append(" ".join(f"{u} {v} {j + 1}" for j, (u, v) in enumerate(uv[i].tolist())))
    (project.model / "images.txt").write_text("\n".join(lines) + "\n")
    rows = [
        f"{j + 1} {x} {y} {z} 10 20 30 0.5 " + " ".join(f"{i + 1} {j}" for i in range(COUNT))
        for j, (x, y, z) in enumerate(project.points.tolist())
    ]
    (project.model / "points3D.txt").write_text("\n".join(["# Points", *rows]) + "\n")
    return project


@pytest.fixture
def colmap_binary(ring: Scene, tmp_path: Path, generator: torch.Generator) -> ColmapProject:
    """The ring as a COLMAP binary model, one PINHOLE camera."""
    save_images(ring, tmp_path / "images")
    project = ColmapProject(
        tmp_path,
        0.8 * torch.nn.functional.normalize(torch.randn(60, 3, generator=generator), dim=-1),
    )
    project.model.mkdir(parents=True)
    k = (FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2)
    data = struct.pack("<QiiQQ4d", 1, 1, 1, WIDTH, HEIGHT, *k)
    (project.model / "cameras.bin").write_bytes(data)
    uv, _ = ring.cameras.project(project.points)
    data = struct.pack("<Q", COUNT)
    for i, (q, t) in enumerate(_world_to_camera(ring)):
        data += struct.pack("<i7di", i + 1, *q, *t, 1) + ring.names[i].encode() + b"\0"
        data += struct.pack("<Q", len(project.points))
        for j, (u, v) in enumerate(uv[i].tolist()):
            data += struct.pack("<ddq", u, v, j + 1)
    (project.model / "images.bin").write_bytes(data)
    data = struct.pack("<Q", len(project.points))
    for j, xyz in enumerate(project.points.tolist()):
        data += struct.pack("<Q3d3BdQ", j + 1, *xyz, 10, 20, 30, 0.5, COUNT)
        data += b"".join(struct.pack("<ii", i + 1, j) for i in range(COUNT))
    (project.model / "points3D.bin").write_bytes(data)
    return project


def _world_to_camera(scene: Scene) -> list[tuple[list[float], list[float]]]:
    motion = inverse(scene.cameras.camera_to_world.double())
    q = quaternion_from_rotation(motion[:, :, :3])
    return [(a.tolist(), b.tolist()) for a, b in zip(q, motion[:, :, 3], strict=True)]
