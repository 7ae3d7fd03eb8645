from __future__ import annotations

import torch

from maskfield.methods.nerf_mae.layout import (
    pad_to_box,
    pad_to_cube,
    patchify,
    unpatchify,
    valid_cells,
    valid_voxels,
)


def test_pad_and_crop_at_the_high_end() -> None:
    small, large = torch.rand(4, 3, 8, 5), torch.rand(4, 10, 2, 8)
    padded, sizes = pad_to_cube([small, large], 8)
    assert padded.shape == (2, 4, 8, 8, 8)
    assert sizes.tolist() == [[3, 8, 5], [8, 2, 8]]
    assert torch.equal(padded[0, :, :3, :, :5], small)
    assert float(padded[0, :, 3:].abs().max()) == 0
    assert torch.equal(padded[1, :, :, :2], large[:, :8])


def test_pad_to_box() -> None:
    padded, sizes = pad_to_box([torch.ones(1, 2, 3, 4)], (2, 4, 6))
    assert padded.shape == (1, 1, 2, 4, 6)
    assert int(padded.sum()) == 24
    assert int(valid_voxels(sizes, (2, 4, 6)).sum()) == 24


def test_valid_cells_hold_at_least_one_voxel() -> None:
    sizes = torch.tensor([[9, 8, 1]])
    valid = valid_cells(sizes, (4, 4, 4), 4)[0]
    assert [int(valid.any(2).any(1).sum()), int(valid.any(2).any(0).sum())] == [3, 2]
    assert int(valid.any(1).any(0).sum()) == 1


def test_patch_order_and_inverse() -> None:
    x = torch.arange(2 * 4 * 8**3, dtype=torch.float32).view(2, 4, 8, 8, 8)
    patches = patchify(x, 4)
    assert patches.shape == (2, 2, 2, 2, 64, 4)
    assert patches[1, 1, 0, 1, 16 * 3 + 4 * 2 + 1, 2] == x[1, 2, 4 + 3, 2, 4 + 1]
    assert torch.equal(unpatchify(patches, 4), x)
