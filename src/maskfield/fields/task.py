"""VoxelFitTask: fit a voxel field to the photographs of one scene, coarse to fine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskfield.core.errors import ConfigError
from maskfield.core.log import get_logger
from maskfield.data.scene import Scene
from maskfield.engine.config import RunConfig
from maskfield.engine.seeding import mixed_seed
from maskfield.engine.task import Loaders, StepOutput
from maskfield.fields.config import VoxelFitConfig
from maskfield.fields.evaluate import evaluate_field
from maskfield.fields.fused_step import FusedStep
from maskfield.fields.photos import Background, Photographs
from maskfield.fields.region import first_box, is_contracted, surface_box, view_shares
from maskfield.fields.step_types import FitStep, StepRates
from maskfield.fields.torch_step import TorchStep
from maskfield.fields.voxel import MULTIPLE, VoxelField, VoxelSettings
from maskfield.geometry.grids import resolution_for_box

_GAIN_RATE = 0.005


class VoxelFitTask:
    """The engine's view of fitting one scene; it does its own updates.

    A batch is only a number: the pixels of a step are drawn by a generator seeded with the run's
    seed and the step, so a resumed run draws the same ones.
    """

    def __init__(self, config: RunConfig, scene: Scene) -> None:
        self.config, self.scene = config, scene.validated()
        self.method: VoxelFitConfig = config.method
        self.model = _first_field(scene, self.method)
        self.photographs = _photographs(scene, self.method, self.model.settings.near)
        self.model.background.copy_(torch.from_numpy(_shown_background(scene, self.photographs)))
        self.stage, self.done, self.refitted = 0, 0, False
        self.moments = self._fresh_moments()
        self.gains = np.ones((len(scene), 3), np.float32)
        self.gain_second = np.zeros((len(scene), 3), np.float32)
        self._step: FitStep | None = None

    @classmethod
    def build(cls, config: RunConfig) -> VoxelFitTask:
        """From a config alone: reads the scene that ``config.data`` names.

        Raises:
            ConfigError: the config names no scene. SceneError: it cannot be read.
        """
        if config.data is None:
            raise ConfigError(
                "a fit needs a scene",
                field="data",
                value=None,
                remedy="set data to {type: scene, path: ...}",
            )
        return cls(config, config.data.build())

    # ------------------------------------------------------------ what the loop asks for

    def loaders(self) -> Loaders:
        return Loaders(train=range(self.config.engine.steps), validation=self._held_out())

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.model.parameters())}]

    def training_step(
        self, batch: int, step: int, generator: torch.Generator | None = None
    ) -> StepOutput:
        """The same as :meth:`optimise`: this task does its own updates."""
        return self.optimise(batch, step)

    def optimise(self, batch: int, step: int) -> StepOutput:
        """One fitting step, after what is due before it: finer voxels, another box, empty cells."""
        generator = np.random.default_rng(mixed_seed(self.config.seed, step))
        self._advance(step, generator)
        pixels = self.photographs.draw(
            self.method.rays[self.stage], generator, self.method.patches[self.stage]
        )
        offset = generator.random(len(pixels.rays), dtype=np.float32)
        rates = self._rates(step)
        report = self._stepper()(self.model, self.moments, pixels, offset, self.gains, rates)
        self.done = step + 1
        if self.method.exposure:
            self._move_gains(report.gain_gradient, rates.lr_colour / self.method.lr_colour)
        mse = torch.tensor(report.squared_error / max(report.rays, 1))
        parts = {
            "mse": mse,
            "psnr": -10 * torch.log10(mse),
            "samples_per_ray": torch.tensor(report.samples / max(report.rays, 1)),
        }
        loss = mse
        if rates.distortion > 0:
            parts["distortion"] = torch.tensor(report.distortion / max(report.rays, 1))
            loss = mse + rates.distortion * parts["distortion"]
        return StepOutput(loss=loss, parts=parts, counts={"rays": report.rays})

    def validate(self, loader: Iterable[int]) -> dict[str, float]:
        """Held-out PSNR and SSIM (the training images' where nothing is held out)."""
        indices = list(loader)
        if self.done < self.config.engine.steps:  # a glance on the way
            indices = indices[:: -(-len(indices) // self.method.validation_images)]
        found = evaluate_field(self.model, self.scene, indices=indices)
        return {"psnr": found.psnr, "ssim": found.ssim}

    def conventions(self) -> dict[str, Any]:
        """What a stored field says of itself; enough to build it again."""
        return {"kind": "VoxelField", **self.model.header()}

    def checkpoint_bytes(self) -> int:
        """Weights and moments at the finest resolution; a box yet to be refitted is a cube."""
        longest = max(self.method.resolutions)
        shape = resolution_for_box(self.model.box, longest, MULTIPLE)
        if not self.refitted and self.method.refit_box >= 0:
            shape = (longest,) * 3
        floats = 1 + self.model.colour.shape[-1] + self.moments.shape[-1]
        return math.prod(shape) * floats * self.model.density.element_size()

    def state_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "done": self.done,
            "refitted": self.refitted,
            "moments": self.moments,
            "gains": torch.from_numpy(self.gains),
            "gain_second": torch.from_numpy(self.gain_second),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stage, self.done = state["stage"], state["done"]
        self.refitted = state["refitted"]
        self.moments = torch.from_numpy(state["moments"].numpy().copy())
        self.gains, self.gain_second = state["gains"].numpy(), state["gain_second"].numpy()
        self._step = None

    # ------------------------------------------------------------ inside

    def _held_out(self) -> list[int]:
        split = "test" if self.scene.split.get("test") else "train"
        return list(self.scene.indices(split))

    def _stepper(self) -> FitStep:
        """The numba pass on the CPU, its torch twin elsewhere."""
        if self._step is None:
            device = self.model.density.device
            self.moments = self.moments.to(device)
            on_cpu = device.type == "cpu"
            threads = torch.get_num_threads()
            self._step = FusedStep(self.model, threads) if on_cpu else TorchStep()
        return self._step

    def _rates(self, step: int) -> StepRates:
        m = self.method
        fall = m.lr_final ** (step / self.config.engine.steps)
        often = m.tv_every if step % m.tv_every == 0 else 0
        return StepRates(
            lr_density=m.lr_density * fall,
            lr_colour=m.lr_colour * fall,
            beta=m.beta,
            tv_density=m.tv_density * often,
            tv_colour=m.tv_colour * often,
            sparsity=m.sparsity * often,
            distortion=m.distortion,
            w_min=m.w_min,
            view_dependent=self.stage >= m.view_from,
        )

    def _advance(self, step: int, generator: np.random.Generator) -> None:
        stage = self.method.stage(step, self.config.engine.steps)
        if stage != self.stage:
            self._refine(stage, generator)
        elif stage > 0 and step % self.method.occupancy_every == 0:
            self.model.update_occupancy(self.method.occupancy_alpha)

    def _refine(self, stage: int, generator: np.random.Generator) -> None:
        box = None
        if not self.refitted and 0 <= self.method.refit_box < stage:
            box = surface_box(self.model, self.photographs, self.method.refit_tail, generator)
            self.refitted = True
        finer = self.model.resampled(box, self.method.resolutions[stage])
        self.model.adopt(finer)
        self.stage, self._step, self.moments = stage, None, self._fresh_moments()
        share = self.model.update_occupancy(self.method.occupancy_alpha)
        get_logger().info(
            "stage %d: %s voxels, %.0f %% of the cells occupied",
            stage + 1,
            "x".join(str(n) for n in self.model.resolution),
            100 * share,
        )

    def _fresh_moments(self) -> Tensor:
        """Second moments of zero; shares from the number of views."""
        moments = np.zeros((self.model.density.numel(), 3), np.float32)
        moments[:, 2] = 1
        if self.method.view_counts:
            moments[:, 2] = view_shares(self.model, self.scene).reshape(-1)
        return torch.from_numpy(moments)

    def _move_gains(self, gradient: np.ndarray, fall: float) -> None:
        """RMSprop on the gains; their mean stays 1, so evaluation needs none."""
        seen = np.abs(gradient).sum(1) > 0
        self.gain_second[seen] = 0.9 * self.gain_second[seen] + 0.1 * gradient[seen] ** 2
        step = gradient / (np.sqrt(self.gain_second) + 1e-8)
        self.gains = self.gains - _GAIN_RATE * fall * step
        self.gains /= self.gains[self.photographs.images].mean(0)


def _first_field(scene: Scene, method: VoxelFitConfig) -> VoxelField:
    box, contracted = first_box(scene, method), is_contracted(scene, method)
    half = float((box[1] - box[0]).max()) / 2
    near = scene.near * 0.9 if scene.near is not None else method.near * half if contracted else 0.0
    settings = VoxelSettings(
        degree=method.degree,
        shell=method.shell if contracted else 0.0,
        shift=method.initial,
        step=method.step,
        stop=method.stop,
        w_min=method.w_min,
        max_samples=method.max_samples,
        near=near,
    )
    return VoxelField(box, method.resolutions[0], settings)


def _photographs(scene: Scene, method: VoxelFitConfig, near: float) -> Photographs:
    chosen: Background = "mean" if scene.opacity is None else "random"
    if method.background != "auto":
        chosen = method.background
    return Photographs(scene, "train", near, chosen)


def _shown_background(scene: Scene, photographs: Photographs) -> np.ndarray:
    """What evaluation puts behind: white behind cut-out objects, else what the fit had there."""
    fixed = {"black": 0.0, "white": 1.0}
    if photographs.background in fixed:
        return np.full(3, fixed[photographs.background], np.float32)
    return np.ones(3, np.float32) if scene.opacity is not None else photographs.mean_colour
