"""Why pre-training does or does not help detection: variants, on validation rooms, other seeds.

    python benchmarks/transfer_study.py [--only NAME ...] [--percent 25] [--steps 300]

Each variant of VARIANTS fine-tunes ``nerf-mae-detect:tiny-cpu`` on a share of 128 labelled rooms
and is measured on 64 validation rooms, once, at its end; the test rooms and seeds 0-2 of
``transfer.py`` are not touched. Seeds 10 and 11 start from pre-training seeds 0 and 1.

All figures are kept in benchmarks/results/transfer_study.json; what is there is not run again.
Prints mean AP50 of every variant at every share and number of steps.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from _common import RESULTS, environment, environment_line
from torch import Tensor

from maskfield.core.files import write_json

RESULT = RESULTS / "transfer_study.json"
ROOMS = 64
FIRST_SEED = 10  # starts from pre-training seed 0


@dataclass(frozen=True)
class Variant:
    """Settings that differ from the recipe; ``start`` names a way of :func:`first_weights`."""

    start: str
    changes: tuple[str, ...] = ()


def _scratch(*changes: str) -> Variant:
    return Variant("scratch", changes)


def _pretrained(*changes: str, start: str = "pretraining") -> Variant:
    return Variant(start, changes)


VARIANTS: dict[str, Variant] = {
    "scratch lr 1e-3": _scratch("optim.lr=1e-3"),
    "scratch lr 2e-3": _scratch("optim.lr=2e-3"),
    "scratch lr 4e-3": _scratch("optim.lr=4e-3"),
    "scratch lr 2e-3, table": _scratch("optim.lr=2e-3", "method.base.positional_table=true"),
    "scratch, encoder lr x 0": _scratch("optim.lr=2e-3", "method.encoder_lr_scale=0"),
    "pre-trained lr 1e-3": _pretrained("optim.lr=1e-3"),
    "pre-trained lr 2e-3": _pretrained("optim.lr=2e-3"),
    "pre-trained lr 4e-3": _pretrained("optim.lr=4e-3"),
    "encoder lr x 0": _pretrained("optim.lr=2e-3", "method.encoder_lr_scale=0"),
    "encoder lr x 0.1": _pretrained("optim.lr=2e-3", "method.encoder_lr_scale=0.1"),
    "encoder lr x 0.3": _pretrained("optim.lr=2e-3", "method.encoder_lr_scale=0.3"),
    "encoder lr x 3": _pretrained("optim.lr=1e-3", "method.encoder_lr_scale=3"),
    "frozen first 30 %": _pretrained("optim.lr=2e-3", "method.encoder_frozen_share=0.3"),
    "no table": _pretrained("optim.lr=2e-3", "method.base.positional_table=false"),
    "maps not normalised": _pretrained("optim.lr=2e-3", "method.norm_outputs=false"),
    "masked less at the end": _pretrained("optim.lr=2e-3", start="light"),
    "short pre-training": _pretrained("optim.lr=2e-3", start="short"),
    "encoder lr 6e-3": _pretrained("optim.lr=2e-3", "method.encoder_lr_scale=3"),
    "scratch, encoder lr 3e-3": _scratch("optim.lr=1e-3", "method.encoder_lr_scale=3"),
    "entries shuffled": _pretrained("optim.lr=2e-3", start="shuffled"),
    "stages 1 and 2 only": _pretrained("optim.lr=2e-3", start="stages"),
    "encoder of a trained detector": _pretrained("optim.lr=2e-3", start="supervised"),
    "the same, encoder lr x 0": _pretrained(
        "optim.lr=2e-3", "method.encoder_lr_scale=0", start="supervised"
    ),
}


# other pre-trainings than that of benchmarks/pretraining.py
SHORT = ("engine.steps=180", "data.train_count=256")
LIGHT = ("seed=20", "engine.steps=600", "method.mask_ratio=0.3", "optim.lr=5e-4")
PRETRAININGS = {"short": SHORT, "light": (*LIGHT, "schedule.warmup=0.1")}


def first_weights(start: str, runs: Path, seed: int) -> str:
    """What a run starts from: "scratch", a pre-training, or a pre-training that was changed.

    "short": 180 steps on 256 rooms only. "light": 600 steps more than usual, with 30 % masked.
    "shuffled": the entries of each encoder tensor in random order: its statistics without what it
    knows. "stages": stages 3 and 4 as freshly drawn. "supervised": the encoder of the package's
    detector (900 steps on 1024 labelled rooms): what the best start could give.
    """
    if start == "scratch":
        return start
    source = runs / "pretraining" / f"seed-{seed - FIRST_SEED}"
    if start == "pretraining":
        return str(source)
    if start in PRETRAININGS:
        return str(_other_pretraining(start, source, runs / f"pretraining-{start}" / source.name))
    path = runs / "changed" / f"{start}-{source.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_changed(start, source, path)
    return str(path)


def _other_pretraining(start: str, source: Path, out: Path) -> Path:
    import maskfield

    if not (out / "metrics.json").is_file():
        maskfield.pretrain(
            "nerf-mae:tiny-cpu",
            out=out,
            init=str(source) if start == "light" else None,
            overrides=["engine.threads=1", *PRETRAININGS[start]],
            resume="auto",
        )
    return out


def _write_changed(start: str, source: Path, path: Path) -> None:
    from maskfield.engine.checkpoint import load_weights, save_weights

    weights, header = load_weights(source)
    encoder = [k for k, v in weights.items() if k.startswith("encoder.") and v.is_floating_point()]
    given = {"shuffled": _shuffled, "stages": _fresh_stages, "supervised": _supervised}[start]
    replaced = given({k: weights[k] for k in encoder if k != "encoder.pos_embed"})
    save_weights(path, {**weights, **replaced}, header)


def _shuffled(encoder: dict[str, Tensor]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        k: v.flatten()[torch.randperm(v.numel(), generator=generator)].view(v.shape)
        for k, v in encoder.items()
    }


def _fresh_stages(encoder: dict[str, Tensor]) -> dict[str, Tensor]:
    from maskfield.methods.nerf_mae.config import SIZES

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = SIZES["tiny"].build().state_dict()
    return {k: fresh[k] for k in encoder if k.startswith(("encoder.stages.2", "encoder.stages.3"))}


def _supervised(encoder: dict[str, Tensor]) -> dict[str, Tensor]:
    from maskfield.engine.checkpoint import load_weights

    detector = load_weights("zoo:detector-tiny")[0]
    return {k: detector[f"backbone.{k}"] for k in encoder if k != "encoder.mask_token"}


def run_variant(name: str, percent: int, steps: int, seed: int, runs: Path) -> dict[str, Any]:
    """Fine-tune once, on one thread; figures of the validation rooms."""
    import maskfield

    variant = VARIANTS[name]
    key = run_key(name, percent, steps, seed)
    cpu = time.process_time()
    result = maskfield.finetune(
        "nerf-mae-detect:tiny-cpu",
        out=runs / "study" / "".join(c if c.isalnum() else "-" for c in key),
        init=first_weights(variant.start, runs.resolve(), seed),
        labels=f"{percent}%",
        overrides=[
            f"seed={seed}",
            f"engine.steps={steps}",
            "engine.threads=1",
            "engine.validate_every=0",
            "engine.checkpoint_every=0",
            f"data.validation_count={ROOMS}",
            *variant.changes,
        ],
        resume="auto",
        figures=False,
    )
    metrics = {k: result.metrics[k] for k in ("ap_25", "ap_50", "ap_75", "recall_50_top_300")}
    return {"cpu_seconds": time.process_time() - cpu, **metrics}


def run_key(name: str, percent: int, steps: int, seed: int) -> str:
    """How a run is called in the result file."""
    return f"{name} | {percent} % | {steps} steps | seed {seed}"


def stored() -> dict[str, Any]:
    """The runs made so far."""
    return json.loads(RESULT.read_text())["runs"] if RESULT.exists() else {}


def table(runs: dict[str, Any]) -> str:
    """Mean over the seeds of every variant, share and number of steps."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for key, figures in runs.items():
        groups.setdefault(key.rpartition(" | ")[0], []).append(figures)
    rows = [
        f"{key:55}{len(found):3}  AP25 {mean(f['ap_25'] for f in found):.3f}"
        f"  AP50 {mean(f['ap_50'] for f in found):.3f}"
        for key, found in sorted(groups.items(), key=lambda item: item[0].split(" | ")[::-1])
    ]
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--percent", type=int, nargs="+", default=[25])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    print(environment_line(), flush=True)
    for seed in options.seeds:
        for percent in options.percent:
            for name in options.only:
                key = run_key(name, percent, options.steps, seed)
                if key not in stored():
                    figures = run_variant(name, percent, options.steps, seed, options.runs)
                    runs = {**stored(), key: figures}  # another process may have added to it
                    write_json(RESULT, {"environment": environment(), "runs": runs})
                    print(f"{figures['ap_50']:.3f}  {key}", flush=True)
    print(table(stored()))


if __name__ == "__main__":
    main()
