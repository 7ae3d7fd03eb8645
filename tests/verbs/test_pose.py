"""``pose``: a small coloured body on voxels, photographs of it, and what may be wrong with them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from maskfield import api
from maskfield.core.errors import CheckpointError, ConfigError, DataError, SceneError
from maskfield.data.pose_estimate import PoseEstimate, load_pose, save_pose
from maskfield.data.scene import Scene, save_scene
from maskfield.engine.checkpoint import save_weights
from maskfield.fields.nerf import NeRFField, save_nerf
from maskfield.fields.nerf_config import NeRFConfig, NeRFNetworkConfig, NeRFViewing
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.camera_paths import look_at, pinholes, turn_table
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.se3 import compose, exp
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.view import FieldView, field_view
from maskfield.metrics.pose import rotation_error, translation_error
from maskfield.verbs import field_views
from maskfield.verbs.field_views import open_field, scene_needed
from maskfield.verbs.pose_camera import camera_for, read_start
from methods.inerf.scenes import make_blob

SIDE, DEGREES = 48, 40.0
FOCAL = SIDE / 2 / math.tan(math.radians(DEGREES / 2))
LENS = f"{FOCAL},{FOCAL},{SIDE / 2},{SIDE / 2}"
POSE = look_at(torch.tensor([[3.0, 1.0, 1.5]]), torch.zeros(1, 3))[0]
START = compose(exp(torch.tensor([0.1, 0.0, -0.1, 0.0, 0.1, 0.25])), POSE)


def picture(view: FieldView, camera: Cameras) -> np.ndarray:
    blank = Observation(image=torch.zeros(camera.height, camera.width, 3), camera=camera)
    image = view.image(blank, camera.camera_to_world[0]).clamp(0, 1)
    return (image * 255).round().byte().numpy()


@pytest.fixture(scope="module")
def body() -> VoxelField:
    return make_blob(24)


@pytest.fixture(scope="module")
def field(body, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("field") / "body.safetensors"
    header = {"conventions": {"kind": "VoxelField", **body.header()}}
    save_weights(path, body.state_dict(), header)
    return path


@pytest.fixture(scope="module")
def photo(body, tmp_path_factory) -> Path:
    image = picture(field_view(body), pinholes(POSE[None], SIDE, SIDE, DEGREES))
    path = tmp_path_factory.mktemp("photo") / "toy.png"
    Image.fromarray(image).save(path)
    return path


@pytest.fixture(scope="module")
def scene(body, tmp_path_factory) -> Path:
    """What the field might have been fitted to; the photograph is none of its views."""
    lens = pinholes(POSE[None], 2 * SIDE, 2 * SIDE, DEGREES)
    cameras = turn_table(lens, 8, radius=3.5, elevation_degrees=25.0)
    shown = Scene(
        cameras=cameras,
        images=np.stack([picture(field_view(body), cameras[i]) for i in range(8)]),
        names=tuple(map(str, range(8))),
        box=body.box,
        split={"train": tuple(range(8))},
    )
    return save_scene(shown, tmp_path_factory.mktemp("scene") / "toy")


@pytest.fixture
def start(tmp_path) -> Path:
    path = tmp_path / "start.json"
    path.write_text(json.dumps(START.tolist()))
    return path


@pytest.fixture
def ask(field, photo, start, tmp_path) -> Callable[..., PoseEstimate]:
    """The pose found with a lens and a start unless told otherwise, without a film."""

    def call(**changes: object) -> PoseEstimate:
        given = {"camera": LENS, "init": start, "film": False, "out": tmp_path / "out", **changes}
        here = given.pop("photo", photo)
        return api.pose(given.pop("field", field), here, **given).estimates[0]  # type: ignore

    return call


def near(found: Tensor, true: Tensor = POSE, degrees: float = 0.5, units: float = 0.03) -> bool:
    right = float(rotation_error(found, true)) < degrees
    return right and float(translation_error(found, true)) < units


# ------------------------------------------------------------------ what comes out


def test_a_start_is_followed_to_the_camera_and_everything_is_written(field, photo, start, tmp_path):
    out = tmp_path / "answer"
    answer = api.pose(field, photo, camera=LENS, init=start, out=out)
    assert answer.folder == out
    assert list(answer.photos) == [photo]
    (found,) = answer.estimates
    assert found.verdict == "converged"
    assert near(found.camera_to_world)
    assert not near(START)
    again = load_pose(out / "pose.json")
    torch.testing.assert_close(again.camera_to_world, found.camera_to_world)
    assert again.trace is not None
    assert near(again.trace.poses[0], START, 0.1, 0.01)
    assert np.asarray(Image.open(out / "pose.png")).std() > 5
    (film,) = out.glob("search.*")
    assert film.stat().st_size > 1000
    html = (out / "report.html").read_text()
    assert "converged" in html
    assert html.count("data:image/") == 2


def test_what_was_found_is_a_start(ask, tmp_path):
    first = ask(by="adam", steps=3, pixels=64)
    again = ask(init=tmp_path / "out" / "pose.json", out=tmp_path / "again")
    assert again.trace is not None
    torch.testing.assert_close(again.trace.poses[0], first.camera_to_world, atol=1e-5, rtol=0)
    assert near(again.camera_to_world)


def test_gradients_find_it_as_well(ask):
    found = ask(by="adam", steps=60, pixels=256, sampling="random")
    assert found.trace is not None
    assert len(found.trace) == 60
    assert float(translation_error(found.camera_to_world, POSE)) < 0.15


def test_a_search_without_a_start(ask, scene):
    found = ask(init=None, search=60, scene=scene, camera=None)
    assert found.verdict == "converged"
    assert near(found.camera_to_world)


def test_frames_of_a_video_are_followed(field, body, start, tmp_path):
    step = exp(torch.tensor([0.02, 0.0, 0.01, 0.0, 0.0, 0.06]))
    poses = [POSE, compose(step, POSE), compose(step, compose(step, POSE))]
    (tmp_path / "frames").mkdir()
    for i, pose in enumerate(poses):
        image = picture(field_view(body), pinholes(pose[None], SIDE, SIDE, DEGREES))
        Image.fromarray(image).save(tmp_path / "frames" / f"{i}.png")
    given = {"camera": LENS, "init": start, "out": tmp_path / "out"}
    answer = api.pose(field, tmp_path / "frames", track=True, **given)
    assert [p.name for p in answer.photos] == ["0.png", "1.png", "2.png"]
    for found, true in zip(answer.estimates, poses, strict=True):
        assert near(found.camera_to_world, true)
    rows = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert list(rows) == ["0.png", "1.png", "2.png"]
    last = PoseEstimate.from_json(rows["2.png"])
    torch.testing.assert_close(last.camera_to_world, answer.estimates[2].camera_to_world)
    assert [p.stem for p in (tmp_path / "out").glob("track.*")] == ["track"]


def test_a_mask_takes_away_what_the_field_does_not_know(ask, photo, tmp_path):
    image = np.asarray(Image.open(photo)).copy()
    image[:, :14] = (255, 0, 255)
    Image.fromarray(image).save(tmp_path / "crossed.png")
    mask = np.full((SIDE, SIDE), 255, np.uint8)
    mask[:, :14] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    masked = ask(photo=tmp_path / "crossed.png", mask=tmp_path / "mask.png")
    assert masked.verdict == "converged"
    assert near(masked.camera_to_world)


def test_a_photograph_without_texture_is_ambiguous(ask, tmp_path):
    Image.new("RGB", (SIDE, SIDE), (128, 128, 128)).save(tmp_path / "wall.png")
    found = ask(photo=tmp_path / "wall.png")
    assert found.verdict == "ambiguous"
    assert "texture" in found.reason


def test_another_thing_is_not_found(ask, tmp_path):
    board = (255 * (np.indices((SIDE, SIDE)).sum(0) // 6 % 2)).astype(np.uint8)
    Image.fromarray(board).convert("RGB").save(tmp_path / "board.png")
    found = ask(photo=tmp_path / "board.png", by="adam", steps=20, pixels=64)
    assert found.verdict == "failed"


# ------------------------------------------------------------------ lenses


@pytest.mark.parametrize(
    "value",
    [
        {"fx": FOCAL, "fy": FOCAL, "cx": SIDE / 2, "cy": SIDE / 2},
        {"fl_x": FOCAL, "fl_y": FOCAL, "cx": SIDE / 2, "cy": SIDE / 2, "w": SIDE, "h": SIDE},
        {"fx": FOCAL, "fy": FOCAL, "cx": 24, "cy": 24, "width": 48, "height": 48, "k1": 0.1},
    ],
)
def test_a_lens_from_a_file(value, field, photo, tmp_path):
    (tmp_path / "lens.json").write_text(json.dumps(value))
    camera = camera_for(tmp_path / "lens.json", open_field(field), photo)
    assert camera is not None
    expected = torch.tensor([[FOCAL, FOCAL, SIDE / 2, SIDE / 2]])
    torch.testing.assert_close(camera.intrinsics, expected)
    assert (camera.width, camera.height) == (SIDE, SIDE)
    assert (camera.distortion is not None) == ("k1" in value)


def test_a_lens_from_the_scene_is_scaled_to_the_photograph(field, photo, scene, tmp_path):
    given = open_field(field, scene=scene)
    camera = camera_for(None, given, photo)
    assert camera is not None
    torch.testing.assert_close(camera.intrinsics[0, 0], torch.tensor(FOCAL))
    with pytest.raises(SceneError, match="scene of this field is not known"):
        scene_needed(open_field(field), "it is asked for")
    Image.new("RGB", (SIDE, 30)).save(tmp_path / "wide.png")
    wide = camera_for(None, given, tmp_path / "wide.png")
    assert wide is not None
    assert wide.width == 2 * SIDE, "left as it is: the photograph will be refused"
    assert scene_needed(given, "why").names == tuple(map(str, range(8)))


@pytest.mark.parametrize(
    "value",
    [
        "1,2,3,x",
        {"fx": 1.0},
        {"fx": "a", "fy": 1, "cx": 1, "cy": 1},
        {"fx": 1, "fy": 1, "cx": 1, "cy": True},
        {"fx": 1, "fy": 1, "cx": 1, "cy": 1, "k1": "barrel"},
        {"fx": 1, "fy": 1, "cx": 1, "cy": 1, "w": None},
        [1, 2, 3, 4],
    ],
)
def test_what_is_no_lens(value, ask, tmp_path):
    (tmp_path / "lens.json").write_text(json.dumps(value))
    given = value if isinstance(value, str) else tmp_path / "lens.json"
    with pytest.raises(SceneError, match="no intrinsics") as caught:
        ask(camera=given)
    assert "fx" in caught.value.remedy


def test_lenses_that_cannot_be(ask, tmp_path):
    with pytest.raises(SceneError, match="positive focal length"):
        ask(camera="-1,1,2,2")
    with pytest.raises(SceneError, match="positive focal length"):
        ask(camera="nan,1,2,2")
    with pytest.raises(DataError, match=r"gone\.json"):
        ask(camera=tmp_path / "gone.json")


def test_a_missing_lens(ask):
    with pytest.raises(SceneError, match="intrinsics are missing") as caught:
        ask(camera=None)
    assert "--camera" in caught.value.remedy


# ------------------------------------------------------------------ photographs


def test_a_photograph_of_another_size_or_aspect(ask, scene, tmp_path):
    lens = {"fx": FOCAL, "fy": FOCAL, "cx": 48, "cy": 48, "w": 96, "h": 96}
    (tmp_path / "lens.json").write_text(json.dumps(lens))
    with pytest.raises(SceneError, match="another size") as caught:
        ask(camera=tmp_path / "lens.json")
    assert "(96, 96)" in str(caught.value)
    Image.new("RGB", (SIDE, 30)).save(tmp_path / "wide.png")
    with pytest.raises(SceneError, match="aspect ratio") as caught:
        ask(photo=tmp_path / "wide.png", camera=None, scene=scene)
    assert "wide.png" in str(caught.value)


def test_a_photograph_that_lies_on_its_side_is_turned(ask, photo, tmp_path):
    """Phones store the sensor's rows and say in EXIF how to turn them."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown after a quarter turn clockwise
    with Image.open(photo) as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "phone.png", exif=exif)
    assert near(ask(photo=tmp_path / "phone.png").camera_to_world)


@pytest.mark.parametrize(("mode", "error"), [("I;16", DataError), ("L", SceneError)])
def test_grey_and_16_bit_photographs(mode, error, ask, tmp_path):
    kind = np.uint16 if mode == "I;16" else np.uint8
    Image.fromarray(np.full((SIDE, SIDE), 90, kind)).save(tmp_path / "odd.png")
    with pytest.raises(error, match=r"odd\.png") as caught:
        ask(photo=tmp_path / "odd.png")
    assert "8-bit RGB" in caught.value.remedy


def test_what_is_no_photograph(ask, photo, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"text\.png"):
        ask(photo=tmp_path / "text.png")
    with pytest.raises(SceneError, match="no photograph there"):
        ask(photo=tmp_path / "gone.png")
    with pytest.raises(SceneError, match="folder of photographs") as caught:
        ask(photo=photo.parent)
    assert "--track" in caught.value.remedy
    with pytest.raises(SceneError, match="--track"):
        ask(photo=photo, track=True)


def test_masks_that_do_not_fit(ask, tmp_path):
    Image.new("L", (9, 9), 255).save(tmp_path / "small.png")
    with pytest.raises(DataError, match="another size"):
        ask(mask=tmp_path / "small.png")
    Image.new("L", (SIDE, SIDE), 0).save(tmp_path / "black.png")
    with pytest.raises(DataError, match="marks nothing"):
        ask(mask=tmp_path / "black.png")


# ------------------------------------------------------------------ starts


@pytest.mark.parametrize(
    "value",
    [{}, [1, 2, 3], "pose", [[1, 0, 0, 0], [0, 1, 0], [0, 0, 1, 0]], {"camera_to_world": "x"}],
)
def test_what_is_no_start(value, ask, tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps(value))
    with pytest.raises(SceneError, match="no start pose") as caught:
        ask(init=tmp_path / "bad.json")
    assert "bad.json" in str(caught.value)
    assert "maskfield pose" in caught.value.remedy


def test_starts_that_are_not_rigid_or_cannot_be_read(ask, tmp_path):
    (tmp_path / "skew.json").write_text(json.dumps((2 * START).tolist()))
    with pytest.raises(SceneError, match=r"skew\.json"):
        ask(init=tmp_path / "skew.json")
    (tmp_path / "torn.json").write_text("[[1, 0")
    with pytest.raises(DataError, match=r"torn\.json"):
        ask(init=tmp_path / "torn.json")


def test_a_start_as_four_rows(tmp_path):
    rows = [*START.tolist(), [0.0, 0.0, 0.0, 1.0]]
    (tmp_path / "four.json").write_text(json.dumps({"camera_to_world": rows}))
    torch.testing.assert_close(read_start(tmp_path / "four.json"), START)
    save_pose(PoseEstimate(camera_to_world=START, verdict="failed", loss=1.0), tmp_path / "p.json")
    torch.testing.assert_close(read_start(tmp_path / "p.json"), START)


@pytest.mark.parametrize("by", ["lm", "adam"])
def test_a_start_that_sees_nothing_of_the_scene(by, ask, tmp_path):
    away = look_at(torch.tensor([[3.0, 1.0, 1.5]]), torch.tensor([[6.0, 2.0, 3.0]]))[0]
    (tmp_path / "away.json").write_text(json.dumps(away.tolist()))
    with pytest.raises(SceneError, match="no start pose sees anything"):
        ask(init=tmp_path / "away.json", by=by)


def test_a_start_and_a_search_exclude_each_other(ask):
    with pytest.raises(ConfigError, match="exclude"):
        ask(search=20)
    with pytest.raises(ConfigError, match="particles"):
        ask(init=None, search=0)


def test_a_search_needs_to_know_where(ask):
    with pytest.raises(SceneError, match="nothing says where") as caught:
        ask(init=None, search=20)
    assert "--scene" in caught.value.remedy


# ------------------------------------------------------------------ fields


@pytest.fixture
def nerf(tmp_path) -> Path:
    """An untrained NeRF of an object."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = NeRFNetworkConfig(depth=2, width=16, skips=(), view_width=8)
        viewing = NeRFViewing(near=2.0, far=5.0, coarse_samples=8, fine_samples=0)
        field = NeRFField(NeRFConfig(coarse=network, fine=None, viewing=viewing))
        torch.nn.init.constant_(field.coarse.network.density.bias, 3.0)
    save_nerf(field, tmp_path / "nerf.safetensors")
    return tmp_path / "nerf.safetensors"


def test_a_nerf_is_searched_in_a_bake_first(nerf, monkeypatch, ask):
    made: Iterator[int] = iter((16, 16))
    baked = field_views.baked_view
    monkeypatch.setattr(field_views, "baked_view", lambda field: baked(field, next(made)))
    given = open_field(nerf)
    assert isinstance(given.view.field, NeRFField)
    assert given.rough is not None
    assert isinstance(given.rough.field, VoxelField)
    assert open_field(nerf, bake=False).rough is None
    found = ask(field=nerf, steps=2, pixels=32)
    assert found.trace is not None
    assert len(found.trace) > 2, "the bake's steps come first"
    assert next(made, None) is None


def test_planes_of_a_nerf(nerf):
    given = open_field(nerf, near=1.0, far=7.0, bake=False)
    assert (given.view.near, given.view.far) == (1.0, 7.0)
    with pytest.raises((SceneError, ConfigError), match="far"):
        open_field(nerf, near=8.0, bake=False)


def test_nothing_is_baked_for_what_will_be_refused(nerf, monkeypatch, ask):
    def never(field: NeRFField) -> FieldView:
        raise AssertionError("baked before the photograph was looked at")

    monkeypatch.setattr(field_views, "baked_view", never)
    with pytest.raises(SceneError, match="intrinsics are missing"):
        ask(field=nerf, camera=None)


def test_what_is_no_field(ask, tmp_path):
    with pytest.raises(CheckpointError):
        ask(field=tmp_path / "gone")
    save_weights(tmp_path / "w.safetensors", {"x": torch.zeros(1)}, {"conventions": {"kind": "X"}})
    with pytest.raises(CheckpointError, match="not a field"):
        ask(field=tmp_path / "w.safetensors")
