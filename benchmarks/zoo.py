"""The weights that come with the package: trained here, measured on test rooms, stored in fp16.

    python benchmarks/zoo.py [--only detector-tiny] [--runs runs/zoo] [--threads N]

Writes src/maskfield/zoo/NAME.safetensors and its card NAME.md. Training goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _common import environment
from pixelnerf import trained

import maskfield
from maskfield.core.files import write_text
from maskfield.core.zoo import zoo_folder
from maskfield.engine.checkpoint import load_weights, save_weights
from maskfield.engine.loop import RunResult
from maskfield.engine.restore import FORMULA_TABLE

OBJECTS = "synthetic:objects-v1, 1500 objects, 24 views of 64 pixels"
TEST = ("data.held_out=test", "data.validation_count=64", "engine.validate_every=0")
ROOMS = "synthetic:rooms-v1, 64 voxels along the longest side"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of the zoo.

    Attributes:
        train: makes (or takes up) the run. keep: which tensors are stored.
        shown: metric -> what the card calls it. what, trust: sentences of the card.
    """

    train: Callable[[Path, tuple[str, ...]], RunResult]
    keep: Callable[[str], bool]
    shown: dict[str, str]
    what: str
    trust: str
    data: str = f"{ROOMS}; training rooms from seed 0, test rooms from seed 2000000"
    on: str = "rooms"


def pretrain(folder: Path, changes: tuple[str, ...]) -> RunResult:
    """The recipe as it is; the same run as ``benchmarks/pretraining.py --seeds 1``."""
    return maskfield.pretrain(
        "nerf-mae:tiny-cpu",
        out=folder / "nerf-mae-tiny",
        overrides=("seed=1", *changes),
        resume="auto",
    )


def detector(folder: Path, changes: tuple[str, ...]) -> RunResult:
    """From the pre-trained encoder, on 1024 rooms with boxes."""
    settings = (*TEST, "data.train_count=1024", "engine.steps=900", "optim.lr=2e-3")
    return maskfield.finetune(
        "nerf-mae-detect:tiny-cpu",
        out=folder / "detector-tiny",
        init=str(folder / "nerf-mae-tiny"),
        overrides=(*settings, *changes),
        resume="auto",
    )


def semantic(folder: Path, changes: tuple[str, ...]) -> RunResult:
    """A little narrower than tiny, so that it fits into 5 MB; from scratch, on 1024 rooms."""
    settings = (*TEST, "data.train_count=1024", "engine.steps=450", "method.base.embed_dim=20")
    return maskfield.finetune(
        "nerf-mae-segment:tiny-cpu",
        out=folder / "semantic-tiny",
        init="scratch",
        overrides=(*settings, *changes),
        resume="auto",
    )


ENTRIES = {
    "nerf-mae-tiny": Entry(
        train=pretrain,
        keep=lambda name: name.startswith("encoder."),
        shown={
            "hidden_colour_psnr": "colour of hidden occupied voxels, PSNR dB (32 val rooms)",
            "hidden_colour_nearest_baseline_psnr": "  nearest visible voxel, the same",
            "hidden_alpha_mse": "alpha of hidden voxels, MSE",
        },
        what="The encoder of a masked autoencoder (NeRF-MAE) of 2.7 M parameters, pre-trained on "
        "1024 rooms without labels. The decoder is left out: with it the file would exceed 5 MB.",
        trust="For `finetune --init pretrained` of the tiny recipes. It has seen nothing but "
        "procedural rooms: on other scenes expect little.",
    ),
    "detector-tiny": Entry(
        train=detector,
        keep=lambda name: not name.endswith(FORMULA_TABLE),
        shown={
            "ap_25": "AP at IoU 0.25",
            "ap_50": "AP at IoU 0.5",
            "recall_50_top_300": "recall at IoU 0.5",
        },
        what="A detector of oriented boxes around furniture (no classes), fine-tuned from "
        "nerf-mae-tiny on the boxes of 1024 rooms.",
        trust="Good for trying the verbs and for rooms like the procedural ones. Real captures "
        "look different: take its boxes as suggestions, and fine-tune on your own.",
    ),
    "semantic-tiny": Entry(
        train=semantic,
        keep=lambda name: True,
        shown={
            "mIoU": "mIoU over 22 classes (absent ones count 0)",
            "mAcc": "mean class accuracy",
            "allAcc": "share of labelled voxels that are right",
        },
        what="A class for every occupied voxel: 15 kinds of furniture, rug, picture, wall, floor, "
        "ceiling, door, window. From scratch on the labels of 1024 rooms.",
        trust="Walls, floor, ceiling and large furniture are mostly right on procedural rooms, "
        "small things often are not; on real captures it is a demonstration.",
    ),
    "pixelnerf-tiny": Entry(
        train=trained,
        keep=lambda name: True,
        shown={
            "psnr_1": "new views from 1 photograph, PSNR dB",
            "psnr_1_nearest_source": "  that photograph itself",
            "psnr_1_mean_image": "  mean of all training images",
            "ssim_1": "new views from 1 photograph, SSIM",
            "psnr_2": "new views from 2 photographs, PSNR dB",
            "psnr_2_nearest_source": "  the nearer one of them",
            "ssim_2": "new views from 2 photographs, SSIM",
        },
        what="A small pixelNeRF (own encoder, 0.8 M parameters): new views of an object from one "
        "or two photographs with known cameras. Trained twice: the recipe's 8000 steps, then 12000 "
        "from their weights.",
        trust="Shapes and colours of objects like the procedural ones (half of them vehicles), "
        "blurred where no photograph looked. The camera stands 1.3 units from the middle of an "
        "object about 1 unit long, as in the SRN data; other distances were never seen.",
        data=OBJECTS,
        on="objects",
    ),
}


def export(name: str, entry: Entry, run: RunResult) -> Path:
    """fp16 weights with their header, and the card."""
    weights, header = load_weights(run.folder / "checkpoints" / f"step-{run.step}")
    halves = {k: _half(v) for k, v in weights.items() if entry.keep(k)}
    path = zoo_folder() / f"{name}.safetensors"
    save_weights(path, halves, {**header, "zoo": name})
    write_text(path.with_suffix(".md"), card(name, entry, run, path, header))
    return path


def _half(value: torch.Tensor) -> torch.Tensor:
    return value.half() if value.is_floating_point() else value


def card(name: str, entry: Entry, run: RunResult, path: Path, header: dict[str, Any]) -> str:
    """On what it was trained, what it reaches, how far to trust it."""
    facts = environment()
    rows = [f"| {label} | {run.metrics[key]:.3f} |" for key, label in entry.shown.items()]
    seed = header["config"]["seed"]
    return "\n".join(
        [
            f"# {name}",
            "",
            entry.what,
            "",
            f"- data: {entry.data}",
            f"- made by: `python benchmarks/zoo.py --only {name}`, seed {seed}, {run.step} steps; "
            f"{facts['date']}, {facts['cpu']}, torch {facts['torch']}, commit {facts['commit']}",
            f"- size: {path.stat().st_size / 1e6:.1f} MB, fp16",
            "",
            f"| on {entry.on} never trained on | |",
            "|---|---|",
            *rows,
            "",
            entry.trust,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(ENTRIES), default=list(ENTRIES))
    parser.add_argument("--runs", type=Path, default=Path("runs/zoo"))
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    changes = () if options.threads is None else (f"engine.threads={options.threads}",)
    for name in options.only:
        entry = ENTRIES[name]
        print(export(name, entry, entry.train(options.runs, changes)))


if __name__ == "__main__":
    main()
