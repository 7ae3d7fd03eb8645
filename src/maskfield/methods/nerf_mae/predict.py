"""Answers of the networks fine-tuned from the masked autoencoder, for one radiance grid."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskfield.core.errors import GridError
from maskfield.data.label_grid import LabelGrid
from maskfield.data.network_input import alpha_grid, interpolated, occupied, resampled, resized
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.methods.nerf_mae.downstream import (
    PlainSuperResolution,
    SemanticNetwork,
    SuperResolution,
)
from maskfield.methods.nerf_mae.layout import pad_to_cube

VOID = 0


@torch.no_grad()
def segment(
    model: SemanticNetwork,
    class_names: tuple[str, ...],
    grid: RadianceGrid,
    *,
    resolution: int,
    file: str | None = None,
) -> LabelGrid:
    """A class for every voxel that holds matter; empty voxels are void.

    Void itself is never the answer where there is matter: training ignores void voxels, so that
    the network has learned nothing about them.

    Args:
        model: in eval mode.
        class_names: of the training, void first.
        resolution: side of the cube the model was trained on; the grid is resampled to it and the
            answer brought back to the grid's own voxels.
        file: where the grid came from, for messages.

    Raises:
        GridError: density that cannot become alpha.
    """
    own = alpha_grid(grid, file)
    matter = occupied(own)
    labels = torch.zeros(own.resolution, dtype=torch.int16)
    if matter.any():
        logits = _answer(model, resampled(own, resolution), resolution)
        labels = torch.where(matter, best_class(logits, own.resolution), VOID).to(torch.int16)
    return LabelGrid(
        labels=labels,
        class_names=class_names,
        box=grid.box,
        void=VOID,
        unit_length_m=grid.unit_length_m,
        ngp_scale=grid.ngp_scale,
        ngp_offset=grid.ngp_offset,
        from_mitsuba=grid.from_mitsuba,
    )


def best_class(
    logits: Float[Tensor, "class x y z"], shape: tuple[int, int, int]
) -> Int[Tensor, "_x _y _z"]:
    """The greatest logit but void's, on other voxels of the same box; one class at a time."""
    best = interpolated(logits[1:2], shape)[0]
    labels = torch.ones(shape, dtype=torch.int16)  # void's own logit takes no part
    for index in range(2, len(logits)):
        value = interpolated(logits[index : index + 1], shape)[0]
        labels[value > best] = index
        best = torch.maximum(best, value)
    return labels


@torch.no_grad()
def super_resolve(
    model: SuperResolution | PlainSuperResolution,
    grid: RadianceGrid,
    *,
    resolution: int,
    learned_alpha: bool = False,
    file: str | None = None,
) -> RadianceGrid:
    """The same box on finer voxels; colours as 8 bits, alpha as half precision.

    Args:
        model: in eval mode.
        resolution: side of the cube the model was trained on.
        learned_alpha: the training supervised alpha too (``alpha_weight`` above 0). The paper's
            supervises colour alone; alpha is then the grid's own, interpolated.
        file: where the grid came from, for messages.

    Raises:
        GridError: a grid finer than ``resolution``, or whose density cannot become alpha.
    """
    if max(grid.resolution) > resolution:
        raise GridError(
            "the grid is finer than what this model was trained on",
            file=file,
            field="resolution",
            value=f"{max(grid.resolution)} voxels, model {resolution}",
            remedy=f"extract it with `--longest {resolution}`, or use a model trained at that size",
        )
    coarse = resampled(alpha_grid(grid, file), resolution)
    padded = _cube_answer(model, coarse, resolution)
    x, y, z = (max(1, round(n * padded.shape[1] / resolution)) for n in coarse.resolution)
    fine = resized(coarse, (x, y, z))
    if learned_alpha:
        fine = replace(fine, density=torch.sigmoid(padded[3:, :x, :y, :z]))
    colour = (padded[:3, :x, :y, :z].clamp(0, 1) * 255 + 0.5).to(torch.uint8)
    matter = occupied(fine)
    plain = (fine.rgb * 255 + 0.5).to(torch.uint8)
    return replace(fine, rgb=torch.where(matter, colour, plain), density=fine.density.half())


def _answer(
    model: torch.nn.Module, grid: RadianceGrid, resolution: int
) -> Float[Tensor, "c x y z"]:
    """The answer on the grid's voxels, without the padding of the cube."""
    x, y, z = grid.resolution
    return _cube_answer(model, grid, resolution)[:, :x, :y, :z]


def _cube_answer(
    model: torch.nn.Module, grid: RadianceGrid, resolution: int
) -> Float[Tensor, "c s s s"]:
    device = next(model.parameters()).device
    cubes, _ = pad_to_cube([grid.rgba()], resolution)
    return model(cubes.to(device))[0].float().cpu()
