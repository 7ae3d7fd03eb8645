"""A picture of cameras as frusta around the scene's box: what `data check` shows."""

from __future__ import annotations

import io

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from maskfield.data.scene import Scene
from maskfield.figures.curves import COLOURS
from maskfield.figures.pictures import trimmed
from maskfield.geometry.cameras import Cameras

_MOST = 150  # more frusta hide each other
_EDGES = [(i, i ^ bit) for i in range(8) for bit in (1, 2, 4) if i < i ^ bit]
_VIEWS = (  # title, elevation, azimuth, the axis along which a flat view looks
    ("perspective", 24, -55, ""),
    ("from above", 90, -90, "z"),
    ("from the side", 0, -90, "y"),
)


def draw_frusta(
    scene: Scene, *, width: float = 4.3, height: float = 4.2
) -> UInt8[np.ndarray, "height width 3"]:
    """Three views of the cameras (training blue, held out red), their frusta and the box."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * len(_VIEWS), height), dpi=110)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.03, top=0.94, wspace=0.06)
    FigureCanvasAgg(figure)
    groups, low, high = _groups(scene), *_limits(scene)
    for index, (title, elevation, azimuth, unseen) in enumerate(_VIEWS):
        axes = figure.add_subplot(1, len(_VIEWS), index + 1, projection="3d")
        _draw(axes, scene, groups)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
        axes.set_box_aspect(high - low, zoom=1.2 if unseen else 0.92)  # type: ignore[arg-type]
        axes.view_init(elevation, azimuth)
        axes.set_title(title, fontsize=9, y=1.0)
        if unseen:
            axes.set_proj_type("ortho")
            axes.set(**{f"{unseen}ticks": [], f"{unseen}label": ""})
        else:
            axes.legend(fontsize=7, loc="upper left", frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return trimmed(np.asarray(Image.open(stream).convert("RGB")))


def frustum_lines(cameras: Cameras, size: float) -> Float[np.ndarray, "camera line=8 end=2 3"]:
    """Eight line segments per camera: four edges from the centre, four round the image."""
    corners = cameras.intrinsics.new_tensor(
        [[0, 0], [cameras.width, 0], [cameras.width, cameras.height], [0, cameras.height]]
    )
    count = len(cameras)
    index = torch.arange(count).repeat_interleave(4)
    rays = cameras.rays(index, corners.repeat(count, 1))
    along = (rays.directions * cameras.forward_axes[index]).sum(-1, keepdim=True)
    tips = (rays.origins + rays.directions / along * size).reshape(count, 4, 3)
    eyes = cameras.centres[:, None].expand(count, 4, 3)
    edges = torch.stack([eyes, tips], dim=2)
    frame = torch.stack([tips, tips.roll(-1, dims=1)], dim=2)
    return torch.cat([edges, frame], dim=1).double().numpy()


def box_lines(box: Float[Tensor, "2 3"]) -> Float[np.ndarray, "line=12 end=2 3"]:
    """The twelve edges of an axis-aligned box."""
    bits = torch.tensor([[(i >> a) & 1 for a in (2, 1, 0)] for i in range(8)])
    corners = torch.where(bits.bool(), box[1], box[0]).double().numpy()
    return np.asarray([(corners[a], corners[b]) for a, b in _EDGES])


def _groups(scene: Scene) -> list[tuple[str, list[int], str]]:
    held_out = {i for name, v in scene.split.items() if name != "train" for i in v}
    step = max(1, -(-len(scene) // _MOST))
    shown = range(0, len(scene), step)
    train = [i for i in shown if i not in held_out]
    test = sorted(held_out)[: _MOST // 3]
    return [("training", train, COLOURS[0]), ("held out", test, COLOURS[1])]


def _limits(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    points = torch.cat([scene.cameras.centres, scene.box]).double().numpy()
    low, high = points.min(0), points.max(0)
    margin = 0.05 * float((high - low).max())
    return low - margin, high + margin


def _draw(axes, scene: Scene, groups: list[tuple[str, list[int], str]]) -> None:
    from mpl_toolkits.mplot3d.art3d import Line3DCollection

    low, high = _limits(scene)
    size = 0.045 * float(np.linalg.norm(high - low))
    axes.add_collection3d(Line3DCollection(box_lines(scene.box), colors="#374151", linewidths=1.2))
    for name, indices, colour in groups:
        if indices:
            lines = frustum_lines(scene.cameras[indices], size).reshape(-1, 2, 3)
            axes.add_collection3d(Line3DCollection(lines, colors=colour, linewidths=0.5, alpha=0.7))
            axes.plot([], [], [], color=colour, label=f"{name} ({len(indices)})")
    axes.plot([], [], [], color="#374151", label="box")
    axes.tick_params(labelsize=6, pad=-2)
    axes.set_xlabel("x", fontsize=7, labelpad=-8)
    axes.set_ylabel("y", fontsize=7, labelpad=-8)
    axes.set_zlabel("z", fontsize=7, labelpad=-8)
