"""An image-conditioned model, and what it is shown: views of an object, or a photograph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import CheckpointError, ConfigError, DataError

if TYPE_CHECKING:
    import torch

    from maskfield.data.object_config import ObjectDataConfig
    from maskfield.data.object_sets import ObjectSet
    from maskfield.data.photo_scene import PhotoCamera
    from maskfield.data.scene import Scene
    from maskfield.methods.pixelnerf.model.field import PixelNeRFField
    from maskfield.methods.pixelnerf.model.network import PixelNeRF
    from maskfield.methods.pixelnerf.model.views import SourceViews

KIND = "PixelNeRF"
_FOREIGN = (".pt", ".pth")
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
class ConditionedModel:
    """A network in eval mode.

    Attributes:
        data: config of the objects it was trained on, where its weights say it.
        official: the weights are the original authors', who see objects half a pixel off.
    """

    network: PixelNeRF
    data: ObjectDataConfig | None
    official: bool


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


def is_conditioned(path: Path) -> bool:
    """Whether weights are of an image-conditioned model (official files are told by their keys).

    Raises:
        CheckpointError: missing or damaged.
    """
    from maskfield.engine.checkpoint import load_weights
    from maskfield.fields.load import FOREIGN
    from maskfield.methods.pixelnerf.convert import is_official
    from maskfield.nn.foreign import read_foreign
    from maskfield.verbs.weights import has_official_name

    if has_official_name(path) and path.is_file():
        return is_official(read_foreign(path))
    if path.suffix in FOREIGN:
        return False
    return load_weights(path)[1].get("conventions", {}).get("kind") == KIND


def load_conditioned(path: Path, device: str = "auto") -> ConditionedModel:
    """A pixelNeRF: a run of ours, weights, ``zoo:NAME``, or an official file.

    Raises:
        CheckpointError: missing, damaged, or weights of something else.
    """
    from maskfield.data.object_config import ObjectDataConfig
    from maskfield.engine.checkpoint import weights_path
    from maskfield.engine.precision import choose_device
    from maskfield.engine.restore import restore_model
    from maskfield.methods.pixelnerf.convert import load_official
    from maskfield.methods.pixelnerf.model.network import PixelNeRF
    from maskfield.verbs.weights import has_official_name

    if has_official_name(path):
        network = load_official(path).to(choose_device(device)).eval()
        return ConditionedModel(network=network, data=None, official=True)
    found = restore_model(path, device)
    if not isinstance(found.model, PixelNeRF):
        raise CheckpointError(
            "these weights are not of an image-conditioned model",
            file=weights_path(path),
            field="config.method",
            value=type(found.config.method).__name__,
            remedy="give a run of `maskfield pretrain pixelnerf:SIZE`, or pixel_nerf_latest",
        )
    data = found.config.data if isinstance(found.config.data, ObjectDataConfig) else None
    official = data is not None and data.official_centres
    return ConditionedModel(network=found.model, data=data, official=official)


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


def conditioned_field(model: ConditionedModel, shown: ConditionedScene) -> PixelNeRFField:
    """The radiance field that the model makes of its source views."""
    import torch

    views = shown.views()
    given = (views.images, views.poses, views.intrinsics)
    with torch.no_grad():
        encoded = model.network.encode(*(part[None].to(device_of(model)) for part in given))
    return model.network.field(encoded)


def device_of(model: ConditionedModel) -> torch.device:
    """Where the network is."""
    return next(model.network.parameters()).device


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
