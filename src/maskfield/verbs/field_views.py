"""Whatever FIELD stands for, with the settings it is looked at with when a camera is sought."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import SceneError

if TYPE_CHECKING:
    from torch import Tensor

    from maskfield.core.files import StrPath
    from maskfield.data.scene import Scene
    from maskfield.fields.nerf import NeRFField
    from maskfield.methods.inerf.view import FieldView
    from maskfield.methods.pixelnerf.model.views import SourceViews

_BAKED = 160  # voxels along the longest side of a bake


@dataclass(frozen=True, kw_only=True)
class GivenField:
    """A field that a camera is sought in.

    Attributes:
        view: the field as the search renders it. rough: a voxel bake of it, for fields that are
            slow to render. scene: what it was fitted to, if known.
        sources: the views that a model is shown, if it is shown any.
        background: behind everything it shows; None: black.
    """

    view: FieldView
    name: str
    rough: FieldView | None = None
    scene: Scene | None = None
    sources: SourceViews | None = None

    @property
    def guessed(self) -> bool:
        """Whether a model made the field of some views of an object."""
        return self.sources is not None

    @property
    def background(self) -> tuple[float, float, float] | None:
        return self.view.compositing.background


def open_field(
    path: Path,
    *,
    scene: StrPath | None = None,
    near: float | None = None,
    far: float | None = None,
    bake: bool = True,
) -> GivenField:
    """A fitted voxel field, a NeRF of ours or an official one.

    Args:
        near, far: of a NeRF, scene units; its own unless given.
        bake: also make a voxel bake of a NeRF (some seconds), so that the search is quick.

    Raises:
        CheckpointError: missing, damaged, or weights of something else. SceneError: the scene that
            was named cannot be opened, near and far out of order.
    """
    from maskfield.fields.load import load_field
    from maskfield.fields.nerf import NeRFField
    from maskfield.methods.inerf.view import field_view

    field = load_field(path)
    known = _scene_of(path, scene)
    if isinstance(field, NeRFField):
        field = _with_planes(field, near, far)
    given = GivenField(view=field_view(field), name=_name(path), scene=known)
    return with_bake(given) if bake else given


def with_bake(given: GivenField) -> GivenField:
    """The same with a voxel bake beside a NeRF of an object; nothing else needs one."""
    from maskfield.fields.nerf import NeRFField

    field = given.view.field
    if not isinstance(field, NeRFField) or field.viewing.ndc is not None:
        return given
    return replace(given, rough=baked_view(field))


def baked_view(field: NeRFField, longest: int = _BAKED) -> FieldView:
    """A voxel bake of a NeRF of an object about the world's origin."""
    from maskfield.fields.bake import BakeSettings, bake
    from maskfield.methods.inerf.view import field_view

    settings = BakeSettings(longest=longest, background=field.viewing.background or (0.0, 0.0, 0.0))
    return field_view(bake(field, object_box(field), settings))


def object_box(field: NeRFField) -> Tensor:
    """The cube about the origin that reaches as far as near and far planes of cameras around."""
    import torch

    half = (field.viewing.far - field.viewing.near) / 2
    return torch.tensor([[-half] * 3, [half] * 3])


def _with_planes(field: NeRFField, near: float | None, far: float | None) -> NeRFField:
    if near is None and far is None:
        return field
    v = field.viewing
    return field.with_viewing(
        replace(v, near=v.near if near is None else near, far=v.far if far is None else far)
    )


def _scene_of(path: Path, scene: StrPath | None) -> Scene | None:
    """The scene that was named, else the one of the run, if it is still there."""
    from maskfield.core.errors import MaskfieldError
    from maskfield.data.config import SceneDataConfig
    from maskfield.verbs.runs import scene_of_run

    if scene is not None:
        return SceneDataConfig(path=str(scene)).build()
    try:
        return scene_of_run(path)
    except MaskfieldError:
        return None


def scene_needed(given: GivenField, why: str) -> Scene:
    """Its scene.

    Raises:
        SceneError: not known; ``why`` it is needed.
    """
    if given.scene is None:
        raise SceneError(
            f"the scene of this field is not known, and {why}",
            field="scene",
            remedy="give it with --scene",
        )
    return given.scene


def _name(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem
