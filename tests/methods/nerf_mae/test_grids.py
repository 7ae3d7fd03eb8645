from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfield.core.errors import GridError
from maskfield.methods.nerf_mae.grids import load_network_grid


def features(folder: Path, rgbsigma: np.ndarray) -> Path:
    path = folder / "scene.npz"
    np.savez(path, rgbsigma=rgbsigma, resolution=np.array(rgbsigma.shape[:3]))
    return path


@pytest.mark.parametrize("compat", ["maskfield", "official"])
def test_density_rules_and_layout(compat: str, tmp_path: Path, generator: torch.Generator) -> None:
    stored = torch.randn(3, 4, 5, 4, generator=generator)
    path = features(tmp_path, stored.numpy())
    for rule, sigma in (("exp", stored[..., 3].exp()), ("relu", stored[..., 3].relu())):
        grid = load_network_grid(path, rule, compat=compat)
        assert grid.shape == (4, 3, 4, 5)
        torch.testing.assert_close(grid[:3], stored[..., :3].permute(3, 0, 1, 2))
        torch.testing.assert_close(grid[3], 1 - torch.exp(-sigma * 0.01))
    if compat == "official":  # which takes anything for alpha
        assert torch.equal(load_network_grid(path, "alpha", compat=compat)[3], stored[..., 3])
    else:
        with pytest.raises(GridError, match="alpha lies in"):
            load_network_grid(path, "alpha")
    alpha = torch.rand(3, 4, 5, 4, generator=generator)
    assert torch.equal(
        load_network_grid(features(tmp_path, alpha.numpy()), "alpha")[3], alpha[..., 3]
    )


def test_eight_bit_alpha_is_divided_by_255(tmp_path: Path) -> None:
    stored = np.full((2, 1, 1, 4), 51, dtype=np.uint8)
    stored[0] = 0
    grid = load_network_grid(features(tmp_path, stored), "alpha")
    torch.testing.assert_close(grid[:, 1, 0, 0], torch.full((4,), 0.2))


def test_eight_bit_density_is_refused_unless_official(tmp_path: Path) -> None:
    stored = np.array([0, 6, 7, 255], dtype=np.uint8).reshape(4, 1, 1, 1).repeat(4, axis=3)
    path = features(tmp_path, stored)
    with pytest.raises(GridError, match="8-bit"):
        load_network_grid(path, "exp")
    official = load_network_grid(path, "exp", compat="official")
    # 1 - exp(-0.01 exp(d)) reaches 1 in half precision from d = 7 on, below it truncates to 0
    assert official[3].flatten().tolist() == pytest.approx([0, 0, 1 / 255, 1 / 255])
