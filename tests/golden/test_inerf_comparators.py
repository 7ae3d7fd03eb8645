"""What iNeRF's cases are allowed to differ by, and what not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from golden.comparators import comparison
from golden.registry import Adapter
from golden.runner import run_case


def problems(folder: Path, kind: str, stored: Tensor, found: Tensor, name: str) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    meta = {"system": "inerf", "case": "toy", "kind": kind, "atol": 1e-4, "rtol": 0.0}
    (folder / "meta.json").write_text(json.dumps(meta))
    save_file({name: stored}, folder / "outputs.safetensors")
    table = {f"inerf/{kind}": Adapter(function=lambda case: {name: found})}
    return run_case(folder, table).problems


@pytest.mark.parametrize(
    ("row", "error", "wrong"),
    [(0, 2e-4, True), (1, 2e-4, True), (2, 7e-4, False), (2, 9e-4, True), (5, 0.02, True)],
)
def test_first_steps_are_compared_tightly(row: int, error: float, wrong: bool) -> None:
    config: dict[str, Any] = {"kind": "pose_opt_vanilla_nerf", "atol": 1e-4, "rtol": 0.0}
    stored = torch.zeros(6, 3)
    found = stored.clone()
    found[row, 1] = error
    assert (comparison(config, "se3.xi")(stored, found) is not None) == wrong


@pytest.mark.parametrize(("count", "wrong"), [(0, False), (4, False), (6, True)])
def test_few_fine_samples_may_hang_on_rounding(tmp_path: Path, count: int, wrong: bool) -> None:
    stored = torch.rand(10, 10, 4, generator=torch.Generator().manual_seed(0))
    found = stored.clone()
    found.view(100, 4)[:count, 0] += 0.5
    assert bool(problems(tmp_path, "nerf_render", stored, found, "raw_fine")) == wrong


@pytest.mark.parametrize(
    ("row", "error", "wrong"), [(0, 0.15, False), (0, 0.25, True), (1, 0.15, True)]
)
def test_only_the_first_gradient_may_stand_on_a_kink(
    tmp_path: Path, row: int, error: float, wrong: bool
) -> None:
    stored = torch.full((3, 4, 4), 1.0)
    found = stored.clone()
    found[row, 2, 1] += error
    assert bool(problems(tmp_path, "official_loop", stored, found, "grad_pose")) == wrong


def test_angles_by_arccos_have_their_own_tolerance() -> None:
    config = {"atol": 1e-5, "rtol": 0.0, "atol_rot_err_deg": 0.02}
    zero, near = torch.zeros(1), torch.full((1,), 0.01)
    assert comparison(config, "rot_err_deg_left_f64")(zero, near) is None
    assert comparison(config, "rot_err_deg_left_f64")(zero, 3 * near) is not None
    assert comparison(config, "trans_err_left_f64")(zero, near) is not None
