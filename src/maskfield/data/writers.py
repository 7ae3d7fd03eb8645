"""Scenes and grids in other programs' formats: transforms.json and NeRF-RPN ``.npz``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from maskfield.core.errors import GridError
from maskfield.core.files import StrPath, atomic_path, write_json
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.readers.nerf_rpn import SPLIT_KEYS
from maskfield.data.readers.transforms_json import EXTRA
from maskfield.data.scene import Scene
from maskfield.geometry.cameras import opengl_from_opencv

_NGP_SCALE, _NGP_OFFSET = 0.33, 0.5
_MAX_DEPTH_CODE = 65534  # 65535 means "no value" to some readers
_Y_UP = (1, 2, 0)  # instant-ngp's axes x, y, z = Z-up axes y, z, x
_EMPTY_LOG_DENSITY = -20.0  # raw value of exp-activated density that stands for empty


def write_transforms_json(scene: Scene, folder: StrPath) -> Path:
    """Write a scene as images and a transforms.json that instant-ngp and nerfstudio read.

    Images are PNG (RGBA when the scene has opacity); masks and 16-bit depth lie beside them. The
    world, box and facts of the scene travel under the key ``maskfield``, which others ignore, so
    that our reader gives the same scene back. ``transforms.json`` is written last.

    Raises:
        StorageError: the folder cannot be written. SceneError: the scene is not valid.
    """
    folder = Path(folder)
    scene.validated(str(folder))
    depth_unit = _depth_unit(scene)
    frames = [_write_frame(scene, i, folder, depth_unit) for i in range(len(scene))]
    head = _head(scene, frames)
    if depth_unit is not None:
        head["integer_depth_scale"] = head["depth_unit_scale_factor"] = depth_unit
    write_json(folder / "transforms.json", {**head, "frames": frames})
    return folder / "transforms.json"


def write_nerf_rpn_npz(grid: RadianceGrid, path: StrPath) -> Path:
    """Write one ``features/SCENE.npz``: rgbsigma [W, L, H, 4] float32, Z-up.

    Raw density is written as it is, alpha as alpha; sigma becomes log sigma in instant-ngp units
    (exp activation, as the official grids). Bounds are written in instant-ngp's units and axes.

    Raises:
        GridError: invalid content, or a sigma grid without ``ngp_scale``.
    """
    path = Path(path)
    grid.validated(str(path))
    volume = torch.cat([grid.colour(), _written_density(grid, path)])
    relu = grid.density_kind == "raw" and grid.activation == "relu"
    arrays = {
        "rgbsigma": volume.permute(1, 2, 3, 0).contiguous().numpy(),
        "resolution": np.array(grid.resolution),
        **_ngp_frame(grid, z_up=relu),
        "from_mitsuba": np.array(grid.from_mitsuba),
    }
    if relu:
        arrays["from_ddp_nerf"] = np.array(True)
    _write_npz(path, arrays)
    return path


def write_split(split: Mapping[str, tuple[str, ...]], path: StrPath) -> Path:
    """Write a ``*_split.npz`` with train_scenes, val_scenes and test_scenes."""
    _write_npz(Path(path), {k: np.array(split.get(n, ()), "U") for n, k in SPLIT_KEYS.items()})
    return Path(path)


def _written_density(grid: RadianceGrid, path: Path) -> Float[Tensor, "1 x y z"]:
    if grid.density_kind == "alpha":
        return grid.to_alpha()
    if grid.density_kind == "raw" and grid.activation in ("exp", "relu"):
        return grid.density.float()
    sigma = grid.sigma()
    if grid.density_kind == "sigma":
        if grid.ngp_scale is None:
            raise GridError(
                "official grids hold density in instant-ngp units",
                file=path,
                field="ngp_scale",
                value=None,
                remedy="set ngp_scale (instant-ngp units per scene unit)",
            )
        sigma = sigma / grid.ngp_scale
    return torch.log(sigma).clamp_min(_EMPTY_LOG_DENSITY)


def _ngp_frame(grid: RadianceGrid, z_up: bool) -> dict[str, np.ndarray]:
    """Bounds in instant-ngp's frame; without a known scale they stay in the grid's own units."""
    bounds, known = grid.box.double().numpy(), {}
    if grid.ngp_scale is not None:
        offset = np.array(grid.ngp_offset or (0.0, 0.0, 0.0))
        bounds = bounds * grid.ngp_scale + offset
        known = {"scale": np.array(grid.ngp_scale), "offset": offset}
    bounds = bounds if z_up else bounds[:, _Y_UP]
    return {"bbox_min": bounds[0], "bbox_max": bounds[1], **known}


def _write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _head(scene: Scene, frames: list[dict[str, Any]]) -> dict[str, Any]:
    split = {f"{k}_filenames": [frames[i]["file_path"] for i in v] for k, v in scene.split.items()}
    return {
        "camera_model": "OPENCV",
        "w": scene.cameras.width,
        "h": scene.cameras.height,
        "aabb_scale": 4 if scene.unbounded else 1,
        "scale": _ngp_scale(scene),
        "offset": _ngp_offset(scene),
        **split,
        "applied_transform": scene.world_from_source.double()[:3].tolist(),
        EXTRA: {
            "box": scene.box.double().tolist(),
            "near": scene.near,
            "far": scene.far,
            "metric": scene.metric,
            "up_known": scene.up_known,
            "unit_length_m": scene.unit_length_m,
            "unbounded": scene.unbounded,
        },
    }


def _ngp_scale(scene: Scene) -> float:
    """Bounded scenes fill instant-ngp's unit cube; unbounded ones keep its usual 0.33 share."""
    side = float((scene.box[1] - scene.box[0]).max())
    return (2 * _NGP_SCALE if scene.unbounded else 1.0) / side


def _ngp_offset(scene: Scene) -> list[float]:
    middle = scene.box.double().mean(0)
    return (_NGP_OFFSET - middle * _ngp_scale(scene)).tolist()


def _depth_unit(scene: Scene) -> float | None:
    """Scene units per depth code: millimetres for metric scenes, else what the range needs."""
    if scene.depths is None:
        return None
    largest = float(scene.depths.max())
    needed = max(largest / _MAX_DEPTH_CODE, 1e-12)
    return max(1e-3, needed) if scene.metric else needed


def _write_frame(
    scene: Scene, index: int, folder: Path, depth_unit: float | None
) -> dict[str, Any]:
    stem = f"{index:05d}"
    k = scene.cameras.intrinsics[index].double().tolist()
    bottom = torch.tensor([[0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    pose = torch.cat([scene.cameras.camera_to_world[index].double(), bottom])
    frame: dict[str, Any] = {
        "file_path": f"images/{stem}.png",
        "name": scene.names[index],
        "transform_matrix": opengl_from_opencv(pose).tolist(),
        **dict(zip(("fl_x", "fl_y", "cx", "cy"), k, strict=True)),
        **_distortion(scene, index),
    }
    _write_png(folder / frame["file_path"], _pixels(scene, index))
    if scene.masks is not None:
        frame["mask_path"] = f"masks/{stem}.png"
        _write_png(folder / frame["mask_path"], np.asarray(scene.masks[index]) * np.uint8(255))
    if scene.depths is not None and depth_unit is not None:
        frame["depth_file_path"] = f"depth/{stem}.png"
        code = np.rint(scene.depths[index] / depth_unit).clip(0, _MAX_DEPTH_CODE)
        _write_png(folder / frame["depth_file_path"], code.astype(np.uint16))
    return frame


def _distortion(scene: Scene, index: int) -> dict[str, float]:
    if scene.cameras.distortion is None:
        return {}
    values = scene.cameras.distortion[index].double().tolist()
    return dict(zip(("k1", "k2", "p1", "p2", "k3"), values, strict=True))


def _pixels(scene: Scene, index: int) -> np.ndarray:
    colour = np.asarray(scene.images[index])
    if scene.opacity is None:
        return colour
    return np.concatenate([colour, np.asarray(scene.opacity[index])[..., None]], axis=-1)


def _write_png(path: Path, pixels: np.ndarray) -> None:
    save: Callable[..., None] = Image.fromarray(np.ascontiguousarray(pixels)).save
    with atomic_path(path) as temporary:
        save(temporary, format="PNG", compress_level=3)
