"""What the maps of an encoder say about boxes before any fine-tuning, and how far each token looks.

    python benchmarks/transfer_probe.py [--runs runs]

Probe: ridge regression from the four maps (normalised, at the resolution of the finest) of 32
training rooms, measured on 32 validation rooms, at the occupied 4-voxel cells: is the cell inside
a box (AUC), and where inside are the box's centre and size (R2)? Context: 75 % of the 16-voxel
blocks are emptied; how much do the maps change elsewhere, as a share of their variance?

For encoders as drawn ("scratch"), pre-trained for 2000 steps (seed 0) and 180 ("short"), with the
entries of each tensor shuffled, and of a trained detector ("supervised"). Prints the figures and
writes benchmarks/results/transfer_probe.json; about a minute on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from _common import environment_line, save_result
from torch import Tensor
from transfer_study import FIRST_SEED, first_weights

ENCODERS = ("scratch", "pretraining", "short", "shuffled", "supervised")
CUBE, TOKENS, BLOCKS = 64, 16, 4


def encoder_of(start: str) -> Any:
    """The task of the recipe with the encoder that fine-tuning would start from."""
    from maskfield.engine.seeding import seed_everything
    from maskfield.engine.setup import build_task, initialise
    from maskfield.verbs.finetune import finetune_config

    config = finetune_config(
        "nerf-mae-detect:tiny-cpu", labels="25%", overrides=[f"seed={FIRST_SEED}"]
    )
    seed_everything(config.seed)
    task: Any = build_task(config)
    if start != "scratch":
        initialise(task, config, start)
    task.model.eval()
    return task


def cubes(source: Any) -> Tensor:
    """All grids of a source, padded to the cube, [room, 4, x, y, z]."""
    padded = []
    for i in range(len(source)):
        grid = source[i][0]
        padded.append(F.pad(grid, [n for s in grid.shape[:0:-1] for n in (0, CUBE - s)]))
    return torch.stack(padded)


@torch.no_grad()
def features(task: Any, grids: Tensor) -> Tensor:
    """All four maps side by side at every token, [room, token, channel]."""
    maps = task.model.backbone.encode(grids)
    fine = [F.interpolate(m.float(), size=(TOKENS,) * 3, mode="nearest") for m in maps]
    return torch.cat(fine, 1).flatten(2).transpose(1, 2)


def targets(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Per token: inside a box; offset to the centre and log size of the smallest box around it."""
    axis = (torch.arange(TOKENS) + 0.5) * CUBE / TOKENS
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).view(-1, 1, 3)
    offset = points - boxes[:, :3]
    c, s = boxes[:, 6].cos(), boxes[:, 6].sin()
    x, y = offset[..., 0] * c + offset[..., 1] * s, offset[..., 1] * c - offset[..., 0] * s
    local = torch.stack([x, y, offset[..., 2]], -1)
    inside = (local.abs() <= boxes[:, 3:6] / 2).all(-1)
    chosen = boxes[:, 3:6].prod(-1).where(inside, torch.inf).argmin(1)
    offsets = -offset[torch.arange(len(points)), chosen]
    return inside.any(1), torch.cat([offsets, boxes[chosen, 3:6].log()], 1)


def ridge(x: Tensor, y: Tensor, strength: float = 10.0) -> Callable[[Tensor], Tensor]:
    """A linear predictor of ``y`` from the standardised columns of ``x``."""
    mean, spread = x.mean(0), x.std(0) + 1e-4

    def columns(z: Tensor) -> Tensor:
        return torch.cat([(z - mean) / spread, z.new_ones(len(z), 1)], 1).double()

    a = columns(x)
    gram = a.T @ a + strength * torch.eye(a.shape[1], dtype=a.dtype)
    solution = torch.linalg.solve(gram, a.T @ y.double())
    return lambda z: columns(z) @ solution


def auc(score: Tensor, truth: Tensor) -> float:
    """Probability that a true cell scores above a false one."""
    rank = score.argsort().argsort().double() + 1
    positive, negative = truth.sum().double(), (~truth).sum().double()
    return float((rank[truth].sum() - positive * (positive + 1) / 2) / (positive * negative))


def r2(found: Tensor, truth: Tensor) -> float:
    """Explained share of the variance, mean over columns."""
    residual = (truth - found).square().sum(0) / (truth - truth.mean(0)).square().sum(0)
    return float(1 - residual.mean())


def cells(task: Any, source: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Features and targets of the occupied tokens of all rooms of a source."""
    grids = cubes(source)
    occupied = F.avg_pool3d(grids[:, 3:], CUBE // TOKENS).flatten(1) > 0.02
    answers = [targets(source[i][1]) for i in range(len(source))]
    inside, boxes = (torch.stack(part)[occupied] for part in zip(*answers, strict=True))
    return features(task, grids)[occupied], inside, boxes


@torch.no_grad()
def context(task: Any) -> list[float]:
    """Change of the three finer maps at cells whose own voxels stay, 75 % of blocks emptied."""
    grids = cubes(task.validation_source)
    generator = torch.Generator().manual_seed(0)
    hidden = (torch.rand(len(grids), 1, *[BLOCKS] * 3, generator=generator) < 0.75).float()
    emptied = grids * (1 - F.interpolate(hidden, size=(CUBE,) * 3, mode="nearest"))
    changes = []
    both = (task.model.backbone.encode(g) for g in (grids, emptied))
    for full, less in list(zip(*both, strict=True))[:3]:
        seen = F.interpolate(hidden, size=full.shape[2:], mode="nearest")[:, 0] == 0
        a, b = (m.movedim(1, -1)[seen] for m in (full, less))
        changes.append(float((a - b).square().sum() / (a - a.mean(0)).square().sum()))
    return changes


def measure(start: str) -> dict[str, Any]:
    """Probe and context of one encoder."""
    task = encoder_of(start)
    x, inside, boxes = cells(task, task.train_source)
    held_x, held_inside, held_boxes = cells(task, task.validation_source)
    score = ridge(x, inside[:, None].float())(held_x)[:, 0]
    found, truth = ridge(x[inside], boxes[inside])(held_x[held_inside]), held_boxes[held_inside]
    return {
        "inside_auc": auc(score, held_inside),
        "centre_r2": r2(found[:, :3], truth[:, :3]),
        "size_r2": r2(found[:, 3:], truth[:, 3:]),
        "context": context(task),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    print(environment_line(), flush=True)
    found = {}
    for name in ENCODERS:
        found[name] = measure(first_weights(name, options.runs.resolve(), FIRST_SEED))
        figures = {k: v for k, v in found[name].items() if k != "context"}
        shown = "  ".join(f"{k} {v:.3f}" for k, v in figures.items())
        print(f"{name:12} {shown}  context {[round(c, 4) for c in found[name]['context']]}")
    save_result("transfer_probe", {"encoders": found})


if __name__ == "__main__":
    main()
