from __future__ import annotations

from math import inf, isnan, log10

import pytest
import torch

from maskfield.methods.nerf_mae.metrics import (
    ErrorSum,
    hidden_errors,
    mean_visible_colour,
    nearest_visible,
    official_metrics,
    summarise,
)


def _line(values: list[float], alphas: list[float]) -> torch.Tensor:
    """A grid that varies along x only: colour (v, v, v) and alpha."""
    n = len(values)
    grid = torch.zeros(1, 4, n, n, n)
    grid[:, :3] = torch.tensor(values)[None, None, :, None, None]
    grid[:, 3] = torch.tensor(alphas)[None, :, None, None]
    return grid


def _mask(rows: list[bool]) -> torch.Tensor:
    n = len(rows)
    return torch.tensor(rows)[None, :, None, None].expand(1, n, n, n)


def test_error_sums_add_up() -> None:
    total = ErrorSum(total=2.0, count=4) + ErrorSum(total=1.0, count=6)
    assert total.mse == pytest.approx(0.3)
    assert total.psnr == pytest.approx(-10 * log10(0.3))
    assert isnan(ErrorSum().mse)
    assert isnan(ErrorSum().psnr)
    assert ErrorSum(total=0.0, count=1).psnr == inf


def test_official_metrics_by_hand() -> None:
    target = _line([0.5, 0.5], [1.0, 0.0])
    prediction = target.clone()
    prediction[:, :3] += torch.tensor([0.1, 9.0])[None, None, :, None, None]  # 9 is not occupied
    found = official_metrics(prediction, target)
    assert float(found["mse"]) == pytest.approx(0.01, rel=1e-4)
    assert float(found["psnr"]) == pytest.approx(20, rel=1e-4)
    assert int(found["n_occupied"]) == 4


def test_mean_colour_looks_at_visible_occupied_voxels_only() -> None:
    target = _line([0.2, 0.4, 0.9, 0.9], [1.0, 1.0, 0.0, 1.0])
    masked = _mask([False, False, False, True])
    assert float(mean_visible_colour(target, masked)[0, 0, 3, 0, 0]) == pytest.approx(0.3)
    everything = torch.ones_like(masked)
    assert float(mean_visible_colour(target, everything)[0, 0, 0, 0, 0]) == 0.5


def test_nearest_visible() -> None:
    target = _line([0.1, 0.2, 0.3, 0.4, 0.5], [1.0, 0.0, 1.0, 1.0, 1.0])
    masked = _mask([False, False, True, True, False])
    colour, alpha = nearest_visible(target, masked)
    # row 2: nearest occupied and visible is row 0 or 4 (both 2 away); row 3: row 4
    assert float(colour[0, 0, 2, 0, 0]) == pytest.approx(0.1) or float(
        colour[0, 0, 2, 0, 0]
    ) == pytest.approx(0.5)
    assert float(colour[0, 0, 3, 0, 0]) == pytest.approx(0.5)
    assert alpha[0, :, 0, 0].tolist() == [1.0, 0.0, 0.0, 1.0, 1.0]
    nothing = nearest_visible(target, torch.ones_like(masked))
    assert float(nothing[0].unique()) == 0.5
    assert float(nothing[1].abs().max()) == 0


def test_hidden_errors_of_a_perfect_prediction() -> None:
    target = _line([0.1, 0.2, 0.3, 0.9], [0.5, 0.5, 0.5, 0.25])
    masked = _mask([False, False, True, True])
    prediction = target.clone()
    prediction[:, 3] = target[:, 3].logit()
    found = hidden_errors(prediction, target, masked)
    assert found["colour"].total == pytest.approx(0, abs=1e-10)
    assert found["alpha"].total == pytest.approx(0, abs=1e-10)
    assert found["colour"].count == 3 * 32
    assert found["alpha"].count == 32
    # nearest visible of rows 2 and 3 is row 1: errors 0.1 and 0.7
    assert found["colour_nearest_baseline"].mse == pytest.approx((0.01 + 0.49) / 2, rel=1e-4)
    assert found["colour_mean_baseline"].mse == pytest.approx((0.15**2 + 0.75**2) / 2, rel=1e-4)
    assert found["alpha_nearest_baseline"].mse == pytest.approx(0.25**2 / 2, rel=1e-4)


def test_summary_names() -> None:
    names = summarise({"colour": ErrorSum(total=1.0, count=10), "alpha": ErrorSum(count=1)})
    assert names == {"hidden_colour_psnr": pytest.approx(10), "hidden_alpha_mse": 0}
