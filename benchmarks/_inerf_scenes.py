"""The scenes of ``inerf_success``: photographs, true poses, fields, and the protocol's frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield import api
from maskfield.core.files import read_json
from maskfield.data.config import SceneDataConfig
from maskfield.data.readers.capture import load_frames
from maskfield.data.readers.options import DEFAULT
from maskfield.data.readers.transforms_json import read_frames
from maskfield.data.scene import Scene
from maskfield.fields.evaluate import photograph
from maskfield.fields.load import load_field
from maskfield.fields.voxel import VoxelField
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.se3 import compose
from maskfield.methods.inerf.observation import Observation, observation_from_array
from maskfield.methods.inerf.protocol import (
    FORWARD_FACING,
    SYNTHETIC,
    StartPoses,
    StartRange,
    draw_starts,
    scaled_range,
)
from maskfield.methods.inerf.view import FieldView, field_view
from maskfield.rendering.renderer import render_image

_NEAREST = 4 / 3  # LLFF's unit: the nearest depth lies here
_PERCENTILE = 0.001  # LLFF's bounds are the 0.1 and 99.9 percentiles of depth


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A scene with what is needed to look for its photographs' cameras.

    Attributes:
        observations: with ``poses`` [image, 3, 4], the true ones. names: of the photographs.
        field: what explains them. unit: one unit of the protocol in scene units. pivot: [3] the
            origin of the protocol's frame. spread: of the start poses, in scene units.
        frame: the protocol's frame and unit in words.
    """

    observations: Sequence[Observation]
    poses: Float[Tensor, "image 3 4"]
    names: Sequence[str]
    field: FieldView
    unit: float
    pivot: Float[Tensor, " 3"]
    spread: StartRange
    frame: str

    def starts(self, count: int, seed: int) -> StartPoses:
        """About ``count`` start poses, the same number for every photograph."""
        each = max(1, round(count / len(self.poses)))
        there, back = _shift(-self.pivot), _shift(self.pivot)
        generator = torch.Generator().manual_seed(seed)
        found = draw_starts(compose(there, self.poses), each, self.spread, generator)
        return StartPoses(
            image=found.image,
            start=compose(back, found.start),
            true=compose(back, found.true),
        )


def lego(shared: Path, runs: Path) -> Trial:
    """The observed images of the community's iNeRF and the public low-resolution NeRF."""
    file = shared / "data/inerf_obs/lego/obs_imgs/transforms.json"
    weights = shared / "data/weights/nerf_pytorch_lego_lowres/checkpoint199999.ckpt"
    loaded = load_frames(read_frames(file, read_json(file)), DEFAULT, file=str(file))
    view = field_view(load_field(weights))
    return Trial(
        observations=[
            _observation(loaded.images[i], _opacity(loaded.opacity, i), loaded.cameras, i, view)
            for i in range(len(loaded.names))
        ],
        poses=loaded.cameras.camera_to_world,
        names=loaded.names,
        field=view,
        unit=1.0,
        pivot=torch.zeros(3),
        spread=SYNTHETIC,
        frame="the data set's",
    )


def fern(shared: Path, runs: Path) -> Trial:
    """LLFF's fern in LLFF's frame."""
    scene, view = fitted(shared / "data/llff/fern", runs / "fern")
    assert scene.near is not None  # LLFF scenes have bounds; the reader keeps 0.9 of the nearest
    return _held_out(scene, view, scene.near / 0.9 / _NEAREST, scene.cameras.centres.mean(0))


def fox(shared: Path, runs: Path) -> Trial:
    """instant-ngp's fox in the frame of its file."""
    scene, view = fitted(shared / "data/fox", runs / "fox")
    inverse = torch.linalg.inv(scene.world_from_source.double())
    scale = float(torch.linalg.det(inverse[:3, :3]) ** (-1 / 3))
    return _held_out(scene, view, scale, scene.world_from_source[:3, 3].float())


def fox_llff(shared: Path, runs: Path) -> Trial:
    """The same photographs in LLFF's frame."""
    scene, view = fitted(shared / "data/fox", runs / "fox")
    unit = nearest_depth(scene, view) / _NEAREST
    return _held_out(scene, view, unit, scene.cameras.centres.mean(0))


SCENES: dict[str, Callable[[Path, Path], Trial]] = {
    "lego": lego,
    "fern": fern,
    "fox": fox,
    "fox-llff": fox_llff,
}


def fitted(data: Path, run: Path) -> tuple[Scene, FieldView]:
    """A scene and the field that `maskfield fit` makes of its training photographs."""
    if not (run / "fit").is_dir():
        api.fit(data, out=run / "fit")
    field = load_field(run / "fit")
    return SceneDataConfig(path=str(data)).build(), field_view(field)


def nearest_depth(scene: Scene, view: FieldView) -> float:
    """The 0.1 percentile of depth along camera z over the training views of a field."""
    side = max(scene.cameras.width, scene.cameras.height) / 80
    small = scene.cameras.resized(
        round(scene.cameras.width / side), round(scene.cameras.height / side)
    )
    depths = [
        render_image(view.field, small, i, view.sampler, view.compositing, near=view.near).depth
        for i in scene.indices("train")
    ]
    return float(torch.cat([d.reshape(-1) for d in depths]).quantile(_PERCENTILE))


def _held_out(scene: Scene, view: FieldView, unit: float, pivot: Tensor) -> Trial:
    field = view.field
    assert isinstance(field, VoxelField)
    chosen = list(scene.indices("test"))
    cameras = scene.cameras[chosen]
    return Trial(
        observations=[
            Observation(image=photograph(scene, i, field.background), camera=scene.cameras[i])
            for i in chosen
        ],
        poses=cameras.camera_to_world,
        names=[scene.names[i] for i in chosen],
        field=view,
        unit=unit,
        pivot=pivot,
        spread=scaled_range(FORWARD_FACING, unit),
        frame=f"origin at {[round(float(v), 4) for v in pivot]} of the scene, "
        f"1 unit = {unit:.4f} scene units",
    )


def _observation(image, opacity, cameras: Cameras, index: int, view: FieldView) -> Observation:
    import numpy as np

    pixels = image if opacity is None else np.concatenate([image, opacity[..., None]], axis=-1)
    return observation_from_array(pixels, cameras[index], background=view.compositing.background)


def _opacity(opacity, index: int):
    return None if opacity is None else opacity[index]


def _shift(by: Float[Tensor, " 3"]) -> Float[Tensor, "3 4"]:
    return torch.cat([torch.eye(3), by[:, None]], dim=1)
