"""Training the detector, as the engine sees it (spec nerf_rpn 3, 9, 10)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.data.augment import Probabilities, augment, decide
from maskfield.data.config import GridDataConfig
from maskfield.data.labelled_grids import BoxedGrids, open_boxed
from maskfield.data.network_input import INPUT
from maskfield.engine.batches import ExampleBatches
from maskfield.engine.config import RunConfig, of_kind
from maskfield.engine.distributed import on_device
from maskfield.engine.task import Loaders, StepOutput
from maskfield.methods.nerf_rpn.config import NerfRPNConfig
from maskfield.methods.nerf_rpn.model.outputs import Proposals
from maskfield.metrics.detection import SceneDetections, evaluate

RECIPE = "nerf-rpn:tiny-cpu"
Example = tuple[Float[Tensor, "4 x y z"], Float[Tensor, "n k"]]
Batch = dict[str, list[Tensor]]


class DetectionTask:
    """Find the boxes of radiance grids.

    Metrics: the official figures (``ap_25``, ``ap_50``, ``ap_75``, ``recall_50_top_300`` ...) over
    the held-out grids, one grid at a time unless grids are padded to a fixed cube (quirk Q7).

    Args:
        config: a run whose method is NerfRPNConfig and whose data are GridDataConfig.

    Raises:
        ConfigError: another kind of method or data. DataError: the grids or boxes cannot be used.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.detector_config, self.data = self._checked(config)
        self.train_source, self.validation_source = open_boxed(self.data)
        self.model = self.detector_config.build()

    def _checked(self, config: RunConfig) -> tuple[NerfRPNConfig, GridDataConfig]:
        method = of_kind(
            config.method, NerfRPNConfig, what="detection", field="method", recipe=RECIPE
        )
        return checked_detector(method, config)

    def loaders(self) -> Loaders:
        """Shuffled, augmented training batches and held-out batches in order."""
        return Loaders(
            train=self._batches(self.train_source, train=True),
            validation=self._batches(self.validation_source, train=False),
        )

    def training_step(self, batch: Batch, step: int, generator: torch.Generator) -> StepOutput:
        """Losses of one batch; ``generator`` draws anchors and stochastic depth."""
        parts = self.model.losses(batch["grids"], batch["boxes"], generator)
        counts = {"grids": len(batch["grids"])}
        return StepOutput(loss=torch.stack([*parts.values()]).sum(), parts=parts, counts=counts)

    @torch.no_grad()
    def validate(self, loader: Iterable[Batch]) -> dict[str, float]:
        """Recall and average precision over ``loader``."""
        return evaluate([scene for batch in loader for scene in self.detections(batch)])

    def detections(self, batch: Batch) -> list[SceneDetections]:
        """What is found in every grid of a batch, beside its ground truth."""
        return beside_truth(self.model(batch["grids"]), batch)

    def conventions(self) -> dict[str, Any]:
        """What the network was shown; a checkpoint shown something else is refused."""
        return detector_conventions(self.data)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group: weight decay acts on every trainable tensor (spec nerf_rpn 10)."""
        return [{"params": [p for p in self.model.parameters() if p.requires_grad]}]

    @torch.no_grad()
    def figures(self, directory: Path) -> list[Path]:
        """Held-out grids with the boxes found and the true ones."""
        from maskfield.methods.nerf_rpn.pictures import save_detections

        batch = next(iter(self._batches(self.validation_source, train=False)))
        device = next(self.model.parameters()).device
        batch = {k: [t.to(device) for t in v] for k, v in batch.items()}
        path = directory / "detections.png"
        save_detections([g.cpu() for g in batch["grids"]], self.detections(batch), path)
        return [path]

    @torch.no_grad()
    def answers(self, directory: Path) -> list[Path]:
        """What is found in every held-out grid, in the official files (spec nerf_rpn 2.4).

        ``proposals/NAME.npz``; ``eval.json`` with the curves; ``scenes.json``: per grid, what was
        found, missed and how well.
        """
        from maskfield.methods.nerf_rpn.answers import write_answers

        loader = self._batches(self.validation_source, train=False)
        found: list[SceneDetections] = []
        levels: list[Tensor] = []
        for batch in on_device(loader, next(self.model.parameters()).device):
            proposals = self.model(batch["grids"])
            found += beside_truth(proposals, batch)
            levels += [p.levels.cpu() for p in proposals]
        count = self.detector_config.head.post_nms_count
        names = self.validation_source.names
        return write_answers(directory, names, found, levels, post_nms=count)

    def _batches(self, source: BoxedGrids, *, train: bool) -> ExampleBatches[Example]:
        data = self.data
        alone = not train and self.detector_config.resolution is None
        wanted = Probabilities(
            rotate=data.rotate_prob, flip=data.flip_prob, rotate_and_scale=data.rot_scale_prob
        )
        return ExampleBatches(
            len(source),
            _Read(source, wanted, oriented=self.detector_config.head.rotated),
            collate,
            batch_size=1 if alone else data.batch_size,
            workers=data.workers,
            seed=self.config.seed,
            train=train,
        )


def checked_detector(
    detector: NerfRPNConfig, config: RunConfig
) -> tuple[NerfRPNConfig, GridDataConfig]:
    """The two configs, after making sure that they go together.

    Raises:
        ConfigError: other data, boxes of another kind than the head's, grids larger than the cube.
    """
    data = of_kind(config.data, GridDataConfig, what="detection", field="data", recipe=RECIPE)
    wanted = "obb" if detector.head.rotated else "aabb"
    if data.boxes != wanted:
        raise ConfigError(
            "the head and the data disagree about the kind of boxes",
            field="method.head.rotated, data.boxes",
            value=(detector.head.rotated, data.boxes),
            remedy=f"set data.boxes={wanted}",
        )
    if detector.resolution is not None and detector.resolution < data.resolution:
        raise ConfigError(
            "grids are larger than the cube of the detector",
            field="data.resolution, method resolution",
            value=(data.resolution, detector.resolution),
            remedy="set both to the same number",
        )
    return detector, data


def detector_conventions(data: GridDataConfig) -> dict[str, Any]:
    """What a detector is shown, as its checkpoints say it."""
    return {"kind": "Detector", "input": INPUT, "resolution": data.resolution}


def beside_truth(found: Sequence[Proposals], batch: Batch) -> list[SceneDetections]:
    """A detector's answers for a batch with the batch's boxes, on the CPU."""
    return [
        SceneDetections(
            boxes=p.boxes.float().cpu(), scores=p.scores.float().cpu(), truth=truth.cpu()
        )
        for p, truth in zip(found, batch["boxes"], strict=True)
    ]


def collate(examples: list[Example]) -> Batch:
    """Grids and boxes as two lists: sizes differ."""
    return {"grids": [e[0] for e in examples], "boxes": [e[1] for e in examples]}


@dataclass(frozen=True)
class _Read:
    source: BoxedGrids
    wanted: Probabilities
    oriented: bool

    def __call__(self, index: int, generator: torch.Generator | None) -> Example:
        grid, boxes = self.source[index]
        if generator is None:
            return grid, boxes
        decisions = decide(generator, self.wanted, oriented_boxes=self.oriented)
        turned, moved = augment(grid, boxes, decisions)
        assert moved is not None  # boxes went in
        return turned, moved
