"""Whole pixelNeRF images: the same model with every option off, each option alone, and all.

    python benchmarks/bench_pixelnerf_render.py [--side 128] [--repeats 5] [--size tiny|full]
                                                [--only "exact,all"]

``tiny`` is the network that comes with the package, on a procedural object it never saw. ``full``
is the official size (ResNet-34, 512 wide, 64 + 96 samples per ray) from one view. Without ``--run``
its weights are random, and solid where 18 % of the samples are densest (bench_inerf_step.py): such
fields are frayed, so that leaving out empty space brings less than on trained weights. ``--run``
takes a run folder or weights of any size. Columns: seconds (median of warm runs in turn), ratio to
"off" in the same run, samples that a network was asked for per ray, difference of colours to "off".
Peak memory is that of a fresh process each. An image that takes more than 20 s is drawn
``--repeats`` // 2 times at most.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from _common import environment_line, medians, peak_memory_mb, save_result, time_alternating
from bench_inerf_step import full_network
from torch import Tensor

from maskfield.core.config import from_dict
from maskfield.core.zoo import is_zoo, zoo_path
from maskfield.data.object_batches import near_far
from maskfield.data.object_config import ObjectDataConfig
from maskfield.data.object_sets import open_objects
from maskfield.data.scene import Scene
from maskfield.engine.checkpoint import load_into, load_weights
from maskfield.engine.config import RunConfig
from maskfield.methods.pixelnerf.config import EXACT, FAST, PLAIN, RenderOptions
from maskfield.methods.pixelnerf.evaluation_views import pixelnerf_views, source_views
from maskfield.methods.pixelnerf.model.network import PixelNeRF

OPTIONS: dict[str, RenderOptions] = {
    "off": PLAIN,
    "project": replace(PLAIN, project=True),
    "skip empty": replace(PLAIN, skip_empty=True),
    "stop early": replace(PLAIN, stop_early=True),
    "bf16": replace(PLAIN, bf16=True),
    "exact": EXACT,
    "all but bf16": replace(FAST, bf16=False),
    "all": FAST,
}
TINY = "zoo:pixelnerf-tiny"
SLOW = 20.0  # seconds
SOURCE, TARGET = 0, 5  # views of the held-out object


def network(size: str, run: str | None, scene: Scene) -> PixelNeRF:
    """The network, in eval mode."""
    if size == "full" and run is None:
        return full_network(scene)
    path = run or TINY
    weights, header = load_weights(zoo_path(path) if is_zoo(path) else path)
    model = from_dict(RunConfig, header["config"]).method.build()
    load_into(model, weights, path)
    return model.eval()


def held_out_object(side: int) -> Scene:
    """A procedural test object."""
    data = ObjectDataConfig(train_count=1, validation_count=1, held_out="test", image_size=side)
    return open_objects(data)[1][0]


def drawers(model: PixelNeRF, scene: Scene, size: str) -> dict[str, Callable[[], Tensor]]:
    """One call per set of options; source views are encoded before, once."""
    near, far = near_far(scene)
    views, camera = source_views(scene, [SOURCE]), scene.cameras[TARGET]
    least = 64 if size == "full" else 1

    def drawer(options: RenderOptions) -> Callable[[], Tensor]:
        draw = pixelnerf_views(model, least_coarse=least, options=options)(views)
        return lambda: draw(camera, near, far, None).colour

    return {name: drawer(options) for name, options in OPTIONS.items()}


def asked_per_ray(model: PixelNeRF, draw: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """An image, and how many samples its networks were asked for, per ray."""
    rows = 0

    def count(_module: object, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        nonlocal rows
        rows += inputs[0].shape[:-1].numel()

    networks = {model.mlp_coarse, model.mlp_fine or model.mlp_coarse}
    hooks = [mlp.lin_out.register_forward_hook(count) for mlp in networks]
    image = draw()
    for hook in hooks:
        hook.remove()
    return image, rows / image.shape[:2].numel()


def peak(arguments: list[str], name: str) -> float:
    """MiB a fresh process needs to draw one image."""
    command = [sys.executable, __file__, *arguments, "--peak-of", name]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out.split()[-1])


def compared(model: PixelNeRF, calls: dict[str, Callable[[], Tensor]]) -> dict[str, dict[str, Any]]:
    """Samples asked and differences of colour, option by option."""
    rows: dict[str, dict[str, Any]] = {}
    reference: Tensor | None = None
    for name, draw in calls.items():
        start = time.perf_counter()
        image, asked = asked_per_ray(model, draw)
        reference = image if reference is None else reference
        difference = (image - reference).abs()
        rows[name] = {
            "samples_per_ray": asked,
            "largest_difference": float(difference.max()),
            "mean_difference": float(difference.mean()),
        }
        if name == "off":
            rows[name]["first_seconds"] = time.perf_counter() - start
    return rows


def line(name: str, row: dict[str, Any]) -> str:
    """One row for people."""
    return (
        f"{name:14}{row['seconds']:9.2f}{row['ratio']:8.2f}x{row['samples_per_ray']:9.1f}"
        f"{row['largest_difference']:12.1e}{row['mean_difference']:12.1e}"
        + (f"{row['peak_mib']:10.0f}" if "peak_mib" in row else "")
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Whole pixelNeRF images")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--run", help="weights: a run folder, a file or zoo:NAME")
    parser.add_argument("--only", help="some of the sets of options, separated by commas")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peak-of", choices=list(OPTIONS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scene = held_out_object(options.side)
    model = network(options.size, options.run, scene)
    calls = drawers(model, scene, options.size)
    if options.peak_of:
        calls[options.peak_of]()
        print(peak_memory_mb())
        return
    wanted = ["off", *(options.only.split(",") if options.only else list(OPTIONS)[1:])]
    calls = {name: calls[name] for name in wanted}
    rows = compared(model, calls)  # draws every image once: the timed runs are warm
    slow = rows["off"].pop("first_seconds") > SLOW
    repeats = max(1, options.repeats // 2) if slow else options.repeats
    seconds = medians(time_alternating(calls, repeats, warm=0))
    arguments = [a for a in sys.argv[1:] if a]
    for name, row in rows.items():
        row |= {"seconds": seconds[name], "ratio": seconds["off"] / seconds[name]}
    for name in {"off", "all"} & set(rows):
        rows[name]["peak_mib"] = peak(arguments, name)
    print(environment_line())
    weights = options.run or (TINY if options.size == "tiny" else "random weights")
    print(f"{options.size}, {weights}, {options.side} x {options.side} pixels, {repeats} runs")
    print(f"{'options':14}{'seconds':>9}{'ratio':>9}{'samples':>9}{'max diff':>12}{'mean':>12}")
    print("\n".join(line(name, row) for name, row in rows.items()))
    found = {"side": options.side, "repeats": repeats, "weights": weights, "options": rows}
    save_result(f"pixelnerf_render_{options.size}", found)


if __name__ == "__main__":
    main()
