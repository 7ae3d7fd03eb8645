"""One encoded object as a radiance field of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from maskfield.core.errors import DataError
from maskfield.methods.pixelnerf.config import RenderOptions
from maskfield.methods.pixelnerf.fast import FastRender
from maskfield.methods.pixelnerf.model.query import ObjectViews
from maskfield.methods.pixelnerf.model.views import EncodedViews, SourceViews
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, FusedRender, RaySamples
from maskfield.rendering.levels import LevelSampler
from maskfield.rendering.samplers import Sampler, StratifiedSampler

if TYPE_CHECKING:
    from maskfield.methods.pixelnerf.model.network import PixelNeRF

_ACTIVATIONS = 8  # arrays of the MLP's width alive at once, per source view


class PixelNeRFField:
    """The second pass's field; ``proposal`` is the first pass's. Both share the source views.

    Args:
        network: in train or eval mode, as its owner wants it.
        encoded: of one or more objects. index: which of them.
        project: see :class:`ObjectViews`. options: how whole images are drawn, their ``project``
            instead of that one; None draws as in training.
    """

    def __init__(
        self,
        network: PixelNeRF,
        encoded: EncodedViews,
        index: int = 0,
        *,
        project: bool | None = None,
        options: RenderOptions | None = None,
    ) -> None:
        project = project if options is None else options.project
        views = ObjectViews(network.config, network.code, encoded, index, project=project)
        self.options = options
        self._set(network, views, proposal=False)

    def _set(self, network: PixelNeRF, views: ObjectViews, *, proposal: bool) -> None:
        self.network, self.views = network, views
        once = network.config.sampling.fine == 0 and not network.config.sampling.schedule
        coarse = proposal or once or network.mlp_fine is None
        self.mlp = network.mlp_coarse if coarse else network.mlp_fine

    @property
    def proposal(self) -> PixelNeRFField:
        """The field of the first pass."""
        field = object.__new__(PixelNeRFField)
        field.options = self.options
        field._set(self.network, self.views, proposal=True)
        return field

    @property
    def sample_bytes(self) -> int:
        """Bytes of intermediate results per sample, for the renderer's memory budget."""
        assert self.mlp is not None
        width = self.mlp.config.hidden
        return 4 * self.views.views * width * (_ACTIVATIONS + self.mlp.fed_blocks)

    def __call__(self, samples: RaySamples) -> FieldOutput:
        """Colour and density of every unmasked sample; masked ones get zeros."""
        assert self.mlp is not None
        mask = samples.mask
        if bool(mask.all()):
            points, along = samples.points.flatten(0, 1), samples.directions[:, 0]
            colour, density = self.views.query(self.mlp, points, along, bf16=self._bf16)
            return FieldOutput(
                colour=colour.reshape(*mask.shape, 3), density=density.reshape(mask.shape)
            )
        directions = samples.directions.expand(samples.points.shape)[mask]
        found, sigma = self.views.query(self.mlp, samples.points[mask], directions, bf16=self._bf16)
        colour = samples.points.new_zeros(samples.points.shape)
        density = samples.t.new_zeros(samples.t.shape)
        colour[mask], density[mask] = found, sigma
        return FieldOutput(colour=colour, density=density)

    @property
    def _bf16(self) -> bool:
        return self.options is not None and self.options.bf16

    def prepare(self, views: object | None = None) -> PixelNeRFField:
        """The field of other source views; None keeps these.

        Raises:
            DataError: not :class:`SourceViews`.
        """
        if views is None:
            return self
        if not isinstance(views, SourceViews):
            raise DataError(
                "pixelNeRF encodes source views",
                field="views",
                value=type(views).__name__,
                remedy="give SourceViews(images, poses, intrinsics)",
            )
        given = (views.images, views.poses, views.intrinsics)
        encoded = self.network.encode(*(part[None] for part in given))
        return PixelNeRFField(
            self.network, encoded, project=self.views.project, options=self.options
        )

    def fused(self, sampler: Sampler, compositing: Compositing) -> FusedRender | None:
        """What ``options`` ask for; None with gradients, noise, or samplers it does not know."""
        options = self.options
        if options is None or options.plain or torch.is_grad_enabled():
            return None
        if not isinstance(sampler, LevelSampler | StratifiedSampler) or sampler.noise_per_ray:
            return None
        if compositing.early_stop or compositing.norm_in_delta:
            return None
        coarse = self.mlp
        if isinstance(sampler, LevelSampler):
            proposal = sampler.proposal or self.proposal
            if not isinstance(proposal, PixelNeRFField) or proposal.views is not self.views:
                return None
            coarse = proposal.mlp
        assert self.mlp is not None
        assert coarse is not None
        return FastRender(
            views=self.views,
            coarse=coarse,
            fine=self.mlp,
            sampler=sampler,
            compositing=compositing,
            options=options,
        )
