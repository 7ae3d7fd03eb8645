"""Fused fitting of a voxel field against its torch twins: rays per second, forward and backward.

    python benchmarks/bench_fit.py [--rays 4096] [--longest 128] [--patch 4] [--steps 1000]

Same rays, same samples, equal results: the fused pass, the twin on embedding_bag and the twin on
grid_sample give the loss and the gradients of density and colour; medians of warm runs that
alternate in one process, each after two untimed ones of its own path, as steps of a fit follow each
other. Rays come in squares of --patch x --patch pixels, as the fine stage of a fit draws them.
grid_sample is timed twice: on our channels-last
volume, which torch reads several times faster, and on a volume stored channels first, torch's
usual layout. Peak memory comes from one fresh process per path.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _common import environment_line, medians, peak_memory_mb, save_result, time_alternating

from maskfield.data.synthetic.rooms import room_scene
from maskfield.engine.config import RunConfig
from maskfield.fields.config import VoxelFitConfig, quick
from maskfield.fields.fit import fit_config
from maskfield.fields.fused_step import FusedStep
from maskfield.fields.photos import PixelBatch
from maskfield.fields.sampler import VoxelMarch
from maskfield.fields.step_types import StepRates
from maskfield.fields.task import VoxelFitTask
from maskfield.fields.unfused import Unfused
from maskfield.fields.voxel import VoxelField, field_from_weights
from maskfield.fields.voxel_update import spread
from maskfield.ops.trilinear import TrilinearBackend
from maskfield.rendering.compositing import Compositing
from maskfield.rendering.field import FieldOutput, RaySamples
from maskfield.rendering.renderer import render

PATHS = (
    "fused",
    "fused, as fitted",
    "embedding_bag",
    "grid_sample",
    "grid_sample, channels first",
)
W_MIN = VoxelFitConfig().w_min  # a fit gives samples of smaller weight no colour
RATES = StepRates(
    lr_density=0.0,
    lr_colour=0.0,
    beta=0.0,
    tv_density=0.0,
    tv_colour=0.0,
    sparsity=0.0,
    distortion=0.0,
    w_min=-1.0,
)
Gradients = tuple[float, torch.Tensor, torch.Tensor]


def prepared(rays: int, longest: int, patch: int, steps: int) -> tuple[VoxelField, PixelBatch]:
    """A field fitted to a procedural room, so that space is empty and surfaces are opaque where
    they should be, and one batch of its pixels."""
    torch.manual_seed(0)
    method = replace(quick(), resolutions=(longest // 2, longest))
    base = fit_config("quick")
    config: RunConfig = replace(base, method=method, engine=replace(base.engine, steps=steps))
    task = VoxelFitTask(config, room_scene(0, views=24, width=120, height=90))
    for step in range(steps):
        task.optimise(step, step)
    return task.model, task.photographs.draw(rays, np.random.default_rng(0), patch)


def fused(field: VoxelField, batch: PixelBatch, step: FusedStep, w_min: float = -1.0) -> float:
    """Loss and compact gradients by the fused pass, as a fitting step makes and sums them."""
    loss = _run_fused(field, batch, step, w_min)
    step.gradient.clear()
    return loss


def dense(field: VoxelField, batch: PixelBatch, step: FusedStep, w_min: float) -> Gradients:
    """The same with the gradients written into dense tensors, for the comparison of results."""
    loss = _run_fused(field, batch, step, w_min)
    density, colour = torch.zeros_like(field.density), torch.zeros_like(field.colour)
    flat = density.numpy().reshape(-1), colour.numpy().reshape(-1, colour.shape[-1])
    step.gradient.each(lambda touched, rows, a, b: spread(touched, rows, a, b, *flat))
    step.gradient.clear()
    return loss, density, colour


def _run_fused(field: VoxelField, batch: PixelBatch, step: FusedStep, w_min: float) -> float:
    offset = np.full(len(batch.rays), 0.5, np.float32)
    gains = np.ones((int(batch.image.max()) + 1, 3), np.float32)
    report = step.gradients(field, batch, offset, gains, replace(RATES, w_min=w_min))
    step.gradient.merge()
    return report.squared_error


class ChannelsFirst(Unfused):
    """The twin on a colour volume [channel, x, y, z], as torch's grid_sample is usually given."""

    def __init__(self, field: VoxelField) -> None:
        super().__init__(field, "grid_sample")
        colour = field.colour.detach().permute(3, 0, 1, 2).contiguous()
        self.colour = colour.requires_grad_()

    def __call__(self, samples: RaySamples) -> FieldOutput:
        volumes = {"density": self.field.density, "colour": self.colour.permute(1, 2, 3, 0)}
        return torch.func.functional_call(self.field, volumes, (samples, self.backend))


def twin(field: VoxelField, batch: PixelBatch, backend: TrilinearBackend) -> Gradients:
    """The same through torch and autograd."""
    return _run_twin(Unfused(field, backend), field.colour, batch)


def twin_channels_first(unfused: ChannelsFirst, batch: PixelBatch) -> Gradients:
    """The same with torch's usual layout of the colours."""
    loss, density, colour = _run_twin(unfused, unfused.colour, batch)
    return loss, density, colour.permute(1, 2, 3, 0)


def _run_twin(unfused: Unfused, colours: torch.Tensor, batch: PixelBatch) -> Gradients:
    field = unfused.field
    compositing = Compositing(early_stop=field.settings.stop, backend="torch")
    out = render(unfused, batch.rays, VoxelMarch(), compositing, memory_mb=1 << 14)
    behind = torch.from_numpy(batch.background)
    shown = out.colour + (1 - out.opacity[:, None]) * behind
    loss = (shown - torch.from_numpy(batch.target)).square().sum() / 3
    density, colour = torch.autograd.grad(loss, [field.density, colours])
    return float(loss.detach()), density, colour


def calls(field: VoxelField, batch: PixelBatch) -> dict[str, Callable[[], object]]:
    """The paths on one batch, as they are timed."""
    step, first = FusedStep(field, torch.get_num_threads()), ChannelsFirst(field)
    return {
        "fused": lambda: fused(field, batch, step),
        "fused, as fitted": lambda: fused(field, batch, step, W_MIN),
        "embedding_bag": lambda: twin(field, batch, "embedding_bag"),
        "grid_sample": lambda: twin(field, batch, "grid_sample"),
        "grid_sample, channels first": lambda: twin_channels_first(first, batch),
    }


def agreement(field: VoxelField, batch: PixelBatch) -> dict[str, float]:
    """Largest difference from the fused result, relative to the largest gradient."""
    step = FusedStep(field, torch.get_num_threads())
    loss, density, colour = dense(field, batch, step, -1.0)
    others = {
        "fused, as fitted": dense(field, batch, step, W_MIN),
        "embedding_bag": twin(field, batch, "embedding_bag"),
        "grid_sample": twin(field, batch, "grid_sample"),
        "grid_sample, channels first": twin_channels_first(ChannelsFirst(field), batch),
    }
    found = {}
    for name, (other_loss, other_density, other_colour) in others.items():
        found[name] = max(
            abs(other_loss - loss) / loss,
            float((other_density - density).abs().max() / density.abs().max()),
            float((other_colour - colour).abs().max() / colour.abs().max()),
        )
    return found


def _memory(name: str, folder: str, queue) -> None:
    weights, header, batch = torch.load(Path(folder) / "state.pt", weights_only=False)
    field = field_from_weights(weights, header)
    before = peak_memory_mb()
    calls(field, batch)[name]()
    queue.put((before, peak_memory_mb()))


def memory(name: str, folder: str) -> float:
    """MiB by which one pass raises the peak of a fresh process that holds the field."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_memory, args=(name, folder, queue))
    process.start()
    before, after = queue.get()
    process.join()
    return after - before


def memories(field: VoxelField, batch: PixelBatch) -> dict[str, float]:
    """:func:`memory` of every path."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save((field.state_dict(), field.header(), batch), Path(folder) / "state.pt")
        return {name: memory(name, folder) for name in PATHS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rays", type=int, default=4096)
    parser.add_argument("--longest", type=int, default=128)
    parser.add_argument("--patch", type=int, default=VoxelFitConfig().patches[-1])
    parser.add_argument("--steps", type=int, default=1000, help="of the fit before")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    field, batch = prepared(options.rays, options.longest, options.patch, options.steps)
    paths = calls(field, batch)
    differences = agreement(field, batch)
    seconds = medians(time_alternating(paths, options.repeats, lead=2))
    extra = memories(field, batch)
    samples = VoxelMarch()(batch.rays, field).mask.sum().item()
    print(environment_line())
    print(f"{options.rays} rays, {samples} samples, {field.resolution} voxels")
    for name in PATHS:
        rate, ratio = options.rays / seconds[name], seconds[name] / seconds["fused"]
        difference = differences.get(name, 0.0)
        print(
            f"{name:28} {rate:10.0f} rays/s   x{ratio:6.1f}"
            f"   {extra[name]:8.0f} MiB   difference {difference:.1e}"
        )
    result = {
        "rays": options.rays,
        "patch": options.patch,
        "samples": samples,
        "resolution": list(field.resolution),
        "rays_per_s": {n: options.rays / seconds[n] for n in PATHS},
        "speedup": {n: seconds[n] / seconds["fused"] for n in PATHS[1:]},
        "extra_memory_mib": extra,
        "relative_difference": differences,
    }
    save_result("bench_fit", result)


if __name__ == "__main__":
    main()
