from __future__ import annotations

import pytest
import torch

from maskfield.core.errors import ConfigError
from maskfield.methods.nerf_mae.layout import patchify
from maskfield.methods.nerf_mae.losses import mae_loss, masked_voxels


def _batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    target = torch.rand(2, 4, 8, 8, 8, generator=generator, dtype=torch.float64)
    target[:, 3] *= torch.rand(2, 8, 8, 8, generator=generator) > 0.5
    sizes = torch.tensor([[8, 6, 5], [7, 8, 8]])
    for grid, (x, y, z) in zip(target, sizes.tolist(), strict=True):
        grid[:, x:], grid[:, :, y:], grid[:, :, :, z:] = 0, 0, 0
    mask = torch.rand(2, 2, 2, 2, generator=generator) < 0.6
    prediction = torch.randn(2, 4, 8, 8, 8, generator=generator, dtype=torch.float64)
    return prediction, target, mask, sizes


def _by_patches(prediction, target, mask, sizes, region: str) -> float:
    """The official way: everything patchified, masks multiplied."""
    p, t = patchify(prediction, 4), patchify(target, 4)
    real = torch.zeros(2, 1, 8, 8, 8)
    for i, (x, y, z) in enumerate(sizes.tolist()):
        real[i, :, :x, :y, :z] = 1
    hidden = patchify(real, 4)[..., 0] * mask[..., None]
    occupied = (t[..., 3] > 0.01).double()
    where = occupied if region == "occupied" else occupied * hidden
    rgb = (((p[..., :3] - t[..., :3]) ** 2).sum(-1) * where).sum() / where.sum()
    alpha = ((p[..., 3].sigmoid() - t[..., 3]) ** 2 * hidden).sum() / hidden.sum()
    return float(rgb + alpha)


@pytest.mark.parametrize("region", ["occupied", "masked_occupied"])
def test_equals_the_patchified_formula(region: str) -> None:
    prediction, target, mask, sizes = _batch()
    loss, parts = mae_loss(prediction, target, mask, sizes, region)
    assert float(loss) == pytest.approx(_by_patches(prediction, target, mask, sizes, region))
    assert float(loss) == pytest.approx(float(parts["loss_rgb"] + parts["loss_alpha"]))
    assert int(parts["occupied"]) == int((target[:, 3] > 0.01).sum())


def test_gradcheck() -> None:
    prediction, target, mask, sizes = _batch()
    leaf = prediction[:, :, :4, :4, :4].clone().requires_grad_()
    small = target[:, :, :4, :4, :4]

    def loss(p: torch.Tensor) -> torch.Tensor:
        return mae_loss(p, small, mask[:, :1, :1, :1], sizes.clamp_max(4))[0]

    assert torch.autograd.gradcheck(loss, (leaf,))


@pytest.mark.parametrize("empty", ["nothing masked", "nothing occupied"])
def test_empty_regions_give_zero_not_nan(empty: str) -> None:
    prediction, target, mask, sizes = _batch()
    prediction.requires_grad_()
    if empty == "nothing masked":
        mask = torch.zeros_like(mask)
    else:
        target = torch.zeros_like(target)
    loss, parts = mae_loss(prediction, target, mask, sizes, "masked_occupied")
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(prediction.grad).all()
    assert float(parts["loss_rgb"]) == 0


def test_nan_outside_the_region_does_not_leak() -> None:
    prediction, target, mask, sizes = _batch()
    prediction[:, :3][:, :, (target[:, 3] <= 0.01).all(0)] = float("nan")
    loss, _ = mae_loss(prediction, target, mask, sizes)
    assert torch.isfinite(loss)


def test_weights() -> None:
    prediction, target, mask, sizes = _batch()
    loss, parts = mae_loss(prediction, target, mask, sizes, rgb_weight=0.0, alpha_weight=2.0)
    assert float(loss) == pytest.approx(2 * float(parts["loss_alpha"]))


def test_unknown_region() -> None:
    with pytest.raises(ConfigError, match="unknown colour region"):
        mae_loss(*_batch(), "everywhere")  # type: ignore[arg-type]


def test_masked_voxels_exclude_padding() -> None:
    mask = torch.ones(1, 2, 2, 2, dtype=torch.bool)
    voxels = masked_voxels(mask, torch.tensor([[8, 3, 1]]), 8)
    assert int(voxels.sum()) == 24
    assert bool(voxels[0, :, :3, :1].all())
