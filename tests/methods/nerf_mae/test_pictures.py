"""Sheets of original, masked and reconstructed grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskfield.methods.nerf_mae.config import RgbRegion
from maskfield.methods.nerf_mae.pictures import reconstruction_row, save_reconstructions

R = 16


def ball() -> torch.Tensor:
    """A red ball in an empty cube, [4, R, R, R]."""
    at = torch.stack(torch.meshgrid(*[torch.arange(R) - R / 2 + 0.5] * 3, indexing="ij"))
    matter = (at.square().sum(0) < (R / 3) ** 2).float()
    return torch.stack([matter, 0 * matter, 0 * matter, matter])


@pytest.mark.parametrize(("region", "pictures"), [("occupied", 4), ("masked_occupied", 3)])
def test_the_whole_answer_is_shown_where_the_network_learned_it(
    region: RgbRegion, pictures: int
) -> None:
    masked = torch.zeros(R, R, R, dtype=torch.bool)
    masked[: R // 2] = True
    target, answer = ball(), ball()
    answer[:3] = torch.tensor([0.0, 0.0, 1.0])[:, None, None, None]
    row = reconstruction_row(target, answer, masked, [R, R, R], region)
    assert len(row) == pictures
    blue = [int((p[..., 2].astype(int) > p[..., 0].astype(int) + 100).sum()) for p in row]
    assert blue[0] == blue[1] == 0
    assert blue[2] > 0  # brought back on one half
    assert blue[3:] == sorted(blue[3:])
    assert all(b > blue[2] for b in blue[3:])


@pytest.mark.parametrize(("region", "columns"), [("occupied", 4), ("masked_occupied", 3)])
def test_a_sheet_has_a_row_per_grid_and_a_column_per_picture(
    region: RgbRegion, columns: int, tmp_path: Path
) -> None:
    target = torch.stack([ball()] * 3)
    tokens = torch.ones(3, R // 4, R // 4, R // 4, dtype=torch.bool)
    sizes = torch.full((3, 3), R)
    save_reconstructions(target, target, tokens, sizes, tmp_path / "a.png", region, rows=2)
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    cell = reconstruction_row(target[0], target[0], tokens.new_ones(R, R, R), [R] * 3, region)[0]
    height, width, _ = cell.shape
    assert 2 * height <= sheet.shape[0] < 3 * height
    assert columns * width <= sheet.shape[1] < (columns + 0.5) * width
