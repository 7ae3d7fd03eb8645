"""An image-conditioned model, and the field it makes of what it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maskfield.core.errors import CheckpointError

if TYPE_CHECKING:
    import torch

    from maskfield.data.object_config import ObjectDataConfig
    from maskfield.methods.pixelnerf.model.field import PixelNeRFField
    from maskfield.methods.pixelnerf.model.network import PixelNeRF
    from maskfield.methods.pixelnerf.model.views import EncodedViews
    from maskfield.verbs.conditions import ConditionedScene

KIND = "PixelNeRF"
_FOREIGN = (".pt", ".pth")


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


def encoded_views(model: ConditionedModel, shown: ConditionedScene) -> EncodedViews:
    """What the network remembers of the source views."""
    import torch

    views = shown.views()
    given = (views.images, views.poses, views.intrinsics)
    with torch.no_grad():
        return model.network.encode(*(part[None].to(device_of(model)) for part in given))


def conditioned_field(model: ConditionedModel, shown: ConditionedScene) -> PixelNeRFField:
    """The radiance field that the model makes of its source views."""
    return model.network.field(encoded_views(model, shown))


def device_of(model: ConditionedModel) -> torch.device:
    """Where the network is."""
    return next(model.network.parameters()).device
