"""Pictures of label grids: classes in colours, from above and in perspective, with a legend."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.data.label_grid import LabelGrid
from maskfield.data.radiance_grid import RadianceGrid
from maskfield.figures.grids import View, grid_picture
from maskfield.figures.legend import legend_strip
from maskfield.figures.pictures import Picture, beside, stacked

_ALPHA = 0.97  # of a labelled voxel
_LIGHT = (-0.35, -0.5, 0.8)
_VOID = "#ffffff"


def label_views(labels: LabelGrid, *, width: int = 480, height: int = 400) -> Picture:
    """A label grid from above and in perspective, and what its colours mean."""
    views: tuple[View, ...] = ("top", "corner")
    pictures = [label_picture(labels, view=view, width=width, height=height) for view in views]
    row = beside(pictures, ("from above", "perspective"))
    return stacked([row, legend_strip(legend_entries(labels), row.shape[1])])


def label_picture(
    labels: LabelGrid, *, view: View = "corner", width: int = 480, height: int = 400
) -> Picture:
    """One view of a label grid on white, shaded so that shapes can be told apart."""
    return grid_picture(coloured_grid(labels), view=view, width=width, height=height)


def coloured_grid(labels: LabelGrid) -> RadianceGrid:
    """The label grid as a radiance grid: class colours where something is, empty elsewhere."""
    palette = torch.tensor([_rgb(c) for c in class_colours(labels)])
    known = labels.labelled()
    colour = palette[labels.labels.long()].permute(3, 0, 1, 2) * _shading(known)
    return RadianceGrid(
        rgb=colour.clamp(0, 1),
        density=known[None].float() * _ALPHA,
        box=labels.box,
        density_kind="alpha",
    )


def class_colours(labels: LabelGrid) -> tuple[str, ...]:
    """A colour (``#rrggbb``) per class id; neighbouring ids differ, void is white."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    strong, pale = range(0, 20, 2), range(1, 20, 2)
    wheel = [to_hex(colormaps["tab20"](i)) for i in (*strong, *pale)]
    wheel += [to_hex(colormaps["tab20b"](i)) for i in (*range(0, 20, 4), *range(2, 20, 4))]
    count = len(labels.class_names)
    colours = [wheel[(i - 1) % len(wheel)] for i in range(count)]
    colours[labels.void] = _VOID
    return tuple(colours)


def legend_entries(labels: LabelGrid) -> list[tuple[str, str]]:
    """(class name, colour) of the classes that occur, most voxels first."""
    counts, colours = labels.counts().tolist(), class_colours(labels)
    ids = [i for i, n in enumerate(counts) if n and i != labels.void]
    return [(labels.class_names[i], colours[i]) for i in sorted(ids, key=lambda i: -counts[i])]


def _shading(known: Tensor) -> Float[Tensor, "1 x y z"]:
    """Light from above: brightness by the slope of the smoothed occupancy."""
    smooth = F.avg_pool3d(known[None, None].float(), 3, stride=1, padding=1)[0, 0]
    padded = F.pad(smooth[None, None], (1, 1, 1, 1, 1, 1), mode="replicate")[0, 0]
    inner = slice(1, -1)
    slopes = [
        padded[:-2, inner, inner] - padded[2:, inner, inner],
        padded[inner, :-2, inner] - padded[inner, 2:, inner],
        padded[inner, inner, :-2] - padded[inner, inner, 2:],
    ]
    normal = F.normalize(torch.stack(slopes), dim=0)
    light = F.normalize(torch.tensor(_LIGHT), dim=0)
    return (0.78 + 0.28 * torch.einsum("a,axyz->xyz", light, normal))[None].clamp(0, 1)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue
