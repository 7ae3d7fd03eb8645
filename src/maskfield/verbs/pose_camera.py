"""What a search for a camera is given: intrinsics, a start pose, poses spread all over."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfield.core.errors import SceneError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from maskfield.core.files import StrPath
    from maskfield.geometry.cameras import Cameras
    from maskfield.verbs.field_views import GivenField

_KEYS = ("fx", "fy", "cx", "cy")
_SIZE = ("w", "h")
_LENS = ("k1", "k2", "p1", "p2", "k3")
_FORMS = "four numbers fx,fy,cx,cy in pixels, or a JSON file with fx, fy, cx, cy (and w, h, k1 ...)"
_ASPECT = 0.01
_SPREAD = 0.3  # of start poses around the scene's cameras, in units of their own spread


def camera_for(given: StrPath | None, field: GivenField, photo: Path) -> Cameras | None:
    """The lens of a photograph: the one given, else that of the scene's cameras.

    A scene's intrinsics are scaled to the photograph's size where the aspect is the same.

    Returns:
        Cameras of length 1, or None: nothing is known.

    Raises:
        SceneError: intrinsics that cannot be read.
    """
    from maskfield.data.photo import read_photo

    height, width = read_photo(photo)[0].shape[:2]
    if given is not None:
        return _given(given, width, height)
    if field.scene is None:
        return None
    camera = field.scene.cameras[0]
    same = abs(width * camera.height / (height * camera.width) - 1) < _ASPECT
    return camera.resized(width, height) if same else camera


def read_start(path: StrPath) -> Tensor:
    """[3, 4] camera-to-world, OpenCV axes: what `pose` wrote, or a plain 3 x 4 or 4 x 4 matrix.

    Raises:
        SceneError: anything else. DataError: the file cannot be read.
    """
    import torch

    from maskfield.core.files import read_json
    from maskfield.geometry.cameras import check_poses

    value: Any = read_json(path)
    rows = value.get("camera_to_world") if isinstance(value, dict) else value
    try:
        pose = torch.tensor(rows, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:  # the last one: null
        raise _no_pose(path, repr(error)) from error
    if pose.shape not in ((3, 4), (4, 4)):
        raise _no_pose(path, f"shape {tuple(pose.shape)}")
    check_poses(pose[None, :3], file=str(path))
    return pose[:3].contiguous()


def spread_starts(given: GivenField, count: int, generator: Generator) -> Tensor:
    """Poses all over where the camera may be: around the scene's, or around an object.

    Raises:
        SceneError: nothing says where that is.
    """
    import torch

    from maskfield.fields.nerf import NeRFField
    from maskfield.methods.inerf.search import starts_around, starts_on_sphere
    from maskfield.verbs.conditioned_views import starts_about

    if given.scene is not None and given.guessed:
        return starts_about(given.scene, count, generator)
    if given.scene is not None:
        return starts_around(given.scene.cameras, count, _SPREAD, generator)
    field = given.view.field
    if isinstance(field, NeRFField) and field.planar:
        radius = (field.viewing.near + field.viewing.far) / 2
        return starts_on_sphere(torch.zeros(3), radius, count, generator)
    raise SceneError(
        "nothing says where the camera may have been",
        field="search",
        value=count,
        remedy="give the scene the field was fitted to (--scene), or a start pose (--init)",
    )


def _given(given: StrPath, width: int, height: int) -> Cameras:
    """Numbers on the command line, or a JSON file."""
    from maskfield.core.files import read_json

    words = str(given).split(",")
    if len(words) == 4 and not Path(given).exists():
        try:
            values: dict[str, Any] = dict(zip(_KEYS, map(float, words), strict=True))
        except ValueError as error:
            raise _no_lens(None, given) from error
        return _camera(values, width, height)
    value: Any = read_json(given)
    named = _renamed(value) if isinstance(value, dict) else {}
    wrong = [k for k in (*_SIZE, *_LENS) if k in named and not _is_number(named[k])]
    if wrong or not all(_is_number(named.get(k)) for k in _KEYS):
        raise _no_lens(given, {k: named[k] for k in wrong} or sorted(named))
    size = int(named.get("w", width)), int(named.get("h", height))
    return _camera(named, *size)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _renamed(value: dict[str, Any]) -> dict[str, Any]:
    """instant-ngp says fl_x, fl_y."""
    names = {"fl_x": "fx", "fl_y": "fy", "width": "w", "height": "h"}
    return {names.get(k, k): v for k, v in value.items()}


def _camera(values: Mapping[str, Any], width: int, height: int) -> Cameras:
    import torch

    from maskfield.geometry.cameras import Cameras

    lens = [float(values.get(k, 0.0)) for k in _LENS]
    return Cameras(
        camera_to_world=torch.eye(4)[None, :3],
        intrinsics=torch.tensor([[float(values[k]) for k in _KEYS]]),
        width=width,
        height=height,
        distortion=torch.tensor([lens]) if any(lens) else None,
    )


def _no_lens(file: StrPath | None, value: object) -> SceneError:
    return SceneError(
        "these are no intrinsics", file=file, field="camera", value=value, remedy=f"give {_FORMS}"
    )


def _no_pose(path: StrPath, problem: str) -> SceneError:
    return SceneError(
        f"this is no start pose: {problem}",
        file=path,
        field="init",
        remedy="give what `maskfield pose` wrote, or a 3 x 4 camera-to-world matrix (OpenCV axes) "
        "as a JSON list",
    )
