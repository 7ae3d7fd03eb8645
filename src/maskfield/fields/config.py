"""Options of a fitted voxel field. Torch-free: `--help` and config files need no tensors."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from maskfield.core.config import config
from maskfield.core.errors import ConfigError


@config
class VoxelFitConfig:
    """An explicit voxel field and how it is fitted, coarse to fine.

    Stage i runs ``shares[i]`` of the steps at ``resolutions[i]`` with ``rays[i]`` rays a step.

    Attributes:
        degree: of the spherical harmonics of colour, 0 to 2.
        resolutions: voxels along the longest side, per stage; the border of a contracted field
            (everything outside its box) is included.
        rays: rays per step, per stage.
        shares: fraction of the steps, per stage; they sum to 1.
        contraction: "auto" contracts scenes that are marked unbounded.
        shell: thickness of the contracted space around the box, in half boxes.
        box_scale: size of the first box relative to the scene's (bounded fields) or to the cube
            around the scene's box and all cameras (contracted ones).
        refit_box: after this stage, fit the box to the surfaces seen so far; -1 never.
        refit_tail: share of the surface points left outside on each side when a contracted field's
            box is refitted; a bounded field's box leaves out 0.001 at most.
        step: marching step in voxels.
        initial: density before the first step, before the softplus.
        near: rays start this far from the camera, in half boxes (contracted fields) or, when the
            scene says no near, in scene units.
        lr_density, lr_colour: step lengths of RMSprop; ``lr_final`` is the factor they fall to.
        beta: decay of RMSprop's second moment.
        tv_density, tv_colour: strength of total variation; sparsity: constant pull of density to
            empty; applied, as much stronger, every ``tv_every`` steps. distortion: strength of the
            distortion loss.
        exposure: fit one gain per image and channel; evaluation uses the mean (1).
        background: "auto": random where images have an opacity, so that nothing can hide as
            background; else the photographs' mean colour.
        patches: side of the squares of pixels that rays are drawn in, per stage; neighbours share
            memory and so cost less per ray.
        view_from: the first stage in which colour may depend on the viewing direction.
        view_counts: scale a voxel's density step by the share of views that see it (as DVGO does),
            which keeps matter from growing just before single cameras.
        stop: a ray ends when less light than this is left. w_min: samples with smaller weights get
            no colour.
        occupancy_every: steps between updates of the cells that are skipped, after the first stage.
        occupancy_alpha: opacity of one step below which a cell counts as empty.
        max_samples: most samples on a ray.
        validation_images: held-out images measured during the run; all of them at the end.
    """

    degree: int = 1
    resolutions: tuple[int, ...] = (64, 128, 256)
    rays: tuple[int, ...] = (2048, 4096, 8192)
    shares: tuple[float, ...] = (0.25, 0.25, 0.5)
    contraction: Literal["auto", "on", "off"] = "auto"
    shell: float = 0.5
    box_scale: float = 1.0
    refit_box: int = 0
    refit_tail: float = 0.1
    step: float = 1.0
    initial: float = -5.0
    near: float = 0.1
    lr_density: float = 1.0
    lr_colour: float = 0.3
    lr_final: float = 0.1
    beta: float = 0.95
    tv_density: float = 1e-5
    tv_colour: float = 1e-5
    tv_every: int = 2
    sparsity: float = 1e-6
    distortion: float = 0.0
    exposure: bool = False
    view_counts: bool = True
    background: Literal["auto", "mean", "random", "white", "black"] = "auto"
    patches: tuple[int, ...] = (1, 2, 4)
    view_from: int = 1
    stop: float = 1e-3
    w_min: float = 1e-4
    occupancy_every: int = 100
    occupancy_alpha: float = 2e-3
    max_samples: int = 1024
    validation_images: int = 4

    def __post_init__(self) -> None:
        stages = len(self.resolutions)
        _require("rays", self.rays, len(self.rays) == stages >= 1, "give one number per stage")
        _require("patches", self.patches, len(self.patches) == stages, "give one per stage")
        good = len(self.shares) == stages and abs(sum(self.shares) - 1) < 1e-6
        _require("shares", self.shares, good, "give one fraction per stage, with sum 1")
        _require("degree", self.degree, 0 <= self.degree <= 2, "give 0, 1 or 2")
        _require("resolutions", self.resolutions, min(self.resolutions) >= 4, "give 4 or more")
        for name in ("box_scale", "shell", "step", "lr_density", "lr_colour", "lr_final"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "give a number above 0")
        for name in (
            "tv_density",
            "tv_colour",
            "sparsity",
            "distortion",
            "near",
            "w_min",
            "occupancy_alpha",
        ):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "give 0 or more")
        for name in ("occupancy_every", "tv_every", "max_samples"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "give 1 or more")
        _require("beta", self.beta, 0 <= self.beta < 1, "give a number in [0, 1)")
        _require("stop", self.stop, 0 <= self.stop < 1, "give a number in [0, 1)")
        _require("refit_tail", self.refit_tail, 0 <= self.refit_tail < 0.5, "give less than 0.5")

    def stage(self, step: int, steps: int) -> int:
        """The stage that update ``step`` of ``steps`` belongs to."""
        done, total = 0, 0.0
        for share in self.shares[:-1]:
            total += share
            done += step >= round(total * steps)
        return done


def default() -> VoxelFitConfig:
    """For photographs: minutes on two cores."""
    return VoxelFitConfig()


def quick() -> VoxelFitConfig:
    """For small procedural rooms: under a minute on two cores."""
    return replace(
        default(),
        resolutions=(64, 128),
        rays=(2048, 4096),
        patches=(1, 2),
        shares=(0.6, 0.4),
        refit_box=-1,
    )


PRESETS = {"default": default, "quick": quick}


def _require(name: str, value: object, good: bool, remedy: str) -> None:
    if not good:
        raise ConfigError(
            "an option of the voxel field is out of range", field=name, value=value, remedy=remedy
        )
