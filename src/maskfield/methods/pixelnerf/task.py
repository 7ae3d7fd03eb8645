"""Training pixelNeRF, as the engine sees it (spec pixelnerf 7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from maskfield.data.object_batches import ObjectBatch, collate_objects, object_example
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.object_sets import ObjectSet, open_objects
from maskfield.engine.batches import ExampleBatches
from maskfield.engine.config import RunConfig, of_kind
from maskfield.engine.distributed import equal_share
from maskfield.engine.task import Loaders, StepOutput
from maskfield.geometry.rays import Rays
from maskfield.methods.pixelnerf.config import PixelNeRFConfig
from maskfield.methods.pixelnerf.losses import level_losses
from maskfield.methods.pixelnerf.model.field import PixelNeRFField
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.predict import score_views
from maskfield.methods.pixelnerf.sampling import coarse_sampler, compositing_of, refinement
from maskfield.methods.pixelnerf.validation import HeldOutView, held_out_views
from maskfield.rendering.levels import render_levels
from maskfield.rendering.renderer import RenderOutput

RECIPE = "pixelnerf:tiny-cpu"
_ALL_AT_ONCE = float("inf")  # the graph of every chunk is kept anyhow


class PixelNeRFTask:
    """Render new views of objects from a few photographs of them.

    Metrics, over one whole view of each held-out object, for every number n of source views in
    ``data.source_views``: ``psnr_n``, ``ssim_n``, and the PSNR of two answers without a network,
    ``psnr_n_nearest_source`` and ``psnr_n_mean_image``; ``psnr`` is the mean of all ``psnr_n``.

    Args:
        config: a run whose method is PixelNeRFConfig and whose data are ObjectDataConfig.

    Raises:
        ConfigError: another kind of method or data. SceneError, DataError: unusable objects.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.method = of_kind(
            config.method, PixelNeRFConfig, what="pixelNeRF", field="method", recipe=RECIPE
        )
        self.data = of_kind(
            config.data, ObjectDataConfig, what="pixelNeRF", field="data", recipe=RECIPE
        )
        self.train_objects, self.held_out_objects = open_objects(self.data)
        self.model: PixelNeRF = self.method.build()

    def loaders(self) -> Loaders:
        """Shuffled batches of objects with random views and rays; whole views of other objects."""
        data = self.data
        train = ExampleBatches(
            len(self.train_objects),
            _Read(self.train_objects, data),
            collate_objects,
            batch_size=data.batch_size,
            workers=data.workers,
            seed=self.config.seed,
            train=True,
        )
        return Loaders(train=train, validation=self._held_out())

    def training_step(
        self, batch: ObjectBatch, step: int, generator: torch.Generator
    ) -> StepOutput:
        """Colour losses over the rays of every object; ``generator`` draws views and samples."""
        numbers = self.data.source_views
        chosen = int(torch.randint(len(numbers), (1,), generator=generator))
        batch = batch.with_sources(numbers[chosen])
        targets = batch.boxed if step < self.method.boxed_steps else batch.anywhere
        encoded = self.model.encode(batch.images, batch.poses, batch.intrinsics)
        seen = step * self.data.batch_size * self.config.engine.accumulate
        rows = []
        for index in range(len(batch)):
            field = self.model.field(encoded, index)
            levels = self._levels(field, targets.rays(index), seen, generator)
            rows.append(level_losses(*levels, targets.colours[index], self.method.loss))
        parts = {k: torch.stack([row[k] for row in rows]).mean() for k in rows[0]}
        return StepOutput(
            loss=torch.stack([*parts.values()]).sum(),
            parts={k: v.detach() for k, v in parts.items()},
            counts={"rays": targets.colours.shape[:2].numel()},
        )

    @torch.no_grad()
    def validate(self, loader: Iterable[tuple[int, HeldOutView]]) -> dict[str, float]:
        """See the class; views are rendered without noise."""
        means = score_views(self.model, loader)
        return means | {"psnr": mean(means[f"psnr_{n}"] for n in self.data.source_views)}

    def share(self, batch: ObjectBatch, rank: int, world: int) -> ObjectBatch:
        """One process's objects of a batch."""
        return batch[equal_share(len(batch), rank, world)]

    def conventions(self) -> dict[str, Any]:
        """What the network was shown; a checkpoint shown something else is refused."""
        return pixelnerf_conventions()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group: everything that learns."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]

    @torch.no_grad()
    def figures(self, directory: Path) -> list[Path]:
        """Held-out objects: source view, true view, rendered view, its opacity and depth."""
        from maskfield.methods.pixelnerf.pictures import save_views

        path = directory / "views.png"
        save_views(self.model, [view for _, view in self._held_out()], path)
        return [path]

    @torch.no_grad()
    def answers(self, directory: Path) -> list[Path]:
        """Every other view of every held-out object as PNG, its scores, means per category."""
        from maskfield.methods.pixelnerf.answers import write_answers

        numbers = self.data.source_views
        return write_answers(self.model, self.held_out_objects, numbers, directory)

    def _levels(
        self, field: PixelNeRFField, rays: Rays, seen: int, generator: torch.Generator
    ) -> tuple[RenderOutput, RenderOutput]:
        """Both passes over one object's rays, jittered."""
        sampling = self.method.sampling
        return render_levels(
            field.proposal,
            field,
            rays,
            coarse_sampler(sampling, seen=seen),
            refinement(sampling, seen=seen),
            compositing_of(self.method),
            generator=generator,
            memory_mb=_ALL_AT_ONCE,
        )

    def _held_out(self) -> list[tuple[int, HeldOutView]]:
        """Views to render, with their numbers of source views."""
        return [
            (sources, view)
            for sources in self.data.source_views
            for view in held_out_views(self.held_out_objects, self.train_objects, sources)
        ]


def pixelnerf_conventions() -> dict[str, Any]:
    """Of every pixelNeRF, trained here or officially."""
    return {"kind": "PixelNeRF", "input": "images in [-1, 1]", "axes": "OpenGL camera"}


@dataclass(frozen=True)
class _Read:
    """One training example; picklable for loader processes."""

    objects: ObjectSet
    data: ObjectDataConfig

    def __call__(self, index: int, generator: torch.Generator | None) -> ObjectBatch:
        return object_example(self.objects[index], self.data, generator)
