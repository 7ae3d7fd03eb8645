"""Whatever FIELD stands for: a fitted voxel run, a NeRF of ours, or one of another program."""

from __future__ import annotations

from pathlib import Path

from maskfield.core.errors import CheckpointError
from maskfield.core.files import StrPath
from maskfield.engine.checkpoint import load_weights
from maskfield.fields.nerf import KIND, NeRFField, nerf_from_weights
from maskfield.fields.nerf_config import NeRFViewing
from maskfield.fields.nerf_convert import read_official_nerf
from maskfield.fields.voxel import VoxelField, field_from_weights

SceneField = VoxelField | NeRFField
FOREIGN = (".tar", ".ckpt", ".pt", ".pth")


def load_field(path: StrPath, viewing: NeRFViewing | None = None) -> SceneField:
    """The field in a run folder, checkpoint folder, weights file or foreign checkpoint.

    Args:
        viewing: how a NeRF is sampled: foreign checkpoints do not say it (Blender's settings unless
            given), and it replaces what our own files say.

    Raises:
        CheckpointError: missing, damaged, or weights of something else.
    """
    if Path(path).suffix in FOREIGN and not Path(path).is_dir():
        return read_official_nerf(path, viewing)
    weights, header = load_weights(path)
    conventions = header.get("conventions", {})
    kind = conventions.get("kind")
    if kind == KIND:
        field = nerf_from_weights(weights, conventions).eval()
        return field if viewing is None else field.with_viewing(viewing)
    if kind != "VoxelField":
        raise CheckpointError(
            "these weights are not a field of one scene",
            file=path,
            field="conventions.kind",
            value=kind,
            remedy="give the run folder of `maskfield fit`, or a nerf-pytorch checkpoint (.tar)",
        )
    return field_from_weights(weights, conventions)
