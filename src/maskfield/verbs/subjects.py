"""What `render` draws: a field of one scene, or a model that is shown some views of an object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from maskfield.core.files import StrPath
    from maskfield.data.scene import Scene
    from maskfield.figures.pictures import Picture
    from maskfield.geometry.cameras import Cameras
    from maskfield.rendering.field import Field
    from maskfield.verbs.conditions import Conditions


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Something that cameras can look at.

    Attributes:
        scene: whose cameras and box make the paths.
        draw: cameras and the index of one -> colours [h, w, 3].
        field: for meshes.
        folder: where its pictures go unless told otherwise.
        sources: the pictures a model is shown, if it is shown any.
    """

    scene: Scene
    draw: Callable[[Cameras, int], Tensor]
    field: Field
    folder: Path
    sources: Picture | None = None


def fitted_subject(path: Path, scene: StrPath | None) -> Subject:
    """A field of one scene.

    Raises:
        CheckpointError: not a field. SceneError: its scene is not known or cannot be used.
    """
    from maskfield.fields.evaluate import field_image
    from maskfield.fields.load import load_field
    from maskfield.verbs.runs import scene_of_run

    field = load_field(path)
    source = scene_of_run(path, scene)

    def draw(cameras: Cameras, index: int) -> Tensor:
        return field_image(field, cameras, index).colour

    return Subject(scene=source, draw=draw, field=field, folder=_renders(path))


def conditioned_subject(
    path: Path, conditions: Conditions, *, device: str, memory_mb: float
) -> Subject:
    """A model and the views it is shown.

    Raises:
        CheckpointError, ConfigError, DataError, SceneError: see ``verbs.conditioned``.
    """
    from maskfield.data.object_batches import near_far
    from maskfield.methods.pixelnerf.config import FAST
    from maskfield.methods.pixelnerf.evaluation_views import pixelnerf_views
    from maskfield.verbs.conditioned import conditioned_field, load_conditioned
    from maskfield.verbs.conditions import open_conditions

    model = load_conditioned(path, device)
    shown = open_conditions(model, conditions)
    near, far = near_far(shown.scene)
    views = pixelnerf_views(model.network, least_coarse=1, memory_mb=memory_mb, options=FAST)
    view = views(shown.views())

    def draw(cameras: Cameras, index: int) -> Tensor:
        return view(cameras[index], near, far, None).colour.cpu()

    return Subject(
        scene=shown.scene,
        draw=draw,
        field=conditioned_field(model, shown),
        folder=_renders(path) / shown.name,
        sources=_beside(shown.scene, shown.sources),
    )


def _beside(scene: Scene, views: tuple[int, ...]) -> Picture:
    """The source views in a row."""
    import numpy as np

    return np.concatenate([np.asarray(scene.images[v]) for v in views], axis=1)


def _renders(path: Path) -> Path:
    """``renders`` in the run folder, or beside the weights; weights without a folder: ``runs``."""
    from maskfield.verbs.answers import answer_folder

    if not path.exists():  # zoo:NAME
        return answer_folder("render", path, None)
    return (path if path.is_dir() else path.parent) / "renders"
