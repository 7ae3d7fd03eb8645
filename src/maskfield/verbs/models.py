"""The networks behind `detect`, `segment` and `superres`, from weights of the right kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from maskfield.core.errors import CheckpointError

if TYPE_CHECKING:
    from maskfield.core.files import StrPath
    from maskfield.methods.nerf_mae.downstream import (
        PlainSuperResolution,
        SemanticNetwork,
        SuperResolution,
    )
    from maskfield.methods.nerf_rpn.model.detector import Detector

DETECTOR, SEMANTIC = "zoo:detector-tiny", "zoo:semantic-tiny"
_OFFICIAL = (".pt", ".pth")
_RECIPES = {
    "a detector": "nerf-mae-detect",
    "a semantic network": "nerf-mae-segment",
    "a super-resolution network": "nerf-mae-superres",
}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Loaded(Generic[T]):
    """A network in eval mode.

    Attributes:
        name: how it was given. method: its config. data: the config of its training data, if known.
        resolution: voxels along the longest side of its training grids, if known.
    """

    model: T
    name: str
    method: Any
    data: Any
    resolution: int | None


def load_detector(path: StrPath, device: str = "auto") -> Loaded[Detector]:
    """A detector: ours, ``zoo:NAME``, or an official ``.pt``.

    Raises:
        CheckpointError: missing, damaged, or weights of something else.
    """
    from maskfield.methods.nerf_rpn.model.detector import Detector

    if Path(path).suffix.lower() in _OFFICIAL:
        return _official_detector(path, device)
    return _restored(path, device, Detector, "a detector")


def load_semantic(path: StrPath, device: str = "auto") -> Loaded[SemanticNetwork]:
    """A semantic network; its method config has ``class_names``.

    Raises:
        CheckpointError: missing, damaged, or weights of something else.
    """
    from maskfield.methods.nerf_mae.downstream import SemanticNetwork

    return _restored(path, device, SemanticNetwork, "a semantic network")


def load_superres(
    path: StrPath | None, device: str = "auto"
) -> Loaded[SuperResolution | PlainSuperResolution]:
    """A super-resolution network, either variant; none comes with the package.

    Raises:
        CheckpointError: not given, missing, damaged, or weights of something else.
    """
    from maskfield.methods.nerf_mae.downstream import PlainSuperResolution, SuperResolution

    if path is None:
        raise CheckpointError(
            "no super-resolution network comes with the package",
            field="model",
            remedy="train one with `maskfield finetune nerf-mae-superres:tiny-cpu`, then give its "
            "run folder with --model",
        )
    kinds = (SuperResolution, PlainSuperResolution)
    return _restored(path, device, kinds, "a super-resolution network")


def _restored(path: StrPath, device: str, kinds: Any, wanted: str) -> Loaded[Any]:
    from maskfield.engine.checkpoint import weights_path
    from maskfield.engine.restore import restore_model

    if Path(path).suffix.lower() in _OFFICIAL:
        raise CheckpointError(
            f"an official checkpoint does not say enough to build {wanted}",
            file=path,
            remedy="make weights of ours from it: `maskfield convert official.pt "
            "weights.safetensors` (--recipe gives what the file does not say)",
        )
    found = restore_model(path, device)
    if not isinstance(found.model, kinds):
        raise CheckpointError(
            f"these weights are not {wanted}",
            file=weights_path(path),
            field="config.method",
            value=type(found.config.method).__name__,
            remedy=f"give weights trained by `maskfield finetune {_RECIPES[wanted]}:SIZE`",
        )
    conventions = found.header.get("conventions", {})
    _refuse_other_input(conventions, weights_path(path))
    return Loaded(
        model=found.model,
        name=str(path),
        method=found.config.method,
        data=found.config.data,
        resolution=conventions.get("resolution") or _cube(found.config.method),
    )


def _official_detector(path: StrPath, device: str) -> Loaded[Detector]:
    from maskfield.engine.precision import choose_device
    from maskfield.methods.nerf_rpn.convert import load_official

    model = load_official(path).to(choose_device(device)).eval()
    config = model.config
    return Loaded(
        model=model, name=str(path), method=config, data=None, resolution=config.resolution
    )


def _cube(method: Any) -> int | None:
    return getattr(getattr(method, "base", method), "resolution", None)


def _refuse_other_input(conventions: dict[str, Any], file: Path) -> None:
    """Weights that were shown something else than what this program shows them."""
    from maskfield.data.network_input import INPUT

    given = conventions.get("input", INPUT)
    if given != INPUT:
        raise CheckpointError(
            "the network was trained on another kind of input",
            file=file,
            field="conventions.input",
            value=f"checkpoint: {given!r}, here: {INPUT!r}",
            remedy="give weights trained with this release",
        )
