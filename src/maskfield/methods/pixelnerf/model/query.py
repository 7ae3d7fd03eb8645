"""Points of one object through its source views: coordinates, features, colour and density.

Legend: s coordinates in a source camera's axes, z image features, x what the MLP starts from.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from maskfield.methods.pixelnerf.config import PixelNeRFConfig
from maskfield.methods.pixelnerf.model.frozen import FeatureTable, can_stand_still, frozen_mlp
from maskfield.methods.pixelnerf.model.resnetfc import Conditioning, ResnetFC
from maskfield.methods.pixelnerf.model.views import EncodedViews, projected, turned
from maskfield.nn.positional import PositionalCode
from maskfield.ops.bilinear import bilinear_corners, look_up


class ObjectViews:
    """The encoded source views of one object, ready for queries by either MLP.

    Args:
        project: apply the MLP's feature layers to the whole maps once and look the results up
            (they are linear, and so is the look-up: equal up to rounding); False: at every point.
            None chooses what multiplies fewer numbers.
    """

    def __init__(
        self,
        config: PixelNeRFConfig,
        code: PositionalCode | None,
        encoded: EncodedViews,
        index: int,
        *,
        project: bool | None = None,
    ) -> None:
        self.config, self.code, self.project = config, code, project
        self.poses, self.intrinsics = encoded.poses[index], encoded.intrinsics[index]
        self.size = encoded.size
        self.features = None if encoded.features is None else encoded.features[index]
        self.vectors = None if encoded.vectors is None else encoded.vectors[index]
        self.lookup = getattr(config.encoder, "lookup", "bilinear")
        self.padding = getattr(config.encoder, "padding", "border")
        self._rows: dict[bool, Tensor] = {}
        self._tables: dict[tuple[ResnetFC, bool], Tensor] = {}

    @property
    def views(self) -> int:
        return self.poses.shape[0]

    def query(
        self,
        mlp: ResnetFC,
        points: Float[Tensor, "point 3"],
        directions: Float[Tensor, "ray 3"],
        *,
        bf16: bool = False,
    ) -> tuple[Float[Tensor, "point 3"], Float[Tensor, " point"]]:
        """Colour in [0, 1] and density >= 0; arguments as for :meth:`raw`."""
        return activated_output(self.raw(mlp, points, directions, bf16=bf16))

    def raw(
        self,
        mlp: ResnetFC,
        points: Float[Tensor, "point 3"],
        directions: Float[Tensor, "ray 3"],
        *,
        bf16: bool = False,
    ) -> Float[Tensor, "point 4"]:
        """What the MLP puts out: colour before the sigmoid, density before the cut at zero.

        Args:
            directions: one per ray; the points come ray by ray, equally many on each.
            bf16: multiply the matrices of the blocks in bfloat16; what flows from block to block,
                features, the first and the last layer keep float32.
        """
        s, local = self.coordinates(points)
        x, pixels = self.inputs(s, directions), self.image_points(local)
        if self._stands_still(mlp, pixels):
            return self._frozen(mlp, x, pixels, bf16).to(points.dtype)
        given = self.conditioning(mlp, pixels)
        if bf16:
            y = mlp.start(x)
            with torch.autocast(x.device.type, torch.bfloat16):
                y = mlp.body(y, given)
            return mlp.finish(y)
        return mlp(x, given).to(points.dtype)  # colours in the few bits of autocast would show

    def _stands_still(self, mlp: ResnetFC, pixels: Float[Tensor, "view point 2"]) -> bool:
        """Whether nothing but points may want gradients, and feature layers are applied once."""
        if self.features is None or not can_stand_still(mlp, self.views):
            return False
        maps = [t for t in (self.features, self.vectors) if t is not None]
        learns = torch.is_grad_enabled() and any(t.requires_grad for t in maps)
        return not learns and self._projects(mlp, pixels.shape[1])

    def _frozen(
        self, mlp: ResnetFC, x: Float[Tensor, "view point d_in"], pixels: Tensor, bf16: bool
    ) -> Float[Tensor, "point 4"]:
        kind = x.device.type
        bf16 = bf16 or torch.is_autocast_enabled(kind)
        with torch.autocast(kind, enabled=False):  # tables are made once: in full
            base = None if self.padding == "border" else self._base(mlp)
            table = FeatureTable(rows=self._table(mlp), base=base, bf16=bf16)
        return frozen_mlp(mlp, x, *self._corners(pixels), table)

    def coordinates(
        self, points: Float[Tensor, "point 3"]
    ) -> tuple[Float[Tensor, "view point 3"], Float[Tensor, "view point 3"]]:
        """What the MLP is told of places (Q2: turned, but not moved), and camera coordinates."""
        axes = turned(self.poses, points)
        local = axes + self.poses[:, None, :, 3]
        return (axes if self.config.normalize_z else local), local

    def image_points(self, local: Float[Tensor, "view point 3"]) -> Float[Tensor, "view point 2"]:
        """Where camera coordinates appear in the source images (pixel centres at + 0.5)."""
        return projected(local, self.intrinsics)

    def inputs(
        self, s: Float[Tensor, "view point 3"], directions: Float[Tensor, "ray 3"]
    ) -> Float[Tensor, "view point d_in"]:
        """Coded coordinates and directions."""
        parts = [s if self.config.xyz else -s[..., 2:]]
        if self.config.directions:
            local = turned(self.poses, directions)[:, :, None]
            share = s.shape[1] // max(directions.shape[0], 1)
            local = local.expand(-1, -1, share, -1).reshape(s.shape[0], -1, 3)
            parts.append(local)
        code, options = self.code, self.config.code
        if code is not None and options is not None:
            if options.directions:
                return code(torch.cat(parts, dim=-1))
            parts[0] = code(parts[0])
        return torch.cat(parts, dim=-1)

    def conditioning(self, mlp: ResnetFC, pixels: Float[Tensor, "view point 2"]) -> Conditioning:
        """What the features at image points say to an MLP's blocks."""
        if mlp.fed_blocks == 0:
            return Conditioning()
        if self.features is None:
            values = self._base(mlp)[:, None].expand(-1, pixels.shape[1], -1)
        elif self._projects(mlp, pixels.shape[1]):
            index, weight = self._corners(pixels)
            values = look_up(self._table(mlp), index, weight)
            values = values if self.padding == "border" else values + self._base(mlp)[:, None]
        else:
            weight = mlp.conditioning_weights()[0][:, self._global_channels :]
            values = F.linear(self.latents(pixels), weight) + self._base(mlp)[:, None]
        return mlp.split_conditioning(values)

    def latents(self, pixels: Float[Tensor, "view point 2"]) -> Float[Tensor, "view point c"]:
        """Features at image points."""
        assert self.features is not None
        if self._fast:
            return look_up(self._channels_last(), *self._corners(pixels))
        return self._grid_sample(pixels)

    def map_scale(self) -> Float[Tensor, " xy"]:
        """Factors from shares of the image to torch's grid coordinates, corners aligned."""
        assert self.features is not None
        size = self.features.new_tensor([self.features.shape[-1], self.features.shape[-2]])
        return 2 * size / (size - 1)

    @property
    def _fast(self) -> bool:
        """Whether look-ups are plain weighted sums of four pixels."""
        return self.lookup == "bilinear" and self.padding in ("border", "zeros")

    @property
    def _global_channels(self) -> int:
        return 0 if self.vectors is None else self.vectors.shape[-1]

    def _projects(self, mlp: ResnetFC, points: int) -> bool:
        assert self.features is not None
        if self.project is not None or not self._fast:
            return bool(self.project) and self._fast
        known = (mlp, self._trains(mlp)) in self._tables
        return known or points >= self.features.shape[-1] * self.features.shape[-2]

    def _trains(self, mlp: ResnetFC) -> bool:
        """Whether what the feature layers make of the maps must carry gradients."""
        assert self.features is not None
        maps = self.features.requires_grad or (
            self.vectors is not None and self.vectors.requires_grad
        )
        wanted = maps or mlp.lin_z[0].weight.requires_grad
        return torch.is_grad_enabled() and bool(wanted)

    def _base(self, mlp: ResnetFC) -> Float[Tensor, "view fed"]:
        """What the blocks hear whatever the pixel: biases, and the global vector's part."""
        weight, bias = mlp.conditioning_weights()
        if self.vectors is None:
            return bias.expand(self.views, -1)
        vectors = self.vectors.to(weight.dtype)
        return F.linear(vectors, weight[:, : self._global_channels], bias)

    def _table(self, mlp: ResnetFC) -> Float[Tensor, "row fed"]:
        """The MLP's feature layers at every pixel of the maps, made once."""
        key = (mlp, self._trains(mlp))  # one made without a graph cannot serve training
        if key not in self._tables:
            weight = mlp.conditioning_weights()[0][:, self._global_channels :]
            table = F.linear(self._channels_last().to(weight.dtype), weight)  # maps may be bfloat16
            if self.padding == "border":  # weights of a look-up then sum to one
                table = (table.unflatten(0, (self.views, -1)) + self._base(mlp)[:, None]).flatten(
                    0, 1
                )
            self._tables[key] = table
        return self._tables[key]

    def _channels_last(self) -> Float[Tensor, "row c"]:
        assert self.features is not None
        key = torch.is_grad_enabled()
        if key not in self._rows:
            rows = self.features.permute(0, 2, 3, 1).reshape(-1, self.features.shape[1])
            self._rows[key] = rows.contiguous()
        return self._rows[key]

    def _map_points(self, pixels: Tensor) -> Tensor:
        """House coordinates on the maps: a map's pixel i stands for image point i * stride + 0.5"""
        assert self.features is not None
        height, width = self.features.shape[-2:]
        scale = pixels.new_tensor([width / self.size[0], height / self.size[1]])
        return (pixels - 0.5) * scale + 0.5

    def _corners(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        assert self.features is not None
        height, width = self.features.shape[-2:]
        padding = "zeros" if self.padding == "zeros" else "border"
        return bilinear_corners(self._map_points(pixels), (width, height), padding)

    def _grid_sample(self, pixels: Tensor) -> Tensor:
        assert self.features is not None
        grid = (pixels - 0.5) * self.map_scale() / pixels.new_tensor(self.size) - 1
        found = F.grid_sample(
            self.features,
            grid[:, :, None],
            mode=self.lookup,
            padding_mode=self.padding,
            align_corners=True,
        )
        return found[..., 0].transpose(1, 2)


def activated_output(
    raw: Float[Tensor, "*n 4"],
) -> tuple[Float[Tensor, "*n 3"], Float[Tensor, "*n"]]:
    """Colour in [0, 1] and density >= 0 of an MLP's raw outputs."""
    return raw[..., :3].sigmoid(), raw[..., 3].relu()
