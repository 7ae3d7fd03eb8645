"""Scene folders, the transforms.json round trip, the check, and the configs."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import ConfigError, MaskfieldError, SceneError, StorageError
from maskfield.data.check import check_scene
from maskfield.data.config import GridDataConfig, SceneDataConfig
from maskfield.data.readers.detect import read_any
from maskfield.data.readers.transforms_json import read
from maskfield.data.scene import Scene, load_scene, save_scene, with_split
from maskfield.data.synthetic.rooms import room_scene
from maskfield.data.writers import write_transforms_json
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.cameras import opencv_from_opengl
from maskfield.geometry.se3 import inverse, move_poses, rotation_exp, similarity


def assert_equal(a: Scene, b: Scene, depth_step: float = 0.0) -> None:
    torch.testing.assert_close(a.cameras.camera_to_world, b.cameras.camera_to_world)
    torch.testing.assert_close(a.cameras.intrinsics, b.cameras.intrinsics)
    assert np.array_equal(a.images, b.images)
    assert a.depths is not None
    assert b.depths is not None
    assert np.abs(a.depths - b.depths).max() <= depth_step
    for name in ("names", "near", "far", "metric", "up_known", "unit_length_m", "unbounded"):
        assert getattr(a, name) == getattr(b, name)
    assert a.split == b.split
    torch.testing.assert_close(a.box, b.box)
    torch.testing.assert_close(a.world_from_source, b.world_from_source)


def test_scene_folder_round_trip(ring: Scene, tmp_path: Path) -> None:
    folder = save_scene(ring, tmp_path / "s")
    assert_equal(load_scene(folder), ring)
    assert_equal(read_any(folder), ring)
    assert isinstance(load_scene(folder / "scene.json").images, np.memmap)


def test_a_full_disk_leaves_the_old_scene(
    ring: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_scene(ring, tmp_path / "s")
    other = replace(ring, images=255 - np.asarray(ring.images), masks=ring.images[..., 0] * 0 + 1)
    save, calls = np.save, []

    def full(stream, array, **options):
        calls.append(array.shape)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(stream, array, **options)

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match="No space left"):
        save_scene(other, folder)
    assert_equal(load_scene(folder), ring)
    assert "masks.npy" not in {p.name for p in folder.iterdir()}
    assert not [p for p in folder.iterdir() if ".tmp-" in p.name]


def test_transforms_json_round_trip(ring: Scene, tmp_path: Path) -> None:
    turned = similarity(2.0, rotation_exp(torch.tensor([0.1, 0.2, 0.3])), torch.ones(3))
    masks = np.ones(ring.images.shape[:3], np.uint8)
    masks[:, :7] = 0
    distortion = torch.tensor([0.02, -0.01, 1e-3, 1e-3, 0.0]).repeat(9, 1)
    scene = replace(
        ring,
        cameras=replace(ring.cameras, distortion=distortion),
        masks=masks,
        opacity=masks * np.uint8(255),
        world_from_source=turned,
        near=0.5,
        far=9.0,
    )
    back = read(write_transforms_json(scene, tmp_path))
    assert_equal(back, scene, depth_step=0.00051)
    assert back.masks is not None
    assert back.opacity is not None
    assert np.array_equal(back.masks, masks)
    assert np.array_equal(back.opacity, masks * np.uint8(255))
    torch.testing.assert_close(back.cameras.distortion, distortion)


def test_written_files_suit_programs_that_ignore_our_key(ring: Scene, tmp_path: Path) -> None:
    """Without the key, the box comes from instant-ngp's scale and offset."""
    path = write_transforms_json(ring, tmp_path)
    head = json.loads(path.read_text())
    del head["maskfield"]
    path.write_text(json.dumps(head))
    back = read(path)
    torch.testing.assert_close(back.cameras.camera_to_world, ring.cameras.camera_to_world)
    torch.testing.assert_close(back.box, ring.box, atol=1e-5, rtol=0)


def test_incomplete_scene_folders(ring: Scene, tmp_path: Path) -> None:
    folder = save_scene(ring, tmp_path)
    (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:5000])
    with pytest.raises(SceneError, match="cannot open an array"):
        load_scene(folder)
    header = json.loads((folder / "scene.json").read_text())
    del header["arrays"], header["box"]
    (folder / "scene.json").write_text(json.dumps(header))
    with pytest.raises(SceneError, match="damaged"):
        load_scene(folder)
    (folder / "scene.json").unlink()
    with pytest.raises(MaskfieldError):
        load_scene(folder)


BROKEN: dict[str, Callable[[Scene], Scene]] = {
    "no cameras": lambda s: replace(s, cameras=s.cameras[:0], images=s.images[:0]),
    "wrong shape": lambda s: replace(s, images=s.images[:, :-1]),
    "NaN": lambda s: replace(
        s, cameras=replace(s.cameras, camera_to_world=s.cameras.camera_to_world * math.nan)
    ),
    "box is empty": lambda s: replace(s, box=s.box.flip(0)),
    "do not exist": lambda s: replace(s, split={"train": (0, 99)}),
    "finite distance": lambda s: replace(s, near=math.inf),
    "positive focal": lambda s: replace(
        s, cameras=replace(s.cameras, intrinsics=-s.cameras.intrinsics)
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_invalid_scenes_are_refused(ring: Scene, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        BROKEN[message](ring).validated("somewhere")


def test_boxes_far_outside_are_refused(ring: Scene) -> None:
    boxes = Boxes3D(
        centre=torch.stack([ring.box.mean(0), ring.box[1] + 9 * (ring.box[1] - ring.box[0])]),
        size=torch.ones(2, 3),
        yaw=torch.zeros(2),
        label=torch.zeros(2, dtype=torch.long),
    )
    with pytest.raises(SceneError, match="far outside") as caught:
        replace(ring, boxes=boxes).validated("a")
    assert caught.value.field == "boxes, row 1: centre"


def test_split_and_missing_split(ring: Scene) -> None:
    assert with_split(ring, 0).split["test"] == ()
    with pytest.raises(SceneError, match="no images in split 'val'"):
        ring.indices("val")


# ---------------------------------------------------------------- check_scene


def _posed(scene: Scene, poses: torch.Tensor) -> Scene:
    return replace(scene, cameras=replace(scene.cameras, camera_to_world=poses))


def _pose(how: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Scene], Scene]:
    return lambda s: _posed(s, how(s.cameras.camera_to_world))


def _y_up(poses: torch.Tensor) -> torch.Tensor:
    turn = rotation_exp(torch.tensor([-math.pi / 2, 0.0, 0.0]))
    return move_poses(similarity(1.0, turn, torch.zeros(3)), poses)


def _moved(poses: torch.Tensor, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    offset = torch.tensor([0.0, 0.0, shift])
    return torch.cat([poses[:, :, :3], poses[:, :, 3:] * scale + offset[:, None]], dim=-1)


def _intrinsics(scene: Scene, factor: float) -> Scene:
    return replace(
        scene, cameras=replace(scene.cameras, intrinsics=scene.cameras.intrinsics * factor)
    )


CONVENTIONS: dict[str, tuple[Callable[[Scene], Scene], str]] = {
    "OpenGL axes": (_pose(opencv_from_opengl), "axes_opengl"),
    "world-to-camera": (_pose(inverse), "inverted_poses"),
    "Y-up world": (_pose(_y_up), "up_axis"),
    "millimetres": (_pose(lambda p: _moved(p, scale=1000)), "scale"),
    "shifted": (_pose(lambda p: _moved(p, shift=8.0)), "box_missed"),
    "full-size intrinsics": (lambda s: _intrinsics(s, 4.0), "intrinsics"),
    "one place": (_pose(lambda p: _moved(p, scale=0.0)), "one_place"),
}


@pytest.mark.parametrize("photos", [False, True])
@pytest.mark.parametrize("case", CONVENTIONS)
def test_broken_conventions_are_named(ring: Scene, arc: Scene, case: str, photos: bool) -> None:
    """The ring has no close neighbours: geometry alone must tell. The arc has photographs."""
    how, code = CONVENTIONS[case]
    report = check_scene(how(arc if photos else ring), photos=photos)
    assert report.findings
    assert report.findings[0].code == code
    assert any(code in line for line in report.lines())


def test_a_right_scene_passes(ring: Scene, arc: Scene) -> None:
    for scene in (ring, arc):
        report = check_scene(scene)
        assert report.good, report.lines()
        assert min(report.hit_fraction) > 0.2
        assert report.up_angle < 25  # a one-sided arc looks down by 22 degrees
        assert np.linalg.norm(report.focus) < 0.1


def test_photographs_tell_right_poses_from_wrong(arc: Scene) -> None:
    right = check_scene(arc).photo
    wrong = check_scene(_posed(arc, opencv_from_opengl(arc.cameras.camera_to_world))).photo
    assert right is not None
    assert wrong is not None
    assert right > 0.75 > 0.6 > wrong


@pytest.mark.parametrize(
    ("convert", "code"), [(opencv_from_opengl, "axes_opengl"), (inverse, "inverted_poses")]
)
def test_wrong_poses_inside_a_room_are_named(convert: Callable, code: str) -> None:
    """Cameras that stand in the scene look all ways: pairs must share a view to be compared."""
    room = room_scene(0, views=30, width=96, height=72)
    assert check_scene(room).good
    wrong = replace(room.cameras, camera_to_world=convert(room.cameras.camera_to_world))
    assert [f.code for f in check_scene(replace(room, cameras=wrong)).findings] == [code]


def test_flat_images_say_nothing(arc: Scene) -> None:
    assert check_scene(replace(arc, images=np.zeros_like(arc.images))).photo is None


# ---------------------------------------------------------------- configs


def test_configs_build_and_refuse(ngp: Path) -> None:
    scene = SceneDataConfig(path=str(ngp), holdout=3, downscale=2).build()
    assert scene.images.shape == (9, 24, 32, 3)
    assert GridDataConfig().synthetic == "rooms-v1"
    assert GridDataConfig(path="grids").synthetic is None
    assert SceneDataConfig(path="synthetic:rooms-v1:7").seed == 7
    for bad in ({"batch_size": 0}, {"flip_prob": 1.5}, {"percent_train": 0.0}, {"holdout": 1}):
        with pytest.raises(ConfigError):
            GridDataConfig(**bad)
    with pytest.raises(ConfigError, match="SEED"):
        _ = SceneDataConfig(path="synthetic:rooms-v1:x").seed
