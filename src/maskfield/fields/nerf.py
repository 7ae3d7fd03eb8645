"""NeRFField: the vanilla NeRF of arXiv 2003.08934, two MLPs, as a field of the house.

Foreign checkpoints are read by ``nerf_convert``. World coordinates go in as they are: a field keeps
the world of the data it was trained on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from maskfield.core.config import from_dict, to_dict
from maskfield.core.files import StrPath
from maskfield.engine.checkpoint import save_weights
from maskfield.fields.nerf_config import NeRFConfig, NeRFNetworkConfig, NeRFViewing
from maskfield.geometry.cameras import Cameras
from maskfield.geometry.rays import Rays
from maskfield.nn.positional import octave_code
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, FusedRender, RaySamples
from maskfield.rendering.ndc import NDC, NDCSampler
from maskfield.rendering.samplers import ImportanceSampler, Sampler, StratifiedSampler
from maskfield.rendering.sparse import SparseSampler

KIND = "NeRFField"


class NeRFNetwork(nn.Module):
    """One MLP: points and viewing directions to raw colour and density."""

    def __init__(self, config: NeRFNetworkConfig) -> None:
        super().__init__()
        self.config, c = config, config
        code = c.code_width(c.point_octaves)
        inside = [code] + [c.width + code * (i in c.skips) for i in range(1, c.depth)]
        self.layers = nn.ModuleList(nn.Linear(n, c.width) for n in inside)
        if c.view_octaves is None:
            self.output = nn.Linear(c.width, c.outputs)
            return
        self.density, self.feature = nn.Linear(c.width, 1), nn.Linear(c.width, c.width)
        self.view = nn.Linear(c.width + c.code_width(c.view_octaves), c.view_width)
        self.colour = nn.Linear(c.view_width, 3)

    def forward(
        self, points: Float[Tensor, "*n 3"], directions: Float[Tensor, "*m 3"]
    ) -> Float[Tensor, "*n 4"]:
        """Raw (r, g, b, sigma), before sigmoid and ReLU.

        Args:
            directions: unit vectors, broadcast against the points (one per ray is enough).
        """
        h = self._trunk(points)
        c = self.config
        if c.view_octaves is None:
            return self.output(h)[..., :4]
        feature = F.relu(self.feature(h)) if c.activate_feature else self.feature(h)
        # one product per ray for the direction's share of the layer, instead of one per sample
        along, across = self.view.weight[:, : c.width], self.view.weight[:, c.width :]
        code = octave_code(directions, c.view_octaves, include_input=c.include_input)
        seen = F.relu(F.linear(feature, along) + F.linear(code, across, self.view.bias))
        return torch.cat([self.colour(seen), self.density(h)], dim=-1)

    def _trunk(self, points: Tensor) -> Tensor:
        c = self.config
        code = octave_code(points, c.point_octaves, include_input=c.include_input)
        h = code
        for i, layer in enumerate(self.layers):
            h = layer(torch.cat([code, h], dim=-1) if i in c.skips else h)
            h = F.relu(h) if i > 0 or c.activate_first else h
        return h

    @property
    def sample_bytes(self) -> int:
        """Activations of one sample."""
        c = self.config
        return 4 * (c.width * (2 * c.depth + 2) + 3 * c.code_width(c.point_octaves))


class NetworkField(nn.Module):
    """One network as a field."""

    def __init__(self, config: NeRFNetworkConfig) -> None:
        super().__init__()
        self.network = NeRFNetwork(config)

    def raw(self, samples: RaySamples) -> Float[Tensor, "ray sample 4"]:
        """Raw (r, g, b, sigma) of samples; directions need not be unit vectors."""
        return self.network(samples.points, F.normalize(samples.directions, dim=-1))

    def forward(self, samples: RaySamples) -> FieldOutput:
        """Colour and density; masked samples cost nothing and get zeros."""
        if bool(samples.mask.all()):
            raw = self.raw(samples)
            return FieldOutput(colour=torch.sigmoid(raw[..., :3]), density=F.relu(raw[..., 3]))
        mask = samples.mask
        directions = F.normalize(samples.directions, dim=-1).expand(samples.points.shape)[mask]
        raw = self.network(samples.points[mask], directions)
        blank = samples.points.new_zeros(samples.points.shape)
        return FieldOutput(
            colour=blank.masked_scatter(mask[..., None], torch.sigmoid(raw[:, :3])),
            density=blank[..., 0].masked_scatter(mask, F.relu(raw[:, 3])),
        )

    def prepare(self, views: object | None = None) -> NetworkField:
        return self

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        return None

    @property
    def sample_bytes(self) -> int:
        return self.network.sample_bytes


class NeRFField(nn.Module):
    """Coarse and fine network with the settings they are rendered with; speaks the Field protocol.

    Asked for samples the fine network answers (the coarse one when it is alone).
    """

    def __init__(self, config: NeRFConfig) -> None:
        super().__init__()
        self.config = config
        self.coarse = NetworkField(config.coarse)
        self.fine = None if config.fine is None else NetworkField(config.fine)

    @property
    def shown(self) -> NetworkField:
        """The network that makes the pixels."""
        return self.coarse if self.fine is None else self.fine

    @property
    def proposal(self) -> NetworkField:
        """The network that says where to look."""
        return self.coarse

    def forward(self, samples: RaySamples) -> FieldOutput:
        return self.shown(samples)

    def prepare(self, views: object | None = None) -> NeRFField:
        return self

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        return None

    @property
    def sample_bytes(self) -> int:
        return self.shown.sample_bytes

    # ------------------------------------------------------------ how it is rendered

    @property
    def viewing(self) -> NeRFViewing:
        return self.config.viewing

    def with_viewing(self, viewing: NeRFViewing) -> NeRFField:
        """Change how the field is sampled, in place."""
        self.config = replace(self.config, viewing=viewing)
        return self

    @property
    def planar(self) -> bool:
        """near and far are depths along camera z: rays keep directions with z = 1."""
        return self.viewing.ndc is None

    def sampler(self, *, jitter: bool = False, skip: float = 0.0) -> Sampler:
        """Coarse samples from near to far inclusive, then fine ones, all of them rendered.

        Args:
            skip: above 0, samples where the coarse network saw less than this weight are left out.
        """
        v = self.viewing
        first = StratifiedSampler(
            count=v.coarse_samples,
            jitter=jitter,
            spacing=v.spacing,
            layout="ends",
            interval="next",
        )
        sampler: Sampler = first
        if v.fine_samples > 0:
            looking = ImportanceSampler(
                coarse=first,
                fine=v.fine_samples,
                jitter=jitter,
                proposal=self.coarse,
                compositing=self.compositing(),
            )
            sampler = looking if skip == 0 else SparseSampler(sampler=looking, least=skip)
        ndc = self.ndc()
        return sampler if ndc is None else NDCSampler(sampler=sampler, ndc=ndc)

    def compositing(self) -> Compositing:
        """As the original code composites."""
        return Compositing(
            background=self.viewing.background, last_interval="1e10", norm_in_delta=self.planar
        )

    def ndc(self) -> NDC | None:
        """The cube of a forward-facing field; its reference camera is the world's origin."""
        if self.viewing.ndc is None:
            return None
        focal, width, height = self.viewing.ndc
        upright = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # OpenGL axes to ours
        pose = torch.cat([upright, torch.zeros(3, 1)], dim=1)
        return NDC(camera_to_world=pose, focal=focal, width=width, height=height)

    def rays(self, cameras: Cameras, index: int) -> Rays:
        """Every pixel's ray between the field's near and far planes."""
        rays, v = cameras.image_rays(index), self.viewing
        if not self.planar:
            return replace(rays, near=torch.full_like(rays.near, v.near), far=rays.far)
        along_z = rays.directions @ cameras.forward_axes[index]
        return replace(rays, near=v.near / along_z, far=v.far / along_z)


def save_nerf(field: NeRFField, path: StrPath) -> None:
    """Write a field as ``.safetensors``.

    Raises:
        StorageError: the file cannot be written.
    """
    save_weights(path, field.state_dict(), {"conventions": nerf_header(field)})


def nerf_header(field: NeRFField) -> dict[str, Any]:
    """Plain data from which :func:`nerf_from_weights` rebuilds the field."""
    return {"kind": KIND, "nerf": to_dict(field.config)}


def nerf_from_weights(weights: dict[str, Tensor], header: dict[str, Any]) -> NeRFField:
    """A field from its stored tensors and :func:`nerf_header`."""
    field = NeRFField(from_dict(NeRFConfig, header["nerf"]))
    field.load_state_dict(weights)
    return field
