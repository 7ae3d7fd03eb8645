"""What pre-training is worth: fine-tuned from pre-trained weights and from scratch, equal training.

    python benchmarks/transfer.py [--seeds 0 1 2] [--workers 2] [--only detect] [--detect-steps 300]

Procedural rooms (``rooms-v1``): pre-training sees 1024 rooms without labels, fine-tuning the first
10, 25 or 100 % of 128 labelled ones; figures are those of 64 test rooms, measured once at the end
of a run (its last weights; nothing is selected on them). Both arms have the same steps, batches and
augmentation; the learning rate of detection was chosen for each arm from the same three values, on
validation rooms and another seed. Seed s of the pre-trained arm starts from pre-training seed s.

One JSON per run under benchmarks/results/transfer; what is there is not run again. Pre-training
runs that are missing are made first (about 11 minutes a seed). Prints the table with mean ± sd.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from _common import RESULTS, environment_line, save_result

FOLDER = "transfer"
SHARES = {"detect": (10, 25, 100), "segment": (10, 100), "superres": (100,)}
METRICS = {
    "detect": (("AP25", "ap_25"), ("AP50", "ap_50")),
    "segment": (("mIoU", "mIoU"),),
    "superres": (("PSNR dB", "psnr"),),
}
STEPS = {"detect": 300, "segment": 100, "superres": 100}
# of 1e-3, 2e-3 and 4e-3, tried for both arms on validation rooms with another seed (10)
LEARNING_RATE = {("detect", "scratch"): 1e-3, ("detect", "pretrained"): 2e-3}
ARMS = ("scratch", "pretrained")
TEST_ROOMS = 64


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of the table."""

    task: str
    percent: int
    arm: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        run = f"{self.task}_{self.percent}_{self.arm}_{self.steps}steps_seed{self.seed}"
        return f"{FOLDER}/{run}"

    @property
    def path(self) -> Path:
        return RESULTS / f"{self.name}.json"


def all_cases(tasks: Iterable[str], seeds: Iterable[int], steps: dict[str, int]) -> list[Case]:
    """Every run, seed by seed, so that an interrupted table has whole seeds."""
    return [
        Case(task=task, percent=percent, arm=arm, seed=seed, steps=steps[task])
        for seed in seeds
        for task in tasks
        for percent in SHARES[task]
        for arm in ARMS
    ]


def run_case(case: Case, runs: Path) -> None:
    """Fine-tune once, on one thread, and save the test figures."""
    import maskfield

    start, cpu = time.perf_counter(), time.process_time()
    result = maskfield.finetune(
        f"nerf-mae-{case.task}:tiny-cpu",
        out=runs / case.name,
        init=str(pretraining_run(runs, case.seed)) if case.arm == "pretrained" else "scratch",
        labels=f"{case.percent}%",
        overrides=[
            f"seed={case.seed}",
            f"engine.steps={case.steps}",
            f"optim.lr={LEARNING_RATE.get((case.task, case.arm), 1e-3)}",
            "engine.threads=1",
            "engine.validate_every=0",
            "engine.checkpoint_every=0",
            "data.held_out=test",
            f"data.validation_count={TEST_ROOMS}",
        ],
        resume="auto",
    )
    seconds = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    save_result(case.name, {"metrics": result.metrics, "steps": result.step, "seconds": seconds})


def pretraining_run(runs: Path, seed: int) -> Path:
    """Where ``benchmarks/pretraining.py`` keeps the run of a seed."""
    return runs / "pretraining" / f"seed-{seed}"


def prepare(runs: Path, seeds: Iterable[int]) -> None:
    """Pre-training that is missing, and the rooms every run reads (made once, not by each)."""
    import maskfield
    from maskfield.data.grid_sources import room_store

    for seed in seeds:
        if not (pretraining_run(runs, seed) / "metrics.json").is_file():
            out = pretraining_run(runs, seed)
            maskfield.pretrain(
                "nerf-mae:tiny-cpu", out=out, overrides=[f"seed={seed}"], resume="auto"
            )
    for resolution in (64, 102):
        room_store("train", 128, resolution)
        room_store("test", TEST_ROOMS, resolution)


def table(cases: list[Case]) -> str:
    """Mean ± standard deviation over seeds, both arms side by side."""
    lines = [f"{'':32}{'scratch':>20}{'pre-trained':>20}   ahead by"]
    for task, percent in {(c.task, c.percent): None for c in cases}:
        for label, metric in METRICS[task]:
            arms = [_values(cases, task, percent, arm, metric) for arm in ARMS]
            if not all(arms):
                continue
            spread = max(stdev(a) if len(a) > 1 else 0.0 for a in arms)
            ahead = mean(arms[1]) - mean(arms[0])
            times = f"{ahead / spread:+.1f} sd" if spread else ""
            row = "".join(f"{_shown(a):>20}" for a in arms)
            lines.append(f"{f'{task}, {percent} % labels, {label}':32}{row}   {ahead:+.3f} {times}")
    return "\n".join(lines)


def _values(cases: list[Case], task: str, percent: int, arm: str, metric: str) -> list[float]:
    chosen = [c for c in cases if (c.task, c.percent, c.arm) == (task, percent, arm)]
    return [json.loads(c.path.read_text())["metrics"][metric] for c in chosen if c.path.exists()]


def _shown(values: list[float]) -> str:
    spread = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return f"{mean(values):.3f}{spread}"


def _one(arguments: tuple[Case, Path]) -> str:
    run_case(*arguments)
    return arguments[0].name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--workers", type=int, default=2, help="runs at a time, one thread each")
    parser.add_argument("--detect-steps", type=int, default=STEPS["detect"])
    parser.add_argument("--percent", type=int, nargs="+", help="only these shares of labels")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    (RESULTS / FOLDER).mkdir(exist_ok=True)
    print(environment_line(), flush=True)
    steps = {**STEPS, "detect": options.detect_steps}
    cases = all_cases(options.only, options.seeds, steps)
    cases = [c for c in cases if options.percent is None or c.percent in options.percent]
    missing = [(c, options.runs.resolve()) for c in cases if not c.path.exists()]
    start = time.perf_counter()
    if missing:
        prepare(options.runs, sorted({c.seed for c, _ in missing if c.arm == "pretrained"}))
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            for name in pool.imap_unordered(_one, missing):
                print(f"{(time.perf_counter() - start) / 60:5.1f} min  {name}", flush=True)
    print(table(cases))


if __name__ == "__main__":
    main()
