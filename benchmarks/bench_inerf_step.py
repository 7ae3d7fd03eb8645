"""One step of a pose search through pixelNeRF, beside a plain loop and the official one.

    python benchmarks/bench_inerf_step.py [--hosts full tiny] [--rays 512] [--repeats 5]

Hosts: "full" is the official architecture for SRN (ResNet-34, two MLPs 512 wide, 64 + 32 samples)
at 128 pixels, untrained; density is scaled so that OCCUPIED of the first pass's samples have some,
as the trained tiny network finds on its objects. "tiny" is that network, from the package, at 64.

Arms, with the same pixels in each step:
plain      builds the chosen rays only; encodes the source view in each step, applies the feature
           layers at every sample, lets gradients through both passes, forms weight gradients; Adam
official   ``compat="official"``: the same with rays of all pixels built and a free pose matrix
ours       encoded once, feature layers applied to the map once, first pass without gradients,
           frozen weights, gradients only where there are any: same colours, nothing neglected
ours-skip  and second-pass samples left out where the first one saw a weight below SKIP
ours-bf16  and matrices in bfloat16

A step is rays, both passes, loss, gradient, Adam. Model FLOPs come from the layer shapes. Peak
memory is that of a fresh process which does two steps. Whole searches (host "tiny"): a view drawn
by the network itself, so that the pose is known and can be reached; starts turned by TURN degrees
about the object; steps and seconds until within DEGREES and UNITS, and where it is after STEPS.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal, cast

import numpy as np
import torch
from _common import (
    environment_line,
    gemm_rate,
    medians,
    peak_memory_mb,
    save_result,
    time_alternating,
)
from torch import Tensor

from maskfield.data.object_batches import near_far
from maskfield.data.scene import Scene
from maskfield.data.synthetic.objects import object_scene
from maskfield.data.synthetic.splits import split_seeds
from maskfield.engine.restore import restore_model
from maskfield.geometry.se3 import compose, exp
from maskfield.methods.inerf.descent import Descent, photometric
from maskfield.methods.inerf.observation import Observation
from maskfield.methods.inerf.official import OfficialSearch
from maskfield.methods.inerf.poses import MOTIONS, rigid
from maskfield.methods.inerf.protocol import StartRange, draw_starts
from maskfield.methods.inerf.view import FieldView, frozen_weights
from maskfield.methods.pixelnerf.config import EXACT, PLAIN, PixelNeRFConfig
from maskfield.methods.pixelnerf.evaluation_views import source_views
from maskfield.methods.pixelnerf.model.network import PixelNeRF
from maskfield.methods.pixelnerf.model.views import EncodedViews, SourceViews
from maskfield.methods.pixelnerf.sampling import level_sampler
from maskfield.metrics.pose import rotation_error, translation_error
from maskfield.rendering.field import Field
from maskfield.rendering.levels import LevelSampler
from maskfield.verbs.conditioned_views import SKIP, conditioned_view

Arm = Literal["plain", "official", "ours", "ours-skip", "ours-bf16"]
ARMS: tuple[Arm, ...] = ("plain", "official", "ours", "ours-skip", "ours-bf16")
OCCUPIED = 0.18  # of first-pass samples, see the head
SOURCE, TARGET = 0, 5  # views of the object
LR, STEPS, TURN = 0.01, 150, 12.0
DEGREES, UNITS = 1.0, 0.02
Step = Callable[[], Tensor]  # one step; the pose [3, 4] after it


@dataclass(frozen=True, kw_only=True)
class Host:
    """A network, its source view, and a photograph whose camera is sought.

    Attributes:
        true: [3, 4] pose of the photograph.
    """

    network: PixelNeRF
    source: SourceViews
    observation: Observation
    true: Tensor
    near: float
    far: float

    def encode(self) -> EncodedViews:
        s = self.source
        return self.network.encode(s.images[None], s.poses[None], s.intrinsics[None])

    def view(self, arm: Arm) -> FieldView:
        """How an arm sees the object; encodes it."""
        options = PLAIN if arm in ("plain", "official") else replace(EXACT, bf16=arm == "ours-bf16")
        skip = SKIP if arm in ("ours-skip", "ours-bf16") else 0.0
        view = conditioned_view(
            self.network, self.encode(), self.near, self.far, skip=skip, options=options
        )
        if arm not in ("plain", "official"):
            return view
        sampler = cast(LevelSampler, level_sampler(self.network.config, jitter=False))
        return replace(view, sampler=replace(sampler, differentiate=True))


def build_host(name: str, number: int = 0) -> Host:
    """The photograph: the object's view TARGET, as the network draws it if it was trained."""
    side = 128 if name == "full" else 64
    scene = object_scene(split_seeds("test", number + 1)[number], views=12, size=side)
    network = full_network(scene) if name == "full" else trained_network()
    near, far = near_far(scene)
    camera = scene.cameras[TARGET]
    host = Host(
        network=network,
        source=source_views(scene, (SOURCE,)),
        observation=Observation(
            image=torch.from_numpy(np.array(scene.images[TARGET])).float() / 255, camera=camera
        ),
        true=camera.camera_to_world[0],
        near=near,
        far=far,
    )
    if name == "full":
        return host
    with torch.no_grad():
        drawn = host.view("ours").image(host.observation, host.true, rays_at_once=512)
    observation = replace(host.observation, image=drawn.clamp(0, 1))
    return replace(host, observation=observation)


def trained_network() -> PixelNeRF:
    """The package's own."""
    network = restore_model("zoo:pixelnerf-tiny", "cpu").model
    assert isinstance(network, PixelNeRF)
    return network.eval()


def full_network(scene: Scene) -> PixelNeRF:
    """Untrained, with both MLPs alike; solid where OCCUPIED of the samples are densest."""
    torch.manual_seed(0)
    network = PixelNeRFConfig().build().eval()
    for block in network.mlp_coarse.blocks:  # they start as zeros
        torch.nn.init.normal_(cast(Any, block).fc_1.weight, 0, 0.3 / math.sqrt(512))
    near, far = near_far(scene)
    pixels = scene.cameras.height * scene.cameras.width
    some = torch.randperm(pixels, generator=torch.Generator().manual_seed(0))[:128]
    rays = scene.cameras.image_rays(TARGET, near, far)[some]
    samples = cast(LevelSampler, level_sampler(network.config)).coarse.place(rays, None)
    s = source_views(scene, (SOURCE,))
    last = network.mlp_coarse.lin_out
    with torch.no_grad():
        last.bias[3] = 1e4  # all positive, so that they can be ranked
        encoded = network.encode(s.images[None], s.poses[None], s.intrinsics[None])
        density = cast(Tensor, network.field(encoded).proposal(samples).density) - 1e4
        scale = 60 / float(density.std())
        last.weight[3] *= scale
        last.bias[3] = -scale * density.flatten().quantile(1 - OCCUPIED)
    assert network.mlp_fine is not None
    network.mlp_fine.load_state_dict(network.mlp_coarse.state_dict())
    return network


# ------------------------------------------------------------------------------- steps


def step_of(host: Host, arm: Arm, start: Tensor, rays: int) -> Step:
    """One step of an arm, from where its last one left off."""
    generator = torch.Generator().manual_seed(0)
    size = host.observation.size
    everything = torch.arange(size[0] * size[1])
    directions = host.observation.directions(everything)
    colours = host.observation.colours(everything)

    def draw() -> Tensor:
        return torch.randperm(len(everything), generator=generator)[:rays]

    if arm == "plain":
        return _plain_step(host, start, directions, colours, draw)
    if arm == "official":
        search = _official(host, start)
        return lambda: search.step(draw()).pose[:3]
    with torch.no_grad():
        view = host.view(arm)
    motion = MOTIONS["se3"]
    descent = Descent(motion, start[None], torch.zeros(1, motion.size))

    def step() -> Tensor:
        chosen = draw()
        with frozen_weights(host.network):
            descent.step(photometric(view, directions[chosen], colours[chosen]), LR)
        return descent.poses()[0]

    return step


def _plain_step(
    host: Host, start: Tensor, directions: Tensor, colours: Tensor, draw: Callable[[], Tensor]
) -> Step:
    twist = torch.zeros(6, requires_grad=True)
    adam = torch.optim.Adam([twist], lr=LR)

    def step() -> Tensor:
        chosen = draw()
        host.network.zero_grad()
        adam.zero_grad()
        view = host.view("plain")
        rays = view.rays(compose(exp(twist), start)[None], directions[None, chosen])
        (view.colours(rays) - colours[chosen]).square().mean().backward()
        adam.step()
        return compose(exp(twist.detach()), start)

    return step


def _official(host: Host, start: Tensor) -> OfficialSearch:
    base = host.view("official")
    sampler, compositing = base.sampler, base.compositing

    def make_view(field: Field) -> FieldView:
        return FieldView(
            field=field, sampler=sampler, compositing=compositing, near=host.near, far=host.far
        )

    return OfficialSearch(base.field, host.source, make_view, host.observation, start, LR)


# ------------------------------------------------------------------------------- measures


def sample_flops(network: PixelNeRF) -> tuple[int, int]:
    """Multiply-adds x 2 of an MLP per sample: all of it, and without the feature layers."""
    c, mlp = network.config.mlp, network.mlp_coarse
    inner = mlp.d_in * c.hidden + 2 * c.blocks * c.hidden**2 + 4 * c.hidden
    return 2 * (inner + mlp.fed_blocks * mlp.d_latent * c.hidden), 2 * inner


def predicted(host: Host, rays: int) -> dict[str, float]:
    """GFLOP of a step in the MLPs: of plain and official, and of ours where everything counts."""
    s = host.network.config.sampling
    whole, inner = sample_flops(host.network)
    first, second = rays * s.coarse, rays * (s.coarse + s.fine)
    return {"plain": 3 * whole * (first + second) / 1e9, "ours": inner * (first + second) / 1e9}


def time_host(name: str, rays: int, repeats: int) -> dict[str, Any]:
    """Seconds of a step of every arm, in turn."""
    host = build_host(name)
    start = start_of(host, 0)
    calls = {arm: step_of(host, arm, start, rays) for arm in ARMS}
    seconds = medians(time_alternating(calls, repeats))
    return {
        "host": name,
        "rays": rays,
        "seconds": seconds,
        "gflop": predicted(host, rays),
        "times_plain": {arm: seconds["plain"] / seconds[arm] for arm in ARMS},
        "times_official": {arm: seconds["official"] / seconds[arm] for arm in ARMS},
        "first_step_distance": first_steps(host, start, rays),
    }


def first_steps(host: Host, start: Tensor, rays: int) -> dict[str, float]:
    """Relative distance of an arm's first gradient from that of the plain formulation."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randperm(math.prod(host.observation.size), generator=generator)[: rays // 4]
    directions, colours = host.observation.directions(pixels), host.observation.colours(pixels)
    motion, found = MOTIONS["se3"], {}
    for arm in ("plain", "ours", "ours-skip", "ours-bf16"):
        with torch.no_grad():
            view = host.view(arm)
        if arm == "plain":  # the search's own choice: samples are placed, not moved
            sampler = cast(LevelSampler, level_sampler(host.network.config, jitter=False))
            view = replace(view, sampler=sampler)
        descent = Descent(motion, start[None], torch.zeros(1, motion.size))
        with frozen_weights(host.network):
            found[arm] = descent.step(photometric(view, directions, colours), LR).gradient
    exact = found.pop("plain")
    return {arm: float((g - exact).norm() / exact.norm()) for arm, g in found.items()}


def start_of(host: Host, seed: int) -> Tensor:
    """A pose turned about the object."""
    generator = torch.Generator().manual_seed(seed)
    spread = StartRange(degrees=TURN, units=0.05)
    return draw_starts(host.true[None], 1, spread, generator).start[0]


def peak(name: str, arm: Arm, rays: int, threads: int) -> float:
    """MiB of a fresh process that does two steps."""
    command = [sys.executable, __file__, "--peak-of", name, arm, "--rays", str(rays)]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def search(arm: Arm, rays: int, starts: int) -> dict[str, Any]:
    """Whole searches on the tiny host, each an object and start of its own."""
    rows = []
    for number in range(starts):
        host = build_host("tiny", number)
        step = step_of(host, arm, start_of(host, number), rays)
        rows.append(_followed(host, step))
    reached = [r for r in rows if r["reached_at"] is not None]
    return {
        "arm": arm,
        "reached": f"{len(reached)} of {starts}",
        "steps": median(r["reached_at"] for r in reached) if reached else None,
        "seconds": median(r["reached_in"] for r in reached) if reached else None,
        "degrees": median(r["degrees"] for r in rows),
        "units": median(r["units"] for r in rows),
        "rows": rows,
    }


def _followed(host: Host, step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {"reached_at": None, "reached_in": None}
    degrees = units = math.inf
    begun = time.perf_counter()
    for count in range(1, STEPS + 1):
        pose = rigid(step()[None])[0]
        degrees = float(rotation_error(pose, host.true))
        units = float(translation_error(pose, host.true))
        if row["reached_at"] is None and degrees < DEGREES and units < UNITS:
            row |= {"reached_at": count, "reached_in": time.perf_counter() - begun}
    return row | {"degrees": degrees, "units": units, "seconds": time.perf_counter() - begun}


def report(row: dict[str, Any], rate: float) -> str:
    """Lines for one host."""
    g = row["gflop"]
    lines = [
        f"{row['host']}, {row['rays']} rays: plain {g['plain']:.0f} GFLOP in its MLPs = "
        f"{g['plain'] * 1e9 / rate:.2f} s at the GEMM rate; ours at most {g['ours']:.0f} forward"
    ]
    for arm in ARMS:
        gradient = row["first_step_distance"].get(arm)
        lines.append(
            f"  {arm:9s} {row['seconds'][arm]:8.3f} s  {row['times_plain'][arm]:6.1f} x plain  "
            f"{row['times_official'][arm]:6.1f} x official  peak {row['peak_mib'][arm]:6.0f} MiB"
            + ("" if gradient is None else f"  gradient off by {gradient:.1e}")
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hosts", nargs="*", default=["full", "tiny"], choices=["full", "tiny"])
    parser.add_argument("--rays", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--starts", type=int, default=5, help="whole searches of each arm")
    parser.add_argument("--peak-of", nargs=2, metavar=("HOST", "ARM"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_of:
        host = build_host(options.peak_of[0])
        step = step_of(host, options.peak_of[1], start_of(host, 0), options.rays)
        step()
        step()
        print(peak_memory_mb())
        return
    print(environment_line())
    rates = {k: gemm_rate(d) for k, d in (("fp32", torch.float32), ("bf16", torch.bfloat16))}
    print("  ".join(f"GEMM {k} {v / 1e9:.0f} GFLOP/s" for k, v in rates.items()))
    for name in options.hosts:
        row = time_host(name, options.rays, options.repeats)
        row["peak_mib"] = {a: peak(name, a, options.rays, options.threads) for a in ARMS}
        print(report(row, rates["fp32"]), flush=True)
        result = {"gemm_flops_per_s": rates, **row}
        if name == "tiny" and options.starts:
            result["searches"] = [search(arm, options.rays, options.starts) for arm in ARMS]
            print("\n".join(map(said, result["searches"])))
        print("saved", save_result(f"inerf_step_{name}", result))


def said(found: dict[str, Any]) -> str:
    """A line for whole searches of one arm."""
    s = {k: math.nan if v is None else v for k, v in found.items()}
    return (
        f"  {s['arm']:9s} within {DEGREES} deg, {UNITS} units: {s['reached']}, median after "
        f"{s['steps']} steps, {s['seconds']:.1f} s; after {STEPS} steps {s['degrees']:.3f} deg, "
        f"{s['units']:.4f} units"
    )


if __name__ == "__main__":
    main()
