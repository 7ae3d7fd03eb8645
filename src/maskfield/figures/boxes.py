"""Boxes over grids and photographs: what was found, and beside it the truth where it is known."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from maskfield.data.radiance_grid import RadianceGrid
from maskfield.data.scene import Scene
from maskfield.figures.grids import View, grid_picture, view_camera
from maskfield.figures.legend import legend_strip
from maskfield.figures.lines import Mark, Stroke, draw_lines
from maskfield.figures.pictures import Picture, beside, stacked, table_of, to_picture
from maskfield.geometry.boxes import Boxes3D
from maskfield.geometry.cameras import Cameras

FOUND, TRUTH = "#e4520b", "#0f9d58"
_EDGES = [(i, i ^ bit) for i in range(8) for bit in (1, 2, 4) if i < i ^ bit]
_NEAR = 0.02  # of the boxes' longest side
_PHOTO_HEIGHT = 260
_MOST_MARKS = 30  # more numbers hide each other


def box_views(
    grid: RadianceGrid,
    boxes: Boxes3D,
    truth: Boxes3D | None = None,
    *,
    width: int = 480,
    height: int = 400,
) -> Picture:
    """A grid from above and in perspective with boxes over it, numbered by rank, and a legend."""
    views: tuple[View, ...] = ("top", "corner")
    pictures = [
        box_view(grid, boxes, truth, view=view, width=width, height=height) for view in views
    ]
    row = beside(pictures, ("from above", "perspective"))
    return stacked([row, legend_strip(_entries(boxes, truth), row.shape[1])])


def box_view(
    grid: RadianceGrid,
    boxes: Boxes3D,
    truth: Boxes3D | None = None,
    *,
    view: View = "corner",
    width: int = 480,
    height: int = 400,
) -> Picture:
    """One view of a grid with boxes over it; see :func:`maskfield.figures.grids.grid_picture`."""
    picture = grid_picture(grid, view=view, width=width, height=height)
    camera, _ = view_camera(grid.box.float(), view, width, height)
    return draw_boxes(picture, camera, boxes, truth)


def box_photographs(
    scene: Scene, boxes: Boxes3D, truth: Boxes3D | None = None, *, count: int = 6, columns: int = 3
) -> Picture:
    """Photographs with the boxes projected through their cameras, chosen so that most are seen."""
    chosen = best_photographs(scene.cameras, boxes if len(boxes) else truth, count)
    pictures = [_photograph(scene, index, boxes, truth) for index in chosen]
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    sheet = table_of(rows)
    return stacked([sheet, legend_strip(_entries(boxes, truth), sheet.shape[1])])


def best_photographs(cameras: Cameras, boxes: Boxes3D | None, count: int) -> list[int]:
    """Cameras that together see most boxes, each adding what the earlier ones see least."""
    count = min(count, len(cameras))
    if boxes is None or len(boxes) == 0:
        return [i * len(cameras) // count for i in range(count)]
    weight = boxes_seen(cameras, boxes).float()  # [camera, box]
    chosen: list[int] = []
    for _ in range(count):
        times = weight[chosen].sum(0) if chosen else torch.zeros(len(boxes))
        gain = (weight / (1 + times) ** 2).sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
    return sorted(chosen)


def boxes_seen(cameras: Cameras, boxes: Boxes3D) -> Bool[Tensor, "camera box"]:
    """Whether the centre of each box lies in each image (walls are not thought of)."""
    pixels, depth = cameras.project(boxes.centre.to(cameras.intrinsics))
    size = pixels.new_tensor([cameras.width, cameras.height])
    return (depth > _near(boxes)) & ((pixels >= 0) & (pixels <= size)).all(-1)


def draw_boxes(
    picture: Picture, camera: Cameras, boxes: Boxes3D, truth: Boxes3D | None = None
) -> Picture:
    """A picture with boxes seen by one camera of its size; found boxes are numbered by rank."""
    strokes = [
        Stroke(lines=box_edges(group), colour=colour, width=wide)
        for group, colour, wide in ((truth, TRUTH, 1.4), (boxes, FOUND, 2.0))
        if group is not None and len(group)
    ]
    tops = boxes.centre + boxes.size * boxes.size.new_tensor([0.0, 0.0, 0.5])
    marks = [
        Mark(point=point, text=str(rank + 1), colour=FOUND)
        for rank, point in enumerate(tops[:_MOST_MARKS])
    ]
    near = max(_near(b) for b in (boxes, truth) if b is not None)
    return draw_lines(picture, camera, strokes, marks, near=near)


def box_edges(boxes: Boxes3D) -> Float[Tensor, "line 2 3"]:
    """The twelve edges of every box."""
    corners = boxes.corners().float()
    a, b = (torch.tensor(ends) for ends in zip(*_EDGES, strict=True))
    return torch.stack([corners[:, a], corners[:, b]], dim=2).flatten(0, 1)


def _near(boxes: Boxes3D) -> float:
    return _NEAR * float(boxes.size.max()) if len(boxes) else 1e-6


def _photograph(scene: Scene, index: int, boxes: Boxes3D, truth: Boxes3D | None) -> Picture:
    camera = scene.cameras[index]
    height = _PHOTO_HEIGHT
    width = max(1, round(camera.width * height / camera.height))
    pixels = np.asarray(scene.images[index])
    if scene.opacity is not None:
        share = np.asarray(scene.opacity[index], np.float32)[..., None] / 255
        pixels = to_picture(pixels / 255 * share + 1 - share)
    how = Image.Resampling.BICUBIC if camera.height < height else Image.Resampling.BOX
    resized = np.asarray(Image.fromarray(pixels).resize((width, height), how))
    return draw_boxes(resized, camera.resized(width, height), boxes, truth)


def _entries(boxes: Boxes3D, truth: Boxes3D | None) -> list[tuple[str, str]]:
    found = [(f"found ({len(boxes)})", FOUND)]
    return found if truth is None else [*found, (f"truth ({len(truth)})", TRUTH)]
