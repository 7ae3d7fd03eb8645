from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from maskfield.core.errors import GridError
from maskfield.methods.nerf_mae.config import NerfMAEConfig
from maskfield.methods.nerf_mae.losses import mae_loss
from maskfield.methods.nerf_mae.model import NerfMAE

TINY = NerfMAEConfig(
    resolution=32, embed_dim=6, depths=(1, 1, 2, 1), heads=(1, 2, 3, 4), stochastic_depth=0.4
)


def _model(**changes: object) -> NerfMAE:
    torch.manual_seed(0)
    return replace(TINY, **changes).build()  # type: ignore[arg-type]


def test_forward_shapes_and_dtype(generator: torch.Generator) -> None:
    model = _model()
    grids, sizes = model.pad([torch.rand(4, 32, 20, 9), torch.rand(4, 7, 32, 32)])
    out = model(grids, sizes, model.draw_mask(2, generator))
    assert out.shape == (2, 4, 32, 32, 32)
    assert sizes.tolist() == [[32, 20, 9], [7, 32, 32]]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_fast_equals_plain(precision: str, generator: torch.Generator) -> None:
    plain = _model(implementation="plain")
    fast = _model(implementation="fast", recompute=True)
    fast.load_state_dict(plain.state_dict())
    grids, sizes = plain.pad(torch.rand(4, 32, 30, 20))
    mask, keep = plain.draw_mask(1, generator), plain.draw_keep(1, generator)
    found = []
    for model in (plain, fast):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            out = model(grids, sizes, mask, keep=keep)
        mae_loss(out, grids, mask, sizes)[0].backward()
        found.append([out.detach().float(), *(p.grad for p in model.parameters())])
    tolerance = 1e-4 if precision == "fp32" else 0.05
    out_a, out_b = found[0][0], found[1][0]
    assert float((out_a - out_b).norm() / out_a.norm()) < tolerance
    grads = [(a, b) for a, b in zip(*found, strict=True) if a is not None][1:]
    assert len(grads) > 50
    error = sum(float((a - b).square().sum()) for a, b in grads) ** 0.5
    assert error / sum(float(a.square().sum()) for a, _ in grads) ** 0.5 < 4 * tolerance


def test_hidden_voxels_cannot_influence_the_prediction() -> None:
    """Two grids that differ only under the mask are the same to the network."""
    model = _model().eval()
    a = torch.rand(1, 4, 32, 32, 32)
    b = a.clone()
    b[:, :, :16, :16, :16] = torch.rand(1, 4, 16, 16, 16)
    mask = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    mask[:, :4, :4, :4] = True
    with torch.no_grad():
        assert torch.equal(model(a, None, mask), model(b, None, mask))
        assert not torch.equal(model(a), model(b))


@pytest.mark.parametrize("shape", [(1, 4, 32, 32, 40), (1, 3, 32, 32, 32), (4, 32, 32, 32)])
def test_bad_input(shape: tuple[int, ...]) -> None:
    with pytest.raises(GridError, match="multiples of 32"):
        _model()(torch.zeros(shape))


def test_bad_sizes() -> None:
    with pytest.raises(GridError, match="one size per grid"):
        _model()(torch.zeros(1, 4, 32, 32, 32), torch.zeros(2, 3))


def test_encode_small_grid_equals_the_padded_forward() -> None:
    model = _model().eval()
    grid = torch.rand(4, 20, 32, 9)
    with torch.no_grad():
        features = model.encode(grid)
        expected = model.encoder(model.pad(grid)[0])
    assert [tuple(m.shape) for m in features.maps] == [
        (1, 6, 8, 8, 8),
        (1, 12, 4, 4, 4),
        (1, 24, 2, 2, 2),
        (1, 48, 1, 1, 1),
    ]
    for found, channels_last in zip(features.maps, expected, strict=True):
        assert torch.equal(found, channels_last.permute(0, 4, 1, 2, 3))
    assert [int(v.sum()) for v in features.valid] == [5 * 8 * 3, 3 * 4 * 2, 2 * 2 * 1, 1]


def test_encode_larger_grids_in_one_batch() -> None:
    features = _model().eval().encode([torch.rand(4, 40, 10, 10), torch.rand(4, 5, 5, 33)])
    assert tuple(features.maps[0].shape) == (2, 6, 16, 8, 16)
    assert features.sizes.tolist() == [[40, 10, 10], [5, 5, 33]]
    assert features.valid[0][0].sum() == 10 * 3 * 3


def test_reconstruct(generator: torch.Generator) -> None:
    model = _model().eval()
    grid = torch.rand(4, 20, 32, 9)
    explicit = torch.zeros(8, 8, 8, dtype=torch.bool)
    explicit[:4] = True
    for mask in (None, 0.5, explicit):
        out = model.reconstruct(grid, mask, generator=generator)
        assert out.shape == grid.shape
        assert float(out.min()) >= 0
        assert float(out.max()) <= 1
    seen = model.reconstruct(grid)
    assert not torch.equal(seen, model.reconstruct(grid, explicit))
    with pytest.raises(ValueError, match="needs a generator"):
        model.reconstruct(grid, 0.5)
    with pytest.raises(GridError, match="larger than the model's cube"):
        model.reconstruct(torch.rand(4, 33, 3, 3))


def test_switches(generator: torch.Generator) -> None:
    model = _model(positional_table=False, relative_bias=False, per_sample_masks=True)
    keys = set(model.state_dict())
    assert not any("pos_embed" in k or "relative_position" in k for k in keys)
    mask = model.draw_mask(4, generator)
    assert len({tuple(m.flatten().tolist()) for m in mask}) > 1


def test_one_step_of_descent_lowers_the_loss(generator: torch.Generator) -> None:
    model = _model()
    grids, sizes = model.pad(torch.rand(4, 32, 32, 32))
    mask = model.draw_mask(1, generator)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss, _ = mae_loss(model(grids, sizes, mask), grids, mask, sizes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
