"""What an image-conditioned model is shown: views of an object, or a photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.data.object_config import ObjectDataConfig
    from maskfield.data.object_sets import ObjectSet
    from maskfield.data.photo_scene import PhotoCamera
    from maskfield.data.scene import Scene
    from maskfield.methods.pixelnerf.model.views import SourceViews
    from maskfield.verbs.conditioned import ConditionedModel

_OFFICIAL_SIZE = 128  # pixels a side, of the SRN data


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Which images a model gets.

    Attributes:
        data: objects (a path or ``synthetic:...``); those of the model's own config unless given.
        split: of the objects. object: its name, or its number in the split.
        sources: views it is shown; none: the first, a negative number: one drawn by ``seed``.
        photo: a normalised photograph instead of an object. camera: how it was taken.
    """

    data: str | None = None
    split: str = "test"
    object: str = "0"
    sources: tuple[int, ...] = ()
    seed: int = 0
    photo: Path | None = None
    camera: PhotoCamera | None = None


@dataclass(frozen=True, kw_only=True)
class ConditionedScene:
    """An object or photograph, and the views of it that the model is shown.

    Attributes:
        name: for output folders.
    """

    scene: Scene
    sources: tuple[int, ...]
    name: str

    def views(self) -> SourceViews:
        """The sources as a network takes them."""
        from maskfield.methods.pixelnerf.evaluation_views import source_views

        return source_views(self.scene, self.sources)


def open_conditions(model: ConditionedModel, conditions: Conditions) -> ConditionedScene:
    """The object or photograph.

    Raises:
        ConfigError: no data, no such object. DataError, SceneError: they cannot be used.
    """
    if conditions.photo is not None:
        return _photo(model, conditions, conditions.photo)
    from maskfield.data.object_sets import open_split

    objects = open_split(_object_data(model, conditions), conditions.split)
    index = _index_of(objects, conditions)
    scene, name = objects[index], objects.names[index]
    sources = _sources(scene, conditions, name)
    marks = "_".join(f"v{v:03d}" for v in sources)
    category = objects.categories[index]
    return ConditionedScene(
        scene=scene,
        sources=sources,
        name=f"{category}_{name}-{marks}" if category else f"{name}-{marks}",
    )


def refuse_scene(scene: StrPath | None) -> None:
    """A scene beside a model.

    Raises:
        ConfigError: one is given.
    """
    if scene is not None:
        raise ConfigError(
            "an image-conditioned model is not fitted to a scene",
            field="scene",
            value=str(scene),
            remedy="give the object's views with --data, a folder of scenes or one of them",
        )


def refuse_conditions(conditions: Conditions) -> None:
    """Images for a field of one scene.

    Raises:
        ConfigError: some are given.
    """
    for name in ("data", "photo", "sources"):
        if getattr(conditions, name) not in (None, ()):
            raise ConfigError(
                "a field that was fitted to one scene takes no other images",
                field=name,
                value=str(getattr(conditions, name)),
                remedy="give an image-conditioned model: a run of `maskfield pretrain "
                "pixelnerf:SIZE`, or pixel_nerf_latest",
            )


def _photo(model: ConditionedModel, conditions: Conditions, photo: Path) -> ConditionedScene:
    from maskfield.data.photo_scene import PhotoCamera, photo_scene

    camera = replace(conditions.camera or PhotoCamera(), official_centre=model.official)
    size = (model.data.image_size or 64) if model.data is not None else _OFFICIAL_SIZE
    white = model.network.config.background == (1.0, 1.0, 1.0)
    scene = photo_scene(photo, camera, size=size, white=white)
    return ConditionedScene(scene=scene, sources=(0,), name=photo.stem)


def _object_data(model: ConditionedModel, conditions: Conditions) -> ObjectDataConfig:
    """The objects asked for, in the size of the model's own; all that the split has."""
    from maskfield.data.object_config import ObjectDataConfig

    base = model.data or ObjectDataConfig(official_centres=model.official)
    if conditions.data is not None:
        return replace(
            base,
            path=conditions.data,
            format="auto",
            train_count=None,
            validation_count=None,
        )
    if model.data is None:
        raise ConfigError(
            "an official checkpoint does not say on which objects it was trained",
            field="data",
            remedy="give objects with --data, or a photograph with --photo",
        )
    return base


def _index_of(objects: ObjectSet, conditions: Conditions) -> int:
    """By name, else by number."""
    wanted = conditions.object
    if wanted in objects.names:
        return objects.names.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(objects):
        return int(wanted)
    from maskfield.core.registry import suggestion

    some = objects.names[:8]
    raise ConfigError(
        "no such object in this split",
        field="object",
        value=wanted,
        remedy=f"give a number below {len(objects)}, or a name; {suggestion(wanted, some)}",
    )


def _sources(scene: Scene, conditions: Conditions, name: str) -> tuple[int, ...]:
    import torch

    chosen = tuple(sorted(set(conditions.sources))) or (0,)
    if chosen[0] < 0 and len(chosen) == 1:
        draw = torch.Generator().manual_seed(conditions.seed)
        return (int(torch.randint(len(scene), (), generator=draw)),)
    wrong = [v for v in chosen if not 0 <= v < len(scene)]
    if wrong:
        raise DataError(
            "the object does not have such a view",
            file=name,
            field="sources",
            value=wrong,
            remedy=f"give views 0 to {len(scene) - 1}, or -1 for one at random",
        )
    return chosen
